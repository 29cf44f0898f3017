import { mkdtempSync, rmSync, writeFileSync, readdirSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeHost } from '../../../src/driver/host.js';
import { compileCuda, cudaJobs } from '../../../src/driver/nvcc.js';

const PLAN = { prelude: 'prelude.cuh', target: 'cuda.sm90' } as const;

describe('machine code', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lmoec-nvcc-'));
    // As nvcc, which finds what a source includes beside it.
    const script = '#!/bin/sh\ncat kernel.cu prelude.cuh > kernel.cubin; cp kernel.cubin kernel.ptx\n';
    writeFileSync(join(folder, 'nvcc'), script, { mode: 0o755 });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const compiled = async (files: Readonly<Record<string, string>>): Promise<string> => {
    const host = { ...nodeHost(), cacheFolder: join(folder, 'cache') };
    const [job] = cudaJobs('f/', PLAN, new Map(Object.entries(files)));
    const made = await compileCuda(host, { found: true, program: join(folder, 'nvcc'), version: '13.0' }, [job], () => undefined);
    return 'code' in made ? made.title : new TextDecoder().decode(made.get('f/k.cu')?.cubin);
  };
  const kept = (): number => (existsSync(join(folder, 'cache/nvcc')) ? readdirSync(join(folder, 'cache/nvcc')).length : 0);

  it('is made of a source and of what it includes, and kept under both', async () => {
    expect(await compiled({ 'k.cu': 'kernels\n', 'prelude.cuh': 'helpers' })).toBe('kernels\nhelpers');
    expect(kept()).toBe(2);
    expect(await compiled({ 'k.cu': 'kernels\n', 'prelude.cuh': 'helpers' })).toBe('kernels\nhelpers');
    expect(kept()).toBe(2);
    expect(await compiled({ 'k.cu': 'kernels\n', 'prelude.cuh': 'other helpers' })).toBe('kernels\nother helpers');
    expect(kept()).toBe(4);
  });
});
