import { COL, ROW, runsOf, swapAxis, withoutAxes, type Axis } from '../../ir/common/axes.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import { isRows } from '../../ir/tile/domain.js';
import { isElementwise } from '../../ir/tile/facts.js';
import type { RunEnd, TileId, TileOp } from '../../ir/tile/tile.js';
import { math } from '../../math/index.js';
import { cellBase, cellStrides, rowStride, runEnds, sizeText, type Binding, type Place } from './address.js';
import type { Home } from './homes.js';
import type { Memory } from './memory.js';
import type { Panels } from './panels.js';
import { wholeRun } from './places.js';
import { isFold, type Fold, type Product } from './roles.js';
import type { Structure } from './structure.js';
import { constant, floatLiteral, indexText, linear, rolled, variable, type Code, type Index } from './text.js';

/** Indices of one element. */
export type At = ReadonlyMap<Axis, Index>;

/** What printing needs to know of a kernel. */
export interface Printing {
  readonly s: Structure;
  readonly homes: ReadonlyMap<TileId, Home>;
  readonly memory: Memory;
  readonly top: Place;
  /** Where the statement that defines a tile runs. */
  readonly places: Map<TileId, Place>;
  readonly panels: Panels;
  /** Invocations of a workgroup. */
  readonly workgroup: number;
  /** May invocations of a subgroup add up what each has? */
  readonly subgroups: boolean;
  /** Of `io`. */
  readonly dtype: IoDtype;
  binding(buffer: string): Binding;
  /** A variable name that nobody has. */
  fresh(stem: string): string;
}

/** Straight text in which values, once written, have names. */
export interface Block {
  readonly code: Code;
  /** Variables by tile and indices. */
  readonly values: Map<string, string>;
  /** Folds that a loop has ready. */
  readonly registers: ReadonlyMap<TileId, string>;
  /** All invocations are here and want the same element, so that the lanes of a subgroup can share a fold. */
  readonly together: boolean;
}

export function newBlock(code: Code, more: Partial<Block> = {}): Block {
  return { code, values: new Map(), registers: new Map(), together: false, ...more };
}

export function innerBlock(block: Block): Block {
  return { ...block, values: new Map(block.values), together: false };
}

export function valueKey(p: Printing, tile: TileId, at: At): string {
  return `${tile}@${p.s.axes(tile).map((axis) => indexText(indexOf(p, at, axis))).join(',')}`;
}

export function indexOf(p: Printing, at: At, axis: Axis): Index {
  const index = at.get(axis);
  if (index === undefined) throw new Error(`${p.s.kernel.name}: axis ${axis} has no index here`);
  return index;
}

/** The constant that says where a tile begins in workgroup memory. */
export const nearName = (tile: TileId) => `near${tile}`;

/** The place of a tile's element in memory. */
export function cellText(p: Printing, tile: TileId, at: At): string {
  const slot = p.memory.slots.get(tile);
  if (slot === undefined) throw new Error(`${p.s.kernel.name}: tile ${tile} has no memory`);
  let stride = 1;
  const terms: [Index, number][] = [];
  for (const axis of [...p.s.axes(tile)].reverse()) {
    terms.unshift([indexOf(p, at, axis), stride]);
    stride *= p.s.size(axis);
  }
  return slot.space === 'near'
    ? `near[${linear(variable(nearName(tile)), terms)}]`
    : `arena[${linear(variable('far', slot.offset), terms)}]`;
}

/** Longer expressions get a name. */
const LONGEST = 90;

/** An f32 expression for one element of a tile; statements it needs go to the block. */
export function element(p: Printing, block: Block, tile: TileId, at: At): string {
  const op = p.s.definitions.get(tile)?.op;
  const home = p.homes.get(tile);
  if (home === 'scalar') return `t${tile}`;
  const register = block.registers.get(tile);
  if (register !== undefined) return register;
  if (op !== undefined && (op.op === 'literal' || op.op === 'zeros')) return floatLiteral(op.op === 'literal' ? op.value : 0);
  const key = valueKey(p, tile, at);
  const known = block.values.get(key);
  if (known !== undefined) return known;
  if (home === undefined) throw new Error(`${p.s.kernel.name}: tile ${tile} is read before it has a value`);
  const text = home === 'array' || op === undefined ? cellText(p, tile, at) : operation(p, block, tile, op, at);
  if ((p.s.users.get(tile)?.length ?? 0) <= 1 && text.length <= LONGEST) return text;
  return named(p, block, tile, key, text);
}

function named(p: Printing, block: Block, tile: TileId, key: string, text: string): string {
  const name = p.fresh(`v${tile}_`);
  block.code.line(`let ${name} = ${text};`);
  block.values.set(key, name);
  return name;
}

/** An expression for one element of an operation's result. */
export function operation(p: Printing, block: Block, tile: TileId, op: TileOp, at: At): string {
  if (isFold(op)) return block.registers.get(tile) ?? foldText(p, block, op, at);
  if (!isElementwise(op)) throw new Error(`${p.s.kernel.name}: ${op.op} has no element of its own`);
  switch (op.op) {
    case 'load': return loadText(p, block, tile, op, at);
    case 'gather': return gatherText(p, block, tile, op, at);
    case 'literal': return floatLiteral(op.value);
    case 'zeros': return floatLiteral(0);
    case 'head': return `f32(${placeOf(p, tile).head ?? placeOf(p, tile).group})`;
    case 'heads': return 'f32(heads)';
    case 'index': return `f32(${indexText(indexOf(p, at, op.axis))}${partOf(p, op.axis)})`;
    case 'number': {
      const place = placeOf(p, tile);
      if (op.of === 'run') return `f32(${place.run})`;
      const from = op.of === 'place' ? ` - ${runEnds(p.s, place).first}` : '';
      return `f32(${place.row}${from} + ${indexText(indexOf(p, at, ROW))})`;
    }
    case 'size': return sizeOf(p, tile, op.of);
    case 'identity': {
      const [row, col] = p.s.axes(tile).map((axis) => `${indexText(indexOf(p, at, axis))}${partOf(p, axis)}`);
      return `select(0.0, 1.0, ${row} == ${col})`;
    }
    case 'keep': return `select(0.0, ${element(p, block, op.arg, at)}, ${indexText(indexOf(p, at, ROW))} < ${lengthOf(p, tile)})`;
    case 'round': {
      const arg = element(p, block, op.arg, at);
      return p.dtype === 'f32' ? arg : `rt_round_${p.dtype}(${arg})`;
    }
    case 'draw': {
      const halves = [0, 1, 2, 3].map((n) => element(p, block, op.key, new Map(at).set(op.axis, constant(n))));
      const [number, ...place] = [op.element, op.position, op.sequence, op.lane].map((arg) => element(p, block, arg, at));
      return `rt_draw(vec4<f32>(${halves.join(', ')}), ${number}, vec3<f32>(${place.join(', ')}))`;
    }
    case 'map': return math[op.fn].wgsl(...op.args.map((arg) => element(p, block, arg, at)));
    case 'swap': return element(p, block, op.arg, new Map([...at].map(([axis, index]) => [swapAxis(op.axes)(axis), index])));
    case 'pick': return element(p, block, op.arg, new Map(at).set(ROW, constant(op.row === 'first' ? 0 : p.s.size(ROW) - 1)));
    case 'mask': {
      const arg = element(p, block, op.arg, at);
      return `select(0.0, ${arg}, ${indexText(indexOf(p, at, COL))} ${op.strict ? '<' : '<='} ${indexText(indexOf(p, at, ROW))})`;
    }
    case 'shift': {
      const row = indexText(indexOf(p, at, ROW));
      const last = p.s.size(ROW) - 1;
      const from = p.fresh('s');
      block.code.line(`let ${from} = ${op.by === 1 ? `max(${row}, 1u) - 1u` : `min(${row} + 1u, ${last}u)`};`);
      const edge = op.edge === undefined ? '0.0' : element(p, block, op.edge, at);
      return `select(${element(p, block, op.arg, new Map(at).set(ROW, variable(from)))}, ${edge}, ${row} == ${op.by === 1 ? 0 : last}u)`;
    }
    case 'put': {
      const row = indexText(indexOf(p, at, ROW));
      return `select(${element(p, block, op.arg, at)}, ${element(p, block, op.of, at)}, i32(${row}) == ${endRow(p, tile, op)})`;
    }
    case 'take': {
      const [row, from] = [p.fresh('s'), p.fresh('s')];
      block.code.line(`let ${row} = ${endRow(p, tile, op)};`);
      block.code.line(`let ${from} = u32(clamp(${row}, 0, ${p.s.size(ROW) - 1}));`);
      const arg = element(p, block, op.arg, new Map(at).set(ROW, variable(from)));
      return `select(0.0, ${arg}, ${row} >= 0 && ${row} < i32(${lengthOf(p, tile)}))`;
    }
  }
  op satisfies never;
}

/** What is added to the index of a block along a divided axis. */
function partOf({ s }: Printing, axis: Axis): string {
  const block = s.blocks.find((one) => one.axis === axis);
  return block === undefined ? '' : ` + ${block.first}`;
}

function sizeOf(p: Printing, tile: TileId, of: Extract<TileOp, { op: 'size' }>['of']): string {
  if (of !== 'run') return `f32(${sizeText(of === 'rows' ? 'row' : 'run')})`;
  const { first, end } = runEnds(p.s, placeOf(p, tile));
  return `f32(${end} - ${first})`;
}

export function placeOf(p: Printing, tile: TileId): Place {
  return p.places.get(tile) ?? p.top;
}

function lengthOf(p: Printing, tile: TileId): string {
  const { length } = placeOf(p, tile);
  if (length === undefined) throw new Error(`${p.s.kernel.name}: tile ${tile} needs a chunk`);
  return length;
}

/** Row of the token `at` from an end of the sequence, as an i32; others than those of the chunk, where it is elsewhere. */
function endRow(p: Printing, tile: TileId, { from, at }: { readonly from: RunEnd; readonly at: number }): string {
  const place = placeOf(p, tile);
  const { first, end } = runEnds(p.s, place);
  return from === 'first' ? `(i32(${first}) + ${at} - i32(${place.row}))` : `(i32(${end}) - ${at + 1} - i32(${place.row}))`;
}

/**
 * A token's neighbour so many before (after, if negative); 0 where the sequence has none, in whose place the chunk's first token is read.
 */
function neighbourText(p: Printing, block: Block, tile: TileId, op: TileOp & { readonly op: 'load' }, at: At, back: number): string {
  const place = placeOf(p, tile);
  const { first, end } = runEnds(p.s, place);
  const row = indexText(indexOf(p, at, ROW));
  const [inside, from] = [p.fresh('in'), p.fresh('s')];
  const step = back > 0 ? `- ${back}u` : `+ ${-back}u`;
  const within = back > 0 ? `${place.row} + ${row} >= ${first} + ${back}u` : `${place.row} + ${row} ${step} < ${end}`;
  block.code.line(`let ${inside} = ${row} < ${lengthOf(p, tile)} && ${within};`);
  // Offsets before the chunk's first token are large numbers, with which sums and products wrap around.
  block.code.line(`let ${from} = select(0u, ${row} ${step}, ${inside});`);
  return `select(0.0, ${readText(p, block, p.binding(op.buffer), bufferAddress(p, op.buffer, place, variable(from), at))}, ${inside})`;
}

function loadText(p: Printing, block: Block, tile: TileId, op: TileOp & { readonly op: 'load' }, at: At): string {
  if (op.back !== undefined) return neighbourText(p, block, tile, op, at, op.back);
  if (op.whole !== undefined) return wholeText(p, block, tile, { ...op, whole: undefined }, op.whole, at);
  const buffer = p.s.buffer(op.buffer);
  const binding = p.binding(op.buffer);
  const place = placeOf(p, tile);
  const byRow = isRows(buffer) && op.rows !== 'one';
  const row = byRow ? indexOf(p, at, op.rows === 'col' ? COL : ROW) : undefined;
  const address = bufferAddress(p, op.buffer, place, row, at);
  const value = readText(p, block, binding, address);
  return row === undefined ? value : `select(${zeroOf(binding)}, ${value}, ${indexText(row)} < ${lengthOf(p, tile)})`;
}

/** An element of the row that the index names; where it names none, row 0 is read and left aside. */
function gatherText(p: Printing, block: Block, tile: TileId, op: TileOp & { readonly op: 'gather' }, at: At): string {
  const place = placeOf(p, tile);
  const { found, from } = rowBy(p, block, op.index, indexOf(p, at, op.rows === 'col' ? COL : ROW), at, place);
  // Rows are counted from the first of all, not from the chunk's.
  const address = bufferAddress(p, op.buffer, { ...place, row: '0u' }, from, at);
  const binding = p.binding(op.buffer);
  return `select(${zeroOf(binding)}, ${readText(p, block, binding, address)}, ${found})`;
}

/** The number of the row that an index names, and whether it names one. */
export function rowBy(
  p: Printing, block: Block, index: string, row: Index, at: At, place: Place,
): { readonly found: string; readonly from: Index } {
  const { pointer, element: kind } = p.binding(index);
  const key = `${index}[${bufferAddress(p, index, place, row, at)}]`;
  const known = block.values.get(key);
  if (known !== undefined) return { found: `at${known} >= 0`, from: variable(`s${known}`) };
  const name = p.fresh('');
  block.values.set(key, name);
  const [found, from] = [`at${name}`, `s${name}`];
  const number = `${pointer}[${bufferAddress(p, index, place, row, at)}]`;
  block.code.line(`var ${found} = -1;`);
  block.code.line(`if (${indexText(row)} < ${place.length}) { ${found} = ${kind === 'i32' ? number : `i32(${number})`}; }`);
  block.code.line(`let ${from} = u32(max(${found}, 0));`);
  return { found: `${found} >= 0`, from: variable(from) };
}

/** One of two buffers, as the segment is all of its sequence or not: both are read. */
function wholeText(p: Printing, block: Block, tile: TileId, op: TileOp & { readonly op: 'load' }, whole: string, at: At): string {
  const [some, all] = [op.buffer, whole].map((buffer) => loadText(p, block, tile, { ...op, buffer }, at));
  return `select(${some}, ${all}, ${wholeRun(p.s.kernel)})`;
}

/** Element offset in a binding. */
export function bufferAddress(p: Printing, name: string, place: Place, row: Index | undefined, at: At): string {
  const buffer = p.s.buffer(name);
  const strides = cellStrides(p.s, buffer.axes);
  const base = cellBase(p.s, buffer, p.binding(name), place);
  const rows = row === undefined ? '' : ` + ${indexText(row)} * ${rowStride(p.s, buffer, p.top)}`;
  const terms = buffer.axes.map((axis): [Index, number] => [indexOf(p, at, axis), strides.get(axis) ?? 0]);
  return linear(variable(base + rows), terms).replace(/ \+ 0u$/, '');
}

const zeroOf = ({ element: kind }: Binding) => (kind === 'f32x4' ? 'vec4<f32>()' : '0.0');

export function readText(p: Printing, block: Block, { pointer, element: kind }: Binding, address: string): string {
  switch (kind) {
    case 'f32': return `${pointer}[${address}]`;
    case 'f32x4': return `${pointer}[(${address}) >> 2u]`;
    case 'i32': case 'f16': return `f32(${pointer}[${address}])`;
    case 'f16word': case 'bf16word': {
      const at = p.fresh('a');
      block.code.line(`let ${at} = ${address};`);
      return `rt_${kind === 'f16word' ? 'f16' : 'bf16'}(${pointer}[${at} >> 1u], ${at})`;
    }
  }
}

/** An operand of a product. */
export interface Factor {
  readonly tile: TileId;
  /** The axis of it that is folded. */
  readonly axis: Axis;
  /** The axes that remain. */
  readonly axes: readonly Axis[];
}

export function factorsOf(p: Printing, op: Product): readonly [Factor, Factor] {
  const factor = (tile: TileId, axis: Axis): Factor => ({ tile, axis, axes: withoutAxes(p.s.axes(tile), [axis]) });
  return op.op === 'contract' ? [factor(op.a, op.axis), factor(op.b, op.axis)] : [factor(op.a, COL), factor(op.b, ROW)];
}

export function foldedSize(p: Printing, op: Product): number {
  return p.s.size(op.op === 'contract' ? op.axis : ROW);
}

/** A fold as a loop of one invocation: the value of its accumulator. */
function foldText(p: Printing, block: Block, op: Fold, at: At): string {
  const { code } = block;
  const sum = p.fresh('sum');
  switch (op.op) {
    case 'contract': case 'compose': {
      const k = p.fresh('k');
      const [a, b] = factorsOf(p, op);
      code.line(`var ${sum} = 0.0;`);
      code.open(`for (${turns(p, block, k, foldedSize(p, op))})`);
      const inner = innerBlock(block);
      const factor = ({ tile, axis }: Factor) => element(p, inner, tile, new Map(at).set(axis, variable(k)));
      code.line(`${sum} += ${factor(a)} * ${factor(b)};`);
      code.close();
      return joined(p, block, 'sum', sum);
    }
    case 'runs': {
      const k = p.fresh('k');
      code.line(`var ${sum} = 0.0;`);
      code.open(`for (var ${k} = 0u; ${k} < ${rolled(op.length)}; ${k}++)`);
      const run = indexText(indexOf(p, at, runsOf(op.axis, op.length)));
      const here = new Map(at).set(op.axis, variable(`(${run} * ${op.length}u + ${k})`));
      code.line(`${sum} += ${element(p, innerBlock(block), op.arg, here)};`);
      code.close();
      return sum;
    }
    case 'reduce': {
      const k = p.fresh('k');
      const start = op.reduce === 'sum' ? 0 : op.reduce === 'max' ? -Infinity : Infinity;
      code.line(`var ${sum} = ${floatLiteral(start)};`);
      code.open(`for (${turns(p, block, k, p.s.size(op.axis))})`);
      const term = element(p, innerBlock(block), op.arg, new Map(at).set(op.axis, variable(k)));
      code.line(op.reduce === 'sum' ? `${sum} += ${term};` : `${sum} = m_${op.reduce}(${sum}, ${term});`);
      code.close();
      return joined(p, block, op.reduce, sum);
    }
    case 'dscore': case 'dscoreRow': case 'dscoreCol':
      decayed(p, block, op, at, sum);
      return sum;
  }
  op satisfies never;
}

/** The turns of a fold: all of them, or every so many where the lanes of a subgroup share them. */
function turns(p: Printing, block: Block, k: string, count: number): string {
  if (!p.subgroups || !block.together) return `var ${k} = 0u; ${k} < ${rolled(count)}; ${k}++`;
  // A subgroup may be wider than the workgroup.
  return `var ${k} = lane; ${k} < ${rolled(count)}; ${k} += min(lanes, ${p.workgroup}u)`;
}

function joined(p: Printing, block: Block, fold: 'sum' | 'max' | 'min', value: string): string {
  if (!p.subgroups || !block.together) return value;
  if (fold === 'sum') return `subgroupAdd(${value})`;
  return `select(${{ max: 'subgroupMax', min: 'subgroupMin' }[fold]}(${value}), subgroupAdd(${value}), subgroupAny(m_is_nan(${value})))`;
}

/**
 * The exponent of pair (r, c) is the sum of g over the tokens in (c, r] (without r if `before`), token by token: no e^-G anywhere, so any
 * gate is safe. Clamped so that sums of huge gates stay finite.
 */
function decayed(p: Printing, block: Block, op: Extract<Fold, { op: 'dscore' | 'dscoreRow' | 'dscoreCol' }>, at: At, sum: string): void {
  const { code } = block;
  const token = (tile: TileId, inner: Block, index: Index, channel: Index) => element(
    p, inner, tile, new Map([[ROW, index], [COL, index], [op.axis, channel]]),
  );
  const diagonal = !op.strict && !op.before;
  const exponent = p.fresh('e');
  const add = (gate: string) => `${exponent} = m_at_least(${exponent} + ${gate}, -1e30f);`;
  const decay = `m_exp(m_at_least(${exponent}, -100.0))`;
  const j = p.fresh('j');
  switch (op.op) {
    case 'dscore': {
      const [r, c, k] = [indexText(indexOf(p, at, ROW)), indexText(indexOf(p, at, COL)), p.fresh('k')];
      code.line(`var ${sum} = 0.0;`);
      code.open(`for (var ${k} = 0u; ${k} < select(0u, ${rolled(p.s.size(op.axis))}, ${c} ${diagonal ? '<=' : '<'} ${r}); ${k}++)`);
      code.line(`var ${exponent} = 0.0;`);
      code.open(`for (var ${j} = ${c} + 1u; ${j} ${op.before ? '<' : '<='} ${r}; ${j}++)`);
      code.line(add(token(op.g, innerBlock(block), variable(j), variable(k))));
      code.close();
      const inner = innerBlock(block);
      const x = token(op.x, inner, indexOf(p, at, ROW), variable(k));
      code.line(`${sum} += ${x} * ${token(op.y, inner, indexOf(p, at, COL), variable(k))} * ${decay};`);
      code.close();
      return;
    }
    case 'dscoreRow': case 'dscoreCol': {
      // Away from the own token: down to 0 for rows, up to C - 1 for columns.
      const down = op.op === 'dscoreRow';
      const own = indexOf(p, at, down ? ROW : COL);
      const channel = indexOf(p, at, op.axis);
      const other = op.op === 'dscoreRow' ? op.y : op.x;
      const weight = (inner: Block, from: Index) => element(
        p, inner, op.a, new Map(down ? [[ROW, own], [COL, from]] : [[ROW, from], [COL, own]]),
      );
      const term = (inner: Block, from: Index) => `${weight(inner, from)} * ${token(other, inner, from, channel)}`;
      code.line(`var ${sum} = ${diagonal ? term(block, own) : '0.0'};`);
      code.line(`var ${exponent} = 0.0;`);
      code.open(
        down ? `for (var ${j} = ${indexText(own)}; ${j} > 0u; ${j}--)`
        : `for (var ${j} = ${indexText(own)} + 1u; ${j} < ${rolled(p.s.size(ROW))}; ${j}++)`
      );
      const inner = innerBlock(block);
      const from = p.fresh('p');
      // Rows: the pair with token j - 1 gains the gate of j; columns: the pair with token j gains its gate. Without the reader's own if
      // `before`.
      if (down) code.line(`let ${from} = ${j} - 1u;`);
      const partner = down ? variable(from) : variable(j);
      if (!op.before) code.line(add(token(op.g, inner, variable(j), channel)));
      code.line(`${sum} += ${term(inner, partner)} * ${decay};`);
      if (op.before) code.line(add(token(op.g, inner, partner, channel)));
      code.close();
      return;
    }
  }
  op satisfies never;
}
