import {
  nodeArguments, stageOperands, type MatrixStage, type NodeId, type Root, type ScanNode, type ScanProgram, type Stage,
} from '../../ir/scan/scan.js';

/**
 * The same scan for the sake of these roots alone: reads that only others need are gone, with all that is made of them. Other nodes and
 * stages stay, with their numbers, so that both programs have the same names for what lies in memory. All states are carried.
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
  const gone = new Set<NodeId>();
  nodes.forEach((node, id) => {
    const read = node.kind === 'result' && loose(stages[node.stage]) && !kept[node.stage].includes(node.slot);
    if (read || (node.kind === 'ahead' && !live.has(id)) || nodeArguments(node).some((arg) => gone.has(arg))) gone.add(id);
  });
  return {
    nodes: nodes.map((node, id): ScanNode => {
      if (gone.has(id)) return { kind: 'literal', value: 0, axes: [], origin: node.origin };
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
