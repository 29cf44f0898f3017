import { COL, ROW } from '../../ir/common/axes.js';
import type { MatrixAdjoint } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { readersOf, stageBuffers, type ReaderId } from './buffers.js';
import { type Context } from './context.js';
import { decaysIn } from './decay.js';
import type { Parts } from './parts.js';
import { readerOf, writing, writtenValue } from './prepare.js';
import { givenTile, givenTiles } from './reverse.js';
import { baseTile, coefficient, pairsOf, scoreTile, turned } from './scores.js';
import { fold, plus, scaled, sure, transposed } from './tiles.js';
import type { Values } from './values.js';

/** Makes things once, when asked for. */
function lazy<K>(make: (key: K) => TileId | undefined): (key: K) => TileId | undefined {
  const known = new Map<string, TileId | undefined>();
  return (key) => {
    const text = JSON.stringify(key);
    if (!known.has(text)) known.set(text, make(key));
    return known.get(text);
  };
}

/**
 * Binds the results of the adjoint of a matrix stage in a chunk kernel: gradients of all its operands, from the state at the chunk's start, its
 * cotangent at the chunk's end, what was written and the cotangents of what was read (kernels.md 1.2 and 1.3).
 */
export function bindGradients(cx: Context, k: KernelBuilder, values: Values, parts: Parts, index: number, at: number, adjoint: MatrixAdjoint): void {
  const { row, value, gate, channels } = parts;
  const buffers = stageBuffers(cx, parts, index);
  const decays = decaysIn(k, parts, values);
  const given = givenTiles(k, parts, values, adjoint);
  const valueGate = gate.kind === 'channel' && !channels;
  const kept = lazy<'states' | 'cotangents'>((which) => k.load(buffers[which]()));
  const stateTile = () => sure(kept('states'));
  const endTile = () => sure(kept('cotangents'));
  const base = (vector: Parameters<typeof baseTile>[3]) => baseTile(k, values, parts, vector);
  const number = (vector: Parameters<typeof coefficient>[2]) => coefficient(k, values, vector);

  /** Cotangent of what a reader read: given, or solved for against time. [ROW, V] */
  const readCotangent = lazy<ReaderId>((reader) => (reader.kind === 'read' ? given.get(reader.index) : k.load(buffers.solved(reader.index))));
  /** What a source wrote, [ROW, V]. */
  const written = lazy<number>((j) => (parts.erasing.includes(j) ? k.load(buffers.written(j)) : writtenValue(k, parts, values, j)));
  const readers = readersOf(parts).filter((reader) => readCotangent(reader) !== undefined);
  const writers = writing(parts);

  /** Cotangent of the score of a pair, [ROW, COL], with the decays of scalar gates. */
  const scoreCotangent = lazy<{ reader: ReaderId; j: number }>(({ reader, j }) => {
    const how = pairsOf(readerOf(parts, reader), j);
    const [x, y] = [sure(readCotangent(reader)), sure(written(j))];
    const raw = valueGate ? k.dscore(x, y, decays.log(), gate.axis, how) : k.mask(fold(k, x, k.swap(y), value), how.strict);
    return scaled(k, raw, decays.pairs(how.before));
  });

  /** From the state: cotangent of a row vector apart from its numbers, [ROW, K]. */
  const rowInter = (reader: ReaderId): TileId => {
    const { before } = readerOf(parts, reader);
    const cotangent = sure(readCotangent(reader));
    const decay = decays.toRow(before);
    return valueGate ? fold(k, scaled(k, cotangent, decay), stateTile(), value) : scaled(k, fold(k, cotangent, stateTile(), value), decay);
  };
  const rowGradient = lazy<ReaderId>((reader) => {
    if (readCotangent(reader) === undefined) return undefined;
    const part = readerOf(parts, reader);
    const intra = writers.map((j) => {
      const { col } = parts.sources[j];
      const a = scaled(k, sure(scoreCotangent({ reader, j })), turned(k, number(col)));
      return channels ? k.dscoreRow(a, base(col), decays.log(), row, pairsOf(part, j)) : k.contract(a, k.swap(base(col)), COL);
    });
    return plus(k, rowInter(reader), ...intra);
  });

  /** Through the state at the chunk's end: cotangent of a column vector apart from its numbers, [ROW, K]. */
  const colInter = lazy<number>((j) => {
    const w = sure(written(j));
    return valueGate ? fold(k, scaled(k, w, decays.toEnd()), endTile(), value) : scaled(k, fold(k, w, endTile(), value), decays.toEnd());
  });
  const colGradient = lazy<number>((j) => {
    if (!writers.includes(j)) return undefined;
    const intra = readers.map((reader) => {
      const part = readerOf(parts, reader);
      const a = scaled(k, sure(scoreCotangent({ reader, j })), number(part.row));
      const x = base(part.row);
      return channels ? k.swap(k.dscoreCol(a, x, decays.log(), row, pairsOf(part, j))) : transposed(k, a, x);
    });
    return plus(k, colInter(j), ...intra);
  });

  /** Through the state at the chunk's end: cotangent of what a source wrote, [ROW, V]. */
  const valueInter = lazy<number>((j) => {
    const { col } = parts.sources[j];
    if (channels) return scaled(k, k.contract(scaled(k, base(col), decays.toEnd()), endTile(), row), number(col));
    return scaled(k, k.contract(base(col), endTile(), row), decays.toEnd(), number(col));
  });
  /** Cotangent of what a pure source wrote, but for that of its exported copy. */
  const pureGradient = lazy<number>((j) => {
    const intra = readers.map((reader) => {
      const part = readerOf(parts, reader);
      const x = sure(readCotangent(reader));
      const score = channels && reader.kind === 'read' ? k.load(buffers.score(reader.index, j)) : scoreTile(k, parts, values, decays, part, j);
      return valueGate ? k.swap(k.dscoreCol(score, x, decays.log(), gate.axis, pairsOf(part, j))) : transposed(k, score, x);
    });
    return plus(k, valueInter(j), ...intra);
  });
  const valueGradient = (j: number): TileId | undefined => {
    if (parts.erasing.includes(j)) return readCotangent({ kind: 'erase', index: j });
    const exported = parts.stage.exported.flatMap((source, i) => (source === j ? [givenTile(k, parts, values, adjoint.given[parts.reads.length + i])] : []));
    return plus(k, pureGradient(j), ...exported);
  };

  const gateGradient = (): TileId => {
    const sumChannels = (tile: TileId) => (gate.kind === 'scalar' ? k.reduce('sum', row, tile) : tile);
    const at_ = (tile: TileId, before: boolean) => (before ? k.shift(tile, -1) : tile);
    const end = endOfChunk(sumChannels);
    // A number in front of a tensor with all channels folded away is cheaper applied afterwards.
    const weigh = (vector: Parameters<typeof coefficient>[2], gradient: TileId) => scaled(k, sumChannels(k.mul(gradient, base(vector))), number(vector));
    const rows = valueGate
      ? readers.map((reader) => at_(k.mul(readAgain(reader), sure(readCotangent(reader))), readerOf(parts, reader).before))
      : readers.map((reader) => at_(weigh(readerOf(parts, reader).row, sure(rowGradient(reader))), readerOf(parts, reader).before));
    const cols = valueGate
      ? writers.map((j) => k.neg(k.mul(sure(written(j)), sure(pureGradient(j)))))
      : writers.map((j) => k.neg(weigh(parts.sources[j].col, sure(colGradient(j)))));
    const total = plus(k, ...rows, ...cols);
    return total === undefined ? k.keep(end) : k.add(k.cumsum(total, { reverse: true }), end);
  };
  /** What the gates' sum over the whole chunk gets: through the state that was there, and through what was written. */
  const endOfChunk = (sumChannels: (tile: TileId) => TileId): TileId => {
    const state = valueGate ? k.contract(stateTile(), endTile(), row) : sumChannels(fold(k, stateTile(), endTile(), value));
    const own = writers.map((j) => {
      const { col } = parts.sources[j];
      const each = valueGate
        ? k.mul(sure(written(j)), sure(valueInter(j)))
        : scaled(k, sumChannels(k.mul(sure(colInter(j)), base(col))), number(col));
      return k.reduce('sum', ROW, each);
    });
    return sure(plus(k, scaled(k, state, decays.whole()), ...own));
  };
  /** A read's result, for gates along a value axis. */
  const readAgain = (reader: ReaderId): TileId => {
    const part = readerOf(parts, reader);
    const inter = scaled(k, k.contract(base(part.row), stateTile(), row), decays.toRow(part.before), number(part.row));
    if (gate.kind !== 'channel') throw new Error('only for gates along an axis');
    const intra = writers.map((j) => k.dscoreRow(scoreTile(k, parts, values, decays, part, j), sure(written(j)), decays.log(), gate.axis, pairsOf(part, j)));
    return sure(plus(k, inter, ...intra));
  };

  const zero = (axes: readonly string[]) => k.zeros([ROW, ...axes]);
  const results: (() => TileId)[] = parts.reads.map((_, r) => () => rowGradient({ kind: 'read', index: r }) ?? zero([row]));
  parts.sources.forEach((source, j) => {
    results.push(() => colGradient(j) ?? zero([row]));
    if (source.value !== undefined) results.push(() => valueGradient(j) ?? zero(parts.stage.valueAxes));
    if (source.erase !== undefined) results.push(() => rowGradient({ kind: 'erase', index: j }) ?? zero([row]));
  });
  if (gate.kind !== 'none') results.push(gateGradient);
  results.forEach((make, slot) => values.bind(at, slot, make));
}
