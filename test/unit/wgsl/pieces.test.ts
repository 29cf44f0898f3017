import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chunkFor } from '../../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { cutKernels } from '../../../src/backends/wgsl/pieces.js';
import { runTiles } from '../../../src/interp/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { draw } from '../passes/scans.js';
import { plain } from './templates.js';

const SIZES = new Map([['K', 16], ['V', 16]]);

/** So many erases, their keys normalised in the update: what kernels of chunks do grows with the square of their number. */
function erases(count: number): string {
  const each = Array.from({ length: count }, (_, i) => i + 1);
  const list = (stem: string) => each.map((i) => `${stem}${i}`).join(', ');
  const state = (i: number) => (i === count ? 'S' : `S${i}`);
  return `scan erases(q, ${list('k')}: [K], ${list('v')}: [V], g: [] in -0.5..0, ${list('b')}: [] in 0..1) -> o: [V] {
    state S: [K, V]
    let S0 = exp(g) * S[t-1]
    ${each.map((i) => `let n${i} = l2norm(k${i})`).join('\n')}
    ${each.map((i) => `${i === count ? '' : 'let '}${state(i)} = S${i - 1} + outer(n${i}, b${i} * (v${i} - n${i} @ S${i - 1}))`).join('\n')}
    o = l2norm(q) @ S / sqrt(K)
  }`;
}

function lowered(text: string) {
  const { specs, diagnostics } = frontend('erases.lmoe', text);
  if (specs.length === 0) throw new Error(diagnostics.map((d) => d.title).join('\n'));
  return { spec: specs[0], module: lowerScan(specs[0], SIZES, { chunk: chunkFor(SIZES) }).module };
}

const accessesIn = (text: string) => [...text.replace(/\/\/.*/g, '').matchAll(/\b(near|arena|p_\w+)\[/g)].length;

describe('kernels with much text', () => {
  const { spec, module } = lowered(erases(3));
  const cut = cutKernels(module);

  it('are cut into kernels that follow each other, well formed', () => {
    expect(cut.kernels.length).toBeGreaterThan(module.kernels.length);
    expect(verifyTiles(cut)).toEqual([]);
  });

  it('mean the same to the last bit', () => {
    const { given, cotangents } = draw(spec, SIZES, [37], 5);
    for (const program of ['forward', 'backward'] as const) {
      const run = (which: typeof module) => {
        const buffers = new Map([...given, ...(program === 'backward' ? cotangents : [])]);
        runTiles(which, program, { heads: 2, groups: 1, runs: { token: [[0, 37]] } }, buffers);
        return module.programs[program].gives.map((name) => [name, buffers.get(name)]);
      };
      const [whole, pieces] = [run(module), run(cut)];
      expect(whole.every(([, values]) => values !== undefined)).toBe(true);
      expect(pieces).toEqual(whole);
    }
  });

  it('stay bounded as erases are added, where kernels carry nothing from chunk to chunk', () => {
    const most = (count: number) => {
      const made = lowered(erases(count)).module;
      const { plan, files } = emitWgsl(made, { ...plain, dtype: 'f32' });
      const chunks = plan.kernels.filter(({ grid }) => grid[0].includes('chunks'));
      return { kernels: chunks.length, most: Math.max(...chunks.map(({ file }) => accessesIn(files.get(file) ?? ''))) };
    };
    const [two, four] = [most(2), most(4)];
    expect(four.kernels).toBeGreaterThan(two.kernels);
    expect(four.most).toBeLessThan(1.5 * two.most);
  });

  it('are left alone where they have little', () => {
    const text = readFileSync(join(import.meta.dirname, '../../programs/strong_gate.lmoe'), 'utf8');
    const { specs } = frontend('strong_gate.lmoe', text);
    const small = lowerScan(specs[0], SIZES, { chunk: chunkFor(SIZES) }).module;
    expect(cutKernels(small)).toBe(small);
  });
});
