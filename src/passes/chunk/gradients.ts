import { COL } from '../../ir/common/axes.js';
import type { MatrixAdjoint } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { readersOf, stageBuffers, type ReaderId } from './buffers.js';
import type { Context } from './context.js';
import { decaysIn, type Decays } from './decay.js';
import { isFineCotangent } from './fine.js';
import { isUneven, type Parts, type Vector } from './parts.js';
import { readerOf, writing, writtenValue } from './prepare.js';
import { givenTiles } from './reverse.js';
import { baseTile, coefficient, pairsOf, scoreTile, turned } from './scores.js';
import { fold, inParts, plus, scaled, sure, transposed } from './tiles.js';
import type { Values } from './values.js';

/** Everything a chunk knows when its gradients are worked out (docs/algorithms.md: the chunk). Tiles are made when asked for. */
export interface Gradients {
  readonly k: KernelBuilder;
  readonly parts: Parts;
  readonly decays: Decays;
  /** Is the gradient of a scalar gate made from pairs of tokens, which is more exact, instead of from the gradients of vectors? */
  readonly pairwise: boolean;
  /** And every pair is summed only where it counts, so that nothing cancels? */
  readonly crossing: boolean;
  /** Readers with a cotangent, and sources that write something. */
  readonly readers: readonly ReaderId[];
  readonly writers: readonly number[];
  /** State at the chunk's start and its cotangent at the end, [K, V]. */
  state(): TileId;
  end(): TileId;
  /** Tensor and numbers of a vector. */
  base(vector: Vector): TileId;
  number(vector: Vector): TileId | undefined;
  score(reader: ReaderId, j: number): TileId;
  /** Cotangent of what a reader read, [ROW, V]: given, or solved for against time. */
  readCotangent(reader: ReaderId): TileId | undefined;
  /** What a source wrote, [ROW, V]. */
  written(j: number): TileId;
  /** Cotangent of the score of a pair, [ROW, COL], with the decays of scalar gates. */
  scoreCotangent(pair: Pair): TileId;
  /** Cotangents of row and column vectors apart from their numbers, [ROW, K]. */
  row(reader: ReaderId): TileId | undefined;
  col(j: number): TileId | undefined;
  /** The part of `row` that comes through the state at the chunk's start. */
  rowInter(reader: ReaderId): TileId;
  /** The part of `col`, and of `pure`, that comes through the state at the chunk's end. */
  colInter(j: number): TileId;
  valueInter(j: number): TileId;
  /** Cotangent of what a source without erase wrote, [ROW, V]. */
  pure(j: number): TileId;
}

export interface Pair {
  readonly reader: ReaderId;
  readonly j: number;
}

/** Makes things once, when asked for. */
function lazy<K, T>(make: (key: K) => T): (key: K) => T {
  const known = new Map<string, T>();
  return (key) => {
    const text = JSON.stringify(key);
    const found = known.get(text);
    if (found !== undefined) return found;
    const made = make(key);
    known.set(text, made);
    return made;
  };
}

export function gradientsIn(cx: Context, k: KernelBuilder, values: Values, parts: Parts, index: number, adjoint: MatrixAdjoint): Gradients {
  const { row, value, reach, channels, alongValue } = parts;
  const buffers = stageBuffers(cx, parts, index);
  const decays = decaysIn(k, parts, values);
  const given = givenTiles(k, parts, values, adjoint);
  const state = () => k.load(buffers.states());
  const end = () => k.load(buffers.cotangents());
  const base = (vector: Vector) => baseTile(k, values, parts, vector);
  const number = (vector: Vector) => coefficient(k, values, vector);
  const score = (reader: ReaderId, j: number) => scoreTile(k, parts, values, decays, readerOf(parts, reader), j);
  const readCotangent = lazy((reader: ReaderId) => (
    reader.kind === 'read' ? given.get(reader.index) : k.load(buffers.solved(reader.index))
  ));
  const written = lazy((j: number) => (parts.erasing.includes(j) ? k.load(buffers.written(j)) : writtenValue(k, parts, values, j)));
  /** The same as a sum of what products see of it. */
  const writtenParts = (j: number) => [written(j), ...(isFineCotangent(cx, parts, j) ? [k.load(buffers.writtenRest(j))] : [])];
  const readers = readersOf(parts).filter((reader) => readCotangent(reader) !== undefined);
  const writers = writing(parts);
  const exact = parts.exactGate || parts.erasing.some((j) => isFineCotangent(cx, parts, j));
  const pairwise = reach === 'state' && (cx.draft.exactGates || (exact && isUneven(cx.graph, parts)));

  const scoreCotangent = lazy(({ reader, j }: Pair) => {
    const how = pairsOf(readerOf(parts, reader), j);
    const x = sure(readCotangent(reader));
    const raw = alongValue === undefined
      ? k.mask(sure(plus(k, ...writtenParts(j).map((part) => fold(k, x, k.swap(part), value)))), how.strict)
      : k.dscore(x, written(j), decays.log(), alongValue, how);
    return scaled(k, raw, decays.pairs(how.before));
  });

  const rowInter = lazy((reader: ReaderId) => {
    const decay = decays.toRow(readerOf(parts, reader).before);
    const cotangent = sure(readCotangent(reader));
    return alongValue === undefined
      ? scaled(k, fold(k, cotangent, state(), value), decay)
      : fold(k, scaled(k, cotangent, decay), state(), value);
  });
  const colInter = lazy((j: number) => (
    alongValue === undefined ? scaled(k, fold(k, written(j), end(), value), decays.toEnd()) : fold(
      k, scaled(k, written(j), decays.toEnd()), end(), value,
    )
  ));
  const valueInter = lazy((j: number) => {
    const { col } = parts.sources[j];
    if (channels) return scaled(k, k.contract(scaled(k, base(col), decays.toEnd()), end(), row), number(col));
    return scaled(k, k.contract(base(col), end(), row), decays.toEnd(), number(col));
  });

  return {
    k, parts, decays, pairwise, crossing: pairwise && cx.draft.exactGates,
    readers, writers, state, end, base, number, score, readCotangent, written, scoreCotangent,
    rowInter, colInter, valueInter,
    row: lazy((reader) => {
      if (readCotangent(reader) === undefined) return undefined;
      const part = readerOf(parts, reader);
      const intra = writers.map((j) => {
        const { col } = parts.sources[j];
        const a = scaled(k, scoreCotangent({ reader, j }), turned(k, number(col)));
        if (channels) return k.dscoreRow(a, base(col), decays.log(), row, pairsOf(part, j));
        return sure(plus(k, ...inParts(k, a, isFineCotangent(cx, parts, j)).map((some) => k.contract(some, k.swap(base(col)), COL))));
      });
      return plus(k, rowInter(reader), ...intra);
    }),
    col: lazy((j) => {
      if (!writers.includes(j)) return undefined;
      const intra = readers.map((reader) => {
        const part = readerOf(parts, reader);
        const a = scaled(k, scoreCotangent({ reader, j }), number(part.row));
        return channels ? k.swap(k.dscoreCol(a, base(part.row), decays.log(), row, pairsOf(part, j))) : transposed(k, a, base(part.row));
      });
      return plus(k, colInter(j), ...intra);
    }),
    pure: lazy((j) => {
      const intra = readers.map((reader) => {
        const x = sure(readCotangent(reader));
        const a = channels && reader.kind === 'read' ? k.load(buffers.score(reader.index, j)) : score(reader, j);
        return alongValue === undefined
          ? transposed(k, a, x)
          : k.swap(k.dscoreCol(a, x, decays.log(), alongValue, pairsOf(readerOf(parts, reader), j)));
      });
      return sure(plus(k, valueInter(j), ...intra));
    }),
  };
}
