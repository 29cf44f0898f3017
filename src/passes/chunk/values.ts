import { includesAll, ROW, runsOf, type Axis } from '../../ir/common/axes.js';
import type { MathName } from '../../ir/common/dag.js';
import { nodeArguments, type NodeId, type ScanNode } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { keptBuffer, resultBuffer, storedAt, type Context, type Site } from './context.js';
import { widened } from './tiles.js';
import { pairs } from '../../support/pairs.js';

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

  /** `back`: at the token so many before. */
  const compute = (id: NodeId, back: number): TileId => {
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
      case 'input': return k.loadBack(draft.user.inputs[node.input], back);
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
      case 'map': return mapped(k, node.fn, node.args.map((arg) => at(arg, back)));
      case 'reduce': return product(node.arg, node.axis, node.op) ?? k.reduce(node.op, node.axis, at(node.arg, back));
    }
  };
  const past = ({ arg, states }: ScanNode & { readonly kind: 'past' }, back: number): TileId => {
    const before = pasts.get(states[states.length - 1]);
    if (before !== undefined) return before;
    const rows = widened(k, at(arg, back + states.length), [ROW]);
    // The first token finds what the oldest state was.
    return [...states].reverse().reduce((tokens, state, i) => k.put(tokens, k.load(draft.user.initials[state]), 'first', back + i), rows);
  };
  const ahead = (id: NodeId, by: number): TileId => {
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
  const loaded = (id: NodeId) => storedAt(cx, site, id) !== undefined && !graph.isStatic(id);
  // What the kernel computes itself may hold anything beyond the sequence; loads give 0 there.
  const ownResult = (id: NodeId) => graph.results([id]).keys().some(([stage, slot]) => bound.has(stage, slot));
  const kept = (id: NodeId): TileId => {
    const found = paddedTiles.get(id);
    if (found !== undefined) return found;
    const made = k.keep(tile(id));
    paddedTiles.set(id, made);
    return made;
  };
  return {
    tile,
    padded: (id) => (loaded(id) || (graph.padding(id) === 'zero' && !graph.isStatic(id) && !ownResult(id)) ? tile(id) : kept(id)),
    finite: (id) => (loaded(id) || (graph.padding(id) !== 'unknown' && !ownResult(id)) ? tile(id) : kept(id)),
    bindPast: (state, before) => void pasts.set(state, before),
    bind: (stage, slot, make) => bound.set(stage, slot, make),
  };
}

/** A quotient by what has fewer elements is a product with its inverse, of which there are as few. */
function mapped(k: KernelBuilder, fn: MathName, args: readonly TileId[]): TileId {
  if (fn !== 'div' || includesAll(k.axesOf(args[1]), k.axesOf(args[0]))) return k.map(fn, ...args);
  return k.mul(args[0], k.map('div', k.literal(1), args[1]));
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
