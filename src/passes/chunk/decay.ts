import { COL, ROW } from '../../ir/common/axes.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import type { Parts } from './parts.js';
import type { Values } from './values.js';

/**
 * The decays inside one chunk (kernels.md 1.1), each made when asked for; undefined means 1. For a scalar gate tiles have axes [ROW], for a gate
 * along an axis [ROW, axis].
 */
export interface Decays {
  /** Log decay of each token, 0 beyond the sequence. */
  log(): TileId;
  /** e^{G}, or e^{G - g} for a read before the decay: what the state at the chunk's start has decayed by when a token reads it. */
  toRow(before: boolean): TileId | undefined;
  /** e^{GC - G}: what a token's write decays by until the chunk ends. */
  toEnd(): TileId | undefined;
  /** e^{GC}: of the whole chunk. */
  whole(): TileId | undefined;
  /** Scalar gates: e^{Gr[row] - G[col]} on pairs with col <= row (col < row where the read is before the decay), 1 elsewhere. */
  pairs(before: boolean): TileId | undefined;
}

export function decaysIn(k: KernelBuilder, parts: Parts, values: Values): Decays {
  const { gate } = parts;
  const cache = new Map<string, TileId>();
  const once = (key: string, make: () => TileId): TileId => {
    const found = cache.get(key);
    if (found !== undefined) return found;
    const made = make();
    cache.set(key, made);
    return made;
  };
  const log = () => once('log', () => {
    if (gate.kind === 'none') throw new Error('no gate');
    const tile = values.padded(gate.log);
    // The same at every token: rows beyond the sequence still must not decay.
    const rows = k.axesOf(tile).includes(ROW) ? tile : k.keep(tile);
    return gate.kind === 'channel' && !k.axesOf(rows).includes(gate.axis) ? k.add(rows, k.zeros([gate.axis])) : rows;
  });
  const inclusive = () => once('G', () => k.cumsum(log()));
  const exclusive = () => once('Gx', () => k.cumsum(log(), { exclusive: true }));
  const last = () => once('GC', () => k.pick(inclusive(), 'last'));
  const none = gate.kind === 'none';
  return {
    log,
    toRow: (before) => (none ? undefined : once(`row${before}`, () => k.exp(before ? exclusive() : inclusive()))),
    toEnd: () => (none ? undefined : once('end', () => k.exp(k.sub(last(), inclusive())))),
    whole: () => (none ? undefined : once('whole', () => k.exp(last()))),
    pairs(before) {
      if (gate.kind !== 'scalar') return undefined;
      // On the diagonal a read before the decay would grow: the mask comes first (kernels.md 4.1).
      return once(`pairs${before}`, () => k.exp(k.mask(k.sub(before ? exclusive() : inclusive(), k.swap(inclusive())), before)));
    },
  };
}

/** Product of those that are there. */
export function times(k: KernelBuilder, ...factors: readonly (TileId | undefined)[]): TileId | undefined {
  return factors.reduce((product, factor) => (product === undefined ? factor : factor === undefined ? product : k.mul(product, factor)), undefined);
}

/** Product with a tile that is there. */
export function scaled(k: KernelBuilder, tile: TileId, ...factors: readonly (TileId | undefined)[]): TileId {
  const factor = times(k, ...factors);
  return factor === undefined ? tile : k.mul(factor, tile);
}

/** Sum of those that are there. */
export function plus(k: KernelBuilder, ...terms: readonly (TileId | undefined)[]): TileId | undefined {
  return terms.reduce((sum, term) => (sum === undefined ? term : term === undefined ? sum : k.add(sum, term)), undefined);
}

/** Transpose of a [ROW, COL] tile times rows: sum over the tokens r of a[r, row] * x[r, ...], as [ROW, ...]. */
export function transposed(k: KernelBuilder, a: TileId, x: TileId): TileId {
  return k.contract(k.swap(a), k.swap(x), COL);
}

/** sum over `axis` of a * b, or the plain product where there is no such axis. */
export function fold(k: KernelBuilder, a: TileId, b: TileId, axis: string | undefined): TileId {
  return axis === undefined ? k.mul(a, b) : k.contract(a, b, axis);
}
