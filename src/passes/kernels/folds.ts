import type { Axis } from '../../ir/common/axes.js';
import type { DomainId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import type { FoldOp } from '../../ir/graph/graph.js';
import type { Axis as FlowAxis } from '../../ir/graph/types.js';
import { includes } from '../../ir/graph/typing.js';
import type { TileId } from '../../ir/tile/tile.js';
import { selected, type Frame } from './frame.js';
import { names } from './memory.js';
import { numberOf, same } from './numbering.js';

/** Folds of a tile along axes that it may lack: what is the same for all elements is repeated. `there`: 1 where they are present. */
export function folded(
  frame: Frame, op: Exclude<FoldOp, 'mean' | 'prod'>, x: TileId, there: TileId | undefined, axes: readonly Axis[],
): TileId {
  const { k } = frame;
  switch (op) {
    case 'sum': return reduced(frame, 'sum', selected(frame, x, there), axes);
    case 'max': return finite(frame, reduced(frame, 'max', lowered(frame, x, there), axes), there, axes);
    case 'min': return k.neg(finite(frame, reduced(frame, 'max', lowered(frame, k.neg(x), there), axes), there, axes));
    case 'logsumexp': {
      const most = shift(frame, reduced(frame, 'max', lowered(frame, x, there), axes));
      return k.add(most, k.map('log', reduced(frame, 'sum', selected(frame, k.exp(k.sub(x, most)), there), axes)));
    }
  }
}

export function reduced({ k }: Frame, op: 'sum' | 'max', x: TileId, axes: readonly Axis[]): TileId {
  return axes.reduce((tile, axis) => {
    if (k.axesOf(tile).includes(axis)) return k.reduce(op, axis, tile);
    return op === 'max' ? tile : k.reduce('sum', axis, k.add(tile, k.zeros([axis])));
  }, x);
}

/** The sum of products: over the first axis that both have as a matrix product. */
export function multiplied(frame: Frame, x: TileId, y: TileId, axes: readonly Axis[]): TileId {
  const { k } = frame;
  const both = axes.find((axis) => [x, y].every((tile) => k.axesOf(tile).includes(axis)));
  if (both === undefined) {
    const own = (tile: TileId): readonly Axis[] => axes.filter((axis) => k.axesOf(tile).includes(axis));
    const left = reduced(frame, 'sum', x, own(x));
    const right = reduced(frame, 'sum', y, own(y));
    return reduced(frame, 'sum', k.mul(left, right), axes.filter((axis) => !own(x).includes(axis) && !own(y).includes(axis)));
  }
  return reduced(frame, 'sum', k.contract(x, y, both), axes.filter((axis) => axis !== both));
}

/** Of a tile with all indices of groups those of the slots that a body stands on. */
export function ofOwnGroup(frame: Frame, x: TileId, domain: DomainId, groups: readonly FlowAxis[]): TileId {
  return multiplied(frame, x, ownGroup(frame, domain, groups), names(groups));
}

/** 1 at what the group of a slot has of these axes, 0 at the others. */
export function ownGroup(frame: Frame, domain: DomainId, axes: readonly FlowAxis[]): TileId {
  const { k, flow } = frame;
  const groups = groupsOf(flow.domains[domain]);
  const others = names(groups.filter((axis) => !includes(axes, axis)));
  return reduced(frame, 'max', same(k, numberOf(k, groups), k.number('run')), others);
}

/** -inf where it is absent. */
export function lowered(frame: Frame, x: TileId, there: TileId | undefined): TileId {
  const { k } = frame;
  if (there === undefined) return x;
  return k.add(k.map('chain', x, there), k.map('chain', k.literal(-Infinity), k.sub(k.literal(1), there)));
}

/** 0 where nothing was present. */
function finite(frame: Frame, x: TileId, there: TileId | undefined, axes: readonly Axis[]): TileId {
  return there === undefined ? x : selected(frame, x, reduced(frame, 'max', there, axes));
}

/** What exponents are taken less: the largest, if it is a number. */
export function shift(frame: Frame, most: TileId): TileId {
  const { k } = frame;
  return k.map('chain', most, k.map('less', k.map('abs', most), k.literal(Infinity)));
}

export function softened(
  frame: Frame,
  { x, there, axes, sink }: {
    readonly x: TileId; readonly there: TileId | undefined; readonly axes: readonly Axis[]; readonly sink: TileId | undefined;
  },
): TileId {
  const { k } = frame;
  const top = reduced(frame, 'max', lowered(frame, x, there), axes);
  const most = shift(frame, sink === undefined ? top : k.map('max', top, sink));
  const parts = selected(frame, k.exp(k.sub(selected(frame, x, there), most)), there);
  const sum = reduced(frame, 'sum', parts, axes);
  const total = sink === undefined ? sum : k.add(sum, k.exp(k.sub(sink, most)));
  // Nothing is divided by nothing where no element is present.
  const none = there === undefined || sink !== undefined ? undefined : k.sub(k.literal(1), reduced(frame, 'max', there, axes));
  return k.map('div', parts, none === undefined ? total : k.add(total, none));
}

/** Finite numbers that every back end can tell from those that stand for infinities. */
const MOST = Math.fround(2 ** 128 - 2 ** 105);

/**
 * Scores as numbers that can be put in order: what is absent is -infinity, and present ones lie above it. What is no number is the
 * largest, so that it is chosen and shows.
 */
export function ordered({ k }: Frame, x: TileId, there: TileId | undefined): TileId {
  const not = (tile: TileId): TileId => k.sub(k.literal(1), tile);
  const none = k.map('nan', x);
  const number = k.add(k.map('chain', x, not(none)), k.mul(k.literal(MOST), none));
  const finite = k.map('min', k.map('max', number, k.literal(-MOST)), k.literal(MOST));
  return there === undefined ? finite : k.add(k.map('chain', finite, there), k.map('chain', k.literal(-Infinity), not(there)));
}
