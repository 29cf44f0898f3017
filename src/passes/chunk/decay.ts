import type { KernelBuilder } from '../../ir/tile/build.js';
import { gateAxes } from '../../ir/scan/scan.js';
import type { TileId } from '../../ir/tile/tile.js';
import type { Parts } from './parts.js';
import { perToken, widened } from './tiles.js';
import type { Values } from './values.js';

/**
 * The decays inside one chunk (docs/algorithms.md: notation), each made when asked for; undefined means 1. For a scalar gate tiles have
 * axes [ROW], for a gate along an axis [ROW, axis].
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
    // Rows beyond the sequence must not decay, even where every token does the same.
    const rows = perToken(k, values.padded(gate.log));
    return widened(k, rows, gateAxes(gate));
  });
  const inclusive = () => once('G', () => k.decaySums(log()));
  const exclusive = () => once('Gx', () => k.decaySums(log(), { exclusive: true }));
  const last = () => once('GC', () => k.pick(inclusive(), 'last'));
  const none = gate.kind === 'none';
  return {
    log,
    toRow: (before) => (none ? undefined : once(`row${before}`, () => k.exp(before ? exclusive() : inclusive()))),
    toEnd: () => (none ? undefined : once('end', () => k.exp(k.sub(last(), inclusive())))),
    whole: () => (none ? undefined : once('whole', () => k.exp(last()))),
    pairs(before) {
      if (parts.reach !== 'state') return undefined;
      // On the diagonal a read before the decay would grow: the mask comes first (docs/algorithms.md: decays).
      return once(`pairs${before}`, () => k.exp(k.mask(k.sub(before ? exclusive() : inclusive(), k.swap(inclusive())), before)));
    },
  };
}
