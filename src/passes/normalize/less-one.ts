import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId } from '../../ir/scan/scan.js';

/** Next to the largest number of f32. */
const LARGEST = 3e38;

/**
 * x - 1 with all its digits where x is next to 1, read off the text of x; undefined where the plain difference is as good. x as f32 has it
 * is off by up to 6e-8 there, the same at every token, which is much of a decay's little.
 */
export function lessOne(b: ScanBuilder, id: NodeId, known = new Map<NodeId, NodeId | undefined>()): NodeId | undefined {
  if (!known.has(id)) known.set(id, lessOneOf(b, id, (x) => lessOne(b, x, known)));
  return known.get(id);
}

function lessOneOf(b: ScanBuilder, id: NodeId, less: (id: NodeId) => NodeId | undefined): NodeId | undefined {
  const node = b.nodes[id];
  // A number of the text may have more digits than f32.
  if (node.kind === 'literal') return Math.fround(node.value) === node.value ? undefined : b.literal(node.value - 1);
  if (node.kind !== 'map') return undefined;
  const [x, y] = node.args;
  const isOne = (arg: NodeId) => b.literalValue(arg) === 1;
  const plain = (arg: NodeId) => {
    const value = b.literalValue(arg);
    return value === undefined ? b.map('sub', arg, b.literal(1)) : b.literal(value - 1);
  };
  /** Of both arguments, if the text gives one of them digits. */
  const both = (made: (left: NodeId, right: NodeId) => NodeId): NodeId | undefined => {
    const [left, right] = [less(x), less(y)];
    return left === undefined && right === undefined ? undefined : made(left ?? plain(x), right ?? plain(y));
  };
  switch (node.fn) {
    case 'exp': return b.map('expm1', x);
    case 'sigmoid': return b.map('neg', b.map('sigmoid', b.map('neg', x)));
    case 'mul': return both((left, right) => b.map('add', left, b.map('mul', x, right)));
    case 'div': {
      // x / (x + rest), which is 0 where the rest is beyond all numbers.
      const rest = restOf(b, y, x);
      const finite = (arg: NodeId) => b.map('min', arg, b.literal(LARGEST));
      return rest === undefined ? undefined : b.map('neg', b.map('div', finite(rest), finite(y)));
    }
    case 'sqrt': {
      const inner = less(x);
      return inner === undefined ? undefined : b.map('div', inner, b.map('add', id, b.literal(1)));
    }
    case 'min': case 'max': return both((left, right) => b.map(node.fn, left, right));
    case 'neg': {
      const inner = b.nodes[x];
      return inner.kind === 'map' && inner.fn === 'expm1' ? b.map('neg', b.map('exp', inner.args[0])) : undefined;
    }
    case 'sub': {
      if (isOne(x)) return b.map('neg', y);
      const left = less(x);
      return left === undefined ? undefined : b.map('sub', left, y);
    }
    case 'add': {
      const share = lessOfShare(b, x, y, less) ?? lessOfShare(b, y, x, less);
      if (share !== undefined) return share;
      if (isOne(x)) return y;
      if (isOne(y)) return x;
      const [left, right] = [less(x), less(y)];
      return left !== undefined ? b.map('add', left, y) : right !== undefined ? b.map('add', right, x) : undefined;
    }
    default: return undefined;
  }
}

/** `sum` = `term` + rest. */
function restOf(b: ScanBuilder, sum: NodeId, term: NodeId): NodeId | undefined {
  const node = b.nodes[sum];
  if (node.kind !== 'map' || node.fn !== 'add') return undefined;
  const [x, y] = node.args;
  return x === term ? y : y === term ? x : undefined;
}

/** (x + (1 - x) s) - 1 = (1 - x) (s - 1): a decay that is nowhere below x. */
function lessOfShare(
  b: ScanBuilder, x: NodeId, product: NodeId, less: (id: NodeId) => NodeId | undefined,
): NodeId | undefined {
  const node = b.nodes[product];
  if (node.kind !== 'map' || node.fn !== 'mul') return undefined;
  const isRest = (id: NodeId): boolean => {
    const rest = b.nodes[id];
    return rest.kind === 'map' && rest.fn === 'sub' && b.literalValue(rest.args[0]) === 1 && rest.args[1] === x;
  };
  const at = node.args.findIndex(isRest);
  if (at < 0) return undefined;
  const share = node.args[1 - at];
  return b.map('mul', node.args[at], less(share) ?? b.map('sub', share, b.literal(1)));
}
