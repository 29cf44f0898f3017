import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileOp } from '../../../ir/tile/tile.js';
import type { Notes } from '../../notes.js';
import type { Draft } from '../instructions/draft.js';
import type { By, Call, Instruction } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import type { CudaContext } from '../lowered.js';
import { extentsOf, type Parts, type Tall } from './extents.js';
import { isDscore } from './joined-decays.js';
import { isToken, type Far, type Forms, type Frag, type Own, type Pack, type Tile16, type Tile32, type Vec } from './forms.js';

export interface TeamOptions {
  readonly cx: CudaContext;
  readonly kernel: TileKernel;
  readonly draft: Draft;
  readonly parts?: Parts;
  readonly tall?: Tall;
  /** Where warps put down what they store, each for itself, and what does so once all of it is known. */
  readonly outlet?: { readonly piece: Piece; readonly later: Instruction[] };
  /** Tiles that are what `silu` is differentiated to, and of what. */
  readonly slopes?: ReadonlyMap<TileId, TileId>;
  /** Threads that copy, numbered from 0, where they are not the team's. */
  readonly copiers?: number;
  /** Most of the split axis that a block has; absent: what the rows of this team hold. */
  readonly slab?: number;
  readonly defs: ReadonlyMap<TileId, TileOp>;
  readonly notes: Notes;
  /** Decay operations that are computed together, by the first. */
  readonly groups?: ReadonlyMap<TileId, readonly TileId[]>;
  rowOf(axes: readonly Axis[]): Axis | undefined;
  /** C names of the address and the pointer of the current stage. */
  readonly stage: { readonly address: string; readonly pointer: string };
  /** Matrices that stay in memory, and how many of their panels are in shared memory at once. */
  readonly panels?: { readonly tiles: ReadonlySet<TileId>; readonly depth: number };
  /** Vectors stay in registers until other threads read them. Of code that is no loop, or the body of one. */
  readonly ownVectors?: boolean;
  /**
   * Registers are short: left operands of products stay packed for the next one, and a sum takes the registers of its other term. Of code
   * that is no loop, or the body of one.
   */
  readonly frugal?: boolean;
  /** What is left of folds until somebody asks for one; undefined: nothing waits. */
  readonly deferred?: Map<TileId, () => void>;
  /** Tiles that another team reads: their vectors and tiles go to the stage. */
  readonly exported: ReadonlySet<TileId>;
  /** Forms made by the team that loads. */
  readonly imported?: (tile: TileId) => Forms | undefined;
}

export type Team = ReturnType<typeof createTeam>;

/** Keeps track, for the threads of a team, of where every tile is, and has the form of it made that is asked for. */
export function createTeam(options: TeamOptions) {
  const { cx, kernel, draft, defs } = options;
  const { add, fresh, refuse } = draft;
  const forms = new Map<TileId, Forms>();
  const parts = options.parts ?? 1;
  const tall = options.tall ?? 1;
  const threads = 128 * parts * tall;
  const copiers = options.copiers ?? threads;
  /** Numbers are f32 of any size, operands made of them are not. */
  const fits = cx.dtype === 'f16';
  const warps = 4 * parts;
  const extents = extentsOf(cx, kernel, defs, parts, tall, options.slab ?? 64 * tall);
  const { resolve, size, pad, values, colText, stepText, steps, axesOf, rowText, fragRows, ofHalf } = extents;

  /** Log decays of channels, whose running sums lie in an array. */
  const decaying = new Set([...defs.values()].flatMap((op) => (isDscore(op) ? [resolve(op.g).id] : [])));

  const formsOf = (id: TileId): Forms => {
    const known = forms.get(id);
    if (known !== undefined) return known;
    const { vec, t16, t32, far } = options.imported?.(id) ?? {};
    const made: Forms = { frags: [], ...(vec && { vec }), ...(t16 && { t16 }), ...(t32 && { t32 }), ...(far && { far }) };
    forms.set(id, made);
    return made;
  };

  const need = (piece: Piece | undefined, by: By) => {
    if (piece !== undefined) add({ kind: 'need', piece, by });
  };
  const take = (tile: TileId | undefined, bytes: number) => draft.take(bytes, tile !== undefined && options.exported.has(tile), tile);
  const address = (piece: Piece) => `(${piece.staged ? options.stage.address : 'base'} + ${piece.name})`;
  const pointerTo = (piece: Piece) => `((float*)(${piece.staged ? options.stage.pointer : 'basep'} + ${piece.name}))`;
  const vecIn = (piece: Piece): Vec => ({ piece, pointer: pointerTo(piece) });

  /** What makes a tile, above the lines that do. */
  const note = (tile: TileId) => options.notes.tile(tile).forEach((text) => add({ kind: 'note', text }));
  /** A statement begins. */
  const begin = () => add({ kind: 'statement' });

  const registersOf = ({ name, col }: Frag) => ({ name, count: values(col) });
  /** The tile will be in a fragment, too. */
  const named = (id: TileId, row: Axis, col: Axis, read = false): Frag => {
    const frag: Frag = { name: fresh(`f${id}`), row, col, read };
    formsOf(id).frags.push(frag);
    return frag;
  };
  const newFrag = (id: TileId, row: Axis, col: Axis): Frag => {
    const frag = named(id, row, col);
    add({ kind: 'registers', ...registersOf(frag) });
    return frag;
  };
  const eachOf = (frag: Frag, text: string) => ({ kind: 'each', count: values(frag.col), text }) as const;
  const each = (frag: Frag, text: string) => add(eachOf(frag, text));

  /**
   * The text of element i where its column exists, 0 beyond: products take steps of 16 columns. Vectors and arrays hold anything there.
   */
  const within = (frag: Pick<Frag, 'col'>, text: string): string => {
    const n = size(frag.col);
    return n % 16 === 0 ? text : `(${colText(frag.col)} < ${n} ? ${text} : 0.f)`;
  };

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
      draft.await(found.name);
      return found;
    }
    const col = otherAxis(id, row);
    if (pad(row) !== fragRows) return refuse(`rows ${row} of tile ${id} exceed a fragment`, { name: '', row, col });
    if (f.t16 !== undefined) {
      const made = named(id, row, col, true);
      add({
        kind: 'call', fn: 'load_frag', shape: [steps(col), pad(f.t16.rows), f.t16.rows !== row],
        args: [
          made.name, ofHalf(f.t16.address, f.t16.rows !== row, pad(f.t16.rows)), stepText(col),
        ], makes: registersOf(made), reads: [f.t16.piece],
      });
      const back = backOf(f.t16);
      if (back !== undefined) each(made, `${made.name}[i] *= ${back};`);
      return made;
    }
    if (f.far !== undefined) {
      const made = named(id, row, col);
      const { rows, limit, skip, width, pointer, rowStride, colStride } = f.far;
      const [r, c] = rows === row ? [rowText, colText(col)] : [colText(col), rowText];
      add({
        ...eachOf(made, `{ int r = ${r}, c = ${c}; ${made.name}[i] = r < ${limit}${skip === undefined ? '' : ` && r >= ${skip}`}`
          + ` && c < ${width} ? ld(${pointer} + (i64)r * ${rowStride} + c * ${colStride}) : 0.f; }`),
        makes: registersOf(made),
      });
      return made;
    }
    const t = t32(id);
    const made = named(id, row, col, true);
    const at = t.rows === row ? `${rowText} * ${t.stride} + ${colText(col)}` : `${colText(col)} * ${t.stride} + ${rowText}`;
    const text = `${made.name}[i] = ${within(made, `${t.pointer}[${at}]`)};`;
    add({ ...eachOf(made, text), makes: registersOf(made), reads: [t.piece] });
    return made;
  };

  /** Where warps leave the largest of their values, once `measure` has told; readers are behind a barrier. */
  const measured = (tile: TileId | undefined, measure: (to: string) => Call): Vec | undefined => {
    if (!fits) return undefined;
    if (tall > 1) return refuse('scaled values in tall blocks');
    const most = vecIn(take(tile, warps * 4));
    add({ kind: 'call', ...measure(most.pointer), writes: [{ piece: most.piece, by: 'any' }] });
    need(most.piece, 'any');
    return most;
  };
  const upText = (most: Vec) => `fit_all<${warps}>(${most.pointer})`;
  /** Name of what brings the values of a scaled tile back. */
  const backOf = ({ most }: Tile16): string | undefined => {
    if (most === undefined) return undefined;
    need(most.piece, 'any');
    const name = fresh('back');
    add({ kind: 'number', name, value: `fit_back(${upText(most)})` });
    return name;
  };
  /** Columns of a fragment that only fill it become 0, and rows if `rows` says so. */
  const blank = ({ name, row, col }: Frag, rows: boolean) => {
    const beyond = [
      ...(pad(col) === size(col) ? [] : [`${colText(col)} >= ${size(col)}`]),
      ...(!rows || size(row) === fragRows ? [] : [`${rowText} >= ${size(row)}`]),
    ];
    if (beyond.length > 0) each({ name, row, col }, `if (${beyond.join(' || ')}) ${name}[i] = 0.f;`);
  };
  /** A fragment rounded into a tile, turned or not. What only fills the tile is no part of its largest value, and is contracted over. */
  const putDown = (tile: TileId | undefined, from: Frag, across: boolean): Tile16 => {
    const rows = across ? pad(from.col) : fragRows;
    const piece = take(tile, fragRows * pad(from.col) * 2);
    if (fits) blank(from, true);
    const most = measured(tile, (to) => ({ fn: 'fit_measure', shape: [values(from.col)], args: [to, from.name, 't'] }));
    if (!fits && !across) blank(from, false);
    add({
      kind: 'call', fn: most === undefined ? 'store_frag' : 'fit_store', shape: [steps(from.col), rows, across],
      args: [
        ofHalf(address(piece), across, rows), from.name, stepText(from.col), ...(most === undefined ? [] : [upText(most)]),
      ], writes: [{ piece, by: 'any' }],
    });
    return {
      piece, address: address(piece), rows: across ? from.col : from.row, cols: across ? from.row : from.col, ...(most && { most }),
    };
  };
  /** An array in device memory, as a tile. */
  const brought = (tile: TileId, far: Far): Tile16 => {
    const piece = take(tile, pad(far.rows) * pad(far.cols) * 2);
    const shape = [pad(far.rows), pad(far.cols) / 64, threads];
    const from = [far.pointer, far.rowStride, far.limit, far.width];
    const most = measured(tile, (to) => ({ fn: 'fit_measure_far', shape, args: [to, ...from, 't'] }));
    add({
      kind: 'call', fn: 'fit_load_far', shape, args: [address(piece), ...from, most === undefined ? '1.f' : upText(most), 't'],
      writes: [{ piece, by: 'any' }],
    });
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
        f.t16 = putDown(id, from, false);
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
    draft.await(from.name);
    return putDown(undefined, from, true);
  };

  const newT32 = (rows: Axis, cols: Axis, staged = false): Tile32 => {
    const stride = extents.strideT32(cols);
    const piece = draft.take(fragRows * stride * 4, staged);
    return { piece, pointer: pointerTo(piece), rows, cols, stride };
  };
  /** The tile (no renaming) as an f32 array. */
  const t32 = (id: TileId): Tile32 => {
    const f = formsOf(id);
    if (f.t32 !== undefined) return f.t32;
    const { far } = f;
    if (far !== undefined && f.frags.length === 0) {
      const made = newT32(far.rows, far.cols);
      const n = size(far.cols);
      add({
        kind: 'spread', count: fragRows * n, writes: [{ piece: made.piece, by: 'any' }],
        text: `{ int r = i / ${n}, c = i % ${n}; ${made.pointer}[r * ${made.stride} + c] = `
          + `r < ${far.limit}${far.skip === undefined ? '' : ` && r >= ${far.skip}`}`
          + `${far.width === String(n) ? '' : ` && c < ${far.width}`}`
          + ` ? ld(${far.pointer} + (i64)r * ${far.rowStride} + c * ${far.colStride}) : 0.f; }`,
      });
      f.t32 = made;
      return made;
    }
    const row = f.frags[0]?.row ?? (f.t16 !== undefined ? options.rowOf(axesOf(id)) : undefined);
    if (row === undefined) return refuse(`tile ${id} has no value to store`, newT32(ROW, ROW));
    const from = frag(id, row);
    // An array that the values were made from is as large, and done with.
    if (decaying.has(id)) add({ kind: 'meet' });
    const made = newT32(from.row, from.col);
    add({
      ...eachOf(from, `${made.pointer}[${rowText} * ${made.stride} + ${colText(from.col)}] = ${from.name}[i];`),
      writes: [{ piece: made.piece, by: 'any' }],
    });
    f.t32 = made;
    return made;
  };

  /** A operand: packed fragments with rows `wanted`. */
  const packed = (tile: TileId, wanted: Axis): { name: string; steps: number; back?: string } => {
    const { id, own: ownName } = resolve(tile);
    const row = ownName(wanted);
    const col = otherAxis(id, row);
    const all = Math.ceil(size(col) / 16);
    const f = formsOf(id);
    const name = fresh(`a${id}`);
    const declared = `u32 ${name}[${all}][4];`;
    const kept = f.packs?.find((pack) => pack.row === row);
    if (kept !== undefined) return kept;
    // A fragment that is whole serves as it is; parts meet in shared memory.
    const own = parts === 1 ? f.frags.find((x) => x.row === row) : undefined;
    if (own === undefined && (f.t16 !== undefined || f.frags.length > 0)) {
      const t = t16(id);
      add({
        kind: 'call', fn: 'load_as', shape: [all, pad(t.rows), t.rows !== row], args: [
          name, ofHalf(t.address, t.rows !== row, pad(t.rows)),
        ], declares: [declared],
        reads: [t.piece],
      });
      return { name, steps: all, back: backOf(t) };
    }
    if (parts > 1) {
      frag(id, row);
      t16(id);
      return packed(tile, wanted);
    }
    const from = own ?? frag(id, row);
    draft.await(from.name);
    // What lies in 16 bits as it is fits.
    if (!fits || (f.t16 !== undefined && f.t16.most === undefined)) {
      add({ kind: 'call', fn: 'pack', shape: [all], args: [name, from.name], declares: [declared] });
      const pack: Pack = { name, row, steps: all };
      if (options.frugal === true) f.packs = [...f.packs ?? [], pack];
      return pack;
    }
    const back = fresh('back');
    add({ kind: 'call', fn: 'fit_pack', shape: [all], args: [name, from.name, back], declares: [declared, `float ${back}[2];`] });
    return { name, steps: all, back: `${back}[(i >> 1) & 1]` };
  };

  const vec = (tile: TileId, by: By): string => {
    const { id } = resolve(tile);
    const f = formsOf(id);
    if (f.vec === undefined && f.own !== undefined) {
      const made = newVec(id, f.own.axis);
      add({ kind: 'own', count: f.own.n, text: `${made.pointer}[i] = ${f.own.name};`, writes: [{ piece: made.piece, by: 'owner' }] });
    }
    if (f.vec === undefined) return refuse(`tile ${id} has no vector form`, '');
    need(f.vec.piece, by);
    return f.vec.pointer;
  };
  const newVec = (id: TileId, axis: Axis): Vec => {
    const made = vecIn(take(id, pad(axis) * 4));
    formsOf(id).vec = made;
    return made;
  };
  /** The thread's own element of a vector, in a statement about element i. */
  const element = (tile: TileId): string => formsOf(resolve(tile).id).own?.name ?? `${vec(tile, 'owner')}[i]`;
  const keepOwn = (id: TileId, own: Own): void => {
    formsOf(id).own = own;
    if (options.exported.has(id)) vec(id, 'owner');
  };
  /** A vector of which every thread has its element, in a variable of which `value` is the text; others anything. */
  const putOwn = (id: TileId, axis: Axis, value: string): void => {
    const name = fresh(`v${id}`);
    add({ kind: 'number', name, value });
    keepOwn(id, { name, axis, n: size(axis) });
  };
  /** Makes a vector, each thread its element i. */
  const putVec = (id: TileId, axis: Axis, text: string, n = size(axis)): void => {
    if (options.ownVectors === true && n <= threads) {
      const name = fresh(`v${id}`);
      add({ kind: 'number', name, value: '0.f', variable: true });
      add({ kind: 'own', count: n, text: `${name} = ${text};` });
      keepOwn(id, { name, axis, n });
      return;
    }
    const made = newVec(id, axis);
    add({ kind: 'own', count: n, text: `${made.pointer}[i] = ${text};`, writes: [{ piece: made.piece, by: 'owner' }] });
  };
  /** Lets go of fragments that were read from shared memory, where they can be read again. */
  const letGo = (tile: TileId): void => {
    const f = formsOf(resolve(tile).id);
    if (f.t16 !== undefined || f.t32 !== undefined) f.frags = f.frags.filter((one) => one.read !== true);
  };
  const scalar = (tile: TileId): string => {
    const { id } = resolve(tile);
    const f = formsOf(id);
    if (f.scalar !== undefined) return f.scalar;
    if (f.vec === undefined) return refuse(`tile ${id} has no scalar form`, '0.f');
    const name = fresh(`s${id}`);
    add({ kind: 'number', name, value: `${f.vec.pointer}[0]`, reads: [f.vec.piece] });
    f.scalar = name;
    return name;
  };
  /** A number that another team reads travels as a vector of one. */
  const exportScalar = (tile: TileId, value: string, by: By): Instruction | undefined => {
    if (!options.exported.has(tile)) return undefined;
    const made = vecIn(take(tile, 256));
    formsOf(tile).vec = made;
    return { kind: 'one', text: `${made.pointer}[0] = ${value};`, writes: [{ piece: made.piece, by }] };
  };
  /** Makes a number. */
  const putScalar = (tile: TileId, value: string): void => {
    const name = fresh(`s${tile}`);
    add({ kind: 'number', name, value });
    formsOf(tile).scalar = name;
    const put = exportScalar(tile, name, 'any');
    if (put !== undefined) add(put);
  };

  return {
    ...extents, options, draft, add, fresh, refuse, parts, tall, threads, formsOf, need, address, pointerTo, note, begin, fits, backOf,
    copiers, newFrag, registersOf, each, eachOf, within, otherAxis, frag, t16, tokenRows, t32, newT32, packed, vec, newVec, element, putVec,
    putOwn, letGo, scalar, putScalar, exportScalar,
    /** Number of products begun after the one that makes this tile; undefined if it is there. */
    runningAfter: (tile: TileId) => draft.begunAfter(formsOf(resolve(tile).id).frags.map(({ name }) => name)),
  };
}
