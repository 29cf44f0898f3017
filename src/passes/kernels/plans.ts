import { ONCE, TOKEN, type ValueId } from '../../ir/flow/flow.js';
import { buildKernel, type KernelBuilder } from '../../ir/tile/build.js';
import { ROW } from '../../ir/common/axes.js';
import { MOST_ROUNDS } from '../../ir/graph/graph.js';
import type { TileId, TileKernel } from '../../ir/tile/tile.js';
import { at, present } from './compute.js';
import { lowered, reduced, shift } from './folds.js';
import { ownView, refuse, selected, type Frame } from './frame.js';
import { bufferOf, names, stepBuffer, tileDomain, type Memory } from './memory.js';

/** 1 / x, and 0 where x is 0. */
function inverse(k: KernelBuilder, x: TileId): TileId {
  const some = k.map('less', k.literal(0), x);
  return k.map('chain', k.map('div', k.literal(1), k.add(x, k.sub(k.literal(1), some))), some);
}

/** Rounds that all of a device shares; where these do not do, one block goes on. */
const SHARED = 16;

/** More than any change that may still be told from none. */
const LARGE = 1e30;

/**
 * A plan whose rows and columns are scaled in turn: exponentials; rounds until the factors of columns stay, of which each reads all rows,
 * the first of them segment by segment (behind the last that is needed nothing changes any more), the others in one block; and the plan of
 * each row by the factors of the last round. The same two kernels are launched for every shared round.
 */
export function planKernels(
  memory: Memory, id: ValueId, name: string, frameOf: (k: KernelBuilder, domain: number) => Frame,
): readonly TileKernel[] {
  const { flow } = memory;
  const value = flow.values[id];
  if (value.kind !== 'sinkhorn') throw new Error(`${name} plans nothing`);
  const { axes } = value.type;
  const [axis] = names([value.axis]);
  const cost = stepBuffer(memory, id, 'cost', TOKEN, axes);
  const parts = stepBuffer(memory, id, 'sums', TOKEN, axes, true);
  const [before, after] = (['before', 'after'] as const).map((step) => stepBuffer(memory, id, step, ONCE, axes));
  const [change, rows] = (['change', 'rows'] as const).map((step) => stepBuffer(memory, id, step, ONCE, []));
  const head = { outer: 'chunk', domain: tileDomain(flow, TOKEN), inner: 'once' } as const;
  /** What every row is scaled by: its sum times that is one. */
  const left = (k: KernelBuilder, x: TileId, right: TileId): TileId => inverse(k, k.reduce('sum', axis, k.mul(x, right)));
  /** The sums of columns that chunks add to, by the factors of the round before. */
  const columns = (k: KernelBuilder, right: TileId): TileId => {
    const [sums] = k.loop('chunks', false, [k.zeros([axis])], ([sum]) => {
      const x = k.load(cost);
      return [k.add(sum, k.reduce('sum', ROW, k.keep(k.mul(left(k, x, right), x))))];
    });
    return sums;
  };
  /** The factors of columns with these sums, and how much they differ from those of before. */
  const scaled = (k: KernelBuilder, sums: TileId, right: TileId): readonly [TileId, TileId] => {
    const next = k.mul(k.map('div', k.load(rows), k.literal(value.axis.size)), inverse(k, sums));
    return [next, k.map('div', k.reduce('sum', axis, k.map('abs', k.sub(next, right))), k.literal(value.axis.size))];
  };
  const costs = buildKernel({ ...head, name: `${name}_cost`, doc: 'Exponentials of scores.' }, (k) => {
    const frame = frameOf(k, TOKEN);
    if (axes.length > 1) refuse(frame, id, 'plans of several axes');
    const there = present(frame, value.arg, ownView(frame));
    const x = selected(frame, k.add(at(frame, value.arg), k.zeros([axis])), there);
    const most = shift(frame, reduced(frame, 'max', lowered(frame, x, there), [axis]));
    k.store(cost, selected(frame, k.exp(k.sub(x, most)), there));
  });
  const start = buildKernel({ ...head, outer: 'once', name: `${name}_start`, doc: 'Factors of columns before all rounds.' }, (k) => {
    const ones = k.add(k.zeros([axis]), k.literal(1));
    k.store(before, ones);
    k.store(after, ones);
    k.store(change, k.literal(LARGE));
    k.store(rows, k.size('rows'));
  });
  const sums = buildKernel({ ...head, outer: 'segment', name: `${name}_sums`, doc: 'Sums of columns in a round.' }, (k) => {
    k.store(parts, columns(k, k.load(after)));
  });
  const scale = buildKernel({ ...head, outer: 'once', name: `${name}_scale`, doc: 'Factors of columns after a round.' }, (k) => {
    const [all] = k.loop('segments', false, [k.zeros([axis])], ([sum]) => [k.add(sum, k.load(parts))]);
    const [last, was] = [k.load(after), k.load(change)];
    const [next, changed] = scaled(k, all, last);
    const going = k.sub(k.literal(1), k.map('less', was, k.literal(value.tolerance)));
    const either = (x: TileId, y: TileId): TileId => k.add(k.map('chain', x, going), k.map('chain', y, k.sub(k.literal(1), going)));
    // What is read by others is written last.
    k.store(before, either(last, k.load(before)));
    k.store(change, either(changed, was));
    k.store(after, either(next, last));
  });
  const rounds = buildKernel({ ...head, outer: 'once', name: `${name}_rounds`, doc: 'Factors of columns after more rounds.' }, (k) => {
    const starts = [change, before, after].map((one) => k.load(one));
    const [, last, next] = k.rounds(value.tolerance, MOST_ROUNDS - SHARED, starts, ([,, right]) => {
      const [found, changed] = scaled(k, columns(k, right), right);
      return [changed, right, found];
    });
    k.store(before, last);
    k.store(after, next);
  });
  const plan = buildKernel({ ...head, name, doc: 'Each token by itself.' }, (k) => {
    const x = k.load(cost);
    k.store(bufferOf(memory, id), k.map('div', k.mul(k.mul(left(k, x, k.load(before)), x), k.load(after)), k.load(rows)));
  });
  return [costs, start, ...Array.from({ length: SHARED }, () => [sums, scale]).flat(), rounds, plan];
}
