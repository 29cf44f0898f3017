import { ROW, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import type { TileBuffer, TileId, TileKernel, TileOp } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { notesOf, type Notes } from '../../notes.js';
import { bufferNamed, outerStride, placeBack, rowsBack, type Place } from '../address.js';
import type { Code } from '../code.js';
import { cellPointer, elementType, sourceOf, sourcePresence, type CudaContext, type Source } from '../lowered.js';
import { usesOf, type Uses } from '../uses.js';
import { axisName, type Group, type Layout } from './layout.js';
import { loadPairs, sharesSectors, storePairs } from './pairs.js';

/**
 * Writes a kernel whose tiles lie in registers: tile 5 is `float t5[rows * columns]`, a thread's elements along its warp axis and its lane
 * axes.
 */
export interface Writer {
  readonly cx: CudaContext;
  readonly kernel: TileKernel;
  readonly layout: Layout;
  readonly code: Code;
  readonly uses: Uses;
  readonly notes: Notes;
  /** Elements that a thread holds along the warp axis / the lane axes. */
  regs(axes: readonly Axis[], role: Group['role']): number;
  /** Element (i, j) of a tile; it may lack either. */
  at(tile: TileId, i: string, j: string): string;
  /** Runs over the elements that a thread holds of these axes. */
  each(axes: readonly Axis[], body: (i: string, j: string) => string): void;
  declare(tile: TileId): void;
  /** C text of the index along an axis. */
  index(axis: Axis, i: string, j: string): string;
  /** C text that is true where elements of these axes exist; '' where all do. */
  live(axes: readonly Axis[], i: string, j: string): string;
  /** A barrier of the block. */
  barrier(): void;
  /** Shared memory for an exchange: C text of a pointer. Inside loops two halves take turns, so that one barrier per exchange is enough. */
  exchange(floats: number): string;
}

export interface Hooks {
  /** C text that is odd in every other iteration; `undefined` outside of loops. */
  parity: string | undefined;
  /** Said before and after the next barrier. */
  around: { readonly before: string; readonly after: string } | undefined;
  /** Floats of shared memory taken so far, and bytes of the ring behind them. */
  floats: number;
  ring: number;
}

export function createWriter(cx: CudaContext, kernel: TileKernel, layout: Layout, code: Code, hooks: Hooks): Writer {
  const groupOf = (axis: Axis) => layout.groups.find((group) => group.axes.includes(axis));
  const regs = (axes: readonly Axis[], role: Group['role']) => {
    const group = layout.groups.find((candidate) => candidate.role === role && candidate.axes.some((axis) => axes.includes(axis)));
    if (group === undefined) return 1;
    // Neighbours differ in the last axis only.
    return axes.includes(group.axes[group.axes.length - 1]) ? group.regs : 1;
  };
  const number = (text: string, n: number) => (n === 1 ? '0' : text);
  const writer: Writer = {
    cx, kernel, layout, code, uses: usesOf(kernel), notes: notesOf(kernel), regs,
    at(tile, i, j) {
      const { axes } = kernel.tiles[tile];
      const [rows, columns] = [regs(axes, 'warp'), regs(axes, 'lane')];
      const row = number(i, rows);
      const column = number(j, columns);
      return `t${tile}[${row === '0' ? column : columns === 1 ? row : `(${row}) * ${columns} + ${column}`}]`;
    },
    each(axes, body) {
      const [rows, columns] = [regs(axes, 'warp'), regs(axes, 'lane')];
      const loops = [
        ...(rows > 1 ? [`UNROLL for (int i = 0; i < ${rows}; ++i) `] : []),
        ...(columns > 1 ? [`UNROLL for (int j = 0; j < ${columns}; ++j) `] : [])
      ].join('');
      code.line(`${loops}${body(number('i', rows), number('j', columns))}`);
    },
    declare(tile) {
      const { axes } = kernel.tiles[tile];
      code.line(`float t${tile}[${regs(axes, 'warp') * regs(axes, 'lane')}];`);
    },
    index(axis, i, j) {
      const group = groupOf(axis);
      if (group === undefined) throw new Error(`${kernel.name}: axis ${axis} is nowhere`);
      if (group.axes.length > 1) return axis === group.axes[group.axes.length - 1]
        && group.regs > 1 ? `(i_${axisName(axis)} + ${j})` : `i_${axisName(axis)}`;
      const n = number(group.role === 'warp' ? i : j, group.regs);
      if (n === '0') return `x_${group.name}`;
      if (group.regs === group.vec) return `(x_${group.name} + ${n})`;
      if (/^\d+$/.test(n)) {
        return `(x_${group.name} + ${Math.floor(Number(n) / group.vec) * group.threads * group.vec + (Number(n) % group.vec)})`;
      }
      return group.vec === 1
        ? `(x_${group.name} + (${n}) * ${group.threads})`
        : `(x_${group.name} + (${n}) / ${group.vec} * ${group.threads * group.vec} + (${n}) % ${group.vec})`;
    },
    live(axes, i, j) {
      return layout.groups
        .filter((group) => group.axes.some((axis) => axes.includes(axis)) && slotsOf(group) !== group.total)
        .map((group) => (
          group.axes.length > 1 ? `x_${group.name} < ${group.total}` : `${writer.index(group.axes[0], i, j)} < ${group.total}`
        ))
        .join(' && ');
    },
    barrier() {
      const { around } = hooks;
      hooks.around = undefined;
      if (around !== undefined) code.line(around.before);
      code.line('__syncthreads();');
      if (around !== undefined) code.line(around.after);
    },
    exchange(floats) {
      const start = hooks.floats;
      hooks.floats += floats * (hooks.parity === undefined ? 1 : 2);
      return hooks.parity === undefined ? `(sm + ${start})` : `(sm + ${start} + (${hooks.parity} & 1) * ${floats})`;
    },
  };
  return writer;
}

/** Elements that there would be room for. */
function slotsOf({ threads, regs, total, cut }: Group): number {
  return threads * regs * (cut ? Math.ceil(total / (threads * regs)) : 1);
}

/** Where the elements of a thread start along every group. */
export function indexLines(cx: CudaContext, layout: Layout, code: Code): void {
  const warp = layout.threads === layout.lanes ? '0' : `threadIdx.x / ${layout.lanes}`;
  // Lanes are a power of two.
  const lane = layout.threads === layout.lanes ? '' : `& ${layout.lanes - 1}`;
  const mine = layout.blocks === 1 ? '0' : `blockIdx.x % ${layout.blocks}`;
  const block = layout.pieces === undefined ? mine : layout.blocks === 1 ? 'piece' : `${mine} * ${layout.pieces} + piece`;
  code.line(`const int lane = threadIdx.x ${lane}, warp = ${warp}, block = ${block};`);
  code.line('(void)lane, (void)warp, (void)block;');
  for (const { name, axes, role, threads, vec, regs, cut } of layout.groups) {
    code.line(`const int x_${name} = ${cut ? `block * ${threads * regs} + ` : ''}${role}${vec === 1 ? '' : ` * ${vec}`};`);
    if (axes.length === 1) continue;
    axes.forEach((axis, n) => {
      const below = axes.slice(n + 1).reduce((size, later) => size * axisSize(cx.module, later), 1);
      const text = below === 1 ? `x_${name}` : `x_${name} / ${below}`;
      code.line(`const int i_${axisName(axis)} = ${n === 0 ? text : `${text} % ${axisSize(cx.module, axis)}`};`);
    });
  }
}

/** How a thread reaches the elements it holds of a buffer. */
export interface Access {
  readonly axes: readonly Axis[];
  readonly rows: number;
  readonly columns: number;
  /** Neighbours in one access. */
  readonly vec: number;
  /** C text: address of element (i, j); the condition under which it exists, '' for always. */
  address(i: string, j: string): string;
  guard(i: string, j: string): string;
  /** Said before: where the rows of a thread start, so that their addresses are sums. */
  readonly start: string | undefined;
}

/** C text of an element's place in its cell; '' where a cell is a number. */
export function elementOf(w: Writer, { axes }: TileBuffer, i: string, j: string): string {
  return axes.reduce(
    (text, axis) => (text === '' ? w.index(axis, i, j) : `(${text} * ${axisSize(w.cx.module, axis)} + ${w.index(axis, i, j)})`), '',
  );
}

/** `place.row`: inside a loop over rows; `known`: names of first row and length, which may have a suffix. */
function access(w: Writer, source: Source, here: Place, back?: number): Access {
  const { buffer } = source;
  const place = placeBack(here, back);
  const { skip, rows: end } = rowsBack(here, back);
  const { cx, layout } = w;
  const rowed = isRows(buffer) && place.row === undefined;
  const axes = rowed ? [ROW, ...buffer.axes] : buffer.axes;
  const last = buffer.axes[buffer.axes.length - 1];
  const group = layout.groups.find((candidate) => candidate.role === 'lane' && candidate.axes[candidate.axes.length - 1] === last);
  const inner = (i: string, j: string) => elementOf(w, buffer, i, j);
  const rows = w.regs(axes, 'warp');
  const stepped = rowed && rows > 1;
  const firstRow = { ...place, first: `(${place.first} + ${rowed ? w.index(ROW, '0', '0') : ''})` };
  return {
    axes,
    rows,
    start: stepped && place.first !== undefined
      ? `auto* const at = ${cellPointer(cx.module, source, firstRow)}; const i64 step = ${outerStride(cx.module, buffer)};`
      : undefined,
    columns: w.regs(axes, 'lane'),
    vec: last === undefined || group === undefined ? 1 : group.vec,
    address(i, j) {
      if (stepped) return `at + ${i} * step${buffer.axes.length === 0 ? '' : ` + ${inner(i, j)}`}`;
      const row = rowed ? { ...place, first: `(${place.first} + ${w.index(ROW, i, j)})` } : place;
      const within = inner(i, j);
      return `${cellPointer(cx.module, source, row)}${within === '' ? '' : ` + ${within}`}`;
    },
    guard(i, j) {
      const exists = rowed ? [`${w.index(ROW, i, j)} < ${end}`, ...(skip === undefined ? [] : [`${w.index(ROW, i, j)} >= ${skip}`])] : [];
      return [...exists, w.live(axes, i, j), sourcePresence(source) ?? ''].filter((text) => text !== '').join(' && ');
    },
  };
}

/** Loops over the pieces of an access; `body` gets the first element's indices and the number of the piece. */
function overPieces(w: Writer, a: Access, body: (i: string, j: string, piece: string) => string): void {
  const pieces = a.columns / a.vec;
  const loops = [
    ...(a.rows > 1 ? [`UNROLL for (int i = 0; i < ${a.rows}; ++i) `] : []),
    ...(pieces > 1 ? [`UNROLL for (int c = 0; c < ${pieces}; ++c) `] : [])
  ].join('');
  const i = a.rows > 1 ? 'i' : '0';
  const c = pieces > 1 ? 'c' : '0';
  const j = pieces > 1 ? (a.vec === 1 ? 'c' : `c * ${a.vec}`) : '0';
  const piece = a.rows === 1 ? c : pieces === 1 ? i : `i * ${pieces} + c`;
  const text = `${loops}${body(i, j, piece)}`;
  w.code.line(a.start === undefined ? text : `{ ${a.start} ${text} }`);
}

type Load = Extract<TileOp, { op: 'load' }>;

export function loadText(w: Writer, tile: TileId, op: Load, place: Place): void {
  const source = sourceOf(w.cx.module, op);
  const { buffer } = source;
  const a = access(w, source, place, op.back);
  w.declare(tile);
  const wide = alongWarps(w, buffer, a, place);
  if (wide > 1) {
    const to = `&${w.at(tile, `c * ${wide}`, '0')}`;
    const load = `ldn<${wide}>(${to}, ${a.address(`c * ${wide}`, '0')});`;
    const there = sourcePresence(source);
    const kept = there === undefined ? load : `{ if (${there}) ${load} else zeron<${wide}>(${to}); }`;
    w.code.line(`UNROLL for (int c = 0; c < ${a.rows / wide}; ++c) ${kept}`);
    return;
  }
  const down = downColumns(w, buffer, a, place);
  if (down > 1 && sharesSectors(w, a, down)) return loadPairs(w, tile, a, sourcePresence(source));
  if (down > 1) {
    overColumns(w, a, down, (i) => {
      const there = sourcePresence(source);
      const load = `ldn<${down}>(v, ${a.address(i, 'c')});`;
      const kept = there === undefined ? load : `if (${there}) ${load} else zeron<${down}>(v);`;
      return `float v[${down}]; ${kept} UNROLL for (int e = 0; e < ${down}; ++e) ${w.at(tile, `(${i} + e)`, 'c')} = v[e];`;
    });
    return;
  }
  overPieces(w, a, (i, j) => {
    const to = `&${w.at(tile, i, j)}`;
    const guard = a.guard(i, j);
    const load = `ldn<${a.vec}>(${to}, ${a.address(i, j)});`;
    return guard === '' ? load : `{ if (${guard}) ${load} else zeron<${a.vec}>(${to}); }`;
  });
}

/** Neighbours along the warp axis that one access can take: of vectors that lie along it. */
function alongWarps(w: Writer, buffer: TileBuffer, a: Access, place: Place): number {
  const last = buffer.axes[buffer.axes.length - 1];
  const group = w.layout.groups.find((candidate) => candidate.role === 'warp' && candidate.axes[0] === last);
  if (
    last === undefined || group === undefined || a.columns > 1 || w.live(a.axes, '0', '0') !== ''
    || (isRows(buffer) && place.row === undefined)
  ) return 1;
  // 16 bytes at most.
  return [8, 4, 2].find((n) => a.rows % n === 0 && (n < 8 || (buffer.dtype === 'io' && w.cx.dtype !== 'f32'))) ?? 1;
}

/**
 * The same of matrices whose rows lie along it: a thread's neighbours are in one sector, which single elements would touch one by one.
 */
function downColumns(w: Writer, buffer: TileBuffer, a: Access, place: Place): number {
  const last = buffer.axes[buffer.axes.length - 1];
  const group = w.layout.groups.find((candidate) => candidate.role === 'warp' && candidate.axes[0] === last);
  if (group === undefined || group.vec !== group.regs || a.columns === 1 || a.vec > 1 || w.live(a.axes, '0', '0') !== '') return 1;
  if (isRows(buffer) && place.row === undefined) return 1;
  return [4, 2].find((n) => a.rows % n === 0) ?? 1;
}

/** Loops over a thread's columns and pieces of so many rows; `body` gets the first row, the column is `c`. */
function overColumns(w: Writer, a: Access, piece: number, body: (i: string) => string): void {
  const loops = `UNROLL for (int c = 0; c < ${a.columns}; ++c) UNROLL for (int p = 0; p < ${a.rows / piece}; ++p)`;
  w.code.line(`${loops} { ${body(`p * ${piece}`)} }`);
}

/** A load that is asked for ahead of its iteration: `raw5[ahead][pieces]`. */
export function rawLoad(
  w: Writer, tile: TileId, op: Load, ahead: number,
): { readonly words: number; declare(): void; ask(place: Place, slot: string): void; take(slot: string): void } {
  const source = sourceOf(w.cx.module, op);
  // Only the form counts here, no address.
  const form = access(w, source, { group: '', row: op.rows === 'one' ? 'row' : undefined });
  const type = elementType(source.buffer, w.cx.dtype);
  const pieces = (form.rows * form.columns) / form.vec;
  return {
    words: Math.ceil((pieces * form.vec * (type === 'f32' || type === 'int' ? 4 : 2)) / 4),
    declare: () => w.code.line(`Few<${type}, ${form.vec}> raw${tile}[${ahead}][${pieces}];`),
    ask(place, slot) {
      const a = access(w, source, place, op.back);
      overPieces(w, a, (i, j, piece) => {
        const guard = a.guard(i, j);
        const load = `raw${tile}[${slot}][${piece}] = few<${a.vec}>(${a.address(i, j)});`;
        return guard === '' ? load : `{ if (${guard}) ${load} else raw${tile}[${slot}][${piece}] = {}; }`;
      });
    },
    take(slot) {
      w.declare(tile);
      overPieces(w, form, (i, j, piece) => `ldn(&${w.at(tile, i, j)}, raw${tile}[${slot}][${piece}]);`);
    },
  };
}

/** Stores a tile, which may lack axes of the buffer; of threads with the same elements the first writes. */
export function storeText(w: Writer, name: string, value: TileId, place: Place): void {
  const { layout } = w;
  const a = access(w, { buffer: bufferNamed(w.cx.module, name) }, place);
  const covered = (group: Group) => group.axes.some((axis) => a.axes.includes(axis));
  const lanes = layout.groups.filter((group) => group.role === 'lane');
  const firsts = layout.groups.flatMap((group): string[] => {
    if (group.axes.length > 1 && covered(group)) {
      return group.axes.filter((axis) => !a.axes.includes(axis)).map((axis) => `i_${axisName(axis)} == 0`);
    }
    return group.cut && !covered(group) ? ['block == 0'] : [];
  });
  if (!lanes.some(covered) && layout.lanes > 1) firsts.push('lane == 0');
  if (!layout.groups.some((group) => group.role === 'warp' && covered(group)) && layout.threads > layout.lanes) firsts.push('warp == 0');
  const down = downColumns(w, bufferNamed(w.cx.module, name), a, place);
  if (down > 1 && sharesSectors(w, a, down)) {
    return storePairs(w, value, a, [...new Set(firsts), a.guard('0', '0')].filter((text) => text !== '').join(' && '));
  }
  if (down > 1) {
    const values = Array.from({ length: down }, (_, e) => w.at(value, `(p * ${down} + ${e})`, 'c')).join(', ');
    const guard = [...new Set(firsts), a.guard(`p * ${down}`, 'c')].filter((text) => text !== '').join(' && ');
    overColumns(w, a, down, (i) => (
      `const float v[] = {${values}}; ${guard === '' ? '' : `if (${guard}) `}stn<${down}>(${a.address(i, 'c')}, v);`
    ));
    return;
  }
  const pieces = (guarded: boolean) => overPieces(w, a, (i, j) => {
    const guard = guarded ? [...new Set(firsts), a.guard(i, j)].filter((text) => text !== '').join(' && ') : '';
    const single = a.vec === 1;
    const neighbour = (e: number) => w.at(value, i, j === '0' ? String(e) : `${j} + ${e}`);
    const values = Array.from({ length: a.vec }, (_, e) => neighbour(e)).join(', ');
    const put = single
      ? `st(${a.address(i, j)}, ${w.at(value, i, j)});`
      : `{ const float v[] = {${values}}; stn<${a.vec}>(${a.address(i, j)}, v); }`;
    return guard === '' ? put : `if (${guard}) ${put}`;
  });
  // Rows of a thread one after the other, where the chunk has all of them.
  const whole = layout.windows !== undefined && a.start !== undefined && firsts.length === 0 && w.live(a.axes, '0', '0') === '';
  if (!whole) return pieces(true);
  w.code.open(`if (${place.length} == kChunk)`);
  pieces(false);
  w.code.close();
  w.code.open('else');
  pieces(true);
  w.code.close();
}
