import type { Span } from '../../ir/common/span.js';
import { along, flowBuilder, gather, literal, restrict, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type DomainId, type Flow, type FlowResult, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { movedBody, needsOf, operandsOf } from '../../ir/flow/operands.js';
import { verifyFlow } from '../../ir/flow/verify.js';
import { includes, without } from '../../ir/graph/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import { verified } from '../../support/verified.js';
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

/** Never leaves this file. */
class Undivided extends Error {
  constructor(reason: string, readonly origin: Span) {
    super(reason);
  }
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
    ...[...read.filter(({ given }) => !given).map(({ id }) => id), ...(cut.score === undefined ? [] : [cut.score])].map((value) => ({ value })),
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
    groups: place.domain.groups, perToken: place.domain.perToken, sums, work: (local, columns) => cut.work(read, { ids, scores }, local, columns),
    combine: plain === undefined ? combined(flow, cut.root, whole, sums) : undefined,
  };
}

type Results = Pick<Flow, 'outputs' | 'losses' | 'counts' | 'update'>;

function made({ name, training }: Flow, b: FlowBuilder, part: string, results: Partial<Results>): Flow {
  const flow: Flow = {
    name: `${name}_${part}`, training, domains: b.domains, inputs: b.inputs, params: b.params, scans: b.scans, values: b.values, outputs: [],
    losses: [], counts: [], checks: [], update: { takes: [], results: [] }, backward: undefined, ...results,
  };
  return verified(`${part} of ${name}`, flow, verifyFlow(flow));
}

/** All that reads a value. */
function dependents({ values, domains }: Flow, root: ValueId): ReadonlySet<ValueId> {
  const found = new Set([root]);
  values.forEach((value, id) => {
    if (needsOf(value, domains).some((arg) => found.has(arg))) found.add(id);
  });
  return found;
}

type Instead = (b: FlowBuilder, id: ValueId, to: (id: ValueId) => ValueId) => ValueId | undefined;

interface Extracted {
  readonly b: FlowBuilder;
  readonly to: (id: ValueId) => ValueId;
}

/** Some values and what they need, as a Flow of their own. `cut`: what is made by `instead`, whatever it needs. */
function extracted(
  { values, domains, inputs, params, scans }: Flow, roots: readonly ValueId[], cut: ReadonlySet<ValueId> = new Set(),
  instead: Instead = () => undefined, domain?: (b: FlowBuilder, to: (id: ValueId) => ValueId) => DomainId,
): Extracted {
  const needed = new Set<ValueId>();
  const open = [...roots];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    if (!cut.has(id)) open.push(...needsOf(values[id], domains));
  }
  const b = flowBuilder();
  const places = new Map<ValueId, ValueId>();
  const to = (id: ValueId): ValueId => places.get(id) ?? -1;
  const domainAt = (id: DomainId): DomainId => {
    const one = domains[id];
    return one.kind !== 'slot' ? b.domain(one) : domain?.(b, to) ?? b.domain({ ...one, choice: to(one.choice) });
  };
  for (const id of [...needed].sort((x, y) => x - y)) {
    const value = values[id];
    const own = (): ValueId => {
      if (value.kind === 'input') return b.input(inputs[value.input], value.origin);
      if (value.kind === 'param') return b.param(params[value.param], value.origin);
      if (value.kind === 'scan' || value.kind === 'unscan') b.scan(scans[value.scan]);
      return b.add(movedBody(value, to, domainAt), value.origin);
    };
    places.set(id, instead(b, id, to) ?? own());
  }
  return { b, to };
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

/** Where a Flow is cut: at what slots read of tokens, and at the sum that tokens have of slots. */
class Cut {
  readonly root: ValueId;
  /** What slots read of their token. */
  readonly rows: readonly ValueId[];
  /** What they read of it for their index. */
  readonly score: ValueId | undefined;
  private readonly gathers: readonly ValueId[];

  constructor(private readonly flow: Flow, private readonly slots: DomainId, private readonly groups: readonly Axis[]) {
    const { values, domains } = flow;
    const roots = values.flatMap((value, id) => (this.leaves(value) ? [id] : []));
    const counted = new Set(flow.counts.map(({ value }) => value));
    const [root, other] = roots.filter((id) => !counted.has(id));
    if (root === undefined) throw new Undivided('tokens have no sum of what is done for them', values[0].origin);
    if (other !== undefined) throw new Undivided('what is done is summed more than once', values[other].origin);
    const { along: sum, origin } = summing(values[root]);
    if (sum === undefined || sum.to !== TOKEN || sum.kept.length > 0) {
      throw new Undivided('tokens have something else of what is done for them than its sum', origin);
    }
    this.root = root;
    const { losses, update } = flow;
    const late = dependents(flow, root);
    const reads = [...losses, ...flow.counts, ...update.takes, ...update.results].find(({ value }) => late.has(value));
    if (reads !== undefined) throw new Undivided('a loss or an update reads the sum of what is done', values[reads.value].origin);
    const needed = this.below(root);
    this.gathers = needed.filter((id) => {
      const value = values[id];
      return value.kind === 'gather' && value.type.domain === slots && values[value.arg].type.domain !== ONCE;
    });
    const sources = this.gathers.map((id) => operandsOf(values[id])[0]);
    const own = (id: ValueId): readonly Axis[] => without(values[id].type.axes, groups);
    for (const id of sources) {
      const { type, origin: at } = values[id];
      if (type.domain !== TOKEN || type.kind !== 'number') throw new Undivided('what is done reads more of its token than numbers', at);
      const some = type.axes.length - own(id).length;
      if (some > 0 && (some < groups.length || own(id).length > 0)) throw new Undivided('a weight is more than a number for each index', at);
    }
    const scores = sources.filter((id) => values[id].type.axes.length > own(id).length);
    if (scores.length > 1) throw new Undivided('more than one number weighs what is done', values[scores[1]].origin);
    [this.score] = scores;
    this.rows = sources.filter((id) => id !== this.score);
    const cut = new Set(this.gathers);
    for (const id of needed) if (!cut.has(id)) this.check(values[id], domains);
  }

  /** Does it take something from slots elsewhere? */
  private leaves(value: FlowValue): boolean {
    const { values } = this.flow;
    return value.type.domain !== this.slots && operandsOf(value).some((arg) => values[arg].type.domain === this.slots);
  }

  /** What a value needs down to what slots read of tokens. */
  private below(root: ValueId): readonly ValueId[] {
    const { values } = this.flow;
    const found = new Set<ValueId>();
    const open = [root];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (found.has(id)) continue;
      found.add(id);
      const value = values[id];
      if (value.kind === 'gather' && value.type.domain === this.slots && values[value.arg].type.domain !== ONCE) continue;
      open.push(...operandsOf(value));
    }
    return [...found].sort((x, y) => x - y);
  }

  private check(value: FlowValue, domains: Flow['domains']): void {
    const { origin, type } = value;
    const no = (reason: string): never => {
      throw new Undivided(reason, origin);
    };
    if (type.domain !== ONCE && type.domain !== this.slots && !this.leaves(value)) no('what is done reads other tokens');
    if (value.kind === 'draw') no('what is done draws numbers, by the place of its token');
    if (value.kind === 'count' || (value.kind === 'index' && value.over !== undefined)) no('what is done counts tokens');
    if (value.kind === 'taps' || value.kind === 'scan') no('what is done reads other tokens');
    if ('along' in value && type.domain === ONCE && operandsOf(value).some((arg) => domains[this.flow.values[arg].type.domain].kind !== 'once')) {
      no('what is done reads other tokens');
    }
    if (type.domain === ONCE && type.axes.some((axis) => includes(this.groups, axis)) && !this.resizes(value)) {
      no('what is done reads what is made of the weights of all indices');
    }
  }

  /** Is it of each index, whatever others there are? */
  private resizes(value: FlowValue): boolean {
    const all = this.groups.every((axis) => includes(value.type.axes, axis));
    return all && (value.kind === 'param' || value.kind === 'map' || value.kind === 'f32' || value.kind === 'stop');
  }

  /** The work for so many indices. */
  work(
    rows: readonly { readonly id: ValueId; readonly name: string }[], { ids: idsName, scores }: { readonly ids: string; readonly scores: string },
    local: number, columns: number | undefined,
  ): Flow {
    const { flow, groups } = this;
    const { values, params, domains } = flow;
    const { origin } = values[this.root];
    const axis: Axis = { name: groups.map(({ name }) => name).join('_'), size: local, past: false };
    const column: readonly Axis[] = columns === undefined ? [] : [{ name: idsName, size: columns, past: false }];
    const names = new Map(rows.map(({ id, name }) => [id, name]));
    const cut = new Set(this.gathers);
    const slot = domains[this.slots];
    if (slot.kind !== 'slot') throw new Error(`${flow.name}: domain ${this.slots} has no slots`);
    const chosen = (b: FlowBuilder): { readonly same: ValueId; readonly choice: ValueId } => {
      const ids = b.input({ name: idsName, domain: TOKEN, axes: column, of: axis }, origin);
      const numbers = b.add({ kind: 'index', axes: [axis], over: undefined, domain: ONCE }, origin);
      const same = b.add({ kind: 'compare', op: '==', left: ids, right: numbers }, origin);
      if (columns === undefined) return { same, choice: same };
      const count = b.add({ kind: 'fold', op: 'sum', arg: b.add({ kind: 'mask', choice: same }, origin), along: along(column, TOKEN) }, origin);
      return { same, choice: b.add({ kind: 'compare', op: '>', left: count, right: literal(b, 0, origin) }, origin) };
    };
    const perToken = Math.min(columns ?? 1, local);
    const slotsOf = (b: FlowBuilder): DomainId => (
      b.domain({ kind: 'slot', choice: chosen(b).choice, groups: [axis], perToken, origin: slot.origin })
    );
    const score = (b: FlowBuilder): ValueId => {
      const given = b.input({ name: scores, domain: TOKEN, axes: column, of: undefined }, origin);
      if (columns === undefined) return given;
      // What stands beside another index may be anything.
      return b.add({ kind: 'fold', op: 'sum', arg: restrict(b, given, chosen(b).same, origin), along: along(column, TOKEN) }, origin);
    };
    const resized = (axes: readonly Axis[]): readonly Axis[] => (
      axes.flatMap((one) => (one.name === groups[0].name ? [axis] : includes(groups, one) ? [] : [one]))
    );
    const { b, to } = extracted(flow, [this.root], new Set([...cut, slot.choice]), (builder, id) => {
      const value = values[id];
      if (id === slot.choice) return chosen(builder).choice;
      if (value.kind === 'param') {
        const param = params[value.param];
        return builder.param({ ...param, axes: resized(param.axes) }, value.origin);
      }
      if (value.kind !== 'gather' || !cut.has(id)) return undefined;
      const made = value.arg === this.score ? score(builder) : builder.input({
        name: names.get(value.arg) ?? '', domain: TOKEN, axes: values[value.arg].type.axes, of: undefined,
      }, value.origin);
      return gather(builder, made, slotsOf(builder), value.origin);
    }, slotsOf);
    const { axes } = values[this.root].type;
    return made(flow, b, 'experts', { outputs: [{ name: 'y', axes, value: to(this.root) }] });
  }
}

function summing(value: FlowValue): { readonly along: Extract<FlowValue, { kind: 'fold' }>['along'] | undefined; readonly origin: Span } {
  const sums = (value.kind === 'fold' && value.op === 'sum') || value.kind === 'contract';
  return { along: sums ? value.along : undefined, origin: value.origin };
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
