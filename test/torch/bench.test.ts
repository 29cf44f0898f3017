import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NO_EXAMPLES } from '../examples.js';
import { compileExample } from '../unit/cuda/compiled.js';
import { compiler } from '../unit/cuda/emulate.js';
import { NO_TORCH, PYTHON } from './python.js';
import { buildStandIn, copyRuntime } from './stand-in.js';

const skip = NO_TORCH !== undefined || !compiler || NO_EXAMPLES;
describe.skipIf(skip)(`benches without a device (skipped: ${NO_TORCH ?? 'no g++ or no examples'})`, () => {
  it('limits, tables, rows, plans, peers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lmoec-bench-'));
    try {
      copyRuntime(folder);
      const { module } = await compileExample('gla', 64, 'bf16', 'cuda.sm90');
      buildStandIn(folder, module, 'bf16', { programs: 4, least: 1 });
      const done = spawnSync(PYTHON ?? 'python3', [join(import.meta.dirname, 'bench.py'), folder], {
        encoding: 'utf8', env: {
          ...process.env, LD_LIBRARY_PATH: join(folder, 'lib'), OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1',
        },
      });
      expect(done.status === 0 ? '' : `${done.stdout}\n${done.stderr}`).toBe('');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
