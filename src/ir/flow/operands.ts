import type { Domain, DomainId, Flow, FlowBody, FlowValue, ValueId } from './flow.js';

/** The values that a value reads, in order; what says where it is present is in its type. */
export function operandsOf(body: FlowBody): readonly ValueId[] {
  switch (body.kind) {
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'draw': return [];
    case 'map': case 'logic': case 'scan': return body.args;
    case 'unscan': return [...body.args, body.cotangent];
    case 'contract': case 'compare': return [body.left, body.right];
    case 'softmax': return body.sink === undefined ? [body.arg] : [body.arg, body.sink];
    case 'top': return [body.arg, body.count];
    case 'restrict': return [body.arg, body.choice];
    case 'mask': return [body.choice];
    case 'pick': case 'place': return [body.arg, body.index];
    case 'rope': return [body.arg, body.frequency];
    case 'fold': case 'first': case 'others': case 'gather': case 'lift': case 'stop': case 'f32': case 'taps': case 'untap':
    case 'rounded': case 'sinkhorn': return [body.arg];
  }
}

/** The same, and choices that it asks where what it reads is present. */
export function readsOf(value: FlowBody, values: readonly FlowValue[]): readonly ValueId[] {
  const reads = operandsOf(value);
  switch (value.kind) {
    case 'contract': case 'fold': case 'softmax': case 'top': case 'first': case 'others': case 'lift': case 'mask': case 'logic':
    case 'sinkhorn': return [...new Set([...reads, ...choicesOf(reads, values)])];
    default: return reads;
  }
}

/** Choices under which values stand, and those under which these do. */
function choicesOf(ids: readonly ValueId[], values: readonly FlowValue[]): readonly ValueId[] {
  const own = ids.flatMap((id) => values[id].type.where);
  return own.length === 0 ? own : [...own, ...choicesOf(own, values)];
}

/** All that must be known before a value can be computed: choices of its domain and of its presence too. */
export function needsOf(value: FlowValue, domains: readonly Domain[]): readonly ValueId[] {
  const domain = domains[value.type.domain];
  return [...operandsOf(value), ...value.type.where, ...(domain.kind === 'slot' ? [domain.choice] : [])];
}

/** Some values and all that must be known before them, in order; nothing that a value of `cut` needs. */
export function allNeeded(
  { values, domains }: Pick<Flow, 'values' | 'domains'>, roots: readonly ValueId[], cut: ReadonlySet<ValueId> = new Set(),
): readonly ValueId[] {
  const needed = new Set<ValueId>();
  const open = [...roots];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    if (!cut.has(id)) open.push(...needsOf(values[id], domains));
  }
  return [...needed].sort((a, b) => a - b);
}

/** The body of a value with what it reads, and domains, in other places. */
export function movedBody(
  { type: _, origin: __, ...body }: FlowValue, to: (id: ValueId) => ValueId, domain: (id: DomainId) => DomainId,
): FlowBody {
  const moved = readsMoved(body, to);
  if ('along' in moved) return { ...moved, along: { ...moved.along, to: domain(moved.along.to) } };
  switch (moved.kind) {
    case 'gather': return { ...moved, to: domain(moved.to) };
    case 'draw': case 'index': case 'scan': return { ...moved, domain: domain(moved.domain) };
    case 'unscan': return { ...moved, domain: domain(moved.domain), to: domain(moved.to) };
    default: return moved;
  }
}

function readsMoved(body: FlowBody, to: (id: ValueId) => ValueId): FlowBody {
  switch (body.kind) {
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'draw': return body;
    case 'map': case 'logic': case 'scan': return { ...body, args: body.args.map(to) };
    case 'unscan': return { ...body, args: body.args.map(to), cotangent: to(body.cotangent) };
    case 'contract': case 'compare': return { ...body, left: to(body.left), right: to(body.right) };
    case 'softmax': return { ...body, arg: to(body.arg), sink: body.sink === undefined ? undefined : to(body.sink) };
    case 'top': return { ...body, arg: to(body.arg), count: to(body.count) };
    case 'restrict': return { ...body, arg: to(body.arg), choice: to(body.choice) };
    case 'mask': return { ...body, choice: to(body.choice) };
    case 'pick': case 'place': return { ...body, arg: to(body.arg), index: to(body.index) };
    case 'rope': return { ...body, arg: to(body.arg), frequency: to(body.frequency) };
    case 'fold': case 'first': case 'others': case 'gather': case 'lift': case 'stop': case 'f32': case 'taps': case 'untap':
    case 'rounded': case 'sinkhorn': return { ...body, arg: to(body.arg) };
  }
}

/** What a call forward gives. */
export function resultsOf(flow: Pick<Flow, 'outputs' | 'losses' | 'counts' | 'checks' | 'update'>): readonly ValueId[] {
  return [...flow.outputs, ...flow.losses, ...flow.counts, ...flow.checks, ...flow.update.takes].map(({ value }) => value);
}
