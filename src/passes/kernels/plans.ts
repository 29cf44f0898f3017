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

/**
 * A plan whose rows and columns are scaled in turn, in three launches: exponentials; rounds until the factors of columns stay, in one
 * block, since each round reads all rows; and the plan of each row by the factors of the last round.
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
  const [before, after] = (['before', 'after'] as const).map((step) => stepBuffer(memory, id, step, ONCE, axes));
  const rows = stepBuffer(memory, id, 'rows', ONCE, []);
  const head = { outer: 'chunk', domain: tileDomain(flow, TOKEN), inner: 'once' } as const;
  /** What every row is scaled by: its sum times that is one. */
  const left = (k: KernelBuilder, x: TileId, right: TileId): TileId => inverse(k, k.reduce('sum', axis, k.mul(x, right)));
  const costs = buildKernel({ ...head, name: `${name}_cost`, doc: 'Exponentials of scores.' }, (k) => {
    const frame = frameOf(k, TOKEN);
    if (axes.length > 1) refuse(frame, id, 'plans of several axes');
    const there = present(frame, value.arg, ownView(frame));
    const x = selected(frame, k.add(at(frame, value.arg), k.zeros([axis])), there);
    const most = shift(frame, reduced(frame, 'max', lowered(frame, x, there), [axis]));
    k.store(cost, selected(frame, k.exp(k.sub(x, most)), there));
  });
  const rounds = buildKernel({ ...head, outer: 'once', name: `${name}_rounds`, doc: 'Factors of columns.' }, (k) => {
    const [many] = k.loop('chunks', false, [k.literal(0)], ([sum]) => [k.add(sum, k.reduce('sum', ROW, k.keep(k.literal(1))))]);
    const ones = k.add(k.zeros([axis]), k.literal(1));
    const each = k.map('div', many, k.literal(value.axis.size));
    const [, last, next] = k.rounds(value.tolerance, MOST_ROUNDS, [k.literal(0), ones, ones], ([,, right]) => {
      const [sums] = k.loop('chunks', false, [k.zeros([axis])], ([sum]) => {
        const x = k.load(cost);
        return [k.add(sum, k.reduce('sum', ROW, k.keep(k.mul(left(k, x, right), x))))];
      });
      const scaled = k.mul(each, inverse(k, sums));
      const change = k.reduce('sum', axis, k.map('abs', k.sub(scaled, right)));
      return [k.map('div', change, k.literal(value.axis.size)), right, scaled];
    });
    k.store(before, last);
    k.store(after, next);
    k.store(rows, many);
  });
  const plan = buildKernel({ ...head, name, doc: 'Each token by itself.' }, (k) => {
    const x = k.load(cost);
    k.store(bufferOf(memory, id), k.map('div', k.mul(k.mul(left(k, x, k.load(before)), x), k.load(after)), k.load(rows)));
  });
  return [costs, rounds, plan];
}
