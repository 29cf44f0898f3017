import { COL, ROW, unionAxes, type Axis } from '../../../ir/common/axes.js';
import { storedBuffers } from '../../../ir/tile/buffers.js';
import { isRows } from '../../../ir/tile/domain.js';
import type { TileId, TileKernel, TileLoop, TileModule, TileOp } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { bufferNamed } from '../address.js';
import { eachStatement, usesOf } from '../uses.js';
import { nearValues, type NearValues } from './near.js';
import { turnsOf, type Turns } from './turns.js';
import { windowsOf, type Window } from './windows.js';

/**
 * Axes that are spread over threads together, the last one fastest. A thread holds `regs` elements of them: pieces of `vec` neighbours,
 * `threads * vec` apart. Several axes: one piece.
 */
export interface Group {
  /** C names end in it. */
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly role: 'lane' | 'warp';
  readonly threads: number;
  readonly vec: number;
  readonly regs: number;
  /** Elements in all. */
  readonly total: number;
  /** Spread over the blocks of the grid too. */
  readonly cut: boolean;
}

/**
 * How a loop whose iterations add (multiply) up is shared out: the carried tile, what each iteration brings, and whether lanes hold parts
 * of its sum.
 */
export interface SharedLoop {
  readonly loop: TileLoop;
  readonly parts: readonly { readonly tile: TileId; readonly by: 'add' | 'mul'; readonly value: TileId; readonly acrossLanes: boolean }[];
  /** Iterations go to every thread, not to every warp. */
  readonly perThread: boolean;
  /** Iterations whose loads are under way together. */
  readonly atOnce: number;
}

export interface Layout {
  readonly groups: readonly Group[];
  /** Threads of a block, and how many of them are neighbours along lane axes. */
  readonly threads: number;
  readonly lanes: number;
  /** Blocks per cell of the grid, and how many pieces each makes. */
  readonly blocks: number;
  readonly pieces?: number;
  readonly shared: SharedLoop | undefined;
  /** The rows come some at a time. */
  readonly turns?: Turns;
  /** Rows of a buffer that a thread takes once for several loads: its own, and so many before and after them. */
  readonly windows?: ReadonlyMap<string, Window>;
  /** What is made of them for several tiles at once. */
  readonly near?: NearValues;
  /** Warps that a multiprocessor should have room for. */
  readonly warpsAtOnce?: number;
}

/** A thread should not hold more of one tile: the rest would be spilled. */
const MOST_REGISTERS = 64;
const WARP = 32;
/**
 * Pieces of a chunk that a block makes where nothing meets anything: a thread that waits for 8 bytes only, behind two tables that say where
 * they lie, keeps half of the bytes in flight that memory takes.
 */
const PIECES = 4;
/** Sums of a thread beside which registers last for what eight iterations load. */
const MOST_SUMMED = 12;
/** Blocks that share the columns of a segment, before they are wider. */
const FEWEST_BLOCKS = 4;
/** Rows of a thread that do not meet others. */
const ROWS_AT_ONCE = 2;
/** Rows and columns of a thread that shares what it reads among its rows. */
const SLIDING = { rows: 4, columns: 4 };
/** Warps that wait for each other's memory while their turns ask for 16 rows at once: 128 registers for each thread. */
const ROLLING_WARPS = 16;
/** Where it sums over them: one turn's of many that follow each other, from which it keeps what the next one shares. */
const SUMMED = { rows: 8, columns: 2 };

interface Survey {
  readonly axes: readonly Axis[];
  /** Axes of tiles, of products and of buffer accesses. */
  readonly together: readonly (readonly Axis[])[];
  readonly folded: ReadonlySet<Axis>;
  /** Rows meet: sums along them, recurrences, shifts. */
  readonly rowsMeet: boolean;
  /** By more than sums. */
  readonly inOrder: boolean;
  readonly loops: readonly TileLoop[];
  readonly nested: boolean;
}

function survey(module: TileModule, kernel: TileKernel): Survey | undefined {
  const together: (readonly Axis[])[] = [];
  const folded = new Set<Axis>();
  let [rowsMeet, nested, fits] = [false, false, true];
  const access = (name: string, token: boolean) => {
    const buffer = bufferNamed(module, name);
    together.push(isRows(buffer) && !token ? [ROW, ...buffer.axes] : buffer.axes);
  };
  let tokens = false;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind === 'loop' && stmt.over === 'rows') tokens = true;
  });
  eachStatement(kernel.body, (stmt, depth) => {
    if (stmt.kind === 'loop') {
      nested ||= depth > 0;
      // Nobody ends its loops early.
      fits &&= stmt.while === undefined;
    }
    if (stmt.kind === 'store') {
      access(stmt.buffer, tokens);
      fits &&= stmt.by === undefined;
    }
    if (stmt.kind !== 'let') return;
    const { op } = stmt;
    together.push(kernel.tiles[stmt.tile].axes);
    switch (op.op) {
      case 'load':
        fits &&= op.rows !== 'col';
        access(op.buffer, op.rows === 'one');
        break;
      case 'reduce':
        folded.add(op.axis);
        break;
      case 'contract':
        folded.add(op.axis);
        fits &&= !isProduct(kernel.tiles[op.a].axes, kernel.tiles[op.b].axes, op.axis);
        together.push(unionAxes(kernel.tiles[op.a].axes, kernel.tiles[op.b].axes));
        break;
      case 'recur': case 'shift': case 'pick': case 'cumsum': rowsMeet = true; fits &&= op.op !== 'cumsum' || op.axis === undefined; break;
      case 'literal': case 'zeros': case 'head': case 'heads': case 'keep': case 'round': case 'map': case 'put': break;
      default: fits = false;
    }
  });
  const axes = unionAxes(...together);
  if (!fits || nested || axes.includes(COL)) return undefined;
  const loops = kernel.body.filter((stmt): stmt is TileLoop => stmt.kind === 'loop');
  return { axes, together, folded, rowsMeet: rowsMeet || folded.has(ROW), inOrder: rowsMeet, loops, nested };
}

/** Each factor has an axis that the other lacks: a product of matrices, which shared memory serves better. */
export function isProduct(a: readonly Axis[], b: readonly Axis[], axis: Axis): boolean {
  const own = (x: readonly Axis[], y: readonly Axis[]) => x.some((candidate) => candidate !== axis && !y.includes(candidate));
  return own(a, b) && own(b, a);
}

/** How to spread the tiles of a kernel over registers, if that can be done: no tile may need two token axes or a product of matrices. */
export function layoutOf(module: TileModule, kernel: TileKernel): Layout | undefined {
  const s = survey(module, kernel);
  if (s === undefined) return undefined;
  return sharedLayout(module, kernel, s) ?? slidingLayout(module, kernel, s) ?? flatLayout(module, kernel, s)
    ?? rowsLayout(module, kernel, s) ?? matrixLayout(module, kernel, s);
}

/** Neighbours per access such that pieces of `threads` of them leave the fewest threads idle. */
function piecesOf(size: number, threads: number, most = 4): { vec: number; regs: number } {
  const options = [4, 2, 1].filter(
    (vec) => vec <= most && size % vec === 0
  ).map((vec) => ({ vec, regs: Math.ceil(size / (threads * vec)) * vec }));
  return options.reduce((best, option) => (option.regs < best.regs ? option : best));
}

const sizeOf = (module: TileModule, axes: readonly Axis[]) => axes.reduce((n, axis) => n * axisSize(module, axis), 1);
const lastSize = (module: TileModule, axes: readonly Axis[]) => (axes.length === 0 ? 1 : axisSize(module, axes[axes.length - 1]));
/** An axis as a part of C names. */
export const axisName = (axis: Axis) => axis.replace("'", '_twin').replace('/', '_by_').replace(/\W/g, '_');
const nameOf = (axes: readonly Axis[]) => axes.map(axisName).join('_');

/** Several axes as one run over `threads`: one piece per thread, as many blocks as that takes. */
function flatGroup(module: TileModule, axes: readonly Axis[], threads: number, most = 4): Group {
  const total = sizeOf(module, axes);
  const vec = [4, 2, 1].find((n) => n <= most && lastSize(module, axes) % n === 0 && total >= threads * n) ?? 1;
  return { name: nameOf(axes), axes, role: 'lane', threads, vec, regs: vec, total, cut: total > threads * vec };
}

const blocksOf = (groups: readonly Group[]) => groups.reduce((n, g) => n * (g.cut ? Math.ceil(g.total / (g.threads * g.regs)) : 1), 1);

/** Loops over chunks or segments that only add or multiply up: their iterations go to different warps. */
function sharedLayout(module: TileModule, kernel: TileKernel, s: Survey): Layout | undefined {
  const [loop] = s.loops;
  if (s.loops.length !== 1 || (loop.over !== 'chunks' && loop.over !== 'segments') || loop.carry.length === 0) return undefined;
  const uses = usesOf(kernel);
  const plain = s.axes.filter((axis) => axis !== ROW);
  const tokens = s.axes.includes(ROW);
  if (tokens && plain.length > 0) return undefined;
  const straight = (op: TileOp) => ['load', 'literal', 'zeros', 'head', 'heads', 'keep', 'map'].includes(op.op);
  const sums = new Set<TileId>();
  const parts = loop.carry.map(({ tile, next }) => {
    const op = uses.defs.get(next)?.op;
    if (op?.op !== 'map' || (op.fn !== 'add' && op.fn !== 'mul') || op.args[0] === op.args[1] || !op.args.includes(tile)) return undefined;
    if (uses.defs.get(next)?.body !== loop.body || uses.counts.get(next) !== 1) return undefined;
    const inside = loop.body.filter((stmt) => stmt.kind === 'let' && readsOf(stmt.op).includes(tile));
    if (inside.length !== 1) return undefined;
    const value = op.args[0] === tile ? op.args[1] : op.args[0];
    const def = uses.defs.get(value)?.op;
    const acrossLanes = def?.op === 'reduce' && def.axis === ROW;
    if (acrossLanes) {
      if (def.reduce !== 'sum' || op.fn !== 'add' || uses.counts.get(value) !== 1) return undefined;
      sums.add(value);
    }
    return { tile, by: op.fn, value: acrossLanes ? def.arg : value, acrossLanes };
  });
  if (parts.some((part) => part === undefined)) return undefined;
  let fits = true;
  eachStatement(kernel.body, (stmt, depth) => {
    if (stmt.kind === 'store') fits &&= depth === 0;
    if (stmt.kind !== 'let') return;
    fits &&= straight(stmt.op) || (depth === 1 && sums.has(stmt.tile));
    // Outside the loop nothing may have rows, and inside nothing else may be summed.
    if (depth === 0) fits &&= !kernel.tiles[stmt.tile].axes.includes(ROW);
  });
  if (!fits) return undefined;
  const groups = tokens
    ? [{
      name: '_row', axes: [ROW], role: 'lane', threads: WARP, vec: 1, regs: Math.ceil(module.chunk / WARP), total: module.chunk, cut: false,
    } as const]
    : plain.length > 0 ? [flatGroup(module, orderOf(module, kernel, plain) ?? plain, WARP)] : [];
  const known = parts.filter((part) => part !== undefined);
  const held = known.reduce((sum, { tile }) => sum + (kernel.tiles[tile].axes.length === 0 ? 1 : groups[0]?.regs ?? 1), 0);
  // Few blocks that go through all there is: many of their loads are under way at once.
  const threads = kernel.outer === 'once' ? 512 : 256;
  const atOnce = kernel.outer === 'once' && held <= MOST_SUMMED ? 8 : 4;
  return { groups, threads, lanes: WARP, blocks: blocksOf(groups), shared: { loop, parts: known, perThread: groups.length === 0, atOnce } };
}

const readsOf = (op: TileOp): readonly TileId[] => (op.op === 'map' ? op.args : op.op === 'reduce' || op.op === 'keep' ? [op.arg] : []);

/** The order of all axes as some buffer has them. */
function orderOf(module: TileModule, kernel: TileKernel, axes: readonly Axis[]): readonly Axis[] | undefined {
  const orders: (readonly Axis[])[] = [];
  eachStatement(kernel.body, (stmt) => {
    const name = stmt.kind === 'store' ? stmt.buffer : stmt.kind === 'let' && stmt.op.op === 'load' ? stmt.op.buffer : undefined;
    if (name === undefined) return;
    const buffer = bufferNamed(module, name);
    orders.push(axes.includes(ROW) && isRows(buffer) ? [ROW, ...buffer.axes] : buffer.axes);
  });
  return orders.find((order) => order.length === axes.length && axes.every((axis) => order.includes(axis)));
}

/**
 * Nothing meets anything but rows and those near them, and sums over rows: a thread has neighbours in time, and takes what they share
 * once. (In one run over all axes, each tap of a convolution would read and widen every row again.)
 */
function slidingLayout(module: TileModule, kernel: TileKernel, s: Survey): Layout | undefined {
  const turns = s.folded.has(ROW) && s.folded.size === 1 ? turnsOf(kernel) : undefined;
  const sums = turns !== undefined;
  if ((!sums && (s.folded.size > 0 || s.rowsMeet)) || s.loops.length > 0 || kernel.outer !== 'chunk') return undefined;
  const windows = windowsOf(module, kernel);
  const { rows: most, columns: vec } = sums ? SUMMED : SLIDING;
  const [first, ...columns] = orderOf(module, kernel, s.axes) ?? [];
  if (windows.size === 0 || first !== ROW || lastSize(module, columns) % vec !== 0) return undefined;
  const lanes = sizeOf(module, columns) / vec;
  if (256 % lanes !== 0) return undefined;
  const regs = Math.min(most, module.chunk);
  const warps = sums ? Math.max(1, WARP / lanes) : Math.min(256 / lanes, Math.ceil(module.chunk / regs));
  if (warps * lanes < WARP || (sums && module.chunk % (warps * regs) !== 0)) return undefined;
  const groups: Group[] = [
    {
      name: '_row', axes: [ROW], role: 'warp', threads: warps, vec: regs, regs,
      total: sums ? warps * regs : module.chunk, cut: !sums && warps * regs < module.chunk,
    },
    flatGroup(module, columns, lanes, vec),
  ];
  const near = nearValues(kernel, windows);
  const held = [...windows.values()].reduce((sum, { before, after }) => sum + (regs + before + after) * vec, 0);
  const rolling = held <= MOST_REGISTERS ? { warpsAtOnce: ROLLING_WARPS } : {};
  return {
    groups, threads: warps * lanes, lanes, blocks: blocksOf(groups), shared: undefined, windows, near, ...(turns && { turns, ...rolling }),
  };
}

/** Nothing meets anything: all axes in one run over the threads of many blocks. */
function flatLayout(module: TileModule, kernel: TileKernel, s: Survey): Layout | undefined {
  if (s.folded.size > 0 || s.rowsMeet) return undefined;
  const order = orderOf(module, kernel, s.axes);
  if (order === undefined) return undefined;
  const total = sizeOf(module, order);
  const vec = lastSize(module, order) % 4 === 0 ? 4 : 1;
  const threads = Math.min(256, Math.ceil(total / vec / WARP) * WARP);
  const groups = order.length === 0 ? [] : [flatGroup(module, order, threads)];
  const blocks = blocksOf(groups);
  const pieces = kernel.outer === 'chunk' && s.loops.length === 0 && total % (threads * vec) === 0
    ? [PIECES, 2].find((n) => blocks % n === 0) : undefined;
  return { groups, threads, lanes: threads, blocks: blocks / (pieces ?? 1), pieces, shared: undefined };
}

/** Axes that occur in the same tiles, as components, each ordered as they stand there. */
function components(s: Survey, axes: readonly Axis[]): Axis[][] {
  const found: Axis[][] = [];
  for (const axis of axes) {
    if (found.some((component) => component.includes(axis))) continue;
    const component = [axis];
    for (let grown = true; grown;) {
      grown = false;
      for (const set of s.together) {
        const here = set.filter((other) => axes.includes(other));
        const more = here.filter((other) => !component.includes(other));
        if (more.length > 0 && here.some((other) => component.includes(other))) {
          component.push(...more);
          grown = true;
        }
      }
    }
    const order = s.together.find((set) => component.every((other) => set.includes(other)));
    found.push(order === undefined ? component : order.filter((other) => component.includes(other)));
  }
  return found;
}

/** Lane groups for the axes that no warp axis is; `cut` asks for one piece of so many per thread where that splits no fold. */
function laneGroups(module: TileModule, s: Survey, axes: readonly Axis[], cut: number | undefined): Group[] | undefined {
  const groups: Group[] = [];
  for (const component of components(s, axes)) {
    const folded = component.some((axis) => s.folded.has(axis));
    if (component.length > 1 && folded) return undefined;
    if (component.length > 1 && !s.together.some((set) => component.every((axis) => set.includes(axis)))) return undefined;
    if (component.length > 1 || (cut !== undefined && !folded)) groups.push(flatGroup(module, component, WARP, cut));
    else {
      const total = sizeOf(module, component);
      groups.push({ name: nameOf(component), axes: component, role: 'lane', threads: WARP, ...piecesOf(total, WARP), total, cut: false });
    }
  }
  // Blocks divide one group; the others would need a grid of their own.
  return groups.filter((group) => group.cut).length > 1 ? undefined : groups;
}

/**
 * Columns that a thread takes of rows in blocks. Where those of a segment are summed, blocks are many, and live for few chunks: what each
 * begins with is paid for by wider ones.
 */
function neighboursOf(module: TileModule, { outer }: TileKernel, s: Survey, axes: readonly Axis[]): number {
  if (outer !== 'segment' || s.inOrder) return 1;
  return [4, 2].find((n) => sizeOf(module, axes) % (WARP * n * FEWEST_BLOCKS) === 0) ?? 1;
}

/** Tokens over the warps, channels over the lanes. */
function rowsLayout(module: TileModule, kernel: TileKernel, s: Survey): Layout | undefined {
  const warps = 8;
  const rows = module.chunk / warps;
  if (!s.axes.includes(ROW) || !Number.isInteger(rows)) return undefined;
  const turns = turnsOf(kernel);
  const columns = s.axes.filter((axis) => axis !== ROW);
  const lanes = laneGroups(module, s, columns, s.rowsMeet && turns === undefined ? neighboursOf(module, kernel, s, columns) : undefined);
  if (lanes === undefined) return undefined;
  if (turns !== undefined) {
    const few = Math.min(rows, ROWS_AT_ONCE);
    const group: Group = { name: '_row', axes: [ROW], role: 'warp', threads: warps, vec: few, regs: few, total: warps * few, cut: false };
    if (lanes.some((lane) => lane.cut || lane.regs * few > MOST_REGISTERS)) return undefined;
    return { groups: [group, ...lanes], threads: warps * WARP, lanes: WARP, blocks: 1, shared: undefined, turns };
  }
  const apart = !s.rowsMeet && s.loops.length === 0 && !lanes.some((group) => group.cut);
  const regs = apart ? Math.min(rows, ROWS_AT_ONCE) : rows;
  const groups: Group[] = [
    { name: '_row', axes: [ROW], role: 'warp', threads: warps, vec: regs, regs, total: module.chunk, cut: apart && regs < rows }, ...lanes
  ];
  if (lanes.some((group) => group.regs * regs > MOST_REGISTERS)) return undefined;
  return { groups, threads: warps * WARP, lanes: WARP, blocks: blocksOf(groups), shared: undefined };
}

/** Does a kernel store a state that all blocks of a group load as a whole? */
function rewritesWhole(module: TileModule, { body }: TileKernel, group: Group): boolean {
  return storedBuffers(body).some((name) => {
    const { role, axes } = bufferNamed(module, name);
    return role === 'final' && !group.axes.some((axis) => axes.includes(axis));
  });
}

/** Matrices that meet vectors: one axis over the warps, the others over the lanes. */
function matrixLayout(module: TileModule, kernel: TileKernel, s: Survey): Layout | undefined {
  if (s.axes.includes(ROW)) return undefined;
  const warps = 8;
  const layouts = [...s.axes, undefined].flatMap((axis): { layout: Layout; cost: number }[] => {
    const others = s.axes.filter((other) => other !== axis);
    const size = axis === undefined ? 1 : axisSize(module, axis);
    const regs = Math.ceil(size / warps);
    const mostOf = (groups: readonly Group[]) => Math.max(1, ...groups.map((group) => group.regs)) * regs;
    const cut = laneGroups(module, s, others, 1);
    // A state is written where it was read: no other block should still have to read it.
    const whole = cut?.some((group) => group.cut && rewritesWhole(module, kernel, group)) === true
      ? laneGroups(module, s, others, undefined)
      : undefined;
    const lanes = whole !== undefined && mostOf(whole) <= MOST_REGISTERS ? whole : cut;
    if (lanes === undefined || mostOf(lanes) > MOST_REGISTERS) return [];
    const own: Group[] = axis === undefined ? [] : [{
      name: nameOf([axis]), axes: [axis], role: 'warp', threads: warps, vec: regs, regs, total: size, cut: false,
    }];
    const groups = [...own, ...lanes];
    const most = mostOf(lanes);
    // Rows of a matrix should be read along lanes.
    const across = s.together.filter((set) => set.length > 1 && set[set.length - 1] === axis).length;
    return [{
      layout: { groups, threads: axis === undefined ? WARP : warps * WARP, lanes: WARP, blocks: blocksOf(groups), shared: undefined },
      cost: across * 1000 + most,
    }];
  });
  return layouts.reduce<{ layout: Layout; cost: number } | undefined>(
    (best, option) => (best === undefined || option.cost < best.cost ? option : best), undefined,
  )?.layout;
}
