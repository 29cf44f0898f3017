import { TOKEN, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import type { Axis } from '../../ir/graph/types.js';
import { comparison, sinkhornValue } from '../graph/choice.js';
import { scalarFunction } from '../graph/map.js';
import { fourDraws, keyOf } from '../../support/noise.js';
import { elementMap, makeValue, offsets, sizeOf, strides } from '../graph/value.js';
import { chosen, contracted, first, folded, others, softened } from './groups.js';
import { rowBefore, rowMap } from './rows.js';
import { presence, spread, type Run } from './run.js';
import { scanned } from './scan.js';

type Of<K extends FlowValue['kind']> = Extract<FlowValue, { kind: K }>;

/** A value [rows, ...axes], from those that it reads. */
export function computeValue(run: Run, id: ValueId): Float64Array {
  const { flow, tokens, call } = run;
  const value = flow.values[id];
  const { domain, axes } = value.type;
  const there = (arg: ValueId): Float64Array => spread(run, arg, domain, axes);
  switch (value.kind) {
    case 'literal': return new Float64Array(sizeOf(axes)).fill(value.value);
    case 'input': {
      const { name } = flow.inputs[value.input];
      return found(call.inputs, name, run.rowsOf(domain).count * sizeOf(axes));
    }
    case 'param': {
      const { path } = flow.params[value.param];
      return found(call.params, path, sizeOf(axes));
    }
    case 'count':
      if (value.of === 'time') return Float64Array.from({ length: tokens.sequences }, (_, n) => tokens.starts[n + 1] - tokens.starts[n]);
      return Float64Array.of(value.of === 'tokens' ? tokens.rows : value.of === 'batch' ? tokens.sequences : 1);
    case 'index': {
      const cell = sizeOf(axes);
      const row = (n: number): number => (value.over === undefined ? 0 : value.over === 'time' ? tokens.time[n] : n);
      return Float64Array.from({ length: run.rowsOf(domain).count * cell }, (_, i) => row(Math.floor(i / cell)) * cell + (i % cell));
    }
    case 'draw': return drawn(run, value);
    case 'map': {
      const f = scalarFunction(value.fn);
      const [x, y = x] = value.args.map(there);
      return x.map((number, i) => f(number, y[i]));
    }
    case 'contract': return contracted(run, value);
    case 'fold': return folded(run, value);
    case 'softmax': return softened(run, value);
    case 'top': return chosen(run, value);
    case 'first': return first(run, value);
    case 'others': return others(run, value);
    case 'gather': return gathered(run, value);
    case 'restrict': case 'stop': case 'f32': case 'rounded': return there(value.arg);
    case 'lift': case 'mask': {
      const arg = value.kind === 'lift' ? value.arg : value.choice;
      const present = presence(run, run.type(arg).where, domain, axes);
      return present === undefined ? there(arg) : there(arg).map((x, i) => (present[i] === 0 ? 0 : x));
    }
    case 'compare': {
      const [left, right] = [there(value.left), there(value.right)];
      const holds = comparison(value.op);
      return left.map((x, i) => (holds(x, right[i]) ? 1 : 0));
    }
    case 'logic': {
      if (value.op === 'not') return there(value.args[0]).map((x) => 1 - x);
      const all = value.args.map((arg) => {
        const present = presence(run, run.type(arg).where, domain, axes);
        return there(arg).map((x, i) => (present !== undefined && present[i] === 0 ? 0 : x));
      });
      const join = value.op === 'and' ? Math.min : Math.max;
      return all.reduce((a, b) => a.map((x, i) => join(x, b[i])));
    }
    case 'pick': {
      const index = there(value.index);
      const wide = [...axes.filter(({ name }) => name !== value.axis.name), value.axis];
      const x = spread(run, value.arg, domain, wide);
      const own = elementMap(axes, wide.slice(0, -1));
      const cell = own.length;
      return index.map((i, at) => (i < 0 ? 0 : x[(Math.floor(at / cell) * cell + own[at % cell]) * value.axis.size + i]));
    }
    case 'place': {
      const arg = there(value.arg);
      const index = there(value.index);
      const steps = strides([value.axis], axes)[0];
      return arg.map((x, at) => (Math.floor(at / steps) % value.axis.size === index[at] ? x : 0));
    }
    case 'taps': case 'untap': return tapped(run, value);
    case 'rope': return turned(run, value);
    case 'scan': case 'unscan': return scanned(run, value);
    case 'sinkhorn': {
      const arg = run.type(value.arg);
      const masks = arg.where.map((choice) => ({
        of: makeValue(tokens.byToken, arg.axes, presence(run, [choice], TOKEN, arg.axes) ?? new Float64Array(0)), picked: false,
      }));
      const x = makeValue(tokens.byToken, arg.axes, run.data(value.arg), { masks });
      const plan = sinkhornValue({ tokens, tape: undefined }, x, value.axis, value.tolerance, value.origin);
      const cells = elementMap(axes, plan.axes);
      return Float64Array.from(plan.data, (_, i) => plan.data[Math.floor(i / cells.length) * cells.length + cells[i % cells.length]]);
    }
  }
}

function found(tensors: ReadonlyMap<string, Float64Array>, name: string, size: number): Float64Array {
  const data = tensors.get(name);
  if (data === undefined) throw new Error(`${name} is missing`);
  if (data.length !== size) throw new Error(`${name} has ${data.length} elements, not ${size}`);
  return data;
}

function gathered(run: Run, { arg, to, by, type }: Of<'gather'>): Float64Array {
  const from = run.type(arg);
  const rows = run.rowsOf(to);
  const rowOf = rowMap(run.tokens, rows, to, from.domain, by);
  const cells = elementMap(type.axes, from.axes);
  const groups = offsets(rows.groups, strides(rows.groups, from.axes));
  const cell = sizeOf(from.axes);
  const data = run.data(arg);
  const out = new Float64Array(rows.count * cells.length);
  for (let row = 0, at = 0; row < rows.count; row++) {
    const base = rowOf(row) * cell + (rows.groups.length > 0 ? groups[rows.group[row]] : 0);
    for (let i = 0; i < cells.length; i++) out[at++] = data[base + cells[i]];
  }
  return out;
}

/** Every element has the number of its index among `axes` and of its call among `lanes`; groups of slots are read off the slot. */
function drawn(run: Run, { law, path, number, axes, lanes, domain, type }: Of<'draw'>): Float64Array {
  const { tokens, call } = run;
  const rows = run.rowsOf(domain);
  const key = keyOf(call.seed ?? 0, path, call.step ?? 0, number);
  const numberIn = (list: readonly Axis[]): readonly [Int32Array, Int32Array] => {
    return [elementOffsets(type.axes, list), elementOffsets(rows.groups, list)];
  };
  const [elements, lane] = [numberIn(axes), numberIn(lanes)];
  const cell = sizeOf(type.axes);
  const out = new Float64Array(rows.count * cell);
  const { keys } = tokens;
  for (let row = 0, at = 0; row < rows.count; row++) {
    const token = domain === TOKEN ? row : rows.token[row];
    const group = rows.groups.length > 0 ? rows.group[row] : 0;
    for (let i = 0; i < cell; i++, at++) {
      const element = elements[0][i] + elements[1][group];
      const place = [keys.position[token], keys.sequence[token], lane[0][i] + lane[1][group]] as const;
      out[at] = fourDraws(law, key, place, Math.floor(element / 4))[element % 4];
    }
  }
  return out;
}

/** For every element of a box, what its axes add to the number in a row of `list`. */
function elementOffsets(box: readonly Axis[], list: readonly Axis[]): Int32Array {
  return offsets(box, strides(box, list));
}

function tapped(run: Run, value: Of<'taps' | 'untap'>): Float64Array {
  const { tokens, flow } = run;
  const { domain, axes } = value.type;
  const rows = run.rowsOf(domain);
  const count = value.axis.size;
  const cell = sizeOf(axes) / (value.kind === 'taps' ? count : 1);
  const own = value.kind === 'taps' ? axes.slice(1) : [value.axis, ...axes];
  const x = spread(run, value.arg, domain, own);
  const out = new Float64Array(rows.count * sizeOf(axes));
  for (let row = 0; row < rows.count; row++) {
    for (let j = 0; j < count; j++) {
      const before = rowBefore(tokens, flow.domains[domain], rows, row, count - 1 - j);
      if (before < 0) continue;
      for (let i = 0; i < cell; i++) {
        if (value.kind === 'taps') out[(row * count + j) * cell + i] = x[before * cell + i];
        else out[before * cell + i] += x[(row * count + j) * cell + i];
      }
    }
  }
  return out;
}

function turned(run: Run, { arg, axis, frequency, turn, pairs, back, type }: Of<'rope'>): Float64Array {
  const { tokens } = run;
  const { domain, axes } = type;
  const rows = run.rowsOf(domain);
  const around = axes.filter(({ name }) => name !== axis.name);
  const x = spread(run, arg, domain, [...around, axis]);
  const f = spread(run, frequency, domain, [...around, turn]);
  const lanes = sizeOf(around);
  const out = x.slice();
  for (let row = 0; row < rows.count; row++) {
    const position = tokens.position[domain === TOKEN ? row : rows.token[row]];
    for (let lane = row * lanes; lane < (row + 1) * lanes; lane++) {
      for (let i = 0; i < turn.size; i++) {
        const p = lane * axis.size + (pairs === 'halves' ? i : 2 * i);
        const q = pairs === 'halves' ? p + turn.size : p + 1;
        const angle = (back ? -1 : 1) * position * f[lane * turn.size + i];
        out[p] = x[p] * Math.cos(angle) - x[q] * Math.sin(angle);
        out[q] = x[p] * Math.sin(angle) + x[q] * Math.cos(angle);
      }
    }
  }
  const cells = elementMap(axes, [...around, axis]);
  return out.map((_, i) => out[Math.floor(i / cells.length) * cells.length + cells[i % cells.length]]);
}

