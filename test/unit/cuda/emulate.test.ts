import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { IoDtype } from '../../../src/ir/common/dtype.js';
import { frontend } from '../../../src/passes/frontend.js';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import { finalName } from '../../../src/ir/spec/names.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { NO_EXAMPLES } from '../../examples.js';
import { PROGRAMS, programOf } from '../../programs.js';
import { randomCase } from '../../property/case.js';
import { END_SCANS, setEnds } from '../passes/end-scans.js';
import { addEnds, FACTOR_SCANS } from '../passes/factor-scans.js';
import { missing, NAN_SCANS, spoilt } from '../passes/nan-scans.js';
import { setSteady, STEADY_SCANS } from '../passes/steady-scans.js';
import { draw, specOf } from '../passes/scans.js';
import { compiler, emulate, runKernels } from './emulate.js';

/** Scans whose chunks multiply decays. */
const ELEMENTWISE = Object.keys(STEADY_SCANS).filter((name) => name.startsWith('an elementwise'));

interface Run {
  /** Tokens per chunk. */
  readonly chunk: number;
  /** Of the axes, in the order of their declaration. */
  readonly sizes: readonly number[];
  readonly dtype?: IoDtype;
  readonly plain?: boolean;
  readonly lengths?: readonly number[];
  readonly groups?: number;
}

function runExample(name: string, { chunk, sizes, dtype = 'f32', plain = false, lengths = [21, 0, 50], groups = 1 }: Run): void {
  const path = `examples/${name}.lmoe`;
  const spec = frontend(path, readFileSync(path, 'utf8'), (file) => readFileSync(file, 'utf8')).specs[0];
  const { module } = lowerScan(spec, new Map(spec.axes.map((axis, i) => [axis.name, sizes[i % sizes.length]])), { chunk });
  check(
    emulate(module, { dtype, plain, call: { heads: 2, groups, lengths }, longest: 2, programs: ['forward', 'backward', 'step'] }), dtype,
  );
}

function check(errors: ReadonlyMap<string, number>, dtype: IoDtype): void {
  // Kernels round nothing but what they store: in bf16 once per workspace.
  const limit = dtype === 'f32' ? 1e-4 : 5e-3;
  expect([...errors].filter(([, error]) => !(error < limit))).toEqual([]);
  expect(errors.size).toBeGreaterThan(2);
}

describe.skipIf(!compiler || NO_EXAMPLES)('plain kernels of examples against the tile interpreter (skipped without g++ or them)', () => {
  it.each(['gated_delta', 'delta_product', 'gla', 'gsa', 'kda', 'mamba2', 'mlstm', 'rwkv6', 'rwkv7'])(
    '%s', (name) => runExample(name, { chunk: 16, sizes: [16, 32] }),
  );
  it.each(['hgrn', 'rg_lru'])('%s in bf16', (name) => runExample(name, { chunk: 32, sizes: [64], dtype: 'bf16' }));
  it('elementwise kernels without streams', () => runExample('hgrn', { chunk: 16, sizes: [20], plain: true }));
  it('sizes that fill no tile, channels that fill no warp', () => {
    runExample('gla', { chunk: 32, sizes: [24, 40] });
    runExample('gsa', { chunk: 32, sizes: [5, 3, 7] });
    runExample('gated_delta', { chunk: 64, sizes: [2, 3], dtype: 'bf16' });
    runExample('rg_lru', { chunk: 16, sizes: [72] });
  });
  it('params of more chunks than a block loads at once', () => {
    const text = 'scan s(x: [P], z: []) -> y: [P] { param w, c: [P], a: [] state h: [P]  h = 0.5 * h[t-1] + w * x  y = c * h + a * z * x }';
    const { module } = lowerScan(specOf(text), new Map([['P', 8]]), { chunk: 16 });
    const call = { heads: 2, groups: 1, lengths: [1700, 0, 150] };
    check(emulate(module, { dtype: 'f32', plain: false, call, longest: 200, programs: ['backward'] }), 'f32');
  });
  it('groups of several heads', () => runExample('gated_delta', { chunk: 16, sizes: [16, 32], groups: 2 }));
  it('kernels without streams', () => runExample('mlstm', { chunk: 16, sizes: [32, 16], plain: true }));
  it('tiles in device memory', () => runExample('rwkv7', { chunk: 64, sizes: [128], lengths: [70] }));
});

describe.skipIf(!compiler)('plain kernels against the tile interpreter (skipped where g++ is missing)', () => {
  it.each(PROGRAMS)('%s, which once showed a fault', (name) => {
    const spec = programOf(name);
    const { module } = lowerScan(spec, new Map(spec.axes.map((axis, i) => [axis.name, [16, 8][i % 2]])), { chunk: 16 });
    check(emulate(module, {
      dtype: 'f32', plain: false, call: { heads: 2, groups: 1, lengths: [21, 0, 7] }, longest: 1, programs: ['forward', 'backward', 'step'],
    }), 'f32');
  });

  it.each(Object.entries(FACTOR_SCANS))('gradients of decays given as factors, 0 among them: %s', (_, text) => {
    const spec = specOf(text);
    const sizes = new Map([['K', 16], ['V', 20]]);
    const drawn = draw(spec, sizes, [21, 0, 7], 3);
    addEnds(drawn);
    const { module } = lowerScan(spec, sizes, { chunk: 16 });
    check(emulate(module, {
      dtype: 'f32', plain: false, call: drawn.call, longest: 1, programs: ['forward', 'backward', 'step'],
      given: new Map([...drawn.given, ...drawn.cotangents]),
    }), 'f32');
  });

  it.each(['per key channel', 'per value channel'])('gradients of wide factors, block by block: %s', (name) => {
    const spec = specOf(FACTOR_SCANS[name]);
    const sizes = new Map([['K', 128], ['V', 128]]);
    const drawn = draw(spec, sizes, [70], 3, { heads: 1, groups: 1 });
    addEnds(drawn);
    const { module } = lowerScan(spec, sizes, { chunk: 64 });
    check(emulate(module, {
      dtype: 'f32', plain: false, call: drawn.call, longest: 1, programs: ['backward'], orders: ['0'],
      given: new Map([...drawn.given, ...drawn.cotangents]),
    }), 'f32');
  });

  it.each(Object.entries(END_SCANS))('formulas at the ends of their functions: %s', (_, scan) => {
    const spec = specOf(scan.text);
    const sizes = new Map(spec.axes.map((axis, i) => [axis.name, [16, 20][i % 2]]));
    const drawn = draw(spec, sizes, [21, 0, 7], 3);
    setEnds(scan, drawn);
    const { module } = lowerScan(spec, sizes, { chunk: 16, exactGates: true });
    check(emulate(module, {
      dtype: 'f32', plain: false, call: drawn.call, longest: 1, programs: ['forward', 'backward', 'step'],
      given: new Map([...drawn.given, ...drawn.cotangents]),
    }), 'f32');
  });

  it.each(Object.entries(NAN_SCANS))('NaN in an input reaches what follows: %s', (_, text) => {
    const spec = specOf(text);
    const sizes = new Map(spec.axes.map((axis, i) => [axis.name, [16, 20][i % 2]]));
    const drawn = draw(spec, sizes, [30, 7], 3);
    const { module } = lowerScan(spec, sizes, { chunk: 16 });
    const states = new Map(spec.states.map((state) => [`final.${state.name}`, finalName(spec, state.name)]));
    for (const [input, given] of spoilt(drawn, spec.inputs.map((x) => x.name), 37)) {
      const wanted = gradSpec(spec, drawn.call, given, new Map());
      const names = [...spec.outputs.map((output) => output.name), ...states.keys()];
      const byPlan = new Map(names.map((name) => [name, wanted.get(states.get(name) ?? name) ?? new Float64Array()]));
      runKernels(module, {
        dtype: 'f32', plain: false, call: drawn.call, longest: 1, programs: ['forward', 'step'], orders: ['0'], given,
      }, (program, _given, results) => {
        expect(missing(byPlan, (name) => results.get(name), names), `${program}, ${input}`).toEqual([]);
      });
    }
  });

  it.each(Object.entries(STEADY_SCANS))('token by token, decays next to 1 stay exact for long: %s', (_, [text, input, value]) => {
    const spec = specOf(text);
    const sizes = new Map(spec.axes.map((axis) => [axis.name, 4]));
    const drawn = draw(spec, sizes, [16384], 3, { heads: 1, groups: 1 });
    setSteady(drawn, input, value);
    const { module } = lowerScan(spec, sizes, { chunk: 16 });
    const errors = emulate(
      module, { dtype: 'f32', plain: false, call: drawn.call, longest: 1, programs: ['step'], orders: ['0'], given: drawn.given },
    );
    expect([...errors].filter(([, error]) => !(error < 1e-5))).toEqual([]);
    expect(errors.size).toBe(2);
  });

  const elementwise = ELEMENTWISE.flatMap((name) => [false, true].map((plain) => [name, plain] as const));
  it.each(elementwise)('in chunks, decays next to 1 stay exact for long: %s, plain %s', (name, plain) => {
    const [text, input, value] = STEADY_SCANS[name];
    const spec = specOf(text);
    const sizes = new Map(spec.axes.map((axis) => [axis.name, 4]));
    const drawn = draw(spec, sizes, [16384], 3, { heads: 1, groups: 1 });
    setSteady(drawn, input, value);
    const { module } = lowerScan(spec, sizes, { chunk: plain ? 16 : 128, exactGates: true });
    const errors = emulate(module, {
      dtype: 'f32', plain, call: drawn.call, longest: 1, programs: ['forward', 'backward'], orders: ['0'],
      given: new Map([...drawn.given, ...drawn.cotangents]),
    });
    expect([...errors].filter(([, error]) => !(error < 1e-5))).toEqual([]);
    expect(errors.size).toBe(3 + spec.inputs.length);
  });

  it.each(Object.keys(STEADY_SCANS).filter((name) => name.startsWith('a matrix')))('in chunks, logarithms have digits: %s', (name) => {
    const [text, input, value] = STEADY_SCANS[name];
    const spec = specOf(text);
    const sizes = new Map(spec.axes.map((axis) => [axis.name, 4]));
    const drawn = draw(spec, sizes, [16384], 3, { heads: 1, groups: 1 });
    setSteady(drawn, input, value);
    const { module } = lowerScan(spec, sizes, { chunk: 64, exactGates: true });
    const errors = emulate(module, {
      dtype: 'f32', plain: false, call: drawn.call, longest: 256, programs: ['forward'], orders: ['0'], given: drawn.given,
    });
    expect([...errors].filter(([, error]) => !(error < 1e-5))).toEqual([]);
    expect(errors.size).toBe(2);
  });

  it('random recurrences', () => {
    const lengths = [21, 0, 7];
    for (const seed of [3, 4, 11, 23]) {
      const { spec, call, given, cotangents } = randomCase(seed, { lengths, sizes: [3, 8, 20] });
      const { module } = lowerScan(spec, call.sizes, { chunk: 16 });
      check(emulate(module, {
        dtype: 'f32', plain: false, call, longest: 1, programs: ['forward', 'backward', 'step'], given: new Map([...given, ...cotangents]),
      }), 'f32');
    }
  });
});
