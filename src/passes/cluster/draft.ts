import { ONCE, SEQUENCE, type DomainId, type Flow, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf, readsOf } from '../../ir/flow/operands.js';
import type { Axis } from '../../ir/graph/types.js';
import { elements, includes, union } from '../../ir/graph/typing.js';
import type { KernelForm } from './kernel.js';
import type { Role } from './roles.js';

/** Columns that a block of a product may have: what folds them must have all of them in one. */
const BLOCK = 256;

export interface Draft {
  readonly form: KernelForm;
  readonly level: number;
  readonly rows: DomainId;
  axes: readonly Axis[];
  readonly key: string;
  readonly anchors: ValueId[];
  readonly values: Set<ValueId>;
  /** Sums over its columns, which are not whole before the next kernel. */
  readonly partial: Set<ValueId>;
  readonly loads: Set<ValueId>;
  /** What it reads, as far as that is known: of its first `of` values. */
  readonly reach: { of: number; readonly ids: Set<ValueId> };
}

export interface Making {
  readonly flow: Flow;
  readonly roles: ReadonlyMap<ValueId, Role>;
  readonly drafts: Draft[];
  readonly home: Map<ValueId, Draft>;
  /** The lowest level of a kernel that may read a value. */
  readonly ready: Map<ValueId, number>;
  readonly tables: Map<DomainId, Draft>;
  readonly readers: ReadonlyMap<ValueId, readonly ValueId[]>;
  readonly stored: Set<ValueId>;
  /** Values that are read from memory, but have no kernel yet: by when they can be there. */
  readonly open: Map<ValueId, number>;
}

export function fits({ flow }: Making, { form, rows, axes, partial }: Draft, id: ValueId): boolean {
  const value = flow.values[id];
  const { type } = value;
  const folds = 'along' in value || value.kind === 'place' || value.kind === 'pick';
  if (operandsOf(value).some((arg) => partial.has(arg))) return false;
  switch (form) {
    case 'product':
      if (type.domain !== rows && type.domain !== ONCE) return false;
      if (![
        type, ...operandsOf(value).map((arg) => flow.values[arg].type),
      ].every((one) => one.axes.every((axis) => includes(axes, axis)))) {
        return false;
      }
      return !folds || elements(axes) <= BLOCK || (value.kind === 'fold' && value.op === 'sum');
    case 'groups': return type.domain === ONCE && type.axes.every((axis) => includes(axes, axis)) && !folds;
    case 'rows': case 'collect': case 'once': return type.domain === rows || (type.domain === ONCE && !folds);
    case 'sums': case 'tables': return false;
  }
}

/** Can a kernel compute what has none? `seen` has been looked at: one value may be read along many ways. */
export function inlined(making: Making, draft: Draft, id: ValueId, seen = new Set<ValueId>()): boolean {
  const { flow, roles, home } = making;
  if (roles.get(id) !== 'light' || home.has(id) || seen.has(id)) return true;
  seen.add(id);
  return fits(making, draft, id) && operandsOf(flow.values[id]).every((arg) => inlined(making, draft, arg, seen));
}

export function rowsDraft(making: Making, id: ValueId, level: number): Draft {
  const { domain, axes } = making.flow.values[id].type;
  const form = domain === ONCE || domain === SEQUENCE ? 'once' : 'rows';
  return drafted(making, form, level, domain, axes, form);
}

export function drafted({ drafts }: Making, form: KernelForm, level: number, rows: DomainId, axes: readonly Axis[], key: string): Draft {
  const same = drafts.find((one) => one.form === form && one.level === level && one.rows === rows && one.key === key);
  if (same !== undefined) {
    same.axes = union(same.axes, axes);
    return same;
  }
  const made: Draft = { form, level, rows, axes, key, anchors: [], values: new Set(), partial: new Set(), loads: new Set(),
    reach: { of: 0, ids: new Set() },
  };
  drafts.push(made);
  return made;
}

export function put(making: Making, draft: Draft, id: ValueId, anchor: boolean): void {
  const { flow, roles, home, ready } = making;
  const value = flow.values[id];
  draft.values.add(id);
  if (anchor) draft.anchors.push(id);
  for (const arg of operandsOf(value)) if (roles.get(arg) === 'part') draft.values.add(arg);
  if (!anchor && draft.form === 'product' && 'along' in value && elements(draft.axes) > BLOCK) draft.partial.add(id);
  home.set(id, draft);
  ready.set(id, draft.level + 1);
}

/** What has to be loaded to compute a value that has no kernel: leaves, and what kernels have made. */
export function floating({ flow, roles, home }: Making, id: ValueId): readonly ValueId[] {
  const [found, seen] = [new Set<ValueId>(), new Set<ValueId>()];
  const open = [...operandsOf(flow.values[id])];
  for (let arg = open.pop(); arg !== undefined; arg = open.pop()) {
    if (seen.has(arg)) continue;
    seen.add(arg);
    if (home.has(arg) || roles.get(arg) === 'leaf' || roles.get(arg) === 'view') {
      if (flow.values[arg].kind !== 'literal') found.add(arg);
    } else open.push(...operandsOf(flow.values[arg]));
  }
  return [...found];
}

/** The lowest level of a kernel that reads a value, by itself or through what it computes or reads at other rows; or lists its slots. */
export function firstReader(making: Making, id: ValueId, seen = new Set<ValueId>()): number {
  const { flow, home, readers, tables } = making;
  const lists = [...tables].flatMap(([at, { level }]) => {
    const domain = flow.domains[at];
    return domain.kind === 'slot' && domain.choice === id ? [level] : [];
  });
  return Math.min(Infinity, ...lists, ...(readers.get(id) ?? []).map((reader) => {
    if (seen.has(reader)) return Infinity;
    seen.add(reader);
    return home.get(reader)?.level ?? firstReader(making, reader, seen);
  }));
}

/** Does a kernel read a value, by itself or through what it computes or reads at other rows? */
export function reached({ flow, home, roles }: Making, draft: Draft, id: ValueId): boolean {
  const known = draft.reach;
  if (known.of === draft.values.size) return known.ids.has(id);
  const open = [...draft.values];
  known.of = draft.values.size;
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (known.ids.has(at)) continue;
    known.ids.add(at);
    if (roles.get(at) === 'leaf' || (home.has(at) && home.get(at) !== draft)) continue;
    open.push(...readsOf(flow.values[at], flow.values));
  }
  return known.ids.has(id);
}
