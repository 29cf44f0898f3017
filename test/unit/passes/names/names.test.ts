import { readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Diagnostic } from '../../../../src/diagnostics/diagnostic.js';
import type { NameMap } from '../../../../src/ir/graph/stored.js';
import { frontend } from '../../../../src/passes/frontend.js';
import { nameMap } from '../../../../src/passes/names/name-map.js';
import { NO_EXAMPLES } from '../../../examples.js';

const ROOT = join(import.meta.dirname, '../../../..');
const read = (path: string): string | undefined => {
  try {
    return readFileSync(join(ROOT, normalize(path)), 'utf8');
  } catch {
    return undefined;
  }
};

type Settings = Readonly<Record<string, number | string>>;

function named(file: string, text: string, part: string, family: string, settings: Settings = {}): ReturnType<typeof nameMap> {
  const { parts } = frontend(file, text, read);
  const { graph } = parts.elaborate(part, new Map(Object.entries(settings)));
  if (graph === undefined) throw new Error(`${part} has no graph`);
  return nameMap(graph, family);
}

function mapOf(text: string, part = 'f', family = 'hf', settings: Settings = {}): NameMap {
  const { map, diagnostics } = named('test.lmoe', text, part, family, settings);
  if (map === undefined) throw new Error(diagnostics.map(({ title }) => title).join('; '));
  return map;
}

function faultsOf(text: string, part = 'f', family = 'hf'): readonly Diagnostic[] {
  return named('test.lmoe', text, part, family).diagnostics;
}

/** Which param and element each element of a tensor is: `up 3`. */
function contentOf(map: NameMap, name: string): readonly string[] {
  const tensor = map.tensors.find((one) => one.name === name);
  if (tensor === undefined) throw new Error(`no ${name} in ${map.tensors.map((one) => one.name).join(', ')}`);
  const found: string[] = [];
  for (const { param, from, at, axes } of tensor.pieces) {
    const walk = (depth: number, native: number, stored: number): void => {
      if (depth === axes.length) {
        expect(found[stored]).toBeUndefined();
        found[stored] = `${map.params[param].path} ${native}`;
        return;
      }
      for (let i = 0; i < axes[depth].size; i++) walk(depth + 1, native + i * axes[depth].native, stored + i * axes[depth].stored);
    };
    walk(0, from, at);
  }
  expect(found.length).toBe(tensor.dims.reduce((n, extent) => n * extent, 1));
  return found;
}

const FFN = `layer ffn(x: [D]) -> y: [D] with D = 2, F = 3 {
  param gate, up: [D, F], down: [F, D]
  y = (silu(x @ gate) * (x @ up)) @ down
  names hf { gate = "gate" [F, D]  up = "up" [F, D]  down = "down" [D, F] }
  names fused { gate, up = "both" [(F | F), D]  down = "down" }
  names rows { gate, up = "both" [F (1 | 1), D]  down = "down" }
}
`;

describe('layouts', () => {
  const one = (names: string, params = 'a, b: [D, H]'): NameMap => mapOf(
    `layer f(x: [D]) -> y: [D] with D = 2, H = 3, R = 2, J = 2 { param ${params}  y = x * sum[D, H](a) * sum[D, H](b)  `
      + `names hf { ${names} } }`,
  );

  it('are the axes of the param where none is written, and may be transposed', () => {
    const map = one('a = "a"  b = "b" [H, D]');
    expect(contentOf(map, 'a')).toEqual([0, 1, 2, 3, 4, 5].map((i) => `a ${i}`));
    expect(contentOf(map, 'b')).toEqual([0, 3, 1, 4, 2, 5].map((i) => `b ${i}`));
    expect(map.tensors.map(({ dims }) => dims)).toEqual([[2, 3], [3, 2]]);
  });

  it('join params one after the other, within an axis, and row by row', () => {
    expect(contentOf(one('a, b = "t" [(H | H), D]'), 't')).toEqual(
      [...[0, 3, 1, 4, 2, 5].map((i) => `a ${i}`), ...[0, 3, 1, 4, 2, 5].map((i) => `b ${i}`)],
    );
    expect(contentOf(one('a, b = "t" [D (H | H)]'), 't')).toEqual(
      ['a 0', 'a 1', 'a 2', 'b 0', 'b 1', 'b 2', 'a 3', 'a 4', 'a 5', 'b 3', 'b 4', 'b 5'],
    );
    expect(contentOf(one('a, b = "t" [D, H (1 | 1)]'), 't')).toEqual([0, 1, 2, 3, 4, 5].flatMap((i) => [`a ${i}`, `b ${i}`]));
    expect(one('a, b = "t" [1, D (H | H), 1]').tensors[0].dims).toEqual([1, 12, 1]);
  });

  it('join joins', () => {
    const map = mapOf(`layer f(x: [D]) -> y: [D] with D = 2, H = 2, K = 1 { param a, b: [D], c: [H, D]
      y = x * a * b * sum[H](c)  names hf { a, b, c = "t" [((1 | 1) | H), D] } }`);
    expect(contentOf(map, 't')).toEqual(['a 0', 'a 1', 'b 0', 'b 1', 'c 0', 'c 1', 'c 2', 'c 3']);
    expect(map.tensors[0].dims).toEqual([4, 2]);
  });
});

describe('names', () => {
  it('have turns with arithmetic, one tensor per index, prefixes, and parts with names of another family', () => {
    const map = mapOf(`${FFN}
      layer f(x: [D]) -> y: [D] with D = 2, E = 2, G = 2 {
        y = x
        repeat i, kind in "ab" {
          use expert[E, G] = ffn with F = 1
          use own = ffn
          y += sum[E, G](expert(x)) + own(x)
        }
        names hf { "layers.{2 * i + 1}." { expert "e.{E G}." like fused  own "own.{kind}." { down = "d" } } }
      }`);
    expect(map.tensors.map(({ name }) => name).filter((name) => name.startsWith('layers.3.'))).toEqual([
      ...[0, 1, 2, 3].map((e) => `layers.3.e.${e}.both`), ...[0, 1, 2, 3].map((e) => `layers.3.e.${e}.down`),
      'layers.3.own.b.gate', 'layers.3.own.b.up', 'layers.3.own.b.d',
    ]);
    expect(contentOf(map, 'layers.1.e.3.both')).toEqual(['expert.0.gate 6', 'expert.0.gate 7', 'expert.0.up 6', 'expert.0.up 7']);
    expect(contentOf(map, 'layers.1.own.a.d')).toEqual([0, 1, 2, 3, 4, 5].map((i) => `own.0.down ${i}`));
  });

  it('stack a family where no index is in the name', () => {
    const map = mapOf(`${FFN} layer f(x: [D]) -> y: [D] with D = 2, E = 2 { use expert[E] = ffn with F = 1  y = sum[E](expert(x))
      names hf { expert.gate, expert.up = "up" [E, D, F (1 | 1)]  expert.down = "down" [E, D, F] } }`);
    expect(contentOf(map, 'up')).toEqual([0, 1, 2, 3].flatMap((i) => [`expert.gate ${i}`, `expert.up ${i}`]));
  });

  it('leave out what a build lacks, and ignore patterns with prefixes', () => {
    const text = `layer f(x: [D]) -> y: [D] with D = 2, bias = 0 { param a: [D]  y = x * a  if bias == 1 { param b: [D]  y += b }
      names hf { a, b = "ab" [(D | D)]  c = "c"  repeat_ "r."  ignore "mtp.*"  "old." { ignore "w" } } }`;
    expect(contentOf(mapOf(text), 'ab')).toEqual(['a 0', 'a 1']);
    expect(contentOf(mapOf(text, 'f', 'hf', { bias: 1 }), 'ab')).toEqual(['a 0', 'a 1', 'b 0', 'b 1']);
    expect(mapOf(text).ignored).toEqual(['mtp.*', 'old.w']);
  });
});

describe('mistakes', () => {
  const layer = (names: string, params = 'a, b: [D, H]'): string => (
    `layer f(x: [D]) -> y: [D] with D = 2, H = 3 { param ${params}  y = x * sum[D, H](a) * sum[D, H](b)  names hf { ${names} } }`
  );
  const codes = (text: string): readonly string[] => faultsOf(text).map(({ code }) => code);

  it.each([
    ['a param without a name', 'a = "a"', 'E821', 'names hf` of `f` says nothing of `b`'],
    ['an axis that is not in the layout', 'a = "a" [D]  b = "b"', 'E822', 'axis `H` of `a` is not in it'],
    ['an axis twice', 'a = "a" [D H, H]  b = "b"', 'E822', 'twice'],
    ['an axis of somebody else', 'a = "a" [D, H, K]  b = "b"', 'E822', '`a` has no axis `K`'],
    ['an empty extent', 'a = "a" [D, H, 2]  b = "b"', 'E822', '12 elements, of which params fill 6'],
    ['fewer places than params', 'a, b = "t" [D, H]', 'E822', '2 params, but the layout has one place'],
    ['more places than params', 'a = "a" [(D | D), H]  b = "b"', 'E822', 'one param, but the layout has 2 places'],
    ['two params in one tensor', 'a = "t"  b = "t"', 'E823', '`t` has `b` and `a`'],
    ['braces without a formula', 'a = "a{1 +}"  b = "b"', 'E102', 'braces'],
    ['a brace that is not closed', 'a = "a{i"  b = "b"', 'E102', 'braces'],
    ['an unknown name in braces', 'a = "a.{i}"  b = "b"', 'E201', '`{i}`'],
    ['a quotient that is not whole', 'a = "a.{1 / 2}"  b = "b"', 'E102', 'no whole number'],
  ])('%s', (_, names, code, text) => {
    const found = faultsOf(layer(names));
    expect(found.map((d) => d.code)).toEqual([code]);
    expect(found[0].title).toContain(text);
    expect(found[0].help.length).toBeGreaterThan(0);
  });

  it('are told once, not in every turn', () => {
    const turns = (names: string): string => `${FFN} layer f(x: [D]) -> y: [D] with D = 2 { `
      + `y = x  repeat i in 0..9 { use own = ffn  y += own(x) }  names hf { ${names} } }`;
    expect(codes(turns('own "own."'))).toEqual(['E823']);
    expect(codes(turns('own "own.{i}." { up = "up" [F] }'))).toEqual(['E822']);
    expect(codes(turns('own "own.{i}." like w'))).toEqual(['E201', 'E821']);
    expect(codes(turns(''))).toEqual(['E821']);
  });

  it('of sizes that params in one tensor do not share', () => {
    const [found] = faultsOf(`layer f(x: [D]) -> y: [D] with D = 2, H = 3 { use a = ffn with F = 3  use b = ffn with F = 4  y = a(x) + b(x)
      names hf { a "a."  b "b."  a.up, b.up = "t" [F (D | D)] } } ${FFN}`);
    expect(found.title).toContain('`F` is 3 in `a.up` and 4 in `b.up`');
  });
});

describe.skipIf(NO_EXAMPLES)('published checkpoints', () => {
  const A1B = { D: 2048, L: 16, H: 16, F: 1024 };
  const ROWS: readonly (readonly [string, string, Settings, number])[] = [
    ['linear_moe', 'mcore', {}, 1683],
    ['linear_moe', 'mcore', { kinds: 'LLLN'.repeat(3) }, 1665],
    ['linear_moe', 'mcore', { ...A1B, kinds: 'L'.repeat(16) }, 2243],
    ['linear_moe', 'mcore', { ...A1B, kinds: 'LLLN'.repeat(4) }, 2219],
    ['minimax_text_01', 'hf', {}, 8243],
    ['qwen3_next', 'hf', {}, 74391],
    ['kimi_linear', 'hf', {}, 20493],
    ['mixtral_8x7b', 'hf', {}, 995],
    ['deepseek_v3_671b', 'hf', {}, 45395],
    ['mamba2_130m', 'hf', {}, 218],
    ['mamba2_130m', 'original', {}, 218],
    ['nemotron_3_nano', 'hf', {}, 6243],
    ['granite_4_h_small', 'hf', {}, 586],
    ['rwkv7_1b5', 'hf', {}, 795],
    ['gla_1b3', 'hf', {}, 339],
    ['gpt_oss_20b', 'hf', {}, 411],
    ['gpt_oss_20b', 'unpacked', {}, 411],
    ['tiny_linear_moe', 'hf', {}, 151],
  ];

  it.each(ROWS)('%s, names %s %j: %i tensors', (model, family, settings, count) => {
    const file = `examples/models/${model}.lmoe`;
    const { map, diagnostics } = named(file, read(file) ?? '', model, family, settings);
    expect(diagnostics).toEqual([]);
    expect(map?.tensors.length).toBe(count);
    expect(new Set(map?.tensors.map(({ name }) => name)).size).toBe(count);
    // Every element of every param is in one tensor.
    const elements = (sizes: readonly number[]): number => sizes.reduce((n, size) => n * size, 1);
    const stored = map?.tensors.reduce((sum, { dims }) => sum + elements(dims), 0);
    expect(stored).toBe(map?.params.reduce((sum, { axes }) => sum + elements(axes.map(({ size }) => size)), 0));
  });

  it('are named in less than a second of CPU', () => {
    const file = 'examples/models/qwen3_next.lmoe';
    const graph = frontend(file, read(file) ?? '', read).parts.elaborate('qwen3_next').graph;
    if (graph === undefined) throw new Error('no graph');
    const before = process.cpuUsage();
    nameMap(graph, 'hf');
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(1);
  });
});
