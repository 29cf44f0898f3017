import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors, type WritableTensor } from '../../src/driver/run/safetensors.js';
import { paramsOf } from '../../src/ir/graph/paths.js';
import { nameMap } from '../../src/passes/names/name-map.js';
import { halfValue } from '../../src/support/float.js';
import { randomSource } from '../../src/support/random.js';
import { folderWith } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { open, tensorsOf, type Model, type Opened } from './native.js';
import { PUBLIC_MODELS } from './public-models.js';

const MODELS: readonly Model[] = [
  ...PUBLIC_MODELS.map(({ file, family, sizes }) => ({ file, family, settings: sizes })),
  ...PUBLIC_MODELS.filter(({ family }) => family === 'unpacked').map(({ file, sizes }) => ({ file, family: 'hf', settings: sizes })),
  ...PUBLIC_MODELS.filter(({ name }) => name === 'mamba2').map(({ file, sizes }) => ({ file, family: 'original', settings: sizes })),
  {
    file: 'examples/models/linear_moe.lmoe', family: 'mcore',
    settings: { D: 24, W: 40, L: 4, H: 2, F: 12, kinds: 'LLLN', 'ffn.E': 9, 'la.K': 4, 'la.V': 6, 'la.Z': 3, 'attn.K': 8, 'attn.I': 4 },
  },
  { file: 'examples/models/tiny_linear_moe.lmoe', family: 'hf', settings: {} },
];

const elements = (shape: readonly number[]): number => shape.reduce((n, extent) => n * extent, 1);

/** Random params; bf16 where the text does not want f32, so that both widths are carried. */
function randomParams({ graph }: Opened): ReadonlyMap<string, WritableTensor> {
  const { below } = randomSource(3, graph.name);
  const number = (): number => {
    const value = halfValue('bf16', below(65536));
    return Number.isFinite(value) ? value : 0;
  };
  return new Map(paramsOf(graph).map(({ path, axes, f32 }) => {
    const shape = axes.map(({ size }) => size);
    return [path, { dtype: f32 ? 'f32' : 'bf16', shape, data: Float32Array.from({ length: elements(shape) }, number) }];
  }));
}

describe.skipIf(NO_EXAMPLES)('checkpoints', () => {
  const folder = folderWith({});
  const at = (name: string): string => join(folder.path, name);
  afterAll(() => folder.remove());

  it.each(MODELS)('$file, names $family, go out and come back bit by bit', async (model) => {
    const opened = open(model);
    const name = model.file.replace(/\W/g, '_') + model.family;
    const params = randomParams(opened);
    writeFileSync(at(`${name}.in`), writeSafetensors(params));
    const total = [...params.values()].reduce((sum, { shape, dtype }) => sum + elements(shape) * (dtype === 'f32' ? 4 : 2), 0);
    const written = await opened.exporting(at(`${name}.in`), at(name), { shard: Math.ceil(total / 3) });
    expect(written.files).toBeGreaterThan(3);
    const back = await opened.importing(at(name), at(`${name}.out`));
    expect(back.bytes).toBe(total);
    expect(tensorsOf(at(`${name}.out`))).toEqual(tensorsOf(at(`${name}.in`)));

    // The index names every tensor once, and every file has what it says.
    const { weight_map: map } = JSON.parse(readFileSync(join(at(name), 'model.safetensors.index.json'), 'utf8'));
    const files = readdirSync(at(name)).filter((file) => file.endsWith('.safetensors'));
    const found = files.flatMap((file) => [...tensorsOf(join(at(name), file)).keys()].map((tensor) => [tensor, file]));
    expect(Object.fromEntries(found)).toEqual(map);
    expect(found.length).toBe(written.tensors);
    const stored = nameMap(opened.graph, model.family).map?.tensors.map((tensor) => tensor.name) ?? [];
    expect(new Set(Object.keys(map))).toEqual(new Set(stored));
  }, 60_000);

  describe('of a mixture', () => {
    const model: Model = {
      file: 'examples/models/qwen3_next.lmoe', family: 'hf', settings: PUBLIC_MODELS.find(({ name }) => name === 'qwen3_next')?.sizes ?? {},
    };
    let opened: Opened;
    let native: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>;
    beforeAll(async () => {
      opened = open(model);
      writeFileSync(at('native'), writeSafetensors(randomParams(opened)));
      native = tensorsOf(at('native'));
      await opened.exporting(at('native'), at('hf'));
    });
    const param = (path: string): { readonly shape: readonly number[]; readonly data: ArrayLike<number> } => {
      const found = native.get(path);
      if (found === undefined) throw new Error(path);
      return found;
    };

    it('have the rows of fused tensors where plain loops put them', () => {
      expect(existsSync(join(at('hf'), 'model.safetensors'))).toBe(true);
      const stored = tensorsOf(join(at('hf'), 'model.safetensors'));
      const [J, R, K, V, D] = [2, 2, 8, 12, 32];
      const fused = stored.get('model.layers.4.linear_attn.in_proj_qkvz.weight');
      expect(fused?.shape).toEqual([J * (2 * K + 2 * R * V), D]);
      const expected: number[] = [];
      for (let j = 0; j < J; j++) {
        for (const name of ['Wq', 'Wk']) {
          for (let k = 0; k < K; k++) for (let d = 0; d < D; d++) expected.push(param(`gdn.4.${name}`).data[(d * J + j) * K + k]);
        }
        for (const name of ['Wv', 'Wz']) {
          for (let r = 0; r < R; r++) for (let v = 0; v < V; v++) {
            for (let d = 0; d < D; d++) expected.push(param(`gdn.4.${name}`).data[((d * J + j) * R + r) * V + v]);
          }
        }
      }
      expect([...Array.from(fused?.data ?? [])]).toEqual(expected);
      const up = stored.get('model.layers.3.mlp.experts.7.up_proj.weight');
      const { data } = param('ffn.3.expert.up');
      expect(up?.shape).toEqual([16, 32]);
      expect(Array.from(up?.data ?? [])).toEqual(
        Array.from({ length: 16 * 32 }, (_, i) => data[(7 * 32 + (i % 32)) * 16 + Math.floor(i / 32)]),
      );
    });

    it('are rounded to a dtype that is asked for, but for what stays f32', async () => {
      const done = await opened.importing(at('hf'), at('half'), { dtype: 'f16' });
      expect(done.dtypes).toEqual({ f32: 12, f16: done.params - 12 });
      const half = tensorsOf(at('half'));
      expect(half.get('gdn.0.A_log')?.dtype).toBe('f32');
      expect(half.get('embed')?.dtype).toBe('f16');
    });
  });
});
