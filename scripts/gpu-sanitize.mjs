// npm run test:gpu -- --sanitize SECONDS: small calls under compute-sanitizer, tool by tool, as many as the time allows. Says what was
// looked at and what was not; each tool has to find a kernel that is wrong on purpose first.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { columns, inOrder, main, wayText } from './lmoec.mjs';
import { root } from './setup.mjs';

const FOUND = 86;
const LATE = 'out of time';
/** Most worth first. */
const TOOLS = ['memcheck', 'racecheck', 'synccheck'];
const PLACES = ['/usr/local/cuda/bin', '/usr/local/cuda-13.0/bin', '/opt/cuda/bin'];

/** Scans and mixtures of each kind of kernel, in few ways. */
const SCANS = ['gla', 'gated_delta', 'kda', 'rwkv7', 'mamba2', 'hgrn', 'gsa', 'delta_product'];
const MIXTURES = ['olmoe', 'deepseek_v3', 'gshard', 'expert_choice', 'sinkhorn_base', 'noisy_topk', 'token_rounding', 'nest102', 'routed1'];
const WAYS = ['cuda bf16', 'cuda f32', 'cuda bf16 sm80'];

/** Of all cases those that are worth it: packed sequences of scans, more than one block of rows of mixtures. */
export function sanitized(cases) {
  const rank = ({ way }) => WAYS.indexOf(wayText(way));
  const seen = new Set();
  return cases.filter((one) => {
    const { name, way, args } = one;
    const scan = SCANS.includes(name) && args.includes('--lengths');
    const mixture = MIXTURES.includes(name) && args.includes('--training') && /B=2,T=77|70,1,9/.test(args.join(' '));
    const key = `${name} ${wayText(way)}`;
    if (!(scan || mixture) || rank(one) < 0 || seen.has(key)) return false;
    seen.add(key);
    return true;
  }).sort((a, b) => rank(a) - rank(b));
}

/** Kernels that each tool must complain of. */
const WRONG = {
  memcheck: 'p[threadIdx.x + (1 << 22)] = 1;',
  racecheck: '__shared__ int s[64]; s[threadIdx.x / 2] = threadIdx.x; p[threadIdx.x] = s[threadIdx.x / 4];',
  synccheck: 'if (threadIdx.x < 20) __syncthreads(); p[threadIdx.x] = 1;',
};

function compiled(folder, tool) {
  const source = join(folder, `wrong-${tool}.cu`);
  writeFileSync(source, `__global__ void wrong(int* p) { ${WRONG[tool]} }\n`
    + 'int main() { int* p; cudaMalloc(&p, 4096); wrong<<<1, 64>>>(p); return cudaDeviceSynchronize() == cudaSuccess ? 0 : 1; }\n');
  const out = source.replace(/\.cu$/, '');
  const nvcc = process.env.LMOEC_NVCC ?? 'nvcc';
  return spawnSync(nvcc, ['-arch=native', '-lineinfo', '-o', out, source], { encoding: 'utf8' }).status === 0 ? out : undefined;
}

function run(program, tool, command, log, seconds) {
  // What the driver refuses is the runtime's to say.
  const quiet = tool === 'memcheck' ? ['--report-api-errors', 'no'] : [];
  const options = [
    '--tool', tool, ...quiet, '--target-processes', 'application-only', '--error-exitcode', String(FOUND), '--log-file', log,
  ];
  return new Promise((done) => {
    const child = spawn(program, [...options, ...command], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), 1000 * seconds);
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { out += data; });
    child.on('error', (error) => done({ code: 127, out: error.message, text: '' }));
    child.on('close', (code) => {
      clearTimeout(timer);
      done({ code, out, text: existsSync(log) ? readFileSync(log, 'utf8') : '' });
    });
  });
}

/** What a run under a tool says of itself; `ok` where the tool ended and found nothing, and the results are right. */
export function verdict({ code, out, text }) {
  const summary = /SUMMARY: (\d+) .*/.exec(text);
  if (code === null) return LATE;
  if (summary === null) return `nothing was checked (${out.trim().split('\n')[0]})`;
  if (summary[1] !== '0') return `FOUND ${/^=+ ((?!COMPUTE).*)/m.exec(text)?.[1] ?? ''} (${summary[0]})`;
  return code === 0 ? 'ok' : `exit status ${code}: ${out.trim().split('\n').at(-1)}`;
}

/** Runs cases under each tool within the seconds; numbers of those that passed and failed. */
export async function sanitize(all, { folder, seconds, jobs }) {
  const program = ['', ...PLACES].map((place) => join(place, 'compute-sanitizer')).find((path) => (
    spawnSync(path, ['--version']).status === 0
  ));
  if (program === undefined) {
    console.log('compute-sanitizer was not found on the PATH or beside CUDA');
    return { passed: 0, failed: 1 };
  }
  const end = Date.now() + 1000 * seconds;
  const cases = sanitized(all);
  console.log(`compute-sanitizer, ${seconds} s: ${cases.length} calls`);
  let [passed, failed, n] = [0, 0, 0];
  const covered = [];
  for (const tool of TOOLS) {
    const binary = compiled(folder, tool);
    const known = binary === undefined ? undefined : verdict(await run(program, tool, [binary], join(folder, `wrong-${tool}.log`), 60));
    console.log(`${tool}: a kernel that is wrong on purpose: ${known ?? 'not tried, no nvcc'}`);
    if (known !== undefined && !known.startsWith('FOUND')) failed++;
    const left = [];
    let looked = 0;
    await inOrder(cases, jobs, async (one) => {
      const rest = (end - Date.now()) / 1000;
      if (rest < 10) return undefined;
      return run(program, tool, [process.execPath, main, ...one.args], join(folder, `${tool}-${n++}.log`), Math.min(120, rest));
    }, ({ name, way }, result) => {
      const said = result === undefined ? LATE : verdict(result);
      if (said === LATE) left.push(`${name} ${wayText(way)}`);
      else {
        console.log(columns([tool, name, wayText(way), said], [10, 16, 16]));
        if (said === 'ok') passed++; else failed++;
        looked++;
      }
    });
    covered.push(`${tool}: ${looked} of ${cases.length}${left.length > 0 ? `; not looked at: ${left.join(', ')}` : ''}`);
  }
  console.log(covered.join('\n'));
  return { passed, failed };
}
