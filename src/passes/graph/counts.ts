import { factsOf } from '../../ir/graph/facts.js';
import type { Graph, GraphNode, Instance, ScanPart } from '../../ir/graph/graph.js';
import { operandsOf } from '../../ir/graph/operands.js';
import type { Axis } from '../../ir/graph/types.js';
import { elements, includes, without } from '../../ir/graph/typing.js';

/** Numbers that a part holds and keeps. */
export interface Counts {
  readonly params: number;
  /** Params that one token reads: of a family, the share that is chosen. */
  readonly active: number;
  readonly buffers: number;
  /** Kept for every token of a sequence, by what stands before `[past]`. */
  readonly perToken: number;
  /** Kept for the latest tokens of a sequence, as many as windows see. */
  readonly windows: number;
  /** Kept once per sequence: states of scans, and of `[t-1]` and `conv`. */
  readonly perSequence: number;
}

const known = new WeakMap<Graph, Counts>();

/** Of a part and all parts below it; those that are called often are counted once. */
export function countsOf(graph: Graph): Counts {
  const found = known.get(graph) ?? count(graph);
  known.set(graph, found);
  return found;
}

function count(graph: Graph): Counts {
  const own = (buffer: boolean): number => total(graph.params.filter((param) => param.buffer === buffer), (param) => elements(param.axes));
  const parts = graph.instances.map((_, i) => instanceCounts(graph, i));
  const kept = keptBy(graph.nodes);
  const calls = graph.nodes.flatMap((node) => (node.kind === 'call'
    ? [keptInside(graph.instances[node.instance], elements(node.mapped))] : []));
  const params = own(false);
  return {
    params: params + total(parts, (part) => part.params),
    active: params + total(parts, (part) => part.active),
    buffers: own(true) + total(parts, (part) => part.buffers),
    perToken: kept.perToken + total(calls, (call) => call.perToken),
    windows: kept.windows + total(calls, (call) => call.windows),
    perSequence: kept.perSequence + total(calls, (call) => call.perSequence),
  };
}

/** Of one part of a graph: all members of a family, and those that a token reads. */
export function instanceCounts(graph: Graph, index: number): Pick<Counts, 'params' | 'active' | 'buffers'> {
  const { part, family } = graph.instances[index];
  const members = elements(family);
  if (part.kind === 'scan') return { params: members * scanParams(part, family), active: members * scanParams(part, family), buffers: 0 };
  const { params, active, buffers } = countsOf(part);
  const share = family.length === 0 ? 1 : mostRead(graph, index);
  return { params: members * params, active: share * active, buffers: members * buffers };
}

function total<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}

/** Of one member of a family; its heads are counted without the axes of the family. */
function scanParams({ spec, sizes, heads }: ScanPart, family: readonly Axis[]): number {
  const own = total(spec.params, ({ axes }) => axes.reduce((n, axis) => n * (sizes.get(axis) ?? 1), 1));
  return own * elements(without(heads, family));
}

type Kept = Pick<Counts, 'perToken' | 'windows' | 'perSequence'>;

/** What a call keeps for the next one, at each index that it is mapped over. */
function keptInside({ part }: Instance, mapped: number): Kept {
  if (part.kind === 'scan') {
    const states = total(part.spec.states, ({ axes }) => axes.reduce((n, axis) => n * (part.sizes.get(axis) ?? 1), 1));
    return { perToken: 0, windows: 0, perSequence: states * mapped };
  }
  const { perToken, windows, perSequence } = countsOf(part);
  return { perToken: perToken * mapped, windows: windows * mapped, perSequence: perSequence * mapped };
}

/** What stands before `[past]`, `[t-1]` or in `conv`, each value once however often it is read so. */
function keptBy(nodes: readonly GraphNode[]): Kept {
  const far = new Map<number, number>();
  const near = new Map<number, number>();
  const keep = (kept: Map<number, number>, arg: number, tokens: number): void => {
    if (given(nodes, arg)) kept.set(arg, Math.max(kept.get(arg) ?? 0, tokens));
  };
  for (const node of nodes) {
    if (node.kind === 'past') keep(far, node.arg, node.axis.size);
    if (node.kind === 'before') keep(near, node.arg, 1);
    if (node.kind === 'conv') keep(near, node.arg, node.taps.size - 1);
  }
  const size = (arg: number): number => elements(nodes[arg].type.axes);
  return {
    perToken: total([...far], ([arg, tokens]) => (tokens === Infinity ? size(arg) : 0)),
    windows: total([...far], ([arg, tokens]) => (tokens === Infinity ? 0 : size(arg) * tokens)),
    perSequence: total([...near], ([arg, tokens]) => size(arg) * tokens),
  };
}

/**
 * Does a value depend on what is handed in? Places of tokens are known without keeping them, and choices are kept as what they were made
 * of.
 */
function given(nodes: readonly GraphNode[], id: number): boolean {
  if (nodes[id].type.kind !== 'number') return false;
  const seen = new Set<number>();
  const open = [id];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const { kind } = nodes[at];
    if (kind === 'input' || kind === 'call' || kind === 'normal' || kind === 'uniform') return true;
    open.push(...operandsOf(nodes[at]));
  }
  return false;
}

/**
 * How many members of a family run for one token at most: those whose values are read, by the choices that restrict these where they are
 * folded; of a part that looks at other tokens, or has losses, those that are handed the token.
 */
export function mostRead({ nodes, instances }: Graph, instance: number): number {
  const { part, family } = instances[instance];
  if (!factsOf(part).tokenwise) {
    const calls = nodes.filter((node) => node.kind === 'call' && node.instance === instance);
    const handed = (node: GraphNode): number => Math.min(elements(family),
      ...operandsOf(node).flatMap((arg) => nodes[arg].type.restricted).map((choice) => mostChosen(nodes, choice, family)));
    return Math.max(0, ...calls.map(handed));
  }
  const from = new Set<number>();
  let most = 0;
  for (const [id, node] of nodes.entries()) {
    if (node.kind === 'call' && node.instance === instance) {
      from.add(id);
      continue;
    }
    if (!operandsOf(node).some((arg) => from.has(arg))) continue;
    if (node.kind === 'pick' && from.has(node.arg) && includes(family, node.axis)) {
      most = Math.max(most, elements(without(family, [node.axis])));
      continue;
    }
    const folds = (node.kind === 'fold' || node.kind === 'contract') && node.axes.some((axis) => includes(family, axis));
    if (!folds) {
      if (family.some((axis) => includes(node.type.axes, axis))) from.add(id);
      continue;
    }
    const restricted = operandsOf(node).flatMap((arg) => nodes[arg].type.restricted);
    most = Math.max(most, Math.min(elements(family), ...restricted.map((choice) => mostChosen(nodes, choice, family))));
  }
  return most;
}

/** Along the axes of a family, the most indices at which a choice can hold for one token. */
export function mostChosen(nodes: readonly GraphNode[], choice: number, family: readonly Axis[]): number {
  const node = nodes[choice];
  const all = elements(family);
  const present = (args: readonly number[]): number => Math.min(all,
    ...args.flatMap((arg) => nodes[arg].type.restricted).map((own) => mostChosen(nodes, own, family)));
  switch (node.kind) {
    case 'top': {
      const count = nodes[node.count];
      const fixed = node.silent.length === 0 && node.axes.length > 0 && node.axes.every((axis) => includes(family, axis))
        && count.kind === 'literal';
      return Math.min(present([node.arg]), fixed ? count.value * elements(without(family, node.axes)) : all);
    }
    case 'compare': return present([node.left, node.right]);
    case 'logic': {
      const each = node.args.map((arg) => mostChosen(nodes, arg, family));
      if (node.op === 'and') return Math.min(...each);
      return node.op === 'or' ? Math.min(all, each.reduce((sum, n) => sum + n, 0)) : present(node.args);
    }
    default: return all;
  }
}
