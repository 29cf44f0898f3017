import { factsOf, reachable } from './facts.js';
import type { Graph } from './graph.js';
import { operandsOf } from './operands.js';
import { includes } from './typing.js';

const known = new WeakMap<Graph, readonly (readonly number[])[]>();

/** For each node, the nodes that read it. */
function readersOf(graph: Graph): readonly (readonly number[])[] {
  const found = known.get(graph);
  if (found !== undefined) return found;
  const readers: number[][] = graph.nodes.map(() => []);
  graph.nodes.forEach((node, id) => operandsOf(node).forEach((arg) => readers[arg].push(id)));
  known.set(graph, readers);
  return readers;
}

/**
 * Choices under which all reads of a node stand, one list a read; undefined: it is read without any. In `sum[E](g * expert(x))` with `g`
 * restricted to a choice, the call is read where the choice holds. What is read elsewhere, in a fold or as an output, is read everywhere.
 */
export function readUnder(graph: Graph, id: number, trail: ReadonlySet<number> = new Set()): readonly (readonly number[])[] | undefined {
  const open = [...graph.outputs, ...graph.losses, ...graph.updates].some(({ value }) => value === id);
  if (open || trail.has(id)) return undefined;
  const all: (readonly number[])[] = [];
  for (const reader of readersOf(graph)[id]) {
    const node = graph.nodes[reader];
    const others = operandsOf(node).filter((arg) => arg !== id);
    const choices = node.kind === 'restrict' ? [node.choice] : [];
    if (node.kind === 'map' || node.kind === 'contract') choices.push(...others.flatMap((arg) => graph.nodes[arg].type.restricted));
    const usable = choices.filter((choice) => choice !== id && !dependsOn(graph, choice, id));
    if (usable.length > 0) {
      all.push(usable);
      continue;
    }
    // An argument is read where its call is: in those of its lanes, and all of it that the part looks at.
    const call = node.kind === 'call' && factsOf(graph.instances[node.instance].part).tokenwise ? node : undefined;
    if (call === undefined && !['map', 'result', 'f32', 'stop', 'restrict'].includes(node.kind)) return undefined;
    const beyond = readUnder(graph, reader, new Set([...trail, id]));
    const lanes = call && [...graph.instances[call.instance].family, ...call.mapped];
    const apart = (choice: number): boolean => lanes !== undefined
      && graph.nodes[choice].type.axes.some((axis) => !includes(lanes, axis));
    if (beyond === undefined || beyond.some((one) => one.some(apart))) return undefined;
    all.push(...beyond);
  }
  return all;
}

function dependsOn({ nodes }: Graph, node: number, on: number): boolean {
  return node >= on && reachable(nodes, [node]).has(on);
}
