import { describe, expect, it } from 'vitest';
import { countsOf } from '../../../../src/passes/graph/counts.js';
import { FILES, graphOf, open, readText } from './files.js';

/** Of what the published figures count all, all but the embedding that ids are looked up in, or neither that nor the head. */
type Basis = 'all' | 'in' | 'both';

interface Row {
  readonly model: string;
  readonly settings?: Readonly<Record<string, number | string>>;
  /** Of the total and of the active params. */
  readonly basis?: readonly [Basis, Basis];
  readonly params: number;
  readonly active?: number;
  readonly perToken: number;
  readonly perSequence: number;
  readonly windows?: number;
  readonly buffers?: number;
}

const LARGER = { D: 2048, L: 16, H: 16, F: 1024 };

/**
 * States of `layers` scans and three tokens of the channels of their convolutions: queries, keys and values (inputs, b and c) each have
 * their own.
 */
const convolved = (layers: number, state: number, channels: number): number => layers * (state + 3 * channels);

const ROWS: readonly Row[] = [
  { model: 'linear_moe', basis: ['both', 'both'], params: 2_178_112_000, active: 328_423_936, perToken: 0, perSequence: 1_572_864 },
  { model: 'linear_moe', settings: { kinds: 'LLLNLLLNLLLN' }, basis: ['both', 'both'], params: 2_174_861_440, active: 325_173_376,
    perToken: 6_144, perSequence: 1_179_648 },
  { model: 'linear_moe', settings: { ...LARGER, kinds: 'L'.repeat(16) }, basis: ['both', 'both'], params: 6_781_374_464,
    active: 1_144_229_888, perToken: 0, perSequence: 4_194_304 },
  { model: 'linear_moe', settings: { ...LARGER, kinds: 'LLLN'.repeat(4) }, basis: ['both', 'both'], params: 6_764_318_208,
    active: 1_127_173_632, perToken: 16_384, perSequence: 3_145_728 },
  { model: 'minimax_text_01', basis: ['all', 'both'], params: 456_089_655_296, active: 45_944_920_064, perToken: 20_480,
    perSequence: 73_400_320 },
  { model: 'hunyuan_turbos', params: 558_395_192_768, active: 56_337_003_968, perToken: 14_336,
    perSequence: convolved(57, 64 * 64 * 128, 4096 + 2048 + 2048) },
  { model: 'qwen3_next', basis: ['all', 'both'], params: 79_674_391_296, active: 3_252_599_552, perToken: 12_288,
    perSequence: convolved(36, 32 * 128 * 128, 2048 + 2048 + 4096) },
  { model: 'kimi_linear', basis: ['both', 'in'], params: 48_367_700_352, active: 3_106_965_888, perToken: 4_032,
    perSequence: convolved(20, 32 * 128 * 128, 3 * 4096) },
  { model: 'mixtral_8x7b', params: 46_702_792_704, active: 12_879_925_248, perToken: 65_536, perSequence: 0 },
  { model: 'deepseek_v3_671b', basis: ['all', 'in'], params: 671_026_404_352, active: 36_625_603_584, perToken: 35_136, perSequence: 0,
    buffers: 14_848 },
  { model: 'mamba2_130m', params: 128_989_632, perToken: 0, perSequence: convolved(24, 24 * 64 * 128, 1536 + 128 + 128) },
  { model: 'nemotron_3_nano', basis: ['all', 'in'], params: 31_577_937_344, active: 3_227_751_872, perToken: 3_072,
    perSequence: convolved(23, 64 * 64 * 128, 4096 + 1024 + 1024) },
  { model: 'granite_4_h_small', params: 32_207_337_984, active: 8_803_121_664, perToken: 8_192,
    perSequence: convolved(36, 128 * 64 * 128, 8192 + 128 + 128) },
  { model: 'rwkv7_1b5', params: 1_527_404_544, perToken: 0, perSequence: 3_244_032 },
  { model: 'gla_1b3', params: 1_365_514_240, perToken: 0, perSequence: 12_582_912 },
  { model: 'gpt_oss_20b', basis: ['all', 'in'], params: 20_914_757_184, active: 3_608_307_264, perToken: 12_288, perSequence: 0,
    windows: 1_572_864 },
  { model: 'tiny_linear_moe', params: 414_636, active: 193_452, perToken: 64, perSequence: convolved(3, 2 * 32 * 32, 32 + 32 + 64) },
];

describe.skipIf(FILES.length === 0)('whole models', () => {
  it.each(ROWS.map((row) => [row.model, JSON.stringify(row.settings ?? {}), row] as const))('%s %s', (model, _, row) => {
    const file = FILES.find((name) => name.endsWith('/models/' + model + '.lmoe'))
      ?? FILES.find((name) => open(name).parts.list.some((part) => part.name === model)) ?? '';
    const graph = graphOf(open(file), model, false, row.settings ?? {});
    const counts = countsOf(graph);
    const size = (name: string): number => graph.params.find((param) => param.name === name)?.axes.reduce((n, axis) => n * axis.size, 1)
      ?? 0;
    const without = (basis: Basis): number => (basis === 'all' ? 0 : size('embed')) + (basis === 'both' ? size('head') : 0);
    const [total, active] = row.basis ?? ['all', 'all'];
    expect({ ...counts, params: counts.params - without(total), active: counts.active - without(active) }).toEqual({
      params: row.params, active: row.active ?? row.params - without(active) + without(total), buffers: counts.buffers,
        perToken: row.perToken, perSequence: row.perSequence, windows: row.windows ?? 0,
    });
    if (row.buffers !== undefined) expect(counts.buffers).toBe(row.buffers);
  });
});

describe('what one token reads', () => {
  const active = (body: string): number => {
    const text = 'layer ffn(x: [D]) -> y: [D] with D = 10 { param w: [D]   y = w * x }\n'
      + 'moe f(x: [D], which: one of M) -> y: [D] with D = 10, G = 4, M = 3 {\n'
      + `param gate: [D, G, M]   use expert[G, M] = ffn   let s = x @ gate   ${body} }`;
    return countsOf(graphOf(readText(text), 'f')).active / 10 - 12;
  };
  it.each([
    ['let c = top[G, M, 2](s)   y = sum[G, M](s[c] * expert(x))', 2],
    ['let c = top[G, 2](max[M](s))   y = sum[G, M](s[c] * expert(x))', 6],
    ['let g = top[G, 2](max[M](s))   let c = top[G, M, 3](s[g])   y = sum[G, M](s[c] * expert(x))', 3],
    ['let a = top[G, M, 1](s)   let b = top[G, M, 2](-s)   y = sum[G, M](s[a or b] * expert(x))', 3],
    ['let a = top[G, M, 4](s)   let b = top[G, M, 2](s)   y = sum[G, M](s[a and b] * expert(x))', 2],
    ['y = sum[G, M](s[s > 0] * expert(x))', 12],
    ['let c = top[G, M, 2](s)   let k = top[tokens, 5](s[c])   y = sum[G, M](s[k] * expert(x))', 2],
    ['let c = top[M, 1](s)   y = sum[G, M](s[c] * expert(x))', 4],
    ['let e = expert(x)   y = (s @[G, M] sum[D](gate)) * sum[G](e[which])', 4],
  ])('%s', (body, members) => expect(active(body)).toBe(members));
});

describe('what runs for one token, of parts that look at other tokens', () => {
  const active = (body: string): number => {
    const text = 'layer block(x: [D]) -> y: [D] with D = 10 { param w: [D]   y = w * x[t-1] }\n'
      + `layer f(x: [D]) -> y: [D] with D = 10, E = 4 { param gate: [D, E]   use e[E] = block   let s = x @ gate
      let c = top[E, 2](s)   ${body} }`;
    return countsOf(graphOf(readText(text), 'f')).active / 10 - 4;
  };
  it('all that are handed it', () => expect(active('y = sum[E](s[c] * e(x))')).toBe(4));
  it('of what was chosen before, these', () => expect(active('y = sum[E](s[c] * e(x[c]))')).toBe(2));
});
