import {
  nodeArguments, stageOperands, type MatrixStage, type NodeId, type Root, type ScanNode, type ScanProgram, type Stage,
} from '../../ir/scan/scan.js';

/**
 * The same scan for the sake of these roots alone: what only others need is gone, reads among it. Nodes and stages keep their numbers, so
 * that both have the same names for what lies in memory. All states are carried.
 */
export function rootedIn(program: ScanProgram, wanted: (root: Root) => boolean): ScanProgram {
  const { nodes, stages, roots } = program;
  const reversed = new Set(stages.flatMap((stage) => (stage.kind === 'matrix-adjoint' ? [stage.of] : [])));
  /** A stage whose reads nobody else speaks of. */
  const loose = (stage: Stage): stage is MatrixStage => stage.kind === 'matrix' && !reversed.has(stage);
  const live = new Set<NodeId>();
  const visit = (id: NodeId): void => {
    if (live.has(id)) return;
    live.add(id);
    const node = nodes[id];
    nodeArguments(node).forEach(visit);
    if (node.kind === 'ahead') visit(node.of);
    if (node.kind !== 'result') return;
    const stage = stages[node.stage];
    if (loose(stage)) visit(stage.reads[node.slot].row);
  };
  for (const stage of stages) stageOperands(loose(stage) ? { ...stage, reads: [] } : stage).forEach(visit);
  for (const root of roots) if (wanted(root) && root.value !== undefined) visit(root.value);
  const kept = stages.map((stage, at) => (loose(stage) ? readsIn(nodes, live, at) : []));
  return {
    nodes: nodes.map((node, id): ScanNode => {
      if (!live.has(id)) return { kind: 'literal', value: 0, axes: [], origin: node.origin };
      return node.kind === 'result' && loose(stages[node.stage]) ? { ...node, slot: kept[node.stage].indexOf(node.slot) } : node;
    }),
    stages: stages.map((stage, at) => (loose(stage) ? { ...stage, reads: kept[at].map((r) => stage.reads[r]) } : stage)),
    roots: roots.filter((root) => wanted(root) || (root.kind === 'kept' && live.has(root.value))),
  };
}

/** The reads of a stage that some of the nodes are. */
function readsIn(nodes: readonly ScanNode[], live: ReadonlySet<NodeId>, stage: number): readonly number[] {
  const slots = [...live].flatMap((id) => {
    const node = nodes[id];
    return node.kind === 'result' && node.stage === stage ? [node.slot] : [];
  });
  return [...new Set(slots)].sort((a, b) => a - b);
}
