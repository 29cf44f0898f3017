import { COL, ROW } from '../../ir/common/axes.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { stageBuffers, type ReaderId } from './buffers.js';
import type { Context } from './context.js';
import type { Decays } from './decay.js';
import { feedsDecay, isFine, isFineSource } from './fine.js';
import type { Parts } from './parts.js';
import { readerOf, writesAhead, writing, writtenValue } from './prepare.js';
import { baseTile, coefficient, scoreTile } from './scores.js';
import { inParts, plus, scaled, sure, transposed } from './tiles.js';
import type { Values } from './values.js';

/** One chunk of one stage, with everything the products with the state need. */
export interface ChunkWalk {
  readonly k: KernelBuilder;
  readonly cx: Context;
  readonly parts: Parts;
  readonly index: number;
  readonly values: Values;
  readonly decays: Decays;
}

/** Row vectors of a reader, with its decays and numbers, times the state: [ROW, V]. */
export function readState(w: ChunkWalk, reader: ReaderId, state: TileId): TileId {
  const { k, cx, parts } = w;
  const part = readerOf(parts, reader);
  const fine = isFine(cx, parts) || (reader.kind === 'read' && feedsDecay(cx, w.index, reader.index));
  if (parts.channels) return stateTimes(w, k.load(stageBuffers(cx, parts, w.index).rows(reader)), state, fine);
  const product = stateTimes(w, baseTile(k, w.values, parts, part.row), state, fine);
  return scaled(k, product, w.decays.toRow(part.before), coefficient(k, w.values, part.row));
}

/** Column vectors of a source, with its decays and numbers, times what each token writes: [K, V]. */
export function writeState(w: ChunkWalk, source: number, written: TileId): TileId {
  const { k, parts } = w;
  const fine = isFineSource(w.cx, parts, source);
  if (parts.channels) return overTokens(k, k.load(stageBuffers(w.cx, parts, w.index).cols(source)), written, fine);
  const { col } = parts.sources[source];
  return overTokens(k, baseTile(k, w.values, parts, col), scaled(k, written, w.decays.toEnd(), coefficient(k, w.values, col)), fine);
}

/** Vectors of tokens times a state, or its cotangent: [ROW, V]. */
export function stateTimes({ k, parts }: ChunkWalk, vectors: TileId, state: TileId, fine: boolean): TileId {
  return sure(plus(k, ...inParts(k, state, fine).map((part) => k.contract(vectors, part, parts.row))));
}

/** The sum over tokens of vectors times rows: [K, V]. */
export function overTokens(k: KernelBuilder, vectors: TileId, rows: TileId, fine: boolean): TileId {
  return sure(plus(k, ...inParts(k, rows, fine).map((part) => k.contract(vectors, part, ROW))));
}

/** T_ij times rows. `against`: its transpose, against time. */
export function solveTimes({ k, cx, parts, index }: ChunkWalk, i: number, j: number, rows: TileId, against: boolean): TileId {
  const buffers = stageBuffers(cx, parts, index);
  const times = (block: TileId, part: TileId) => (against ? transposed(k, block, part) : k.contract(block, k.swap(part), COL));
  const block = k.load(buffers.solve(i, j));
  const [first, ...rest] = inParts(k, rows, isFine(cx, parts));
  return sure(plus(k, times(block, first), ...rest.flatMap((part) => [times(block, part), times(k.load(buffers.solveRest(i, j)), first)])));
}

/** The state with the decay of the whole chunk. */
export function decayState(w: ChunkWalk, state: TileId): TileId {
  const { k, parts } = w;
  const whole = parts.channels ? k.load(stageBuffers(w.cx, parts, w.index).whole()) : w.decays.whole();
  return whole === undefined ? state : k.mul(whole, state);
}

/** What every source writes in this chunk, from the state at its start: w = T Y, Y = value + row * S. */
export function writtenTiles(w: ChunkWalk, state: TileId): ReadonlyMap<number, TileId> {
  const { k, parts, cx } = w;
  const buffers = stageBuffers(cx, parts, w.index);
  const written = new Map(parts.pure.map((j) => [j, writtenValue(k, parts, w.values, j)]));
  const right = new Map(parts.erasing.map((j) => {
    const given = writesAhead(parts)
      ? k.load(buffers.write(j))
      : parts.sources[j].value === undefined
      ? undefined
      : writtenValue(k, parts, w.values, j);
    return [j, plus(k, readState(w, { kind: 'erase', index: j }, state), given)];
  }));
  for (const i of parts.erasing) {
    const terms = parts.erasing.map((j) => {
      const y = right.get(j);
      return y === undefined ? undefined : solveTimes(w, i, j, y, false);
    });
    const total = plus(k, ...terms);
    if (total !== undefined) written.set(i, total);
  }
  return written;
}

/** The state after the chunk. */
export function nextState(w: ChunkWalk, state: TileId | undefined, written: ReadonlyMap<number, TileId>): TileId {
  const { k, parts } = w;
  const terms = writing(parts).map((j) => {
    const rows = written.get(j);
    return rows === undefined ? undefined : writeState(w, j, rows);
  });
  return plus(k, state === undefined ? undefined : decayState(w, state), ...terms) ?? k.zeros([parts.row, ...parts.stage.valueAxes]);
}

/** Are the scores of reads made by a chunk kernel and loaded by walks? */
export function storesScores({ draft }: Context, parts: Parts): boolean {
  if (parts.channels || draft.inlineScores === 'none') return true;
  return draft.inlineScores === 'diagonal' && parts.erasing.length > 0;
}

/** Score of a read and a source, [ROW, COL], as a sum of what products see of it. `fine`: two parts, where the walk makes it. */
export function readScore(w: ChunkWalk, read: number, j: number, fine = false): readonly [TileId, ...TileId[]] {
  const { k, cx, parts } = w;
  const both = isFineSource(cx, parts, j);
  if (!storesScores(cx, parts)) return inParts(k, scoreTile(k, parts, w.values, w.decays, parts.reads[read], j), fine || both);
  const buffers = stageBuffers(cx, parts, w.index);
  return [k.load(buffers.score(read, j)), ...(both ? [k.load(buffers.scoreRest(read, j))] : [])];
}
