import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet } from '../../../ir/tile/tile.js';
import { tilesReadBy, usesOf } from '../uses.js';

/**
 * The kernel with sums over products, element by element, of matrices made here summed where these are read last otherwise: registers hold
 * them no longer. What threads have summed waits in shared memory until somebody asks for it (`deferred` in team.ts).
 */
export function foldsEarly(kernel: TileKernel): TileKernel {
  const { tiles, body } = kernel;
  if (body.some((stmt) => stmt.kind === 'loop')) return kernel;
  const { defs, counts } = usesOf(kernel);
  const isMatrix = (tile: TileId) => tiles[tile].axes.length === 2;
  const inRegisters = (tile: TileId) => isMatrix(tile) && defs.get(tile)?.op?.op !== 'load';
  const order = [...body];
  const terms = body.filter((stmt): stmt is TileLet => (
    stmt.kind === 'let' && isMatrix(stmt.tile) && stmt.op.op === 'map' && counts.get(stmt.tile) === 1 && stmt.op.args.some(inRegisters)
  ));
  for (const term of terms) {
    const at = order.indexOf(term);
    const fold = order.findIndex((stmt) => tilesReadBy(stmt).includes(term.tile));
    const sum = order[fold];
    if (sum.kind !== 'let' || sum.op.op !== 'reduce' || sum.op.reduce !== 'sum') continue;
    // Behind all that it is made of, and behind whoever else reads what registers hold.
    const made = order.findLastIndex((stmt) => stmt.kind === 'let' && operandsOf(term.op).includes(stmt.tile));
    const held = operandsOf(term.op).filter(inRegisters);
    const last = order.findLastIndex((stmt) => stmt !== term && tilesReadBy(stmt).some((tile) => held.includes(tile)));
    const target = Math.max(made, last) + 1;
    if (target >= at) continue;
    order.splice(fold, 1);
    order.splice(at, 1);
    order.splice(target, 0, term, sum);
  }
  return { ...kernel, body: order };
}
