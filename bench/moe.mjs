// Mixtures on WebGPU through the package's own runtime: times, the rate of the experts' products beside the adapter's own rate of f32
// multiply-adds, and errors against the float64 interpreter, in one run.
//
//   L="node dist/src/cli/main.js build --target webgpu"
//   $L examples/moe/softmax.lmoe --name mixtral --size D=1024,F=512,E=16 --with k=2 -o moe-out/wide
//   $L examples/moe/groups.lmoe --name deepseek_v3 --size D=64,G=2,M=4,F=48,S=48 --with keep=1 --with k=2 --with scale=2 -o moe-out/tiny
//   node bench/moe.mjs --tokens 8192 moe-out/wide/mixtral moe-out/tiny/deepseek_v3
//
// `tiny` is the mixture of examples/models/tiny_linear_moe.lmoe. VK_ICD_FILENAMES chooses the driver; software adapters want few tokens
// (`--tokens 128`). A time is that of a call in a long row of calls, waited for at the end: the median of such rows. `forward` is the
// program of `eval`, `both` forward in training and backward. GFLOP/s count the products of tokens with their experts, twice as many
// backward as forward; routers and shared experts are not counted. `share` is of the adapter's own rate, which a kernel of nothing but
// multiply-adds in registers reaches just before; `--peak` (TFLOP/s) says the nominal one too. Errors: rms(difference) / rms(reference)
// at `--error-tokens` tokens: the output's, the worst gradient's; choices that rounding moved count as errors.
// `--kernels` adds the time of every kernel: of the program up to it, less that of the program before it.
// Ends in `--seconds` with the rows that are done; `--out FOLDER` has them as moe.webgpu.json and .md.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openKernels, readFloats, tensor, upload } from '../dist/src/runtime/bindings.js';
import { openGraph } from '../dist/src/runtime/interpreter/index.js';
import { webGpuStatus } from '../dist/src/runtime/webgpu/index.js';

const { values: options, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: {
      type: 'string', default: '4096',
    }, 'error-tokens': { type: 'string', default: '48' }, seconds: { type: 'string', default: '300' },
    'row-seconds': { type: 'string', default: '1' }, peak: { type: 'string' }, kernels: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const end = performance.now() + 1000 * Number(options.seconds);
const [tokens, errorTokens, rowSeconds] = ['tokens', 'error-tokens', 'row-seconds'].map((name) => Number(options[name]));

const status = await webGpuStatus();
if (!status.available) throw new Error(`${status.why}; ${status.remedy}`);
const runtime = await status.open();
const own = await ownRate();
console.log(`${runtime.device}; ${tokens} tokens; f32 multiply-adds in registers: ${(own / 1e12).toFixed(3)} TFLOP/s`);
const rows = [];
for (const folder of folders) {
  if (performance.now() > end) console.log(`${folder}: no time was left`);
  else await measure(folder);
}
if (options.out !== undefined) write(options.out);
runtime.release();

async function measure(folder) {
  const read = async (name) => readFileSync(join(folder, name));
  const meaning = await openGraph(read);
  const plan = JSON.parse(readFileSync(join(folder, 'webgpu.f32/train/plan.json'), 'utf8'));
  const params = meaning.init(1);
  const variants = readdirSync(folder).filter((name) => /^webgpu\./.test(name));
  // Of every program, the last call again, but up to a kernel.
  const again = {};
  const kernels = await openKernels({ ...runtime, async load(plan, files) {
    const programs = Object.entries(plan.programs).flatMap(([name, program]) => [
      [name, program], ...program.launches.map((_, n) => [`${name} ${n + 1}`, { ...program, launches: program.launches.slice(0, n + 1) }]),
    ]);
    const loaded = await runtime.load({ ...plan, programs: Object.fromEntries(programs) }, files);
    return { ...loaded, run(name, ...rest) {
      again[name] = async (n) => Object.values(await loaded.run(`${name} ${n}`, ...rest)).forEach((made) => made.release());
      return loaded.run(name, ...rest);
    } };
  } }, read, variants);
  const [given] = Object.values(plan.names.given).filter(
    ({ kind, shape, name }) => kind === 'user' && shape[0] === 'tokens' && !/^d_/.test(name)
  );
  const drawn = (count, seed) => tensor('B T D', [1, count, given.shape[1]], normal(count * given.shape[1], seed));
  const onDevice = Object.fromEntries(Object.entries(params).map(([name, value]) => [
    name, upload(runtime, value, kernels.dtypes[name] ?? 'f32'),
  ]));
  const errors = await compared(meaning, kernels, { params, onDevice }, drawn);
  const inputs = { [given.name]: upload(runtime, drawn(tokens, 2), 'f32') };
  const cotangents = { y: upload(runtime, drawn(tokens, 3), 'f32') };
  const made = await kernels.forward(onDevice, inputs);
  const flops = productsOf(params, await made.counts());
  const dropped = ({ inputs: some, params: others }) => [
    ...Object.values(some), ...Object.values(others)
  ].forEach(({ values }) => values.release());
  const programs = {
    forward: async () => (await kernels.eval(onDevice, inputs)).release(),
    train: async () => (await kernels.forward(onDevice, inputs)).release(),
    backward: async () => dropped(await kernels.backward(made, onDevice, inputs, cotangents)),
  };
  const times = {};
  for (const [name, call] of Object.entries(programs)) times[name] = await timed(call);
  const both = times.train + times.backward;
  const name = `${folder}: ${Object.entries(plan.sizes).map(([axis, size]) => `${axis}=${size}`).join(' ')}`;
  console.log(`\n${name}\nprogram        ms      GFLOP/s   of own${options.peak === undefined ? '' : '  of peak'}`);
  for (const [what, time, work] of [['forward', times.forward, flops], ['both', both, 3 * flops]]) {
    const rate = work / time;
    const row = {
      mixture: name, program: what, ms: (1000 * time).toFixed(3), 'GFLOP/s': (rate / 1e9).toFixed(1), 'of own': percent(rate / own),
    };
    if (options.peak !== undefined) row['of peak'] = percent(rate / (1e12 * Number(options.peak)));
    const shown = [row.ms.padStart(9), row['GFLOP/s'].padStart(12), row['of own'].padStart(9), (row['of peak'] ?? '').padStart(9)];
    console.log(`${what.padEnd(9)}${shown.join('')}`);
    rows.push({ ...row, error: (what === 'both' ? errors.gradient : errors.output).toExponential(1) });
  }
  console.log(`errors: y ${errors.output.toExponential(1)}, ${errors.worst} ${errors.gradient.toExponential(1)}`);
  // The last forward was one in training.
  if (options.kernels) for (const program of ['forward', 'backward']) {
    let before = 0;
    for (const [n, { kernel }] of plan.programs[program].launches.entries()) {
      const time = await timed(() => again[program](n + 1), 0.3);
      console.log(`  ${kernel.padEnd(28)}${((time - before) * 1000).toFixed(3).padStart(9)} ms`);
      before = time;
    }
  }
  made.release();
  kernels.release();
}

/** Outputs and gradients on the device against the interpreter's. */
async function compared(meaning, kernels, { params, onDevice }, drawn) {
  const inputs = { x: drawn(errorTokens, 2) };
  const cotangents = { y: drawn(errorTokens, 3) };
  const expected = await meaning.train(params, inputs);
  const found = await kernels.forward(onDevice, inputs);
  const distance = async (value, { values: wanted }) => {
    const got = await readFloats(runtime, value);
    const square = (of) => Math.sqrt(wanted.reduce((sum, x, i) => sum + of(x, i) ** 2, 0));
    return square((x, i) => got[i] - x) / square((x) => x);
  };
  const output = await distance(found.outputs.y, expected.outputs.y);
  const [mine, meant] = [await kernels.backward(found, onDevice, inputs, cotangents), expected.gradients(cotangents)];
  const gradients = await Promise.all(['inputs', 'params'].flatMap((of) => Object.entries(meant[of]).map(
    async ([name, value]) => [`d_${name}`, await distance(mine[of][name], value)],
  )));
  const [worst, gradient] = gradients.filter(([, error]) => !Number.isNaN(error)).sort(([, a], [, b]) => b - a)[0];
  return { output, worst, gradient };
}

/** Multiply-adds of tokens with the matrices of their experts, each two operations. */
function productsOf(params, counts) {
  let flops = 0;
  for (const [family, tokensOf] of Object.entries(counts)) {
    const slots = tokensOf.reduce((sum, count) => sum + count, 0);
    for (const [path, { shape }] of Object.entries(params)) {
      const ofOne = shape.reduce((n, extent) => n * extent, 1) / tokensOf.length;
      // Matrices of a family; not its biases.
      if (path.startsWith(`${family}.`) && ofOne > Math.max(...shape.slice(-2))) flops += 2 * ofOne * slots;
    }
  }
  if (flops === 0) throw new Error('no family of experts has matrices');
  return flops;
}

/** Seconds of a call: the median of rows of calls that last long enough to be measured. */
async function timed(call, seconds = rowSeconds) {
  const row = async (calls) => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) await call();
    await runtime.gpu.queue.onSubmittedWorkDone();
    return (performance.now() - start) / 1000;
  };
  await row(1);
  const calls = Math.max(1, Math.ceil(seconds / 5 / (await row(2) / 2)));
  const times = [];
  for (let i = 0; i < (calls > 1 ? 5 : 1); i++) times.push(await row(calls) / calls);
  return times.sort((a, b) => a - b)[times.length >> 1];
}

/** What the adapter reaches with multiply-adds of vectors in registers, none of which waits for the one before it. */
async function ownRate() {
  const device = runtime.gpu;
  const [accumulators, turns, size] = [8, 64, 256];
  const names = Array.from({ length: accumulators }, (_, i) => `a${i}`);
  const code = `
@group(0) @binding(0) var<storage, read_write> p: array<vec4<f32>>;
@group(0) @binding(1) var<uniform> rounds: vec4<u32>;
@compute @workgroup_size(${size})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  // -2: numbers change their signs. Two registers of three are one, so that no bank of registers is asked for more than it has.
  let x = p[0];
${names.map((name, i) => `  var ${name} = vec4<f32>(f32(id.x + ${i}u));`).join('\n')}
  for (var n = 0u; n < rounds.x; n++) {
${Array.from({ length: turns / accumulators }, () => names.map((name) => `    ${name} = fma(${name}, x, ${name});`).join('\n')).join('\n')}
  }
  let sum = ${names.join(' + ')};
  // Nobody knows here that it never is.
  if (sum.x == 0.123) { p[0] = sum; }
}`;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const made = (bytes, usage) => device.createBuffer({ size: bytes, usage });
  const [numbers, rounds] = [made(16, 0x88), made(16, 0x48)];
  device.queue.writeBuffer(numbers, 0, Float32Array.of(-2, -2, -2, -2));
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0), entries: [numbers, rounds].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const run = async (groups, times) => {
    device.queue.writeBuffer(rounds, 0, Uint32Array.of(times, 0, 0, 0));
    const start = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return (2 * 4 * turns * times * size * groups * 1000) / (performance.now() - start);
  };
  // First a little, to see what a tenth of a second takes; enough workgroups for any device.
  let best = await run(16, 16);
  for (const groups of [64, 4096, 4096, 4096]) {
    const times = Math.ceil((0.1 * best) / (2 * 4 * turns * size * groups));
    best = Math.max(best, await run(groups, times));
  }
  numbers.destroy();
  rounds.destroy();
  return best;
}

/** Numbers of a normal law, the same ones for a seed. */
function normal(count, seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

function percent(x) {
  return `${(100 * x).toFixed(1)}%`;
}

function write(folder) {
  const where = {
    date: new Date().toISOString().slice(0, 10), device: runtime.device, node: process.version, tokens,
    own: `${(own / 1e12).toFixed(3)} TFLOP/s`,
  };
  const headings = Object.keys(rows[0] ?? {});
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const title = `Mixtures on WebGPU (${Object.entries(where).map(([key, value]) => `${key} ${value}`).join(', ')})`;
  const table = [line(headings), line(headings.map(() => '---')), ...rows.map((row) => line(headings.map((key) => row[key])))];
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'moe.webgpu.json'), JSON.stringify({ where, rows }, null, 1));
  writeFileSync(join(folder, 'moe.webgpu.md'), `${[title, '', ...table].join('\n')}\n`);
}
