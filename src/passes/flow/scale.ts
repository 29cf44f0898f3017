import { contract, flowBuilder, map, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, type DomainId, type Flow, type FlowResult, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { movedBody, operandsOf } from '../../ir/flow/operands.js';

/**
 * Weights of slots go into the products that they multiply: g (h @ W) becomes (g h) @ W, where h has been made in the same place. The
 * gradient of g is then <d(g h), h>, of what backward has anyway; of the form before it, the product would have to be kept or made again.
 */
export function scaled(flow: Flow): Flow {
  const { values, domains } = flow;
  const b = flowBuilder();
  const readers = values.map(() => 0);
  for (const value of values) for (const arg of operandsOf(value)) readers[arg]++;
  for (const { value } of [...flow.outputs, ...flow.losses, ...flow.counts]) readers[value]++;
  const places: ValueId[] = [];
  const to = (id: ValueId): ValueId => places[id];
  const domainAt = (id: DomainId): DomainId => {
    const domain = domains[id];
    return b.domain(domain.kind === 'slot' ? { ...domain, choice: to(domain.choice) } : domain);
  };
  flow.inputs.forEach((input) => b.input(input, values[0].origin));
  flow.params.forEach((param) => b.param(param, values[0].origin));
  values.forEach((value) => {
    const weight = value.kind === 'map' && value.fn === 'mul' ? weighted(flow, value.args, readers) : undefined;
    places.push(weight === undefined ? b.add(movedBody(value, to, domainAt), value.origin) : pushed(b, flow, weight, to));
  });
  const results = (list: readonly FlowResult[]): FlowResult[] => list.map((one) => ({ ...one, value: to(one.value) }));
  return {
    ...flow, domains: b.domains, inputs: b.inputs, params: b.params, values: b.values, outputs: results(flow.outputs),
    losses: results(flow.losses), counts: results(flow.counts),
  };
}

interface Weighted {
  readonly weight: ValueId;
  readonly product: ValueId;
}

/** One number a slot, times what has products with weights in it that nobody else reads. */
function weighted({ values, domains }: Flow, args: readonly ValueId[], readers: readonly number[]): Weighted | undefined {
  const holds = (id: ValueId): boolean => {
    const value = values[id];
    if (readers[id] !== 1 || domains[value.type.domain].kind !== 'slot') return false;
    if (value.kind === 'map' && (value.fn === 'add' || value.fn === 'sub')) return value.args.some(holds);
    return value.kind === 'contract' && isRow(values, value) !== undefined;
  };
  const [x, y] = args;
  const scalar = (id: ValueId): boolean => values[id].type.axes.length === 0 && values[id].type.domain !== ONCE;
  if (scalar(x) && holds(y)) return { weight: x, product: y };
  return scalar(y) && holds(x) ? { weight: y, product: x } : undefined;
}

/** The factor that is a row of its own, where the other is read from params by the slot's index. */
function isRow(values: readonly FlowValue[], { left, right }: Extract<FlowValue, { kind: 'contract' }>): 'left' | 'right' | undefined {
  const weight = (id: ValueId): boolean => {
    const value = values[id];
    return value.kind === 'gather' && values[value.arg].type.domain === ONCE;
  };
  const row = (id: ValueId): boolean => !weight(id) && values[id].kind !== 'gather';
  if (weight(right) && row(left)) return 'left';
  return weight(left) && row(right) ? 'right' : undefined;
}

function pushed(b: FlowBuilder, flow: Flow, { weight, product }: Weighted, to: (id: ValueId) => ValueId): ValueId {
  const into = (id: ValueId): ValueId => {
    const value = flow.values[id];
    const { origin } = value;
    if (value.kind === 'map' && (value.fn === 'add' || value.fn === 'sub')) return map(b, value.fn, value.args.map(into), origin);
    const side = value.kind === 'contract' ? isRow(flow.values, value) : undefined;
    if (value.kind !== 'contract' || side === undefined) return map(b, 'mul', [to(weight), to(id)], origin);
    const [row, other] = side === 'left' ? [value.left, value.right] : [value.right, value.left];
    const scaledRow = map(b, 'mul', [to(weight), to(row)], origin);
    return contract(b, scaledRow, to(other), value.along.axes, origin);
  };
  return into(product);
}
