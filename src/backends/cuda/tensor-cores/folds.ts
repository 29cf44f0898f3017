import { runsOf, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import type { Call } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import { scalarText } from '../scalar.js';
import { timesText, type Frag } from './forms.js';
import type { Team } from './team.js';

export function reduceSum(team: Team, tile: TileId, axis: Axis, arg: TileId): void {
  const axes = team.axesOf(arg);
  if (axes.length === 1) {
    team.putScalar(tile, `vec_sum<${team.size(axis)}>(${team.vec(arg, 'any')})`);
    return;
  }
  const row = team.options.rowOf(axes);
  if (row === undefined) {
    reduceFar(team, tile, axis, arg);
    return;
  }
  sumFrag(team, tile, axis, team.frag(arg, row));
}

/** Largest or smallest value of each row of a fragment. */
export function rowExtremum(team: Team, tile: TileId, op: Extract<TileOp, { op: 'reduce' }>): void {
  const row = team.options.rowOf(team.axesOf(op.arg));
  if (row === undefined) return team.refuse(`${op.reduce} of tile ${op.arg}`);
  const frag = team.frag(op.arg, row);
  if (frag.col !== op.axis) return team.refuse(`${op.reduce} over ${op.axis}`);
  const max = op.reduce === 'max';
  foldRows(
    team, tile, row,
    (to) => (team.size(op.axis) % 8 === 0
      ? { fn: 'row_extrema_to', shape: [valuesOf(team, op.axis), max], args: [to, frag.name] }
      : { fn: 'ragged_extrema_to', shape: [team.size(op.axis), max], args: [to, frag.name] }),
    (x, y) => `${max ? 'max_nan' : 'min_nan'}(${x}, ${y})`,
  );
}

/** How many values of a fragment a thread has in the columns that exist, and in others that fill up eight. */
const valuesOf = (team: Team, axis: Axis) => Math.ceil(team.size(axis) / 8) * 4 / team.parts;

/** Folds the rows of a fragment into the vector of `tile`; parts fold their columns and meet in shared memory. */
function foldRows(team: Team, tile: TileId, row: Axis, fold: (to: string) => Call, join: (x: string, y: string) => string): void {
  if (team.tall > 1) return team.refuse('folds of rows in tall blocks');
  if (team.parts === 1) {
    const v = team.newVec(tile, row);
    team.add({ kind: 'call', ...fold(v.pointer), writes: [{ piece: v.piece, by: 'any' }] });
    return;
  }
  const sums = team.draft.take(team.parts * 64 * 4, false);
  const from = team.pointerTo(sums);
  team.add({ kind: 'call', ...fold(`(${from} + part * 64)`), writes: [{ piece: sums, by: 'any' }] });
  const all = Array.from({ length: team.parts }, (_, part) => `${from}[${part * 64} + i]`);
  joined(team, tile, sums, () => team.putVec(tile, row, all.slice(1).reduce(join, all[0]), 64));
}

/** Makes a vector of what parts of the team, or its warps, have left: now, or when somebody asks, so that threads meet once for several. */
function joined(team: Team, tile: TileId, from: Piece, make: () => void): void {
  const { deferred } = team.options;
  if (deferred === undefined) {
    team.add({ kind: 'meet' });
    team.need(from, 'any');
    make();
    return;
  }
  deferred.set(tile, () => {
    team.need(from, 'any');
    make();
  });
}

/** Sums a fragment along one of its axes into the vector of `tile`. */
export function sumFrag(team: Team, tile: TileId, axis: Axis, frag: Frag): void {
  const kept = axis === frag.col ? frag.row : frag.col;
  if (axis === frag.col) {
    foldRows(
      team, tile, kept, (to) => ({ fn: 'row_sums_to', shape: [valuesOf(team, axis)], args: [to, frag.name] }), (x, y) => `${x} + ${y}`,
    );
    return;
  }
  if (team.tall > 1) return team.refuse('folds of columns in tall blocks');
  const part = team.draft.take(4 * team.pad(kept) * 4, false);
  const from = team.pointerTo(part);
  const offset = team.parts === 1 ? '0' : `part * ${team.pad(kept) / team.parts}`;
  team.add({
    kind: 'call', fn: 'col_sums_part', shape: [team.values(kept)], args: [from, frag.name, team.pad(kept), offset],
    writes: [{ piece: part, by: 'any' }],
  });
  const n = team.pad(kept);
  joined(team, tile, part, () => team.putVec(tile, kept, `${from}[i] + ${from}[${n} + i] + ${from}[${2 * n} + i] + ${from}[${3 * n} + i]`));
}

/** Sums of neighbouring columns of a fragment, as an array: parts leave what they have of a run beside each other. */
export function sumRuns(team: Team, tile: TileId, { axis, length, arg }: Extract<TileOp, { op: 'runs' }>): void {
  const row = team.options.rowOf(team.axesOf(arg));
  const runs = runsOf(axis, length);
  if (row === undefined) return team.refuse(`runs of tile ${arg}`);
  const frag = team.frag(arg, row);
  const own = team.pad(axis) / team.parts;
  const piece = Math.min(own, length);
  if (frag.col !== axis || team.size(axis) % length !== 0 || own % piece !== 0 || length % piece !== 0 || piece % 8 !== 0) {
    return team.refuse(`runs of ${length} along ${axis}`);
  }
  const count = team.size(axis) / piece;
  const sums = team.draft.take(team.fragRows * count * 4, false);
  const from = team.pointerTo(sums);
  team.add({
    kind: 'call', fn: 'runs_to', shape: [own / piece, piece / 2], args: [
      team.tall === 1 ? from : `${from} + half * ${64 * count}`, frag.name, count, team.stepText(axis, piece),
    ],
    writes: [{ piece: sums, by: 'any' }],
  });
  const stride = team.size(runs);
  if (stride === count) {
    team.formsOf(tile).t32 = { piece: sums, pointer: from, rows: row, cols: runs, stride };
    return;
  }
  const made = team.draft.take(team.fragRows * stride * 4, false);
  const pointer = team.pointerTo(made);
  const terms = Array.from({ length: length / piece }, (_, j) => `${from}[i * ${length / piece} + ${j}]`);
  team.need(sums, 'any');
  team.add({
    kind: 'spread', count: team.fragRows * stride, text: `${pointer}[i] = ${terms.join(' + ')};`, writes: [{ piece: made, by: 'any' }],
  });
  team.formsOf(tile).t32 = { piece: made, pointer, rows: row, cols: runs, stride };
}

/** A sum over a product of tiles without token axis (states): thread by thread from shared memory. */
function reduceFar(team: Team, tile: TileId, axis: Axis, arg: TileId): void {
  const kept = team.otherAxis(arg, axis);
  const text = (id: TileId): string => {
    const axes = team.axesOf(id);
    const at = (a: Axis) => (a === axis ? 'j' : 'i');
    if (axes.length === 0) return team.scalar(id);
    if (axes.length === 1) return `${team.vec(id, 'any')}[${at(axes[0])}]`;
    const { t16 } = team.formsOf(id);
    if (t16 !== undefined) {
      team.need(t16.piece, 'any');
      return `tile_at<${team.pad(t16.rows)}>(${t16.address}, ${at(t16.rows)}, ${at(t16.cols)})${timesText(team.backOf(t16))}`;
    }
    const op = team.options.defs.get(id);
    if (op?.op === 'map') return scalarText(op.fn, op.args.map(text));
    return team.refuse(`a sum over tile ${id}`, '0.f');
  };
  const value = text(arg);
  const v = team.newVec(tile, kept);
  // Neighbours start at different columns, so that they read different banks.
  team.add({
    kind: 'own', count: team.size(kept), writes: [{ piece: v.piece, by: 'owner' }],
    text: `{ float s = 0.f; for (int n = 0; n < ${team.size(axis)}; ++n) { `
      + `const int j = (n + 2 * i) % ${team.size(axis)}; s += ${value}; } ${v.pointer}[i] = s; }`,
  });
}

/** The inner products of two tiles without token axis (states), row by row or column by column. */
export function dotFar(team: Team, tile: TileId, a: TileId, b: TileId, axis: Axis): void {
  const kept = team.otherAxis(a, axis);
  const [p, q] = [a, b].map((id) => team.formsOf(team.resolve(id).id).far);
  if (p !== undefined && q !== undefined && p.rows === q.rows) {
    const v = team.newVec(tile, kept);
    team.add({
      kind: 'call', fn: p.rows === kept ? 'fit_row_dots' : 'fit_col_dots', shape: [team.size(p.rows), team.size(p.cols), team.threads],
      args: [v.pointer, p.pointer, p.rowStride, q.pointer, q.rowStride, 't'], writes: [{ piece: v.piece, by: 'any' }],
    });
    return;
  }
  const [x, y] = [a, b].map((id) => team.t16(id));
  if (x.rows !== y.rows) return team.refuse(`an inner product of tiles ${a} and ${b} that lie across each other`);
  for (const { piece } of [x, y]) team.need(piece, 'any');
  const back = timesText(team.backOf(x), team.backOf(y));
  team.putVec(
    tile, kept,
    `${x.rows === kept ? `row_dot<${team.pad(kept)}, ${team.pad(axis)}>` : `col_dot<${team.pad(axis)}>`}`
    + `(${x.address}, ${y.address}, i)${back}`,
  );
}
