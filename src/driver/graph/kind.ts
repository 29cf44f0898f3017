import type { Kind } from '../kind.js';
import { checkGraph, LEVELS } from './check.js';
import { signatureAt } from './signature.js';

/** Layers, mixtures and models are graphs: checked, counted, run with gradients in the interpreter. There are no kernels for them yet. */
export function graphKind(one: string, several: string): Kind {
  return {
    words: [one, several],
    targets: [],
    levels: { check: LEVELS, build: [] },
    weights: true,
    signature: signatureAt,
    check: checkGraph,
    async explain(host, declaration, request) {
      const { explainDeclared } = await import('./explain/explain.js');
      return explainDeclared(host, declaration, request);
    },
    useless: ({ backend = 'oracle', target, dtype }) => (
      backend === 'oracle' && target === undefined && dtype === 'f32' ? undefined
        : 'kernels do not exist yet for layers, mixtures and models: leave --backend, --target and --dtype out'
    ),
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
