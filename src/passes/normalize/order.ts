import {
  nodeArguments, stageOperands, type MatrixStage, type NodeId, type ScanNode, type ScanProgram, type Stage,
} from '../../ir/scan/scan.js';
import { pairs, type Pairs } from '../../support/pairs.js';
import { placed, type Places } from './places.js';

/** A walk over a state: the stage as it was found, and those of its reads that this walk makes. */
interface Walk {
  readonly stage: number;
  readonly reads: readonly number[];
}

/**
 * The program with its stages in an order in which each reads earlier ones only, whatever needs what: updates, or the vectors that outputs
 * read a state along. A state that is read along a vector made from another read of it is walked once more.
 */
export function inOrder(program: ScanProgram): ScanProgram {
  const walks = walksOf(program);
  const places: Places = pairs();
  const stages = walks.map(({ stage, reads }, at): Stage => {
    const found = program.stages[stage];
    if (found.kind !== 'matrix') {
      for (const slot of [0, 1]) places.set(stage, slot, [at, slot]);
      return found;
    }
    reads.forEach((read, slot) => places.set(stage, read, [at, slot]));
    const walk = walks.slice(0, at).filter((earlier) => isOf(program.stages[earlier.stage], found.state)).length;
    return { ...found, reads: reads.map((read) => found.reads[read]), walk };
  });
  return { nodes: placed(program.nodes, places), stages, roots: program.roots };
}

function isOf(stage: Stage, state: number): boolean {
  return stage.kind === 'matrix' && stage.state === state;
}

function walksOf({ nodes, stages }: ScanProgram): readonly Walk[] {
  const walks: Walk[] = [];
  const done = pairs<true>();
  const waiting = new Map(stages.map((stage, index) => [index, new Set(stage.kind === 'matrix' ? stage.reads.keys() : [])] as const));
  while (waiting.size > 0) {
    const isKnown = knownBy(nodes, done);
    const ready = [...waiting].filter(([index]) => updateOperands(stages[index]).every(isKnown)).map(([index, reads]) => {
      const stage = stages[index];
      return {
        stage: index, reads: [...reads].filter((read) => stage.kind === 'matrix' && isKnown(stage.reads[read].row)), missing: reads,
      };
    });
    // A walk that makes all reads of its state first; else one that makes some, so that others can come after it.
    const next = ready.find(({ reads, missing }) => reads.length === missing.size) ?? ready.find(({ reads }) => reads.length > 0);
    if (next === undefined) throw new Error('stages wait for each other');
    walks.push({ stage: next.stage, reads: next.reads });
    const made = stages[next.stage].kind === 'matrix' ? next.reads : [0, 1];
    made.forEach((slot) => done.set(next.stage, slot, true));
    if (next.reads.length === next.missing.size) waiting.delete(next.stage);
    else next.reads.forEach((read) => next.missing.delete(read));
  }
  return walks;
}

/** What a stage needs for its state alone, whoever reads it. */
function updateOperands(stage: Stage): readonly NodeId[] {
  return stageOperands(stage.kind === 'matrix' ? { ...stage, reads: [] } satisfies MatrixStage : stage);
}

/** Is a value made of these results only? */
function knownBy(nodes: readonly ScanNode[], done: Pairs<true>): (id: NodeId) => boolean {
  const known: boolean[] = [];
  nodes.forEach((node, id) => {
    known[id] = node.kind === 'result' ? done.has(node.stage, node.slot) : nodeArguments(node).every((arg) => known[arg]);
  });
  return (id) => known[id];
}
