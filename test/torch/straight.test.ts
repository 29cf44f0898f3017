import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { compiler } from '../unit/cuda/emulate.js';
import { emptyFolder, packageIn, python } from './package.js';
import { NO_TORCH } from './python.js';
import { buildRecorder } from './stand-in.js';

const skip = NO_TORCH !== undefined || !compiler || NO_EXAMPLES;
describe.skipIf(skip)(`calls without torch's dispatcher (skipped: ${NO_TORCH ?? 'no g++ or no examples'})`, () => {
  const folder = emptyFolder();
  afterAll(() => folder.remove());
  it('where nobody stands between', async () => {
    const at = await packageIn(folder.path, 'pkg', readFileSync(join(ROOT, 'examples/gla.lmoe'), 'utf8'), new Map([['K', 64], ['V', 64]]));
    const plan = join(at, 'pkg/plans/gla/K64_V64/cuda.sm80.bf16');
    for (const source of readdirSync(plan).filter((name) => name.endsWith('.cu'))) {
      writeFileSync(join(plan, source.replace('.cu', '.cubin')), 'machine code');
    }
    buildRecorder(folder.path);
    const environment = { LD_LIBRARY_PATH: join(folder.path, 'lib'), PYTHONDONTWRITEBYTECODE: '1' };
    python([join(import.meta.dirname, 'straight.py'), at], folder.path, environment);
    const bench = [join(ROOT, 'bench/host_torch.py'), at, '--without-device', '--bursts', '2'];
    const rows = python(bench, folder.path, environment).trim().split('\n').slice(2).map((row) => row.trim().split(/ {2,}/));
    expect(rows.map(([, what, call]) => `${what}: ${call}`)).toEqual([
      'runtime: forward', 'runtime: backward', 'runtime: backward of 20 layers', 'runtime: backward of 128 layers',
      'runtime: forward, packed', 'runtime: step in place', 'function: step', 'function: forward, no gradients',
      'function: forward, with gradients', 'function: backward, with gradients',
    ]);
    for (const [, , , micros, torch] of rows.slice(-2)) expect(Math.min(Number(micros), Number(torch))).toBeGreaterThan(0);
  });
});
