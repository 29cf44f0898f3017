import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluate } from '../../src/interp/graph/machine.js';
import { folderWith } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { open, tensorsOf } from './native.js';
import { PUBLIC_MODELS, type PublicModel } from './public-models.js';

const python = process.env['LMOEC_PYTHON'] ?? 'python3';
const LIBRARIES = 'import torch, safetensors, transformers; assert transformers.__version__.startswith("5.17.")';

/** Imports a checkpoint and compares the logits of its text with those of a reference: the largest difference beside the largest logit. */
async function distance({ file, family, sizes }: PublicModel, checkpoint: string, reference: string, native: string): Promise<number> {
  const { graph, importing } = open({ file, family, settings: sizes });
  await importing(checkpoint, native);
  const params = new Map([...tensorsOf(native)].map(([path, { data }]) => [path, Float64Array.from(data)]));
  const [ids, logits] = ['ids', 'logits'].map((name) => tensorsOf(reference).get(name));
  if (ids === undefined || logits === undefined) throw new Error('the reference is not whole');
  const [batch, tokens] = ids.shape;
  const { outputs } = evaluate(graph, {
    program: 'eval', params, inputs: new Map([['ids', Float64Array.from(ids.data)]]), lengths: Array.from({ length: batch }, () => tokens),
  });
  const found = outputs.get('logits') ?? new Float64Array(0);
  expect(found.length).toBe(logits.data.length);
  const largest = Array.from(logits.data).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return found.reduce((most, value, i) => Math.max(most, Math.abs(value - logits.data[i])), 0) / largest;
}

const of = (library: PublicModel['library']): readonly PublicModel[] => PUBLIC_MODELS.filter((model) => model.library === library);
const done = spawnSync(python, ['-c', LIBRARIES], { encoding: 'utf8' });
const why = NO_EXAMPLES
  ? 'there are no examples'
  : done.status === 0
  ? undefined
  : `${python} lacks torch, safetensors or transformers 5.17`;

describe.skipIf(why !== undefined)(`classes of transformers have the logits that texts say${why === undefined ? '' : `: ${why}`}`, () => {
  const folder = folderWith({});
  beforeAll(() => {
    const args = [join(import.meta.dirname, 'public_models.py'), folder.path, ...of('transformers').map(({ name }) => name)];
    const made = spawnSync(python, args, { encoding: 'utf8' });
    expect(made.status, made.stderr).toBe(0);
  }, 600_000);
  afterAll(() => folder.remove());

  // Both sides compute in f64.
  it.each(of('transformers'))('$name', async (model) => {
    const at = (name: string): string => join(folder.path, name);
    const found = await distance(model, at(model.name), at(`${model.name}.reference.safetensors`), at(`${model.name}.native`));
    expect(found).toBeLessThan(1e-10);
  }, 120_000);
});

describe.skipIf(NO_EXAMPLES)('classes of flash-linear-attention have the logits that texts say', () => {
  const folder = folderWith({});
  afterAll(() => folder.remove());

  // Its kernels compute in f32. They need Triton, so what they gave is kept: `public_models.py` makes it again.
  it.each(of('fla'))('$name', async (model) => {
    const kept = join(import.meta.dirname, 'fla', model.name);
    const found = await distance(model, `${kept}.safetensors`, `${kept}.reference.safetensors`, join(folder.path, model.name));
    expect(found).toBeLessThan(1e-5);
  });
});
