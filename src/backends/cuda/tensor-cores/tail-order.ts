import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { tilesReadBy } from '../uses.js';
import { isDscore } from './joined-decays.js';

/** What threads come to together, through shared memory. */
export const isFold = (op: TileOp) => op.op === 'reduce' || op.op === 'runs' || (op.op === 'cumsum' && !op.decays);

/**
 * The kernel with folds, and what is made of them, behind its products of matrices, scores and solves, folds beside folds: threads that
 * meet for one meet for all. Whatever else only these wait for comes with them, unless it takes the place of something in registers.
 * Within a turn everything keeps its order. `matrices`: those made of folds wait, too, with all that they are made of; else their folds
 * stay where they are.
 */
export function foldsTogether(kernel: TileKernel, matrices: boolean): TileKernel {
  const { tiles, body } = kernel;
  if (body.some((stmt) => stmt.kind === 'loop')) return kernel;
  const defs = new Map(body.flatMap((stmt): [TileId, TileLet][] => (stmt.kind === 'let' ? [[stmt.tile, stmt]] : [])));
  const readers = new Map<TileId, TileStmt[]>();
  for (const stmt of body) for (const tile of new Set(tilesReadBy(stmt))) readers.set(tile, [...(readers.get(tile) ?? []), stmt]);
  const isMatrix = (tile: TileId) => tiles[tile].axes.length === 2;
  const first = new Set<TileStmt>();
  const need = (stmt: TileLet | undefined): void => {
    if (stmt === undefined || first.has(stmt)) return;
    first.add(stmt);
    operandsOf(stmt.op).forEach((tile) => need(defs.get(tile)));
  };
  for (const stmt of defs.values()) if (isHeavy(stmt, isMatrix)) need(stmt);
  const late = new Set<TileStmt>();
  const isLate = (tile: TileId): boolean => {
    const def = defs.get(tile);
    return def !== undefined && late.has(def);
  };
  const leadsToMatrix = new Set<TileId>();
  for (const stmt of matrices ? [] : [...body].reverse()) {
    if (stmt.kind !== 'let') continue;
    const own = leadsToMatrix.has(stmt.tile) && !isMatrix(stmt.tile);
    if (own || isMatrix(stmt.tile)) operandsOf(stmt.op).forEach((tile) => leadsToMatrix.add(tile));
  }
  const waits = (stmt: TileStmt) => (
    stmt.kind === 'let' && isFold(stmt.op) && !leadsToMatrix.has(stmt.tile) && (matrices || !isMatrix(stmt.tile))
  );
  for (const stmt of body) {
    if (!first.has(stmt) && (waits(stmt) || tilesReadBy(stmt).some(isLate))) late.add(stmt);
  }
  /** Does the statement end the life of something that lies in registers alone? */
  const replaces = ({ op }: TileLet) => operandsOf(op).some((tile) => {
    const def = defs.get(tile);
    return isMatrix(tile) && readers.get(tile)?.length === 1 && def !== undefined && def.op.op !== 'load' && !late.has(def);
  });
  for (const stmt of [...body].reverse()) {
    if (stmt.kind !== 'let' || first.has(stmt) || late.has(stmt) || !isMatrix(stmt.tile) || replaces(stmt)) continue;
    if ((readers.get(stmt.tile) ?? []).every((reader) => late.has(reader))) late.add(stmt);
  }
  if ([...late].filter((stmt) => stmt.kind === 'let' && isFold(stmt.op)).length < 2) return kernel;
  const turns = new Map<TileId, number>();
  /** The turn in which a tile can be read. */
  const from = (tile: TileId, byMatrix: boolean): number => {
    const [turn, def] = [turns.get(tile), defs.get(tile)];
    if (turn === undefined || def === undefined) return 0;
    return turn + (isFold(def.op) || (byMatrix && tiles[tile].axes.length === 1) ? 1 : 0);
  };
  const behind = body.filter((stmt) => late.has(stmt)).map((stmt) => {
    const turn = Math.max(0, ...tilesReadBy(stmt).map((tile) => from(tile, stmt.kind === 'let' && isMatrix(stmt.tile))));
    if (stmt.kind === 'let') turns.set(stmt.tile, turn);
    return { stmt, turn };
  });
  // Of vectors at the end of a turn: what other threads read is there for all of them, then.
  const ofVectors = (stmt: TileStmt) => stmt.kind === 'let' && isFold(stmt.op) && !operandsOf(stmt.op).some(isMatrix) ? 1 : 0;
  const inTurns = [...behind].sort((a, b) => a.turn - b.turn || ofVectors(a.stmt) - ofVectors(b.stmt)).map(({ stmt }) => stmt);
  return { ...kernel, body: [...body.filter((stmt) => !late.has(stmt)), ...inTurns] };
}

function isHeavy({ tile, op }: TileLet, isMatrix: (tile: TileId) => boolean): boolean {
  switch (op.op) {
    case 'inverse': case 'compose': return true;
    case 'contract': return isMatrix(tile);
    case 'cumsum': return op.decays;
    default: return isDscore(op);
  }
}
