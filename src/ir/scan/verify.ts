import { includesAll, sameAxes, unionAxes, withoutAxes, type Axis } from '../common/axes.js';
import {
  gateAxes, homesOf, nodeArguments, stageOperands, stageResults,
  type MatrixStage, type NodeId, type Reader, type ScanNode, type ScanProgram, type Stage,
} from './scan.js';

/** Everything that is wrong with a program, one sentence each; empty when it is well formed. Every complaint is a mistake of ours. */
export function verifyScan(program: ScanProgram): readonly string[] {
  const { nodes, stages, roots } = program;
  const faults: string[] = [];
  nodes.forEach((node, id) => faults.push(...nodeFaults(program, node, id).map((text) => `node ${id} ${text}`)));
  // What is not even a list in order cannot be asked where its values are known.
  if (faults.length > 0) return faults;
  const homes = homesOf(nodes);
  stages.forEach((stage, index) => {
    const late = stageOperands(stage).filter((id) => nodes[id] === undefined || homes[id] >= index);
    const named = [...new Set(late)].map((id) => `node ${id} of stage ${homes[id]}`);
    if (named.length > 0) faults.push(`stage ${index} reads ${named.join(', ')}`);
    faults.push(...stageFaults(program, stage, index).map((text) => `stage ${index} ${text}`));
  });
  for (const { kind, value } of roots) {
    if (value !== undefined && nodes[value] === undefined) faults.push(`a ${kind} is node ${value}, which there is not`);
  }
  return faults;
}

function nodeFaults({ nodes, stages, roots }: ScanProgram, node: ScanNode, id: NodeId): string[] {
  const faults: string[] = [];
  if (nodeArguments(node).some((arg) => arg >= id || nodes[arg] === undefined)) return ['reads a node that is not before it'];
  switch (node.kind) {
    case 'map':
      if (!sameAxes(node.axes, unionAxes(...node.args.map((arg) => nodes[arg].axes)))) {
        faults.push(`${node.fn} does not have the axes of its arguments`);
      }
      break;
    case 'reduce':
      if (!sameAxes(node.axes, withoutAxes(nodes[node.arg].axes, [node.axis]))) {
        faults.push(`does not have the axes that folding ${node.axis} leaves`);
      }
      break;
    case 'result': {
      const axes = stages[node.stage] && stageResults(stages[node.stage])[node.slot];
      if (axes === undefined) faults.push(`is result ${node.slot} of stage ${node.stage}, which there is not`);
      else if (!sameAxes(axes, node.axes)) faults.push(`does not have the axes of result ${node.slot} of stage ${node.stage}`);
      break;
    }
    case 'past':
      if (!sameAxes(node.axes, nodes[node.arg].axes)) faults.push('does not have the axes of what it is at other tokens');
      if (node.states.length === 0) faults.push('is of no token before');
      if (reachesResult(nodes, node.arg)) faults.push('is of tokens before of what a stage gives');
      break;
    case 'ahead':
      if (nodes[node.of] === undefined || node.of >= id) faults.push('is of a node that is not before it');
      else if (nodes[node.of].kind !== 'cotangent' && !roots.some((root) => root.kind === 'kept' && root.value === node.of)) {
        faults.push('is of what nothing keeps');
      }
      break;
    case 'literal': case 'size': case 'head': case 'heads': case 'input': case 'param': case 'cotangent': case 'last': break;
  }
  return faults;
}

function reachesResult(nodes: readonly ScanNode[], id: NodeId): boolean {
  return homesOf(nodes.slice(0, id + 1))[id] >= 0;
}

function stageFaults(program: ScanProgram, stage: Stage, index: number): readonly string[] {
  const within: Within = (id, axes, what) => (
    id === undefined || includesAll(axes, program.nodes[id]?.axes ?? []) ? [] : [`has a ${what} with axes beyond ${axes.join(', ')}`]
  );
  switch (stage.kind) {
    case 'matrix': return [...matrixFaults(stage, within), ...walkFaults(program, stage, index)];
    case 'element': return [...within(stage.decay, stage.axes, 'decay'), ...within(stage.write, stage.axes, 'write')];
    case 'matrix-adjoint': case 'element-adjoint': {
      const of = program.stages.indexOf(stage.of);
      const results = stageResults(stage.of);
      return [
        ...(of < 0 || of >= index ? ['is the adjoint of no earlier stage'] : []),
        ...(stage.given.length === results.length ? [] : ['has not one cotangent for every result']),
        ...stage.given.flatMap((id, slot) => within(id, results[slot] ?? [], 'cotangent')),
      ];
    }
  }
}

/** Complains about a value with other axes than it may have. */
type Within = (id: NodeId | undefined, axes: readonly Axis[], what: string) => readonly string[];

function matrixFaults(stage: MatrixStage, within: Within): readonly string[] {
  const { rowAxis, valueAxes, gate, sources, reads } = stage;
  const readerFaults = (reader: Reader, what: string) => [
    ...within(reader.row, [rowAxis], what),
    ...(reader.sees.length === sources.length ? [] : [`has a ${what} that does not say of every write whether it is seen`]),
    ...(reader.before && gate.kind !== 'none' && reader.sees.includes(true)
      ? [`has a ${what} of the state before its decay that sees writes after it`] : []),
  ];
  const sees = (i: number, j: number) => sources[i].erase?.sees[j] === true;
  return [
    ...(valueAxes.includes(rowAxis) ? ['folds one of its value axes'] : []),
    ...(gate.kind === 'none' ? [] : within(gate.log, gateAxes(gate), 'gate')),
    ...sources.flatMap(({ col, value, erase }) => [
      ...within(col, [rowAxis], 'column'), ...within(value, valueAxes, 'written value'),
      ...(erase ? readerFaults(erase, 'row of an erase') : []),
    ]),
    ...reads.flatMap((read) => readerFaults(read, 'row of a read')),
    // The system that a chunk solves is triangular: of two writes one comes first.
    ...sources.flatMap((_, i) => sources.slice(0, i + 1).flatMap((_, j) => (
      sees(i, j) && sees(j, i) ? [`has writes ${j} and ${i} that see each other`] : []
    ))),
  ];
}

/** Walks over one state are counted from 0, and those along one axis do the same to it. */
function walkFaults({ stages }: ScanProgram, stage: MatrixStage, index: number): readonly string[] {
  const earlier = stages.slice(0, index).filter((other): other is MatrixStage => other.kind === 'matrix' && other.state === stage.state);
  if (earlier.length !== stage.walk) return [`is walk ${stage.walk} after ${earlier.length} others`];
  const update = ({ rowAxis, gate, sources }: MatrixStage) => JSON.stringify([rowAxis, gate, sources]);
  const like = earlier.find(({ rowAxis }) => rowAxis === stage.rowAxis);
  return like === undefined || update(like) === update(stage) ? [] : ['does something else to its state than an earlier walk'];
}
