import { ancestorsOf, nodeArguments, stageOperands, type NodeId, type Root, type ScanProgram } from '../../ir/scan/scan.js';
import { memo, type Graph } from './graph.js';

/**
 * Where cotangents that other tokens read are cut: what the kernels of the scans leave, and what kernels that come after make of it, at
 * their own tokens and those after them (docs/algorithms.md: tokens before).
 */
export interface Cuts {
  /** Of a cotangent that is read ahead: the value that is left in its place. */
  readonly left: ReadonlyMap<NodeId, NodeId>;
  /** Is a value left so? */
  isLeft(id: NodeId): boolean;
  /** Gradients that are made of what is left, and of no result beside it. */
  isAfter(root: Root): boolean;
}

export const NO_CUTS: Cuts = { left: new Map(), isLeft: () => false, isAfter: () => false };

/** A product whose other factors say nothing of results: they can be made again at any token. */
const PRODUCTS: ReadonlySet<string> = new Set(['mul', 'chain', 'neg', 'div']);

export function cutsOf(graph: Graph, { nodes, stages, roots }: ScanProgram): Cuts {
  const left = new Map<NodeId, NodeId>();
  // What a scan reads ahead has to be there before all is left.
  const early = ancestorsOf(nodes, stages.flatMap(stageOperands));
  const readEarly = (id: NodeId) => [...early].some((at) => {
    const node = graph.node(at);
    return node.kind === 'ahead' && node.of === id;
  });
  for (const root of roots) {
    if (root.kind !== 'kept' || !graph.readsBack(root.value) || readEarly(root.value)) continue;
    const cut = cutOf(graph, root.value);
    if (cut !== undefined) left.set(root.value, cut);
  }
  if (left.size === 0) return NO_CUTS;
  const cuts = new Set(left.values());
  const meetsResults = memo((id): boolean => {
    if (cuts.has(id)) return false;
    return graph.node(id).kind === 'result' || nodeArguments(graph.node(id)).some(meetsResults);
  });
  const meetsCuts = memo((id): boolean => cuts.has(id) || nodeArguments(graph.node(id)).some(meetsCuts));
  return {
    left,
    isLeft: (id) => cuts.has(id),
    isAfter({ kind, value }) {
      if ((kind !== 'param-gradient' && kind !== 'input-gradient') || value === undefined) return false;
      return graph.readsBack(value) && meetsCuts(value) && !meetsResults(value);
    },
  };
}

/** Of a product of a result and of what tokens before say: what there is of it before that. */
function cutOf(graph: Graph, id: NodeId): NodeId | undefined {
  const node = graph.node(id);
  const ofResults = (arg: NodeId) => graph.home(arg) >= 0;
  if (!graph.readsBack(id)) return ofResults(id) ? id : undefined;
  if (node.kind !== 'map' || !PRODUCTS.has(node.fn)) return undefined;
  const parts = node.args.filter(ofResults);
  const others = node.args.filter((arg) => !ofResults(arg));
  if (parts.length !== 1 || (node.fn === 'div' && parts[0] !== node.args[0])) return undefined;
  if (!others.every((arg) => isNear(graph, arg)) || graph.axesOf(parts[0]).length !== node.axes.length) return undefined;
  return cutOf(graph, parts[0]);
}

/** Is it made of single elements of what lies in memory, and finite at tokens that there are not? */
function isNear(graph: Graph, id: NodeId): boolean {
  const single = memo((at): boolean => {
    const node = graph.node(at);
    return node.kind !== 'reduce' && node.kind !== 'ahead' && node.kind !== 'last' && nodeArguments(node).every(single);
  });
  return single(id) && graph.padding(id) !== 'unknown';
}
