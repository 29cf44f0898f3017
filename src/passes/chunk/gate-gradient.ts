import { COL, ROW, type Axis } from '../../ir/common/axes.js';
import { LEAST_LOG_DECAY, type TileId } from '../../ir/tile/tile.js';
import type { ReaderId } from './buffers.js';
import type { Gradients } from './gradients.js';
import type { Vector } from './parts.js';
import { readerOf } from './prepare.js';
import { pairsOf, turned } from './scores.js';
import { fold, plus, scaled, sure } from './tiles.js';

/**
 * Gradient of the log decays of a chunk's tokens, without another look at the scores (docs/algorithms.md: the chunk): every running sum G_i
 * occurs with what token i reads (+) and writes (-), so dG = q dq - k dk, and the sum over the whole chunk with the state at its end. dg
 * are the sums of dG from the end, and 0 where running sums end.
 * `reads`: readTerms, if another kernel has made them.
 */
export function gateGradient(gradients: Gradients, reads: TileId | undefined): TileId {
  const { parts } = gradients;
  const read = () => reads ?? readTerms(gradients);
  const total = gradients.crossing ? crossingGradient(gradients, read())
    : summed(gradients, parts.alongValue === undefined ? rowTerms(gradients, read()) : valueTerms(gradients, parts.alongValue));
  if (!parts.clampedGate) return total;
  // What is left of nothing after rounding may meet a slope beyond all numbers in what the gate was computed from.
  return gradients.k.mul(total, gradients.k.map('less', gradients.k.literal(LEAST_LOG_DECAY), gradients.decays.log()));
}

interface Terms {
  /** What each token adds to the gradient of G. */
  readonly tokens: readonly TileId[];
  /** What the sum over the whole chunk gets. */
  readonly whole: TileId;
}

function summed({ k }: Gradients, { tokens, whole }: Terms): TileId {
  const total = plus(k, ...tokens);
  return total === undefined ? k.keep(whole) : k.add(k.cumsum(total, { reverse: true }), whole);
}

/** A read before the decay sees the sum up to the token before. */
function atToken({ k, parts }: Gradients, reader: ReaderId, tile: TileId): TileId {
  return readerOf(parts, reader).before ? k.shift(tile, -1) : tile;
}

/** Scalar gates have the sum over the row axis. */
function folded({ k, parts }: Gradients, tile: TileId): TileId {
  return parts.reach === 'state' ? k.reduce('sum', parts.row, tile) : tile;
}

/** A vector times its gradient. A number in front of a tensor is cheaper applied when its channels are summed. */
function weighed(gradients: Gradients, vector: Vector, gradient: TileId): TileId {
  const { k, base, number } = gradients;
  return scaled(k, folded(gradients, k.mul(gradient, base(vector))), number(vector));
}

/**
 * What the pairs of different tokens of a chunk add to the gradients of their scores' logarithms, [ROW, COL]. A token's pair with itself
 * adds as much to the reading as to the writing side and is left out: where gates forget much it is the largest, and would cancel with its
 * last digits only.
 */
function pairTerms({ k, parts, base, number, scoreCotangent }: Gradients, reader: ReaderId, j: number): TileId {
  const { row } = readerOf(parts, reader);
  const { col } = parts.sources[j];
  const products = k.mask(k.contract(base(row), k.swap(base(col)), parts.row), true);
  return k.mul(scoreCotangent({ reader, j }), scaled(k, products, number(row), turned(k, number(col))));
}

/**
 * The same without a difference: the decay of a token stands between whoever wrote before it, or the state at the start, and whoever reads
 * from it on, or the state at the end. Where a gate leaves little, what it leaves is all that is summed.
 */
function crossingGradient(gradients: Gradients, reads: TileId | undefined): TileId {
  const { k, parts, readers, writers } = gradients;
  const pairs = [false, true].map((before) => {
    const some = readers.filter((reader) => readerOf(parts, reader).before === before);
    const sum = plus(k, ...some.flatMap((reader) => writers.map((j) => pairTerms(gradients, reader, j))));
    return sum && k.cumsum(sum, { reverse: true, exclusive: before });
  });
  const written = plus(k, ...writers.map((j) => weighed(gradients, parts.sources[j].col, gradients.colInter(j))));
  // What was written before a token is summed as pairs are, which have it at hand.
  const before = written && plus(k, ...(pairs.some((pair) => pair) ? pairs : [k.zeros([ROW, COL])]), k.swap(written));
  const state = scaled(k, stateTerm(gradients), gradients.decays.whole());
  const tokens = plus(k, reads && k.cumsum(reads, { reverse: true }), before && k.reduce('sum', COL, k.mask(before, true)));
  return tokens === undefined ? k.keep(state) : k.add(tokens, state);
}

/** What tokens add to the gradient of G by what they read, for scalar gates and those along the row axis. */
export function readTerms(gradients: Gradients): TileId | undefined {
  const { k, parts, readers, writers, pairwise } = gradients;
  return plus(k, ...readers.map((reader) => {
    const { row } = readerOf(parts, reader);
    if (!pairwise) return atToken(gradients, reader, weighed(gradients, row, sure(gradients.row(reader))));
    const pairs = gradients.crossing ? [] : writers.map((j) => k.reduce('sum', COL, pairTerms(gradients, reader, j)));
    return atToken(gradients, reader, sure(plus(k, weighed(gradients, row, gradients.rowInter(reader)), ...pairs)));
  }));
}

/** The same by what they write with source `j`. */
function writeTerms(gradients: Gradients, j: number): TileId {
  const { k, parts, readers, pairwise } = gradients;
  const { col } = parts.sources[j];
  if (!pairwise) return weighed(gradients, col, sure(gradients.col(j)));
  const pairs = readers.map((reader) => k.swap(k.reduce('sum', ROW, pairTerms(gradients, reader, j))));
  return sure(plus(k, weighed(gradients, col, gradients.colInter(j)), ...pairs));
}

/** The same by the state that the chunk hands on. */
export function stateTerm(gradients: Gradients): TileId {
  return folded(gradients, fold(gradients.k, gradients.state(), gradients.end(), gradients.parts.value));
}

/** Scalar gates and those along the row axis. */
function rowTerms(gradients: Gradients, reads: TileId | undefined): Terms {
  const { k, parts, writers } = gradients;
  const cols = writers.map((j) => k.neg(writeTerms(gradients, j)));
  const state = scaled(k, stateTerm(gradients), gradients.decays.whole());
  const written = writers.map((j) => k.reduce('sum', ROW, weighed(gradients, parts.sources[j].col, gradients.colInter(j))));
  return { tokens: [...(reads === undefined ? [] : [reads]), ...cols], whole: sure(plus(k, state, ...written)) };
}

/** Gates along the value axis: the same with what is read and written in the place of the vectors. */
function valueTerms(gradients: Gradients, axis: Axis): Terms {
  const { k, parts, readers, writers } = gradients;
  const rows = readers.map((reader) => atToken(
    gradients, reader, k.mul(readAgain(gradients, reader, axis), sure(gradients.readCotangent(reader))),
  ));
  const cols = writers.map((j) => k.neg(k.mul(gradients.written(j), gradients.pure(j))));
  const state = scaled(k, k.contract(gradients.state(), gradients.end(), parts.row), gradients.decays.whole());
  const written = writers.map((j) => k.reduce('sum', ROW, k.mul(gradients.written(j), gradients.valueInter(j))));
  return { tokens: [...rows, ...cols], whole: sure(plus(k, state, ...written)) };
}

/** A read's result, [ROW, V]. */
function readAgain({ k, parts, decays, ...gradients }: Gradients, reader: ReaderId, axis: Axis): TileId {
  const part = readerOf(parts, reader);
  const inter = scaled(
    k, k.contract(gradients.base(part.row), gradients.state(), parts.row), decays.toRow(part.before), gradients.number(part.row),
  );
  const intra = gradients.writers.map((j) => k.dscoreRow(
    gradients.score(reader, j), gradients.written(j), decays.log(), axis, pairsOf(part, j),
  ));
  return sure(plus(k, inter, ...intra));
}
