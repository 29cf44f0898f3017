import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';

/** Below it a decay is a number like others; above, what it leaves of a state is the state but for little. */
const NEAR = 0.5;

/**
 * A decay as keep + change: keep is 1 next to 1, else 0. A decay next to 1, rounded, is off by as much at every token, which 10^5 of them add up; the
 * little that is taken away has all its digits, and what rounding the new state loses is as often too much as too little.
 */
export interface Steady {
  readonly keep: TileId;
  readonly change: TileId;
}

/** `lessOne`: the decay - 1, with all its digits. */
export function steadyDecay(k: KernelBuilder, decay: TileId, lessOne: TileId): Steady {
  const keep = k.map('less', k.literal(NEAR), k.add(k.literal(1), lessOne));
  return { keep, change: k.add(k.mul(keep, lessOne), k.mul(k.sub(k.literal(1), keep), decay)) };
}

/** The state after its decay and what is added to it: the small terms first. */
export function steadyNext(k: KernelBuilder, { keep, change }: Steady, old: TileId, added: TileId | undefined): TileId {
  const small = k.mul(change, old);
  return k.add(k.mul(keep, old), added === undefined ? small : k.add(small, added));
}

/** x - 1 with all its digits where x is next to 1, as a value of its own; undefined where the plain difference is as good. */
export function lessOne(b: ScanBuilder, id: NodeId): NodeId | undefined {
  const node = b.nodes[id];
  if (node.kind !== 'map') return undefined;
  const [x, y] = node.args;
  switch (node.fn) {
    case 'exp': return b.map('expm1', x);
    case 'sigmoid': return b.map('neg', b.map('sigmoid', b.map('neg', x)));
    case 'mul': {
      const [left, right] = [lessOne(b, x), lessOne(b, y)];
      if (left === undefined && right === undefined) return undefined;
      const plain = (arg: NodeId) => b.map('sub', arg, b.literal(1));
      return b.map('add', left ?? plain(x), b.map('mul', x, right ?? plain(y)));
    }
    default: return undefined;
  }
}
