import { along, flowBuilder, literal } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type Flow, type FlowResult, type ValueId } from '../../ir/flow/flow.js';
import type { Axis } from '../../ir/graph/types.js';
import { Cut } from './cut.js';
import { dependents, extracted, made, Undivided } from './extract.js';
import type { Refusal } from './scope.js';

/**
 * A mixture in parts that may run in different places: what chooses, the work that is chosen, and what is made of its sums. All are Flows,
 * cut at the slots: nothing of a router or an expert is known.
 */
export interface Divided {
  /** Gives what work reads of tokens, what weighs, where which index holds, and all results that no work is needed for. */
  readonly route: Flow;
  /** What work reads of tokens: results of `route`, unless they are inputs of the whole. */
  readonly rows: readonly { readonly name: string; readonly given: boolean }[];
  /** The result that weighs, [groups]; undefined: nothing does. */
  readonly scores: string | undefined;
  /** The result that is 1 where an index holds, [groups]. */
  readonly held: string;
  /** The input of work that has indices; that of weights has the name of the result. */
  readonly ids: string;
  /** The result that has the number of slots of each index. */
  readonly counts: string;
  /** At how many indices of these. */
  readonly groups: readonly Axis[];
  readonly perToken: number;
  /** The work for some of the indices, numbered from 0. `columns`: indices (`ids`) that a row has; undefined: one. */
  readonly work: (local: number, columns: number | undefined) => Flow;
  /** What is made of the sums; undefined: they are what the mixture gives. */
  readonly combine: Flow | undefined;
  /** The input of `combine`, or the result of the whole that the sums are. */
  readonly sums: string;
}

export function dividedIn(flow: Flow): Divided | Refusal {
  try {
    return divided(flow);
  } catch (error) {
    if (error instanceof Undivided) return { reason: error.message, origin: error.origin };
    throw error;
  }
}

export function isDivided(made: Divided | Refusal): made is Divided {
  return 'route' in made;
}

function divided(flow: Flow): Divided {
  const { values, domains } = flow;
  const places = domains.flatMap((domain, id) => (domain.kind === 'slot' ? [{ id, domain }] : []));
  const [place, ...others] = places;
  if (place === undefined) throw new Undivided('nothing in it is done for some tokens only', values[0].origin);
  if (others.length > 0) throw new Undivided('work is done under more than one choice', others[0].domain.origin);
  const cut = new Cut(flow, place.id, place.domain.groups);
  const taken = new Set([...flow.inputs, ...flow.outputs].map(({ name }) => name));
  const free = (stem: string, n = 1): string => {
    const name = n === 1 ? stem : `${stem}${n}`;
    if (taken.has(name)) return free(stem, n + 1);
    taken.add(name);
    return name;
  };
  const read = cut.rows.map((id) => {
    const value = values[id];
    return { id, given: value.kind === 'input', name: value.kind === 'input' ? flow.inputs[value.input].name : free('features') };
  });
  const [ids, scores, held, counts] = [free('ids'), free('scores'), free('held'), free('counts')];
  const late = dependents(flow, cut.root);
  const routed = extracted(flow, [
    ...flow.losses, ...flow.counts, ...flow.update.takes, ...flow.outputs.filter(({ value }) => !late.has(value)),
    ...[
      ...read.filter(({ given }) => !given).map(({ id }) => id), ...(cut.score === undefined ? [] : [cut.score]),
    ].map((value) => ({ value })),
    { value: place.domain.choice },
  ].map(({ value }) => value));
  const { origin } = place.domain;
  const results = <T extends FlowResult>(list: readonly T[]): readonly T[] => list.map((one) => ({ ...one, value: routed.to(one.value) }));
  const { b } = routed;
  const lifted = (id: ValueId): ValueId => b.add({ kind: 'lift', arg: routed.to(id) }, origin);
  const choice = routed.to(place.domain.choice);
  const slots = b.domain({ ...place.domain, choice });
  const one = b.add({ kind: 'gather', arg: literal(b, 1, origin), to: slots, by: 'row' }, origin);
  const route = made(flow, b, 'route', {
    outputs: [
      ...read.filter(({ given }) => !given).map(({ id, name }) => ({ name, axes: values[id].type.axes, value: lifted(id) })),
      ...(cut.score === undefined ? [] : [{ name: scores, axes: place.domain.groups, value: lifted(cut.score) }]),
      { name: held, axes: place.domain.groups, value: b.add({ kind: 'mask', choice }, origin) },
      ...results(flow.outputs.filter(({ value }) => !late.has(value))),
    ],
    losses: results(flow.losses),
    counts: [
      ...results(flow.counts),
      {
        name: counts, axes: place.domain.groups,
        value: b.add({ kind: 'fold', op: 'sum', arg: one, along: along([], ONCE, { kept: place.domain.groups }) }, origin),
      },
    ],
    update: { takes: results(flow.update.takes), results: [] },
  });
  const whole = flow.outputs.filter(({ value }) => late.has(value));
  const plain = whole.length === 1 && whole[0].value === cut.root ? whole[0] : undefined;
  const sums = plain?.name ?? free('sums');
  return {
    route, rows: read, scores: cut.score === undefined ? undefined : scores, held, ids, counts,
    groups: place.domain.groups, perToken: place.domain.perToken, sums, work: (local, columns) => cut.work(
      read, { ids, scores }, local, columns,
    ),
    combine: plain === undefined ? combined(flow, cut.root, whole, sums) : undefined,
  };
}

/** What is made of the sums, and whatever of the inputs that needs. */
function combined(flow: Flow, root: ValueId, whole: readonly FlowResult[], sums: string): Flow {
  const { b, to } = extracted(flow, whole.map(({ value }) => value), new Set([root]), (builder, id) => (
    id === root ? builder.input({ name: sums, domain: TOKEN, axes: flow.values[root].type.axes, of: undefined }, flow.values[root].origin)
      : undefined
  ));
  const again = b.values.find(({ kind, type }) => kind === 'draw' || b.domains[type.domain].kind === 'slot');
  if (again !== undefined) throw new Undivided('what is made of the sums reads draws, or what stands at slots', again.origin);
  return made(flow, b, 'combine', { outputs: whole.map((one) => ({ ...one, value: to(one.value) })) });
}

/** Flows that take the same: what one of them does not read has zeros as its gradient there. */
export function alike(flows: readonly Flow[]): readonly Flow[] {
  return flows.map((flow) => {
    const b = flowBuilder(flow);
    for (const { inputs, params, values } of flows) {
      for (const input of inputs) b.input(input, values[0].origin);
      for (const param of params) b.param(param, values[0].origin);
    }
    return { ...flow, inputs: b.inputs, params: b.params, values: b.values };
  });
}
