import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileStmt } from '../../../ir/tile/tile.js';
import type { Place } from '../address.js';
import type { Draft } from '../instructions/draft.js';
import type { Instruction } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import type { CudaContext } from '../lowered.js';
import { tilesReadBy } from '../uses.js';
import { isPointwise, type BlockParts } from './block-parts.js';
import { straightText } from './block-text.js';
import { STEP } from './forms.js';
import { isEvenTile, loadCell, vectorElement } from './memory.js';
import { SLICE } from './pipe-blocks.js';
import type { PipePart } from './pipe-text.js';
import type { Team } from './team.js';

/**
 * What is done with the sums, slice by slice. Tiles that it reads are in registers from the beginning of a slice; those of the next come
 * meanwhile, and of the first one during the products, as what rows alone have: a warp brings its own 16 rows, so that none waits for
 * others. Then all that is pointwise, element by element: of what is stored 16 bits stay.
 */
export function planResults(cx: CudaContext, after: Team, { draft, parted, place, ring, outlet }: {
  readonly draft: Draft<PipePart>; readonly parted: BlockParts; readonly place: Place; readonly ring: Piece;
  readonly outlet: { readonly piece: Piece; readonly later: Instruction[] };
}): void {
  const { kernel, rows, split, sums } = parted;
  const body = live(parted.after, after.options.slopes ?? new Map());
  const isLoad = (stmt: TileStmt): stmt is TileLet => stmt.kind === 'let' && stmt.op.op === 'load';
  // What rows alone have is the same for every slice.
  const own = body.filter((stmt): stmt is TileLet => isLoad(stmt) && kernel.tiles[stmt.tile].axes.join() === rows);
  // Somebody may be at the slices of the block before.
  draft.to('own');
  if (own.length > 0) after.add({ kind: 'meet', bare: true });
  for (const { tile, op } of own) {
    if (op.op !== 'load') continue;
    const name = after.fresh(`asked${tile}`);
    draft.to('before');
    after.add({ kind: 'number', name, value: '0.f', variable: true });
    draft.to('asked');
    after.note(tile);
    after.add({ kind: 'own', count: after.size(rows), text: `${name} = ${vectorElement(loadCell(cx, op, place, split), 'i')};` });
    draft.to('own');
    after.formsOf(tile).own = { name, axis: rows, n: after.size(rows) };
    draft.keepPieces(true);
    after.vec(tile, 'owner');
    draft.keepPieces(false);
  }
  if (own.length > 0) after.add({ kind: 'meet', bare: true });
  draft.to('here');
  after.add({ kind: 'loop', edge: 'begin' });
  const ahead = new Set<TileStmt>();
  for (const stmt of body) {
    if (!isLoad(stmt) || stmt.op.op !== 'load') continue;
    const cell = loadCell(cx, stmt.op, place, split);
    if (!isEvenTile(cell) || cell.axes[0] !== rows || cell.axes[1] !== split) continue;
    if (ahead.size === 0) after.add({ kind: 'call', fn: 'pipe_come', shape: [], args: [] });
    ahead.add(stmt);
    draft.keepPieces(true);
    const piece = draft.take(STEP * SLICE * 2, false, stmt.tile);
    draft.keepPieces(false);
    const taken = after.fresh(`p${stmt.tile}`);
    after.note(stmt.tile);
    after.add({
      kind: 'call', fn: 'pipe_take', shape: [], args: [taken, after.address(piece)],
      makes: { name: taken, count: after.values(split) / 2, pairs: true },
    });
    draft.to('after');
    const frag = after.newFrag(stmt.tile, rows, split);
    after.each(frag, `${frag.name}[i] = i % 2 == 0 ? low(${taken}[i / 2]) : high(${taken}[i / 2]);`);
    draft.to('ahead');
    after.add({
      kind: 'call', fn: 'pipe_ahead', shape: [], args: [after.address(piece), cell.at, cell.rowStride, cell.rows, cell.cols, 't'],
      writes: [{ piece, by: 'owner' }],
    });
    draft.to('here');
  }
  // What follows the loops is said again and again, and the ring is filled meanwhile.
  draft.to('after');
  after.add({ kind: 'hold', piece: outlet.piece });
  for (const tile of sums.values()) after.note(tile);
  const [pointwise, others] = elementsFirst(kernel, body.filter((stmt) => !own.some((one) => one === stmt) && !ahead.has(stmt)));
  straightText(cx, after, pointwise, { place, split });
  const store = () => outlet.later.splice(0).forEach(after.add);
  store();
  straightText(cx, after, others, { place, split });
  store();
  after.add({ kind: 'hold', piece: ring });
  after.add({ kind: 'hold', piece: outlet.piece });
  after.add({ kind: 'loop', edge: 'end' });
}

/** Those that a store needs, `slopes` in one piece. */
function live(body: readonly TileStmt[], slopes: ReadonlyMap<TileId, TileId>): readonly TileStmt[] {
  const read = new Set<TileId>();
  const kept = [...body].reverse().filter((stmt) => {
    if (stmt.kind === 'let' && !read.has(stmt.tile)) return false;
    const slope = stmt.kind === 'let' ? slopes.get(stmt.tile) : undefined;
    for (const tile of slope !== undefined ? [slope] : tilesReadBy(stmt)) read.add(tile);
    return true;
  });
  return kept.reverse();
}

/** What is pointwise in matrices, and what folds them, with all that needs that. */
function elementsFirst(kernel: TileKernel, body: readonly TileStmt[]): readonly [readonly TileStmt[], readonly TileStmt[]] {
  const late = new Set<TileId>();
  const isLate = (stmt: TileStmt): boolean => {
    if (tilesReadBy(stmt).some((tile) => late.has(tile))) return true;
    if (stmt.kind === 'store') return kernel.tiles[stmt.value].axes.length !== 2;
    return stmt.kind !== 'let' || (operandsOf(stmt.op).length > 0 && !isPointwise(stmt.op));
  };
  const parts: [TileStmt[], TileStmt[]] = [[], []];
  for (const stmt of body) {
    if (isLate(stmt) && stmt.kind === 'let') late.add(stmt.tile);
    parts[isLate(stmt) ? 1 : 0].push(stmt);
  }
  return parts;
}
