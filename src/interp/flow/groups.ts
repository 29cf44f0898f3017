import { ONCE, type Along, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import type { Axis } from '../../ir/graph/types.js';
import { union, without } from '../../ir/graph/typing.js';
import { GraphFault } from '../graph/fault.js';
import { elementMap, offsets, sizeOf, strides } from '../graph/value.js';
import { rowMap } from './rows.js';
import { presence, spread, type Run } from './run.js';

type Of<K extends FlowValue['kind']> = Extract<FlowValue, { kind: K }>;

/** Elements [rows, ...axes] of a domain, and the group in which each is folded: [rows of `to`, ...kept, ...rest]. */
interface Groups {
  readonly count: number;
  each(visit: (group: number, element: number) => void): void;
}

function groupsOf(run: Run, domain: number, axes: readonly Axis[], where: readonly ValueId[], along: Along): Groups {
  const rows = run.rowsOf(domain);
  const rest = without(axes, along.axes);
  const width = sizeOf(along.kept) * sizeOf(rest);
  const cells = elementMap(axes, rest);
  const kept = offsets(rows.groups, strides(rows.groups, along.kept));
  const rowOf = rowMap(run.tokens, rows, domain, along.to, along.by);
  const there = presence(run, where, domain, axes);
  return {
    count: run.rowsOf(along.to).count * width,
    each(visit) {
      for (let row = 0, i = 0; row < rows.count; row++) {
        const group = along.kept.length > 0 ? kept[rows.group[row]] * sizeOf(rest) : 0;
        const base = rowOf(row) * width + group;
        for (let e = 0; e < cells.length; e++, i++) if (there === undefined || there[i] !== 0) visit(base + cells[e], i);
      }
    },
  };
}

/** An argument that is folded, on its own domain, or the finer one that its fold goes from. */
function own(run: Run, arg: ValueId, along: Along): { readonly data: Float64Array; readonly groups: Groups } {
  const { domain, axes, where } = run.type(arg);
  return { data: run.data(arg), groups: groupsOf(run, domain, axes, where, along) };
}

export function contracted(run: Run, { left, right, along }: Of<'contract'>): Float64Array {
  const [l, r] = [run.type(left), run.type(right)];
  const domain = Math.max(l.domain, r.domain, ONCE);
  const axes = union(l.axes, r.axes);
  const groups = groupsOf(run, domain, axes, [...l.where, ...r.where], along);
  const [x, y] = [spread(run, left, domain, axes), spread(run, right, domain, axes)];
  const out = new Float64Array(groups.count);
  groups.each((group, i) => {
    out[group] += x[i] * y[i];
  });
  return out;
}

export function folded(run: Run, { op, arg, along }: Of<'fold'>): Float64Array {
  const { data, groups } = own(run, arg, along);
  const out = new Float64Array(groups.count).fill(op === 'prod' ? 1 : 0);
  switch (op) {
    case 'sum': groups.each((group, i) => {
      out[group] += data[i];
    }); return out;
    case 'prod': groups.each((group, i) => {
      out[group] *= data[i];
    }); return out;
    case 'max': case 'min': return extremes(groups, data, op).map((i) => (i < 0 ? 0 : data[i]));
    case 'logsumexp': {
      const most = extremes(groups, data, 'max').map((i) => (i < 0 || !Number.isFinite(data[i]) ? 0 : data[i]));
      groups.each((group, i) => {
        out[group] += Math.exp(data[i] - most[group]);
      });
      return out.map((sum, group) => most[group] + Math.log(sum));
    }
  }
}

/** The first of the largest or least of each group, -1 for none. What is no number wins. */
function extremes(groups: Groups, data: Float64Array, op: 'max' | 'min'): Float64Array {
  const sign = op === 'max' ? 1 : -1;
  const at = new Float64Array(groups.count).fill(-1);
  groups.each((group, i) => {
    const best = at[group];
    const better = best < 0 || sign * data[i] > sign * data[best] || (Number.isNaN(data[i]) && !Number.isNaN(data[best]));
    if (better) at[group] = i;
  });
  return at;
}

export function first(run: Run, { op, arg, along }: Of<'first'>): Float64Array {
  const { data, groups } = own(run, arg, along);
  const out = new Float64Array(data.length);
  for (const i of extremes(groups, data, op)) if (i >= 0) out[i] = 1;
  return out;
}

export function others(run: Run, { arg, along }: Of<'others'>): Float64Array {
  const { data, groups } = own(run, arg, along);
  const product = new Float64Array(groups.count).fill(1);
  const zeros = new Float64Array(groups.count);
  groups.each((group, i) => {
    if (data[i] === 0) zeros[group]++;
    else product[group] *= data[i];
  });
  const out = new Float64Array(data.length);
  groups.each((group, i) => {
    const left = zeros[group] - (data[i] === 0 ? 1 : 0);
    out[i] = left > 0 ? 0 : data[i] === 0 ? product[group] : product[group] / data[i];
  });
  return out;
}

export function softened(run: Run, { arg, along, sink }: Of<'softmax'>): Float64Array {
  const { data, groups } = own(run, arg, along);
  const { domain, axes } = run.type(arg);
  const sinks = sink === undefined ? undefined : spread(run, sink, along.to, [...along.kept, ...without(axes, along.axes)]);
  const most = extremes(groups, data, 'max').map((i) => (i < 0 ? -Infinity : data[i])).map((x, group) => {
    const all = Math.max(x, sinks === undefined ? -Infinity : sinks[group]);
    return Number.isFinite(all) ? all : Number.isNaN(all) ? NaN : 0;
  });
  const totals = most.map((shift, group) => (sinks === undefined ? 0 : Math.exp(sinks[group] - shift)));
  const out = new Float64Array(run.rowsOf(domain).count * sizeOf(axes));
  groups.each((group, i) => {
    totals[group] += out[i] = Math.exp(data[i] - most[group]);
  });
  groups.each((group, i) => {
    out[i] /= totals[group];
  });
  return out;
}

export function chosen(run: Run, { arg, count, along, origin }: Of<'top'>): Float64Array {
  const { data, groups } = own(run, arg, along);
  const { axes } = run.type(arg);
  const counts = spread(run, count, along.to, [...along.kept, ...without(axes, along.axes)]);
  const members: number[][] = Array.from({ length: groups.count }, () => []);
  groups.each((group, i) => {
    if (Number.isNaN(data[i])) throw new GraphFault('not a number', 'a score that something is chosen by is not a number', origin);
    members[group].push(i);
  });
  const out = new Float64Array(data.length);
  members.forEach((all, group) => {
    if (Number.isNaN(counts[group])) throw new GraphFault('not a number', 'how many are chosen is not a number', origin);
    const sorted = all.sort((a, b) => data[b] - data[a] || a - b);
    for (const i of sorted.slice(0, Math.max(0, Math.floor(counts[group])))) out[i] = 1;
  });
  return out;
}
