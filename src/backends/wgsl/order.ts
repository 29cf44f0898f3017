import { withoutAxes } from '../../ir/common/axes.js';
import type { TileId, TileOp } from '../../ir/tile/tile.js';
import { sizeText } from './address.js';
import { decode } from './decode.js';
import { bufferAddress, cellText, element, newBlock, placeOf, readText, type At, type Printing } from './element.js';
import { floatLiteral, rolled, variable, type Code } from './text.js';

/** Counters of workgroup memory by which a workgroup finds elements in an order: one for each value of a byte. */
export const TALLY = 256;

/**
 * Writes the search for an element of each column in an order, by the bytes of its key from the highest: how many keys have each byte,
 * among those that have the bytes found so far. Rows as keys go up; numbers that are to be the largest, down.
 */
export function nthText(p: Printing, code: Code, tile: TileId, op: TileOp & { readonly op: 'nth' }): void {
  const { kernel } = p.s;
  const axes = p.s.axes(tile);
  const { row } = kernel.domain;
  const [first, end] = kernel.outer === 'run' ? [`first_${row}`, `end_${row}`] : ['0u', sizeText('row')];
  const counted = (text: string): void => {
    code.open(`for (var row = ${first} + lid; row < ${end}; row += ${p.workgroup}u)`);
    const block = newBlock(code);
    const address = bufferAddress(p, op.buffer, { ...placeOf(p, tile), row: '0u' }, variable('row'), at);
    code.line(`let key = rt_key(${readText(p, block, p.binding(op.buffer), address)});`);
    code.line(text);
    code.close();
  };
  code.open(`for (var i = 0u; i < ${rolled(p.s.elements(axes))}; i++)`);
  const at = decode(code, axes.map((axis) => [axis, p.s.size(axis)]), () => 1);
  const block = newBlock(code);
  code.line(`var left = u32(clamp(${element(p, block, op.count, at)}, 0.0, 4e9));`);
  if (op.of !== undefined) {
    code.line(`let of_key = rt_key(${element(p, block, op.of, at)});`);
    code.line('if (lid == 0u) { atomicStore(&tally[0], 0u); }');
    code.line('workgroupBarrier();');
    code.line('var mine = 0u;');
    counted('if (key > of_key) { mine++; }');
    code.line('atomicAdd(&tally[0], mine);');
    code.line('workgroupBarrier();');
    code.line('left -= min(left, atomicLoad(&tally[0]));');
    code.line('workgroupBarrier();');
  }
  code.line('let some = left > 0u;');
  code.line('var there = some;');
  code.line('var found = 0u;');
  code.open('for (var shift = 32u; shift > 0u;)');
  code.line('shift -= 8u;');
  code.line(`for (var b = lid; b < ${TALLY}u; b += ${p.workgroup}u) { atomicStore(&tally[b], 0u); }`);
  code.line('workgroupBarrier();');
  const [known, part] = op.of === undefined ? [`key > rt_key(${floatLiteral(-Infinity)})`, '~key'] : ['key == of_key', 'row'];
  counted(`if (${known} && (shift == 24u || (${part} >> (shift + 8u)) == found)) { `
    + `atomicAdd(&tally[(${part} >> shift) & 255u], 1u); }`);
  code.line('workgroupBarrier();');
  code.line('var digit = 0u;');
  code.open(`for (; digit < ${TALLY}u; digit++)`);
  code.line('let many = atomicLoad(&tally[digit]);');
  code.line('if (many >= left) { break; }');
  code.line('left -= many;');
  code.close();
  code.line(`there = there && digit < ${TALLY}u;`);
  code.line('found = (found << 8u) | (digit & 255u);');
  code.line('workgroupBarrier();');
  code.close();
  const [none, all] = [Infinity, -Infinity].map(floatLiteral);
  const result = op.of === undefined
    ? `select(${none}, select(${all}, rt_number(~found), there), some)`
    : `select(-1.0, select(${none}, f32(found), there), some)`;
  code.line(`if (lid == 0u) { ${cellText(p, tile, at)} = ${result}; }`);
  code.close();
}

/**
 * Marks the largest of each column, one invocation a column: first, bit by bit, the largest key that so many reach; then what is above
 * it, and the first of its equals.
 */
export function topText(p: Printing, code: Code, tile: TileId, op: TileOp & { readonly op: 'top' }): void {
  const columns = withoutAxes(p.s.axes(tile), op.axes);
  code.open(`for (var i = lid; i < ${rolled(p.s.elements(columns))}; i += ${p.workgroup}u)`);
  const starts = decode(code, columns.map((axis) => [axis, p.s.size(axis)]), () => 1);
  const each = (text: (at: At) => string): void => {
    const at = new Map(starts);
    op.axes.forEach((axis, n) => {
      code.open(`for (var k${n} = 0u; k${n} < ${rolled(p.s.size(axis))}; k${n}++)`);
      at.set(axis, variable(`k${n}`));
    });
    code.line(`let key = rt_key(${element(p, newBlock(code), op.arg, at)});`);
    code.line(text(at));
    op.axes.forEach(() => code.close());
  };
  code.line(`let wanted = u32(clamp(${element(p, newBlock(code), op.count, starts)}, 0.0, 4e9));`);
  code.line('var bound = 0u;');
  code.open('for (var bit = 0x80000000u; bit > 0u; bit >>= 1u)');
  code.line('var many = 0u;');
  each(() => 'if (key >= (bound | bit)) { many++; }');
  code.line('if (many >= wanted) { bound |= bit; }');
  code.close();
  code.line('var seats = wanted;');
  each(() => 'if (key > bound) { seats--; }');
  each((at) => {
    const holds = `key > rt_key(${floatLiteral(-Infinity)}) && (key > bound || (key == bound && seats > 0u))`;
    return `let holds = ${holds}; if (holds && key == bound) { seats--; } ${cellText(p, tile, at)} = select(0.0, 1.0, holds);`;
  });
  code.close();
}
