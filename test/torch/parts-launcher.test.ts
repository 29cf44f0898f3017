import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { portionFlows } from '../../src/driver/graph/divided.js';
import { lowerFlow, lowerGraph } from '../../src/driver/graph/kernels.js';
import { graphsAt, ioOf, partOf } from '../../src/driver/graph/torch.js';
import { nodeHost } from '../../src/driver/host.js';
import { isProblem, openSource } from '../../src/driver/session.js';
import type { IoDtype } from '../../src/ir/common/dtype.js';
import { ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { compiler } from '../unit/cuda/emulate.js';
import { emptyFolder } from './package.js';
import { referencesIn } from './parts.js';
import { NO_TORCH, PYTHON } from './python.js';
import { buildStandIn } from './stand-in.js';

/** Experts of a rank. */
const LOCAL = 3;
const SIZES = { D: 64, F: 64, E: 4, k: 2 };

/** Runs parts_values.py on the emulated kernels of a mixture, or of a part of it; gives what it prints when it fails. */
function check(file: string, name: string, settings: Readonly<Record<string, number>>, mode: string, dtype: IoDtype): string {
  const source = openSource(nodeHost(), join(ROOT, file));
  if (isProblem(source)) throw new Error(source.title);
  const part = source.parts.list.find((one) => one.name === name);
  if (part === undefined) throw new Error(`there is no ${name}`);
  const declaration = { source, part };
  const graphs = graphsAt(declaration, new Map(Object.entries(settings)));
  if ('diagnostics' in graphs) throw new Error(source.renderThese(graphs.diagnostics, false));
  const portions = portionFlows(graphs, [LOCAL]);
  const portion = 'reason' in portions ? undefined : portions.find(({ key }) => key === mode);
  const whole = lowerGraph(graphs[mode === 'eval' ? mode : 'train'], true, 64);
  const made = portion === undefined ? whole : lowerFlow({ name, doc: '' }, portion.flow, true, 64);
  if (!('lowered' in made) || !('lowered' in whole)) throw new Error(`${name} has no kernels`);
  const signature = partOf(declaration, graphs, ioOf([whole]));
  if (signature === undefined) throw new Error(`${name} has no reference`);
  const folder = emptyFolder();
  try {
    referencesIn(folder.path, [{ name, signature, graphs }]);
    buildStandIn(folder.path, made.lowered.module, dtype, { programs: 2, least: 1 }, made.names);
    const plans = join(folder.path, 'plans', made.lowered.module.name);
    const [sizes] = readdirSync(plans);
    const target = `cuda.sm90.${dtype}`;
    mkdirSync(join(plans, target));
    renameSync(join(plans, sizes, target), join(plans, target, mode));
    writeFileSync(join(folder.path, 'case.json'), JSON.stringify({
      name, mode, dtype, folder: made.lowered.module.name, sizes: { experts: LOCAL, columns: Number(settings['k'] ?? 1) },
    }));
    const done = spawnSync(PYTHON ?? 'python3', [join(import.meta.dirname, 'parts_values.py'), folder.path], {
      encoding: 'utf8', env: {
        ...process.env, LD_LIBRARY_PATH: join(folder.path, 'lib'), OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1',
      },
    });
    return done.status === 0 ? '' : `${done.stdout}\n${done.stderr}`;
  } finally {
    folder.remove();
  }
}

const skip = NO_TORCH !== undefined || !compiler || NO_EXAMPLES;
describe.skipIf(skip)(`kernels of mixtures by the runtime of packages (skipped: ${NO_TORCH ?? 'no g++ or no examples'})`, () => {
  it.each([
    ['examples/moe/softmax.lmoe', 'olmoe', SIZES, 'train', 'bf16'],
    ['examples/moe/noise.lmoe', 'noisy_topk', SIZES, 'train', 'f32'],
    ['examples/moe/groups.lmoe', 'deepseek_v3', { D: 32, F: 16, S: 16, G: 2, M: 4, keep: 1, k: 2 }, 'train', 'f32'],
    ['examples/moe/capacity.lmoe', 'switch', { D: 32, F: 16, E: 4 }, 'eval', 'f32'],
    ['examples/moe/groups.lmoe', 'deepseek_v3', { D: 32, F: 16, S: 16, G: 2, M: 4, keep: 1, k: 2 }, 'route_train', 'f32'],
    ['examples/moe/groups.lmoe', 'latent', { D: 64, Z: 64, F: 64, S: 64, E: 4, k: 2 }, 'combine_eval', 'bf16'],
    ['examples/moe/groups.lmoe', 'deepseek_v3', { D: 32, F: 16, S: 16, G: 2, M: 4, keep: 1, k: 2 }, 'experts-3', 'f32'],
    ['examples/moe/softmax.lmoe', 'olmoe', SIZES, 'experts-3', 'bf16'],
    ['examples/moe/softmax.lmoe', 'olmoe', SIZES, 'experts_by_id-3', 'bf16'],
    ['examples/moe/gates.lmoe', 'llama4', { D: 32, F: 16, E: 4, k: 2 }, 'experts_by_id-3', 'f32'],
    ['examples/layers/feed_forward.lmoe', 'swiglu', { D: 64, F: 128 }, 'train', 'bf16'],
  ] as const)('%s: %s, %j, %s', (file, name, settings, mode, dtype) => {
    expect(check(file, name, settings, mode, dtype)).toBe('');
  });
});
