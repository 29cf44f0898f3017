import { ONCE, SEQUENCE, TOKEN, type DomainId, type Flow, type FlowResult, type ValueId } from '../../ir/flow/flow.js';
import { readsOf } from '../../ir/flow/operands.js';
import { makeTokens } from '../graph/tokens.js';
import { computeValue } from './compute.js';
import { pairRows, plainRows, slotRows, type Rows } from './rows.js';
import { presence, spread, type FlowCall, type FlowTensors, type Run } from './run.js';

export type { FlowCall } from './run.js';

/** Values, and the rows of domains. */
export interface There {
  readonly values: ReadonlyMap<ValueId, Float64Array>;
  readonly rows: ReadonlyMap<DomainId, Rows>;
}

export interface FlowOutcome {
  readonly outputs: FlowTensors;
  readonly losses: ReadonlyMap<string, number>;
  readonly counts: FlowTensors;
  readonly kept: ReadonlyMap<ValueId, Float64Array>;
  /** What the update after the step takes of this call. */
  readonly takes: FlowTensors;
}

/** Outputs, losses, counts, and what backward takes. */
export function forward(flow: Flow, call: FlowCall): FlowOutcome {
  const run = openRun(flow, call, NOTHING);
  const { backward } = flow;
  const results = [...flow.outputs, ...flow.losses, ...flow.counts, ...flow.update.takes];
  compute(run, [...results.map(({ value }) => value), ...(backward?.kept ?? [])]);
  return {
    outputs: new Map(flow.outputs.map((one) => [one.name, resultData(run, one)])),
    losses: added(flow.losses, (one) => resultData(run, one), (a, b) => a.map((x, i) => x + b[i]), (data) => data[0]),
    counts: added(flow.counts, (one) => resultData(run, one), (a, b) => a.map((x, i) => x + b[i]), (data) => data),
    takes: new Map(flow.update.takes.map((one) => [one.name, resultData(run, one)])),
    kept: new Map((backward?.kept ?? []).map((id) => [id, run.data(id)])),
  };
}

/** Gradients by name, from what `forward` kept and nothing else that it made. */
export function backward(flow: Flow, call: FlowCall, kept: FlowOutcome['kept']): FlowTensors {
  const run = openRun(flow, call, { ...NOTHING, values: kept });
  const gradients = flow.backward?.gradients ?? [];
  compute(run, gradients.map(({ value }) => value));
  return new Map(gradients.map((one) => [one.name, resultData(run, one)]));
}

/** Some values and the rows of some domains, from those that are there. */
export function valuesOf(flow: Flow, call: FlowCall, there: There, wanted: readonly ValueId[], domains: readonly DomainId[]): There {
  const run = openRun(flow, call, there);
  const choices = domains.flatMap((id) => {
    const domain = flow.domains[id];
    return domain.kind === 'slot' ? [domain.choice] : [];
  });
  compute(run, [...wanted, ...choices]);
  return { values: new Map(wanted.map((id) => [id, run.data(id)])), rows: new Map(domains.map((id) => [id, run.rowsOf(id)])) };
}

/** New values of buffers by path, after the calls of one step. */
export function update(flow: Flow, calls: readonly Pick<FlowOutcome, 'takes'>[], params: FlowTensors): FlowTensors {
  const inputs = new Map(flow.update.takes.map(({ name, over }) => {
    const all = calls.map(({ takes }) => takes.get(name) ?? new Float64Array(0));
    return [name, over === 'last' ? all[all.length - 1] : all.reduce((a, b) => a.map((x, i) => x + b[i]))];
  }));
  const run = openRun(flow, { params, inputs, lengths: [] }, NOTHING);
  compute(run, flow.update.results.map(({ value }) => value));
  return new Map(flow.update.results.map((one) => [one.name, resultData(run, one)]));
}

function added<T>(
  results: readonly FlowResult[], of: (one: FlowResult) => Float64Array, add: (a: Float64Array, b: Float64Array) => Float64Array,
  out: (data: Float64Array) => T,
): Map<string, T> {
  const all = new Map<string, Float64Array>();
  for (const one of results) {
    const before = all.get(one.name);
    all.set(one.name, before === undefined ? of(one) : add(before, of(one)));
  }
  return new Map([...all].map(([name, data]) => [name, out(data)]));
}

const NOTHING: There = { values: new Map(), rows: new Map() };

function openRun(flow: Flow, call: FlowCall, there: There): Run {
  const numbers = (of: (sequence: number, i: number) => number): Uint32Array => {
    return Uint32Array.from(call.lengths.flatMap((length, n) => Array.from({ length }, (_, i) => of(n, i))));
  };
  const tokens = makeTokens({
    lengths: call.lengths, seen: new Int32Array(call.lengths.length), position: call.positions,
    keys: { sequence: numbers((n) => call.ids?.[n] ?? n), position: numbers((_, i) => i), lane: numbers(() => 0) },
  });
  const values = new Map(there.values);
  const rows = new Map<DomainId, Rows>([...there.rows, [ONCE, plainRows(1)], [SEQUENCE, plainRows(tokens.sequences)],
    [TOKEN, plainRows(tokens.rows)]]);
  const run: Run = {
    flow, call, tokens, values, rows,
    type: (id) => flow.values[id].type,
    data(id) {
      const data = values.get(id);
      if (data === undefined) throw new Error(`${flow.name}: value ${id} is not there`);
      return data;
    },
    rowsOf(id) {
      const known = rows.get(id);
      if (known !== undefined) return known;
      const domain = flow.domains[id];
      const made = domain.kind === 'pair' ? pairRows(tokens, domain.window) : domain.kind === 'slot'
        ? slotRows(domain.groups, run.data(domain.choice), run.type(domain.choice).axes, tokens.rows) : plainRows(0);
      rows.set(id, made);
      return made;
    },
  };
  return run;
}

/** What some values need, in order. What is there, or whose domain has its tables, needs nothing. */
function compute(run: Run, roots: readonly ValueId[]): void {
  const { flow, values, rows } = run;
  const needed = new Set<ValueId>();
  const open = [...roots];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id) || values.has(id)) continue;
    needed.add(id);
    const value = flow.values[id];
    const domain = flow.domains[value.type.domain];
    const known = domain.kind === 'slot' && rows.has(value.type.domain);
    open.push(...readsOf(value, flow.values), ...(run.call.poison === true ? value.type.where : []));
    if (domain.kind === 'slot' && !known) open.push(domain.choice);
  }
  for (const id of [...needed].sort((a, b) => a - b)) {
    const data = computeValue(run, id);
    values.set(id, data);
    if (run.call.poison !== true) continue;
    const { domain, axes, where } = run.type(id);
    const there = presence(run, where, domain, axes);
    if (there !== undefined) values.set(id, data.map((x, i) => (there[i] === 0 ? NaN : x)));
  }
}

function resultData(run: Run, { axes, value }: FlowResult): Float64Array {
  return spread(run, value, run.type(value).domain, axes);
}
