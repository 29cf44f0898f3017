import { describe, expect, it } from 'vitest';
import { ROW } from '../../../src/ir/common/axes.js';
import type { TileKernel, TileStmt } from '../../../src/ir/tile/tile.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { programOf } from '../../programs.js';
import { specOf } from './scans.js';

const SIZES = new Map([['K', 8], ['V', 8]]);

/** What the kernels of a scan do with every channel of every token: functions of one element each. */
function perElement({ tiles, body }: TileKernel): readonly string[] {
  const functions = (stmts: readonly TileStmt[]): readonly string[] => stmts.flatMap((stmt) => {
    if (stmt.kind === 'loop') return functions(stmt.body);
    return stmt.kind === 'let' && stmt.op.op === 'map' && tiles[stmt.tile].axes.includes(ROW) && tiles[stmt.tile].axes.length > 1
      ? [stmt.op.fn]
      : [];
  });
  return functions(body);
}

/** The gate is bounded: one that is not makes pairs of tokens cancel, which costs more where vectors have numbers in front. */
function kernelsOf(q: string, written = 'v'): readonly TileKernel[] {
  const spec = specOf(`scan f(q, k: [K], v: [V], g: [] in -5..0) -> o: [V] {
    state S: [K, V]
    let P = exp(g) * S[t-1]
    S = P + outer(k, ${written})
    o = (${q}) @ S
  }`);
  return lowerScan(spec, SIZES).module.kernels;
}

describe('what a formula says of vectors', () => {
  it.each(['l2norm(q)', 'q / (1 + sum[K](q * q))', 'rmsnorm[K](q)', 'softmax[K](q)'])('takes no division per channel: %s', (q) => {
    for (const kernel of kernelsOf(q)) expect(perElement(kernel), kernel.name).not.toContain('div');
  });

  it('a norm costs its gradient six operations per channel: a square, a product to sum, four for the vector', () => {
    const count = (q: string) => kernelsOf(q).filter(({ name }) => name.includes('gradients')).flatMap(perElement).length;
    expect(count('l2norm(q)') - count('q')).toBeLessThanOrEqual(6);
  });

  it('numbers per token are worked out once: walks and gradients load them', () => {
    const { kernels } = lowerScan(programOf('written'), SIZES).module;
    const functionsOf = (stmts: readonly TileStmt[]): readonly string[] => stmts.flatMap((stmt) => (
      stmt.kind === 'loop' ? functionsOf(stmt.body) : stmt.kind === 'let' && stmt.op.op === 'map' ? [stmt.op.fn] : []));
    for (const { name, body } of kernels.filter(({ name: of }) => /walk|states|reverse/.test(of))) {
      expect(functionsOf(body), name).not.toContain('sigmoid');
    }
    for (const { name, body } of kernels.filter(({ name: of }) => of.includes('gradients'))) {
      expect(functionsOf(body), name).not.toContain('sqrt');
    }
    expect(kernels.find(({ name }) => name === 'S_prepare')?.doc).toContain('once for all kernels');
  });

  /** Gates of channels that the scan computes: vectors are stored as operands have them. */
  const channels = () => lowerScan(specOf(`scan f(q, k: [K], v: [V], g: [K]) -> o: [V] {
    state S: [K, V]
    let key = l2norm(k)
    let P = exp(-5 * sigmoid(g)) * S[t-1]
    S = P + outer(key, v - key @ P)
    o = l2norm(q) @ S
  }`), SIZES).module.kernels;
  const loads = ({ body }: TileKernel) => body.flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'load' ? [stmt.op.buffer] : []));

  it('a vector whose quotient by its norm was stored is that times the norm: gradients load one of them', () => {
    const found = channels().filter(({ name }) => name.includes('gradients')).flatMap(loads);
    expect(found.filter((name) => name.startsWith('ws.value')).length).toBeGreaterThan(1);
    expect(found).not.toContain('q');
    expect(found).not.toContain('k');
  });

  it('a gate that is never clamped asks nothing of its gradient', () => {
    for (const kernel of channels()) expect(perElement(kernel), kernel.name).not.toContain('less');
  });

  it('vectors made for scores are stored before these, which read them as operands', () => {
    for (const { name, body } of channels().filter((kernel) => kernel.name.includes('prepare'))) {
      const score = body.findIndex((stmt) => stmt.kind === 'let' && stmt.op.op === 'dscore');
      const stored = body.flatMap((stmt, at) => (stmt.kind === 'store' && /read0|erase0|col0/.test(stmt.buffer) ? [at] : []));
      expect(stored.length, name).toBe(3);
      expect(Math.max(...stored), name).toBeLessThan(score);
    }
  });

  it('what is 0 beyond the sequence whatever params are is not cut off there: a vector over its norm', () => {
    const kept = ({ body, tiles }: TileKernel) => body.filter((stmt) => (
      stmt.kind === 'let' && stmt.op.op === 'keep' && tiles[stmt.tile].axes.length > 1
    )).length;
    // The gate's.
    for (const kernel of channels().filter(({ name }) => name.includes('prepare'))) expect(kept(kernel), kernel.name).toBe(1);
  });

  it('gradients that take much per channel are apart, and explain says so', () => {
    const docOf = (q: string, written: string) => kernelsOf(q, written).find(({ name }) => name === 'gradients')?.doc;
    const [some, much] = ['l2norm(silu(q) * sigmoid(q))', 'l2norm(silu(q) * sigmoid(tanh(softplus(q))))'];
    expect(docOf('l2norm(q)', 'v - k @ P')).toBeUndefined();
    expect(docOf(some, 'v - k @ P')).toContain('apart');
    // Without solves there are registers for more.
    expect(docOf(some, 'v')).toBeUndefined();
    expect(docOf(much, 'v')).toContain('apart');
  });
});
