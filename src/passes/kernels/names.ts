import { ONCE, TOKEN, type DomainId, type Flow, type FlowResult, type ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import type { PlanCheck, PlanNames, PlanResult, PlanShape, PlanSource } from '../../ir/plan/names.js';
import { sizeName } from '../../ir/tile/domain.js';
import type { BufferRole } from '../../ir/tile/tile.js';
import type { Refusal } from '../flow/scope.js';
import type { Binding, Lowered } from './kernels.js';
import { TOKENS } from '../chunk/programs.js';
import { tileDomain, wordAxis } from './memory.js';
import { isZero } from './results.js';
import { joinsSequences } from './sequences.js';

/** Whose the tensors of a module are; or why they are not what users give and get. */
export function namesOf(flow: Flow, { module, bindings, alone }: Lowered): PlanNames | { readonly refusals: readonly Refusal[] } {
  const refusals: Refusal[] = [];
  const buffers = new Map(bindings.map((binding) => [binding.buffer.name, binding]));
  const taken = new Set(Object.values(module.programs).flatMap(({ takes }) => takes));
  const given = [...taken].flatMap((name): (readonly [string, PlanSource])[] => {
    const binding = buffers.get(name);
    const source = binding === undefined ? 'a list that nobody makes' : sourceOf(flow, bindings, binding);
    if (typeof source !== 'string') return [[name, source]];
    refusals.push({ reason: source, origin: originOf(flow, binding) });
    return [];
  });
  const result = (role: BufferRole, prefix: string) => (one: FlowResult): readonly [string, PlanResult] => {
    const binding = bindings.find(({ buffer, held }) => held.kind === 'value' && held.value === one.value && buffer.role === role);
    const { type, origin } = flow.values[one.value];
    if (binding === undefined && !isZero(flow, one.value)) refusals.push({ reason: 'what is given as it comes', origin });
    if (binding !== undefined && !whole(flow, binding, one.axes)) refusals.push({ reason: 'a result that lacks an axis', origin });
    return [`${prefix}${one.name}`, { tensors: binding === undefined ? [] : [binding.buffer.name], ...shapeOf(type.domain, one.axes) }];
  };
  const forward = [
    ...flow.outputs.map(result('output', '')), ...flow.losses.map(result('output', 'loss.')),
    ...flow.counts.map(result('output', 'count.')), ...flow.update.takes.map(result('output', 'take.')),
  ];
  const backward = (flow.backward?.gradients ?? []).map(result('gradient', ''));
  // What no kernel makes is found by none.
  const checks = flow.checks.flatMap(({ name, value }): PlanCheck[] => bindings.flatMap(({ buffer, held }) => (
    held.kind === 'value' && held.value === value && buffer.role === 'output' ? [{ choice: name, tensor: buffer.name }] : []
  )));
  return refusals.length > 0 ? { refusals } : {
    alone, joins: joinsSequences(module), given: Object.fromEntries(given), results: {
      forward: added(forward), backward: added(backward),
    }, checks,
  };
}

/** Axes as users name them: those of a call have its path in front. */
function shapeOf(domain: DomainId, axes: readonly Axis[]): PlanShape {
  return {
    shape: [...(domain === TOKEN ? [sizeName(TOKENS, 'row')] : []), ...axes.map(({ size }) => size)],
    axes: axes.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)),
  };
}

/** Several of one name add up. */
function added(results: readonly (readonly [string, PlanResult])[]): Readonly<Record<string, PlanResult>> {
  const all = new Map<string, PlanResult>();
  for (const [name, one] of results) all.set(name, { ...one, tensors: [...all.get(name)?.tensors ?? [], ...one.tensors] });
  return Object.fromEntries(all);
}

function originOf(flow: Flow, binding: Binding | undefined): Refusal['origin'] {
  const held = binding?.held;
  const value: ValueId | undefined = held?.kind === 'value' ? held.value : undefined;
  const domain = held?.kind === 'table' ? flow.domains[held.domain] : undefined;
  return domain?.kind === 'slot' ? domain.origin : flow.values[value ?? 0].origin;
}

function sourceOf(flow: Flow, bindings: readonly Binding[], { buffer, held }: Binding): PlanSource | string {
  switch (held.kind) {
    case 'number': return held.number === 'tokens' || held.number === 'time' ? 'what no kernel has made' : {
      kind: 'number', of: held.number,
    };
    case 'key': return held;
    case 'step': case 'table': case 'index': return 'what no kernel has made';
    case 'value': {
      const value = flow.values[held.value];
      if (value.kind === 'input') return {
        kind: 'user', name: flow.inputs[value.input].name, ...shapeOf(flow.inputs[value.input].domain, flow.inputs[value.input].axes),
      };
      if (value.kind === 'param') return {
        kind: 'user', name: flow.params[value.param].path, ...shapeOf(ONCE, flow.params[value.param].axes),
      };
      const left = bindings.find((one) => one.held.kind === 'value' && one.held.value === held.value && one.buffer.role === 'output');
      return left === undefined ? `a ${buffer.role} that nobody leaves` : { kind: 'kept', tensor: left.buffer.name };
    }
  }
}

/** Does a buffer lie as a result does: rows, then its axes in their order? Groups may be rows. */
function whole(flow: Flow, { buffer }: Binding, axes: readonly Axis[]): boolean {
  const groups = buffer.outer !== 'run' ? [] : flow.domains.filter((_, id) => buffer.domain?.row === tileDomain(flow, id).row);
  const names = [...groups.flatMap(groupsOf).map(({ name }) => wordAxis(name)), ...buffer.axes];
  return names.length === axes.length && axes.every(({ name }, i) => wordAxis(name) === names[i]);
}

