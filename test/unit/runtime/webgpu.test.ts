import { afterAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { LimitError, type DeviceTensor } from '../../../src/runtime/runtime.js';
import type { WebGpuRuntime } from '../../../src/runtime/webgpu/index.js';
import { openSoftwareGpu } from '../../webgpu/adapters.js';
import { plain } from '../wgsl/templates.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';

const buffer = (
  name: string, role: TileBuffer['role'], outer: TileBuffer['outer'] = 'row',
): TileBuffer => ({ name, outer, domain: TOKENS, inner: 'head', axes: ['K'], dtype: 'f32', role });
const [x, start, y] = [buffer('x', 'input'), buffer('start', 'initial', 'run'), buffer('y', 'output')];
const module: TileModule = {
  name: 'sums', chunk: 16, sizes: new Map([['K', 3]]), domains: [TOKENS], buffers: [x, start, y],
  kernels: [buildKernel(
    { name: 'add', doc: 'Adds the start to every token.', outer: 'chunk', domain: TOKENS, inner: 'head' },
    (k) => k.store(y, k.add(k.load(x), k.load(start))),
  )],
  programs: scanPrograms([x, start, y], { forward: ['add'] }),
};
const { plan, files } = emitWgsl(module, { ...plain, dtype: 'f32' });
const values = Float32Array.from({ length: 2 * 2 * 3 }, (_, i) => i);
const sizes = { heads: 2, groups: 2, lengths: [2] };

const opened = await openSoftwareGpu('swiftshader', 'lavapipe');
if ('why' in opened) it.skip(`the WebGPU runtime: ${opened.why}`, () => undefined);
else describe('the WebGPU runtime', () => runtimeTests(opened));

async function runtimeTests(runtime: WebGpuRuntime): Promise<void> {
  afterAll(() => runtime.release());
  const loaded = await runtime.load(plan, files);

  it('takes typed arrays, and zeros for an absent initial state', async () => {
    const { y: made } = await loaded.run('forward', { x: values }, sizes);
    expect(await runtime.download(made)).toEqual(values);
    expect(made.shape).toEqual([2, 2, 3]);
  });

  it('uses tensors of the device where they lie, and writes into given ones', async () => {
    const given = runtime.upload(values, 'f32', [1, 2, 2, 3]);
    const begin = runtime.upload(Float32Array.from([10, 10, 10, 20, 20, 20]), 'f32', [1, 2, 3]);
    const into = runtime.empty('f32', [2, 2, 3]);
    const made = await loaded.run('forward', { x: given, start: begin }, sizes, { into: { y: into } });
    expect(made.y).toBe(into);
    expect([...await runtime.download(into)]).toEqual([...values].map((value, i) => value + (i % 6 < 3 ? 10 : 20)));
    // A result is an input of the next call.
    const { y: again } = await loaded.run('forward', { x: into, start: begin }, sizes);
    expect([...await runtime.download(again)].slice(0, 3)).toEqual([20, 21, 22]);
  });

  it('refuses what is no tensor, and what was given back', async () => {
    // JavaScript and casts get here with anything.
    for (const [given, found] of [
      [null, 'null'], [[1, 2], 'an array'], ['text', "the text 'text'"], [{}, 'an object'], [new Uint8Array(12), 'a Uint8Array'],
    ] as const) {
      await expect(loaded.run('forward', { x: given as never }, sizes)).rejects.toThrow(new RegExp(`^sums: x is ${found}`));
    }
    const gone = runtime.upload(values, 'f32', [2, 2, 3]);
    gone.release();
    await expect(loaded.run('forward', { x: gone }, sizes)).rejects.toThrow('sums: x was released');
    await expect(runtime.download(gone)).rejects.toThrow('the tensor was released');
    const other = await runtime.load(plan, files);
    other.release();
    other.release();
    await expect(other.run('forward', { x: values }, sizes)).rejects.toThrow('sums was released');
  });

  it('lends a buffer of the device as a tensor', async () => {
    const own = runtime.gpu.createBuffer({ size: values.byteLength, usage: 0x8c });
    runtime.gpu.queue.writeBuffer(own, 0, values);
    const { y: made } = await loaded.run('forward', { x: runtime.borrow(own, 'f32', [2, 2, 3]) }, sizes);
    expect(await runtime.download(made)).toEqual(values);
  });

  it('keeps the halves of an odd number of elements', async () => {
    const halves = Uint16Array.from([1, 2, 3]);
    expect(await runtime.download(runtime.upload(halves, 'bf16', [3]))).toEqual(halves);
  });

  it('says what the device finds wrong: at once where something was made, else with the next results or calls', async () => {
    const gone = (): DeviceTensor => {
      const own = runtime.gpu.createBuffer({ size: values.byteLength, usage: 0x8c });
      return Object.assign(runtime.borrow(own, 'f32', [2, 2, 3]), { end: () => own.destroy() });
    };
    const end = (tensor: DeviceTensor) => 'end' in tensor && typeof tensor.end === 'function' && tensor.end();
    const into = runtime.empty('f32', [2, 2, 3]);
    const call = (x: DeviceTensor) => loaded.run('forward', { x }, sizes, { into: { y: into } });
    const first = gone();
    end(first);
    await expect(call(first)).rejects.toThrow(/^sums, forward: [^]*destroyed/);
    const second = gone();
    await call(second);
    await runtime.download(into);
    end(second);
    await call(second);
    await expect(runtime.download(into)).rejects.toThrow(/^sums, forward: [^]*destroyed/);
    await runtime.download(into);
    const calls = async () => {
      for (let i = 0; i < 16; i++) await call(second);
    };
    await expect(calls()).rejects.toThrow(/^sums, forward: [^]*destroyed/);
    await expect(runtime.download(into)).resolves.toHaveLength(values.length);
  });

  it('asks the device for no memory in a loop that gives its results back, whichever of a few sizes a call has', async () => {
    const { gpu } = runtime;
    const make = gpu.createBuffer.bind(gpu);
    let made = 0;
    gpu.createBuffer = (descriptor) => {
      made++;
      return make(descriptor);
    };
    try {
      const others = { heads: 2, groups: 2, lengths: [1, 3] };
      const given = Float32Array.from({ length: 4 * 2 * 3 }, (_, i) => i);
      const asked: number[] = [];
      for (let turn = 0; turn < 6; turn++) {
        made = 0;
        for (const [x, call] of [[values, sizes], [given, others]] as const) {
          const { y: result } = await loaded.run('forward', { x }, call);
          result.release();
        }
        asked.push(made);
      }
      expect(asked[0]).toBeGreaterThan(0);
      // Tables, which stay, may have taken what results of the first turn gave back.
      expect(asked.slice(2)).toEqual([0, 0, 0, 0]);
    } finally {
      gpu.createBuffer = make;
    }
  });

  it('does nothing for a call without tokens', async () => {
    const { y: made } = await loaded.run('forward', { x: new Float32Array(0) }, { ...sizes, lengths: [0] });
    expect(made.shape).toEqual([0, 2, 3]);
    expect((await runtime.download(made)).length).toBe(0);
  });

  it('says what is missing or does not fit', async () => {
    await expect(loaded.run('forward', {}, sizes)).rejects.toThrow(/the input x is missing/);
    await expect(loaded.run('forward', { x: new Float32Array(5) }, sizes)).rejects.toThrow(/x: \[2, 2, 3\] has 12 elements, the array 5/);
    await expect(loaded.run(
      'forward', { x: new Int32Array(12) }, sizes,
    )).rejects.toThrow(/x: f32 values come in a Float32Array, found Int32Array/);
    await expect(loaded.run(
      'forward', { x: runtime.empty('f32', [2, 3]) }, sizes,
    )).rejects.toThrow(/x must be f32 \[2, 2, 3\], found f32 \[2, 3\]/);
    await expect(loaded.run(
      'forward', { x: { dtype: 'f32', shape: [2, 2, 3], release() {} } }, sizes,
    )).rejects.toThrow(/x lives on another device/);
  });

  it('refuses what comes after it was released, at once', async () => {
    const other = await openSoftwareGpu('swiftshader', 'lavapipe');
    if ('why' in other) throw new Error(other.why);
    other.release();
    other.release();
    expect(() => other.upload(values, 'f32', [2, 2, 3])).toThrow('the device is lost: the runtime was released');
  });

  it('says how much a tensor would take and what the adapter binds', () => {
    const large = (): unknown => runtime.empty('f32', [1 << 15, 1 << 15]);
    expect(large).toThrow(/\[32768, 32768\] takes 4096\.0 MiB; this adapter binds \d+\.0 MiB at most/);
    expect(large).toThrow(LimitError);
  });

  it('refuses a grid that no adapter can launch', async () => {
    const lengths = Array.from({ length: 65536 }, () => 1);
    const call = loaded.run('forward', { x: new Float32Array(65536 * 3) }, { heads: 1, groups: 1, lengths });
    await expect(call).rejects.toThrow(/add would need a grid of 65536 x 1 x 1 workgroups/);
    await expect(call).rejects.toThrow(LimitError);
  });

  it('turns what the device says of a kernel into an error with the file\'s name', async () => {
    const broken = new Map([['add.wgsl', 'fn main() { let x = y; }']]);
    await expect(runtime.load(plan, broken)).rejects.toThrow(/compiling add\.wgsl of sums: [^]*unresolved value 'y'/);
    await expect(runtime.load(plan, new Map())).rejects.toThrow(/add\.wgsl of sums was not given/);
    await expect(runtime.load({ ...plan, target: 'cuda.sm90' }, files)).rejects.toThrow(/the plan of sums is for cuda\.sm90/);
  });
}
