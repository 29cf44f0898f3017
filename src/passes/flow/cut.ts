import { along, gather, literal, restrict, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type DomainId, type Flow, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf } from '../../ir/flow/operands.js';
import { includes, without } from '../../ir/graph/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import { dependents, extracted, made, Undivided } from './extract.js';

/** Where a Flow is cut: at what slots read of tokens, and at the sum that tokens have of slots. */
export class Cut {
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
    const given = roots.filter((id) => !counted.has(id));
    const [root, other] = given;
    const strange = given.find((id) => !isSum(values[id]));
    if (root === undefined) throw new Undivided('tokens have no sum of what is done for them', values[0].origin);
    if (strange !== undefined) throw new Undivided(
      'tokens have something else of what is done for them than its sum', values[strange].origin,
    );
    if (other !== undefined) throw new Undivided('what is done is summed more than once', values[other].origin);
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
    const rest = (id: ValueId): readonly Axis[] => without(values[id].type.axes, groups);
    for (const id of sources) {
      const { type, origin: at } = values[id];
      if (type.domain !== TOKEN || type.kind !== 'number') throw new Undivided('what is done reads more of its token than numbers', at);
      const some = type.axes.length - rest(id).length;
      if (some > 0 && (some < groups.length || rest(id).length > 0)) throw new Undivided(
        'a weight is more than a number for each index', at,
      );
    }
    const scores = sources.filter((id) => values[id].type.axes.length > rest(id).length);
    if (scores.length > 1) throw new Undivided('more than one number weighs what is done', values[scores[1]].origin);
    [this.score] = scores;
    this.rows = sources.filter((id) => id !== this.score);
    const cut = new Set(this.gathers);
    for (const id of needed) if (!cut.has(id)) this.check(values[id], domains);
    const own = (id: ValueId): boolean => values[id].kind === 'param' && values[id].type.axes.some((axis) => includes(groups, axis));
    if (!needed.some(own)) throw new Undivided('what is done has no weights of each index', values[root].origin);
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
    if (
      'along' in value && type.domain === ONCE
      && operandsOf(value).some((arg) => domains[this.flow.values[arg].type.domain].kind !== 'once')
    ) {
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
    rows: readonly { readonly id: ValueId; readonly name: string }[],
    { ids: idsName, scores }: { readonly ids: string; readonly scores: string }, local: number, columns: number | undefined,
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
      const count = b.add(
        { kind: 'fold', op: 'sum', arg: b.add({ kind: 'mask', choice: same }, origin), along: along(column, TOKEN) }, origin,
      );
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

/** Of slots, to their tokens. */
function isSum(value: FlowValue): boolean {
  return (
    (value.kind === 'fold' && value.op === 'sum') || value.kind === 'contract'
  ) && value.along.to === TOKEN && value.along.kept.length === 0;
}
