import { ANY, type Range } from '../../ir/common/range.js';
import type { MathName } from '../../ir/common/dag.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';

/** Interval analysis: where a value is known to lie, from the declared ranges and the functions used. */
export function rangeOf(b: ScanBuilder, spec: Spec, id: NodeId, known = new Map<NodeId, Range>()): Range {
  const found = known.get(id);
  if (found !== undefined) return found;
  const range = rangeOfNode(b, spec, id, (arg) => rangeOf(b, spec, arg, known));
  known.set(id, range);
  return range;
}

function rangeOfNode(b: ScanBuilder, spec: Spec, id: NodeId, of: (id: NodeId) => Range): Range {
  const node = b.nodes[id];
  switch (node.kind) {
    case 'literal': return { lo: node.value, hi: node.value };
    case 'size': return { lo: 1, hi: Infinity };
    case 'head': return { lo: 0, hi: Infinity };
    case 'heads': return { lo: 1, hi: Infinity };
    case 'input': return spec.inputs[node.input].range;
    case 'param': return spec.params[node.param].range;
    case 'past': case 'ahead': case 'last': case 'cotangent': case 'result': return ANY;
    case 'map': return mapRange(node.fn, node.args.map(of), isSquare(node.fn, node.args));
    case 'reduce': {
      const range = of(node.arg);
      if (node.op !== 'sum') return range;
      return { lo: range.lo >= 0 ? range.lo : -Infinity, hi: range.hi <= 0 ? range.hi : Infinity };
    }
  }
}

function isSquare(fn: MathName, args: readonly NodeId[]): boolean {
  return fn === 'mul' && args[0] === args[1];
}

function mapRange(fn: MathName, args: readonly Range[], square: boolean): Range {
  const [x, y] = args;
  const monotone = (f: (v: number) => number): Range => ({ lo: f(x.lo), hi: f(x.hi) });
  switch (fn) {
    case 'neg': return { lo: -x.hi, hi: -x.lo };
    case 'add': return { lo: x.lo + y.lo, hi: x.hi + y.hi };
    case 'sub': return { lo: x.lo - y.hi, hi: x.hi - y.lo };
    case 'mul': return square ? squared(x) : hull(x, y, (a, c) => (a === 0 || c === 0 ? 0 : a * c));
    case 'div': return y.lo > 0 || y.hi < 0 ? hull(x, y, (a, c) => (a === 0 ? 0 : Math.abs(c) === Infinity ? 0 : a / c)) : x.lo >= 0 && y.lo >= 0 ? { lo: 0, hi: Infinity } : ANY;
    case 'pow': return x.lo > 0 ? hull(x, y, (a, c) => a ** c) : x.lo >= 0 ? { lo: 0, hi: Infinity } : ANY;
    case 'exp': return monotone(Math.exp);
    case 'expm1': return monotone(Math.expm1);
    case 'log': return x.lo >= 0 ? monotone(Math.log) : ANY;
    case 'log1p': return x.lo >= -1 ? monotone(Math.log1p) : ANY;
    case 'sigmoid': return monotone((v) => 1 / (1 + Math.exp(-v)));
    case 'log_sigmoid': return monotone((v) => -Math.log1p(Math.exp(-v)));
    case 'softplus': return monotone((v) => (v > 30 ? v : Math.log1p(Math.exp(v))));
    case 'tanh': return monotone(Math.tanh);
    case 'sqrt': return { lo: Math.sqrt(Math.max(x.lo, 0)), hi: Math.sqrt(Math.max(x.hi, 0)) };
    case 'relu': return monotone((v) => Math.max(v, 0));
    case 'abs': return { lo: x.lo > 0 ? x.lo : x.hi < 0 ? -x.hi : 0, hi: Math.max(Math.abs(x.lo), Math.abs(x.hi)) };
    case 'min': return { lo: Math.min(x.lo, y.lo), hi: Math.min(x.hi, y.hi) };
    case 'max': return { lo: Math.max(x.lo, y.lo), hi: Math.max(x.hi, y.hi) };
    case 'silu': case 'gelu': return { lo: x.lo >= 0 ? 0 : -0.3, hi: Math.max(x.hi, 0) };
    case 'sign': case 'erf': case 'sin': case 'cos': return { lo: -1, hi: 1 };
    case 'less': return { lo: 0, hi: 1 };
    case 'chain': return ANY;
  }
}

function squared({ lo, hi }: Range): Range {
  const ends = [lo * lo, hi * hi];
  return { lo: lo <= 0 && hi >= 0 ? 0 : Math.min(...ends), hi: Math.max(...ends) };
}

function hull(x: Range, y: Range, f: (a: number, b: number) => number): Range {
  const corners = [f(x.lo, y.lo), f(x.lo, y.hi), f(x.hi, y.lo), f(x.hi, y.hi)];
  return corners.some(Number.isNaN) ? ANY : { lo: Math.min(...corners), hi: Math.max(...corners) };
}
