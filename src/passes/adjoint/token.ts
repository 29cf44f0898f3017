import { scanBuilder } from '../../ir/scan/build.js';
import type { NodeId, Root, ScanNode, TokenProgram } from '../../ir/scan/scan.js';
import type { Spec, SpecNode } from '../../ir/spec/spec.js';
import { accumulate, pullBack, type Cotangents } from './differentiate.js';
import { overflows } from './overflow.js';

/** The formula, one step. */
export function forwardToken(spec: Spec): TokenProgram {
  const node = (n: SpecNode): ScanNode => (
    n.kind === 'prev' ? { kind: 'result', stage: n.state, slot: 1, axes: n.axes, origin: n.origin } : n
  );
  return {
    nodes: spec.nodes.map(node),
    roots: spec.outputs.map((output, index) => ({ kind: 'output', output: index, value: output.value })),
    next: spec.states.map((state) => state.next),
    pulled: [],
  };
}

/** Reverse mode through one step. */
export function backwardToken(spec: Spec, forward: TokenProgram): TokenProgram {
  const b = scanBuilder(forward.nodes);
  const overflow = overflows(b, spec);
  const cotangents: Cotangents = new Map();
  spec.outputs.forEach(({ value, axes, origin }, output) => accumulate(
    b, cotangents, value, b.node({ kind: 'cotangent', output, axes, origin }),
  ));
  spec.states.forEach(({ next, axes, origin }, s) => accumulate(
    b, cotangents, next, b.node({ kind: 'result', stage: spec.states.length + s, slot: 0, axes, origin }),
  ));
  for (let id = forward.nodes.length - 1; id >= 0; id--) pullBack(b, cotangents, id, overflow);
  const gradientOf = (wanted: (n: ScanNode) => boolean): NodeId | undefined => {
    const id = forward.nodes.findIndex(wanted);
    return id < 0 ? undefined : cotangents.get(id);
  };
  const roots: Root[] = [
    ...spec.inputs.map(
      (_, input) : Root => ({ kind: 'input-gradient', input, value: gradientOf((n) => n.kind === 'input' && n.input === input) })
    ),
    ...spec.params.map(
      (_, param) : Root => ({ kind: 'param-gradient', param, value: gradientOf((n) => n.kind === 'param' && n.param === param) })
    ),
  ];
  const pulled = spec.states.map((_, s) => gradientOf((n) => n.kind === 'result' && n.stage === s && n.slot === 1));
  return { nodes: b.nodes, roots, next: forward.next, pulled };
}
