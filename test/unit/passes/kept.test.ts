import { describe, expect, it } from 'vitest';
import { runTiles } from '../../../src/interp/tile.js';
import { loadedBuffers, storedBuffers } from '../../../src/ir/tile/buffers.js';
import { programOf, type TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { KEPT } from '../../../src/ir/plan/kept.js';
import { lowerScan, type LowerOptions } from '../../../src/passes/pipeline.js';
import { planName } from '../../../src/runtime/names.js';
import { SCANS } from './corpus.js';
import { draw, specOf } from './scans.js';

/** Backward wants what it rounds of the gate once, which forward has no need to store. */
const ROUNDED = `scan s(q, g: [K] in -inf..0, v: [V]) -> o: [V] {
  state S: [K, V]  S = exp(g) * S[t-1] - outer(expm1(g), v)  o = q @ S / sqrt(K) }`;

const sizes = new Map([['K', 3], ['V', 5], ['M', 4], ['D', 6], ['N', 2]]);

function lowered(text: string, options: LowerOptions = {}): TileModule {
  const { module } = lowerScan(specOf(text), sizes, { chunk: 4, keeps: true, ...options });
  expect(verifyTiles(module)).toEqual([]);
  return module;
}

/** What forward leaves for backward. */
function keptBy(module: TileModule): readonly string[] {
  const { forward } = module.programs;
  return (module.programs[KEPT.forward] ?? forward).gives.filter((name) => !forward.gives.includes(name));
}

const leftOut = ({ programs: { backward, ...others } }: TileModule): readonly string[] => (
  backward.launches.filter((name) => others[KEPT.backward]?.launches.includes(name) === false)
);

type Tensors = ReadonlyMap<string, Float64Array>;

/** What a program gives, among these tensors, in hexadecimal: NaN is like NaN. */
function given(module: TileModule, program: string, tensors: Tensors): ReadonlyMap<string, string> {
  return new Map(programOf(module, program).gives.map((name) => (
    [name, Buffer.from(Float64Array.from(tensors.get(name) ?? []).buffer).toString('hex')]
  )));
}

/** Runs programs of a scan on tensors drawn from the ranges of its inputs, over sequences that are cut. */
function runner(text: string, module: TileModule): (program: string, more?: Tensors) => Tensors {
  const spec = specOf(text);
  const { call, given: inputs, cotangents } = draw(spec, sizes, [17, 0, 1, 9], 3);
  const roleOf = (name: string) => (
    cotangents.has(name) ? 'cotangent' as const : spec.states.some((state) => state.name === name) ? 'initial' as const : 'input' as const
  );
  const tensors = [...inputs, ...cotangents].map(([name, data]) => [planName({
    tensors: module.buffers.map(({ name: own, role }) => ({ name: own, role, dtype: 'f32', shape: [], axes: [] })),
  }, roleOf(name), name), data] as const).filter(([name]) => module.buffers.some((buffer) => buffer.name === name));
  let start = 0;
  const runs = call.lengths.map((length): readonly [number, number] => {
    start += length;
    return [start - length, length];
  });
  const dims = { heads: call.heads, groups: call.groups, runs: { token: runs }, longest: 2 };
  return (program, more = new Map()) => {
    const memory = new Map([...tensors, ...more]);
    runTiles(module, program, dims, memory);
    return memory;
  };
}

describe('what forward keeps for backward', () => {
  for (const [name, text] of Object.entries({ ...SCANS, 'a write of what the gate leaves': ROUNDED })) {
    it(`is what backward would make, so that gradients have the same bits: ${name}`, () => {
      for (const options of [{}, { inlineScores: 'diagonal', halfOperands: true }] as const) {
        const module = lowered(text, options);
        const kept = keptBy(module);
        if (kept.length === 0) {
          expect(Object.keys(module.programs)).toEqual(['forward', 'backward', 'step']);
          continue;
        }
        const run = runner(text, module);
        const forward = run(KEPT.forward);
        expect(given(module, 'forward', forward)).toEqual(given(module, 'forward', run('forward')));
        const left = new Map(kept.map((tensor) => [tensor, forward.get(tensor) ?? new Float64Array()]));
        const gradients = given(module, 'backward', run('backward'));
        expect([...gradients.values()].some((gradient) => /[1-9a-f]/.test(gradient))).toBe(true);
        expect(given(module, 'backward', run(KEPT.backward, left))).toEqual(gradients);
        // It is read: with something else in its place gradients are others.
        for (const tensor of kept) {
          const other = (left.get(tensor) ?? new Float64Array()).map((x) => 3 * x + 1);
          expect(given(module, 'backward', run(KEPT.backward, new Map([...left, [tensor, other]]))), tensor).not.toEqual(gradients);
        }
      }
    });
  }

  const diagonal = { inlineScores: 'diagonal' } as const;

  it('is scores, solves and what is made with them', () => {
    const channel = lowered(SCANS['a gate per key channel'], diagonal);
    expect(keptBy(channel)).toEqual(['ws.S.score0_0', 'ws.S.read0', 'ws.S.col0', 'ws.S.decay']);
    expect(leftOut(channel)).toEqual(['S_prepare']);
    const erase = lowered(SCANS['an erase after a scalar gate'], diagonal);
    expect(keptBy(erase)).toEqual(['ws.S.score0_0', 'ws.S.solve0_0']);
    expect(leftOut(erase)).toEqual(['S_prepare']);
  });

  it('is found though forward makes more in the same kernel', () => {
    const module = lowered(SCANS['a bonus for the own token'], diagonal);
    expect(leftOut(module)).toEqual(['S_prepare_2']);
    expect(programOf(module, KEPT.forward).launches).toEqual(module.programs.forward.launches);
  });

  it('comes from the kernel of backward where that makes more', () => {
    const module = lowered(ROUNDED, { ...diagonal, halfOperands: true });
    expect(module.programs.forward.launches).toContain('S_prepare');
    expect(programOf(module, KEPT.forward).launches).toContain('S_prepare_2');
    expect(leftOut(module)).toEqual(['S_prepare_2']);
  });

  it('is nothing where all that backward makes again takes no products, or where segments begin', () => {
    for (const name of ['a scalar gate', 'no decay', 'an elementwise state that is the output', 'step by step']) {
      expect(keptBy(lowered(SCANS[name], diagonal)), name).toEqual([]);
    }
    for (const text of Object.values(SCANS)) {
      const module = lowered(text);
      const outer = new Map(module.buffers.map((buffer) => [buffer.name, buffer.outer]));
      expect(keptBy(module).filter((name) => !['row', 'chunk'].includes(outer.get(name) ?? ''))).toEqual([]);
    }
  });

  it('leaves both programs as they are for whoever keeps nothing, and is made by one and read by the other', () => {
    for (const [name, text] of Object.entries(SCANS)) {
      const [module, without] = [lowered(text), lowered(text, { keeps: false })];
      expect(module.kernels).toEqual(without.kernels);
      for (const program of ['forward', 'backward', 'step']) expect(module.programs[program]).toEqual(without.programs[program]);
      const kernels = (module.programs[KEPT.backward]?.launches ?? []).map((launch) => module.kernels.find((one) => one.name === launch));
      const read = new Set(kernels.flatMap((kernel) => loadedBuffers(kernel?.body ?? [])));
      const stored = new Set(kernels.flatMap((kernel) => storedBuffers(kernel?.body ?? [])));
      expect(keptBy(module).filter((buffer) => !read.has(buffer) || stored.has(buffer)), name).toEqual([]);
    }
  });
});
