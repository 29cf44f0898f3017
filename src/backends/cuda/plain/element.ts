import { COL, isCut, ROW, runsIn, swapAxis, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { isElementwise } from '../../../ir/tile/facts.js';
import type { TileBuffer, TileId, TileKernel, TileModule, TileOp } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { sizeField } from '../prologue.js';
import { bufferNamed, endRow, outerStride, placeBack, rowsBack, type Place } from '../address.js';
import { floatLiteral, type Code } from '../code.js';
import { cellPointer, sourceOf, sourcePresence, type CudaContext, type Source } from '../lowered.js';
import { roundedText, scalarText } from '../scalar.js';
import type { Homes } from './homes.js';

/** C text of neighbour `e` of an element. */
export type Neighbours = (e: string) => string;

/** Which elements an expression is written for: one, or `width` neighbours along `along`. */
export interface Spot {
  readonly at: ReadonlyMap<Axis, string>;
  readonly along: Axis | undefined;
  readonly width: number;
  readonly place: Place;
  /** Values in registers: of fused products, of what a loop carries. */
  readonly sums: ReadonlyMap<TileId, Neighbours>;
  /** What was loaded for this spot already. */
  readonly known: Map<string, Neighbours>;
}

export interface Elements {
  /** Writes the loads that an expression needs and returns its text; `operation`: of a tile that has a home of its own. */
  value(tile: TileId, spot: Spot): Neighbours;
  operation(tile: TileId, op: TileOp, spot: Spot): Neighbours;
  /** Writes `width` neighbours to a tile's array. */
  put(tile: TileId, spot: Spot, value: Neighbours): void;
  /** Writes them to a buffer, where rows exist. */
  store(name: string, spot: Spot, value: Neighbours): void;
  /** Brings an element to the row that `by` names, and works it out only where there is one. */
  scatter(name: string, by: string, tile: TileId, spot: Spot): void;
  /** C text of one element of an array. */
  arrayAt(tile: TileId, at: ReadonlyMap<Axis, string>): string;
  readonly size: ElementOptions['size'];
  readonly first: ElementOptions['first'];
  /** Indices of the element of a number, row by row. */
  decoded(axes: readonly Axis[], number: string): Map<Axis, string>;
  /** C texts: where a column of a buffer of rows begins, and how far its rows are apart. */
  column(name: string, spot: Spot): { readonly pointer: string; readonly stride: string };
}

export interface ElementOptions {
  readonly cx: CudaContext;
  readonly kernel: TileKernel;
  readonly code: Code;
  readonly homes: Homes;
  readonly arrays: Arrays;
  /** Size of an axis as those who work together see it. */
  readonly size: (axis: Axis) => number;
  /** C text of the first element of an axis of which they have a part; indices along it count from there. */
  readonly first: (axis: Axis) => string | undefined;
}

/** Where tiles are that have a place of their own: tile 5 in `t5`, an array in memory or in registers. */
export interface Arrays {
  readonly inMemory: boolean;
  /** Axes of a tile in the order of its elements. */
  axes(tile: TileId): readonly Axis[];
  /** C text of the number of an element in its array. */
  number(tile: TileId, at: (axis: Axis) => string): string;
}

/** The place that starts at these indices; nothing is loaded for it yet. */
export function spotAt(at: ReadonlyMap<Axis, string>, place: Place, along?: Axis, width = 1, sums: Spot['sums'] = new Map()): Spot {
  return { at, along: width > 1 ? along : undefined, width, place, sums, known: new Map() };
}

/** C text of the first element of a block of the split axis, on it or on that of its runs. */
export function firstOfBlock({ split }: TileKernel): (axis: Axis) => string | undefined {
  return (axis) => {
    const runs = runsIn(axis);
    return !isCut(axis, split) ? undefined : runs === undefined ? 'v0' : `v0 / ${runs.length}`;
  };
}

/** Indices of an element in row-major order, as C text. */
export function flat(axes: readonly Axis[], extent: (axis: Axis) => number, at: (axis: Axis) => string): string {
  return axes.length === 0 ? '0' : axes.slice(1).reduce((text, axis) => `${wrap(text)} * ${extent(axis)} + ${at(axis)}`, at(axes[0]));
}

/** How many rows or runs there are, as a number. */
function sizeText({ of }: Extract<TileOp, { op: 'size' }>, place: Place): string {
  switch (of) {
    case 'rows': return `(float)${sizeField('row')}`;
    case 'runs': return `(float)${sizeField('run')}`;
    case 'run': return `(float)(${place.runEnd} - ${place.runFirst})`;
  }
}

/** Sizes of axes as a block of so many elements of the split axis sees them. */
export function blockSizes(module: TileModule, kernel: TileKernel, block: number): (axis: Axis) => number {
  return (axis) => {
    if (axis === kernel.split) return block;
    const runs = runsIn(axis);
    return runs !== undefined && runs.of === kernel.split ? block / runs.length : axisSize(module, axis);
  };
}

export function createElements({ cx, kernel, code, homes, arrays, size, first }: ElementOptions): Elements {
  const { module } = cx;
  let names = 0;
  const index = (at: ReadonlyMap<Axis, string>, axis: Axis): string => {
    const text = at.get(axis);
    if (text === undefined) throw new Error(`${kernel.name}: axis ${axis} has no index here`);
    return text;
  };
  const stepped = (
    spot: Spot, axis: Axis, e: string,
  ) => (axis === spot.along && e !== '0' ? `(${index(spot.at, axis)} + ${e})` : index(spot.at, axis));
  const lastOf = (axes: readonly Axis[]) => axes[axes.length - 1];

  /** Leaves are loaded once per spot: as a vector where their last axis is the one the spot runs along. */
  const leaf = (
    key: string, spot: Spot, axes: readonly Axis[], address: (e: string) => string, guard: ((e: string) => string) | undefined,
  ): Neighbours => {
    const found = spot.known.get(key);
    if (found !== undefined) return found;
    const name = `e${names++}`;
    const varies = spot.along !== undefined && axes.includes(spot.along);
    const made = ((): Neighbours => {
      if (!varies) {
        const one = guard?.('0');
        code.line(`const float ${name} = ${one === undefined ? '' : `${one} ? `}ld(${address('0')})${one === undefined ? '' : ' : 0.f'};`);
        return () => name;
      }
      code.line(`float ${name}[${spot.width}];`);
      const whole = guard?.('0');
      if (lastOf(axes) === spot.along && whole === guard?.('e')) {
        const load = `ldn<${spot.width}>(${name}, ${address('0')});`;
        code.line(whole === undefined ? load : `if (${whole}) ${load} else zeron<${spot.width}>(${name});`);
      } else {
        const one = guard?.('e');
        const value = one === undefined ? `ld(${address('e')})` : `${one} ? ld(${address('e')}) : 0.f`;
        code.line(`UNROLL for (int e = 0; e < ${spot.width}; ++e) ${name}[e] = ${value};`);
      }
      return (e) => `${name}[${e}]`;
    })();
    spot.known.set(key, made);
    return made;
  };

  const globalIndex = (buffer: TileBuffer, spot: Spot, e: string) =>
    flat(
      buffer.axes, (axis) => axisSize(module, axis),
      (axis) => (first(axis) === undefined ? stepped(spot, axis, e) : `(${first(axis)} + ${stepped(spot, axis, e)})`),
    );

  /** Rows beyond the end of a chunk are not there, nor is anything of a buffer that nobody gave. */
  const guardOf = (source: Source, rows: ((e: string) => string) | undefined): ((e: string) => string) | undefined => {
    const there = sourcePresence(source);
    return rows ?? (there === undefined ? undefined : () => there);
  };

  const load = (tile: TileId, op: Extract<TileOp, { op: 'load' }>, spot: Spot): Neighbours => {
    const source = sourceOf(module, op);
    const { buffer } = source;
    const { place } = spot;
    const token = isRows(buffer) && op.rows !== 'one' ? (op.rows === 'col' ? COL : ROW) : undefined;
    const axes = token === undefined ? buffer.axes : [token, ...buffer.axes];
    const row = (e: string) => (token === undefined ? '' : stepped(spot, token, e));
    const address = (e: string) => {
      const here = token === undefined ? place : { ...place, first: `(${placeBack(place, op.back).first} + ${row(e)})` };
      return `${cellPointer(module, source, here)} + ${globalIndex(buffer, spot, e)}`;
    };
    const { skip, rows } = rowsBack(place, op.back);
    const exists = (e: string) => `${row(e)} < ${rows}${skip === undefined ? '' : ` && ${row(e)} >= ${skip}`}`;
    const key = `${tile}|${axes.map((axis) => index(spot.at, axis)).join('|')}|${spot.along ?? ''}`;
    return leaf(key, spot, axes, address, guardOf(source, token === undefined ? undefined : exists));
  };

  /** The number of the row that an index names; -1 for none. */
  const rowBy = (numbers: TileBuffer, token: Axis, spot: Spot): Neighbours => (e) => {
    const { place } = spot;
    const at = stepped(spot, token, e);
    const cell = cellPointer(module, { buffer: numbers }, { ...place, first: `(${place.first} + ${at})` });
    return `(${at} < ${place.length} ? (${cell})[${globalIndex(numbers, spot, e)}] : -1)`;
  };

  /** Rows are counted from the first of all, not from the chunk's; an index of no row, and rows beyond the end of the chunk, give 0. */
  const gather = (tile: TileId, op: Extract<TileOp, { op: 'gather' }>, spot: Spot): Neighbours => {
    const [buffer, numbers] = [bufferNamed(module, op.buffer), bufferNamed(module, op.index)];
    const token = op.rows === 'col' ? COL : ROW;
    const { place } = spot;
    const axes = [token, ...numbers.axes, ...buffer.axes];
    const key = `${tile}|${axes.map((axis) => index(spot.at, axis)).join('|')}|${spot.along ?? ''}`;
    const row = rowBy(numbers, token, spot);
    const address = (e: string) => `${cellPointer(module, { buffer }, { ...place, row: row(e) })} + ${globalIndex(buffer, spot, e)}`;
    return leaf(key, spot, axes, address, (e) => `${row(e)} >= 0`);
  };

  const array = (tile: TileId, spot: Spot): Neighbours => {
    const axes = arrays.axes(tile);
    const number = (e: string) => arrays.number(tile, (axis) => stepped(spot, axis, e));
    if (!arrays.inMemory) return (e) => `t${tile}[${number(e)}]`;
    const key = `${tile}|${axes.map((axis) => index(spot.at, axis)).join('|')}|${spot.along ?? ''}`;
    return leaf(key, spot, axes, (e) => `t${tile} + ${number(e)}`, undefined);
  };

  const value = (tile: TileId, spot: Spot): Neighbours => {
    const home = homes.get(tile);
    switch (home?.kind) {
      case undefined: throw new Error(`${kernel.name}: tile ${tile} is read before it has a value`);
      case 'scalar': return () => `t${tile}`;
      case 'array': return array(tile, spot);
      case 'same': return array(home.as, spot);
      case 'inline': return operation(tile, home.op, spot);
      case 'fused': case 'running': {
        const sum = spot.sums.get(tile);
        if (sum === undefined) throw new Error(`${kernel.name}: tile ${tile} is used before it ran`);
        return sum;
      }
    }
  };

  const operation = (tile: TileId, op: TileOp, spot: Spot): Neighbours => {
    const { place, at } = spot;
    if (!isElementwise(op)) throw new Error(`${op.op} has no element text`);
    const elsewhere = (changed: ReadonlyMap<Axis, string>, along = spot.along): Spot => ({ ...spot, at: changed, along });
    switch (op.op) {
      case 'load': return load(tile, op, spot);
      case 'gather': return gather(tile, op, spot);
      case 'literal': return () => floatLiteral(op.value);
      case 'zeros': return () => '0.f';
      case 'identity': {
        const [row, col] = kernel.tiles[tile].axes.map((axis) => (e: string) => (
          first(axis) === undefined ? stepped(spot, axis, e) : `${first(axis)} + ${stepped(spot, axis, e)}`
        ));
        return (e) => `(${row(e)} == ${col(e)} ? 1.f : 0.f)`;
      }
      case 'head': return () => `(float)${place.head ?? place.group}`;
      case 'heads': return () => '(float)d.heads';
      case 'index': return (e) => `(float)(${first(op.axis) === undefined ? '' : `${first(op.axis)} + `}${stepped(spot, op.axis, e)})`;
      case 'number': {
        if (op.of === 'run') return () => `(float)${place.run}`;
        const from = op.of === 'place' ? `${place.first} - ${place.runFirst}` : `${place.first}`;
        return (e) => `(float)(${from} + ${stepped(spot, ROW, e)})`;
      }
      case 'size': return () => sizeText(op, place);
      case 'keep': {
        const arg = value(op.arg, spot);
        return (e) => `(${stepped(spot, ROW, e)} < ${place.length} ? ${arg(e)} : 0.f)`;
      }
      case 'round': {
        const arg = value(op.arg, spot);
        return (e) => roundedText(cx.dtype, arg(e));
      }
      case 'draw': {
        const halves = ['0', '1', '2', '3'].map((n) => value(op.key, elsewhere(new Map(at).set(op.axis, n)))('0'));
        const from = [op.element, op.position, op.sequence, op.lane].map((arg) => value(arg, spot));
        return (e) => `draw(${[...halves, ...from.map((arg) => arg(e))].join(', ')})`;
      }
      case 'map': {
        const args = op.args.map((arg) => value(arg, spot));
        return (e) => scalarText(op.fn, args.map((arg) => arg(e)));
      }
      case 'swap': {
        const turn = swapAxis(op.axes);
        return value(op.arg, elsewhere(new Map([...at].map(([axis, index]) => [turn(axis), index])), spot.along && turn(spot.along)));
      }
      case 'pick': return value(
        op.arg,
        elsewhere(new Map(at).set(ROW, op.row === 'first' ? '0' : `${module.chunk - 1}`), spot.along === ROW ? undefined : spot.along),
      );
      case 'shift': {
        const edge = op.edge === undefined ? () => '0.f' : value(op.edge, spot);
        const beyond = op.by === 1 ? 0 : module.chunk - 1;
        const row = index(at, ROW);
        if (spot.along === ROW) throw new Error('a shift of rows that are written together');
        // The row beyond is not read: the edge's own stands in.
        const from = value(
          op.arg, elsewhere(new Map(at).set(ROW, `(${row} == ${beyond} ? ${beyond} : ${row} ${op.by === 1 ? '-' : '+'} 1)`)),
        );
        return (e) => `(${row} == ${beyond} ? ${edge(e)} : ${from(e)})`;
      }
      case 'put': {
        const [arg, of] = [value(op.arg, spot), value(op.of, spot)];
        return (e) => `(${stepped(spot, ROW, e)} == ${endRow(place, op)} ? ${of(e)} : ${arg(e)})`;
      }
      case 'take': {
        const row = endRow(place, op);
        const inside = `(${row} >= 0 && ${row} < ${place.length})`;
        const arg = value(op.arg, elsewhere(new Map(at).set(ROW, `(${inside} ? ${row} : 0)`), spot.along === ROW ? undefined : spot.along));
        return (e) => `(${inside} ? ${arg(e)} : 0.f)`;
      }
      case 'mask': {
        const arg = value(op.arg, spot);
        return (e) => `(${stepped(spot, COL, e)} ${op.strict ? '<' : '<='} ${stepped(spot, ROW, e)} ? ${arg(e)} : 0.f)`;
      }
    }
    op satisfies never;
  };

  /** Collects the neighbours and writes them in one access, if they are neighbours in memory too. */
  const write = (
    axes: readonly Axis[], spot: Spot, address: (e: string) => string, guard: ((e: string) => string) | undefined, val: Neighbours,
  ) => {
    if (spot.width === 1) {
      const one = guard?.('0');
      code.line(`${one === undefined ? '' : `if (${one}) `}st(${address('0')}, ${val('0')});`);
      return;
    }
    const wide = lastOf(axes) === spot.along && guard?.('0') === guard?.('e');
    if (!wide) {
      const one = guard?.('e');
      const guarded = one === undefined ? '' : `if (${one}) `;
      code.line(`UNROLL for (int e = 0; e < ${spot.width}; ++e) ${guarded}st(${address('e')}, ${val('e')});`);
      return;
    }
    const name = `o${names++}`;
    code.line(`float ${name}[${spot.width}];`);
    code.line(`UNROLL for (int e = 0; e < ${spot.width}; ++e) ${name}[e] = ${val('e')};`);
    const whole = guard?.('0');
    code.line(`${whole === undefined ? '' : `if (${whole}) `}stn<${spot.width}>(${address('0')}, ${name});`);
  };

  const decoded = (axes: readonly Axis[], number: string): Map<Axis, string> => {
    const at = new Map<Axis, string>();
    let rest = 1;
    for (const axis of [...axes].reverse()) {
      at.set(axis, `(${rest === 1 ? number : `${number} / ${rest}`}${axis === axes[0] ? '' : ` % ${size(axis)}`})`);
      rest *= size(axis);
    }
    return at;
  };

  return {
    value, operation, size, first, decoded,
    arrayAt: (tile, at) => `t${tile}[${arrays.number(tile, (axis) => index(at, axis))}]`,
    column(name, spot) {
      const buffer = bufferNamed(module, name);
      const cell = cellPointer(module, { buffer }, { ...spot.place, row: '0' });
      return { pointer: `${cell} + ${globalIndex(buffer, spot, '0')}`, stride: outerStride(module, buffer) };
    },
    put(tile, spot, val) {
      const home = homes.get(tile);
      const to = home?.kind === 'same' ? home.as : tile;
      const number = (e: string) => arrays.number(to, (axis) => stepped(spot, axis, e));
      if (arrays.inMemory) write(arrays.axes(to), spot, (e) => `t${to} + ${number(e)}`, undefined, val);
      else if (spot.width === 1) code.line(`t${to}[${number('0')}] = ${val('0')};`);
      else code.line(`UNROLL for (int e = 0; e < ${spot.width}; ++e) t${to}[${number('e')}] = ${val('e')};`);
    },
    scatter(name, by, tile, spot) {
      const buffer = bufferNamed(module, name);
      const to = `to${names++}`;
      code.line(`const int ${to} = ${rowBy(bufferNamed(module, by), ROW, spot)('0')};`);
      code.open(`if (${to} >= 0)`);
      const cell = cellPointer(module, { buffer }, { ...spot.place, row: to });
      code.line(`st(${cell} + ${globalIndex(buffer, spot, '0')}, ${value(tile, spot)('0')});`);
      code.close();
    },
    store(name, spot, val) {
      const buffer = bufferNamed(module, name);
      const token = isRows(buffer) && spot.place.row === undefined ? (spot.at.has(ROW) ? ROW : COL) : undefined;
      const row = (e: string) => (token === undefined ? '' : stepped(spot, token, e));
      const address = (e: string) => {
        const here = token === undefined ? spot.place : { ...spot.place, first: `(${spot.place.first} + ${row(e)})` };
        return `${cellPointer(module, { buffer }, here)} + ${globalIndex(buffer, spot, e)}`;
      };
      write(
        token === undefined ? buffer.axes : [token, ...buffer.axes], spot, address,
        guardOf({ buffer }, token === undefined ? undefined : (e) => `${row(e)} < ${spot.place.length}`), val,
      );
    },
  };
}

const wrap = (text: string) => (/^[\w.]+$/.test(text) ? text : `(${text})`);
