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
    useless({ backend = 'oracle', target, dtype }) {
      if (
        (backend !== 'oracle' && kernels === 'asked') || (backend === 'oracle' && target === undefined && dtype === 'f32')
      ) return undefined;
      return kernels === 'never' ? `kernels do not exist yet for ${several}: leave --backend, --target and --dtype out`
        : '--target and --dtype are for kernels: add --backend webgpu or cuda';
    },
    async prepare(host, declaration, request) {
      const { prepareDeclared } = await import('./declared.js');
      return prepareDeclared(host, declaration, request);
    },
    async build(host, declaration, request) {
      const { buildGraph } = await import('./build.js');
      return buildGraph(host, declaration, request);
    },
    python: undefined,
  };
}
