// npm run test:gpu: every example, and every conformance file, on an NVIDIA GPU: cuda in f32 and bf16, and webgpu in f32 where an adapter
// answers; small programs that once showed a fault in the same ways; packed sequences also in f16, by the kernels for sm_80 and sm_86
// (through PTX where the device is newer) and by NVRTC; f16 with numbers that it does not hold, and bf16 with one key over and over;
// mixtures and layers (gpu-mixtures.mjs) in every dtype by the kernels for every architecture, and random ones; where
// PyTorch finds the device, Python packages and a short training. Needs no internet: dist/ is compiled again only where the TypeScript
// compiler is installed.
//   node scripts/test-gpu.mjs [--conformance FOLDER] [--only NAME,NAME] [--ways REGEXP] [--jobs N] [--programs] [--mixtures]
//     [--random N] [--faults FOLDER] [--sanitize SECONDS]
// --ways: of backend, dtype and note, such as `cuda bf16 sm80`; --programs: small programs and scans of test/foreign alone;
// --mixtures: mixtures and layers alone; --random: so many random mixtures (8), and half as many nested ones;
// --faults: scans of the files of a folder, too: what `check` refuses has to be refused here for the same reason, and where the meaning is
// no number, nothing is compared; --sanitize: some of the calls under compute-sanitizer instead (gpu-sanitize.mjs)
// Conformance files are NAME.safetensors or NAME.CASE.safetensors and belong to examples/NAME.lmoe. Those of the repository are always run;
// LMOEC_CONFORMANCE names a folder of more too, and so does its place beside the repository.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { FEW, nearlyRepeated, RANGES, repeated, times } from './gpu-inputs.mjs';
import { mixtureCases, randomMixtureCases } from './gpu-mixtures.mjs';
import { sanitize } from './gpu-sanitize.mjs';
import { testTorch } from './gpu-torch.mjs';
import { columns, examples, inOrder, lmoec, main, reason, wayText, worst } from './lmoec.mjs';
import { compile, root } from './setup.mjs';

const { values } = parseArgs({
  options: {
    conformance: { type: 'string' }, only: { type: 'string' }, ways: { type: 'string' }, jobs: { type: 'string' },
    programs: { type: 'boolean' }, faults: { type: 'string' }, mixtures: { type: 'boolean' }, random: { type: 'string' },
    sanitize: { type: 'string' },
  },
});
if (existsSync(join(root, 'node_modules/typescript')) ? !compile() : !existsSync(main)) {
  console.error('dist/ is missing and cannot be compiled here: build it where npm packages can be installed');
  process.exit(1);
}

const { json: devices } = await lmoec(['doctor', '--json']);
if (devices === undefined || !devices.cuda.available) {
  console.error(`no CUDA device answers: ${devices?.cuda.why ?? 'lmoec doctor failed'}`);
  process.exit(1);
}
console.log(`cuda    ${devices.cuda.device}\nnvrtc   ${devices.nvrtc.version ?? devices.nvrtc.why}`);
console.log(`webgpu  ${devices.webgpu.device ?? devices.webgpu.why}\n`);

const folders = [
  join(root, 'test/conformance/data'), values.conformance ?? process.env.LMOEC_CONFORMANCE ?? join(root, '../shared/conformance'),
];
const filesOf = (folder) => readdirSync(folder).filter((name) => name.endsWith('.safetensors')).sort().map((name) => join(folder, name));
const files = folders.filter((folder) => existsSync(folder)).flatMap(filesOf);
const ways = [
  { backend: 'cuda', dtype: 'f32', args: [] },
  { backend: 'cuda', dtype: 'bf16', args: [] },
  ...(devices.webgpu.available ? [{ backend: 'webgpu', dtype: 'f32', args: [] }] : []),
];
const moreWays = [
  { backend: 'cuda', dtype: 'f16', args: [] },
  { backend: 'cuda', dtype: 'bf16', note: 'sm80', args: ['--target', 'cuda.sm80'] },
  { backend: 'cuda', dtype: 'bf16', note: 'sm86', args: ['--target', 'cuda.sm86'] },
  // A compiler that is not there: NVRTC's turn.
  ...(devices.nvrtc.available ? [{ backend: 'cuda', dtype: 'bf16', note: 'nvrtc', args: [], env: { LMOEC_NVCC: 'none' } }] : []),
];
const PACKED = ['--lengths', '64,1,200,15', '--size', 'H=2'];
const shapes = [['--size', 'B=2,T=77,H=2'], ['--size', 'B=1,T=1,H=2'], ['--size', 'B=1,T=1000,H=4'], PACKED];
// What passes from call to call is compared as well.
const RANDOM = ['--states', 'random'];
const built = (path) => import(pathToFileURL(join(root, 'dist/src/driver', path)).href);
const [
  { nodeHost }, { openSource }, { randomTensors }, { writeSafetensors },
] = await Promise.all(['host.js', 'session.js', 'scan/run/random.js', 'run/safetensors.js'].map(built));
// Small programs that once showed a fault, zero, strong and factor gates among them; and the weakest of gates, token by token for long.
const programs = readdirSync(join(root, 'test/programs')).filter((name) => name.endsWith('.lmoe')).sort()
  .map((name) => join(root, 'test/programs', name));
const casesOfPrograms = programs.flatMap((path) => {
  const name = basename(path, '.lmoe');
  const shapesOf = [PACKED, ...(name === 'next_to_one' ? [['--size', 'B=1,T=16384,H=2']] : [])];
  return shapesOf.flatMap((args) => [...ways, ...(args === PACKED ? moreWays : [])].map((way) => (
    { name, label: args[1], way, args: [
      'run', path, '--check', '--json', ...args, ...RANDOM, '--backend', way.backend, '--dtype', way.dtype, ...way.args,
    ] }
  )));
});
/** The scans of files that have more than one, or layers beside them; axes of sizes that all kernels can have. */
const filesIn = (path) => readdirSync(path).filter((name) => name.endsWith('.lmoe')).sort().map((name) => join(path, name));
const faults = values.faults === undefined ? [] : filesIn(values.faults);
const refusals = new Map();
await inOrder(faults, 4, (path) => lmoec(['check', path, '--json']), (path, { json }) => {
  const codes = (json ?? []).filter(({ severity }) => severity === 'error').map(({ code }) => code);
  if (codes.length > 0) refusals.set(path, new RegExp(`^error\\[(${codes.join('|')})\\]`, 'm'));
});
const others = [...filesIn(join(root, 'test/foreign/programs')), ...faults];
const casesOfOthers = others.flatMap((path) => (openSource(nodeHost(), path).specs ?? []).flatMap((spec) => {
  const sizes = [...spec.axes.map((axis) => `${axis.name}=32`), 'H=2'].join();
  return [...ways, ...moreWays].map((way) => ({
    name: spec.name, label: basename(path, '.lmoe'), way, refusal: refusals.get(path), undefinable: faults.includes(path), args: [
      'run', path, '--name', spec.name, '--check', '--json', '--lengths', '64,1,200,15', '--size', sizes,
      '--backend', way.backend, '--dtype', way.dtype, ...way.args,
    ],
  }));
}));
const casesOfExamples = examples().flatMap((example) => {
  const name = basename(example, '.lmoe');
  const inputs = files.filter((file) => basename(file).startsWith(`${name}.`));
  const data = [
    ...shapes.map((args) => ({ label: args[1], args: [...args, ...RANDOM] })),
    ...inputs.map((file) => ({ label: basename(file, '.safetensors').slice(name.length + 1) || 'reference', args: ['--inputs', file] })),
  ];
  return data.flatMap(({ label, args }) => [...ways, ...(args.includes(PACKED[1]) ? moreWays : [])].map((way) => (
    { name, label, way, args: ['run', example, '--check', '--json', ...args, '--backend', way.backend, '--dtype', way.dtype, ...way.args] }
  )));
});

/**
 * Inputs that no draw gives: [name, axes, what, what to make of a draw, ways]. The emulator's tests have the same (half-range,
 * repeated-keys).
 */
const F16 = [{ backend: 'cuda', dtype: 'f16', args: [] }];
const BF16 = [
  { backend: 'cuda', dtype: 'bf16', args: [] }, { backend: 'cuda', dtype: 'bf16', note: 'sm80', args: ['--target', 'cuda.sm80'] },
];
const special = [
  ...['simple_gla', 'gla', 'gated_delta', 'rwkv6'].flatMap((name) => [
    [name, 64, 'large states', times(RANGES.states), F16],
    [name, 64, 'large d_S', times(name === 'gated_delta' ? RANGES.erasedCotangents : RANGES.cotangents), F16],
  ]),
  ['gated_delta', 64, 'tiny d_S', times(RANGES.small), F16],
  ['gdn2', 64, 'large states', times(RANGES.states), F16],
  ['kda', 128, 'large states', times(RANGES.states), F16],
  ['rwkv7', 128, 'large d_S', times(RANGES.cotangents), F16],
  ...[
    'strong_erase', 'three_erases',
  ].flatMap((name) => [2, 1.9].map((strength) => [name, 64, `one key, ${strength}`, repeated(strength), BF16])),
  ...['strong_erase', 'three_erases'].map((name) => [name, 16, 'nearly one key', nearlyRepeated(1, 1.9), BF16]),
  ...[2, 1.9].map((strength) => ['delta_product', 128, `one key, ${strength}`, repeated(strength), BF16]),
];
const folder = mkdtempSync(join(tmpdir(), 'lmoec-inputs-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const only = values.only?.split(',');
const some = new RegExp(values.ways ?? '');
const wanted = ({ name, way }) => (only === undefined || only.includes(name))
  && (way === undefined || some.test(wayText(way)));
const casesOfInputs = special.flatMap(([name, size, label, adjust, theirs], i) => {
  if (!wanted({ name })) return [];
  const path = [
    ...examples().map((example) => join(root, example)), ...programs
  ].find((candidate) => basename(candidate, '.lmoe') === name);
  const [spec] = openSource(nodeHost(), path).specs;
  const tensors = randomTensors(
    spec, { sizes: new Map([...spec.axes.map((axis) => [axis.name, size]), ['H', 2], ['G', 1]]), lengths: [70, 130], seed: 5 },
  );
  adjust(tensors);
  const file = join(folder, `${i}.safetensors`);
  writeFileSync(file, writeSafetensors(tensors));
  // What the problem itself makes of a rounding is no fault of kernels.
  const response = label.startsWith('one key');
  return theirs.filter((way) => wanted({ name, way })).map((way) => (
    { name, label, way, response, args: [
      'run', path, '--check', '--json', '--inputs', file, '--backend', way.backend, '--dtype', way.dtype, ...way.args,
    ] }
  ));
});
const small = [...casesOfPrograms, ...casesOfOthers];
const answers = { webgpu: devices.webgpu.available, nvrtc: devices.nvrtc.available };
const mixtures = [...mixtureCases(answers), ...await randomMixtureCases(answers, folder, Number(values.random ?? 8))];
const all = values.programs === true ? small : values.mixtures === true ? mixtures : [...casesOfExamples, ...small, ...mixtures];
const some16 = ({ args }) => values.mixtures !== true && (values.programs !== true || args[1].includes('test/programs'));
const cases = [...all.filter(wanted), ...casesOfInputs.filter(some16)];
const jobs = Number(values.jobs ?? Math.min(8, availableParallelism()));
if (values.sanitize !== undefined) {
  const { passed, failed: found } = await sanitize(all.filter(wanted), { folder, seconds: Number(values.sanitize), jobs });
  console.log(`\n${passed} passed, ${found} failed`);
  process.exit(found === 0 ? 0 : 1);
}

/** Is every tensor within what is allowed, or within a few times what one rounding of the inputs makes of it? */
const explained = (json) => json?.tensors?.length > 0 && json.tensors.every(
  ({ passed, error, conditioning }) => passed || (error !== null && error <= FEW * (conditioning ?? 0))
);

/** Did all that has a meaning in numbers pass? */
const meant = (json) => json?.tensors?.length > 0 && json.tensors.every(({ passed, meaningless }) => passed || meaningless !== undefined);

const row = (...cells) => console.log(columns(cells, [16, 14, 7, 10, -10, -10, -10]));
row('scan', 'tensors', 'backend', 'dtype', 'outputs', 'step', 'gradients', '');
/** What a row says of a call, and whether it counts as passed, failed or none of both. */
function verdict({ response, refusable, said, refusal, undefinable }, result) {
  const { code, err, json } = result;
  if (said === undefined ? code === 0 : code === 1 && said.test(err)) return ['passed', 'ok'];
  // Of random ones that have no kernels the message is what is tested.
  if (refusable === true && /^error\[E81[235]\]/m.test(err)) return ['without kernels', `no kernels: ${reason(result)}`];
  if (code !== 0 && response === true && explained(json)) return ['passed', 'ok: as its inputs, rounded once more'];
  if (code === 1 && refusal?.test(err)) return ['passed', `ok: refused, as by check: ${refusal.exec(err)[1]}`];
  if (code !== 0 && undefinable === true && meant(json)) return ['passed', 'ok: the rest has no meaning in numbers'];
  return ['failed', reason(result)];
}
const counts = { passed: 0, failed: 0, 'without kernels': 0 };
await inOrder(cases, jobs, ({ args, way }) => lmoec(args, { ...process.env, ...way.env }), (one, result) => {
  const { name, label, way } = one;
  const [kind, words] = verdict(one, result);
  counts[kind]++;
  const errors = result.json?.tensors === undefined
    ? ['', '', '']
    : [worst(result.json, 'output', 'final'), worst(result.json, 'step'), worst(result.json, 'gradient')];
  row(name, label, way.backend, [way.dtype, way.note].join(' ').trim(), ...errors, words);
});
const whole = values.programs !== true && values.mixtures !== true;
const scans = ['gla', 'gated_delta'].filter((name) => whole && wanted({ name }));
const packages = await testTorch(folder, scans, values.programs !== true && only === undefined && values.ways === undefined);
const bad = counts.failed + packages.failed;
const none = counts['without kernels'] === 0 ? '' : `, ${counts['without kernels']} without kernels`;
console.log(`\n${counts.passed + packages.passed} passed, ${bad} failed${none}`);
process.exitCode = bad === 0 ? 0 : 1;
