import type { Flow, FlowResult, FlowValue, ValueId } from '../../ir/flow/flow.js';
import { includes } from '../../ir/graph/typing.js';
import { rolesOf } from '../cluster/roles.js';
import { withChecks } from './checks.js';

/** A flow as kernels are made of it. */
export function forKernels(flow: Flow): Flow {
  return ownResults(withChecks(flow));
}

/** A flow whose results are values of their own, with all axes that files have: what lies elsewhere or lacks an axis is copied. */
function ownResults(flow: Flow): Flow {
  const values = [...flow.values];
  const roles = rolesOf(flow, new Set(values.keys()), new Set());
  const copies = new Map<string, ValueId>();
  const put = (value: FlowValue): ValueId => values.push(value) - 1;
  const own = <T extends FlowResult>(one: T): T => {
    const { type, origin } = flow.values[one.value];
    const missing = one.axes.filter((axis) => !includes(type.axes, axis));
    if (missing.length === 0 && !['leaf', 'view'].includes(roles.get(one.value) ?? 'leaf')) return one;
    const key = `${one.value} ${missing.map(({ name }) => name).join()}`;
    const known = copies.get(key);
    if (known !== undefined) return { ...one, value: known };
    const zeros = put({
      kind: 'literal', value: 0, axes: missing, type: { kind: 'number', domain: 0, axes: missing, where: [] }, origin,
    });
    const axes = [...type.axes, ...missing];
    const copy = put({ kind: 'map', fn: 'add', args: [one.value, zeros], type: { ...type, kind: 'number', axes }, origin });
    copies.set(key, copy);
    return { ...one, value: copy };
  };
  const { backward } = flow;
  return {
    ...flow, outputs: flow.outputs.map(own), losses: flow.losses.map(own), counts: flow.counts.map(own), checks: flow.checks.map(own),
    update: { ...flow.update, takes: flow.update.takes.map(own) },
    backward: backward && {
      ...backward, gradients: backward.gradients.map((one) => (isZero(flow, one.value) ? one : own(one))),
    },
    values,
  };
}

/** Nobody computes it: whoever wants it fills it with zeros. */
export function isZero(flow: Flow, id: ValueId): boolean {
  const value = flow.values[id];
  if (value.kind === 'literal') return value.value === 0;
  return (value.kind === 'lift' || value.kind === 'gather' || value.kind === 'f32') && isZero(flow, value.arg);
}
