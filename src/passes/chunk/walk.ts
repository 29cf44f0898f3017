import { COL, ROW } from '../../ir/common/axes.js';
import type { NodeId } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { stageBuffers } from './buffers.js';
import { nextState, readScore, readState, writtenTiles, type ChunkWalk } from './carry.js';
import { isWanted, resultBuffer, stageName, type Context } from './context.js';
import { decaysIn } from './decay.js';
import { feedsDecay, isFineCotangent, isFineSource } from './fine.js';
import { walkOperands, walkSite, type Parts } from './parts.js';
import { storeInParts, writing } from './prepare.js';
import { isSegmented, segmentKernels } from './segments.js';
import { inParts, plus } from './tiles.js';
import { hoist, valuesIn, type Values } from './values.js';

/** Writes into the body of a walk what it does besides carrying the state; `values` can make this stage's results. */
export type Epilogue = (k: KernelBuilder, values: Values) => void;

export interface WalkOptions {
  /** Stores the states at chunk starts and the w of erasing sources: for the gradients. */
  readonly keep: boolean;
  /** Values that no kernel has stored: the first walk over a segment makes them. */
  readonly made: readonly NodeId[];
  /** Stores the last state for the user. */
  readonly final: boolean;
  /** Outputs made in the walk, and the values they are. */
  readonly epilogue: Epilogue;
  readonly epilogueValues: readonly NodeId[];
}

/** What a read gives: its part of the state and of the chunk's own writes. */
function readResult(w: ChunkWalk, read: number, state: TileId, written: ReadonlyMap<number, TileId>): TileId {
  const { k, cx, parts } = w;
  const own = writing(parts).map((j) => {
    const rows = written.get(j);
    if (rows === undefined) return undefined;
    if (parts.alongValue === undefined) {
      const [first, ...rest] = readScore(w, read, j, feedsDecay(cx, w.index, read));
      const fine = isFineSource(cx, parts, j);
      const times = (part: TileId, some: TileId) => k.contract(part, k.swap(some), COL);
      return plus(k, ...inParts(k, rows, fine).map((part) => times(first, part)), ...rest.map((part) => times(part, rows)));
    }
    const { before, sees } = parts.reads[read];
    return k.dscoreRow(readScore(w, read, j)[0], rows, w.decays.log(), parts.alongValue, { before, strict: before || !sees[j] });
  });
  return plus(k, readState(w, { kind: 'read', index: read }, state), ...own) ?? k.zeros([ROW]);
}

/** All kernels that walk the state of stage `index` along the sequence. */
export function walkKernels(cx: Context, parts: Parts, index: number, options: WalkOptions): void {
  const name = stageName(cx, index);
  const buffers = stageBuffers(cx, parts, index);
  const segmented = isSegmented(cx, parts);
  const final = options.final ? cx.draft.user.finals[parts.stage.state] : undefined;
  if (segmented) segmentKernels(cx, parts, index, options.made);
  const site = walkSite(parts);
  cx.draft.kernel(cx.name, {
    name: `${name}_${options.keep ? 'states' : 'walk'}`,
    doc: `Carries ${name} from chunk to chunk${options.keep ? ' and keeps it for the gradients' : ' and reads it'}.`,
    outer: segmented ? 'segment' : 'run', inner: 'head', split: parts.value,
  }, (k) => {
    const outside = valuesIn(cx, k, site);
    hoist(cx, outside, site, [...walkOperands(parts), ...options.epilogueValues]);
    const initial = cx.draft.user.initials[parts.stage.state];
    const start = segmented ? k.loadEntry(buffers.entry(false), initial) : k.load(initial);
    const [last] = k.loop('chunks', false, [start], ([state]) => {
      const values = valuesIn(cx, k, site, outside);
      const w: ChunkWalk = { k, cx, parts, index, values, decays: decaysIn(k, parts, values) };
      if (options.keep) k.store(buffers.states(), state);
      const written = writtenTiles(w, state);
      if (options.keep) for (const j of parts.erasing) {
        const [tile, fine] = [written.get(j), isFineCotangent(cx, parts, j)];
        if (tile !== undefined) storeInParts(k, tile, buffers.written(j), fine ? buffers.writtenRest(j) : undefined);
      }
      parts.reads.forEach((_, r) => values.bind(index, r, () => readResult(w, r, state, written)));
      storeResults(cx, k, index, values);
      options.epilogue(k, values);
      return [nextState(w, state, written)];
    });
    if (final !== undefined) k.store(final, last, segmented ? 'last' : undefined);
  });
}

/** Stores the results of a stage that other kernels read. */
export function storeResults(cx: Context, k: KernelBuilder, index: number, values: Values): void {
  cx.graph.builder.nodes.forEach((node, id) => {
    if (node.kind === 'result' && node.stage === index && isWanted(cx, index, node.slot)) k.store(
      resultBuffer(cx, index, node.slot), values.tile(id),
    );
  });
}
