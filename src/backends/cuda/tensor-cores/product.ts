import type { Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { dotFar, sumFrag } from './folds.js';
import { timesText, type Frag } from './forms.js';
import { takeOver } from './frugal.js';
import { productInPanels } from './panels.js';
import type { Team } from './team.js';

type Contract = Extract<TileOp, { op: 'contract' }>;

/** Channels that are worth a step of a product, which takes 16. Erases along fewer also leave nothing of what 16-bit operands round. */
const LEAST_SUM = 8;

/**
 * A matrix product. With `start`, the result begins with the elements `start` gives instead of 0 (sum of a product and a tile): those of
 * the tile `onto`, if nobody else reads it.
 */
export function productText(team: Team, tile: TileId, op: Contract, start?: (frag: Frag) => string, onto?: TileId): void {
  const axes = team.axesOf(tile);
  if (axes.length < 2) {
    foldText(team, tile, op);
    return;
  }
  const found = sidesOf(team, tile, op);
  if (found === undefined) return;
  const { row, col, left, right } = found;
  if (team.size(op.axis) < LEAST_SUM) return team.refuse(`${team.size(op.axis)} channels along ${op.axis}`);
  if (team.options.panels?.tiles.has(team.resolve(right).id) === true) {
    productInPanels(team, { tile, left, right, axis: op.axis, row, col, init: start?.({ name: '', row, col }) });
    return;
  }
  const b = team.t16(right);
  const sum = onto === undefined ? undefined : takeOver(team, onto, tile, row);
  const init = sum === undefined ? start?.({ name: '', row, col }) : undefined;
  const a = team.packed(left, row);
  team.need(b.piece, 'any');
  const back = timesText(a.back, team.backOf(b));
  const out = sum ?? team.newFrag(tile, row, col);
  if (init !== undefined) team.each(out, `${out.name}[i] = ${team.within(out, init)};`);
  const major = b.rows === op.axis;
  const width = team.pad(col) / team.parts;
  // The product of scaled operands is brought back before it meets anything else.
  const raw = back === '' ? out.name : `${out.name}_raw`;
  if (back !== '') team.add({ kind: 'registers', name: raw, count: team.values(col) });
  const fresh = (init === undefined && sum === undefined) || back !== '';
  team.add({
    kind: 'product', name: out.name, sum: raw, pieces: [b.piece], shape: [width, a.steps, team.pad(b.rows), major, fresh],
    args: [raw, a.name, b.address, ...(team.parts === 1 ? [] : [`part * ${width}`])],
    then: back === '' ? [] : [team.eachOf(out, `${out.name}[i] ${init === undefined ? '=' : '+='} ${raw}[i]${back};`)],
  });
}

export interface Sides {
  readonly row: Axis;
  readonly col: Axis;
  /** The operand with the rows of the result, and the one with its columns. */
  readonly left: TileId;
  readonly right: TileId;
}

/** How a product is one of two matrices; undefined: refused. */
export function sidesOf(team: Team, tile: TileId, op: Contract): Sides | undefined {
  const axes = team.axesOf(tile);
  const row = team.options.rowOf(axes);
  if (row === undefined) return team.refuse(`product ${tile} [${axes.join()}] has no row axis`);
  const col = team.otherAxis(tile, row);
  const holds = (id: TileId, axis: string) => team.axesOf(id).includes(axis);
  const [left, right] = holds(op.a, row) ? [op.a, op.b] : [op.b, op.a];
  if (
    team.axesOf(left).length !== 2 || team.axesOf(right).length !== 2 || !holds(right, col) || holds(left, col) || holds(right, row)
  ) return team.refuse(`product ${tile} is batched`);
  return team.pad(row) === team.fragRows ? { row, col, left, right } : team.refuse(`rows ${row} exceed a fragment`);
}

/** Left operands as they are in registers, by tile. */
export type LeftOperands = Map<TileId, ReturnType<Team['packed']>>;

/** Adds a step of a product to the fragment of the tile that sums it up; products of a step share their left operands. */
export function addProduct(team: Team, tile: TileId, into: TileId, op: Contract, lefts: LeftOperands): void {
  const found = sidesOf(team, tile, op);
  const [sum] = team.formsOf(into).frags;
  if (found === undefined || sum === undefined) return;
  team.begin();
  team.note(tile);
  const b = team.t16(found.right);
  const a = lefts.get(found.left) ?? team.packed(found.left, found.row);
  lefts.set(found.left, a);
  team.need(b.piece, 'any');
  const width = team.pad(found.col) / team.parts;
  // What is scaled step by step is brought back before it meets the other steps.
  const back = timesText(a.back, team.backOf(b));
  const raw = back === '' ? sum.name : team.fresh(`raw${tile}`);
  if (back !== '') team.add({ kind: 'registers', name: raw, count: team.values(found.col) });
  team.add({
    kind: 'product', name: sum.name, sum: raw, pieces: [b.piece],
    then: back === '' ? [] : [team.eachOf(sum, `${sum.name}[i] += ${raw}[i]${back};`)],
    shape: [width, a.steps, team.pad(b.rows), b.rows === op.axis, back !== ''],
    args: [raw, a.name, b.address, ...(team.parts === 1 ? [] : [`part * ${width}`])],
  });
}

/** A contraction to a vector: the product element by element, then a sum. */
function foldText(team: Team, tile: TileId, op: Contract): void {
  const row = team.options.rowOf([...new Set([...team.axesOf(op.a), ...team.axesOf(op.b)])]);
  const [big, other] = team.axesOf(op.a).length >= team.axesOf(op.b).length ? [op.a, op.b] : [op.b, op.a];
  const axes = team.axesOf(big);
  if (axes.length === 1) {
    const x = team.vec(op.a, 'any');
    const y = team.vec(op.b, 'any');
    const name = team.fresh(`s${tile}`);
    team.add({ kind: 'sum', name, count: team.size(op.axis), term: `${x}[j] * ${y}[j]` });
    team.formsOf(tile).scalar = name;
    if (team.options.exported.has(tile)) team.refuse('a scalar product between teams');
    return;
  }
  if (axes.length === 2 && row === undefined && team.axesOf(other).length === 2) {
    dotFar(team, tile, op.a, op.b, op.axis);
    return;
  }
  if (
    axes.length !== 2 || row === undefined || !axes.includes(row) || !team.axesOf(other).every((axis) => axes.includes(axis))
  ) return team.refuse(`contraction ${tile}`);
  const x = team.frag(big, row);
  const text = ((): string => {
    const side = team.axesOf(other);
    if (side.length === 2) return `${team.frag(other, row).name}[i]`;
    return `${team.vec(other, 'any')}[${side[0] === row ? team.rowText : team.colText(team.otherAxis(big, row))}]`;
  })();
  const name = team.fresh(`f${tile}`);
  const frag: Frag = { name, row, col: team.otherAxis(big, row) };
  team.add({ ...team.eachOf(frag, `${name}[i] = ${team.within(frag, `${x.name}[i] * ${text}`)};`), makes: team.registersOf(frag) });
  sumFrag(team, tile, op.axis, frag);
}
