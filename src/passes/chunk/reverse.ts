import type { MatrixAdjoint, NodeId } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileBuffer, TileId } from '../../ir/tile/tile.js';
import { stageBuffers, type ReaderId } from './buffers.js';
import { decayState, overTokens, readScore, solveTimes, stateTimes, type ChunkWalk } from './carry.js';
import { stageName, type Context } from './context.js';
import { decaysIn } from './decay.js';
import { isFine } from './fine.js';
import { walkOperands, walkSite, type Parts } from './parts.js';
import { readerOf } from './prepare.js';
import { baseTile, coefficient } from './scores.js';
import { acrossKernels, acrossSegment, isSegmented } from './segments.js';
import { perToken, plus, scaled, sure, transposed, widened } from './tiles.js';
import { hoist, valuesIn, type Values } from './values.js';

/** Cotangent of a read's result as [ROW, V]; undefined for 0. */
export function givenTile(k: KernelBuilder, parts: Parts, values: Values, given: NodeId | undefined): TileId | undefined {
  if (given === undefined) return undefined;
  return widened(k, perToken(k, values.padded(given)), parts.stage.valueAxes);
}

/** Adjoint of readState for the state: row vectors, with their decays and numbers, times the cotangent of what was read. [K, V] */
function pullState(w: ChunkWalk, reader: ReaderId, cotangent: TileId): TileId {
  const { k, parts } = w;
  const fine = isFine(w.cx, parts) && reader.kind === 'erase';
  if (parts.channels) return overTokens(k, k.load(stageBuffers(w.cx, parts, w.index).rows(reader)), cotangent, fine);
  const part = readerOf(parts, reader);
  const rows = scaled(k, cotangent, w.decays.toRow(part.before), coefficient(k, w.values, part.row));
  return overTokens(k, baseTile(k, w.values, parts, part.row), rows, fine);
}

/**
 * Adjoint of writeState for what was written: column vectors, with their decays and numbers, times the cotangent of the state after the
 * chunk. [ROW, V]
 */
function pullWritten(w: ChunkWalk, source: number, cotangent: TileId): TileId {
  const { k, parts } = w;
  const fine = isFine(w.cx, parts);
  if (parts.channels) return stateTimes(w, k.load(stageBuffers(w.cx, parts, w.index).cols(source)), cotangent, fine);
  const { col } = parts.sources[source];
  return scaled(k, stateTimes(w, baseTile(k, w.values, parts, col), cotangent, fine), w.decays.toEnd(), coefficient(k, w.values, col));
}

/** Sum over the reads of P_r^T dO_r for the scores of source `j`: [ROW, V]. */
function pullScores(w: ChunkWalk, given: ReadonlyMap<number, TileId>, j: number): TileId | undefined {
  return plus(w.k, ...[...given].flatMap(([r, tile]) => readScore(w, r, j).map((part) => transposed(w.k, part, tile))));
}

/** Cotangents of reads that there are, as tiles. */
export function givenTiles(k: KernelBuilder, parts: Parts, values: Values, adjoint: MatrixAdjoint): ReadonlyMap<number, TileId> {
  const found = new Map<number, TileId>();
  parts.reads.forEach((_, r) => {
    const tile = givenTile(k, parts, values, adjoint.given[r]);
    if (tile !== undefined) found.set(r, tile);
  });
  return found;
}

/**
 * dS at a chunk's start from dS at its end, with the cotangents of what the erasing sources solved (docs/algorithms.md: the chunk).
 * `cotangent` undefined: zero.
 */
function pullChunk(
  w: ChunkWalk, adjoint: MatrixAdjoint, cotangent: TileId,
): { readonly solved: ReadonlyMap<number, TileId>; readonly start: TileId } {
  const { k, parts } = w;
  const given = givenTiles(k, parts, w.values, adjoint);
  const written = new Map<number, TileId>();
  for (const j of parts.erasing) {
    const total = plus(k, pullWritten(w, j, cotangent), pullScores(w, given, j));
    if (total !== undefined) written.set(j, total);
  }
  const solved = new Map<number, TileId>();
  for (const j of parts.erasing) {
    const terms = parts.erasing.flatMap((i) => {
      const dw = written.get(i);
      return dw === undefined ? [] : [solveTimes(w, i, j, dw, true)];
    });
    const total = plus(k, ...terms);
    if (total !== undefined) solved.set(j, total);
  }
  const reads = [...given].map(([index, tile]) => pullState(w, { kind: 'read', index }, tile));
  const erases = [...solved].map(([index, tile]) => pullState(w, { kind: 'erase', index }, tile));
  const start = plus(k, decayState(w, cotangent), ...reads, ...erases) ?? cotangent;
  return { solved, start };
}

/** That of the last state belongs to the first walk. */
function lastCotangent(k: KernelBuilder, cx: Context, parts: Parts): TileId {
  return parts.stage.walk === 0 ? k.load(cx.draft.user.finalCotangents[parts.stage.state]) : k.zeros([parts.row, ...parts.stage.valueAxes]);
}

/** The cotangent at a segment's end. */
function endCotangent(k: KernelBuilder, cx: Context, parts: Parts, index: number): TileId {
  const entry = stageBuffers(cx, parts, index).entry(true);
  return parts.stage.walk === 0 ? k.loadEntry(entry, cx.draft.user.finalCotangents[parts.stage.state]) : k.load(entry);
}

/**
 * Carries the cotangent of the state against time; keeps it at every chunk's end, and that of what erasing sources solved. `keep`:
 * gradients ask for these; otherwise that before the first token is all.
 */
export function reverseKernels(cx: Context, parts: Parts, index: number, adjoint: MatrixAdjoint, keep: boolean): void {
  const { draft } = cx;
  const name = stageName(cx, index);
  const buffers = stageBuffers(cx, parts, index);
  const site = walkSite(parts);
  const segmented = isSegmented(cx, parts);
  const walks = cx.program.stages.flatMap((stage, at) => (stage.kind === 'matrix' && stage.state === parts.stage.state ? [at] : []));
  const whole = draft.user.initialGradients[parts.stage.state];
  const gradient = walks.length > 1 ? buffers.initial() : whole;
  const operands = [...walkOperands(parts), ...adjoint.given.filter((id) => id !== undefined)];
  const chunkOf = (k: KernelBuilder, outside: Values): ChunkWalk => {
    const values = valuesIn(cx, k, site, outside);
    return { k, cx, parts, index, values, decays: decaysIn(k, parts, values) };
  };
  if (segmented) {
    if (!keep) acrossKernels(cx, parts, index);
    draft.kernel(cx.name, {
      name: `${name}_reverse_ends`, doc: `What every segment adds to the cotangent of ${name} by its start.`,
      outer: 'segment', inner: 'head', split: parts.value, ...(keep && { idle: 'first', cut: true }),
    }, (k) => {
      const outside = valuesIn(cx, k, site);
      hoist(cx, outside, site, operands);
      const [first] = k.loop(
        'chunks', true, [k.zeros([parts.row, ...parts.stage.valueAxes])],
        ([cotangent]) => [pullChunk(chunkOf(k, outside), adjoint, cotangent).start],
      );
      k.store(buffers.local(true), first);
    });
    draft.kernel(cx.name, {
      name: `${name}_reverse_${keep ? 'join' : 'last'}`,
      doc: keep ? `The cotangent of ${name} at every segment's end.` : `The cotangent of ${name} before the first token.`,
      outer: 'run', inner: 'head', split: parts.value,
      // Where there is one segment, it stores what no user gave: zeros.
      cut: keep && parts.stage.walk === 0 ? true : undefined,
    }, (k) => {
      const [first] = k.loop('segments', true, [lastCotangent(k, cx, parts)], ([cotangent]) => {
        if (keep) k.store(buffers.entry(true), cotangent);
        return [k.add(acrossSegment(k, cx, parts, index, cotangent, true), k.load(buffers.local(true)))];
      });
      if (!keep) k.store(gradient, first);
    });
  }
  if (keep || !segmented) draft.kernel(cx.name, {
    name: `${name}_reverse`, doc: `Carries the cotangent of ${name} against time.`,
    outer: segmented ? 'segment' : 'run', inner: 'head', split: parts.value,
  }, (k) => {
    const outside = valuesIn(cx, k, site);
    hoist(cx, outside, site, operands);
    const start = segmented ? endCotangent(k, cx, parts, index) : lastCotangent(k, cx, parts);
    const [first] = k.loop('chunks', true, [start], ([cotangent]) => {
      k.store(buffers.cotangents(), cotangent);
      const { solved, start: next } = pullChunk(chunkOf(k, outside), adjoint, cotangent);
      for (const [j, tile] of solved) k.store(buffers.solved(j), tile);
      return [next];
    });
    k.store(gradient, first, segmented ? 'first' : undefined);
  });
  // Against time the first walk comes last.
  if (walks.length > 1 && parts.stage.walk === 0) sumWalks(cx, parts, walks.map((at) => stageBuffers(cx, parts, at).initial()), whole);
}

/** Gradients of an initial state by all walks over it. */
function sumWalks(cx: Context, parts: Parts, gradients: readonly TileBuffer[], whole: TileBuffer): void {
  const { name } = cx.draft.spec.states[parts.stage.state];
  cx.draft.kernel(cx.name, {
    name: `${name}_initial`, doc: `The gradient of ${name} before the first token, by all walks over it.`, outer: 'run', inner: 'head',
    split: parts.value,
  }, (k) => {
    k.store(whole, sure(plus(k, ...gradients.map((gradient) => k.load(gradient)))));
  });
}
