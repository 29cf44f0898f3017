import { ROW, sameAxes, withoutAxes, type Axis } from '../../ir/common/axes.js';
import { buffersRead } from '../../ir/tile/buffers.js';
import { hasRole, operandsOf } from '../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLoop, TileModule, TileOp } from '../../ir/tile/tile.js';
import type { Home } from './homes.js';
import { cellAxes, structureOf, type Structure, type User } from './structure.js';

/** The part of a matrix product that one invocation holds in registers: `rows` x `cols` elements, neighbours in memory along `col`. */
export interface MicroTile {
  readonly row: Axis | undefined;
  readonly rows: number;
  readonly col: Axis;
  readonly cols: number;
}

/**
 * A product of what lies in device memory. A workgroup brings panels of both operands, some steps of the folded axis at a time, to its own
 * memory, and its invocations add to the registers of one micro-tile each.
 */
export interface PanelProduct {
  readonly tile: TileId;
  readonly op: Extract<TileOp, { op: 'contract' }>;
  /** Whose registers these are: those of the product, or of the tile of a loop that sums such products. */
  readonly into: TileId;
}

export interface Panels {
  readonly products: ReadonlyMap<TileId, PanelProduct>;
  /** The micro-tile of what lies in registers, `into` of the products. */
  readonly held: ReadonlyMap<TileId, MicroTile>;
  /** Sums over loops: what adds to them is no statement of its own. */
  readonly sums: ReadonlySet<TileId>;
  /** Operands that nothing else reads: they come from device memory right into their panels. */
  readonly brought: ReadonlySet<TileId>;
}

export const NO_PANELS: Panels = { products: new Map(), held: new Map(), sums: new Set(), brought: new Set() };

/** Registers of an invocation for results: 8 x 8. */
const REGISTERS = 64;
/** Blocks that a sum over rows has, if its axes are long enough. */
const BLOCKS = 16;
/** Elements of a micro-tile along an axis; panels are read by fours. */
const SIDES = [4, 8];

/** What is known of a product before the widths of blocks. */
interface Candidate extends PanelProduct {
  readonly row: Axis;
  readonly col: Axis;
}

/** The products of a kernel that go through panels, if a workgroup of so many invocations can hold all their results. */
export function panelsOf(s: Structure, workgroup: number): Panels {
  const candidates = candidatesIn(s);
  const held = new Map<TileId, MicroTile>();
  for (const { into, row, col } of candidates) {
    const micro = microTile(s, row, col, workgroup);
    if (micro === undefined) return NO_PANELS;
    held.set(into, micro);
  }
  const registers = [...held.values()].reduce((n, { rows, cols }) => n + rows * cols, 0);
  if (candidates.length === 0 || registers > REGISTERS) return NO_PANELS;
  const sums = candidates.flatMap(({ tile, into }) => (tile === into ? [] : (s.users.get(tile) ?? []).flatMap(
    (user) => (user.kind === 'let' ? [tile, user.tile, into] : [])
  )));
  const products = new Map(candidates.map((product) => [product.tile, product]));
  const operands = candidates.flatMap(({ op }) => [op.a, op.b]);
  const brought = operands.filter((tile) => s.users.get(tile)?.every((user) => user.kind === 'let' && products.has(user.tile)));
  return { products, held, sums: new Set(sums), brought: new Set(brought) };
}

/** Widths of blocks at which the products of a kernel go through panels, the widest first. */
export function panelWidths(module: TileModule, kernel: TileKernel, runs: number): readonly ReadonlyMap<Axis, number>[] {
  const s = structureOf(module, kernel, new Map());
  const candidates = candidatesIn(s);
  const [first] = candidates;
  const { split } = kernel;
  if (first === undefined || split === undefined) return [];
  const count = new Set(candidates.map(({ into }) => into)).size;
  const widths = (axis: Axis, most: number) => (
    divisors(s.whole(axis)).filter((n) => n <= most && n % 4 === 0 && n % runs === 0).reverse()
  );
  const { row, col } = first;
  const other = row === split ? col : row;
  const cuts = (axis: Axis) => axis !== ROW && onlySums(s, candidates);
  const tried = (first.op.axis === ROW ? [Infinity, 64, 32, 16] : [Infinity]).map((side) => {
    const across = cuts(other) ? widths(other, Math.min(side, 64))[0] : s.whole(other);
    return { across, along: widths(split, Math.min(side, Math.floor((REGISTERS * 64) / across / count))) };
  });
  // Sums go through rows one after the other: many workgroups are those of many blocks only.
  const enough = tried.find((one) => (s.whole(other) / one.across) * (s.whole(split) / one.along[0]) >= BLOCKS);
  const { across, along } = enough ?? tried[tried.length - 1];
  return along.map((width) => new Map([[split, width], ...(cuts(other) ? [[other, across] as const] : [])]));
}

function divisors(n: number): readonly number[] {
  return Array.from({ length: n }, (_, i) => i + 1).filter((m) => n % m === 0);
}

/** The smallest micro-tile with which every invocation has one at most. */
function microTile(s: Structure, row: Axis, col: Axis, workgroup: number): MicroTile | undefined {
  const fits = SIDES.flatMap((rows) => SIDES.map((cols): MicroTile => ({ row, rows, col, cols }))).filter(({ rows, cols }) => (
    s.size(row) % rows === 0 && s.size(col) % cols === 0 && (s.size(row) / rows) * (s.size(col) / cols) <= workgroup
  ));
  return fits.sort((a, b) => a.rows * a.cols - b.rows * b.cols || b.rows - a.rows)[0];
}

/** Heads have small products, whose operands workgroup memory holds: panels are for what is there once. */
function candidatesIn(s: Structure): readonly Candidate[] {
  if (s.kernel.inner !== 'once') return [];
  // Results along the same axes lie in registers alike, so that one loop can read them.
  const sides = new Map<string, Pick<Candidate, 'row' | 'col'>>();
  return s.order.flatMap((tile): readonly Candidate[] => {
    const definition = s.definitions.get(tile);
    const op = definition?.op;
    if (definition === undefined || op?.op !== 'contract') return [];
    const [left, right] = [op.a, op.b].map((arg) => withoutAxes(s.axes(arg), [op.axis]));
    const fits = left.length === 1 && right.length === 1 && left[0] !== right[0];
    if (!fits || [op.axis, ...left, ...right].some((axis) => s.whole(axis) % 4 !== 0)) return [];
    if (![op.a, op.b].every((arg) => s.axes(arg).includes(op.axis) && fromMemory(s, arg))) return [];
    const into = definition.loops.length === 0 ? tile : op.axis === ROW ? sumOf(s, tile, definition.loops) : undefined;
    if (into === undefined) return [];
    const space = [left[0], right[0]].sort().join(' ');
    const col = sides.get(space)?.col ?? lastAxis(s, into);
    const row = left[0] === col ? right[0] : left[0];
    sides.set(space, { row, col });
    return [{ tile, op, into, row, col }];
  });
}

/** Rows beyond those that are there are 0 where they are loaded: nothing is left to be done for `keep`. */
export function sourceOf(s: Structure, tile: TileId): TileId {
  const op = s.definitions.get(tile)?.op;
  const of = op?.op === 'keep' ? s.definitions.get(op.arg)?.op : undefined;
  const alone = of !== undefined && op?.op === 'keep' && s.users.get(op.arg)?.length === 1;
  return alone && (of.op === 'load' || of.op === 'gather') && of.rows === 'row' ? op.arg : tile;
}

/**
 * Tensors of which a kernel reads nothing but panels of four neighbours at a time. Their cells begin at fours, since their last axes have
 * whole fours.
 */
export function readByFours(s: Structure, { products, brought }: Panels): ReadonlySet<string> {
  const found = new Map<string, boolean>();
  const sides = new Map([...products.values()].flatMap(({ op }) => [op.a, op.b].map((tile) => (
    [sourceOf(s, tile), brought.has(tile) ? s.axes(tile).find((axis) => axis !== op.axis) : undefined] as const
  ))));
  for (const [tile, { op }] of s.definitions) {
    for (const name of op === undefined ? [] : buffersRead(op)) {
      const { axes, inner } = s.buffer(name);
      const last = axes.at(-1);
      const vector = last !== undefined && s.whole(last) % 4 === 0 && inner === 'once' && sides.get(tile) === last;
      const fours = vector && op !== undefined && hasRole(op, 'load') && op.buffer === name;
      found.set(name, fours && found.get(name) !== false);
    }
  }
  return new Set([...found].filter(([, fours]) => fours).map(([name]) => name));
}

/** Are elements worked out from device memory alone? */
export function fromMemory(s: Structure, tile: TileId, seen = new Set<TileId>()): boolean {
  if (seen.has(tile)) return true;
  seen.add(tile);
  const op = s.definitions.get(tile)?.op;
  if (op === undefined) return false;
  if (hasRole(op, 'load')) return buffersRead(op).every((buffer) => !s.stored.has(buffer));
  return hasRole(op, 'free') || (hasRole(op, 'pointwise') && operandsOf(op).every((arg) => fromMemory(s, arg, seen)));
}

/** The tile of a loop over chunks that begins at 0, to which `term` and nothing else is added, and that only stores read behind it. */
function sumOf(s: Structure, term: TileId, loops: readonly TileLoop[]): TileId | undefined {
  const [loop] = loops;
  const [user, ...others] = s.users.get(term) ?? [];
  if (loops.length !== 1 || loop.over !== 'chunks' || loop.only !== undefined || others.length > 0) return undefined;
  if (user?.kind !== 'let' || user.op.op !== 'map' || user.op.fn !== 'add') return undefined;
  const carry = loop.carry.find(({ next }) => next === user.tile);
  if (carry === undefined || s.definitions.get(carry.init)?.op?.op !== 'zeros' || s.users.get(user.tile)?.length !== 1) return undefined;
  if (!user.op.args.includes(carry.tile) || !sameAxes(s.axes(carry.tile), s.axes(term))) return undefined;
  const behind = (s.users.get(carry.tile) ?? []).filter((reader) => reader.kind !== 'let' || reader.tile !== user.tile);
  return behind.every((reader) => reader.loops.length === 0 && readsAlike(s, reader, carry.tile)) ? carry.tile : undefined;
}

/** Does a reader read a tile only at the indices that it writes itself, up to stores? `homes`: of tiles that were looked at. */
function readsAlike(
  s: Structure, user: User, tile: TileId, homes?: ReadonlyMap<TileId, Home>,
): boolean {
  switch (user.kind) {
    case 'store': return sameAxes(cellAxes(s, user.stmt, user.loops), s.axes(tile));
    case 'init': case 'next': return false;
    case 'let':
      if (!hasRole(user.op, 'pointwise') || !sameAxes(s.axes(user.tile), s.axes(tile))) return false;
      return homes?.get(user.tile) === 'array' || (s.users.get(user.tile) ?? []).every((next) => readsAlike(s, next, user.tile, homes));
  }
}

/**
 * Is it what is worked out from a product for readers at other indices, while the product itself has none? Then it lies in memory, and the
 * product in registers.
 */
export function endsHeld(s: Structure, { products }: Panels, tile: TileId, homes: ReadonlyMap<TileId, Home>): boolean {
  const alike = (user: User, of: TileId) => (
    user.kind !== 'let' || (hasRole(user.op, 'pointwise') && sameAxes(s.axes(user.tile), s.axes(of)))
  );
  // Values with several readers are looked at once: there are as many ways to them as doublings of their readers.
  const seen = new Set<TileId>();
  const reads = (one: TileId): boolean => {
    if (seen.has(one)) return false;
    seen.add(one);
    const op = s.definitions.get(one)?.op;
    if (products.has(one)) return (s.users.get(one) ?? []).every((user) => alike(user, one));
    return op !== undefined && hasRole(op, 'pointwise') && operandsOf(op).some((arg) => sameAxes(s.axes(arg), s.axes(one)) && reads(arg));
  };
  return !products.has(tile) && reads(tile) && (s.users.get(tile) ?? []).some((user) => !readsAlike(s, user, tile, homes));
}

/** Do registers alone give a product to all its readers? */
export function onlyHeld(s: Structure, tile: TileId, homes: ReadonlyMap<TileId, Home>): boolean {
  return (s.users.get(tile) ?? []).every((user) => readsAlike(s, user, tile, homes));
}

/** Where neighbours of a result lie: the last axis of a buffer that it is stored to. */
function lastAxis(s: Structure, tile: TileId): Axis {
  const store = s.users.get(tile)?.find((user) => user.kind === 'store');
  const axes = store?.kind === 'store' ? s.buffer(store.stmt.buffer).axes : s.axes(tile);
  return axes.at(-1) ?? ROW;
}

/** Operations that mean the same whatever block of their axes a workgroup has. */
const ANYWHERE = ['zeros', 'literal', 'load', 'gather', 'keep', 'map', 'round'];

/** Does a kernel nothing but sum products over rows, so that blocks of both their axes can be had apart? */
function onlySums(s: Structure, candidates: readonly Candidate[]): boolean {
  const [products, sums] = [new Set(candidates.map(({ tile }) => tile)), new Set(candidates.map(({ into }) => into))];
  return candidates.every(({ tile, into }) => tile !== into) && [...s.definitions.values()].every(({ tile, op }) => (
    op === undefined ? sums.has(tile) : products.has(tile) || ANYWHERE.includes(op.op)
  ));
}
