import type { Graph, GraphNode } from '../../../ir/graph/graph.js';
import { instancePath } from '../../../ir/graph/paths.js';

/** Something that is chosen: what, by whom, from how many. */
export interface ChoiceText {
  /** The part that chooses, with its first place in the graph: `ffn (mixture)`. */
  readonly part: string;
  /** `8 of 256 along G, M for every token`. */
  readonly text: string;
}

/** All choices by `top`, and by comparisons that restrict; parts that are called often are named once. */
export function choicesOf(graph: Graph): readonly ChoiceText[] {
  const found: ChoiceText[] = [];
  const seen = new Set<Graph>();
  const visit = (part: Graph, place: string): void => {
    if (seen.has(part)) return;
    seen.add(part);
    const restricting = new Set(part.nodes.flatMap((node) => (node.kind === 'restrict' ? [node.choice] : [])));
    part.nodes.forEach((node, id) => {
      const text = choiceText(part, node, restricting.has(id));
      if (text !== undefined && !found.some((other) => other.part === place && other.text === text)) found.push({ part: place, text });
    });
    for (const instance of part.instances) {
      if (instance.part.kind !== 'scan') visit(
        instance.part, `${instance.turns.length === 0 ? instancePath(instance) : instance.name} (${instance.part.name})`,
      );
    }
  };
  visit(graph, graph.name);
  return found;
}

function choiceText(graph: Graph, node: GraphNode, restricts: boolean): string | undefined {
  if (
    node.kind === 'compare' && restricts && node.type.axes.length > 0
  ) return `those whose value is ${node.op} another, along ${node.type.axes.map(({ name }) => name).join(', ')}`;
  if (node.kind !== 'top') return undefined;
  const count = graph.nodes[node.count];
  const many = count.kind === 'literal' ? String(count.value) : 'as many as a formula says';
  const along = node.axes.map(({ name }) => name).join(', ');
  if (node.silent.length > 0) {
    const each = node.type.axes.length === 0 ? '' : ` for every ${node.type.axes.map(({ name }) => name).join(', ')}`;
    return `${many} along ${[along, ...node.silent].filter((text) => text !== '').join(', ')}${each}: depends on other tokens`;
  }
  const size = node.axes.reduce((n, axis) => n * axis.size, 1);
  const from = graph.nodes[node.arg].type.restricted.length === 0 ? '' : ', among what was chosen before';
  const each = node.type.axes.filter((axis) => !node.axes.some(({ name }) => name === axis.name))
    .map(({ name }) => `every ${name} of `).join('');
  const all = Number.isFinite(size) ? `${many} of ${size}` : many;
  return `${all} along ${along} for ${each}every token${from}`;
}
