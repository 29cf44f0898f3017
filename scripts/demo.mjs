// npm run demo: installs what is missing, builds the examples, runs each forward and backward on the best device found, and prints every
// example's largest error against the float64 oracle. Opens nothing; writes to demo-out/ only.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

const status = await setup();
if (status !== 0) process.exit(status);
const main = join(root, 'dist/src/cli/main.js');

/** Without a GPU, one of the software adapters does; a driver of the machine's own goes first. */
async function environment() {
  const script = join(root, 'scripts/software-gpu.mjs');
  const doctor = JSON.parse(spawnSync(process.execPath, [main, 'doctor', '--json'], { cwd: root, encoding: 'utf8' }).stdout || '{}');
  if (doctor.cuda?.available || doctor.webgpu?.available || !existsSync(script)) return process.env;
  const { softwareGpus } = await import(script);
  const [gpu] = softwareGpus();
  return gpu === undefined ? process.env : { ...process.env, VK_ICD_FILENAMES: gpu.icd };
}

const env = await environment();
spawnSync(process.execPath, [main, 'doctor'], { cwd: root, stdio: 'inherit', env });
const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.lmoe')).sort();
console.log(`\nbuilding ${examples.length} examples`);
const built = spawnSync(process.execPath, [main, 'build', ...examples.map((name) => `examples/${name}`), '-o', 'demo-out'], { cwd: root, stdio: 'inherit', env });
if (built.status !== 0) process.exit(built.status ?? 1);

function check(example) {
  return new Promise((done) => {
    const child = spawn(process.execPath, [main, 'run', `examples/${example}`, '--check', '--json', '--size', 'B=2,T=77,H=2'], { cwd: root, env });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => { out += data; });
    child.stderr.on('data', (data) => { err += data; });
    child.on('close', (code) => done({ code, out, err }));
  });
}

console.log('\nforward and backward against the float64 oracle: rms(difference) / rms(oracle)\n');
const row = (...cells) => console.log(`  ${cells[0].padEnd(16)} ${cells[1].padEnd(8)} ${cells[2].padEnd(6)} ${cells[3].padStart(9)} ${cells[4].padStart(10)}  ${cells[5]}`);
row('example', 'backend', 'dtype', 'outputs', 'gradients', '');
let failed = 0;
for (const example of examples) {
  const name = example.replace(/\.lmoe$/, '');
  const { code, out, err } = await check(example);
  let result;
  try {
    result = JSON.parse(out);
  } catch {
    result = undefined;
  }
  if (result === undefined) {
    failed++;
    row(name, '', '', '', '', err.trim().split('\n')[0] || `exit status ${code}`);
    continue;
  }
  const worst = (...roles) => Math.max(...result.tensors.filter((tensor) => roles.includes(tensor.role)).map((tensor) => tensor.error));
  if (code !== 0) failed++;
  row(name, result.backend, result.dtype, worst('output', 'final').toExponential(1), worst('gradient').toExponential(1), code === 0 ? 'ok' : 'beyond the tolerance');
}
console.log(failed === 0 ? `\nall ${examples.length} examples agree with the oracle` : `\n${failed} of ${examples.length} examples failed`);
process.exitCode = failed === 0 ? 0 : 1;
