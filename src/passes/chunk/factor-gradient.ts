import { ROW } from '../../ir/common/axes.js';
import { gateAxes, type NodeId } from '../../ir/scan/scan.js';
import type { TileId } from '../../ir/tile/tile.js';
import type { ReaderId } from './buffers.js';
import type { Gradients } from './gradients.js';
import type { Vector } from './parts.js';
import { readerOf } from './prepare.js';
import { turned } from './scores.js';
import { fold, perToken, plus, scaled, sure, widened } from './tiles.js';
import type { Values } from './values.js';

/**
 * Gradient of a chunk's decays given as factors (docs/algorithms.md: factors): d a_t sums over what was written before token t and is read
 * at or behind it, each pair with all decays between but a_t. So nothing is divided by a_t, which may be 0, and nothing is a difference of
 * large sums. The decays before and behind a token are products that grow token by token.
 */
export function factorGradient(gradients: Gradients, values: Values, factor: NodeId): TileId {
  const { k, parts, readers, writers } = gradients;
  const axes = gateAxes(parts.gate);
  const [one, nothing] = [widened(k, k.literal(1), axes), k.zeros([ROW, ...axes])];
  // Rows beyond the sequence do not decay.
  const beyond = k.sub(k.literal(1), k.keep(k.literal(1)));
  const decay = widened(k, k.add(k.keep(values.tile(factor)), beyond), axes);
  const later = k.shift(decay, -1, k.literal(1));
  const reads = readers.map((reader) => ({ reader, before: readerOf(parts, reader).before, ...readSide(gradients, reader) }));
  const writes = writers.map((j) => ({ j, ...writeSide(gradients, j) }));

  // The state at the chunk's start, decayed up to the token, times what reads it from there on.
  const behind = k.recur(
    later, plus(k, ...reads.map(({ before, state }) => (before ? k.shift(state, -1) : state))) ?? nothing, wholeState(gradients), true,
  );
  const start = k.mul(k.shift(k.recur(decay, nothing, one, false), 1, k.literal(1)), behind);
  if (writes.length === 0) return start;
  // What was written before the token times the cotangent of the state at the chunk's end.
  const brought = k.shift(k.recur(decay, sure(plus(k, ...writes.map(({ state }) => state))), k.zeros(axes), false), 1);
  const end = k.mul(brought, k.recur(later, nothing, one, true));
  const pairs = reads.flatMap(({ reader, before, vector }) => writes.map((write) => k.dgate(
    pairScore(gradients, reader, write.j), vector, write.vector, decay, before,
  )));
  return sure(plus(k, start, end, ...pairs));
}

/**
 * One side of a pair of tokens. `vector`: what its channels, or a number, weigh the pair's score by; `state`: the same times what the state
 * does for the other side.
 */
interface Side {
  readonly vector: TileId;
  readonly state: TileId;
}

function readSide(gradients: Gradients, reader: ReaderId): Side {
  return sideOf(gradients, readerOf(gradients.parts, reader).row, sure(gradients.readCotangent(reader)), gradients.state());
}

function writeSide(gradients: Gradients, j: number): Side {
  return sideOf(gradients, gradients.parts.sources[j].col, gradients.written(j), gradients.end());
}

function sideOf({ k, parts, base, number }: Gradients, vector: Vector, rows: TileId, state: TileId): Side {
  const scale = number(vector);
  if (parts.reach === 'values') return { vector: rows, state: scaled(k, k.mul(rows, k.contract(base(vector), state, parts.row)), scale) };
  const perRow = k.mul(base(vector), fold(k, rows, state, parts.value));
  if (parts.channels) return { vector: scaled(k, base(vector), scale), state: scaled(k, perRow, scale) };
  return { vector: perToken(k, scale ?? k.literal(1)), state: scaled(k, k.reduce('sum', parts.row, perRow), scale) };
}

/** The state at the chunk's start times its cotangent at the end, for each decay. */
function wholeState({ k, parts, state, end }: Gradients): TileId {
  if (parts.reach === 'values') return k.contract(state(), end(), parts.row);
  const perRow = fold(k, state(), end(), parts.value);
  return parts.channels ? perRow : k.reduce('sum', parts.row, perRow);
}

/** What the channels of a gate have in common of a pair, [ROW, COL], without decays. */
function pairScore({ k, parts, base, number, readCotangent, written }: Gradients, reader: ReaderId, j: number): TileId {
  const [{ row }, { col }] = [readerOf(parts, reader), parts.sources[j]];
  const values = () => fold(k, sure(readCotangent(reader)), k.swap(written(j)), parts.value);
  const vectors = () => k.contract(base(row), k.swap(base(col)), parts.row);
  if (parts.channels) return values();
  if (parts.reach === 'state') return k.mul(values(), vectors());
  return scaled(k, vectors(), number(row), turned(k, number(col)));
}
