import { COL, ROW } from '../../ir/common/axes.js';
import { gateAxes, type NodeId } from '../../ir/scan/scan.js';
import type { KernelBuilder, KernelHead } from '../../ir/tile/build.js';
import type { TileBuffer, TileId, TileKernel } from '../../ir/tile/tile.js';
import { stageBuffers, type ReaderId } from './buffers.js';
import { isWanted, resultBuffer, stageName, type Context } from './context.js';
import { decaysIn, type Decays } from './decay.js';
import { feedsDecay, isFine } from './fine.js';
import { walkOperands, walkSite, type Parts } from './parts.js';
import { readerOf, writesAhead, writing, writtenValue } from './prepare.js';
import { baseTile, coefficient, scoreTile } from './scores.js';
import { inParts, plus, scaled, sure, transposed } from './tiles.js';
import { hoist, valuesIn, type Values } from './values.js';

/** Writes into the body of a walk what it does besides carrying the state; `values` can make this stage's results. */
export type Epilogue = (k: KernelBuilder, values: Values) => void;

export interface WalkOptions {
  /** Stores the states at chunk starts and the w of erasing sources: for the gradients. */
  readonly keep: boolean;
  /** Stores the last state for the user. */
  readonly final: boolean;
  /** Outputs made in the walk, and the values they are. */
  readonly epilogue: Epilogue;
  readonly epilogueValues: readonly NodeId[];
}

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
function readState(w: ChunkWalk, reader: ReaderId, state: TileId): TileId {
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
  const fine = isFine(w.cx, parts) && parts.erasing.includes(source);
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
function writtenTiles(w: ChunkWalk, state: TileId): ReadonlyMap<number, TileId> {
  const { k, parts, cx } = w;
  const buffers = stageBuffers(cx, parts, w.index);
  const written = new Map(parts.pure.map((j) => [j, writtenValue(k, parts, w.values, j)]));
  const right = new Map(parts.erasing.map((j) => {
    const given = writesAhead(parts) ? k.load(buffers.write(j)) : parts.sources[j].value === undefined ? undefined : writtenValue(k, parts, w.values, j);
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
function nextState(w: ChunkWalk, state: TileId | undefined, written: ReadonlyMap<number, TileId>): TileId {
  const { k, parts } = w;
  const terms = writing(parts).map((j) => {
    const rows = written.get(j);
    return rows === undefined ? undefined : writeState(w, j, rows);
  });
  return plus(k, state === undefined ? undefined : decayState(w, state), ...terms) ?? k.zeros([parts.row, ...parts.stage.valueAxes]);
}

/** What a read gives: its part of the state and of the chunk's own writes. */
function readResult(w: ChunkWalk, read: number, state: TileId, written: ReadonlyMap<number, TileId>): TileId {
  const { k, cx, parts } = w;
  const own = writing(parts).map((j) => {
    const rows = written.get(j);
    if (rows === undefined) return undefined;
    const score = readScore(w, read, j);
    if (parts.alongValue === undefined) {
      const fine = isFine(cx, parts) && parts.erasing.includes(j);
      const [first, ...rest] = inParts(k, score, feedsDecay(cx, w.index, read) && !storesScores(cx, parts));
      const times = (part: TileId, some: TileId) => k.contract(part, k.swap(some), COL);
      return plus(k, ...inParts(k, rows, fine).map((part) => times(first, part)), ...rest.map((part) => times(part, rows)));
    }
    const { before, sees } = parts.reads[read];
    return k.dscoreRow(score, rows, w.decays.log(), parts.alongValue, { before, strict: before || !sees[j] });
  });
  return plus(k, readState(w, { kind: 'read', index: read }, state), ...own) ?? k.zeros([ROW]);
}

function entryState(k: KernelBuilder, cx: Context, parts: Parts, index: number, outer: TileKernel['outer']): TileId {
  return k.load(outer === 'segment' ? stageBuffers(cx, parts, index).entry(false) : cx.draft.user.initials[parts.stage.state]);
}

/** Are the scores of reads made by a chunk kernel and loaded by walks? */
export function storesScores({ draft }: Context, parts: Parts): boolean {
  if (parts.channels || draft.inlineScores === 'none') return true;
  return draft.inlineScores === 'diagonal' && parts.erasing.length > 0;
}

/** Score of a read and a source, [ROW, COL]. */
export function readScore(w: ChunkWalk, read: number, j: number): TileId {
  const { k, cx, parts } = w;
  if (storesScores(cx, parts)) return k.load(stageBuffers(cx, parts, w.index).score(read, j));
  return scoreTile(k, parts, w.values, w.decays, parts.reads[read], j);
}

export function isSegmented(cx: Context, parts: Parts): boolean {
  return cx.draft.segments && parts.erasing.length === 0;
}

/** All kernels that walk the state of stage `index` along the sequence. */
export function walkKernels(cx: Context, parts: Parts, index: number, options: WalkOptions): void {
  const name = stageName(cx, index);
  const buffers = stageBuffers(cx, parts, index);
  const segmented = isSegmented(cx, parts);
  const final = options.final ? cx.draft.user.finals[parts.stage.state] : undefined;
  if (segmented) segmentKernels(cx, parts, index);
  const outer = segmented ? 'segment' : 'sequence';
  const site = walkSite(parts);
  cx.draft.kernel(cx.name, {
    name: `${name}_${options.keep ? 'states' : 'walk'}`, doc: `Carries ${name} from chunk to chunk${options.keep ? ' and keeps it for the gradients' : ' and reads it'}.`,
    outer, inner: 'head', split: parts.value,
  }, (k) => {
    const outside = valuesIn(cx, k, site);
    hoist(cx, outside, site, [...walkOperands(parts), ...options.epilogueValues]);
    const [last] = k.loop('chunks', false, [entryState(k, cx, parts, index, outer)], ([state]) => {
      const values = valuesIn(cx, k, site, outside);
      const w: ChunkWalk = { k, cx, parts, index, values, decays: decaysIn(k, parts, values) };
      if (options.keep) k.store(buffers.states(), state);
      const written = writtenTiles(w, state);
      if (options.keep) for (const j of parts.erasing) storeIf(k, buffers.written(j), written.get(j));
      parts.reads.forEach((_, r) => values.bind(index, r, () => readResult(w, r, state, written)));
      storeResults(cx, k, index, values);
      options.epilogue(k, values);
      return [nextState(w, state, written)];
    });
    if (final !== undefined) k.store(segmented ? buffers.local(false) : final, last);
  });
  if (!segmented || final === undefined) return;
  outermostKernel(cx, { name: `${name}_final`, doc: `${name} after the last token.` }, parts, buffers.local(false), final, false);
}

/** The last segment's state for the user; against time, the first one's. */
export function outermostKernel(cx: Context, head: Pick<KernelHead, 'name' | 'doc'>, parts: Parts, local: TileBuffer, to: TileBuffer, reverse: boolean): void {
  cx.draft.kernel(cx.name, { ...head, outer: 'sequence', inner: 'head', split: parts.value }, (k) => {
    const [state] = k.loop('segments', reverse, [k.zeros(local.axes)], () => [k.load(local)]);
    k.store(to, state);
  });
}

function storeIf(k: KernelBuilder, buffer: Parameters<KernelBuilder['store']>[0], tile: TileId | undefined): void {
  if (tile !== undefined) k.store(buffer, tile);
}

/** Stores the results of a stage that other kernels read. */
export function storeResults(cx: Context, k: KernelBuilder, index: number, values: Values): void {
  cx.graph.builder.nodes.forEach((node, id) => {
    if (node.kind === 'result' && node.stage === index && isWanted(cx, index, node.slot)) k.store(resultBuffer(cx, index, node.slot), values.tile(id));
  });
}

/** Where every segment starts (docs/algorithms.md: segments): its own writes and its decay, then the states along the segments. The last one hands on to none. */
function segmentKernels(cx: Context, parts: Parts, index: number): void {
  const { draft } = cx;
  const name = stageName(cx, index);
  const buffers = stageBuffers(cx, parts, index);
  const site = walkSite(parts);
  spanKernel(cx, parts, index);
  draft.kernel(cx.name, {
    name: `${name}_ends`, doc: `What every segment adds to ${name} by its end.`, outer: 'segment', inner: 'head', split: parts.value, idle: 'last',
  }, (k) => {
    const outside = valuesIn(cx, k, site);
    hoist(cx, outside, site, walkOperands(parts));
    const [last] = k.loop('chunks', false, [k.zeros([parts.row, ...parts.stage.valueAxes])], ([state]) => {
      const values = valuesIn(cx, k, site, outside);
      const w: ChunkWalk = { k, cx, parts, index, values, decays: decaysIn(k, parts, values) };
      return [nextState(w, state, new Map(parts.pure.map((j) => [j, writtenValue(k, parts, values, j)])))];
    });
    k.store(buffers.local(false), last);
  });
  const head = { name: `${name}_join`, doc: `The state of ${name} at every segment's start.`, outer: 'sequence', inner: 'head', split: parts.value } as const;
  draft.kernel(cx.name, head, (k) => {
    k.loop('segments', false, [k.load(draft.user.initials[parts.stage.state])], ([state]) => {
      k.store(buffers.entry(false), state);
      return [k.add(spanned(k, cx, parts, index, state), k.load(buffers.local(false)))];
    });
  });
}

/** A state with the decay of a whole segment. */
export function spanned(k: KernelBuilder, cx: Context, parts: Parts, index: number, state: TileId): TileId {
  return parts.gate.kind === 'none' ? state : k.mul(k.load(stageBuffers(cx, parts, index).span()), state);
}

/** The decay of every segment: not split, since it has no value axis. */
function spanKernel(cx: Context, parts: Parts, index: number): void {
  if (parts.gate.kind === 'none') return;
  const buffers = stageBuffers(cx, parts, index);
  const site = walkSite(parts);
  const { gate } = parts;
  cx.draft.kernel(cx.name, { name: `${stageName(cx, index)}_spans`, doc: `The decay of every segment of ${stageName(cx, index)}.`, outer: 'segment', inner: 'head' }, (k) => {
    const outside = valuesIn(cx, k, site);
    if (!parts.channels) hoist(cx, outside, site, [gate.log]);
    const start = parts.channels ? k.add(k.zeros(gateAxes(gate)), k.literal(1)) : k.zeros(gateAxes(gate));
    const [total] = k.loop('chunks', false, [start], ([sum]) => {
      if (parts.channels) return [k.mul(sum, k.load(buffers.whole()))];
      return [k.add(sum, k.reduce('sum', ROW, decaysIn(k, parts, valuesIn(cx, k, site, outside)).log()))];
    });
    k.store(buffers.span(), parts.channels ? total : k.exp(total));
  });
}

