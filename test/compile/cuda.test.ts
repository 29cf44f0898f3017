import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { CudaTarget } from '../../src/backends/cuda/lowered.js';
import type { IoDtype } from '../../src/ir/common/dtype.js';
import { NO_EXAMPLES } from '../examples.js';
import { compileExample } from '../unit/cuda/compiled.js';

const found = [
  'nvcc', '/usr/local/cuda/bin/nvcc',
].find((path) => (path === 'nvcc' || existsSync(path)) && spawnSync(path, ['--version']).status === 0);

interface Compiled {
  readonly log: string;
  /** Bytes that a kernel spills, by its name. */
  readonly spills: ReadonlyMap<string, number>;
}

async function compile(name: string, size: number, dtype: IoDtype, target: CudaTarget): Promise<Compiled> {
  const { files, plan } = await compileExample(name, size, dtype, target);
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-nvcc-'));
  try {
    for (const [file, text] of files) writeFileSync(join(folder, file), text);
    const arch = target === 'cuda.sm90' ? '90a' : '80';
    const said: string[] = [];
    for (const file of new Set(plan.kernels.map((kernel) => kernel.file))) {
      const { stdout, stderr } = await promisify(execFile)(
        found ?? 'nvcc',
        ['-std=c++17', `-gencode=arch=compute_${arch},code=sm_${arch}`, '-cubin', '-Xptxas', '-v', '-o', 'kernels.cubin', file],
        { maxBuffer: 1 << 26, cwd: folder },
      );
      said.push(stdout, stderr);
    }
    const log = said.join('');
    const spills = new Map([...log.matchAll(/Function properties for (\w+)\s+\d+ bytes stack frame, (\d+) bytes spill stores/g)]
      .map((match) => [match[1], Number(match[2])]));
    return { log, spills };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Between them: solves, decay scores of both kinds, segments, groups, streams, plain products. */
const CASES: readonly (readonly [name: string, size: number, dtype: IoDtype, target: CudaTarget])[] = [
  ['gated_delta', 128, 'bf16', 'cuda.sm90'],
  ['gla', 128, 'bf16', 'cuda.sm90'],
  ['retention', 64, 'f16', 'cuda.sm90'],
  ['hgrn', 128, 'bf16', 'cuda.sm90'],
  ['kda', 64, 'f32', 'cuda.sm90'],
  ['simple_gla', 64, 'bf16', 'cuda.sm80'],
  ['mamba2', 64, 'f32', 'cuda.sm80'],
  ['rg_lru', 128, 'bf16', 'cuda.sm80'],
];

describe.skipIf(found === undefined || NO_EXAMPLES)('nvcc takes the text (skipped where nvcc is missing)', () => {
  it.each(CASES)('%s, axes of %i, %s, %s', async (name, size, dtype, target) => {
    const { log, spills } = await compile(name, size, dtype, target);
    // Notes of ptxas that tensor core instructions wait for each other.
    expect(log.match(/C75(0[1-9]|1[0-5])[^\n]*/g) ?? []).toEqual([]);
    expect(spills.size).toBeGreaterThan(2);
    // Walks on tensor cores must keep their state in registers; plain ones have it in shared memory.
    if (dtype !== 'f32') expect([...spills].filter(
      ([kernel, bytes]) => bytes > 0 && /walk|states|reverse|scan|ends/.test(kernel)
    )).toEqual([]);
  }, 180_000);

  it('products of solves are loops: three erases a token have 24 of them in a kernel', async () => {
    const { files, plan } = await compileExample('../test/programs/three_erases', 64, 'bf16', 'cuda.sm90');
    const folder = mkdtempSync(join(tmpdir(), 'lmoec-nvcc-'));
    try {
      for (const [file, text] of files) writeFileSync(join(folder, file), text);
      const [head, ...kernels] = (files.get(plan.kernels[0].file) ?? '').split(/^(?=extern "C" __global__)/m);
      const first = kernels.find((text) => text.includes(` ${plan.kernels[0].entry}(`)) ?? '';
      expect(first.match(/ S_prepare\(.*|compose_tf32/g)?.length).toBe(25);
      writeFileSync(join(folder, 'prepare.cu'), head + first);
      await promisify(execFile)(
        found ?? 'nvcc', ['-std=c++17', '-arch=sm_90a', '-cubin', '-o', 'prepare.cubin', 'prepare.cu'], { cwd: folder },
      );
      // 0.27 MB; written out, they were 1.4 MB, for which nvcc took ten times as long.
      expect(readFileSync(join(folder, 'prepare.cubin')).length).toBeLessThan(600_000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 180_000);
});
