import { mkdtempSync, readFileSync, rmSync, writeFileSync, readdirSync, existsSync } from 'node:fs';
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

  it('is made of the longest sources first; what fails is said with its kernel', async () => {
    const log = join(folder, 'log');
    const script = `#!/bin/sh\nhead -1 kernel.cu >> ${log}\ncp kernel.cu kernel.cubin; cp kernel.cu kernel.ptx\n`
      + 'grep -q wrong kernel.cu && echo "kernel.cu(4): error: identifier wrong is undefined" >&2 && exit 2\nexit 0\n';
    writeFileSync(join(folder, 'telling'), script, { mode: 0o755 });
    const host = { ...nodeHost(), cores: 1, cacheFolder: undefined };
    const compiler = { found: true, program: join(folder, 'telling'), version: '13.0' } as const;
    const of = (text: string) => [
      `// ${text.length}`, 'extern "C" __global__ void __launch_bounds__(256, 2) first(int x) {}', 'extern "C" __global__ void second() {',
      text,
    ].join('\n');
    const jobs = cudaJobs('f/', PLAN, new Map(['a', 'ccc', 'bb'].map((text) => [`${text}.cu`, of(text)])));
    await compileCuda(host, compiler, jobs, () => undefined);
    expect(readFileSync(log, 'utf8')).toBe('// 3\n// 2\n// 1\n');
    const failed = await compileCuda(host, compiler, cudaJobs('f/', PLAN, new Map([['k.cu', of('wrong')]])), () => undefined);
    expect('code' in failed && failed.title).toBe(
      'nvcc does not compile f/k.cu, second: kernel.cu(4): error: identifier wrong is undefined'
    );
  });
});
