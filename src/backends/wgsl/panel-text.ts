import type { Axis } from '../../ir/common/axes.js';
import { buffersRead } from '../../ir/tile/buffers.js';
import { hasRole, operandsOf } from '../../ir/tile/facts.js';
import type { TileId } from '../../ir/tile/tile.js';
import { sum } from '../../support/sum.js';
import { operandsIn, type Action } from './actions.js';
import { axisVariable } from './address.js';
import { element, innerBlock, newBlock, placeOf, rowBy, type At, type Block, type Printing } from './element.js';
import { sourceOf, type MicroTile, type PanelProduct } from './panels.js';
import type { Structure } from './structure.js';
import { rolled, variable, type Code, type Index } from './text.js';

/** Some steps of an operand in workgroup memory, as vectors of four neighbours along the axis that stays. */
interface Panel {
  readonly tile: TileId;
  readonly fold: Axis;
  readonly side: Axis;
  /** In vectors: where it begins, how many a step has, and from one step to the next: one more, so that steps lie in other banks. */
  readonly offset: number;
  readonly quads: number;
  readonly pitch: number;
}

export interface PanelLayout {
  readonly panels: readonly Panel[];
  readonly step: number;
  /** Vectors of workgroup memory. */
  readonly size: number;
}

type Products = Extract<Action, { kind: 'panels' }>;

/** Steps of a panel: as many as come without a rest and leave room. */
const STEPS = [16, 8, 4];
/**
 * Panels of so many vectors for each invocation at most are loaded without a loop. More, or several steps in the text, would hide more of
 * memory's latency, but lavapipe compiles kernels in a time that grows with the square of what they access.
 */
const STRAIGHT = 2;

/** Where the panels of some products lie, in so many floats at most, as far as four steps fit. */
export function panelLayout(s: Structure, action: Products, floats: number): PanelLayout {
  const fold = action.products[0].op.axis;
  const operands = operandsIn(action).map((tile) => {
    const side = s.axes(tile).find((axis) => axis !== fold);
    if (side === undefined) throw new Error(`${s.kernel.name}: tile ${tile} has no axis but ${fold}`);
    return { tile, fold, side, quads: s.size(side) / 4 };
  });
  const pitches = sum(operands.map(({ quads }) => quads + 1));
  const steps = STEPS.filter((n) => s.size(fold) % n === 0);
  const step = steps.find((n) => 4 * n * pitches <= floats) ?? steps[steps.length - 1];
  let size = 0;
  const panels = operands.map((operand): Panel => {
    const offset = size;
    size += step * (operand.quads + 1);
    return { ...operand, offset, pitch: operand.quads + 1 };
  });
  return { panels, step, size };
}

/** Registers of an invocation, which begin at 0. */
export function clearText(code: Code, tile: TileId, { rows, cols }: MicroTile): void {
  for (let i = 0; i < (rows * cols) / 4; i++) code.line(`var m${tile}_${i} = vec4<f32>();`);
}

/** How many invocations have a micro-tile, and how many of them lie side by side. */
function gridOf(s: Structure, { row, rows, col, cols }: MicroTile): { readonly tiles: number; readonly beside: number } {
  const beside = s.size(col) / cols;
  return { tiles: (row === undefined ? 1 : s.size(row) / rows) * beside, beside };
}

/** Adds products to registers, panel by panel. */
export function panelsText(p: Printing, code: Code, action: Products, layout: PanelLayout): void {
  const { panels, step } = layout;
  const [{ op: { axis } }] = action.products;
  for (const { tile, into } of action.products) if (tile === into) clearText(code, tile, heldOf(p, into));
  const k = p.fresh('k');
  const loads = panels.map((panel) => loadOf(p, code, panel, step, k));
  code.open(`for (var ${k} = 0u; ${k} < ${rolled(p.s.size(axis))}; ${k} += ${step}u)`);
  for (const load of loads) load();
  code.line('workgroupBarrier();');
  sumsText(p, code, action.products, layout);
  code.line('workgroupBarrier();');
  code.close();
}

function heldOf(p: Printing, tile: TileId): MicroTile {
  const micro = p.panels.held.get(tile);
  if (micro === undefined) throw new Error(`${p.s.kernel.name}: tile ${tile} is not in registers`);
  return micro;
}

/** Writes what does not depend on the step, and gives what writes the loads of a step: lanes next to each other load neighbours. */
function loadOf(p: Printing, code: Code, panel: Panel, step: number, k: string): () => void {
  const { fold, side, offset, quads, pitch } = panel;
  const tile = sourceOf(p.s, panel.tile);
  const vector = isVector(p, tile);
  const total = quads * step;
  const along = neighbours(p.s, tile) === fold;
  const rounds = total / p.workgroup;
  const once = Number.isInteger(rounds) && rounds <= STRAIGHT;
  const at = (from: string): { readonly q: string; readonly k: string } => {
    const [q, kk] = [p.fresh('q'), p.fresh('k')];
    code.line(`let ${q} = ${along ? `${from} / ${step}u` : `${from} % ${quads}u`};`);
    code.line(`let ${kk} = ${along ? `${from} % ${step}u` : `${from} / ${quads}u`};`);
    return { q, k: kk };
  };
  const part = (q: string, j: number): Index => variable(`${q} * 4u`, j);
  const load = (block: Block, where: { readonly q: string; readonly k: string }): string => {
    const here = p.fresh('k');
    code.line(`let ${here} = ${k} + ${where.k};`);
    const parts = (vector ? [0] : [0, 1, 2, 3]).map((j) => (
      element(p, block, tile, new Map([[fold, variable(here)], [side, part(where.q, j)]]))
    ));
    const value = p.fresh('v');
    code.line(`let ${value} = ${vector ? parts[0] : `vec4<f32>(${parts.join(', ')})`};`);
    return `panels[${offset}u + ${where.k} * ${pitch}u + ${where.q}] = ${value};`;
  };
  if (once) {
    const known = Array.from({ length: rounds }, (_, n) => {
      const where = at(n === 0 ? 'lid' : `(lid + ${n * p.workgroup}u)`);
      const block = newBlock(code);
      for (const j of [0, 1, 2, 3]) rowsOf(p, block, tile, side, new Map([[side, part(where.q, j)]]));
      return { where, block };
    });
    return () => known.map(({ where, block }) => load(innerBlock(block), where)).forEach((line) => code.line(line));
  }
  return () => {
    const i = p.fresh('i');
    code.open(`for (var ${i} = lid; ${i} < ${rolled(total)}; ${i} += ${p.workgroup}u)`);
    code.line(load(newBlock(code), at(i)));
    code.close();
  };
}

/** Does a load give four neighbours at once? */
function isVector(p: Printing, tile: TileId): boolean {
  const op = p.s.definitions.get(tile)?.op;
  return (op?.op === 'load' || op?.op === 'gather') && p.binding(op.buffer).element === 'f32x4';
}

/** The numbers of rows that an operand gathers along an axis: the same in every step. */
function rowsOf(p: Printing, block: Block, tile: TileId, side: Axis, at: At): void {
  const op = p.s.definitions.get(tile)?.op;
  if (op === undefined || p.homes.get(tile) !== 'inline') return;
  const index = at.get(side);
  if (op.op !== 'gather') operandsOf(op).forEach((arg) => rowsOf(p, block, arg, side, at));
  else if (index !== undefined && p.s.axes(tile)[0] === side && p.s.buffer(op.index).axes.length === 0) {
    rowBy(p, block, op.index, index, at, placeOf(p, tile));
  }
}

/** The axis along which neighbours of an operand lie in the first buffer that it is made of. */
export function neighbours(s: Structure, tile: TileId): Axis | undefined {
  const op = s.definitions.get(tile)?.op;
  if (op === undefined) return undefined;
  if (!hasRole(op, 'load')) return operandsOf(op).map((arg) => neighbours(s, arg)).find((axis) => axis !== undefined);
  const axes = s.buffer(buffersRead(op)[0]).axes;
  return axes.at(-1);
}

/** One step after the other: a vector of rows times a vector of columns of every product. */
function sumsText(p: Printing, code: Code, products: readonly PanelProduct[], { panels, step }: PanelLayout): void {
  const shapes = new Map<string, PanelProduct[]>();
  for (const product of products) {
    const { row, rows, col, cols } = heldOf(p, product.into);
    const key = [row, rows, col, cols].join(' ');
    shapes.set(key, [...shapes.get(key) ?? [], product]);
  }
  for (const alike of shapes.values()) {
    const micro = heldOf(p, alike[0].into);
    const { tiles, beside } = gridOf(p.s, micro);
    const kk = p.fresh('k');
    code.open(tiles < p.workgroup ? `if (lid < ${tiles}u)` : '');
    code.line(`let tx = lid % ${beside}u;`);
    code.line(`let ty = (lid / ${beside}u) * ${micro.rows / 4}u;`);
    code.open(`for (var ${kk} = 0u; ${kk} < ${rolled(step)}; ${kk}++)`);
    const known = new Map<TileId, readonly string[]>();
    const vectors = (tile: TileId): readonly string[] => {
      const panel = panels.find((one) => one.tile === tile);
      if (panel === undefined) throw new Error(`${p.s.kernel.name}: tile ${tile} has no panel`);
      const { side, offset, pitch } = panel;
      const [count, first, stride] = side === micro.col ? [micro.cols / 4, 'tx', beside] : [micro.rows / 4, 'ty', 1];
      const found = known.get(tile) ?? Array.from({ length: count }, (_, i) => {
        const name = p.fresh('a');
        code.line(`let ${name} = panels[${kk} * ${pitch}u + ${first} + ${offset + i * stride}u];`);
        return name;
      });
      known.set(tile, found);
      return found;
    };
    for (const { op, into } of alike) {
      const [a, b] = [vectors(op.a), vectors(op.b)];
      const [down, across] = panels.find(({ tile }) => tile === op.a)?.side === micro.col ? [b, a] : [a, b];
      for (let y = 0; y < micro.rows; y++) across.forEach((vector, i) => {
        code.line(`m${into}_${y * across.length + i} += ${down[y >> 2]}.${'xyzw'[y & 3]} * ${vector};`);
      });
    }
    code.close();
    code.close();
  }
}

/** Opens loops over the elements that an invocation has in registers: where they are, and what the text of each tile is. */
export function heldText(
  p: Printing, code: Code, tiles: readonly TileId[],
): { readonly at: At; readonly registers: ReadonlyMap<TileId, string>; readonly close: () => void } {
  const micro = heldOf(p, tiles[0]);
  const { row, rows, col, cols } = micro;
  const grid = gridOf(p.s, micro);
  code.open(`if (lid < ${grid.tiles}u)`);
  const wide = cols / 4;
  const registers = new Map(tiles.map((tile) => [tile, wide === 1 ? `m${tile}[y][x]` : `m${tile}[y * ${wide}u + (x >> 2u)][x & 3u]`]));
  for (const tile of tiles) {
    const parts = Array.from({ length: rows * wide }, (_, i) => `m${tile}_${i}`);
    code.line(`var m${tile} = array<vec4<f32>, ${parts.length}>(${parts.join(', ')});`);
  }
  const at = new Map<Axis, Index>([[col, variable(axisVariable(col))]]);
  if (row !== undefined) at.set(row, variable(axisVariable(row)));
  code.open(`for (var y = 0u; y < ${rolled(rows)}; y++)`);
  if (row !== undefined) code.line(`let ${axisVariable(row)} = (lid / ${grid.beside}u) * ${rows}u + y;`);
  code.open(`for (var x = 0u; x < ${rolled(cols)}; x++)`);
  const far = wide === 1 ? 'x' : `(x >> 2u) * ${4 * grid.beside}u + (x & 3u)`;
  code.line(`let ${axisVariable(col)} = (lid % ${grid.beside}u) * 4u + ${far};`);
  return { at, registers, close: () => [1, 2, 3].forEach(() => code.close()) };
}
