// Host time of calls through the package's own runtime: how long a program waits until a call is submitted, beside the time of the device.
//
//   lmoec build examples/gla.lmoe --target cuda.sm90 -o out && node bench/host.mjs out/gla [out/...]
//   node bench/host.mjs --runtime webgpu generated/gla
//
// A row per program: `host` is the median of a call's time until it is submitted, results given back after use; `left` the same with
// results left to the garbage collector; `device` the time per call of a long row of calls, waited for at the end. Microseconds.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openScan, release, tensor, upload } from '../dist/src/runtime/bindings.js';

const { values: options, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: {
    runtime: { type: 'string', default: 'cuda' }, tokens: { type: 'string', default: '2048' }, heads: { type: 'string', default: '16' },
    calls: { type: 'string', default: '400' },
  },
});
const [batch, tokens, heads, calls] = [2, Number(options.tokens), Number(options.heads), Number(options.calls)];

const runtime = await open();
console.log(`${runtime.device}; B = ${batch}, T = ${tokens}, H = ${heads}; ${calls} calls each`);
console.log('scan            program   variant              host us   left us   device us');
for (const folder of folders) await measure(folder);
runtime.release();

async function open() {
  const status = options.runtime === 'webgpu'
    ? await (await import('../dist/src/runtime/webgpu/index.js')).webGpuStatus()
    : (await import('../dist/src/runtime/cuda/index.js')).cudaStatus();
  if (!status.available) throw new Error(`${options.runtime}: ${status.why}; ${status.remedy}`);
  return status.open();
}

async function measure(folder) {
  const variants = readdirSync(folder).filter((name) => /^(cuda|webgpu)\./.test(name));
  const first = JSON.parse(readFileSync(
    join(folder, variants.find((name) => name.startsWith(options.runtime)) ?? variants[0], 'plan.json'), 'utf8',
  ));
  const scan = await openScan(runtime, async (name) => readFileSync(join(folder, name)), variants, first.sizes);
  const { plan } = scan;
  const filled = (declared, step) => {
    const extents = { row: step ? [batch] : [batch, tokens], run: [batch], head: [heads], group: [heads] };
    const letters = { row: step ? ['B'] : ['B', 'T'], run: ['N'], head: ['H'], group: ['G'] };
    const lead = declared.shape.slice(0, declared.shape.length - declared.axes.length).map((extent) => plan.extents[extent].of);
    const shape = [...lead.flatMap((extent) => extents[extent]), ...declared.axes.map((axis) => plan.sizes[axis])];
    const axes = [...lead.flatMap((extent) => letters[extent]), ...declared.axes].join(' ');
    const data = new Float32Array(shape.reduce((n, extent) => n * extent, 1)).fill(-0.01);
    return upload(runtime, tensor(axes, shape, data), declared.dtype);
  };
  const group = (roles, step = false, rename = (name) => name) => Object.fromEntries(
    plan.tensors.filter(({ role }) => roles.includes(role)).map((declared) => [rename(declared.name), filled(declared, step)]),
  );
  const inputs = group(['input', 'param']);
  const token = group(['input', 'param'], true);
  const state = group(['initial'], false, (name) => name.replace(/^initial\./, ''));
  const cotangents = Object.fromEntries(plan.tensors.filter(({ role }) => role === 'output').map((declared) => [
    declared.name, filled(declared, false),
  ]));
  const programs = [
    ['forward', () => scan.forward(inputs), ['output', 'final']],
    ['backward', () => scan.backward(inputs, cotangents), ['gradient']],
    ['step', () => scan.step(state, token), ['output', 'final']],
  ];
  for (const [name, call, roles] of programs) {
    const taken = plan.tensors.filter(({ role }) => roles.includes(role)).map((declared) => [userOf(declared), '']);
    const drop = (results) => taken.forEach(([user]) => release(results.take(user, '')));
    const host = await median(call, drop);
    const left = await median(call, () => {});
    await wait();
    const start = performance.now();
    for (let i = 0; i < calls; i++) drop(await call());
    await wait();
    const device = (1000 * (performance.now() - start)) / calls;
    const times = [host, left, device].map((x) => x.toFixed(1).padStart(11)).join('');
    console.log(`${plan.scan.padEnd(16)}${name.padEnd(10)}${`${plan.target}.${plan.dtype}`.padEnd(17)}${times}`);
  }
  scan.release();
}

/** The name that `take` knows a result by. */
function userOf({ role, name }) {
  return role === 'gradient' ? name.replace(/^d_initial\./, 'd_') : name.replace(/^final\./, '');
}

/** The queue is emptied now and then, so that the driver never makes a call wait for the device. */
async function median(call, drop) {
  const times = [];
  for (let i = 0; i < calls + 20; i++) {
    const start = performance.now();
    const results = await call();
    const time = performance.now() - start;
    drop(results);
    if (i % 20 === 19) await wait();
    if (i >= 20) times.push(1000 * time);
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

async function wait() {
  if ('finish' in runtime) await runtime.finish();
  else await runtime.gpu.queue.onSubmittedWorkDone();
}
