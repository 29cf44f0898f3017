import { ROW, swapAxis, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileOp } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import type { Notes } from '../../notes.js';
import type { Code } from '../code.js';
import type { CudaContext } from '../lowered.js';
import type { Arena, Piece } from './arena.js';
import { refused, type Refused } from '../refused.js';
import { isToken, padded, type Far, type Forms, type Frag, type Tile16, type Tile32, type Vec } from './forms.js';
import { createMemoryOrder } from './memory-order.js';

/** Warpgroups of a team. */
export type Parts = 1 | 2 | 4;

export interface TeamOptions {
  readonly cx: CudaContext;
  readonly kernel: TileKernel;
  readonly code: Code;
  readonly arena: Arena;
  /** Number of the team's named barrier. */
  readonly barrier: number;
  /** Warpgroups that share the columns of every fragment: part p of n holds the p-th of n equal blocks of columns. */
  readonly parts?: Parts;
  readonly defs: ReadonlyMap<TileId, TileOp>;
  readonly notes: Notes;
  /** Decay operations that are computed together, by the first. */
  readonly groups?: ReadonlyMap<TileId, readonly TileId[]>;
  rowOf(axes: readonly Axis[]): Axis | undefined;
  /** C names of the address and the pointer of the current stage. */
  readonly stage: { readonly address: string; readonly pointer: string };
  /** Vectors stay in registers until other threads read them. Of code that is no loop. */
  readonly ownVectors?: boolean;
  /** Tiles that another team reads: their vectors and tiles go to the stage. */
  readonly exported: ReadonlySet<TileId>;
  /** Forms made by the team that loads. */
  readonly imported?: (tile: TileId) => Forms | undefined;
}

export type Team = ReturnType<typeof createTeam>;

/** Keeps track, for the threads of a team, of where every tile is, and makes the form of it that is asked for. */
export function createTeam(options: TeamOptions) {
  const { cx, kernel, code, arena, defs } = options;
  const forms = new Map<TileId, Forms>();
  const parts = options.parts ?? 1;
  const threads = 128 * parts;
  /** Numbers are f32 of any size, operands made of them are not. */
  const fits = cx.dtype === 'f16';
  const warps = 4 * parts;
  const order = createMemoryOrder({ code, barrier: options.barrier, parts });
  const { willRead, willWrite, hasRead, ready } = order;
  let names = 0;
  let refusal: Refused | undefined;
  /**
   * Says that this lowering does not do something; the first reason is kept. `instead` stands for what is not there, so that the statement
   * can be written to its end: nobody will see it.
   */
  function refuse(why: string): undefined;
  function refuse<T>(why: string, instead: T): T;
  function refuse<T>(why: string, instead?: T): T | undefined {
    refusal ??= refused(why);
    return instead;
  }

  /**
   * Follows renamings to the tile that has the values: what it calls an axis, and what an axis of it is called here. `turned`: rows of
   * tokens are columns.
   */
  const resolve = (tile: TileId): { id: TileId; turned: boolean; own: (axis: Axis) => Axis; name: (axis: Axis) => Axis } => {
    const op = defs.get(tile);
    if (op?.op !== 'swap') return { id: tile, turned: false, own: (axis) => axis, name: (axis) => axis };
    const inner = resolve(op.arg);
    const swap = swapAxis(op.axes);
    return {
      id: inner.id, turned: inner.turned === (op.axes !== undefined), own: (axis) => inner.own(swap(axis)),
      name: (axis) => swap(inner.name(axis)),
    };
  };
  const formsOf = (id: TileId): Forms => {
    const own = forms.get(id);
    if (own !== undefined) return own;
    const found = options.imported?.(id);
    if (found !== undefined) {
      const mine: Forms = {
        frags: [], ...(found.vec && { vec: { ...found.vec, piece: undefined } }),
        ...(found.t16 && { t16: {
          ...found.t16, piece: { ...found.t16.piece, written: undefined },
          ...(found.t16.most && { most: { ...found.t16.most, piece: undefined } }),
        } }),
        ...(found.t32 && { t32: { ...found.t32, piece: { ...found.t32.piece, written: undefined } } }),
        ...(found.far && { far: found.far }),
      };
      forms.set(id, mine);
      return mine;
    }
    const fresh: Forms = { frags: [] };
    forms.set(id, fresh);
    return fresh;
  };
  const size = (axis: Axis) => (axis === kernel.split ? Math.min(64, axisSize(cx.module, axis)) : axisSize(cx.module, axis));
  const pad = (axis: Axis) => padded(size(axis));
  const fresh = (hint: string) => `${hint.replace('-', 'x')}_${names++}`;

  const take = (tile: TileId | undefined, bytes: number) => arena.take(bytes, tile !== undefined && options.exported.has(tile), tile);
  const address = (piece: Piece) => `(${piece.staged ? options.stage.address : 'base'} + ${piece.name})`;
  const pointerTo = (piece: Piece) => `((float*)(${piece.staged ? options.stage.pointer : 'basep'} + ${piece.name}))`;

  /** What makes a tile, above the lines that do. */
  const note = (tile: TileId) => options.notes.tile(tile).forEach((text) => code.line(text));

  /** Values of a fragment that one thread holds. */
  const values = (col: Axis) => pad(col) / 2 / parts;
  /** Column of value i, and first step of 16 columns, of what this part holds. */
  const colText = (col: Axis) => (parts === 1 ? 'frag_col(i)' : `(frag_col(i) + part * ${pad(col) / parts})`);
  const stepText = (col: Axis) => (parts === 1 ? '0' : `part * ${pad(col) / 16 / parts}`);
  const steps = (col: Axis) => pad(col) / 16 / parts;

  /** Before a statement about element i of a vector, which every thread says of its own. */
  const owners = (n: number) => (n > threads ? `for (int i = t; i < ${n}; i += ${threads})` : `if (const int i = t; i < ${n})`);

  const newFrag = (id: TileId, row: Axis, col: Axis, read = false): Frag => {
    const frag: Frag = { name: fresh(`f${id}`), row, col, read };
    code.line(`float ${frag.name}[${values(col)}];`);
    formsOf(id).frags.push(frag);
    return frag;
  };
  const each = (frag: Frag, text: string) => code.line(`UNROLL for (int i = 0; i < ${values(frag.col)}; ++i) ${text}`);

  /**
   * The text of element i where its column exists, 0 beyond: products take steps of 16 columns. Vectors and arrays hold anything there.
   */
  const within = (frag: Pick<Frag, 'col'>, text: string): string => {
    const n = size(frag.col);
    return n % 16 === 0 ? text : `(${colText(frag.col)} < ${n} ? ${text} : 0.f)`;
  };

  const axesOf = (id: TileId) => kernel.tiles[id].axes;
  const otherAxis = (id: TileId, row: Axis): Axis => {
    const other = axesOf(id).find((axis) => axis !== row);
    if (axesOf(id).length !== 2 || other === undefined) return refuse(`tile ${id} [${axesOf(id).join()}] is no matrix with ${row}`, row);
    return other;
  };

  /** The tile as a fragment with rows `row`; made if needed. */
  const frag = (tile: TileId, wanted: Axis): Frag => {
    const { id, own } = resolve(tile);
    const row = own(wanted);
    const f = formsOf(id);
    const found = f.frags.find((x) => x.row === row);
    if (found !== undefined) {
      ready(found.name);
      return found;
    }
    const col = otherAxis(id, row);
    if (pad(row) !== 64) return refuse(`rows ${row} of tile ${id} exceed a fragment`, { name: '', row, col });
    if (f.t16 !== undefined) {
      willRead(f.t16.piece, 'any');
      const made = newFrag(id, row, col, true);
      code.line(`load_frag<${steps(col)}, ${pad(f.t16.rows)}, ${f.t16.rows !== row}>(${made.name}, ${f.t16.address}, ${stepText(col)});`);
      hasRead(f.t16.piece);
      const back = backOf(f.t16);
      if (back !== undefined) each(made, `${made.name}[i] *= ${back};`);
      return made;
    }
    if (f.far !== undefined) {
      const made = newFrag(id, row, col);
      const [r, c] = f.far.rows === row ? ['frag_row(i)', colText(col)] : [colText(col), 'frag_row(i)'];
      each(
        made,
        `{ int r = ${r}, c = ${c}; ${made.name}[i] = r < ${f.far.limit}${f.far.skip === undefined ? '' : ` && r >= ${f.far.skip}`}`
        + ` && c < ${f.far.width} ? ld(${f.far.pointer} + (i64)r * ${f.far.rowStride} + c * ${f.far.colStride}) : 0.f; }`,
      );
      return made;
    }
    const t = t32(id);
    willRead(t.piece, 'any');
    const made = newFrag(id, row, col);
    const at = t.rows === row ? `frag_row(i) * ${t.stride} + ${colText(col)}` : `${colText(col)} * ${t.stride} + frag_row(i)`;
    each(made, `${made.name}[i] = ${within(made, `${t.pointer}[${at}]`)};`);
    hasRead(t.piece);
    return made;
  };

  /** Where warps leave the largest of their values, once `measure` has told; readers are behind a barrier. */
  const measured = (tile: TileId | undefined, measure: (to: string) => string): Vec | undefined => {
    if (!fits) return undefined;
    const piece = take(tile, warps * 4);
    const pointer = pointerTo(piece);
    willWrite(piece, 'any');
    code.line(measure(pointer));
    willRead(piece, 'any');
    return { piece, pointer };
  };
  const upText = (most: Vec) => `fit_all<${warps}>(${most.pointer})`;
  /** Name of what brings the values of a scaled tile back. */
  const backOf = ({ most }: Tile16): string | undefined => {
    if (most === undefined) return undefined;
    willRead(most.piece, 'any');
    const name = fresh('back');
    code.line(`const float ${name} = fit_back(${upText(most)});`);
    return name;
  };
  /** A fragment rounded into a tile, turned or not. */
  const putDown = (tile: TileId | undefined, from: Frag, across: boolean, first?: () => void): Tile16 => {
    const rows = across ? pad(from.col) : 64;
    const piece = take(tile, 64 * pad(from.col) * 2);
    if (fits) first?.();
    const most = measured(tile, (to) => `fit_measure<${values(from.col)}>(${to}, ${from.name}, t);`);
    willWrite(piece, 'any');
    if (!fits) first?.();
    const how = `<${steps(from.col)}, ${rows}, ${across}>(${address(piece)}, ${from.name}, ${stepText(from.col)}`;
    code.line(most === undefined ? `store_frag${how});` : `fit_store${how}, ${upText(most)});`);
    return {
      piece, address: address(piece), rows: across ? from.col : from.row, cols: across ? from.row : from.col, ...(most && { most }),
    };
  };
  /** An array in device memory, as a tile. */
  const brought = (tile: TileId, far: Far): Tile16 => {
    const piece = take(tile, pad(far.rows) * pad(far.cols) * 2);
    const shape = `<${pad(far.rows)}, ${pad(far.cols) / 64}, ${threads}>`;
    const from = `${far.pointer}, ${far.rowStride}, ${far.limit}, ${far.width}`;
    const most = measured(tile, (to) => `fit_measure_far${shape}(${to}, ${from}, t);`);
    willWrite(piece, 'any');
    code.line(`fit_load_far${shape}(${address(piece)}, ${from}, ${most === undefined ? '1.f' : upText(most)}, t);`);
    return { piece, address: address(piece), rows: far.rows, cols: far.cols, ...(most && { most }) };
  };

  const t16 = (tile: TileId): Tile16 => {
    const { id, name } = resolve(tile);
    const f = formsOf(id);
    if (f.t16 === undefined) {
      const row = f.frags[0]?.row ?? options.rowOf(axesOf(id));
      if (row === undefined && f.far !== undefined) f.t16 = brought(id, f.far);
      else {
        const from = frag(id, row ?? refuse(`tile ${id} has no row axis`, ROW));
        f.t16 = putDown(id, from, false, () => {
          // Columns that only fill the tile are contracted over like the others.
          if (pad(from.col) !== size(from.col)) each(from, `if (${colText(from.col)} >= ${size(from.col)}) ${from.name}[i] = 0.f;`);
        });
      }
    }
    const t = f.t16;
    return id === tile ? t : { ...t, rows: name(t.rows), cols: name(t.cols) };
  };

  /** As `t16`, with tokens as rows: fragments whose rows are another axis are turned on the way. */
  const tokenRows = (tile: TileId): Tile16 => {
    const { id } = resolve(tile);
    const known = formsOf(id).t16;
    const from = formsOf(id).frags[0];
    if (known === undefined ? from === undefined || isToken(from.row) : isToken(known.rows)) return t16(tile);
    if (known !== undefined || from === undefined) return refuse(`tile ${id} lies across`, t16(tile));
    ready(from.name);
    return putDown(undefined, from, true);
  };
  /** C text of the token and of the other index of element i of a fragment. */
  const tokenTexts = (frag: Frag): { token: string; channel: string } =>
    isToken(frag.row) ? { token: 'frag_row(i)', channel: colText(frag.col) } : { token: colText(frag.col), channel: 'frag_row(i)' };

  /** Floats from row to row of an f32 array: eight rows of float pairs fall into different banks. */
  const strideT32 = (cols: Axis) => pad(cols) + 8;
  const newT32 = (rows: Axis, cols: Axis, staged = false): Tile32 => {
    const stride = strideT32(cols);
    const piece = arena.take(64 * stride * 4, staged);
    return { piece, pointer: pointerTo(piece), rows, cols, stride };
  };
  /** The tile (no renaming) as an f32 array. */
  const t32 = (id: TileId): Tile32 => {
    const f = formsOf(id);
    if (f.t32 !== undefined) return f.t32;
    const { far } = f;
    if (far !== undefined && f.frags.length === 0) {
      const made = newT32(far.rows, far.cols);
      willWrite(made.piece, 'any');
      const n = size(far.cols);
      code.line(
        `for (int i = t; i < ${64 * n}; i += ${threads}) { int r = i / ${n}, c = i % ${n}; ${made.pointer}[r * ${made.stride} + c] = `
        + `r < ${far.limit}${far.skip === undefined ? '' : ` && r >= ${far.skip}`}${far.width === String(n) ? '' : ` && c < ${far.width}`}`
        + ` ? ld(${far.pointer} + (i64)r * ${far.rowStride} + c * ${far.colStride}) : 0.f; }`,
      );
      f.t32 = made;
      return made;
    }
    const row = f.frags[0]?.row ?? (f.t16 !== undefined ? options.rowOf(axesOf(id)) : undefined);
    if (row === undefined) return refuse(`tile ${id} has no value to store`, newT32(ROW, ROW));
    const from = frag(id, row);
    const made = newT32(from.row, from.col);
    willWrite(made.piece, 'any');
    each(from, `${made.pointer}[frag_row(i) * ${made.stride} + ${colText(from.col)}] = ${from.name}[i];`);
    f.t32 = made;
    return made;
  };

  /** A operand: packed fragments with rows `wanted`. */
  const packed = (tile: TileId, wanted: Axis): { name: string; steps: number; pieces: Piece[]; back?: string } => {
    const { id, own: ownName } = resolve(tile);
    const row = ownName(wanted);
    const col = otherAxis(id, row);
    const all = Math.ceil(size(col) / 16);
    const name = fresh(`a${id}`);
    const f = formsOf(id);
    // A fragment that is whole serves as it is; parts meet in shared memory.
    const own = parts === 1 ? f.frags.find((x) => x.row === row) : undefined;
    if (own === undefined && (f.t16 !== undefined || f.frags.length > 0)) {
      const t = t16(id);
      willRead(t.piece, 'any');
      code.line(`u32 ${name}[${all}][4]; load_as<${all}, ${pad(t.rows)}, ${t.rows !== row}>(${name}, ${t.address});`);
      hasRead(t.piece);
      return { name, steps: all, pieces: [t.piece], back: backOf(t) };
    }
    if (parts > 1) {
      frag(id, row);
      t16(id);
      return packed(tile, wanted);
    }
    const from = own ?? frag(id, row);
    ready(from.name);
    // What lies in 16 bits as it is fits.
    if (!fits || (f.t16 !== undefined && f.t16.most === undefined)) {
      code.line(`u32 ${name}[${all}][4]; pack<${all}>(${name}, ${from.name});`);
      return { name, steps: all, pieces: [] };
    }
    const back = fresh('back');
    code.line(`u32 ${name}[${all}][4]; float ${back}[2]; fit_pack<${all}>(${name}, ${from.name}, ${back});`);
    return { name, steps: all, pieces: [], back: `${back}[(i >> 1) & 1]` };
  };

  const vec = (tile: TileId, by: 'owner' | 'any'): string => {
    const { id } = resolve(tile);
    const f = formsOf(id);
    if (f.vec === undefined && f.own !== undefined) {
      const made = newVec(id, f.own.axis);
      willWrite(made.piece, 'owner');
      code.line(`${owners(f.own.n)} ${made.pointer}[i] = ${f.own.name};`);
    }
    const v = f.vec ?? refuse<Vec>(`tile ${id} has no vector form`, { piece: undefined, pointer: '' });
    willRead(v.piece, by);
    return v.pointer;
  };
  const newVec = (id: TileId, axis: Axis) => {
    const piece = take(id, pad(axis) * 4);
    const made = { piece, pointer: pointerTo(piece) };
    formsOf(id).vec = made;
    return made;
  };
  /** The thread's own element of a vector, in a statement about element i. */
  const element = (tile: TileId): string => formsOf(resolve(tile).id).own?.name ?? `${vec(tile, 'owner')}[i]`;
  /** Makes a vector, each thread its element i. */
  const putVec = (id: TileId, axis: Axis, text: string, n = size(axis)): void => {
    if (options.ownVectors === true && n <= threads) {
      const name = fresh(`v${id}`);
      code.line(`float ${name} = 0.f;`);
      code.line(`${owners(n)} ${name} = ${text};`);
      formsOf(id).own = { name, axis, n };
      return;
    }
    const made = newVec(id, axis);
    willWrite(made.piece, 'owner');
    code.line(`${owners(n)} ${made.pointer}[i] = ${text};`);
  };
  /** Lets go of fragments that were read from shared memory, where they can be read again. */
  const letGo = (tile: TileId): void => {
    const f = formsOf(resolve(tile).id);
    if (f.t16 !== undefined) f.frags = f.frags.filter((frag) => frag.read !== true);
  };
  const scalar = (tile: TileId): string => {
    const { id } = resolve(tile);
    const f = formsOf(id);
    if (f.scalar !== undefined) return f.scalar;
    if (f.vec !== undefined) {
      willRead(f.vec.piece, 'any');
      const name = fresh(`s${id}`);
      code.line(`const float ${name} = ${f.vec.pointer}[0];`);
      hasRead(f.vec.piece);
      f.scalar = name;
      return name;
    }
    return refuse(`tile ${id} has no scalar form`, '0.f');
  };

  return {
    ...order,
    refuse,
    /** Why the kernel is not to be, if some statement was not. */
    refusal: () => refusal,
    /** One after the other, until one is refused. */
    *untilRefused<T>(list: Iterable<T>): Generator<T> {
      for (const one of list) {
        if (refusal !== undefined) return;
        yield one;
      }
    },
    options, code, arena, parts, threads, owners, values, colText, stepText, steps, axesOf, size, pad, fresh, resolve, formsOf, take,
    address, pointerTo, note, fits, backOf, newFrag, each, within, otherAxis, frag, t16, tokenRows, tokenTexts, t32, strideT32, newT32, packed,
    vec, newVec, element, putVec, letGo, scalar,
    /** Number of products begun after the one that makes this tile; undefined if it is there. */
    runningAfter: (tile: TileId) => order.begunAfter(formsOf(resolve(tile).id).frags.map(({ name }) => name)),
  };
}
