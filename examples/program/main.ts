// Uses a generated binding as any other project would: forward, backward and step, with typed arrays and with tensors that stay on the device.
//
//   npm run build && npx tsc -p examples/program && node examples/program/main.js
//
// Another project writes the kernels with `npx lmoec build FILE.lmoe -o src/kernels` and imports the binding from there.
import { readFloats, release, tensor, upload } from 'lmoec/bindings';
import { cudaStatus } from 'lmoec/cuda';
import type { Runtime } from 'lmoec/runtime';
import { webGpuStatus } from 'lmoec/webgpu';
import { load, sizes } from '../../generated/gated_delta/gated_delta.js';

const { K, V } = sizes;
// One sequence of T tokens, H heads of values, G groups of queries and keys.
const [T, H, G] = [100, 4, 2];

async function openRuntime(): Promise<Runtime> {
  const cuda = cudaStatus();
  if (cuda.available) return cuda.open();
  const webgpu = await webGpuStatus();
  if (webgpu.available) return webgpu.open();
  throw new Error(`no device: ${cuda.why}; ${webgpu.why}`);
}

/** Numbers in -1..1, the same in every run. */
function noise(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453) % 1);
}

/** Scaled to vectors of length 1: the delta rule wants such keys. */
function unit(values: Float32Array, size: number): Float32Array {
  return values.map((x, i) => x / Math.hypot(...values.subarray(i - (i % size), i - (i % size) + size)));
}

const data = {
  q: unit(noise(T * G * K, 1), K),
  k: unit(noise(T * G * K, 2), K),
  v: noise(T * H * V, 3),
  g: noise(T * H, 4).map((x) => -0.1 * Math.abs(x)),
  beta: noise(T * H, 5).map((x) => 0.5 + 0.4 * x),
};

/** Tokens `from` to `to` as typed arrays: copied for a call, rounded to what the kernels read. */
function tokens(from: number, to: number) {
  const part = (values: Float32Array) => values.subarray(from * (values.length / T), to * (values.length / T));
  const n = to - from;
  return {
    q: tensor('B T G K', [1, n, G, K], part(data.q)),
    k: tensor('B T G K', [1, n, G, K], part(data.k)),
    v: tensor('B T H V', [1, n, H, V], part(data.v)),
    g: tensor('B T H', [1, n, H], part(data.g)),
    beta: tensor('B T H', [1, n, H], part(data.beta)),
  };
}

/** One token without a token axis, as `step` takes it. */
function token(at: number) {
  const { q, k, v, g, beta } = tokens(at, at + 1);
  return {
    q: tensor('B G K', [1, G, K], q.values),
    k: tensor('B G K', [1, G, K], k.values),
    v: tensor('B H V', [1, H, V], v.values),
    g: tensor('B H', [1, H], g.values),
    beta: tensor('B H', [1, H], beta.values),
  };
}

const runtime = await openRuntime();
console.log(`device: ${runtime.device}`);
const scan = await load(runtime);

// Tensors on the device: copied once, used by every call.
const all = tokens(0, T);
const fixed = {
  q: upload(runtime, all.q, scan.dtypes.q),
  k: upload(runtime, all.k, scan.dtypes.k),
  g: upload(runtime, all.g, scan.dtypes.g),
  beta: upload(runtime, all.beta, scan.dtypes.beta),
};

// Gradient descent on the values, until what is read comes near a target.
const target = noise(T * H * V, 6).map((x) => 0.05 * x);
for (let round = 0; round < 5; round++) {
  const v = tensor('B T H V', [1, T, H, V], data.v);
  const { o, state } = await scan.forward({ ...fixed, v });
  const error = (await readFloats(runtime, o)).map((x, i) => x - target[i]);
  console.log(`round ${round}: mean square error ${(error.reduce((sum, x) => sum + x * x, 0) / error.length).toExponential(3)}`);
  const gradients = await scan.backward({ ...fixed, v }, { o: tensor('B T H V', [1, T, H, V], error) });
  const dv = await readFloats(runtime, gradients.v);
  data.v = data.v.map((x, i) => x - 80 * dv[i]);
  [o, state.S, gradients.q, gradients.k, gradients.v, gradients.g, gradients.beta, gradients.state.S].forEach(release);
}

// Decoding: all tokens but the last at once, then the last one from the state that they leave. All tokens at once must say the same.
const whole = await scan.forward(tokens(0, T));
const before = await scan.forward(tokens(0, T - 1));
const next = await scan.step(before.state, token(T - 1));
const expected = (await readFloats(runtime, whole.o)).subarray((T - 1) * H * V);
const decoded = await readFloats(runtime, next.o);
const difference = Math.max(...decoded.map((x, i) => Math.abs(x - expected[i])));
console.log(`the last token, decoded: largest difference ${difference.toExponential(1)}`);
if (!(difference < 1e-2)) process.exitCode = 1;

scan.release();
runtime.release();
