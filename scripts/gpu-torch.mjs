// The part of `npm run test:gpu` that wants PyTorch: what packages do on the device, and a short training of examples/torch/train.py.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { lmoec } from './lmoec.mjs';
import { root } from './setup.mjs';

const python = process.env.LMOEC_PYTHON ?? 'python3';

/** Runs a program to its end; every line goes to `each`. */
function run(args, env, each = () => {}) {
  return new Promise((resolve) => {
    const child = spawn(python, args, { cwd: root, env: { ...process.env, PYTHONUNBUFFERED: '1', OMP_NUM_THREADS: '1', ...env } });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => {
      const lines = (text += part).split('\n');
      text = lines.pop();
      lines.forEach(each);
    });
    child.on('error', (error) => { each(error.message); resolve(127); });
    child.on('close', (code) => { if (text !== '') each(text); resolve(code); });
  });
}

/** The losses that a training printed: are they numbers, and less at the end? */
export function learnt(lines) {
  const losses = lines.flatMap((line) => /^step \d+ loss (\S+)$/.exec(line)?.slice(1).map(Number) ?? []);
  return losses.length > 1 && losses.every(Number.isFinite) && losses.at(-1) < losses[0] - 1;
}

/** Mixtures whose packages are looked at: several axes of experts, a shared one, a projection around them. */
const MIXTURES = [
  ['softmax', 'olmoe', 'D=64,E=8,F=128,k=2', '8'], ['groups', 'deepseek_v3', 'D=64,G=3,M=2,F=64,S=64,keep=2,k=3', '6'],
  ['groups', 'latent', 'D=128,Z=64,E=8,F=64,S=64,k=3', '8'],
];

/** Python packages of mixtures, whole and in parts. */
async function testParts(folder) {
  const folders = await Promise.all(MIXTURES.map(async ([file, name, sizes, experts]) => {
    const out = join(folder, 'torch', name);
    const options = ['--target', 'torch', '--dtype', 'f32,bf16', '--size', sizes, '--experts', experts, '-o', out];
    const { code } = await lmoec(['build', `examples/moe/${file}.lmoe`, '--name', name, ...options]);
    if (code !== 0) console.log(`${name}: lmoec build ended with ${code}`);
    return join(out, file);
  }));
  // A package is imported by its name.
  const results = { passed: 0, failed: 0 };
  for (const one of folders) {
    let [passed, failed] = [0, 1];
    await run(['test/gpu/torch_parts.py', one], {}, (line) => {
      console.log(line);
      const counted = /^(\d+) passed, (\d+) failed$/.exec(line);
      if (counted !== null) [passed, failed] = counted.slice(1).map(Number);
    });
    results.passed += passed;
    results.failed += failed;
  }
  return results;
}

/** How many checks passed and failed, of packages of scans and, if asked for, of mixtures; with no PyTorch for the device, says so. */
export async function testTorch(folder, names, mixtures) {
  const none = 'import torch, sys; sys.exit(0 if torch.cuda.is_available() else 3)';
  const results = { passed: 0, failed: 0 };
  if (names.length === 0 && !mixtures) return results;
  if (await run(['-c', none], {}) !== 0) {
    console.log(`\nPyTorch packages are left out: ${python} has no torch with CUDA (LMOEC_PYTHON names another)`);
    return results;
  }
  console.log('\nPyTorch packages');
  for (const part of [...(names.length > 0 ? [await testScans(folder, names)] : []), ...(mixtures ? [await testParts(folder)] : [])]) {
    results.passed += part.passed;
    results.failed += part.failed;
  }
  return results;
}

/** Python packages of scans, and a training. */
async function testScans(folder, names) {
  const out = join(folder, 'torch');
  const built = await lmoec(['build', ...names.map((name) => `examples/${name}.lmoe`), '--target', 'torch', '-o', out]);
  if (built.code !== 0) {
    console.log(`\nPyTorch packages: lmoec build ended with ${built.code}`);
    return { passed: 0, failed: 1 };
  }
  let [passed, failed] = [0, 1];
  await run(['test/gpu/torch_runtime.py', ...names.map((name) => join(out, name))], {}, (line) => {
    console.log(line);
    const counted = /^(\d+) passed, (\d+) failed$/.exec(line);
    if (counted !== null) [passed, failed] = counted.slice(1).map(Number);
  });
  if (names.includes('gated_delta')) {
    const lines = [];
    const launch = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '1', 'examples/torch/train.py', '--steps', '60'];
    const code = await run([...launch, '--text', 'docs'], { PYTHONPATH: join(out, 'gated_delta') }, (line) => { lines.push(line); });
    const fine = code === 0 && learnt(lines);
    console.log(`examples/torch/train.py: ${fine ? 'ok' : 'FAILED'}`, ...(fine ? lines.slice(-1) : lines.slice(-20)));
    if (fine) passed++; else failed++;
  }
  return { passed, failed };
}
