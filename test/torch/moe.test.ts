import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeHost } from '../../src/driver/host.js';
import { lowerGraph } from '../../src/driver/graph/kernels.js';
import { isProblem, openSource } from '../../src/driver/session.js';
import { halvesOf, keyOf } from '../../src/support/noise.js';
import { NO_EXAMPLES } from '../examples.js';
import { compiler } from '../unit/cuda/emulate.js';
import { NO_TORCH, PYTHON } from './python.js';
import { buildStandIn, copyRuntime } from './stand-in.js';

const SIZES = new Map([['D', 64], ['F', 64], ['E', 4], ['k', 2]]);

function small() {
  const source = openSource(nodeHost(), 'examples/moe/softmax.lmoe');
  if (isProblem(source)) throw new Error(source.title);
  const { graph } = source.parts.elaborate('olmoe', SIZES, true);
  const made = graph && lowerGraph(graph, true, 64);
  if (made === undefined || !('lowered' in made)) throw new Error('olmoe has no kernels');
  return made;
}

const skip = NO_TORCH !== undefined || !compiler || NO_EXAMPLES;
describe.skipIf(skip)(`the bench of mixtures without a device (skipped: ${NO_TORCH ?? 'no g++ or no examples'})`, () => {
  it('a mixture by its names, errors, rows, peers', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lmoec-moe-'));
    try {
      copyRuntime(folder);
      const { lowered, names } = small();
      buildStandIn(folder, lowered.module, 'bf16', { programs: 2, least: 1 }, names);
      const keys = [[0, 'a.b', 0, 0], [7, 'expert', 3, 2], [2 ** 40 + 5, '', 2 ** 33, 0]] as const;
      writeFileSync(join(folder, 'keys.json'), JSON.stringify(keys.map(([seed, path, step, number]) => (
        { seed, path, step, number, halves: halvesOf(keyOf(seed, path, step, number)) }
      ))));
      const done = spawnSync(PYTHON ?? 'python3', [join(import.meta.dirname, 'moe.py'), folder], {
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
