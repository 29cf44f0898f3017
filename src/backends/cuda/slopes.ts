import type { MathName } from '../../ir/common/dag.js';
import type { TileId, TileKernel, TileOp } from '../../ir/tile/tile.js';
import { usesOf } from './uses.js';

/** x, where a tile is what `silu` is differentiated to: sigmoid(x) (1 + x sigmoid(-x)). */
export function siluSlopeOf(opOf: (tile: TileId) => TileOp | undefined, tile: TileId): TileId | undefined {
  const argsOf = (at: TileId | undefined, fn: MathName) => {
    const op = at === undefined ? undefined : opOf(at);
    return op?.op === 'map' && op.fn === fn ? op.args : [];
  };
  const [first, second] = argsOf(tile, 'mul');
  const [x] = argsOf(first, 'sigmoid');
  const [one, chained] = argsOf(second, 'add');
  const [same, minus] = argsOf(chained, 'chain');
  const literal = one === undefined ? undefined : opOf(one);
  const [negative] = argsOf(minus, 'sigmoid');
  const found = literal?.op === 'literal' && literal.value === 1 && same === x && argsOf(negative, 'neg')[0] === x;
  return found ? x : undefined;
}

/** All of them in a kernel, each with its x. */
export function siluSlopes(kernel: TileKernel): ReadonlyMap<TileId, TileId> {
  const { defs } = usesOf(kernel);
  const opOf = (tile: TileId) => defs.get(tile)?.op;
  return new Map([...defs.keys()].flatMap((tile) => {
    const x = siluSlopeOf(opOf, tile);
    return x === undefined ? [] : [[tile, x] as const];
  }));
}
