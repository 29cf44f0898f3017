import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileLoop, TileOp, TileStmt, TileStore } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { bufferNamed, type Place } from '../address.js';
import type { CudaContext } from '../lowered.js';
import { refused, type Refused } from '../refused.js';
import { padded } from './forms.js';
import { definitions, fusedSums } from './kernel.js';
import { cellOf, loadCell, type Cell, type Load } from './memory.js';
import { runPlace } from '../prologue.js';
import { nearIn, type Near } from './walk-near.js';

/** A kernel that carries matrices, split along an axis of theirs, around one loop. */
export interface Walk {
  readonly kernel: TileKernel;
  readonly split: Axis;
  readonly loop: TileLoop;
  readonly before: readonly TileStmt[];
  readonly after: readonly TileStmt[];
}

/** A walk, its statements divided between the team that loads and the team that walks. */
export interface Division extends Walk {
  readonly defs: ReadonlyMap<TileId, TileOp>;
  /** Of the loop: what depends on the state or on the split axis, and what does not. */
  readonly chain: readonly TileLet[];
  readonly ahead: readonly TileLet[];
  readonly aheadTiles: ReadonlySet<TileId>;
  /** Of the chain: loads that the walk makes itself, some at a time, since all of them would not fit in a stage. */
  readonly late: ReadonlySet<TileId>;
  /** Of the chain: loads of rows near each other, which come as one tile. */
  readonly near: readonly Near[];
  /** Stores of what the walk computes, and of what is worked out ahead. */
  readonly outputs: readonly TileStore[];
  readonly aside: readonly TileStore[];
  /** Tiles made ahead that the walk reads. */
  readonly exported: ReadonlySet<TileId>;
  /** Products taken over by sums (fusedSums). */
  readonly sums: ReturnType<typeof fusedSums>;
  /** Places outside and inside the loop. */
  readonly outside: Place;
  readonly inside: Place;
  /** Numbers that every team makes for itself. */
  trivial(tile: TileId): boolean;
  /** The tile that this one is, or is the transpose of. */
  source(tile: TileId): TileId;
  /** A load whose bytes go to shared memory as they are. */
  isRaw(stmt: TileStmt): stmt is TileLet & { readonly op: Load };
  cellOfStore(cx: CudaContext, stmt: TileStore): Cell;
}

export interface DivisionOptions {
  /** f32 matrices along the split axis are loaded ahead too, rather than where the walk asks for them. */
  readonly arrays: boolean;
  /** Tokens by tokens (scores, solves) are loaded by the walk itself: their number grows with the square of the erases. */
  readonly squaresLate: boolean;
}

export function walkOf(cx: CudaContext, kernel: TileKernel): Walk | Refused {
  const { split } = kernel;
  if (split === undefined) return refused('a walk without a split axis');
  const loops = kernel.body.filter((stmt) => stmt.kind === 'loop');
  const [loop] = loops;
  if (
    loops.length !== 1 || loop === undefined || (loop.over !== 'chunks' && loop.over !== 'segments')
  ) return refused('a walk needs one loop over chunks or segments');
  if (loop.body.some((stmt) => stmt.kind === 'loop')) return refused('nested loops');
  const odd = loop.carry.find(({ tile }) => kernel.tiles[tile].axes.length !== 2 || !kernel.tiles[tile].axes.includes(split));
  if (odd !== undefined) return refused(`a carried tile [${kernel.tiles[odd.tile].axes.join()}]`);
  const registers = carriedRegisters(cx, kernel, split, loop);
  if (registers > MOST_CARRIED) return refused(`states of ${registers} registers a thread`);
  const before = kernel.body.slice(0, kernel.body.indexOf(loop));
  const after = kernel.body.slice(kernel.body.indexOf(loop) + 1);
  if (before.some((stmt) => stmt.kind === 'store')) return refused('a store before the walk');
  const whole = after.some((stmt) => stmt.kind === 'store' && !bufferNamed(cx.module, stmt.buffer).axes.includes(split));
  if (whole) return refused(`a last value without ${split}`);
  return { kernel, split, loop, before, after };
}

/** Registers of carried states that a thread has room for beside what a chunk takes. */
const MOST_CARRIED = 128;

/** Registers of a thread that hold the states of a walk: 64 channels of the split axis to 128 threads. */
export function carriedRegisters({ module }: CudaContext, { tiles }: TileKernel, split: Axis, { carry }: TileLoop): number {
  return carry.reduce((sum, { tile }) => {
    const other = tiles[tile].axes.find((axis) => axis !== split);
    return sum + (other === undefined ? 0 : padded(axisSize(module, other)) / 2);
  }, 0);
}

export function divide(cx: CudaContext, given: Walk, { arrays, squaresLate }: DivisionOptions): Division {
  const { kernel, split, loop, before } = given;
  const defs = definitions(kernel);
  const { segment, chunk } = kernel.domain;
  const outside: Place = { ...runPlace(kernel), ...(kernel.outer === 'segment' && { segment }) };
  const inside: Place = {
    ...outside, ...(loop.over === 'segments' ? { segment } : { chunk, first: 'first', length: 'length' }),
  };

  const near = nearIn(cx, kernel, loop, split, { ...inside, segment: '' });
  const isNear = (tile: TileId) => near.some(({ loads }) => loads.has(tile));
  const isRaw = (stmt: TileStmt): stmt is TileLet & { readonly op: Load } => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load' || isNear(stmt.tile)) return false;
    const cell = loadCell(cx, stmt.op, { ...inside, segment: '' }, split);
    return cell.axes.length < 2 || cell.copied === 'tile' || (arrays && cell.copied === 'array' && cell.axes.includes(split));
  };
  const late = squaresLate ? squares(cx, kernel, loop, inside) : new Set<TileId>();
  const walking = new Set<TileId>([...loop.carry.map((c) => c.tile), ...late]);
  for (const stmt of before) if (stmt.kind === 'let' && kernel.tiles[stmt.tile].axes.includes(split)) walking.add(stmt.tile);
  const chain: TileLet[] = [];
  const ahead: TileLet[] = [];
  // A running sum is 64 additions in a row, which the walk does not wait for if it gets them as an array.
  const isSumAhead = ({ op }: TileLet) => op.op === 'cumsum' && (op.reverse || !op.exclusive) && ahead.some(
    (stmt) => stmt.tile === op.arg && isRaw(stmt) && kernel.tiles[stmt.tile].axes.length === 2
  );
  for (const stmt of loop.body) {
    if (stmt.kind !== 'let' || near.some(({ unread }) => unread.has(stmt.tile))) continue;
    const walks = kernel.tiles[stmt.tile].axes.includes(split) || operandsOf(stmt.op).some((arg) => walking.has(arg));
    if (late.has(stmt.tile) || (!isRaw(stmt) && walks && !isSumAhead(stmt))) {
      walking.add(stmt.tile);
      chain.push(stmt);
    } else ahead.push(stmt);
  }
  const aheadTiles = new Set(ahead.map((stmt) => stmt.tile));
  const trivial = (tile: TileId) => ['literal', 'head', 'heads'].includes(defs.get(tile)?.op ?? '');
  const stores = loop.body.filter((stmt) => stmt.kind === 'store');
  const isOutput = (stmt: TileStore) => bufferNamed(cx.module, stmt.buffer).axes.includes(split);
  const outputs = stores.filter(isOutput);
  const source = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'swap' ? source(op.arg) : tile;
  };
  const wanted = [
    ...chain.flatMap((stmt) => operandsOf(stmt.op)), ...outputs.map((stmt) => stmt.value), ...loop.carry.map(({ next }) => next)
  ];
  // A sum takes over a product of its own team only.
  const sums = new Map([...fusedSums(
    kernel, loop.body, holdsUp(loop),
  )].filter(([sum, { product }]) => aheadTiles.has(sum) === aheadTiles.has(product)));
  return {
    ...given, defs, chain, ahead, aheadTiles, late, near, outputs, sums, outside, inside, trivial, source, isRaw,
    aside: stores.filter((stmt) => !isOutput(stmt)),
    exported: new Set(wanted.map(source).filter((id) => aheadTiles.has(id) && !trivial(id))),
    cellOfStore(context, stmt) {
      const buffer = bufferNamed(context.module, stmt.buffer);
      return cellOf(context, { buffer }, isRows(buffer) ? ROW : undefined, inside, isOutput(stmt) ? split : undefined);
    },
  };
}

/** Loads of 16-bit matrices, tokens by tokens, that only products with what walks read. */
function squares(cx: CudaContext, kernel: TileKernel, loop: TileLoop, inside: Place): ReadonlySet<TileId> {
  const { split } = kernel;
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const readers = (tile: TileId): readonly TileStmt[] => loop.body.flatMap((stmt) => {
    if (stmt.kind === 'store') return stmt.value === tile ? [stmt] : [];
    if (stmt.kind !== 'let' || !operandsOf(stmt.op).includes(tile)) return [];
    return stmt.op.op === 'swap' ? readers(stmt.tile) : [stmt];
  });
  const walks = (stmt: TileStmt) => stmt.kind === 'let'
    && stmt.op.op === 'contract'
    && split !== undefined
    && axesOf(stmt.tile).includes(split);
  return new Set(loop.body.flatMap((stmt) => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load') return [];
    const square = [ROW, COL].every((axis) => axesOf(stmt.tile).includes(axis)) && loadCell(
      cx, stmt.op, { ...inside, segment: '' }, split,
    ).copied === 'tile';
    return square && readers(stmt.tile).every(walks) ? [stmt.tile] : [];
  }));
}

/** Definitions before the loop that a team reads, directly or not. */
export function needed(lets: readonly TileLet[], more: readonly TileId[], before: readonly TileStmt[]): ReadonlySet<TileId> {
  const want = new Set<TileId>([...lets.flatMap((stmt) => operandsOf(stmt.op)), ...more]);
  for (const stmt of [...before].reverse()) if (
    stmt.kind === 'let' && want.has(stmt.tile)
  ) for (const arg of operandsOf(stmt.op)) want.add(arg);
  return want;
}

/** Sums on the way from one carried value to the next whose product need not wait for it: taken over, it would stand in the way. */
function holdsUp(loop: TileLoop): (sum: TileId, product: TileId, other: TileId) => boolean {
  const lets = loop.body.filter((stmt) => stmt.kind === 'let');
  const from = new Set<TileId>(loop.carry.map((c) => c.tile));
  // What comes of a carried value through a product comes late.
  const late = new Set<TileId>();
  for (const { tile, op } of lets) {
    if (operandsOf(op).some((arg) => from.has(arg))) from.add(tile);
    if (operandsOf(op).some((arg) => late.has(arg) || (op.op === 'contract' && from.has(arg)))) late.add(tile);
  }
  const onward = new Set<TileId>(loop.carry.map((c) => c.next));
  for (const { tile, op } of [...lets].reverse()) if (onward.has(tile)) for (const arg of operandsOf(op)) onward.add(arg);
  return (sum, product, other) => onward.has(sum) && !from.has(product) && late.has(other);
}
