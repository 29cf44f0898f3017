import { contract, map, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, type Flow, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf } from '../../ir/flow/operands.js';
import { rebuilt } from './rebuild.js';

/**
 * Weights of slots multiply where rows are made, never where they are only read. Behind a product they go into it: g (h @ W) becomes
 * (g h) @ W, and the gradient of g is <d(g h), h>, of what backward has anyway; else the product would have to be kept or made again.
 * Before one they go out: (g x) @ W becomes g (x @ W), so that the rows of tokens are read as they are.
 */
export function scaled(flow: Flow): Flow {
  const { values } = flow;
  const readers = values.map(() => 0);
  for (const value of values) for (const arg of operandsOf(value)) readers[arg]++;
  for (const { value } of [...flow.outputs, ...flow.losses, ...flow.counts, ...flow.update.takes, ...flow.update.results]) readers[value]++;
  return rebuilt(flow, (b, value, to) => {
    if (value.kind === 'contract') return outside(b, flow, value, to);
    const weight = value.kind === 'map' && value.fn === 'mul' ? weighted(flow, value.args, readers) : undefined;
    return weight && pushed(b, flow, weight, readers, to);
  });
}

interface Weighted {
  readonly weight: ValueId;
  readonly product: ValueId;
}

/**
 * One number a slot, times what has products with weights in it that nobody else reads; or a number that exists once, times the sum over a
 * token's slots of that.
 */
function weighted({ values, domains }: Flow, args: readonly ValueId[], readers: readonly number[]): Weighted | undefined {
  const holds = (id: ValueId): boolean => {
    const value = values[id];
    if (readers[id] !== 1) return false;
    if (value.kind === 'fold' && value.op === 'sum' && value.along.axes.length === 0 && value.type.domain !== ONCE) return holds(value.arg);
    if (domains[value.type.domain].kind !== 'slot') return false;
    if (value.kind === 'map' && value.fn === 'mul') return value.args.some(scalar) && value.args.some(holds);
    if (value.kind === 'map' && (value.fn === 'add' || value.fn === 'sub')) return value.args.some(holds);
    return value.kind === 'contract' && isRow(values, value) !== undefined;
  };
  const scalar = (id: ValueId): boolean => values[id].type.axes.length === 0 && values[id].type.domain !== ONCE;
  const [weight, product] = values[args[1]].type.axes.length === 0 ? [args[1], args[0]] : args;
  const { axes, domain } = values[weight].type;
  const fits = domain === ONCE || domain === values[product].type.domain;
  return axes.length === 0 && fits && holds(product) ? { weight, product } : undefined;
}

/** A product of rows that are tokens' times one number a slot: the number multiplies the product. */
function outside(
  b: FlowBuilder, { values, domains }: Flow, { left, right, along, origin, type }: Extract<FlowValue, { kind: 'contract' }>,
  to: (id: ValueId) => ValueId,
): ValueId | undefined {
  if (domains[type.domain].kind !== 'slot' || along.to !== type.domain) return undefined;
  const row = values[left];
  if (row.kind !== 'map' || row.fn !== 'mul' || !isWeight(values, right)) return undefined;
  const number = row.args.find((arg) => values[arg].type.axes.length === 0 && values[arg].type.domain !== ONCE);
  const read = row.args.find((arg) => arg !== number && values[arg].kind === 'gather' && values[arg].type.domain !== ONCE);
  if (number === undefined || read === undefined) return undefined;
  return map(b, 'mul', [to(number), contract(b, to(read), to(right), along.axes, origin)], origin);
}

/** Is it read from params by the slot's index? */
function isWeight(values: readonly FlowValue[], id: ValueId): boolean {
  const value = values[id];
  return value.kind === 'gather' && values[value.arg].type.domain === ONCE;
}

/** The factor that is a row of its own, where the other is read from params by the slot's index. */
function isRow(values: readonly FlowValue[], { left, right }: Extract<FlowValue, { kind: 'contract' }>): 'left' | 'right' | undefined {
  const row = (id: ValueId): boolean => values[id].kind !== 'gather';
  if (isWeight(values, right) && row(left)) return 'left';
  return isWeight(values, left) && row(right) ? 'right' : undefined;
}

function pushed(
  b: FlowBuilder, flow: Flow, { weight, product }: Weighted, readers: readonly number[], to: (id: ValueId) => ValueId,
): ValueId {
  const into = (id: ValueId, by: ValueId): ValueId => {
    const value = flow.values[id];
    const { origin } = value;
    switch (value.kind) {
      case 'fold': return b.add({ kind: 'fold', op: value.op, arg: into(value.arg, by), along: value.along }, origin);
      case 'map': {
        if (value.fn === 'add' || value.fn === 'sub') return map(b, value.fn, value.args.map((arg) => into(arg, by)), origin);
        const inner = value.fn === 'mul' ? weighted(flow, value.args, readers) : undefined;
        return inner === undefined
          ? map(b, 'mul', [by, to(id)], origin)
          : into(inner.product, map(b, 'mul', [by, to(inner.weight)], origin));
      }
      case 'contract': {
        const side = isRow(flow.values, value);
        if (side === undefined) return map(b, 'mul', [by, to(id)], origin);
        const [row, other] = side === 'left' ? [value.left, value.right] : [value.right, value.left];
        return contract(b, map(b, 'mul', [by, to(row)], origin), to(other), value.along.axes, origin);
      }
      default: return map(b, 'mul', [by, to(id)], origin);
    }
  };
  return into(product, to(weight));
}
