import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { floatLiteral } from '../code.js';
import { scalarText } from '../scalar.js';
import { readAfter } from '../uses.js';
import type { Place } from '../address.js';
import { productText } from './product.js';
import { unsupported, type Frag, type Team, type Tile32 } from './team.js';

type Dscore = Extract<TileOp, { op: 'dscore' | 'dscoreRow' | 'dscoreCol' }>;

/** Writes one `let` (not of a load) for a team. */
export function opText(team: Team, tile: TileId, op: Exclude<TileOp, { op: 'load' }>, place: Place): void {
  const axes = team.axesOf(tile);
  switch (op.op) {
    case 'literal':
      team.formsOf(tile).scalar = floatLiteral(op.value);
      return;
    case 'head':
      team.formsOf(tile).scalar = `(float)${place.head ?? place.group}`;
      return;
    case 'heads':
      team.formsOf(tile).scalar = '(float)d.heads';
      return;
    case 'swap':
      return;
    case 'zeros':
      elementwise(team, tile, () => '0.f', []);
      return;
    case 'map':
      // A tile over no tokens has no rows to lie in fragments: whoever sums it reads it from its operands.
      if (axes.length === 2 && team.options.rowOf(axes) === undefined) return;
      elementwise(team, tile, (args) => scalarText(op.fn, args), op.args);
      return;
    case 'keep': {
      const row = (rowText: string, x: string) => `(${rowText} < ${place.length} ? ${x} : 0.f)`;
      if (axes.length === 1) vector(team, tile, ROW, () => row('i', argument(team, op.arg, 'vector', undefined)));
      else matrix(team, tile, (frag) => row(frag.row === ROW ? 'frag_row(i)' : team.colText(frag.col), argument(team, op.arg, 'matrix', frag)));
      return;
    }
    case 'mask':
      matrix(team, tile, (frag) => {
        const col = team.colText(frag.col);
        const [r, c] = frag.row === ROW ? ['frag_row(i)', col] : [col, 'frag_row(i)'];
        return `(${c} ${op.strict ? '<' : '<='} ${r} ? ${argument(team, op.arg, 'matrix', frag)} : 0.f)`;
      });
      return;
    case 'contract':
      productText(team, tile, op);
      return;
    case 'reduce':
      if (op.reduce === 'sum') reduceSum(team, tile, op.axis, op.arg);
      else rowExtremum(team, tile, op);
      return;
    case 'cumsum':
      cumsum(team, tile, op);
      return;
    case 'pick': {
      const at = op.row === 'first' ? 0 : team.options.cx.module.chunk - 1;
      if (axes.length === 0) {
        const v = team.vec(op.arg, 'any');
        setScalar(team, tile, `${v}[${at}]`);
      } else if (axes.length === 1) pickRow(team, tile, op.arg, axes[0], at);
      else unsupported('a row of a tile with three axes');
      return;
    }
    case 'shift': {
      const edgeRow = op.by === 1 ? 0 : team.options.cx.module.chunk - 1;
      const edge = (k: string) => {
        if (op.edge === undefined) return '0.f';
        return team.axesOf(op.edge).length === 0 ? team.scalar(op.edge) : `${team.vec(op.edge, 'any')}[${k}]`;
      };
      if (axes.length === 1) {
        const from = team.vec(op.arg, 'any');
        vector(team, tile, ROW, () => `(i == ${edgeRow} ? ${edge('0')} : ${from}[(i - ${op.by}) & 63])`);
      } else {
        const { id, turned } = team.resolve(op.arg);
        const t = team.t32(id);
        team.willRead(t.piece, 'any');
        if (turned || t.rows !== ROW) unsupported('a shift along columns');
        matrix(team, tile, (frag) => `(frag_row(i) == ${edgeRow} ? ${edge(team.colText(frag.col))} : ${t.pointer}[((frag_row(i) - ${op.by}) & 63) * ${t.stride} + ${team.colText(frag.col)}])`);
      }
      return;
    }
    case 'inverse': {
      const { id, turned } = team.resolve(op.arg);
      if (turned) unsupported('the inverse of a transposed tile');
      // In place: the array is the result's from now on.
      const t = team.t32(id);
      delete team.formsOf(id).t32;
      team.sync();
      alone(team, `tri_inverse<${t.stride}>(${t.pointer}, t, ${OWN_BARRIER});`);
      team.willWrite(t.piece, 'any');
      team.formsOf(tile).t32 = t;
      return;
    }
    case 'compose':
      compose(team, tile, op.a, op.b);
      return;
    case 'dscore': case 'dscoreRow': case 'dscoreCol':
      dscore(team, tile, op);
      return;
    case 'recur':
      unsupported('recur');
      return;
  }
  op satisfies never;
}

function setScalar(team: Team, tile: TileId, text: string): void {
  const name = team.fresh(`s${tile}`);
  team.code.line(`const float ${name} = ${text};`);
  team.formsOf(tile).scalar = name;
  exportScalar(team, tile, name);
}

/** A scalar the other team reads travels as a vector of one. */
function exportScalar(team: Team, tile: TileId, name: string): void {
  if (!team.options.exported.has(tile)) return;
  const piece = team.take(tile, 256);
  const pointer = team.pointerTo(piece);
  team.formsOf(tile).vec = { piece, pointer };
  team.willWrite(piece, 'any');
  team.code.line(`if (t == 0) ${pointer}[0] = ${name};`);
}

/** Text of an argument inside a loop over `i`. */
export function argument(team: Team, tile: TileId, where: 'vector' | 'matrix', frag: Frag | undefined): string {
  const axes = team.axesOf(tile);
  if (axes.length === 0) return team.scalar(tile);
  if (axes.length === 1) {
    if (where === 'vector') return `${team.vec(tile, 'owner')}[i]`;
    return `${team.vec(tile, 'any')}[${frag === undefined || axes[0] === frag.row ? 'frag_row(i)' : team.colText(frag.col)}]`;
  }
  if (axes.length === 2 && frag !== undefined) return `${team.frag(tile, frag.row).name}[i]`;
  return unsupported(`tile ${tile} with axes ${axes.join()} in an elementwise expression`);
}

function elementwise(team: Team, tile: TileId, text: (args: readonly string[]) => string, args: readonly TileId[]): void {
  const axes = team.axesOf(tile);
  if (axes.length === 0) {
    const value = text(args.map((arg) => team.scalar(arg)));
    setScalar(team, tile, value);
  } else if (axes.length === 1) vector(team, tile, axes[0], () => text(args.map((arg) => argument(team, arg, 'vector', undefined))));
  else matrix(team, tile, (frag) => text(args.map((arg) => argument(team, arg, 'matrix', frag))));
}

/** `value` is asked for before the vector's own line, so that what it needs is written above. */
export function vector(team: Team, tile: TileId, axis: Axis, value: () => string): void {
  const text = value();
  const v = team.newVec(tile, axis);
  if (v.piece !== undefined) team.willWrite(v.piece, 'owner');
  team.code.line(`for (int i = t; i < ${team.size(axis)}; i += ${team.threads}) ${v.pointer}[i] = ${text};`);
}

function matrix(team: Team, tile: TileId, value: (frag: Frag) => string): void {
  const row = team.options.rowOf(team.axesOf(tile)) ?? unsupported(`tile ${tile} [${team.axesOf(tile).join()}] has no row axis`);
  const col = team.otherAxis(tile, row);
  if (team.pad(row) !== 64) unsupported(`rows ${row} exceed a fragment`);
  const text = value({ name: '', row, col });
  const frag = team.newFrag(tile, row, col);
  team.each(frag, `${frag.name}[i] = ${text};`);
  if (team.options.exported.has(tile)) team.t16(tile);
}

/** Largest or smallest value of each row of a fragment. */
function rowExtremum(team: Team, tile: TileId, op: Extract<TileOp, { op: 'reduce' }>): void {
  const row = team.options.rowOf(team.axesOf(op.arg)) ?? unsupported(`${op.reduce} of tile ${op.arg}`);
  const frag = team.frag(op.arg, row);
  if (frag.col !== op.axis || team.size(op.axis) % 8 !== 0) unsupported(`${op.reduce} over ${op.axis}`);
  const max = op.reduce === 'max';
  foldRows(team, tile, row, (to) => `row_extrema_to<${team.size(op.axis) / 2 / team.parts}, ${max}>(${to}, ${frag.name});`, (x, y) => `${max ? 'fmaxf' : 'fminf'}(${x}, ${y})`);
}

function reduceSum(team: Team, tile: TileId, axis: Axis, arg: TileId): void {
  const axes = team.axesOf(arg);
  if (axes.length === 1) {
    setScalar(team, tile, `vec_sum<${team.size(axis)}>(${team.vec(arg, 'any')})`);
    return;
  }
  const row = team.options.rowOf(axes);
  if (row === undefined) {
    reduceFar(team, tile, axis, arg);
    return;
  }
  sumFrag(team, tile, axis, team.frag(arg, row));
}

/** Folds the rows of a fragment into the vector of `tile`; parts fold their columns and meet in shared memory. */
function foldRows(team: Team, tile: TileId, row: Axis, fold: (to: string) => string, join: (x: string, y: string) => string): void {
  const v = team.newVec(tile, row);
  if (team.parts === 1) {
    if (v.piece !== undefined) team.willWrite(v.piece, 'any');
    team.code.line(fold(v.pointer));
    return;
  }
  const sums = team.options.arena.take(team.parts * 64 * 4, false);
  const from = team.pointerTo(sums);
  team.willWrite(sums, 'any');
  team.code.line(fold(`(${from} + part * 64)`));
  team.sync();
  team.willRead(sums, 'any');
  if (v.piece !== undefined) team.willWrite(v.piece, 'owner');
  const all = Array.from({ length: team.parts }, (_, part) => `${from}[${part * 64} + i]`);
  team.code.line(`for (int i = t; i < 64; i += ${team.threads}) ${v.pointer}[i] = ${all.slice(1).reduce(join, all[0])};`);
}

/** Barrier of one warpgroup of a team of two: this one, or the next for the second. */
const OWN_BARRIER = 4;

/** Work for 128 threads. */
function alone(team: Team, text: string): void {
  team.code.line(team.parts === 1 ? text : `if (part == 0) ${text}`);
}

/** Sums a fragment along one of its axes into the vector of `tile`. */
export function sumFrag(team: Team, tile: TileId, axis: Axis, frag: Frag): void {
  const kept = axis === frag.col ? frag.row : frag.col;
  if (axis === frag.col) {
    foldRows(team, tile, kept, (to) => `row_sums_to<${team.size(axis) / 2 / team.parts}>(${to}, ${frag.name});`, (x, y) => `${x} + ${y}`);
    return;
  }
  const v = team.newVec(tile, kept);
  const part = team.options.arena.take(4 * team.pad(kept) * 4, false);
  team.willWrite(part, 'any');
  const from = team.pointerTo(part);
  team.code.line(`col_sums_part<${team.values(kept)}>(${from}, ${frag.name}, ${team.pad(kept)}, ${team.parts === 1 ? '0' : `part * ${team.pad(kept) / team.parts}`});`);
  team.sync();
  team.willRead(part, 'any');
  if (v.piece !== undefined) team.willWrite(v.piece, 'owner');
  const n = team.pad(kept);
  team.code.line(`for (int i = t; i < ${team.size(kept)}; i += ${team.threads}) ${v.pointer}[i] = ${from}[i] + ${from}[${n} + i] + ${from}[${2 * n} + i] + ${from}[${3 * n} + i];`);
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
      team.willRead(t16.piece, 'any');
      return `tile_at<${team.pad(t16.rows)}>(${t16.address}, ${at(t16.rows)}, ${at(t16.cols)})`;
    }
    const op = team.options.defs.get(id);
    if (op?.op === 'map') return scalarText(op.fn, op.args.map(text));
    return unsupported(`a sum over tile ${id}`);
  };
  const value = text(arg);
  const v = team.newVec(tile, kept);
  if (v.piece !== undefined) team.willWrite(v.piece, 'owner');
  // Neighbours start at different columns, so that they read different banks.
  team.code.line(`for (int i = t; i < ${team.size(kept)}; i += ${team.threads}) { float s = 0.f; for (int n = 0; n < ${team.size(axis)}; ++n) { const int j = (n + 2 * i) % ${team.size(axis)}; s += ${value}; } ${v.pointer}[i] = s; }`);
}

/** The inner product, row by row, of two tiles without token axis (states). */
export function dotFar(team: Team, tile: TileId, a: TileId, b: TileId, axis: Axis): void {
  const kept = team.otherAxis(a, axis);
  const [x, y] = [a, b].map((id) => team.t16(id));
  if (x.rows !== kept || y.rows !== kept) unsupported(`an inner product over rows of tiles ${a} and ${b}`);
  for (const { piece } of [x, y]) team.willRead(piece, 'any');
  const v = team.newVec(tile, kept);
  if (v.piece !== undefined) team.willWrite(v.piece, 'owner');
  team.code.line(`for (int i = t; i < ${team.size(kept)}; i += ${team.threads}) ${v.pointer}[i] = row_dot<${team.pad(kept)}, ${team.pad(axis)}>(${x.address}, ${y.address}, i);`);
}

function cumsum(team: Team, tile: TileId, op: Extract<TileOp, { op: 'cumsum' }>): void {
  if (team.axesOf(tile).length === 1) {
    const from = team.vec(op.arg, 'any');
    const v = team.newVec(tile, ROW);
    team.code.line(`if (t < 32) vec_cumsum(${v.pointer}, ${from}, ${op.exclusive}, ${op.reverse});`);
    if (v.piece !== undefined) team.willWrite(v.piece, 'any');
    return;
  }
  const { id, turned } = team.resolve(op.arg);
  if (turned) unsupported('a running sum along columns');
  if (op.exclusive && !op.reverse) {
    // The inclusive sums, a row later: no array of their own.
    const { piece, pointer: sums, stride } = inclusiveSums(team, id, tile);
    team.willRead(piece, 'any');
    matrix(team, tile, (frag) => `(frag_row(i) == 0 ? 0.f : ${sums}[(frag_row(i) - 1) * ${stride} + ${team.colText(frag.col)}])`);
    return;
  }
  // A decay score may have asked for it already.
  if (team.formsOf(tile).t32 === undefined) sumColumns(team, tile, id, op.exclusive, op.reverse, tile);
}

/** `moment`: the statement being written. */
function sumColumns(team: Team, tile: TileId, arg: TileId, exclusive: boolean, reverse: boolean, moment: TileId): void {
  const from = team.t32(arg);
  team.willRead(from.piece, 'owner');
  team.sync();
  // In place where nobody asks for the summands any more.
  const inPlace = !readAfter(team.options.kernel, arg, moment, tile);
  const to = inPlace ? from : team.newT32(tile, from.rows, from.cols);
  if (inPlace) delete team.formsOf(arg).t32;
  team.willRead(from.piece, 'any');
  team.willWrite(to.piece, 'any');
  const gates = !exclusive && !reverse && [...team.options.defs.values()].some((op) => (op.op === 'dscore' || op.op === 'dscoreRow' || op.op === 'dscoreCol') && team.resolve(op.g).id === arg);
  team.code.line(`for (int i = t; i < ${team.pad(from.cols)}; i += ${team.threads}) col_cumsum<${exclusive}, ${reverse}, ${gates}>(${to.pointer} + i, ${from.pointer} + i, ${from.stride}, i < ${team.size(from.cols)});`);
  team.formsOf(tile).t32 = to;
}

/** Products inside a solve keep more digits than 16-bit operands have (kernels.md 4.2). */
function compose(team: Team, tile: TileId, a: TileId, b: TileId): void {
  const arrays = [a, b].map((id) => {
    const found = team.resolve(id);
    if (found.turned) unsupported('a composition of transposed tiles');
    return team.t32(found.id);
  });
  team.sync();
  for (const { piece } of arrays) team.willRead(piece, 'any');
  const out = team.newT32(tile, ROW, COL);
  team.willWrite(out.piece, 'any');
  alone(team, `compose_tf32<${out.stride}>(${[out, ...arrays].map((x) => x.pointer).join(', ')}, t);`);
  team.formsOf(tile).t32 = out;
}

function pickRow(team: Team, tile: TileId, arg: TileId, axis: Axis, at: number): void {
  const { id, turned } = team.resolve(arg);
  if (turned) unsupported('a column of a transposed tile');
  const f = team.formsOf(id);
  if (f.t32 !== undefined) {
    const { t32 } = f;
    team.willRead(t32.piece, 'any');
    vector(team, tile, axis, () => `${t32.pointer}[${at * t32.stride} + i]`);
  } else if (f.t16 !== undefined) {
    const { t16 } = f;
    team.willRead(t16.piece, 'any');
    vector(team, tile, axis, () => `tile_at<${team.pad(t16.rows)}>(${t16.address}, ${at}, i)`);
  } else {
    const frag = team.frag(id, ROW);
    const v = team.newVec(tile, axis);
    if (v.piece !== undefined) team.willWrite(v.piece, 'any');
    team.each(frag, `if (frag_row(i) == ${at}) ${v.pointer}[${team.colText(frag.col)}] = ${frag.name}[i];`);
  }
}

/** The array of inclusive sums of a tile: that of a running sum of the kernel, wherever it stands, or one of its own. */
function inclusiveSums(team: Team, gate: TileId, moment: TileId): Tile32 {
  const known = [...team.options.defs].find(([, def]) => def.op === 'cumsum' && !def.exclusive && !def.reverse && team.resolve(def.arg).id === gate);
  const sums = known?.[0] ?? -1 - gate;
  if (team.formsOf(sums).t32 === undefined) sumColumns(team, sums, gate, false, false, moment);
  return team.formsOf(sums).t32 ?? unsupported('sums without an array');
}

/** Decay scores by halving levels (kernels.md 4.1.7), from inclusive sums of the gates. */
function dscore(team: Team, tile: TileId, op: Dscore): void {
  const { code } = team;
  const sums = inclusiveSums(team, team.resolve(op.g).id, tile);
  const K = op.axis;
  const n = team.pad(K);
  const scratch = team.options.arena.take(64 * n * 2, false);
  const flags = `${sums.stride}, ${op.before}, ${op.strict || op.before}`;
  const own = team.parts === 1 ? `${OWN_BARRIER}` : `${OWN_BARRIER} + part`;
  const steps = n / 16 / team.parts;
  const first = team.parts === 1 ? '0' : `part * ${steps}`;
  const begin = (operands: readonly TileId[], rows: Axis, cols: Axis): { out: string; tiles: readonly string[] } => {
    const tiles = operands.map((id) => team.t16(id));
    for (const { piece } of tiles) team.willRead(piece, 'any');
    team.sync();
    for (const { piece } of [...tiles, sums]) team.willRead(piece, 'any');
    team.willWrite(scratch, 'any');
    return { out: team.newFrag(tile, rows, cols).name, tiles: tiles.map((t) => t.address) };
  };
  if (op.op === 'dscore') {
    const { out, tiles } = begin([op.x, op.y], ROW, COL);
    const call = (to: string) => `decay_score<${flags}>(${to}, ${tiles.join(', ')}, ${sums.pointer}, ${team.address(scratch)}, ${first}, ${team.parts === 1 ? steps : `${first} + ${steps}`}, ${own});`;
    if (team.parts === 1) code.line(call(out));
    else {
      // Each part has summed over its channels: they add up one after the other, always in the same order, and take their columns of the sum.
      const sum = team.options.arena.take(64 * 64 * 4, false);
      team.willWrite(sum, 'any');
      code.open('');
      code.line(`float whole[32]; ${call('whole')}`);
      for (let part = 0; part < team.parts; part++) {
        code.line(`if (part == ${part}) ${part === 0 ? 'put_whole' : 'add_whole'}(${team.pointerTo(sum)}, whole, t);`);
        team.sync();
      }
      team.willRead(sum, 'any');
      code.line(`take_part<${32 / team.parts}>(${out}, ${team.pointerTo(sum)}, part, t);`);
      code.close();
    }
  } else {
    const rows = op.op === 'dscoreRow' ? ROW : COL;
    const a = team.packed(op.a, rows);
    const { out, tiles } = begin([op.op === 'dscoreRow' ? op.y : op.x], rows, K);
    code.line(`decay_side<${steps}, ${flags}, ${rows === COL}>(${out}, ${a.name}, ${tiles.join(', ')}, ${sums.pointer}, ${team.address(scratch)}, ${first}, ${own});`);
  }
  team.sync();
  team.willRead(scratch, 'any');
  if (team.options.exported.has(tile)) team.t16(tile);
}
