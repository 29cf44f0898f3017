import type { Kind } from '../kind.js';
import { checkScan } from './compile.js';
import { emitLevels, isLevel, LEVELS } from './levels.js';
import { signatureAt, sizesOf, specAt } from './spec.js';

/** Recurrences: kernels for every target, a Python package, and the oracle. */
export const scanKind: Kind = {
  words: ['scan', 'scans'],
  kernels: 'always',
  levels: { check: LEVELS, build: LEVELS },
  weights: false,
  signature: signatureAt,
  async check(declaration, { given, levels }) {
    const spec = specAt(declaration, given);
    if (!('nodes' in spec)) return { found: [spec], text: '' };
    const lowered = checkScan(spec, sizesOf(given));
    if (!('module' in lowered)) return { found: [lowered], text: '' };
    const wanted = levels.filter(isLevel);
    return { found: [], text: wanted.length === 0 ? '' : emitLevels(spec, [lowered], wanted) };
  },
  async explain(host, declaration, request) {
    const { explainDeclared } = await import('./explain/explain.js');
    return explainDeclared(host, declaration, request);
  },
  useless({ from, sizes, training }) {
    if ('file' in from && sizes.size > 0) return 'the sizes of a scan come from the tensors of --inputs; --size is for random ones';
    return training ? '--training is for layers, mixtures and models' : undefined;
  },
  async prepare(host, declaration, request) {
    const { prepareDeclared } = await import('./run/declared.js');
    return prepareDeclared(host, declaration, request);
  },
  async build(host, declaration, request) {
    const { buildScan } = await import('./build.js');
    return buildScan(host, declaration, request);
  },
  async python(host, declaration, request) {
    const { packageScan } = await import('./torch.js');
    const made = await packageScan(host, declaration, request);
    return 'signature' in made ? { scan: made } : made;
  },
};
