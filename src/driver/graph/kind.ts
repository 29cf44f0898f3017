import type { Kind } from '../kind.js';
import { BUILD_LEVELS, checkGraph, LEVELS } from './check.js';
import { signatureAt } from './signature.js';

/** Layers, mixtures and models are graphs: checked, counted, run with gradients in the interpreter. Some have kernels. */
export function graphKind(one: string, several: string, kernels: 'asked' | 'never'): Kind {
  return {
    words: [one, several],
    kernels,
    levels: { check: LEVELS, build: kernels === 'asked' ? BUILD_LEVELS : [] },
    weights: true,
    signature: signatureAt,
    check: checkGraph,
    async explain(host, declaration, request) {
      const { explainDeclared } = await import('./explain/explain.js');
      return explainDeclared(host, declaration, request, kernels === 'asked');
    },
    useless({ backend, target, dtype }) {
      const asked = target !== undefined || dtype !== 'f32';
      if (kernels === 'never') return asked || (backend ?? 'oracle') !== 'oracle'
        ? `kernels do not exist yet for ${several}: leave --backend, --target and --dtype out` : undefined;
      return asked && backend === 'oracle'
        ? '--target and --dtype are for kernels, which want a device: `lmoec doctor` shows what was found' : undefined;
    },
    async prepare(host, declaration, request) {
      const { prepareDeclared } = await import('./declared.js');
      return prepareDeclared(host, declaration, request);
    },
    async build(host, declaration, request) {
      const { buildGraph } = await import('./build.js');
      return buildGraph(host, declaration, request);
    },
    python: kernels === 'never' ? undefined : async (host, declaration, request) => {
      const { packagePart } = await import('./torch.js');
      const made = await packagePart(host, declaration, request);
      return 'signature' in made ? { part: made } : made;
    },
  };
}
