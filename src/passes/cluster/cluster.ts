import { ONCE, SEQUENCE, type DomainId, type Flow, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { needsOf, operandsOf, readsOf, resultsOf } from '../../ir/flow/operands.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Refused } from '../flow/flow.js';
import { verified } from '../../support/verified.js';
import { bytesOf } from './cost.js';
import type { Clusters, Kernel, KernelForm } from './kernel.js';
import { drafted, firstReader, fits, floating, inlined, put, reached, rowsDraft, type Draft, type Making } from './draft.js';
import { rolesOf } from './roles.js';
import { verifyKernels } from './verify.js';

/** Kernels of a Flow: products that read the same rows are one, arithmetic goes where its last operand is made. */
export function clustersOf(flow: Flow): Clusters | Refused {
  const seen = flow.values.find(({ type }) => flow.domains[type.domain].kind === 'pair');
  if (seen !== undefined) return { refusals: [{ reason: 'what sees the past', origin: seen.origin, form: 'past' }] };
  const { backward } = flow;
  return {
    forward: kernelsOf(flow, [...resultsOf(flow), ...backward?.kept ?? []], new Set()),
    backward: backward === undefined ? [] : kernelsOf(flow, backward.gradients.map(({ value }) => value), new Set(backward.kept)),
  };
}

function kernelsOf(flow: Flow, roots: readonly ValueId[], given: ReadonlySet<ValueId>): readonly Kernel[] {
  const needed = coneOf(flow, roots, given);
  const making: Making = {
    flow, roles: rolesOf(flow, needed, given), drafts: [], home: new Map(), ready: new Map(), tables: new Map(), stored: new Set(),
    open: new Map(), readers: readersOf(flow, needed),
  };
  for (const id of [...needed].sort((a, b) => a - b)) place(making, id);
  for (const id of roots) if (!given.has(id)) store(making, id, true);
  settle(making);
  for (const draft of making.drafts) for (const id of [...draft.values].sort((a, b) => a - b)) loadsOf(making, draft, id);
  const kernels = [...making.drafts].sort((a, b) => a.level - b.level).map((draft): Kernel => {
    const { form, level, rows, axes, anchors } = draft;
    const values = [...draft.values].sort((a, b) => a - b);
    const stores = values.filter((id) => making.stored.has(id) && making.home.get(id) === draft);
    const loads = [...draft.loads].sort((a, b) => a - b);
    return { form, level, rows, axes, anchors, values, stores, loads };
  });
  return verified(`the kernels of ${flow.name}`, kernels, verifyKernels(flow, kernels, { roots, given }));
}

function readersOf({ values }: Flow, needed: ReadonlySet<ValueId>): ReadonlyMap<ValueId, readonly ValueId[]> {
  const readers = new Map<ValueId, ValueId[]>();
  for (const id of needed) for (const arg of readsOf(values[id], values)) {
    const known = readers.get(arg);
    if (known === undefined) readers.set(arg, [id]);
    else known.push(id);
  }
  return readers;
}

/** What some values need, and the choices of their slots. */
function coneOf({ values, domains }: Flow, roots: readonly ValueId[], given: ReadonlySet<ValueId>): Set<ValueId> {
  const needed = new Set<ValueId>();
  const open = [...roots];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    const value = values[id];
    const domain = domains[value.type.domain];
    if (domain.kind === 'slot') open.push(domain.choice);
    if (!given.has(id)) open.push(...operandsOf(value), ...value.type.where);
  }
  return needed;
}

function place(making: Making, id: ValueId): void {
  const { flow, roles } = making;
  const value = flow.values[id];
  const { domain } = value.type;
  const reads = operandsOf(value);
  const after = Math.max(
    1, tablesReady(making, domain, id), ...needsOf(value, flow.domains).map((arg) => making.ready.get(arg) ?? 1)
  );
  const anchor = (form: KernelForm, rows: DomainId, axes: readonly Axis[], key: string): void => {
    const from = Math.max(after, ...rawReads(making, value).map((arg) => store(making, arg)));
    put(making, drafted(making, form, from, rows, axes, key), id, true);
  };
  switch (roles.get(id) ?? 'leaf') {
    case 'leaf': case 'part': making.ready.set(id, roles.get(id) === 'part' ? after : 1); return;
    case 'view': making.ready.set(id, Math.max(after, ...reads.map((arg) => store(making, arg)))); return;
    case 'seats': {
      const slots = Math.max(domain, ...reads.map((arg) => flow.values[arg].type.domain));
      const tables = making.tables.get(slots);
      // Numbers of slots are counts: they are there with the lists.
      const level = value.kind === 'fold' ? tables?.level ?? after : Math.max(after, ...reads.map((arg) => store(making, arg)));
      put(making, tables?.level === level ? tables : drafted(making, 'tables', level, slots, [], `seats ${slots}`), id, true);
      return;
    }
    case 'product': anchor('product', domain, value.type.axes, productKey(flow, value)); return;
    case 'groups': anchor('groups', rowsOf(flow, value), value.type.axes, productKey(flow, value)); return;
    case 'collect': anchor('collect', domain, value.type.axes, 'collect'); return;
    case 'sums': anchor('sums', rowsOf(flow, value), value.type.axes, `sums ${domain}`); return;
    case 'light': light(making, id, after); return;
  }
}

/** Products of one kernel have the same columns, and read the same rows or add up. */
function productKey(flow: Flow, value: FlowValue): string {
  const columns = value.type.axes.map(({ name }) => name).sort().join();
  if (value.kind !== 'contract') return `adds ${columns} ${operandsOf(value).join()}`;
  return `${columns.length > 0 ? '' : 'number'}${rowOperand(flow, value)} ${value.along.to === ONCE ? columns : columns.length}`;
}

/** The operand that products share: rows with rows share the right one, rows with weights the one that is no weight. */
function rowOperand({ values }: Flow, { left, right }: Extract<FlowValue, { kind: 'contract' }>): ValueId {
  const weight = (id: ValueId): boolean => {
    const value = values[id];
    return value.type.domain === ONCE || (value.kind === 'gather' && values[value.arg].type.domain === ONCE);
  };
  const plain = (id: ValueId): boolean => {
    const value = values[id];
    return value.kind === 'input' || (value.kind === 'gather' && values[value.arg].kind === 'input');
  };
  if (weight(right) || plain(left)) return left;
  return weight(left) || plain(right) ? right : left;
}

function rowsOf({ values }: Flow, value: FlowValue): DomainId {
  const parts = value.kind === 'map' ? value.args.flatMap((arg) => operandsOf(values[arg])) : operandsOf(value);
  return Math.max(...parts.map((arg) => values[arg].type.domain));
}

/** Operands of products are read from memory as they are; those of parts too. */
function rawReads({ flow, roles }: Making, value: FlowValue): readonly ValueId[] {
  const reads = operandsOf(value);
  return reads.flatMap((arg) => (roles.get(arg) === 'part' ? operandsOf(flow.values[arg]) : [arg]));
}

/** When the lists of the slots that a value stands on, or goes from, are there. */
function tablesReady(making: Making, domain: DomainId, id: ValueId): number {
  const { flow } = making;
  const value = flow.values[id];
  const role = making.roles.get(id) ?? 'leaf';
  const seat = role === 'seats';
  // What is there already goes from nowhere.
  const from = role === 'leaf' ? [] : operandsOf(value);
  const all = new Set([domain, ...from.map((arg) => flow.values[arg].type.domain)]);
  return Math.max(0, ...[...all].map((at) => {
    const one = flow.domains[at];
    if (one.kind !== 'slot') return 0;
    const known = making.tables.get(at) ?? drafted(making, 'tables', store(making, one.choice), at, [], `tables ${at}`);
    making.tables.set(at, known);
    known.loads.add(one.choice);
    return known.level + (seat ? 0 : 1);
  }));
}

/**
 * Arithmetic goes to the kernel of its last operand, if that has all that it needs; else single elements are computed wherever they are
 * read, and folds get a kernel of rows.
 */
function light(making: Making, id: ValueId, after: number): void {
  const { flow, home, drafts } = making;
  const value = flow.values[id];
  const { type } = value;
  const reads = operandsOf(value);
  const homes = reads.flatMap((arg) => home.get(arg) ?? []);
  if (homes.length === 0) {
    making.ready.set(id, after);
    return;
  }
  const last = homes.reduce((a, b) => (b.level > a.level || (b.level === a.level && drafts.indexOf(b) > drafts.indexOf(a)) ? b : a));
  const others = reads.filter((arg) => home.get(arg) !== last);
  const there = Math.max(0, ...others.map((arg) => {
    if (home.get(arg)?.level === last.level) return last.level;
    return home.has(arg) || inlined(making, last, arg) ? making.ready.get(arg) ?? 1 : store(making, arg);
  }));
  if (there <= last.level && fits(making, last, id)) {
    put(making, last, id, false);
    return;
  }
  const level = Math.max(last.level + 1, there, ...reads.map((arg) => (home.has(arg) ? store(making, arg) : 1)));
  if ('along' in value || type.domain === ONCE || type.domain === SEQUENCE) put(making, rowsDraft(making, id, level), id, false);
  else making.ready.set(id, level);
}

/** Has a value written by its kernel, and says when it can be read. */
function store(making: Making, id: ValueId, result = false): number {
  const { flow, roles, home, stored, ready } = making;
  const role = roles.get(id);
  if (role === 'leaf' || role === 'view' || role === undefined) return ready.get(id) ?? 1;
  if (role === 'part') return ready.get(id) ?? 1;
  if (!home.has(id)) {
    const from = ready.get(id) ?? 1;
    if (!result && flow.values[id].type.domain === ONCE && literalOnly(making, id)) return from;
    const free = freeFor(making, id, from);
    if (free === undefined) {
      making.open.set(id, from);
      return from + 1;
    }
    put(making, free, id, false);
  }
  stored.add(id);
  return ready.get(id) ?? 1;
}

/** The first kernel of products that has all that a value is made of already. */
function freeFor(making: Making, id: ValueId, from: number): Draft | undefined {
  const leaves = floating(making, id);
  const { domain } = making.flow.values[id].type;
  const takes = ({ form, level, rows }: Draft): boolean => form === 'product' && level >= from && rows === domain;
  return making.drafts.find((draft) => leaves.length > 0 && takes(draft) && inlined(making, draft, id)
    && leaves.every((leaf) => reached(making, draft, leaf)));
}

/** What is read from memory and has no kernel goes to the one of its level that has to load the least for it, or to one of its own. */
function settle(making: Making): void {
  const { flow, drafts, home, stored } = making;
  for (const [id, level] of [...making.open].sort(([a], [b]) => a - b)) {
    const { type } = flow.values[id];
    const leaves = floating(making, id);
    const price = (draft: Draft): number => {
      return leaves.filter((leaf) => !reached(making, draft, leaf)).reduce((sum, leaf) => sum + bytesOf(flow, leaf), 0);
    };
    const before = firstReader(making, id);
    const takes = drafts.filter((draft) => draft.level >= level && draft.level < before && draft.rows === type.domain
      && inlined(making, draft, id));
    const whole = leaves.reduce((sum, leaf) => sum + bytesOf(flow, leaf), 0);
    const [best] = takes.filter((draft) => price(draft) < whole).sort((a, b) => price(a) - price(b));
    const draft = best ?? rowsDraft(making, id, level);
    draft.values.add(id);
    home.set(id, draft);
    stored.add(id);
  }
}

/** Is it a weight in another form, of params and numbers alone? Whoever reads it makes it. */
function literalOnly({ flow }: Making, id: ValueId): boolean {
  const value = flow.values[id];
  if (value.kind === 'f32' || value.kind === 'stop' || value.kind === 'restrict') return value.kind !== 'restrict';
  return value.type.axes.length === 0 || value.kind === 'literal';
}

/** Adds to a kernel what a value of it reads from memory; what has no kernel is computed here. */
function loadsOf(making: Making, draft: Draft, id: ValueId): void {
  const { flow, roles, home, drafts } = making;
  for (const arg of readsOf(flow.values[id], flow.values)) {
    const own = home.get(arg);
    const role = roles.get(arg);
    if (draft.values.has(arg)) continue;
    if (own !== undefined && (own.level < draft.level || (own.level === draft.level && drafts.indexOf(own) < drafts.indexOf(draft)))) {
      making.stored.add(arg);
      draft.loads.add(arg);
    } else if (role === 'leaf') {
      const { kind } = flow.values[arg];
      if (
        kind === 'input' || kind === 'param' || making.roles.get(arg) === 'leaf' && !['literal', 'count', 'index', 'draw'].includes(kind)
      ) draft.loads.add(arg);
    } else if (role === 'view') loadsOf(making, draft, arg);
    else {
      draft.values.add(arg);
      loadsOf(making, draft, arg);
    }
  }
}

