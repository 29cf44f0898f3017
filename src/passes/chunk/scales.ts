import type { Axis } from '../../ir/common/axes.js';
import { scanBuilder } from '../../ir/scan/build.js';
import {
  nodeArguments, stageOperands, type MatrixStage, type NodeId, type Reader, type Root, type ScanNode, type ScanProgram, type Source,
  type Stage,
} from '../../ir/scan/scan.js';
import { graphOf } from './graph.js';
import { pairs } from '../../support/pairs.js';

/**
 * (row @ S) * c is (c * row) @ S: a number in front of what is read goes into the row that reads, where it meets the scores. Then nothing
 * stands between the read and what is stored, nor, backward, between a cotangent in memory and the products that use it.
 */
export function foldScales(program: ScanProgram, sizeOf: (axis: Axis) => number): ScanProgram {
  const graph = graphOf(program.nodes, sizeOf);
  const uses = usesOf(program);
  const replaced = new Map<NodeId, NodeId>();
  const scales = pairs<number>();
  program.nodes.forEach((node, id) => {
    if (node.kind !== 'result' || uses.get(id)?.length !== 1 || program.stages[node.stage].kind !== 'matrix') return;
    const user = uses.get(id)?.[0];
    const scale = user === undefined ? undefined : scaleOf(program.nodes[user], id, graph.literal);
    if (user === undefined || scale === undefined) return;
    replaced.set(user, id);
    scales.set(node.stage, node.slot, scale);
  });
  if (replaced.size === 0) return program;

  const of = (id: NodeId): NodeId => replaced.get(id) ?? id;
  const maybe = (id: NodeId | undefined) => (id === undefined ? undefined : of(id));
  const b = scanBuilder(program.nodes.map((node) => withArguments(node, of)));
  const reader = (read: Reader, scale = 1): Reader => ({
    ...read, row: scale === 1 ? of(read.row) : b.map('mul', of(read.row), b.literal(scale)),
  });
  const source = (s: Source): Source => ({ col: of(s.col), value: maybe(s.value), erase: s.erase && reader(s.erase) });
  const matrix = (stage: MatrixStage, index: number): MatrixStage => ({
    ...stage,
    gate: stage.gate.kind === 'none' ? stage.gate : { ...stage.gate, log: of(stage.gate.log), factor: maybe(stage.gate.factor) },
    sources: stage.sources.map(source),
    reads: stage.reads.map((read, slot) => reader(read, scales.get(index, slot))),
  });
  const stages = program.stages.map((stage, index): Stage => {
    switch (stage.kind) {
      case 'matrix': return matrix(stage, index);
      case 'element': return { ...stage, decay: maybe(stage.decay), write: maybe(stage.write) };
      case 'matrix-adjoint': case 'element-adjoint': throw new Error('scales are folded before differentiation');
    }
  });
  const roots = program.roots.map(
    (root) : Root => (root.kind === 'output' || root.kind === 'final' ? { ...root, value: of(root.value) } : root)
  );
  return { nodes: b.nodes, stages, roots };
}

/** The number that a node multiplies `result` by, if it does nothing else. */
function scaleOf(node: ScanNode, result: NodeId, literal: (id: NodeId) => number | undefined): number | undefined {
  if (node.kind !== 'map') return undefined;
  const [x, y] = node.args;
  if (node.fn === 'neg') return -1;
  if (node.fn === 'mul') return literal(x === result ? y : x);
  if (node.fn !== 'div' || x !== result) return undefined;
  const divisor = literal(y);
  return divisor === undefined || divisor === 0 ? undefined : 1 / divisor;
}

function withArguments(node: ScanNode, of: (id: NodeId) => NodeId): ScanNode {
  switch (node.kind) {
    case 'map': return { ...node, args: node.args.map(of) };
    case 'reduce': case 'past': return { ...node, arg: of(node.arg) };
    case 'ahead': case 'last': case 'literal': case 'size': case 'head': case 'heads': case 'input': case 'param': case 'cotangent':
    case 'result': return node;
  }
}

/** Who reads each node: other nodes by id, stages and roots as undefined. Nodes that nothing reads count for nothing. */
function usesOf(program: ScanProgram): ReadonlyMap<NodeId, readonly (NodeId | undefined)[]> {
  const uses = new Map<NodeId, (NodeId | undefined)[]>();
  const reached = new Set<NodeId>();
  const read = (id: NodeId, by: NodeId | undefined): void => {
    uses.set(id, [...(uses.get(id) ?? []), by]);
    if (reached.has(id)) return;
    reached.add(id);
    for (const arg of nodeArguments(program.nodes[id])) read(arg, id);
  };
  program.stages.forEach((stage) => stageOperands(stage).forEach((id) => read(id, undefined)));
  program.roots.forEach((root) => root.value !== undefined && read(root.value, undefined));
  return uses;
}
