import { COL, isCut, ROW, withoutAxes, type Axis } from '../../ir/common/axes.js';
import { isRows } from '../../ir/tile/domain.js';
import { LEAST_LOG_DECAY, type TileId, type TileStore } from '../../ir/tile/tile.js';
import { rootFolds, rootHeld, type Action, type Root } from './actions.js';
import { axisVariable, type Binding, type Place } from './address.js';
import { decode } from './decode.js';
import { nthText, topText } from './order.js';
import { heldText } from './panel-text.js';
import type { MicroTile } from './panels.js';
import { outermost } from './places.js';
import {
  bufferAddress, cellText, element, factorsOf, foldedSize, indexOf, innerBlock, newBlock, operation, rowBy, valueKey, type At, type Block,
  type Factor, type Printing,
} from './element.js';
import { isProduct, type Product } from './roles.js';
import { constant, indexText, rolled, variable, type Code, type Index } from './text.js';

interface TiledProduct {
  readonly tile: TileId;
  readonly op: Product;
}

/** Writes the loop of a workgroup over the elements of a group. */
export function groupText(p: Printing, code: Code, group: Extract<Action, { kind: 'group' }>, place: Place): void {
  const products = group.roots.flatMap((root) => rootFolds(p.s, p.homes, root)).flatMap(
    ({ tile, op }) : TiledProduct[] => (isProduct(op) ? [{ tile, op }] : [])
  );
  const first = products[0];
  if (group.space.length === 0) {
    code.open('if (lid == 0u)');
    writeRoots(p, newBlock(code), group.roots, new Map(), place);
    code.close();
    return;
  }
  const held = heldIn(p, group.roots);
  if (held.length > 0) {
    const { at, registers, close } = heldText(p, code, held);
    writeRoots(p, newBlock(code, { registers }), group.roots, at, place);
    close();
    return;
  }
  const micro = first === undefined
    ? { row: undefined, rows: 1, col: group.space[group.space.length - 1], cols: 1 }
    : microTile(p, group.space, first);
  const { row, col, rows, cols } = micro;
  const outer = group.space.filter((axis) => axis !== row && axis !== col);
  const counts: [Axis, number][] = [
    ...outer.map((axis): [Axis, number] => [axis, p.s.size(axis)]),
    ...(row === undefined ? [] : [[row, p.s.size(row) / rows] satisfies [Axis, number]]),
    [col, p.s.size(col) / cols],
  ];
  const total = counts.reduce((n, [, count]) => n * count, 1);
  code.open(`for (var i = lid; i < ${rolled(total)}; i += ${p.workgroup}u)`);
  const starts = decode(code, counts, (axis) => (axis === row ? rows : axis === col ? cols : 1));
  const registers = new Map<TileId, string>();
  const [y, x] = ['y', 'x'];
  for (const product of products) {
    productText(p, code, product, micro, starts);
    registers.set(product.tile, `m${product.tile}${rows > 1 ? `[${y}]` : ''}${cols > 1 ? `[${x}]` : ''}`);
  }
  const at = new Map(starts);
  if (rows > 1 && row !== undefined) {
    code.open(`for (var ${y} = 0u; ${y} < ${rolled(rows)}; ${y}++)`);
    code.line(`let ${axisVariable(row)} = ${indexText(indexOf(p, starts, row))} + ${y};`);
    at.set(row, variable(axisVariable(row)));
  }
  if (cols > 1) {
    code.open(`for (var ${x} = 0u; ${x} < ${rolled(cols)}; ${x}++)`);
    code.line(`let ${axisVariable(col)} = ${indexText(indexOf(p, starts, col))} + ${x};`);
    at.set(col, variable(axisVariable(col)));
  }
  writeRoots(p, newBlock(code, { registers }), group.roots, at, place);
  if (rows > 1) code.close();
  if (cols > 1) code.close();
  code.close();
}

/** What a group reads from registers. */
function heldIn(p: Printing, roots: readonly Root[]): readonly TileId[] {
  return [...new Set(roots.flatMap((root) => rootHeld(p.s, p.panels, p.homes, root)))];
}

function microTile(p: Printing, space: readonly Axis[], { op }: TiledProduct): MicroTile {
  const [a, b] = factorsOf(p, op).map(({ axes }) => axes);
  const only = (axes: readonly Axis[], other: readonly Axis[]) => space.filter((axis) => axes.includes(axis) && !other.includes(axis));
  const [left, right] = [only(a, b), only(b, a)];
  const last = space[space.length - 1];
  const col = left.includes(last) || right.includes(last) ? last : right[right.length - 1] ?? left[left.length - 1] ?? last;
  const across = (left.includes(col) ? right : left).filter((axis) => axis !== col);
  const row = across[0] ?? space.find((axis) => axis !== col);
  const total = p.s.elements(space);
  const divisors = (axis: Axis | undefined) => [4, 2, 1].filter((n) => n === 1 || (axis !== undefined && p.s.size(axis) % n === 0));
  const candidates = divisors(row).flatMap((rows) => divisors(col).map((cols) => {
    const rounds = Math.ceil(total / (rows * cols) / p.workgroup);
    // Per step of the product: rows + cols reads and rows * cols multiply-adds, twice as fast.
    return { row, rows, col, cols, time: rounds * (rows + cols + (rows * cols) / 2) };
  }));
  return candidates.reduce((best, candidate) => (candidate.time < best.time ? candidate : best));
}

/** Accumulates a micro-tile: for every step of the folded axis `rows` + `cols` elements are read. The result is `mTILE`. */
function productText(p: Printing, code: Code, { tile, op }: TiledProduct, { row, rows, col, cols }: MicroTile, starts: At): void {
  const k = p.fresh('k');
  const type = cols === 1 ? 'f32' : `vec${cols}<f32>`;
  const sums = Array.from({ length: rows }, () => p.fresh('sum'));
  for (const sum of sums) code.line(`var ${sum} = ${cols === 1 ? '0.0' : `${type}()`};`);
  code.open(`for (var ${k} = 0u; ${k} < ${rolled(foldedSize(p, op))}; ${k}++)`);
  const block = newBlock(code);
  const vary = (axes: readonly Axis[], axis: Axis | undefined) => axis !== undefined && axes.includes(axis);
  /** One operand: a text per row, which is a vector where the operand varies along the columns. */
  const operand = ({ tile: arg, axis, axes }: Factor): readonly string[] => {
    const wide = cols > 1 && vary(axes, col);
    const texts: string[] = [];
    for (let i = 0; i < rows; i++) {
      if (i > 0 && !vary(axes, row)) {
        texts.push(texts[0]);
        continue;
      }
      const parts = Array.from({ length: wide ? cols : 1 }, (_, j) => {
        const at = new Map(starts).set(col, plus(indexOf(p, starts, col), wide ? j : 0));
        if (row !== undefined) at.set(row, plus(indexOf(p, starts, row), i));
        return element(p, block, arg, at.set(axis, variable(k)));
      });
      const text = wide ? `${type}(${parts.join(', ')})` : parts[0];
      if (vary(axes, row)) {
        texts.push(text);
      } else {
        const name = p.fresh('b');
        code.line(`let ${name} = ${text};`);
        texts.push(name);
      }
    }
    return texts;
  };
  const [a, b] = factorsOf(p, op).map(operand);
  sums.forEach((sum, i) => code.line(`${sum} += ${a[i]} * ${b[i]};`));
  code.close();
  code.line(rows === 1 ? `let m${tile} = ${sums[0]};` : `var m${tile} = array<${type}, ${rows}>(${sums.join(', ')});`);
}

const plus = (index: Index, n: number): Index => ({ ...index, plus: index.plus + n });

function writeRoots(p: Printing, block: Block, roots: readonly Root[], at: At, place: Place): void {
  for (const root of roots) {
    switch (root.kind) {
      case 'define': {
        const op = p.s.definitions.get(root.tile)?.op;
        if (op === undefined) throw new Error(`${p.s.kernel.name}: tile ${root.tile} has no operation`);
        const value = p.fresh(`v${root.tile}_`);
        block.code.line(`let ${value} = ${operation(p, block, root.tile, op, at)};`);
        block.code.line(`${cellText(p, root.tile, at)} = ${value};`);
        block.values.set(valueKey(p, root.tile, at), value);
        break;
      }
      case 'carry':
        block.code.line(`${cellText(p, root.tile, at)} = ${element(p, block, root.from, at)};`);
        break;
      case 'store':
        storeText(p, block, root, at, place);
        break;
      default:
        root satisfies never;
    }
  }
}

/** An element to the row that an index names, if it names one. */
function scatterText(p: Printing, block: Block, { buffer: name, value }: TileStore, by: string, at: At, place: Place): void {
  const text = element(p, block, value, at);
  const { pointer, element: kind } = p.binding(name);
  const row = rowBy(p, block, by, indexOf(p, at, ROW), at, place);
  const address = bufferAddress(p, name, { ...place, row: '0u' }, row.from, at);
  block.code.line(`if (${row.found}) { ${pointer}[${address}] = ${castText(text, kind)}; }`);
}

function castText(text: string, kind: Binding['element']): string {
  return kind === 'f16' || kind === 'i32' ? `${kind}(${text})` : text;
}

function storeText(p: Printing, block: Block, stmt: TileStore, at: At, place: Place): void {
  const { buffer: name, value, only } = stmt;
  if (stmt.by !== undefined) {
    scatterText(p, block, stmt, stmt.by, at, place);
    return;
  }
  const buffer = p.s.buffer(name);
  const binding = p.binding(name);
  const byRow = isRows(buffer) && place.length !== undefined;
  const axes = byRow ? [...at.keys()].filter((axis) => !buffer.axes.includes(axis)) : [];
  const row = byRow ? indexOf(p, at, axes[0]) : undefined;
  const text = element(p, block, value, at);
  const target = `${binding.pointer}[${bufferAddress(p, name, place, row, at)}]`;
  const cast = castText(text, binding.element);
  if (
    binding.element === 'f16word' || binding.element === 'bf16word'
  ) throw new Error(`${name}: halves of words cannot be written one by one`);
  const guards = [
    ...(only === undefined ? [] : [outermost(p.s.kernel, only)]),
    ...(row === undefined ? [] : [`${indexText(row)} < ${place.length}`]),
    // A value without a divided axis is the same in every block: the first writes it.
    ...p.s.blocks.flatMap((block) => (buffer.axes.some((axis) => isCut(axis, block.axis)) ? [] : [`${block.first} == 0u`])),
  ];
  if (guards.length === 0) block.code.line(`${target} = ${cast};`);
  else block.code.line(`if (${guards.join(' && ')}) { ${target} = ${cast}; }`);
}

const summand = (decays: boolean, text: string) => (decays ? `m_at_least(${text}, ${LEAST_LOG_DECAY}.0)` : text);

/** Writes the operations that go along an axis, that of tokens mostly, one invocation per column. */
export function scanText(p: Printing, code: Code, action: Extract<Action, { kind: 'scan' }>): void {
  const { op, tile } = action;
  if (op.op === 'nth' || op.op === 'top') {
    if (op.op === 'nth') nthText(p, code, tile, op);
    else topText(p, code, tile, op);
    return;
  }
  const along = op.op === 'cumsum' ? op.axis ?? ROW : ROW;
  const rows = p.s.size(along);
  const columns = withoutAxes(p.s.axes(tile), [along]);
  const total = p.s.elements(columns);
  code.open(`for (var i = lid; i < ${rolled(total)}; i += ${p.workgroup}u)`);
  const starts = columns.length === 0 ? new Map<Axis, Index>() : decode(code, columns.map((axis) => [axis, p.s.size(axis)]), () => 1);
  const block = newBlock(code);
  const at = new Map(starts).set(along, variable(axisVariable(along)));
  switch (op.op) {
    case 'cumsum': case 'recur': {
      code.line(`var sum = ${op.op === 'cumsum' ? '0.0' : element(p, block, op.init, starts)};`);
      code.open(`for (var s = 0u; s < ${rolled(rows)}; s++)`);
      code.line(`let ${axisVariable(along)} = ${op.reverse ? `${rows - 1}u - s` : 's'};`);
      const inner = innerBlock(block);
      const out = cellText(p, tile, at);
      if (op.op === 'recur') {
        const [a, x] = [element(p, inner, op.decay, at), element(p, inner, op.write, at)];
        if (op.less === undefined) code.line(`sum = ${a} * sum + ${x};`);
        else code.line(`sum = m_decayed(sum, ${a}, ${element(p, inner, op.less, at)}, ${x});`);
        code.line(`${out} = sum;`);
      } else if (op.exclusive) {
        code.line(`let own = ${summand(op.decays, element(p, inner, op.arg, at))};`);
        code.line(`${out} = sum;`);
        code.line('sum += own;');
      } else {
        code.line(`sum += ${summand(op.decays, element(p, inner, op.arg, at))};`);
        code.line(`${out} = sum;`);
      }
      code.close();
      break;
    }
    case 'dgate': {
      // As in cuda/plain/folds.ts: f[r] is what writes before token t bring to what token r reads; h gathers the readers behind t.
      const [last, t, c, r] = [rows - 1, variable('t'), variable('c'), variable('r')];
      const row = (inner: Block, arg: TileId, index: Index) => element(p, inner, arg, new Map(starts).set(ROW, index));
      code.line(`var f: array<f32, ${rows}>;`);
      code.line(`${cellText(p, tile, new Map(starts).set(ROW, constant(0)))} = 0.0;`);
      code.open(`for (var t = 1u; t < ${rolled(rows)}; t++)`);
      code.line('let c = t - 1u;');
      const outer = innerBlock(block);
      code.line(`let kept = ${row(outer, op.decay, c)};`);
      code.line(`let brought = ${row(outer, op.y, c)};`);
      code.line('var h = 0.0;');
      code.open(`for (var r = ${last}u; r >= t; r--)`);
      const inner = innerBlock(outer);
      code.line(`f[r] = kept * f[r] + brought * ${element(p, inner, op.a, new Map([[ROW, r], [COL, c]]))};`);
      const next = row(inner, op.decay, op.before ? r : variable(`min(r + 1u, ${last}u)`));
      code.line(`let next = ${op.before ? next : `select(0.0, ${next}, r < ${last}u)`};`);
      code.line(`${op.before ? 'if (r > t) { ' : ''}h = next * h + ${row(inner, op.x, r)} * f[r];${op.before ? ' }' : ''}`);
      code.close();
      code.line(`${cellText(p, tile, new Map(starts).set(ROW, t))} = h;`);
      code.close();
      break;
    }
    case 'inverse': {
      // Column c of X = (I - A)^-1: X[r] = e_c[r] + the sum over c <= j < r of A[r, j] X[j].
      code.open(`for (var r = 0u; r < ${rolled(rows)}; r++)`);
      code.line('var sum = select(0.0, 1.0, r == c);');
      code.open('for (var j = c; j < r; j++)');
      const inner = innerBlock(block);
      const factor = element(p, inner, op.arg, new Map([[ROW, variable('r')], [COL, variable('j')]]));
      code.line(`sum += ${factor} * ${cellText(p, tile, new Map([[ROW, variable('j')], [COL, variable('c')]]))};`);
      code.close();
      code.line(`${cellText(p, tile, at)} = sum;`);
      code.close();
      break;
    }
    case 'pack': case 'unpack': case 'tally': case 'queue': throw new Error(`${op.op} is written in other operations`);
    default:
      op satisfies never;
  }
  code.close();
}
