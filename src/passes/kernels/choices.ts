import { ONCE, TOKEN, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { buildKernel, type KernelBuilder } from '../../ir/tile/build.js';
import type { TileId, TileKernel } from '../../ir/tile/tile.js';
import { at, compared, present } from './compute.js';
import { ordered } from './folds.js';
import { ownView, refuse, selected, type Frame } from './frame.js';
import { bufferOf, numberBuffer, stepBuffer, tileDomain, wordAxis, type Memory } from './memory.js';

/** Is it a choice among the rows of a sequence, or of the call? */
export function isRowChoice({ values, domains }: Memory['flow'], id: ValueId): boolean {
  const value = values[id];
  return value.kind === 'top' && value.along.to < TOKEN && domains[value.type.domain].kind === 'token';
}

/**
 * The largest along rows, the first of equals, in three launches: scores in order; of each column the least that is chosen and the last
 * row of its equals that is; and what lies before. Every row is read a fixed number of times, however many are chosen.
 */
export function choiceKernels(
  memory: Memory, id: ValueId, name: string, frameOf: (k: KernelBuilder, domain: number) => Frame,
): readonly TileKernel[] {
  const { flow } = memory;
  const value = flow.values[id];
  if (value.kind !== 'top') throw new Error(`${name} chooses nothing`);
  const { axes } = value.type;
  const { to } = value.along;
  const scores = stepBuffer(memory, id, 'order', TOKEN, axes);
  const [least, last] = (['least', 'last'] as const).map((step) => stepBuffer(memory, id, step, to, axes));
  const rows = { outer: 'chunk', domain: tileDomain(flow, TOKEN), inner: 'once' } as const;
  const put = buildKernel({ ...rows, name: `${name}_order`, doc: 'Scores as they are put in order.' }, (k) => {
    const frame = frameOf(k, TOKEN);
    k.store(scores, refused(frame, id, value) ?? ordered(frame, at(frame, value.arg), present(frame, value.arg, ownView(frame))));
  });
  const outer = to === ONCE ? 'once' : 'run';
  const [split] = [...axes].sort((a, b) => b.size - a.size).map((axis) => wordAxis(axis.name));
  const found = buildKernel({ ...rows, outer, split, name: `${name}_nth`, doc: 'The last that is chosen of each column.' }, (k) => {
    const count = at(frameOf(k, to), value.count);
    const nth = k.nth(scores, count);
    k.store(least, nth);
    k.store(last, k.nth(scores, count, nth));
  });
  const chosen = buildKernel({ ...rows, name, doc: 'Each token by itself.' }, (k) => {
    const frame = frameOf(k, TOKEN);
    const [x, bound] = [k.load(scores), k.load(least)];
    const first = compared(frame, '<=', k.load(numberBuffer(memory, 'tokens')), k.load(last));
    const holds = k.map('max', k.map('less', bound, x), k.mul(compared(frame, '==', x, bound), first));
    k.store(bufferOf(memory, id), selected(frame, holds, k.map('less', k.literal(-Infinity), x)));
  });
  return [put, found, chosen];
}

function refused(frame: Frame, id: ValueId, { along }: FlowValue & { readonly kind: 'top' }): TileId | undefined {
  return along.axes.length > 0 ? refuse(frame, id, 'a choice among rows and columns', 'choice') : undefined;
}
