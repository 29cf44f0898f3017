import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluate } from '../../src/interp/graph/machine.js';
import { folderWith } from '../cli/lmoec.js';
import { open, tensorsOf } from './native.js';
import { PUBLIC_MODELS, type PublicModel } from './public-models.js';

const python = process.env['LMOEC_PYTHON'] ?? 'python3';
const MAKE = join(import.meta.dirname, 'public_models.py');

/** Why models of a library cannot be made here. */
function lacking(needs: PublicModel['needs']): string | undefined {
  const code = needs === 'fla' ? 'import torch, transformers, safetensors, triton, fla' : 'import torch, safetensors, transformers; assert transformers.__version__.startswith("5.17.")';
  const done = spawnSync(python, ['-c', code], { encoding: 'utf8', env: { ...process.env, TRITON_INTERPRET: '1' } });
  if (done.status === 0) return undefined;
  return needs === 'fla' ? `${python} lacks torch, flash-linear-attention 0.5.2 or triton` : `${python} lacks torch, safetensors or transformers 5.17`;
}

/** Rounding of f64 on both sides; kernels of f32 leave what f32 leaves. */
const ALLOWED: Readonly<Record<PublicModel['needs'], number>> = { transformers: 1e-10, fla: 1e-5 };

describe.each(['transformers', 'fla'] as const)('models of %s', (needs) => {
  const models = PUBLIC_MODELS.filter((model) => model.needs === needs);
  const why = lacking(needs);

  describe.skipIf(why !== undefined)(`have the logits that their text says${why === undefined ? '' : `: ${why}`}`, () => {
    const folder = folderWith({});
    beforeAll(() => {
      const done = spawnSync(python, [MAKE, folder.path, ...models.map(({ name }) => name)], { encoding: 'utf8' });
      expect(done.status, done.stderr).toBe(0);
    }, 600_000);
    afterAll(() => folder.remove());

    it.each(models)('$name', async ({ name, file, family, sizes }) => {
      const { graph, importing } = open({ file, family, settings: sizes });
      const out = join(folder.path, `${name}.native.safetensors`);
      const checkpoint = join(folder.path, name);
      const { files } = { files: readdirSync(checkpoint).filter((entry) => entry.endsWith('.safetensors')) };
      expect(files.length).toBeGreaterThan(0);
      await importing(checkpoint, out);
      const params = new Map([...tensorsOf(out)].map(([path, { data }]) => [path, Float64Array.from(data)]));

      const reference = tensorsOf(join(folder.path, `${name}.reference.safetensors`));
      const ids = reference.get('ids');
      const logits = reference.get('logits');
      if (ids === undefined || logits === undefined) throw new Error('the reference is not whole');
      const [batch, tokens] = ids.shape;
      const { outputs } = evaluate(
        graph,
        {
          program: 'eval',
          params,
          inputs: new Map([['ids', Float64Array.from(ids.data)]]),
          lengths: Array.from({ length: batch }, () => tokens),
        },
      );
      const found = outputs.get('logits') ?? new Float64Array(0);
      expect(found.length).toBe(logits.data.length);
      const largest = Array.from(logits.data).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const difference = found.reduce((most, value, i) => Math.max(most, Math.abs(value - logits.data[i])), 0);
      expect(difference / largest).toBeLessThan(ALLOWED[needs]);
    }, 120_000);
  });
});
