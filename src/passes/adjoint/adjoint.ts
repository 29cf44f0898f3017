import { withoutAxes } from '../../ir/common/axes.js';
import { scanBuilder, type ScanBuilder } from '../../ir/scan/build.js';
import {
  adjointSlots, homesOf, stageResults, type NodeId, type Root, type ScanNode, type ScanProgram, type Stage,
} from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { aheadOf } from './ahead.js';
import { accumulate, pullBack, sumOver, type Cotangents } from './differentiate.js';
import { overflows } from './overflow.js';

/**
 * The backward program of a scan: reverse mode over its values, and for every stage its adjoint. The forward stages stay at their indices;
 * those whose results the backward values need are run again. Cotangents of final states and gradients of initial states belong to the
 * stages.
 */
export function adjoint(spec: Spec, forward: ScanProgram): ScanProgram {
  const b = scanBuilder(forward.nodes);
  const overflow = overflows(b, spec);
  const homes = homesOf(forward.nodes);
  const stages: Stage[] = [...forward.stages];
  const cotangents: Cotangents = new Map();
  const ahead = aheadOf(b);
  const roots: Root[] = [];
  for (const root of forward.roots) {
    if (root.kind === 'output') {
      const { axes, origin } = spec.outputs[root.output];
      accumulate(b, cotangents, root.value, b.node({ kind: 'cotangent', output: root.output, axes, origin }));
    }
    if (root.kind === 'final') {
      const { axes, origin } = spec.states[root.state];
      accumulate(b, cotangents, root.value, b.node({ kind: 'last', state: root.state, back: 0, axes, origin }));
      roots.push({ kind: 'initial-gradient', state: root.state, at: 0, value: undefined });
    }
  }
  /** What a value of earlier tokens gets goes back to them, and beyond the first to the states that stand for them. */
  const pullBackPast = (id: NodeId): void => {
    const node = b.nodes[id];
    const cotangent = cotangents.get(id);
    if (node.kind !== 'past' || cotangent === undefined) return;
    const { arg, states } = node;
    accumulate(b, cotangents, arg, ahead.later(cotangent, states.length, arg));
    states.forEach((state, i) => roots.push({
      kind: 'initial-gradient', state, at: states.length - 1 - i, value: ahead.later(cotangent, 0, arg),
    }));
  };
  for (let home = forward.stages.length - 1; home >= -1; home--) {
    for (let id = forward.nodes.length - 1; id >= 0; id--) {
      if (homes[id] !== home) continue;
      pullBack(b, cotangents, id, overflow);
      pullBackPast(id);
    }
    if (home >= 0) stages.push(pullBackStage(b, cotangents, forward.stages[home], home, stages.length, forward.nodes));
  }
  const gradientOf = (wanted: (n: ScanNode) => boolean) => {
    const id = forward.nodes.findIndex(wanted);
    const value = id < 0 ? undefined : cotangents.get(id);
    return value === undefined ? undefined : ahead.settled(value);
  };
  spec.inputs.forEach((_, input) => roots.push({
    kind: 'input-gradient', input, value: gradientOf((n) => n.kind === 'input' && n.input === input),
  }));
  spec.params.forEach((_, param) => roots.push({
    kind: 'param-gradient', param, value: gradientOf((n) => n.kind === 'param' && n.param === param),
  }));
  return { nodes: b.nodes, stages, roots: [...roots, ...ahead.roots()] };
}

/** Appends the adjoint of stage `index` as stage `at` and hands its results on to the operands. */
function pullBackStage(b: ScanBuilder, cotangents: Cotangents, stage: Stage, index: number, at: number, nodes: readonly ScanNode[]): Stage {
  const given = stageResults(stage).map((_, slot) => {
    const leaf = nodes.findIndex((n) => n.kind === 'result' && n.stage === index && n.slot === slot);
    return leaf < 0 ? undefined : cotangents.get(leaf);
  });
  switch (stage.kind) {
    case 'matrix': {
      const adjointStage: Stage = { kind: 'matrix-adjoint', of: stage, given, origin: stage.origin };
      adjointSlots(stage).forEach(({ operand }, slot) => spread(b, cotangents, operand, result(b, adjointStage, at, slot)));
      return adjointStage;
    }
    case 'element': {
      const adjointStage: Stage = { kind: 'element-adjoint', of: stage, given, origin: stage.origin };
      const total = result(b, adjointStage, at, 0);
      if (stage.write !== undefined) spread(b, cotangents, stage.write, total);
      if (stage.decay !== undefined) {
        const old = b.node({ kind: 'result', stage: index, slot: 1, axes: stage.axes, origin: stage.origin });
        spread(b, cotangents, stage.decay, b.map('mul', total, old));
      }
      return adjointStage;
    }
    case 'matrix-adjoint': case 'element-adjoint': throw new Error('second derivatives are not derived');
  }
}

/** An operand with fewer axes than its stage asks for was broadcast: its cotangent sums over the others. */
function spread(b: ScanBuilder, cotangents: Cotangents, operand: NodeId, cotangent: NodeId): void {
  accumulate(b, cotangents, operand, sumOver(b, cotangent, withoutAxes(b.axesOf(cotangent), b.axesOf(operand))));
}

function result(b: ScanBuilder, stage: Stage, at: number, slot: number): NodeId {
  return b.node({ kind: 'result', stage: at, slot, axes: stageResults(stage)[slot], origin: stage.origin });
}
