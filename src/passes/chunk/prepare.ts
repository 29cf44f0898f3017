import { COL } from '../../ir/common/axes.js';
import type { NodeId } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileBuffer, TileId } from '../../ir/tile/tile.js';
import { readersOf, stageBuffers, type ReaderId } from './buffers.js';
import { CHUNK_SITE, markStored, stageName, valueBuffer, type Context } from './context.js';
import { decaysIn } from './decay.js';
import { isFine, isFineSource } from './fine.js';
import { isTensor, type Parts, type ReadPart, type Vector } from './parts.js';
import { baseTile, coefficient, scoreTile } from './scores.js';
import { solveBlocks } from './solve.js';
import { inParts, perToken, plus, scaled, widened } from './tiles.js';
import { valuesIn, type Values } from './values.js';

export function readerOf(parts: Parts, id: ReaderId): ReadPart {
  const part = id.kind === 'read' ? parts.reads[id.index] : parts.sources[id.index].erase;
  if (part === undefined) throw new Error(`source ${id.index} does not erase`);
  return part;
}

/** Does an erasing source see sources that only write, so that what it writes is worked out beforehand? */
export function writesAhead(parts: Parts): boolean {
  return parts.erasing.length > 0 && parts.pure.length > 0;
}

/** Sources whose written rows are something. */
export function writing(parts: Parts): readonly number[] {
  return parts.sources.map((_, j) => j).filter((j) => parts.erasing.includes(j) || parts.pure.includes(j));
}

/**
 * Stores those of the values that are the same at every token, once per head, and gives the others: those belong to a kernel over chunks.
 */
export function storeStatic(cx: Context, name: string, ids: readonly NodeId[]): readonly NodeId[] {
  const fixed = ids.filter((id) => cx.graph.isStatic(id) && !cx.stored.has(id));
  cx.draft.kernel(cx.name, {
    name: `${name}_static`, doc: `What the scan of ${name} makes of parameters alone.`, outer: 'once', inner: 'head',
  }, (k) => {
    storeValues(cx, k, valuesIn(cx, k, CHUNK_SITE), fixed);
  });
  markStored(cx, fixed);
  return ids.filter((id) => !cx.graph.isStatic(id));
}

/** Stores values for walks. */
export function storeValues(cx: Context, k: KernelBuilder, values: Values, ids: readonly NodeId[]): void {
  for (const id of ids) k.store(valueBuffer(cx, id), values.tile(id));
}

/**
 * Everything about a chunk that does not depend on the state: stored values `ids`, scores of reads (`scores`), the triangular solve, and
 * for gates along the row axis the vectors with their decays.
 */
export function prepareKernel(cx: Context, parts: Parts, index: number, ids: readonly NodeId[], scores: boolean): void {
  const name = stageName(cx, index);
  const buffers = stageBuffers(cx, parts, index);
  const perToken = storeStatic(cx, name, ids);
  const numbers = perToken.filter((id) => cx.graph.axesOf(id).length === 0).length;
  const [what, them] = numbers === 1 ? ['A number', 'it'] : [`${numbers} numbers`, 'them'];
  const once = numbers === 0 ? '' : ` ${what} a token here, once for all kernels that read ${them}.`;
  cx.draft.kernel(cx.name, {
    name: `${name}_prepare`, doc: `Scores, solves and pointwise values of the chunks of ${name}.${once}`, outer: 'chunk', inner: 'head',
  }, (k) => {
    const values = valuesIn(cx, k, CHUNK_SITE);
    const decays = decaysIn(k, parts, values);
    const makeScores = () => {
      if (scores) parts.reads.forEach((read, r) => {
        for (const j of writing(parts)) {
          const [score, fine] = [scoreTile(k, parts, values, decays, read, j), isFineSource(cx, parts, j)];
          storeInParts(k, score, buffers.score(r, j), fine ? buffers.scoreRest(r, j) : undefined);
        }
      });
      const erased = (i: number, j: number) => scoreTile(k, parts, values, decays, readerOf(parts, { kind: 'erase', index: i }), j);
      storeSolve(cx, k, parts, index, erased, values);
    };
    if (!parts.channels) {
      storeValues(cx, k, values, perToken);
      return makeScores();
    }
    const decayed = (vector: Vector, decay: TileId | undefined) => (
      scaled(k, baseTile(k, values, parts, vector), decay, coefficient(k, values, vector))
    );
    const vectors = [
      ...readersOf(parts).map((reader) => {
        const part = readerOf(parts, reader);
        return { vector: part.row, store: () => k.store(buffers.rows(reader), decayed(part.row, decays.toRow(part.before))) };
      }),
      ...writing(parts).map((j) => {
        const { col } = parts.sources[j];
        return { vector: col, store: () => k.store(buffers.cols(j), decayed(col, decays.toEnd())) };
      }),
    ];
    // Vectors that are made here are let go before scores are: those read them as operands.
    const made = vectors.some(({ vector }) => vector.base !== undefined && !isTensor(cx.graph, vector.base));
    const storeWhole = () => {
      const whole = decays.whole();
      if (whole !== undefined) k.store(buffers.whole(), whole);
    };
    if (made) {
      storeWhole();
      const left = new Set(perToken);
      for (const { vector, store } of vectors) {
        if (vector.base !== undefined && left.delete(vector.base)) storeValues(cx, k, values, [vector.base]);
        store();
      }
      storeValues(cx, k, values, [...left]);
      makeScores();
    } else {
      storeValues(cx, k, values, perToken);
      makeScores();
      for (const { store } of vectors) store();
      storeWhole();
    }
  });
  markStored(cx, perToken);
}

/** `rest`: for what rounding leaves out. */
export function storeInParts(k: KernelBuilder, tile: TileId, to: TileBuffer, rest: TileBuffer | undefined): void {
  const [, left] = inParts(k, tile, rest !== undefined);
  k.store(to, tile);
  if (rest !== undefined && left !== undefined) k.store(rest, left);
}

function storeSolve(
  cx: Context, k: KernelBuilder, parts: Parts, index: number, score: (i: number, j: number) => TileId, values: Values,
): void {
  const { erasing, pure } = parts;
  if (erasing.length === 0) return;
  const buffers = stageBuffers(cx, parts, index);
  const fine = isFine(cx, parts);
  const blocks = solveBlocks(k, erasing.length, fine, (i, j) => score(erasing[i], erasing[j]));
  blocks.forEach((row, i) => row.forEach((block, j) => {
    const [to, from] = [erasing[i], erasing[j]];
    storeInParts(k, block, buffers.solve(to, from), fine ? buffers.solveRest(to, from) : undefined);
  }));
  if (!writesAhead(parts)) return;
  for (const i of erasing) {
    const seen = pure.map((j) => k.contract(score(i, j), k.swap(writtenValue(k, parts, values, j)), COL));
    const total = plus(k, ...seen, parts.sources[i].value === undefined ? undefined : writtenValue(k, parts, values, i));
    if (total !== undefined) k.store(buffers.write(i), total);
  }
}

/** `value` of a source as [ROW, V]: it may have been given with fewer axes. */
export function writtenValue(k: KernelBuilder, parts: Parts, values: Values, j: number): TileId {
  const { value } = parts.sources[j];
  if (value === undefined) throw new Error(`source ${j} writes no value`);
  return widened(k, perToken(k, values.padded(value)), parts.stage.valueAxes);
}
