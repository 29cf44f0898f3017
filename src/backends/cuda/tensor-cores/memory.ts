import { COL, ROW, runsIn, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import type { TileBuffer, TileId, TileKernel, TileOp } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { bufferNamed, cellElements, cellIndex, outerStride, placeBack, rowsBack, type Part, type Place } from '../address.js';
import { cellPointer, sourceOf, sourcePresence, type CudaContext, type Source } from '../lowered.js';
import { refused, type Refused } from '../refused.js';
import { eachStatement } from '../uses.js';
import type { Action, Call } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import type { Team } from './team.js';

export type Load = Extract<TileOp, { op: 'load' }>;

/** How a cell of a buffer lies in memory, seen as rows x cols. */
export interface Cell {
  readonly buffer: TileBuffer;
  /** Axes of the tile, token axis first. */
  readonly axes: readonly Axis[];
  /** Pointer text to element (0, 0) of what this block sees. */
  readonly at: string;
  readonly rowStride: string;
  /** Rows and columns that exist. */
  readonly rows: string;
  readonly cols: string;
  /** The first row that exists; undefined: the first. */
  readonly skip: string | undefined;
  /** The condition under which it is there; undefined: always. */
  readonly there: string | undefined;
  /** Held in 16 bits. */
  readonly half: boolean;
  /** As what copies can bring it to shared memory: swizzled operands of 16 bits, or rows of tokens in f32. */
  readonly copied: 'tile' | 'array' | undefined;
  /** Does every row begin on 16 bytes? Others come and go element by element, and not by the copy engine. */
  readonly even: boolean;
  /** The same element's indices in the tensor as [cells, rows, cols], or [tokens, cells, cols], innermost first. */
  readonly origin: readonly [string, string, string];
}

/** In 16 bits. */
const isHalf = (cx: CudaContext, buffer: TileBuffer): boolean => buffer.dtype === 'io' && cx.dtype !== 'f32';

/** Why the buffers of a kernel cannot be read as cells. */
export function unfitCells(cx: CudaContext, kernel: TileKernel): Refused | undefined {
  let why: string | undefined;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load') return;
    const { buffer, rows } = stmt.op;
    const axes = bufferNamed(cx.module, buffer).axes.length + (rows === 'none' ? 0 : 1);
    why ??= rows === 'one' ? 'loads of single tokens' : axes > 2 ? `${buffer}: a tile of three axes` : undefined;
  });
  return why === undefined ? undefined : refused(why);
}

/** What a block sees of an axis; undefined: all of it. */
function partIn(axis: Axis, { parts }: Pick<Place, 'parts'>, split: Axis | undefined): Part | undefined {
  if (axis === split) return { from: 'v0', here: 'v_here' };
  const runs = runsIn(axis);
  if (runs === undefined) return parts?.get(axis);
  const whole = partIn(runs.of, {}, split);
  return whole && { from: `(${whole.from} / ${runs.length})`, here: `(${whole.here} / ${runs.length})` };
}

/** `split` text is the first element of this block on the split axis; `only`: a condition besides. */
export function cellOf(
  cx: CudaContext, source: Source, tokenAxis: Axis | undefined, here: Place, split: Axis | undefined, back?: number, only?: string,
): Cell {
  const { buffer } = source;
  const place = placeBack(here, back);
  const { skip, rows } = rowsBack(here, back);
  const { module } = cx;
  const axes = tokenAxis === undefined ? buffer.axes : [tokenAxis, ...buffer.axes];
  const strideOf = (axis: Axis) => {
    const at = buffer.axes.indexOf(axis);
    return buffer.axes.slice(at + 1).reduce((n, later) => n * axisSize(module, later), 1);
  };
  const partOf = (axis: Axis) => partIn(axis, here, split);
  const shift = buffer.axes.map((axis) => {
    const part = partOf(axis);
    return part === undefined ? '' : ` + (i64)${part.from} * ${strideOf(axis)}`;
  }).join('');
  const extent = (axis: Axis | undefined) => {
    if (axis === undefined) return '1';
    if (axis === tokenAxis) return rows;
    return partOf(axis)?.here ?? String(axisSize(module, axis));
  };
  const half = isHalf(cx, buffer);
  const array = !half && tokenAxis !== undefined && axes.length === 2 && axisSize(module, axes[1]) % 8 === 0;
  const from = (axis: Axis | undefined) => (axis === undefined ? '0' : partOf(axis)?.from ?? '0');
  const { outer, count, inner } = cellIndex(buffer, place);
  const there = [sourcePresence(source), only].filter((text) => text !== undefined).join(' && ') || undefined;
  return {
    buffer,
    there,
    axes,
    origin: tokenAxis !== undefined ? [from(axes[1]), inner, outer] : [from(axes[1]), from(axes[0]), `${outer} * ${count} + ${inner}`],
    at: `${cellPointer(module, source, place)}${shift}`,
    rowStride: tokenAxis !== undefined ? outerStride(module, buffer)
      : String(axes.length > 1 ? strideOf(axes[0]) : cellElements(module, buffer)),
    rows: there === undefined ? extent(axes[0]) : `(${there} ? ${extent(axes[0])} : 0)`,
    cols: extent(axes[1]),
    skip,
    half,
    copied: half && axes.length === 2 ? 'tile' : array ? 'array' : undefined,
    even: axes.length === 0 || axisSize(module, axes[axes.length - 1]) % 8 === 0,
  };
}

export function loadCell(cx: CudaContext, op: Load, place: Place, split: Axis | undefined): Cell {
  const token = op.rows === 'row' ? ROW : op.rows === 'col' ? COL : undefined;
  return cellOf(cx, sourceOf(cx.module, op), token, place, split, op.back);
}

/** A matrix of 16 bits, all of it there, whose rows begin on 16 bytes. */
export const isEvenTile = ({ copied, even, there, skip }: Cell): boolean => (
  copied === 'tile' && even && there === undefined && skip === undefined
);

/** Bytes of shared memory that a copied cell takes. */
export function copyBytes(team: Team, { axes: [rows, cols], copied }: Cell): number {
  return copied === 'tile' ? team.pad(rows) * team.pad(cols) * 2 : team.pad(rows) * team.strideT32(cols) * 4;
}

/** Shared memory for a 16-bit matrix that a copy will bring. */
export function tileToCome(team: Team, tile: TileId, cell: Cell, staged: boolean): Piece {
  team.begin();
  team.note(tile);
  const [rows, cols] = cell.axes;
  const piece = team.draft.take(copyBytes(team, cell), staged, tile);
  team.formsOf(tile).t16 = { piece, address: team.address(piece), rows, cols };
  return piece;
}

/**
 * Starts the copy of a matrix to shared memory: now, or, told the C text of a stage to come, as one of the copies that fill it together.
 */
export function copyCell(team: Team, tile: TileId, cell: Cell, stage?: string): void {
  const [rows, cols] = cell.axes;
  const staged = stage !== undefined;
  const start = (piece: Piece, load: Pick<Call, 'fn' | 'shape'>, waits = true) => {
    const to = staged ? `(${stage} + ${piece.name})` : team.address(piece);
    const args = [to, cell.at, cell.rowStride, cell.rows, cell.cols, 't', ...(cell.skip === undefined ? [] : [cell.skip])];
    // Of a stage, the frame sees to it that all is there, whoever brought it.
    if (waits || staged) team.add({ kind: 'copy', piece, group: !staged, ...load, args });
    else team.add({ kind: 'call', ...load, args, writes: [{ piece, by: 'any' }] });
  };
  if (cell.copied === 'tile') {
    const shape = [team.pad(rows), team.pad(cols) / 64, team.copiers];
    start(tileToCome(team, tile, cell, staged), { fn: cell.even ? 'tile_load' : 'ragged_load', shape }, cell.even);
  } else {
    team.begin();
    team.note(tile);
    const made = team.newT32(rows, cols, staged);
    team.formsOf(tile).t32 = made;
    start(made.piece, { fn: 'array_load', shape: [team.size(cols), made.stride, team.threads] });
  }
}

/** Asks for the thread's element of a vector ahead of its statement; undefined where a thread has several, or it is no vector. */
export function askEarly(team: Team, tile: TileId, cell: Cell): string | undefined {
  if (cell.axes.length !== 1 || team.size(cell.axes[0]) > team.threads) return undefined;
  const name = team.fresh(`asked${tile}`);
  team.add({ kind: 'number', name, value: `t < ${team.size(cell.axes[0])} ? ${vectorElement(cell, 't')} : 0.f` });
  return name;
}

/**
 * Other loads: vectors to shared memory (`asked`: the thread's element, if it is there already), scalars to registers, f32 matrices stay
 * where they are until somebody asks.
 */
export function loadNow(team: Team, tile: TileId, cell: Cell, asked?: string): void {
  team.begin();
  team.note(tile);
  switch (cell.axes.length) {
    case 0:
      team.putScalar(tile, present(cell, `ld(${cell.at})`));
      return;
    case 1: {
      if (asked === undefined) team.putVec(tile, cell.axes[0], vectorElement(cell, 'i'));
      else team.formsOf(tile).own = { name: asked, axis: cell.axes[0], n: team.size(cell.axes[0]) };
      return;
    }
    default:
      team.formsOf(tile).far = {
        pointer: `(${cell.at})`, rows: cell.axes[0], cols: cell.axes[1], rowStride: `(${cell.rowStride})`, colStride: '1', limit: cell.rows,
        width: cell.cols, skip: cell.skip,
      };
      if (team.options.exported.has(tile)) team.t16(tile);
  }
}

/** A number of a buffer that may be absent. */
export function present(cell: Cell, text: string): string {
  return cell.there === undefined ? text : `(${cell.there} ? ${text} : 0.f)`;
}

/** An element of a vector cell; tokens beyond the sequence are 0. */
export function vectorElement(cell: Cell, i: string): string {
  const token = isRows(cell.buffer);
  const there = `${i} < ${cell.rows}${cell.skip === undefined ? '' : ` && ${i} >= ${cell.skip}`}`;
  return `(${there} ? ld(${cell.at} + ${token ? `${i} * (${cell.rowStride})` : i}) : 0.f)`;
}

/** Shared memory in which a tile waits until so many threads, of another team, store it. */
export interface Staging {
  readonly threads: number;
  address(bytes: number): string;
}

/**
 * Writes a tile to its buffer. Returns what must follow a barrier of the team, if the tile goes through shared memory: `direct` does
 * without, since it would take that from what is stored more often.
 */
export function storeCell(team: Team, value: TileId, cell: Cell, staging: Staging | 'direct' | undefined): Action | undefined {
  team.begin();
  for (const text of team.options.notes.store({ buffer: cell.buffer.name, value })) team.add({ kind: 'note', text });
  if (cell.axes.length === 0) {
    const text = `st(${cell.at}, ${team.scalar(value)});`;
    team.add({ kind: 'one', text, ...(cell.there !== undefined && { when: cell.there }) });
    return undefined;
  }
  if (cell.axes.length === 1) {
    const token = isRows(cell.buffer);
    const element = team.element(value);
    const at = `${cell.at} + ${token ? `i * (${cell.rowStride})` : 'i'}`;
    team.add({ kind: 'own', count: team.size(cell.axes[0]), text: `if (i < ${cell.rows}) st(${at}, ${element});` });
    return undefined;
  }
  const [rows, cols] = cell.axes;
  const axes = team.axesOf(value);
  // A column tile may be stored as it is: the token axis has one meaning in memory.
  const rename = (axis: Axis) => (isRows(cell.buffer) && axis === ROW && !axes.includes(ROW) ? COL : axis);
  const row = team.options.rowOf(axes);
  if (row === undefined) return team.refuse(`store of ${cell.buffer.name}`);
  const { id, name: outerName } = team.resolve(value);
  const known = team.formsOf(id).t16;
  const finish = (address: string, threads = team.threads): Action => ({
    kind: 'call', fn: cell.even ? 'tile_store' : 'ragged_store', shape: [team.pad(rows), team.pad(cols) / 64, threads],
    args: [cell.at, cell.rowStride, cell.rows, cell.cols, address, 't'],
  });
  if (cell.half && known !== undefined && known.most === undefined) {
    if (outerName(known.rows) === rename(rows)) {
      team.need(known.piece, 'any');
      team.add(finish(known.address));
      return undefined;
    }
  }
  const { t32 } = team.formsOf(id);
  const asArray = t32 !== undefined && known === undefined && team.formsOf(id).frags.length === 0 && outerName(t32.rows) === rename(rows);
  if (asArray && !cell.half) {
    const n = team.size(t32.cols);
    team.add({
      kind: 'spread', count: team.fragRows * n, reads: [t32.piece],
      text: `{ int r = i / ${n}, c = i % ${n}; if (r < ${cell.rows} && c < ${cell.cols}) `
        + `st(${cell.at} + (i64)r * ${cell.rowStride} + c, ${t32.pointer}[r * ${t32.stride} + c]); }`,
    });
    return undefined;
  }
  const frag = team.frag(value, row);
  const name = frag.name;
  const across = row !== rename(rows);
  const { outlet } = team.options;
  if (!cell.half && !across && cell.even && staging === undefined) {
    // Elements i and i + 1 are neighbours; where all is said element by element, those before i are known.
    const [fn, odd, x, y] = outlet === undefined ? ['st2', 0, 'i', 'i + 1'] : ['stg8', 1, 'i - 1', 'i'];
    const column = `${team.colText(frag.col)}${odd === 1 ? ' - 1' : ''}`;
    const text = `if (i % 2 == ${odd}) { int r = ${team.rowText}, c = ${column}; if (r < ${cell.rows} && c < ${cell.cols}) `
      + `${fn}(${cell.at} + (i64)r * ${cell.rowStride} + c, ${name}[${x}], ${name}[${y}]); }`;
    team.each(frag, text);
    return undefined;
  }
  if (!cell.half || staging === 'direct') {
    const [r, c] = across ? [team.colText(frag.col), team.rowText] : [team.rowText, team.colText(frag.col)];
    team.each(
      frag,
      `{ int r = ${r}, c = ${c}; if (r < ${cell.rows} && c < ${cell.cols}) st(${cell.at} + (i64)r * ${cell.rowStride} + c, ${name}[i]); }`,
    );
    return undefined;
  }
  if (outlet !== undefined && !across && cell.even && team.pad(cols) === 64) {
    const packed = team.fresh(`p${id}`);
    team.add({
      ...team.eachOf(frag, `if (i % 2 == 1) ${packed}[i / 2] = pack2(${name}[i - 1], ${name}[i]);`),
      makes: { name: packed, count: team.values(frag.col) / 2, pairs: true },
    });
    outlet.later.push({
      kind: 'call', fn: 'pipe_store', shape: [],
      args: [cell.at, cell.rowStride, cell.rows, cell.cols, team.address(outlet.piece), packed, 't'],
      writes: [{ piece: outlet.piece, by: 'owner' }],
    });
    return undefined;
  }
  const bytes = team.pad(rows) * team.pad(cols) * 2;
  const putDown = (address: string) => ({
    kind: 'call', fn: 'store_frag', shape: [team.steps(frag.col), team.pad(rows), across], args: [
      team.ofHalf(address, across, team.pad(rows)), name, team.stepText(frag.col),
    ],
  }) as const;
  if (staging !== undefined) {
    const address = staging.address(bytes);
    team.add(putDown(address));
    return finish(address, staging.threads);
  }
  const piece = team.draft.take(bytes, false);
  const address = team.address(piece);
  team.add({ ...putDown(address), writes: [{ piece, by: 'any' }] });
  team.need(piece, 'any');
  team.add(finish(address));
  return undefined;
}
