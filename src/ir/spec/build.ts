import { math } from '../../math/index.js';
import { includesAll, unionAxes, withoutAxes, type Axis } from '../common/axes.js';
import type { MathName } from '../common/dag.js';
import type { Span } from '../common/span.js';
import type { SpecNode } from './spec.js';

/** Makes the nodes of one Spec. Equal nodes are one node, so that passes may compare ids; the first origin stays. */
export interface SpecBuilder {
  readonly nodes: readonly SpecNode[];
  axesOf(id: number): readonly Axis[];
  /** Operations from the node down to a tensor or a number, on the longest way. */
  depthOf(id: number): number;
  literal(value: number, origin: Span): number;
  size(axis: Axis, origin: Span): number;
  head(origin: Span): number;
  heads(origin: Span): number;
  input(input: number, axes: readonly Axis[], origin: Span): number;
  param(param: number, axes: readonly Axis[], origin: Span): number;
  prev(state: number, axes: readonly Axis[], origin: Span): number;
  /** Elementwise, broadcasting by name: the axes are the union. Literals are folded; forms that lose digits are rewritten. */
  map(fn: MathName, args: readonly number[], origin: Span): number;
  /** Folds an axis that the argument has. */
  reduce(op: 'sum' | 'max' | 'min', axis: Axis, arg: number, origin: Span): number;
}

export function specBuilder(): SpecBuilder {
  const nodes: SpecNode[] = [];
  const known = new Map<string, number>();
  const depths: number[] = [];

  const add = (key: string, node: SpecNode, args: readonly number[] = []): number => {
    const found = known.get(key);
    if (found !== undefined) return found;
    known.set(key, nodes.length);
    depths.push(args.length === 0 ? 0 : 1 + Math.max(...args.map((arg) => depths[arg])));
    return nodes.push(node) - 1;
  };

  const value = (id: number): number | undefined => {
    const node = nodes[id];
    return node.kind === 'literal' ? node.value : undefined;
  };

  /** The argument of `fn(x)`, if that is what the node is. */
  const argumentOf = (id: number, fn: MathName): number | undefined => {
    const node = nodes[id];
    return node.kind === 'map' && node.fn === fn ? node.args[0] : undefined;
  };

  /** 1 - x with all its digits where x is near 1, if its text shows how. */
  const complement = (id: number, origin: Span): number | undefined => {
    const map = (name: MathName, ...args: number[]) => builder.map(name, args, origin);
    const exponent = argumentOf(id, 'exp');
    if (exponent !== undefined) return map('neg', map('expm1', exponent));
    const logit = argumentOf(id, 'sigmoid');
    if (logit !== undefined) return map('sigmoid', map('neg', logit));
    const node = nodes[id];
    if (node.kind !== 'map' || node.fn !== 'mul') return undefined;
    const [x, y] = node.args;
    const one = builder.literal(1, origin);
    const angle = argumentOf(x, 'tanh');
    if (x === y && angle !== undefined) {
      const double = map('mul', builder.literal(2, origin), angle);
      return map('mul', builder.literal(4, origin), map('mul', map('sigmoid', double), map('sigmoid', map('neg', double))));
    }
    if (x === y) return map('mul', map('sub', one, x), map('add', one, x));
    const rest = complement(x, origin);
    return rest === undefined || complement(y, origin) === undefined ? undefined : map('add', rest, map('mul', x, map('sub', one, y)));
  };

  /** Forms that a formula is read in, but not computed in: 1 - e^x and its kin cancel near 0, log(1 + e^x) overflows. */
  const rewritten = (fn: MathName, [x, y]: readonly number[], origin: Span): number | undefined => {
    if (fn === 'sub' && value(x) === 1) return complement(y, origin);
    if (fn === 'neg') return argumentOf(x, 'neg');
    if (fn === 'sub' && value(y) === 1) {
      const exponent = argumentOf(x, 'exp');
      if (exponent !== undefined) return builder.map('expm1', [exponent], origin);
    }
    if (fn === 'log') {
      const logit = argumentOf(x, 'sigmoid');
      if (logit !== undefined) return builder.map('log_sigmoid', [logit], origin);
      const sum = nodes[x];
      if (sum.kind === 'map' && sum.fn === 'add') {
        const other = value(sum.args[0]) === 1 ? sum.args[1] : value(sum.args[1]) === 1 ? sum.args[0] : undefined;
        if (other !== undefined) return builder.map('log1p', [other], origin);
      }
    }
    if (fn === 'log1p') {
      const exponent = argumentOf(x, 'exp');
      if (exponent !== undefined) return builder.map('softplus', [exponent], origin);
    }
    return undefined;
  };

  const builder: SpecBuilder = {
    nodes,
    axesOf: (id) => nodes[id].axes,
    depthOf: (id) => depths[id],
    literal: (v, origin) => add(`literal ${Object.is(v, -0) ? '-0' : v}`, { kind: 'literal', value: v, axes: [], origin }),
    size: (axis, origin) => add(`size ${axis}`, { kind: 'size', axis, axes: [], origin }),
    head: (origin) => add('head', { kind: 'head', axes: [], origin }),
    heads: (origin) => add('heads', { kind: 'heads', axes: [], origin }),
    input: (input, axes, origin) => add(`input ${input}`, { kind: 'input', input, axes, origin }),
    param: (param, axes, origin) => add(`param ${param}`, { kind: 'param', param, axes, origin }),
    prev: (state, axes, origin) => add(`prev ${state}`, { kind: 'prev', state, axes, origin }),
    map(fn, args, origin) {
      const folded = foldLiterals(fn, args.map(value));
      if (folded !== undefined) return builder.literal(folded, origin);
      const better = rewritten(fn, args, origin);
      if (better !== undefined) return better;
      return add(`${fn} ${args.join(' ')}`, { kind: 'map', fn, args, axes: unionAxes(...args.map((a) => nodes[a].axes)), origin }, args);
    },
    reduce(op, axis, arg, origin) {
      if (!includesAll(nodes[arg].axes, [axis])) throw new Error(`node ${arg} has no axis ${axis} to fold`);
      return add(`${op} ${axis} ${arg}`, { kind: 'reduce', op, axis, arg, axes: withoutAxes(nodes[arg].axes, [axis]), origin }, [arg]);
    },
  };
  return builder;
}

/** A function of numbers written in the text; undefined if one is no number or the result is not finite. */
function foldLiterals(fn: MathName, values: readonly (number | undefined)[]): number | undefined {
  const [x, y] = values;
  if (x === undefined || values.some((v) => v === undefined)) return undefined;
  const result = math[fn].f64(x, y ?? NaN);
  // Exponentials end at the largest number, which stands for infinity.
  return Math.abs(result) < Number.MAX_VALUE ? result : undefined;
}
