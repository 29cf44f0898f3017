// A page that uses a generated binding as any other page would: forward and backward with typed arrays, beside a plain loop of the same formula.
//
//   npm run browser
//
// Another project writes the kernels with `npx lmoec build FILE.lmoe -o kernels --target webgpu` and imports the binding from there.
import { readFloats, release, tensor, type Tensor } from 'lmoec/bindings';
import { RuntimeError } from 'lmoec/runtime';
import { webGpuStatus, type WebGpuRuntime } from 'lmoec/webgpu';
import { load, sizes } from '../../generated/gla/gla.js';
import { plainLoop } from './loop.js';

const { K, V } = sizes;
// One sequence of T tokens with H heads.
const [T, H] = [500, 2];
// rms(difference) / rms(plain loop) that f32 kernels may have.
const ALLOWED = 1e-4;

/** What the page says it is doing: `data-state` of its body. */
type State = 'absent' | 'agrees' | 'differs' | 'failed';

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

function finish(state: State, text: string): void {
  element('verdict').textContent = text;
  document.body.dataset.state = state;
}

function show(table: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const row = (kind: 'th' | 'td', cells: readonly string[]) => {
    const line = document.createElement('tr');
    line.append(...cells.map((text) => Object.assign(document.createElement(kind), { textContent: text })));
    return line;
  };
  element(table).replaceChildren(row('th', head), ...rows.map((cells) => row('td', cells)));
}

/** Numbers in -1..1, the same in every run. */
function noise(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453) % 1);
}

async function timed<R>(work: () => R | Promise<R>): Promise<{ readonly result: R; readonly ms: number }> {
  const start = performance.now();
  const result = await work();
  return { result, ms: performance.now() - start };
}

function relativeError(found: Float32Array, expected: Float64Array): number {
  const squares = (values: Float64Array) => values.reduce((sum, x) => sum + x * x, 0);
  return Math.sqrt(squares(expected.map((x, i) => found[i] - x)) / squares(expected));
}

async function compare(runtime: WebGpuRuntime): Promise<void> {
  const { result: scan, ms: loading } = await timed(() => load(runtime));
  const data = { q: noise(T * H * K, 1), k: noise(T * H * K, 2), v: noise(T * H * V, 3), g: noise(T * H * K, 4).map((x) => -0.1 * Math.abs(x)) };
  const dO = noise(T * H * V, 5);
  const inputs = {
    q: tensor('B T H K', [1, T, H, K], data.q),
    k: tensor('B T H K', [1, T, H, K], data.k),
    v: tensor('B T H V', [1, T, H, V], data.v),
    g: tensor('B T H K', [1, T, H, K], data.g),
  };

  /** Values come back when the device is done. */
  async function fetched(tensors: Readonly<Record<string, Tensor<string>>>): Promise<Readonly<Record<string, Float32Array>>> {
    const values = await Promise.all(Object.entries(tensors).map(async ([name, item]) => [name, await readFloats(runtime, item)] as const));
    Object.values(tensors).forEach(release);
    return Object.fromEntries(values);
  }
  const forward = async () => {
    const { o, state } = await scan.forward(inputs);
    return fetched({ o, S: state.S });
  };
  const backward = async () => {
    const { q, k, v, g, state } = await scan.backward(inputs, { o: tensor('B T H V', [1, T, H, V], dO) });
    release(state.S);
    return fetched({ d_q: q, d_k: k, d_v: v, d_g: g });
  };

  const loop = await timed(() => plainLoop(data, dO, { T, H, K, V }));
  const first = { forward: await timed(forward), backward: await timed(backward) };
  const again = { forward: await timed(forward), backward: await timed(backward) };
  const ms = (time: number) => `${time.toFixed(1)} ms`;
  show('times', [`${T} tokens, ${H} heads`, 'first call', 'second call'], [
    ['fetch and compile kernels', ms(loading), ''],
    ['forward', ms(first.forward.ms), ms(again.forward.ms)],
    ['backward', ms(first.backward.ms), ms(again.backward.ms)],
    ['plain loop, both', ms(loop.ms), ''],
  ]);

  const found = { ...again.forward.result, ...again.backward.result };
  const errors = Object.entries(loop.result).map(([name, expected]) => ({ name, error: relativeError(found[name], expected) }));
  show('errors', ['tensor', 'rms(difference) / rms(plain loop)'], errors.map(({ name, error }) => [name, error.toExponential(1)]));
  const wrong = errors.filter(({ error }) => !(error <= ALLOWED)).map(({ name }) => name);
  if (wrong.length === 0) finish('agrees', 'The kernels agree with the loop.');
  else finish('differs', `The kernels differ from the loop: ${wrong.join(', ')}.`);
  scan.release();
}

try {
  const status = await webGpuStatus();
  if (status.available) {
    element('device').textContent = `Device: ${status.device}`;
    const runtime = await status.open();
    await compare(runtime);
    runtime.release();
  } else {
    element('device').textContent = 'No device';
    finish('absent', `${status.why}: ${status.remedy}`);
  }
} catch (error) {
  finish('failed', error instanceof RuntimeError ? `${error.message}: ${error.remedy}` : String(error));
  throw error;
}
