import { describe, expect, it } from 'vitest';
import { runTiles } from '../../../src/interp/tile.js';
import { loadedBuffers, storedBuffers } from '../../../src/ir/tile/buffers.js';
import type { TileModule } from '../../../src/ir/tile/tile.js';
import { liveBytes, within } from '../../../src/backends/cuda/live.js';
import { sure } from '../../../src/passes/chunk/tiles.js';
import { lowerScan, type LowerOptions } from '../../../src/passes/pipeline.js';
import { compareTiles, distance } from '../../property/tiles.js';
import { SCANS } from './corpus.js';
import { draw, specOf } from './scans.js';
import { nameOf } from '../../../src/ir/tile/domain.js';

/** By chunk: gradients in one kernel, in as many as possible, and something between; gates' gradients in both ways. */
const OPTIONS: ReadonlyMap<number, LowerOptions> = new Map<number, LowerOptions>([
  [4, { exactGates: true }], [16, { inlineScores: 'all', fits: () => false, exactGates: true }], [64, { fits: within(75_000) }],
]);

const sizesOf = (names: readonly string[]) => new Map(names.map((name, i) => [name, [3, 5, 4][i]]));

describe('chunk programs', () => {
  for (const [name, text] of Object.entries(SCANS)) {
    it(`agree with the meaning: ${name}`, () => {
      const spec = specOf(text);
      const sizes = sizesOf(spec.axes.map((axis) => axis.name));
      for (const [chunk, longest] of [[4, 2], [16, 1], [64, 1]]) {
        const { call, given, cotangents } = draw(spec, sizes, [17, 0, 1, 9], chunk);
        const { errors } = compareTiles(spec, call, given, cotangents, { chunk, longest, ...OPTIONS.get(chunk) });
        expect([...errors].filter(([, error]) => !(error < 1e-10)), `chunks of ${chunk}`).toEqual([]);
        expect([...errors.keys()].some((key) => key.startsWith('step'))).toBe(true);
      }
    });
  }

  it('stand gates that forget everything, and log decays that would overflow if anybody inverted them', () => {
    for (const name of [
      'a scalar gate', 'a gate per key channel', 'a gate per value channel', 'a bonus for the own token', 'an erase after a scalar gate',
    ]) {
      const spec = specOf(SCANS[name]);
      const { call, given, cotangents } = draw(spec, sizesOf(spec.axes.map((axis) => axis.name)), [40], 5);
      const gate = given.get('g') ?? new Float64Array();
      // A third is weak, a third strong, a third wipes the state out.
      gate.forEach((_, i) => (gate[i] = [-0.1, -20, -100][(i * 7) % 3] * (1 + (i % 5) / 5)));
      const { errors } = compareTiles(spec, call, given, cotangents, { chunk: 16 });
      expect([...errors].filter(([, error]) => !(error < 1e-9)), name).toEqual([]);
    }
  });
});

describe('calls that go on where others ended', () => {
  const text = (mode: string) => `scan s(q, k: [K], v: [V], x: []) -> o: [V], y: [] ${mode} { state S: [K, V], y: []
    S = 0.9 * S[t-1] + outer(k, v + 0.5 * v[t-1])  y = y[t-1] * 0.5 + x - x[t-1]  o = q @ S }`;
  const dims = (length: number) => ({ heads: 2, groups: 1, runs: { token: [[0, length], [length, length]] as const } });
  /** Rows of the `count` tokens from `first` on, of tensors over two sequences of `length` tokens. */
  const part = (data: Float64Array, length: number, first: number, count: number): Float64Array => {
    const row = data.length / (2 * length);
    return Float64Array.from([0, 1].flatMap((sequence) => [...data.subarray(
      (sequence * length + first) * row, (sequence * length + first + count) * row,
    )]));
  };

  for (const mode of ['', 'sequential']) {
    it(`read one token at a time what comes after a prompt, inputs of the token before included ${mode}`, () => {
      const spec = specOf(text(mode));
      const { module } = lowerScan(spec, sizesOf(['K', 'V']), { chunk: 4 });
      const drawn = draw(spec, sizesOf(['K', 'V']), [9, 9], 3).given;
      const given = [...drawn].map(([name, data]) => [name === 'y' ? 'initial.y' : name, data] as const);
      const inputs = given.filter(([name]) => spec.inputs.some((input) => input.name === name));
      const whole = new Map(given);
      runTiles(module, 'forward', dims(9), whole);
      const states = module.buffers.filter((buffer) => buffer.role === 'initial').map((buffer) => [
        buffer.name, `final.${buffer.name.replace('initial.', '')}`,
      ]);
      expect(states).toHaveLength(4);
      const prompt = new Map([...given, ...inputs.map(([name, data]) => [name, part(data, 9, 0, 6)] as const)]);
      runTiles(module, 'forward', dims(6), prompt);
      let before: ReadonlyMap<string, Float64Array> = prompt;
      for (let token = 6; token < 9; token++) {
        const step = new Map([
          ...inputs.map(([name, data]) => [name, part(data, 9, token, 1)] as const),
          ...states.map(([initial, final]) => [initial, sure(before.get(final))] as const),
        ]);
        runTiles(module, 'step', dims(1), step);
        for (const name of ['o', 'y']) expect(
          distance(sure(step.get(name)), part(sure(whole.get(name)), 9, token, 1)), `${name} of token ${token}`,
        ).toBeLessThan(1e-12);
        before = step;
      }
      for (const [, final] of states) expect(distance(sure(before.get(final)), sure(whole.get(final))), final).toBeLessThan(1e-12);
    });
  }
});

describe('the shape of chunk programs', () => {
  const moduleOf = (name: string): TileModule => {
    const spec = specOf(SCANS[name]);
    return lowerScan(spec, new Map(spec.axes.map((axis) => [axis.name, 16]))).module;
  };
  const kernelsOf = (module: TileModule, program: string) => (
    module.programs[program].launches.flatMap((name) => module.kernels.find((kernel) => kernel.name === name) ?? [])
  );

  it('walks run in segments, which hand on states by decays or by maps where any sequence is cut', () => {
    const shape = (name: string) => kernelsOf(moduleOf(name), 'forward')
      .map((kernel) => `${kernel.name} ${nameOf(kernel)}${kernel.cut ? ', if cut' : ''}`);
    expect(shape('a scalar gate')).toEqual([
      'S_prepare chunk', 'S_spans segment, if cut', 'S_ends segment, if cut', 'S_join sequence, if cut', 'S_walk segment',
    ]);
    expect(shape('an erase')).toEqual([
      'S_prepare chunk', 'S_ends segment, if cut', 'S_maps segment, if cut', 'S_join sequence, if cut', 'S_walk segment',
    ]);
  });

  it('beside a state without erases, whose segments are other ones, erases stay in one walk', () => {
    const outerOf = (text: string, name: string) => {
      const { module } = lowerScan(specOf(text), new Map([['K', 16], ['V', 16]]));
      return module.kernels.find((kernel) => kernel.name === name)?.outer;
    };
    const beside = (more: string) => `scan s(q, k: [K], v: [V], b: [] in 0..1) -> o: [V] {
      state S, A: [K, V]  S = S[t-1] + outer(k, b * (v - k @ S[t-1]))  A = A[t-1] + outer(k, ${more})  o = q @ S + q @ A }`;
    expect(outerOf(beside('v'), 'S_walk')).toBe('run');
    expect(outerOf(beside('v - k @ A[t-1]'), 'S_walk')).toBe('segment');
  });

  it('nothing with a gate per token is stored for the walk: it reads the tensors themselves', () => {
    const [prepare] = kernelsOf(moduleOf('an erase after a scalar gate'), 'forward');
    expect(storedBuffers(prepare.body).every((name) => /score|solve/.test(name))).toBe(true);
  });

  it('numbers in front of vectors stay out of memory: a key of unit length is the key and its length', () => {
    const module = moduleOf('keys of unit length and a discretised gate');
    const stored = module.buffers.filter((buffer) => buffer.role === 'workspace' && buffer.outer === 'row');
    expect(stored.every((buffer) => buffer.axes.length === 0 && buffer.dtype === 'f32')).toBe(true);
  });

  it('an elementwise scan is one kernel that reads and writes everything once', () => {
    const [scan, ...others] = kernelsOf(moduleOf('an elementwise state that is the output'), 'forward');
    expect(others).toEqual([]);
    expect(loadedBuffers(scan.body)).toEqual(['initial.h', 'x', 'g']);
    expect(storedBuffers(scan.body)).toEqual(['h', 'final.h']);
  });

  it('walks make scores themselves where told to, but never decay scores', () => {
    const scores = (name: string, inlineScores: 'none' | 'diagonal' | 'all') => {
      const spec = specOf(SCANS[name]);
      const { module } = lowerScan(spec, new Map(spec.axes.map((axis) => [axis.name, 16])), { inlineScores });
      return module.buffers.some((buffer) => buffer.name.includes('.score'));
    };
    expect([
      scores('a scalar gate', 'none'), scores('a scalar gate', 'diagonal'), scores('an erase', 'diagonal'), scores('an erase', 'all'),
    ]).toEqual([true, false, true, false]);
    expect(scores('a gate per key channel', 'all')).toBe(true);
  });

  it('gradients are made by as many kernels as shared memory asks for, each with smaller tiles', () => {
    const spec = specOf(SCANS['an erase before a channel gate, elsewhere than the write']);
    const sizes = new Map([['K', 128], ['V', 128]]);
    const gradientsWithin = (sharedBytes: number) => kernelsOf(
      lowerScan(spec, sizes, { fits: within(sharedBytes) }).module, 'backward',
    ).filter((kernel) => kernel.name.includes('gradients'));
    expect(gradientsWithin(Infinity).map((kernel) => kernel.name)).toEqual(['S_gradients']);
    expect(gradientsWithin(200 * 1024).map((kernel) => kernel.name)).toEqual(['S_gradients_rows_values', 'S_gradients_columns']);
    expect(gradientsWithin(0).map((kernel) => kernel.name)).toEqual(['S_gradients_rows', 'S_gradients_values', 'S_gradients_columns']);
    const around = (module: TileModule) => ({
      sizeOf: (axis: string) => sizes.get(axis) ?? module.chunk,
      bufferOf: (name: string) => sure(module.buffers.find((buffer) => buffer.name === name)),
    });
    const peaks = (sharedBytes: number) => {
      const { module } = lowerScan(spec, sizes, { fits: within(sharedBytes) });
      return gradientsWithin(sharedBytes).map((kernel) => liveBytes(kernel, around(module)));
    };
    expect(Math.max(...peaks(Infinity))).toBeGreaterThan(200 * 1024);
    expect(Math.max(...peaks(200 * 1024))).toBeLessThan(150 * 1024);
  });

  it('skip terms and output gates are part of the walk, norms over its split axis are not', () => {
    const text = 'scan s(q, k: [K], v, z: [V]) -> o: [V] { '
      + 'param D: [V]  state S: [K, V]  S = S[t-1] + outer(k, v)  o = (q @ S + D * v) * silu(z) }';
    const fused = lowerScan(specOf(text), new Map([['K', 16], ['V', 16]])).module;
    expect(fused.programs.forward.launches.slice(-2)).toEqual(['S_join', 'S_walk']);
    expect(moduleOf('a skip, a norm and an output gate').programs.forward.launches.at(-1)).toBe('epilogue');
  });

  it('values that are used again and again are made once: no pass walks a formula as a tree', () => {
    const chain = (name: string, start: string) => [
      `let ${name}0 = ${start}`,
      ...Array.from({ length: 40 }, (_, i) => `let ${name}${i + 1} = 0.5 * ${name}${i} + 0.1 * ${name}${i} * ${name}${i}`)
    ].join('  ');
    const spec = specOf(`scan s(q, k: [K], v: [V], f: []) -> o: [V] {
      state S: [K, V]  ${chain('a', 'k')}  ${chain('b', 'v')}  ${chain('c', 'f')}
      S = sigmoid(c40) * S[t-1] + outer(a40, b40)  let r = q @ S  ${chain('d', 'r')}  o = d40 }`);
    const { module } = lowerScan(spec, new Map([['K', 16], ['V', 16]]));
    expect(Math.max(...module.kernels.map((kernel) => kernel.tiles.length))).toBeLessThan(2000);
  }, 10_000);

  it('kernels that both programs need are written once', () => {
    const module = moduleOf('an erase');
    expect(module.programs.backward.launches[0]).toBe(module.programs.forward.launches[0]);
  });
});
