import { nodeArguments, type NodeId, type ScanProgram } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { ErrorClass } from '../tolerance.js';
import type { SignatureTensor } from './signature.js';

/**
 * Which allowed error a tensor has. Gradients of gates have one of their own, since they are differences of large sums (kernels.md 4.4):
 * those of what a decay is computed from, and of scalars per token or head (beta).
 */
export function errorClasses(spec: Spec, scan: ScanProgram | undefined): (tensor: SignatureTensor) => ErrorClass {
  const gates = scan === undefined ? new Set<string>() : gateNames(spec, scan);
  return (tensor) => {
    switch (tensor.role) {
      case 'output': return 'output';
      case 'final': return 'final';
      case 'gradient': return gates.has(tensor.of) || tensor.axes.length === 0 ? 'gate-gradient' : 'gradient';
      case 'input': case 'param': case 'initial': case 'cotangent': throw new Error(`${tensor.name} is given, not compared`);
    }
  };
}

/** Names of inputs and params that decays are computed from. */
function gateNames(spec: Spec, scan: ScanProgram): ReadonlySet<string> {
  const names = new Set<string>();
  const seen = new Set<NodeId>();
  const visit = (id: NodeId): void => {
    if (seen.has(id)) return;
    seen.add(id);
    const node = scan.nodes[id];
    if (node.kind === 'input') names.add(spec.inputs[node.input].name);
    if (node.kind === 'param') names.add(spec.params[node.param].name);
    nodeArguments(node).forEach(visit);
  };
  for (const stage of scan.stages) {
    if (stage.kind === 'matrix' && stage.gate.kind !== 'none') visit(stage.gate.log);
    if (stage.kind === 'element' && stage.decay !== undefined) visit(stage.decay);
  }
  return names;
}
