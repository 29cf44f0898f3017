import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { emptyFolder, packageIn, python } from './package.js';
import { lacks, NO_TORCH } from './python.js';

const reason = NO_TORCH ?? (NO_EXAMPLES ? 'there are no examples' : lacks('transformers', 'accelerate'));

describe.skipIf(reason !== undefined)(`examples/torch/hybrid${reason === undefined ? '' : `: ${reason}`}`, () => {
  const folder = emptyFolder();
  let path = '';
  beforeAll(async () => {
    path = await packageIn(
      folder.path, 'gated_delta', readFileSync(join(ROOT, 'examples/gated_delta.lmoe'), 'utf8'), new Map([['K', 16], ['V', 16]]),
    );
  });
  afterAll(() => folder.remove());

  /** The last line of what pytest says. */
  const passed = (file: string): string => python(
    ['-m', 'pytest', '-q', '-p', 'no:warnings', '-p', 'no:cacheprovider', `test/torch/${file}`], ROOT,
    { PYTHONPATH: path, CUDA_VISIBLE_DEVICES: '', HF_HUB_OFFLINE: '1' },
  ).trim().split('\n').at(-1) ?? '';

  it('is a model of transformers: trained, generating, cached, padded, packed, built on meta, saved and read', () => {
    expect(passed('hybrid_cases.py')).toMatch(/^\d+ passed in/);
  });

  it('is sharded over two ranks as one process has it, with decays in float32, and exported for from_pretrained', () => {
    expect(passed('hybrid_ranks.py')).toMatch(/^\d+ passed in/);
  });

  const titan = lacks('torchtitan.protocols.train_spec', 'transformers');
  it.skipIf(titan !== undefined)(`is known to torchtitan and built there on meta${titan === undefined ? '' : `: ${titan}`}`, () => {
    expect(passed('hybrid_titan.py')).toMatch(/^1 passed in/);
  });
});
