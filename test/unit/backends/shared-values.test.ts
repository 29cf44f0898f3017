import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { specOf } from '../passes/scans.js';
import { templates as cuda } from '../cuda/templates.js';
import { templates as wgsl } from '../wgsl/templates.js';

/** Each line uses the one before twice: 2^24 ways through them. */
const lines = Array.from({ length: 24 }, (_, i) => `let a${i + 1} = a${i} * a${i}`).join('\n').replace('a0 * a0', 'a * a');
const SHARED: readonly (readonly [what: string, axes: string, update: string, read: string])[] = [
  ['a factor of what is read', '[V]', 'S[t-1] + outer(k, v)', '(q @ S) * a24'],
  ['a gate', '[] in 0..1', 'a24 * S[t-1] + outer(k, v)', 'q @ S'],
];

describe('texts of kernels take no longer than the values they share', () => {
  it.each(SHARED)('%s', (_, axes, update, read) => {
    const spec = specOf(`scan f(q, k: [K], v: [V], a: ${axes}) -> o: [V] { state S: [K, V]\n${lines}\nS = ${update}\no = ${read} }`);
    const { module } = lowerScan(spec, new Map([['K', 16], ['V', 16]]), { chunk: 16 });
    const source = { source: { hash: '', compiler: '', command: '' }, doc: '' };
    const texts = [
      emitWgsl(module, { ...source, dtype: 'f32', templates: wgsl }).files,
      emitCuda(module, { ...source, dtype: 'bf16', target: 'cuda.sm90', templates: cuda }).files,
    ].map((files) => [...files.values()].join('').length);
    expect(texts.filter((length) => !(length > 1000 && length < 1e6))).toEqual([]);
  });
});
