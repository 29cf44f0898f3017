import { includesAll, ROW, runsOf, type Axis } from '../../ir/common/axes.js';
import type { MathName } from '../../ir/common/dag.js';
import { nodeArguments, type NodeId, type ScanNode } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { keptBuffer, resultBuffer, storedAt, type Context, type Site } from './context.js';
import { sure, widened } from './tiles.js';
import { pairs } from '../../support/pairs.js';
import { factored, memo, type Graph } from './graph.js';

/** Functions that an error of an argument goes through as it is. */
const LINEAR: ReadonlySet<MathName> = new Set(['mul', 'div', 'neg']);

/** Values of the program inside one body of one kernel; token tiles have ROW (none in token loops). */
export interface Values {
  tile(id: NodeId): TileId;
  /** The same with 0 in rows beyond the sequence. */
  padded(id: NodeId): TileId;
  /** The same with something finite in rows beyond the sequence. */
  finite(id: NodeId): TileId;
  /** Says how the kernel makes a result itself; called when somebody asks. */
  bind(stage: number, slot: number, make: () => TileId): void;
  /** In token loops: the state before the token. */
  bindPast(state: number, before: TileId): void;
}

/**
 * `site`: chunk kernels compute everything anew, walks load what was stored for them. `outside`: values of the enclosing body, for what is
 * the same at every token.
 */
export function valuesIn(cx: Context, k: KernelBuilder, site: Site, outside?: Values): Values {
  const { graph, draft } = cx;
  const known = new Map<string, TileId>();
  const pasts = new Map<number, TileId>();
  const bound = pairs<() => TileId>();
  const paddedTiles = new Map<NodeId, TileId>();

  const straight = site.kind !== 'walk' && site.kind !== 'token';
  /** As a load would find it. */
  const madeHere = (id: NodeId) => site.kind === 'walk' && cx.made.has(id) && !cx.stored.has(id);
  /** `back`: at the token so many before. */
  const compute = (id: NodeId, back: number): TileId => (back === 0 && madeHere(id) ? k.keep(computed(id, back)) : computed(id, back));
  const computed = (id: NodeId, back: number): TileId => {
    const literal = graph.literal(id);
    if (literal !== undefined) return k.literal(literal);
    if (outside !== undefined && graph.isStatic(id)) return outside.tile(id);
    const stored = storedAt(cx, site, id);
    if (stored !== undefined) return k.loadBack(stored, back);
    const sum = cx.left.has(id) ? cx.sums.get(id) : undefined;
    if (sum !== undefined && site.kind !== 'walk') return k.reduce('sum', runsOf(sum.axis, sum.length), k.load(sum.buffer));
    const node = graph.node(id);
    switch (node.kind) {
      case 'literal': case 'size': throw new Error('a number is a literal');
      case 'head': return k.head();
      case 'heads': return k.heads();
      case 'input': return (back === 0 ? undivided(id) : undefined) ?? k.loadBack(draft.user.inputs[node.input], back);
      case 'param': return k.load(draft.user.params[node.param]);
      case 'cotangent': return k.loadBack(draft.user.outputCotangents[node.output], back);
      case 'past': return past(node, back);
      case 'ahead': return ahead(node.of, node.ahead);
      case 'last': return k.put(k.zeros([ROW, ...node.axes]), k.load(draft.user.finalCotangents[node.state]), 'last', node.back);
      case 'result': {
        const make = bound.get(node.stage, node.slot);
        if (back !== 0) throw new Error('results of other tokens are not at hand');
        return make === undefined ? k.load(resultBuffer(cx, node.stage, node.slot)) : make();
      }
      case 'map': {
        const args = node.args.map((arg) => at(arg, back));
        return straight && node.fn === 'mul' ? multiplied(k, args[0], args[1]) : mapped(k, node.fn, args);
      }
      case 'reduce': return product(node.arg, node.axis, node.op)
        ?? (straight ? reduced(k, node.op, node.axis, at(node.arg, back)) : k.reduce(node.op, node.axis, at(node.arg, back)));
    }
  };
  /** A tensor over a number that was stored as operands have it, times the number: the kernel has that anyway. */
  const undivided = (id: NodeId): TileId | undefined => {
    if (site.kind !== 'gradients' || graph.axesOf(id).length === 0) return undefined;
    // Where a function is steep, what 16 bits leave out of the quotient would count.
    const readers = graph.builder.nodes.filter((node) => nodeArguments(node).includes(id));
    if (!readers.every((node) => node.kind === 'map' && LINEAR.has(node.fn))) return undefined;
    for (const stored of cx.rounded) {
      const { base, scalars, literal } = factored(graph, stored);
      const divisors = scalars.map((scalar) => divisorOf(graph, scalar));
      if (base !== id || literal === 0 || divisors.includes(undefined) || divisors.length === 0) continue;
      const number = divisors.map((divisor) => at(sure(divisor), 0)).reduce((a, b) => k.mul(a, b));
      return multiplied(k, at(stored, 0), literal === 1 ? number : k.mul(k.literal(1 / literal), number));
    }
    return undefined;
  };
  const past = ({ arg, states }: ScanNode & { readonly kind: 'past' }, back: number): TileId => {
    const before = pasts.get(states[states.length - 1]);
    if (before !== undefined) return before;
    const rows = widened(k, at(arg, back + states.length), [ROW]);
    // The first token finds what the oldest state was.
    const found = [...states].reverse().flatMap((state, i) => (back + i < 0 ? [] : [{ state, at: back + i }]));
    return found.reduce((tokens, { state, at }) => k.put(tokens, k.load(draft.user.initials[state]), 'first', at), rows);
  };
  const ahead = (id: NodeId, by: number): TileId => {
    if (cx.cuts.left.has(id)) return at(id, -by);
    const node = graph.node(id);
    return k.loadBack(node.kind === 'cotangent' ? draft.user.outputCotangents[node.output] : keptBuffer(cx, id), -by);
  };
  /** In token loops a sum of products is a product of matrices, so that nobody has to hold the terms. */
  const product = (arg: NodeId, axis: Axis, op: 'sum' | 'max' | 'min'): TileId | undefined => {
    const inner = graph.node(arg);
    if (site.kind !== 'token' || op !== 'sum' || inner.kind !== 'map' || inner.fn !== 'mul') return undefined;
    const [a, b] = inner.args.map(tile);
    return k.axesOf(a).includes(axis) && k.axesOf(b).includes(axis) ? k.contract(a, b, axis) : undefined;
  };
  const at = (id: NodeId, back: number): TileId => {
    const key = `${id}@${back}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const made = compute(id, back);
    known.set(key, made);
    return made;
  };
  const tile = (id: NodeId): TileId => at(id, 0);
  const loaded = (id: NodeId) => madeHere(id) || (storedAt(cx, site, id) !== undefined && !graph.isStatic(id));
  // What the kernel computes itself may hold anything beyond the sequence; loads give 0 there.
  const ownResult = (id: NodeId) => graph.results([id]).keys().some(([stage, slot]) => bound.has(stage, slot));
  // A number that is stored is another one beyond the sequence than what its load finds there.
  const meetsStored = memo((id: NodeId): boolean => {
    if (graph.isStatic(id)) return false;
    return storedAt(cx, site, id) !== undefined || cx.left.has(id) || nodeArguments(graph.node(id)).some(meetsStored);
  });
  const padding = (id: NodeId) => {
    if (ownResult(id)) return 'unknown';
    return meetsStored(id) ? graph.padding(id) : graph.paddingMade(id);
  };
  const kept = (id: NodeId): TileId => {
    const found = paddedTiles.get(id);
    if (found !== undefined) return found;
    const made = k.keep(tile(id));
    paddedTiles.set(id, made);
    return made;
  };
  return {
    tile,
    padded: (id) => (loaded(id) || (padding(id) === 'zero' && !graph.isStatic(id)) ? tile(id) : kept(id)),
    finite: (id) => (loaded(id) || padding(id) !== 'unknown' ? tile(id) : kept(id)),
    bindPast: (state, before) => void pasts.set(state, before),
    bind: (stage, slot, make) => bound.set(stage, slot, make),
  };
}

/** n of a number 1 / n. */
function divisorOf(graph: Graph, id: NodeId): NodeId | undefined {
  const node = graph.node(id);
  return node.kind === 'map' && node.fn === 'div' && graph.literal(node.args[0]) === 1 ? node.args[1] : undefined;
}

/** A quotient by what has fewer elements is a product with its inverse, of which there are as few. */
function mapped(k: KernelBuilder, fn: MathName, args: readonly TileId[]): TileId {
  if (fn !== 'div' || includesAll(k.axesOf(args[1]), k.axesOf(args[0]))) return k.map(fn, ...args);
  return multiplied(k, args[0], k.map('div', k.literal(1), args[1]));
}

/** A matrix, and the numbers of its rows or columns that it is a product with. */
function apart(k: KernelBuilder, tile: TileId): { readonly whole: TileId; readonly few: TileId } | undefined {
  const op = k.opOf(tile);
  if (op?.op !== 'map' || op.fn !== 'mul' || k.axesOf(tile).length < 2) return undefined;
  const [a, b] = op.args;
  const [whole, few] = k.axesOf(a).length > k.axesOf(b).length ? [a, b] : [b, a];
  return k.axesOf(few).length < 2 && k.axesOf(whole).length === k.axesOf(tile).length ? { whole, few } : undefined;
}

/** A product in which numbers of rows meet each other before they meet matrices, and matrices before they meet numbers. */
function multiplied(k: KernelBuilder, a: TileId, b: TileId): TileId {
  for (const [x, y] of [[a, b], [b, a]]) {
    const found = apart(k, x);
    if (found === undefined) continue;
    const { whole, few } = found;
    const [axes, others] = [k.axesOf(few), k.axesOf(y)];
    if (others.length < 2 && (includesAll(axes, others) || includesAll(others, axes))) return multiplied(k, whole, k.mul(few, y));
    if (others.length === k.axesOf(whole).length) return k.mul(multiplied(k, whole, y), few);
  }
  return k.mul(a, b);
}

/** A sum of products with numbers that are the same along the axis is the sum times these. */
function reduced(k: KernelBuilder, op: 'sum' | 'max' | 'min', axis: Axis, tile: TileId): TileId {
  const found = op === 'sum' ? apart(k, tile) : undefined;
  if (found === undefined || k.axesOf(found.few).includes(axis)) return k.reduce(op, axis, tile);
  return k.mul(reduced(k, op, axis, found.whole), found.few);
}

/** Makes the parts of values that are the same at every token: what a loop should not do again. */
export function hoist(cx: Context, outside: Values, site: Site, ids: readonly NodeId[]): void {
  const seen = new Set<NodeId>();
  const visit = (id: NodeId): void => {
    if (seen.has(id)) return;
    seen.add(id);
    if (cx.graph.literal(id) !== undefined) return;
    if (cx.graph.isStatic(id)) outside.tile(id);
    else if (storedAt(cx, site, id) === undefined) nodeArguments(cx.graph.node(id)).forEach(visit);
  };
  ids.forEach(visit);
}
