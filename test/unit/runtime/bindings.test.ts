import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../../src/ir/plan/plan.js';
import { openScan, read, readFloats, tensor } from '../../../src/runtime/bindings.js';
import { checkArray } from '../../../src/runtime/call.js';
import { extentsOf, type CallSizes } from '../../../src/runtime/extents.js';
import { lengthsOf } from '../../../src/runtime/lead.js';
import { inElements } from '../../../src/runtime/tensors.js';
import { RuntimeError, type CallTensors, type DeviceTensor, type LoadedPlan, type Runtime } from '../../../src/runtime/runtime.js';
import { plan as sample } from '../emit/sample.js';

const plan: Plan = {
  ...sample,
  kernels: [{
    name: 'k', doc: '', file: 'k.wgsl', entry: 'k', block: 64, sharedBytes: 0, lowering: 'plain', grid: [[1], [1], [1]], args: [],
    flops: [], bytes: [], singles: [],
  }],
  tensors: [
    { name: 'q', role: 'input', dtype: 'f32', shape: ['tokens', 'groups', 2], axes: ['K'] },
    { name: 'v', role: 'input', dtype: 'f32', shape: ['tokens', 'heads', 3], axes: ['V'] },
    { name: 'S', role: 'initial', dtype: 'f32', shape: ['sequences', 'heads', 2, 3], axes: ['K', 'V'] },
    { name: 'o', role: 'output', dtype: 'f32', shape: ['tokens', 'heads', 3], axes: ['V'] },
    { name: 'd_o', role: 'cotangent', dtype: 'f32', shape: ['tokens', 'heads', 3], axes: ['V'] },
    { name: 'final.S', role: 'final', dtype: 'f32', shape: ['sequences', 'heads', 2, 3], axes: ['K', 'V'] },
    { name: 'd_final.S', role: 'cotangent', dtype: 'f32', shape: ['sequences', 'heads', 2, 3], axes: ['K', 'V'] },
  ],
};

/** Answers with tensors of the right shapes and notes what it was called with. */
function fakeRuntime(calls: { tensors: CallTensors; sizes: CallSizes }[]): Runtime {
  const made = (shape: readonly number[]): DeviceTensor => ({ dtype: 'f32', shape, release() {} });
  const run = async (_: string, tensors: CallTensors, sizes: CallSizes) => {
    calls.push({ tensors, sizes });
    const tokens = sizes.lengths.reduce((a, b) => a + b, 0);
    return { o: made([tokens, sizes.heads, 3]), 'final.S': made([sizes.lengths.length, sizes.heads, 2, 3]) };
  };
  const loaded: LoadedPlan = { plan, run, release() {} };
  return {
    kind: 'webgpu', device: 'none', upload: (_, __, shape) => made(shape), empty: (_, shape) => made(shape),
    download: async () => new Float32Array([1]), load: async (given) => ({ ...loaded, plan: given }), release() {},
  };
}

const files = async (name: string): Promise<Uint8Array> => new TextEncoder().encode(name.endsWith('plan.json') ? JSON.stringify(plan) : '');
const open = (calls: { tensors: CallTensors; sizes: CallSizes }[] = []) => openScan(
  fakeRuntime(calls), files, ['cuda.sm90.bf16', 'webgpu.f32'], { K: 16, V: 32 },
);
const inputs = (batch: number, tokens: number, heads: number, groups: number) => ({
  q: tensor('B T G K', [batch, tokens, groups, 2], new Float32Array(batch * tokens * groups * 2)),
  v: tensor('B T H V', [batch, tokens, heads, 3], new Float32Array(batch * tokens * heads * 3)),
});

describe('calls of a binding', () => {
  it('reads batch, tokens, heads and groups off the inputs', async () => {
    const calls: { tensors: CallTensors; sizes: CallSizes }[] = [];
    const results = await (await open(calls)).forward(inputs(2, 5, 4, 2), {});
    expect(calls[0].sizes).toEqual({ heads: 4, groups: 2, lengths: [5, 5] });
    expect(results.take('o', 'B T H V').shape).toEqual([2, 5, 4, 3]);
    expect(results.take('S', 'N H K V').shape).toEqual([2, 4, 2, 3]);
  });

  it('cuts packed sequences at the offsets', async () => {
    const calls: { tensors: CallTensors; sizes: CallSizes }[] = [];
    await (await open(calls)).forward(inputs(1, 9, 4, 2), { cuSeqlens: [0, 4, 4, 9] });
    expect(calls[0].sizes.lengths).toEqual([4, 0, 5]);
  });

  it('has no token axis in a step, and one token per sequence', async () => {
    const calls: { tensors: CallTensors; sizes: CallSizes }[] = [];
    const step = await (await open(calls)).step(
      {}, { q: tensor('B G K', [3, 2, 2], new Float32Array(12)), v: tensor('B H V', [3, 4, 3], new Float32Array(36)) },
    );
    expect(calls[0].sizes).toEqual({ heads: 4, groups: 2, lengths: [1, 1, 1] });
    expect(step.take('o', 'B H V').shape).toEqual([3, 4, 3]);
  });

  it('calls cotangents of final states by the names of the plan', async () => {
    const calls: { tensors: CallTensors; sizes: CallSizes }[] = [];
    const dS = new Float32Array(24);
    await (await open(calls)).backward(inputs(1, 5, 4, 2), { state: { S: tensor('N H K V', [1, 4, 2, 3], dS) } });
    expect(calls[0].tensors['d_final.S']).toBe(dS);
  });

  it('rounds numbers to the element type of the kernels, and gives numbers back', async () => {
    const halves: Plan = {
      ...plan, dtype: 'bf16', tensors: plan.tensors.map((item) => (item.name === 'q' ? { ...item, dtype: 'bf16' } : item)),
    };
    const calls: { tensors: CallTensors; sizes: CallSizes }[] = [];
    const scan = await openScan(fakeRuntime(calls), async () => new TextEncoder().encode(JSON.stringify(halves)), ['webgpu.f32'], {});
    const given = inputs(1, 1, 4, 2);
    await scan.forward({ ...given, q: tensor('B T G K', [1, 1, 2, 2], Float32Array.of(1, -2, 1.0000001, 0)) }, {});
    expect(calls[0].tensors.q).toEqual(Uint16Array.of(0x3f80, 0xc000, 0x3f80, 0));
    expect(calls[0].tensors.v).toBeInstanceOf(Float32Array);
    expect(scan.dtypes).toMatchObject({ q: 'bf16', v: 'f32', S: 'f32' });
    const device: DeviceTensor = { dtype: 'bf16', shape: [2], release() {} };
    const runtime: Runtime = { ...fakeRuntime([]), download: async () => Uint16Array.of(0x3f80, 0xc000) };
    expect(await readFloats(runtime, tensor('H', [2], device))).toEqual(Float32Array.of(1, -2));
  });

  it('refuses what does not fit, in words', async () => {
    const scan = await open();
    await expect(scan.forward(
      { ...inputs(2, 5, 4, 2), v: tensor('B T H V', [2, 6, 4, 3], new Float32Array(144)) }, {},
    )).rejects.toThrow(/v \[2, 6, 4, 3\].*number of tokens = 5/);
    await expect(scan.forward(inputs(1, 5, 3, 2), {})).rejects.toThrow(/3 heads cannot share 2 groups/);
    await expect(scan.forward(inputs(1, 5, 4, 2), { cuSeqlens: [0, 4] })).rejects.toThrow(/cuSeqlens/);
    expect(() => tensor('B T', [2, 3], new Float32Array(5))).toThrow(/6 elements, the values 5/);
    expect(() => tensor('B T H', [2, 3], new Float32Array(6))).toThrow(/names 3 axes/);
  });

  it('refuses offsets that are none, by name and in one short line', async () => {
    const scan = await open();
    const many = Float64Array.from({ length: 1_000_000 }, (_, i) => 1_000_000 - i).fill(0, 0, 1);
    const cases: readonly [unknown, string][] = [
      [[0, 2.5, 9], 'holds the number 2.5 at entry 1, no whole number'], [[0, NaN, 9], 'holds the number NaN at entry 1'], [
        [0, 6, 4, 9], 'decreases from 6 to 4 at entry 2',
      ],
      [[1, 9], 'must start at 0, found 1'], [[0, 8], 'ends at 8, but there are 9 tokens'], [[0], 'holds 1 offsets'], [
        BigInt64Array.of(0n, 9n), 'holds the bigint 0 at entry 0',
      ],
      [many, 'decreases from 999999 to 999998 at entry 2'], [null, 'is null'], [9, 'is the number 9'],
    ];
    for (const [given, fault] of cases) {
      const refused = expect(scan.forward(inputs(1, 9, 4, 2), { cuSeqlens: given as never })).rejects;
      await refused.toThrow(`two_faced: cuSeqlens ${fault}`);
      await refused.toBeInstanceOf(RuntimeError);
      await refused.toMatchObject({ message: expect.stringMatching(/^.{1,120}$/) });
    }
    await expect(scan.forward(inputs(2, 9, 4, 2), { cuSeqlens: [0, 9] })).rejects.toThrow('so the batch must be 1, found 2');
  });

  it('refuses what no call can have in one short line, however odd', async () => {
    const scan = await open();
    const json = (text: string): never => JSON.parse(text) as never;
    const cases: readonly [() => unknown, string][] = [
      [() => tensor(undefined as never, [1], [1]), 'the axes of a tensor are undefined'], [
        () => tensor('B', json('{"constructor":{"name":null}}'), [1]), "'B' has no shape: found an object",
      ],
      [() => tensor('B', [Object.create(null) as never], [1]), "'B' has no shape: found [an object]"], [
        () => tensor('B', [1], json('{"constructor":{"name":5}}')), "'B' has no values: found an object",
      ],
      // Holes would be NaN.
      [() => tensor('B', [3], new Array<number>(3)), "'B' has no values: found an array"], [
        () => lengthsOf('f', 2 ** 40, 0, undefined), 'f: a call of 1099511627776 sequences, more than 2^24',
      ],
      [() => lengthsOf('f', 2, 2 ** 30, undefined), 'f: a call of 2147483648 tokens, more than 2^31 - 1'], [
        () => extentsOf(plan, { heads: 1, groups: 1, lengths: [2 ** 40] }), 'lengths says 1099511627776 tokens, more than 2^31 - 1',
      ],
    ];
    for (const [call, message] of cases) {
      expect(call).toThrow(message);
      expect(call).toThrow(RuntimeError);
    }
    await expect(scan.forward(inputs(1, 9, 4, 2), { cuSeqlens: [0, json('{"constructor":{"name":null}}'), 9] })).rejects
      .toThrow('cuSeqlens holds an object at entry 1');
  });

  it('takes arrays of other windows, of classes made of typed arrays, and of shared memory, in any element type', async () => {
    class Own extends Float32Array {}
    const values = Float32Array.of(1, -2, 0.5, 0);
    const shared = new Float32Array(new SharedArrayBuffer(24)).subarray(1, 5);
    shared.set(values);
    const foreign: unknown = runInNewContext('Float32Array.of(1, -2, 0.5, 0)');
    const bits = Uint16Array.of(0x3f80, 0xc000, 0x3f00, 0);
    for (const given of [Own.from(values), shared, foreign as Float32Array]) {
      expect(inElements(given, 'bf16')).toEqual(bits);
      expect(inElements(given, 'f32')).toBe(given);
      expect(() => checkArray('f32', [4], given, 'x')).not.toThrow();
      expect([...await readFloats(fakeRuntime([]), tensor('B', [4], given))]).toEqual([...values]);
    }
    expect(() => checkArray('f32', [4], bits, 'x')).toThrow('x: f32 values come in a Float32Array, found Uint16Array');
  });

  it('refuses arguments that are missing or no objects, with what they should be', async () => {
    const scan = await open();
    const given = inputs(1, 2, 4, 2);
    for (const [value, found] of [
      [null, 'null'], [undefined, 'undefined'], [3, 'the number 3'], ['q', "the text 'q'"], [[given], 'an array'],
    ]) {
      const odd = value as never;
      const cases: (readonly [() => Promise<unknown>, string, string])[] = [
        [() => scan.forward(odd), `the inputs are ${String(found)}, expected an object`, 'pass { q, v }'], [
          () => scan.backward(odd, {}), `the inputs are ${String(found)}`, 'pass { q, v }',
        ],
        [() => scan.step({}, odd), `the inputs are ${String(found)}`, 'pass { q, v }'], [
          () => scan.step(odd, given), `the state is ${String(found)}`, 'pass { S }',
        ],
        [() => scan.backward(given, odd), `the cotangents are ${String(found)}`, 'pass { o }'],
      ];
      if (value !== undefined) cases.push([
        () => scan.forward(given, odd), `the options are ${String(found)}`, 'pass { state, cuSeqlens }',
      ]);
      if (value !== undefined && value !== null) cases.push([
        () => scan.forward(given, { state: odd }), `the state is ${String(found)}`, 'pass { S }',
      ]);
      for (const [call, message, remedy] of cases) {
        await expect(call()).rejects.toBeInstanceOf(RuntimeError);
        await expect(call()).rejects.toMatchObject({ message: expect.stringContaining(`two_faced: ${message}`), remedy });
      }
    }
    await expect(scan.forward({})).rejects.toBeInstanceOf(RuntimeError);
  });

  it('refuses what is no tensor', async () => {
    const scan = await open();
    const { q } = inputs(1, 2, 4, 2);
    for (const [given, found] of [
      [null, 'null'], [[[1]], 'an array'], [new Float32Array(24), 'a Float32Array'], [{ ...q, values: null }, 'an object'],
      [{ ...q, shape: [1, NaN] }, 'an object'],
    ]) {
      const refused = expect(scan.forward({ ...inputs(1, 2, 4, 2), v: given as never }, {})).rejects;
      await refused.toThrow(`two_faced: v is ${String(found)}, expected a tensor`);
      await refused.toBeInstanceOf(RuntimeError);
    }
    const numbers: readonly unknown[] = [null, undefined, 'text', 3, [1, null], [1n, 2n], new Uint8Array(2), new BigInt64Array(2), {}];
    for (const values of numbers) expect(() => tensor('B T', [1, 2], values as never)).toThrow(RuntimeError);
    for (const shape of [null, [1, 2.5], [1, -2], [1, NaN], 'ab']) {
      expect(() => tensor('B T', shape as never, [1, 2])).toThrow(RuntimeError);
    }
    await expect(read(fakeRuntime([]), null as never)).rejects.toThrow(RuntimeError);
  });

  it('takes numbers in any array', () => {
    for (const values of [[1, 2, 3, 4], Float64Array.of(1, 2, 3, 4)]) {
      expect(tensor('B T', [2, 2], values).values).toEqual(Float32Array.of(1, 2, 3, 4));
    }
    expect(() => tensor('B T', [2, 2], [1, 2, 3])).toThrow(/4 elements, the values 3/);
  });

  it('reads the names of axes: as many extents in another order are refused', async () => {
    const scan = await open();
    const { q, v } = inputs(2, 4, 4, 4);
    const heads = tensor('B H T V', [2, 4, 4, 3], new Float32Array(96));
    const state = tensor('H N K V', [4, 2, 2, 3], new Float32Array(48));
    await expect(scan.forward({ q, v: heads }, {})).rejects.toThrow(/v has the axes 'B H T V', expected 'B T H V'/);
    await expect(scan.forward({ q, v }, { state: { S: state } })).rejects.toThrow(/S has the axes 'H N K V', expected 'N H K V'/);
    await expect(scan.backward({ q, v }, { o: heads })).rejects.toThrow(/d_o has the axes 'B H T V', expected 'B T H V'/);
    await expect(scan.step({}, { q, v })).rejects.toThrow(/q has the axes 'B T G K', expected 'B G K'/);
  });

  it('gives host values back without a device', async () => {
    const host = new Float32Array([4]);
    expect(await read(fakeRuntime([]), tensor('H', [1], host))).toBe(host);
  });

  it('says what was built where nothing fits', async () => {
    await expect(openScan(
      fakeRuntime([]), files, ['cuda.sm90.bf16'], {},
    )).rejects.toThrow(/nothing was built for webgpu: there is cuda.sm90.bf16/);
  });
});

describe('what forward keeps for backward', () => {
  const score = {
    name: 'ws.score', role: 'workspace', dtype: 'f32', shape: ['tokens', 'heads', 2], axes: ['K'],
  } as const satisfies Plan['tensors'][number];
  const { forward, backward } = plan.programs;
  const keeping: Plan = {
    ...plan, tensors: [...plan.tensors, score],
    programs: {
      ...plan.programs,
      forward_kept: { ...forward, gives: [...forward.gives, score.name] },
      backward_kept: { ...backward, takes: [...backward.takes, score.name] },
    },
  };

  /** Bindings of a plan, the programs that they ran, with what these were given, and how often what was kept was released. */
  async function opened(given: Plan) {
    const seen: { program: string; names: readonly string[] }[] = [];
    const counts = { released: 0 };
    const made = (shape: readonly number[], release = (): void => {}): DeviceTensor => ({ dtype: 'f32', shape, release });
    const run: LoadedPlan['run'] = async (program, tensors, sizes) => {
      seen.push({ program, names: Object.keys(tensors) });
      const tokens = sizes.lengths.reduce((a, b) => a + b, 0);
      const kept = made([tokens, sizes.heads, 2], () => { counts.released++; });
      return { o: made([tokens, sizes.heads, 3]), ...(program === 'forward_kept' && { [score.name]: kept }) };
    };
    const text = async (name: string) => new TextEncoder().encode(name.endsWith('plan.json') ? JSON.stringify(given) : '');
    const runtime: Runtime = { ...fakeRuntime([]), load: async (loaded) => ({ plan: loaded, run, release() {} }) };
    return { seen, counts, scan: await openScan(runtime, text, ['webgpu.f32'], { K: 16, V: 32 }) };
  }

  it('is asked for, given to backward, and released once', async () => {
    const { seen, counts, scan } = await opened(keeping);
    expect((await scan.forward(inputs(2, 5, 4, 2))).kept).toBeUndefined();
    const { kept } = await scan.forward(inputs(2, 5, 4, 2), { keep: true });
    await scan.backward(inputs(2, 5, 4, 2), {}, { kept });
    await scan.backward(inputs(2, 5, 4, 2), {}, { kept: undefined });
    expect(seen.map(({ program, names }) => `${program}${names.includes(score.name) ? ' with it' : ''}`)).toEqual([
      'forward', 'forward_kept', 'backward_kept with it', 'backward',
    ]);
    kept?.release();
    kept?.release();
    expect(counts.released).toBe(1);
    await expect(scan.backward(inputs(2, 5, 4, 2), {}, { kept })).rejects.toThrow('`kept` was released');
  });

  it('is nothing where kernels leave nothing: backward computes it', async () => {
    const { seen, scan } = await opened(plan);
    const { kept } = await scan.forward(inputs(2, 5, 4, 2), { keep: true });
    expect(kept).toBeUndefined();
    await scan.backward(inputs(2, 5, 4, 2), {}, { kept });
    expect(seen.map(({ program }) => program)).toEqual(['forward', 'backward']);
  });

  it('is refused where it is of another call, of other kernels, or anything else', async () => {
    const [{ scan }, { scan: other }] = [await opened(keeping), await opened(keeping)];
    const { kept } = await scan.forward(inputs(2, 5, 4, 2), { keep: true });
    await expect(scan.backward(inputs(1, 5, 4, 2), {}, { kept })).rejects.toThrow('was left by a call of other sizes');
    const packed = { kept, cuSeqlens: [0, 4, 10] };
    await expect(scan.backward(inputs(1, 10, 4, 2), {}, packed)).rejects.toThrow('was left by a call of other sizes');
    await expect(other.backward(inputs(2, 5, 4, 2), {}, { kept })).rejects.toThrow('was left by kernels that were loaded apart');
    await expect(scan.backward(inputs(2, 5, 4, 2), {}, { kept: Object(7) })).rejects.toThrow('`kept` is not what a forward kept');
    await expect(scan.forward(inputs(2, 5, 4, 2), { keep: Object('yes') })).rejects.toThrow('`keep` is a String');
  });
});
