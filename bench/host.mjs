// Host time of calls through the package's own runtime: how long a program waits until a call is submitted, beside the time of the device.
//
//   lmoec build examples/gla.lmoe --target cuda.sm90 -o out && node bench/host.mjs out/gla [out/...]
//   node bench/host.mjs --runtime webgpu generated/gla
//
// A row per program: `host` is the median of a call's time until it is submitted, results given back after use; `left` the same with
// results left to the garbage collector; `device` the time per call of a long row of calls, waited for at the end. Microseconds.
// Ends in `--seconds` with the rows that are done; `--out FOLDER` has them as host.RUNTIME.json and .md.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openScan, release, tensor, upload } from '../dist/src/runtime/bindings.js';

const { values: options, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: {
    runtime: { type: 'string', default: 'cuda' }, tokens: { type: 'string', default: '2048' }, heads: { type: 'string', default: '16' },
    calls: { type: 'string', default: '400' }, warm: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '120' }, out: { type: 'string' },
  },
});
const end = performance.now() + 1000 * Number(options.seconds);
const rows = [];
const [batch, tokens, heads, calls, warm] = [2, Number(options.tokens), Number(options.heads), Number(options.calls), Number(options.warm)];

const runtime = await open();
console.log(`${runtime.device}; B = ${batch}, T = ${tokens}, H = ${heads}; ${calls} calls each`);
console.log('scan            program   variant              host us   left us   device us');
for (const folder of folders) await measure(folder);
if (options.out !== undefined) write(options.out);
runtime.release();

function write(folder) {
  const where = {
    date: new Date().toISOString().slice(0, 10), commit: commit(), device: runtime.device, node: process.version,
    call: `B=${batch} T=${tokens} H=${heads}`,
  };
  const title = `Host time of the package's runtime (${Object.entries(where).map(([key, value]) => `${key} ${value}`).join(', ')}), microseconds`;
  const headings = ['scan', 'program', 'variant', 'host', 'left', 'device'];
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const table = [line(headings), line(headings.map(() => '---')), ...rows.map((row) => line(headings.map((key) => row[key])))];
  mkdirSync(folder, { recursive: true });
  const at = join(folder, `host.${options.runtime}`);
  writeFileSync(`${at}.json`, JSON.stringify({ where, rows }, null, 1));
  writeFileSync(`${at}.md`, `${[title, '', ...table].join('\n')}\n`);
}

function commit() {
  if (process.env.LMOEC_COMMIT !== undefined) return process.env.LMOEC_COMMIT;
  try {
    return execFileSync('git', ['-C', import.meta.dirname, 'describe', '--always', '--dirty'], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return 'unknown';
  }
}

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
    if (performance.now() > end) {
      console.log(`${plan.scan.padEnd(16)}${name.padEnd(10)}no time was left`);
      continue;
    }
    const taken = plan.tensors.filter(({ role }) => roles.includes(role)).map((declared) => [userOf(declared), '']);
    const drop = (results) => taken.forEach(([user]) => release(results.take(user, '')));
    const host = await median(call, drop);
    const left = await median(call, () => {});
    await wait();
    const start = performance.now();
    for (let i = 0; i < calls; i++) drop(await call());
    await wait();
    const device = (1000 * (performance.now() - start)) / calls;
    const [variant, times] = [`${plan.target}.${plan.dtype}`, [host, left, device].map((x) => x.toFixed(1))];
    console.log(`${plan.scan.padEnd(16)}${name.padEnd(10)}${variant.padEnd(17)}${times.map((x) => x.padStart(11)).join('')}`);
    rows.push({ scan: plan.scan, program: name, variant, ...Object.fromEntries(['host', 'left', 'device'].map((key, i) => [key, times[i]])) });
  }
  scan.release();
}

/** The name that `take` knows a result by. */
function userOf({ role, name }) {
  return role === 'gradient' ? name.replace(/^d_initial\./, 'd_') : name.replace(/^final\./, '');
}

/**
 * The queue is emptied now and then, so that the driver never makes a call wait for the device. The first calls do not count, nor do those
 * of `--warm`, or of two seconds: JavaScript is compiled by then, which makes the first scan of a process twice as slow as the second.
 */
async function median(call, drop) {
  const [times, hot] = [[], performance.now() + 2000];
  for (let i = 0, before = 20; i < calls + before; i++) {
    const start = performance.now();
    const results = await call();
    const time = performance.now() - start;
    drop(results);
    if (i % 20 === 19) await wait();
    if (i === before && before < warm && start < hot) before++;
    if (i >= before) times.push(1000 * time);
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

async function wait() {
  if ('finish' in runtime) await runtime.finish();
  else await runtime.gpu.queue.onSubmittedWorkDone();
}
