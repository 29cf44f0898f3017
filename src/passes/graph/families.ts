import { diagnostic } from '../../diagnostics/diagnostic.js';
import { factsOf } from '../../ir/graph/facts.js';
import type { GraphNode, Instance } from '../../ir/graph/graph.js';
import { operandsOf } from '../../ir/graph/operands.js';
import type { Axis } from '../../ir/graph/types.js';
import { includes } from '../../ir/graph/typing.js';
import { report, shape, type Scope } from './scope.js';

/** W202 for families of which nothing restricts what is read: every member runs on every token. */
export function freeFamilies(scope: Scope): void {
  for (const [i, instance] of scope.instances.entries()) {
    if (instance.family.length === 0) continue;
    const { nodes } = scope.builder;
    // The states of a family of scans may all go on with every token.
    const all = instance.part.kind === 'scan' || factsOf(instance.part).tokenwise ? undefined
      : nodes.find((node) => node.kind === 'call' && node.instance === i && !chosen(nodes, node, instance.family));
    const bare = all ?? unrestricted(nodes, i, instance.family);
    if (bare === undefined) continue;
    report(scope, diagnostic('W202', `every member of \`${instance.name}${shape(instance.family)}\` runs on every token`, instance.origin,
      'a family', {
      secondary: [{ span: bare.origin,
        text: all === undefined ? 'nothing restricts what is read here' : 'all tokens are handed in' }],
      help: [all === undefined ? choose(instance) : handIn(instance)],
    }));
  }
}

function choose({ family }: Instance): string {
  return `choose some: \`let chosen = top[${family.map((axis) => axis.name).join(', ')}, 2](s)\`, and read a weight at \`[chosen]\``;
}

function handIn({ name, part }: Instance): string {
  return `\`${part.name}\` looks at other tokens, or has losses: it is computed where its arguments are present, `
    + `so hand in what was chosen: \`${name}(x[chosen])\``;
}

/** The first fold of values of a family that no choice along its axes restricts. */
function unrestricted(nodes: readonly GraphNode[], instance: number, family: readonly Axis[]): GraphNode | undefined {
  const from = new Set<number>();
  for (const [id, node] of nodes.entries()) {
    const reads = operandsOf(node).filter((arg) => from.has(arg));
    if (node.kind === 'call' && node.instance === instance) {
      from.add(id);
      continue;
    }
    if (reads.length === 0) continue;
    const folds = node.kind === 'fold' || node.kind === 'contract' ? node.axes.some((axis) => includes(family, axis)) : false;
    if (!folds) {
      if (family.some((axis) => includes(node.type.axes, axis))) from.add(id);
      continue;
    }
    if (!chosen(nodes, node, family)) return node;
  }
  return undefined;
}

/** Is anything that a node reads restricted along a family? */
function chosen(nodes: readonly GraphNode[], node: GraphNode, family: readonly Axis[]): boolean {
  const restricted = operandsOf(node).flatMap((arg) => nodes[arg].type.restricted);
  return restricted.some((choice) => nodes[choice].type.axes.some((axis) => includes(family, axis)));
}
