import type { MathName } from '../ir/common/dag.js';
import { ANY, isAny, type Range } from '../ir/common/range.js';
import type { Argument, Cost, MathBuilder, MathFunction, TorchText } from './math.js';

type Text = string | ((...args: string[]) => string);

interface Facts {
  /** Not said: formulas may call it. */
  readonly spoken?: boolean;
  /** Not said: any number, and its value is finite there. */
  readonly domain?: Range;
  readonly total?: boolean;
  /** Not said: where an argument does, and the value may lie anywhere. */
  readonly overflows?: (x: Argument, y: Argument) => boolean;
  /** Not said: `series`. */
  readonly cost?: Cost;
  /** The name of a function, or a text of its arguments. */
  readonly cuda: Text;
  readonly wgsl: Text;
  readonly torch: string | TorchText;
}

interface UnaryFacts extends Facts {
  readonly f64: (x: number) => number;
  /** d out / dx; null where it is zero everywhere. */
  readonly slope: (<V>(b: MathBuilder<V>, x: V, out: V) => V) | null;
  readonly range: (x: Range) => Range;
}

interface BinaryFacts extends Facts {
  readonly f64: (x: number, y: number) => number;
  readonly slopes: <V>(b: MathBuilder<V>, x: V, y: V, out: V) => readonly (V | null)[];
  readonly range: (x: Range, y: Range, same: boolean) => Range;
}

export function unary(name: MathName, facts: UnaryFacts): MathFunction {
  const { slope } = facts;
  return {
    ...common(name, 1, facts, facts.range(ANY)), f64: facts.f64, range: facts.range,
    derivative: (b, [x], out) => [slope === null ? null : slope(b, x, out)],
  };
}

export function binary(name: MathName, facts: BinaryFacts): MathFunction {
  return {
    ...common(name, 2, facts, facts.range(ANY, ANY, false)), f64: facts.f64, range: facts.range,
    derivative: (b, [x, y], out) => facts.slopes(b, x, y, out),
  };
}

/** `everywhere`: where its values lie at all. */
function common(name: MathName, arity: 1 | 2, facts: Facts, everywhere: Range): Omit<MathFunction, 'f64' | 'range' | 'derivative'> {
  const { domain = ANY, spoken = true, total = isAny(domain), cost = 'series' } = facts;
  const bounded = Number.isFinite(everywhere.lo) && Number.isFinite(everywhere.hi);
  const inherited = (x: Argument, y: Argument) => !bounded && (x.overflows || (arity === 2 && y.overflows));
  return {
    name, arity, spoken, domain, total, cost, overflows: facts.overflows ?? inherited, cuda: textOf(facts.cuda), wgsl: textOf(facts.wgsl),
    torch: typeof facts.torch === 'string' ? { kind: 'call', name: facts.torch } : facts.torch,
  };
}

function textOf(text: Text): (...args: string[]) => string {
  return typeof text === 'string' ? (...args) => `${text}(${args.join(', ')})` : text;
}
