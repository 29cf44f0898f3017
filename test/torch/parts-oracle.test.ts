import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { emptyFolder, python } from './package.js';
import { referencesIn, smallParts, vectorsOf } from './parts.js';
import { NO_TORCH } from './python.js';

const SEED = 7;
const LENGTHS = [5, 0, 9, 1, 6];
/** Those of examples/layers that look at one token at a time. */
const LAYERS = ['swiglu', 'geglu', 'reglu', 'silu_ffn', 'gelu_ffn', 'relu_ffn', 'relu2_ffn', 'clamped_swiglu'];

interface Found {
  readonly missing: readonly string[];
  readonly worst: Readonly<Record<string, number>>;
}

const reason = NO_TORCH ?? (NO_EXAMPLES ? 'there are no examples' : undefined);
const FILES = NO_EXAMPLES ? [] : readdirSync(join(ROOT, 'examples/moe')).map((name) => `examples/moe/${name}`);

describe.skipIf(reason !== undefined)(`references of mixtures against the oracle${reason === undefined ? '' : `: ${reason}`}`, () => {
  const folder = emptyFolder();
  let names: readonly string[] = [];
  let found: Readonly<Record<string, Found>> = {};
  beforeAll(() => {
    const parts = [...FILES, 'examples/layers/feed_forward.lmoe'].flatMap((file) => smallParts(join(ROOT, file)));
    names = parts.map(({ name }) => name);
    referencesIn(folder.path, parts);
    for (const { name, graphs } of parts) for (const mode of ['train', 'eval'] as const) {
      writeFileSync(join(folder.path, `${name}-${mode}.safetensors`), vectorsOf(graphs[mode], LENGTHS, SEED));
    }
    found = JSON.parse(python([join(import.meta.dirname, 'parts_oracle.py'), folder.path, String(SEED)], folder.path));
  });
  afterAll(() => folder.remove());

  it('has all mixtures and layers of the examples', () => {
    expect(names).toEqual(expect.arrayContaining(LAYERS));
    expect(names.length).toBe(LAYERS.length + 21);
    expect(Object.keys(found).length).toBe(2 * names.length);
  });

  it('outputs, losses, counts, updates and gradients are those of the oracle, by the formulas and by autograd', () => {
    for (const [name, { missing, worst }] of Object.entries(found)) {
      expect(missing.filter((one) => !one.startsWith('expect.count.')), name).toEqual([]);
      for (const [what, error] of Object.entries(worst)) expect(error, `${name}: ${what}`).toBeLessThan(1e-10);
    }
  });
});
