import type { ScanProgram } from '../../../ir/scan/scan.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { gateNames } from '../../../passes/pipeline.js';
import type { ErrorClass } from '../../tolerance.js';
import type { SignatureTensor } from '../../../ir/common/signature.js';

/**
 * Which allowed error a tensor has. Gradients of gates have one of their own, since they are differences of large sums (docs/algorithms.md:
 * tolerances): those of what a decay is computed from, and of scalars per token or head (beta).
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
