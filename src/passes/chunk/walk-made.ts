import { nodeArguments, type NodeId } from '../../ir/scan/scan.js';
import { math } from '../../math/index.js';
import { CHUNK_SITE, stageName, type Context } from './context.js';
import { WEIGHTS } from './once.js';
import type { Parts } from './parts.js';
import { storeValues } from './prepare.js';
import { isSegmented } from './segments.js';
import { valuesIn } from './values.js';

/**
 * Instructions for each element that the team which walks has time for while the other one works out the next chunk: 600 for the 32 of a
 * thread's elements, as many as it takes besides.
 */
const MOST_MADE = 19;
/** Tokens before a chunk whose rows come with it. */
const MOST_BACK = 8;

/**
 * Of the values that walks of a stage read: those that the first walk over a segment makes, element by element, of rows of one tensor near
 * each other. A kernel that stores them would read the tensor, write them, and have that walk read as much as it reads of the tensor.
 */
export function madeInWalks(cx: Context, parts: Parts, ids: readonly NodeId[]): readonly NodeId[] {
  if (!cx.draft.walksMake || !isSegmented(cx, parts) || parts.value === undefined || parts.erasing.length > 0 || parts.channels) return [];
  return ids.filter((id) => isMade(cx, parts, id));
}

/** Such values where every run is one segment, which is walked once: of all its chunks at once. */
export function storeUnlessCut(cx: Context, index: number, made: readonly NodeId[]): void {
  const name = stageName(cx, index);
  cx.draft.kernel(cx.name, {
    name: `${name}_values`, doc: `What walks read of ${name}, where none comes before that could make it.`,
    outer: 'chunk', inner: 'head', cut: false,
  }, (k) => storeValues(cx, k, valuesIn(cx, k, CHUNK_SITE), made));
}

function isMade(cx: Context, { value: split }: Parts, id: NodeId): boolean {
  const { graph, draft } = cx;
  const isRow = (at: NodeId) => graph.axesOf(at).length === 1 && graph.axesOf(at)[0] === split;
  if (!isRow(id) || !graph.readsBack(id) || split === undefined || draft.sizeOf(split) % 8 !== 0) return false;
  const backs = new Set<number>();
  const tensors = new Set<number>();
  const weighed = new Set<string>();
  let weight = 0;
  const visit = (at: NodeId, back: number): boolean => {
    if (graph.isStatic(at)) return graph.axesOf(at).every((axis) => axis === split);
    const node = graph.node(at);
    if (!isRow(at)) return false;
    if (node.kind === 'past') return visit(node.arg, back + node.states.length);
    if (node.kind === 'input') {
      backs.add(back);
      tensors.add(node.input);
      const { dtype, inner } = draft.user.inputs[node.input];
      return dtype === 'io' && inner === 'head';
    }
    if (node.kind !== 'map') return false;
    const key = `${at}@${back}`;
    if (!weighed.has(key)) weight += WEIGHTS[math[node.fn].cost];
    weighed.add(key);
    return nodeArguments(node).every((arg) => visit(arg, back));
  };
  return visit(id, 0) && tensors.size === 1 && backs.has(0) && Math.max(...backs) <= MOST_BACK && weight <= MOST_MADE;
}
