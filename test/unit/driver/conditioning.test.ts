import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { nodeHost } from '../../../src/driver/host.js';
import { conditioning } from '../../../src/driver/scan/run/conditioning.js';
import { roundedOnceMore } from '../../../src/driver/run/once-more.js';
import { runOracle } from '../../../src/driver/scan/run/oracle.js';
import { prepareRun } from '../../../src/driver/scan/run/run.js';
import type { CallShape } from '../../../src/driver/run/validate.js';
import { isProblem, openSource } from '../../../src/driver/session.js';
import type { Plan } from '../../../src/ir/plan/plan.js';
import { frontend } from '../../../src/passes/frontend.js';
import type { DeviceTensor, LoadedPlan, Runtime } from '../../../src/runtime/runtime.js';

const SUM = 'scan total(x, y: [D]) -> o: [D] with D = 8 {\n  state h: [D]\n  h = 0.5 * h[t-1] + (x - y)\n  o = h\n}\n';
const call: CallShape = { batch: 1, tokens: 50, heads: 1, groups: 1, lengths: [50], cuSeqlens: undefined, sizes: new Map([['D', 8]]) };

function moves(apart: number, dtype: 'f16' | 'bf16', isIo: (name: string) => boolean): number {
  const spec = frontend('<test>', SUM).specs[0];
  const wave = (phase: number) => Float64Array.from({ length: 400 }, (_, i) => 1 + apart * Math.sin(i + phase));
  const values = new Map([['x', wave(0)], ['y', wave(1)]]);
  return conditioning(spec, call, values, isIo, dtype, runOracle(spec, call, values)).get('o') ?? NaN;
}

describe('what one rounding of the inputs does to the meaning', () => {
  it('is a rounding where nothing cancels, and many where much does', () => {
    const [easy, hard] = [moves(100, 'bf16', () => true), moves(0.01, 'bf16', () => true)];
    expect(easy).toBeGreaterThan(5e-4);
    expect(easy).toBeLessThan(4e-3);
    expect(hard).toBeGreaterThan(50 * easy);
  });

  it('is an eighth of that in f16, and nothing for tensors in f32', () => {
    expect(moves(0.01, 'bf16', () => true) / moves(0.01, 'f16', () => true)).toBeCloseTo(8, 5);
    expect(moves(0.01, 'bf16', () => false)).toBe(0);
  });
});

describe('numbers rounded once more', () => {
  const HALVES = [['bf16', 2 ** -8], ['f16', 2 ** -11], ['f32', 2 ** -24]] as const;
  it.each(HALVES)('move by half a step of %s at most, and most of them do', (dtype, half) => {
    const given = Float64Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? 1 : -1) * 1.0625 ** (i / 10 - 50));
    const moved = roundedOnceMore(dtype, 'x')(given);
    const steps = [...moved].map((x, i) => Math.abs(x - given[i]) / Math.abs(given[i]));
    expect(Math.max(...steps)).toBeLessThanOrEqual(half);
    expect(steps.filter((step) => step > half / 20).length).toBeGreaterThan(800);
    expect([...roundedOnceMore(dtype, 'x')(Float64Array.of(0, Infinity))]).toEqual([0, Infinity]);
  });
});

/** A device whose results are all 0. */
function nothing(): Runtime {
  const zeros = (plan: Plan, roles: readonly string[]) => async (
    _: unknown, sizes: { readonly lengths: readonly number[]; readonly heads: number },
  ) => {
    const tokens = sizes.lengths.reduce((sum, n) => sum + n, 0);
    const extent: Record<string, number> = {
      tokens, heads: sizes.heads, groups: sizes.heads, sequences: sizes.lengths.length, chunks: 0, segments: 0,
    };
    const kept = plan.tensors.filter(({ role }) => roles.includes(role));
    return Object.fromEntries(kept.map(({ name, dtype, shape }): [string, DeviceTensor] => (
      [name, { dtype, shape: shape.map((n) => (typeof n === 'number' ? n : extent[n])), release() {} }]
    )));
  };
  return {
    kind: 'cuda', device: 'none', release() {},
    upload: (_, dtype, shape) => ({ dtype, shape, release() {} }),
    empty: (dtype, shape) => ({ dtype, shape, release() {} }),
    download: async ({ dtype, shape }) => {
      const size = shape.reduce((n, extent) => n * extent, 1);
      return dtype === 'f32' ? new Float32Array(size) : new Uint16Array(size);
    },
    load: async (plan): Promise<LoadedPlan> => ({
      plan, release() {},
      run: (program, tensors, sizes) => zeros(plan, program === 'backward' ? ['gradient'] : ['output', 'final'])(tensors, sizes),
    }),
  };
}

describe('a check that fails', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'total.lmoe'), SUM);

  it('blames the meaning where that is no number, and the states that were drawn so', async () => {
    const host = nodeHost();
    writeFileSync(
      join(folder, 'roots.lmoe'),
      'scan roots(x: [D] in 0..1, y: [D]) -> o, p: [D] with D = 8 {\n  state h: [D]\n'
        + '  h = 0.5 * h[t-1] + x\n  o = sqrt(h)\n  p = x * y\n}\n',
    );
    const source = openSource(host, join(folder, 'roots.lmoe'));
    if (isProblem(source)) throw new Error(source.title);
    const checked = async (states: 'declared' | 'random') => {
      const prepared = prepareRun(host, source, source.specs[0], { sizes: new Map(), lengths: undefined, seed: 1, states });
      if ('problems' in prepared) throw new Error(prepared.problems[0].title);
      const report = await prepared.run(nothing(), { dtype: 'f32', target: 'cuda.sm80', check: true });
      if (!('comparisons' in report)) throw new Error('no report');
      return report;
    };
    expect((await checked('declared')).meaningless).toBeUndefined();
    const { meaningless, comparisons } = await checked('random');
    expect(meaningless).toMatchObject({
      code: 'E508', title: expect.stringMatching(/on these tensors: `o` is NaN at \[0, 0, 0, \d\], /),
      help: [expect.stringMatching(/normal distribution: `h`;.*`state h: .*in 0\.\.inf`/), expect.anything()],
    });
    expect(comparisons.filter((c) => c.meaningless !== undefined).map(({ name }) => name)).not.toContain('p');
    expect(comparisons.find(({ name }) => name === 'p')).toMatchObject({ passed: false, error: 1 });
  });

  it('blames a recurrence that grows out of f32, on the oracle out of float64', async () => {
    const host = nodeHost();
    writeFileSync(
      join(folder, 'grow.lmoe'), 'scan grow(x: [D]) -> o: [D] with D = 2 {\n  state h: [D]\n  h = 3 * h[t-1] + x\n  o = h\n}\n',
    );
    const source = openSource(host, join(folder, 'grow.lmoe'));
    if (isProblem(source)) throw new Error(source.title);
    const meaningOf = async (T: number, runtime: Runtime | undefined) => {
      const prepared = prepareRun(
        host, source, source.specs[0], { sizes: new Map([['T', T]]), lengths: undefined, seed: 1, states: 'declared' },
      );
      if ('problems' in prepared) throw new Error(prepared.problems[0].title);
      const report = await prepared.run(runtime, { dtype: 'f32', target: 'cuda.sm80', check: true });
      if (!('comparisons' in report)) throw new Error('no report');
      return report.meaningless;
    };
    expect(await meaningOf(100, nothing())).toMatchObject({
      title: expect.stringMatching(/: `o` is -?\d\.\de\+3[89] at /),
      help: [expect.stringContaining('f32 ends at 3.4e38'), expect.anything()],
    });
    expect(await meaningOf(20, undefined)).toBeUndefined();
    expect(await meaningOf(900, undefined)).toMatchObject({ title: expect.stringMatching(/: `o` is -?inf at /) });
  });

  it.each(['bf16', 'f32'] as const)('in %s says how much may be the formula, where there are roundings', async (dtype) => {
    const host = nodeHost();
    const source = openSource(host, join(folder, 'total.lmoe'));
    if (isProblem(source)) throw new Error(source.title);
    const prepared = prepareRun(host, source, source.specs[0], { sizes: new Map(), lengths: undefined, seed: 1, states: 'declared' });
    if ('problems' in prepared) throw new Error(prepared.problems[0].title);
    const report = await prepared.run(nothing(), { dtype, target: 'cuda.sm80', check: true });
    if (!('comparisons' in report)) throw new Error('no report');
    expect(report.comparisons.map(({ name }) => name)).toEqual(['o', 'h', 'd_x', 'd_y', 'd_h', 'o', 'h']);
    for (const { passed, error, conditioning: moved } of report.comparisons) {
      expect([passed, error]).toEqual([false, 1]);
      if (dtype === 'f32') expect(moved).toBeUndefined();
      else expect(moved).toBeLessThan(4e-3);
    }
  });
});
