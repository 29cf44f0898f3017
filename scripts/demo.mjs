// npm run demo: installs what is missing, builds the examples, runs each forward and backward on the best device found, and prints every
// example's largest error against the float64 oracle. Opens nothing; writes to demo-out/ only.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { columns, examples, inOrder, lmoec, main, reason, worst } from './lmoec.mjs';
import { root, setup } from './setup.mjs';
import { environmentOf, softwareGpus } from './software-gpu.mjs';

/** A driver of the machine's own goes first. Of software adapters the first that is found: it compiles shaders in the shortest time. */
function environment(devices) {
  const own = devices?.webgpu.available && !/llvmpipe|swiftshader/i.test(devices.webgpu.device);
  if (devices?.cuda.available || own) return process.env;
  const [gpu] = softwareGpus();
  return gpu === undefined ? process.env : environmentOf(gpu);
}

const status = setup();
if (status !== 0) process.exit(status);
const { json: devices } = await lmoec(['doctor', '--json']);
const env = environment(devices);
const visible = (args) => spawnSync(process.execPath, [main, ...args], { cwd: root, stdio: 'inherit', env }).status ?? 1;
visible(['doctor']);
const all = examples();
console.log(`\nbuilding ${all.length} examples`);
// Machine code takes minutes, and only a CUDA device can run it.
const built = visible(['build', ...all, '-o', 'demo-out', ...(devices?.cuda.available ? [] : ['--sources'])]);
if (built !== 0) process.exit(built);

console.log('\nforward and backward against the float64 oracle: rms(difference) / rms(oracle)\n');
const row = (...cells) => console.log(`  ${columns(cells, [16, 8, 6, -10, -10])}`);
row('example', 'backend', 'dtype', 'outputs', 'gradients', '');
let failed = 0;
let compared = 0;
await inOrder(all, availableParallelism(), (example) => lmoec(
  ['run', example, '--check', '--json', '--states', 'random', '--size', 'B=2,T=77,H=2'], env,
), (example, result) => {
  const name = basename(example, '.lmoe');
  const { code, json } = result;
  if (code !== 0) failed++;
  if (json?.tensors === undefined) return row(name, '', '', '', '', reason(result));
  // Without a device the oracle is all that runs, and has nothing to be compared with.
  if (json.backend === 'oracle') return row(name, json.backend, '', '', '', 'evaluated');
  compared++;
  row(name, json.backend, json.dtype, worst(json, 'output', 'final', 'step'), worst(json, 'gradient'), code === 0 ? 'ok' : reason(result));
});
if (failed > 0) console.log(`\n${failed} of ${all.length} examples failed`);
else if (compared === 0) console.log('\nno device answers: the oracle evaluated the examples, and nothing was compared');
else console.log(`\nall ${all.length} examples agree with the oracle`);
process.exitCode = failed === 0 ? 0 : 1;
