import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environmentFor, gpu } from './checked.js';
import { ensureBuilt, environment, folderWith, lmoec, ROOT } from './lmoec.js';

/** What a program with a binding does: the kernels beside the interpreter of the same module. */
const program = (name: string, cotangents: string): string => `
import { readFloats, tensor, upload, type Tensor } from 'lmoec/bindings';
import { webGpuStatus } from 'lmoec/webgpu';
import { load, loadKernels, settings } from './out/${name}/${name}.js';

const status = await webGpuStatus();
if (!status.available) throw new Error(status.why);
const runtime = await status.open();
const [meaning, kernels] = [await load(), await loadKernels(runtime)];
const params = meaning.init(1);
const { D } = settings;
const waves = (n: number, by: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(by * i + 1));
const x = tensor('B T D', [2, 5, D], waves(10 * D, 1.3));
const found: Record<string, number> = {};
const compare = async (name: string, one: Tensor<string>, other: Tensor<string>) => {
  const [a, b] = [await readFloats(runtime, one), await readFloats(runtime, other)];
  if (one.axes !== other.axes || String(one.shape) !== String(other.shape)) throw new Error(name + ': ' + one.axes + ' ' + one.shape);
  const root = (of: (i: number) => number) => Math.sqrt(a.reduce((sum, _, i) => sum + of(i) ** 2, 0));
  found[name] = root((i) => a[i] - b[i]) / root((i) => b[i]);
};

const made = await kernels.forward(params, { x });
const exact = await meaning.train(params, { x });
await compare('y', made.outputs.y, exact.outputs.y);
const cotangents = { ${cotangents} };
const gradients = await kernels.backward(made, params, { x }, cotangents);
const wanted = exact.gradients(cotangents);
for (const [name, one] of Object.entries(gradients.params)) await compare('d_' + name, one, Reflect.get(wanted.params, name));
if (gradients.inputs.x !== undefined && wanted.inputs.x !== undefined) await compare('d_x', gradients.inputs.x, wanted.inputs.x);
for (const [name, loss] of Object.entries(await made.losses())) {
  found['loss ' + name] = Math.abs(Number(loss) / Reflect.get(exact.losses, name) - 1);
}
for (const [name, counts] of Object.entries(await made.counts())) {
  found['count ' + name] = counts.reduce((sum, n, i) => sum + Math.abs(n - exact.counts[name][i]), 0);
}

// Buffers move by what all calls of a step have given; those that nothing moves are as they were.
const moved = await kernels.update(made, params);
for (const [name, buffer] of Object.entries(moved)) await compare('update ' + name, buffer, Reflect.get(exact.update(), name));
const twice = await kernels.update([made, made], params);
for (const [name, buffer] of Object.entries(twice)) await compare('twice ' + name, buffer, Reflect.get(moved, name));
const later: typeof params = { ...params, ...moved };

// A second call with packed sequences, and one with what is on the device already.
const cuSeqlens = [0, 4, 4, 10];
const packed = tensor('B T D', [1, 10, D], waves(10 * D, 1.3));
await compare('packed y', (await kernels.eval(params, { x: upload(runtime, packed, kernels.dtypes.x) }, { cuSeqlens })).outputs.y,
  (await meaning.eval(params, { x: packed }, { cuSeqlens })).outputs.y);
const token = tensor('B D', [3, D], waves(3 * D, 0.7));
const next = await meaning.step(params, meaning.begin(3), { x: token });
await compare('step y', (await kernels.step(params, { x: token })).outputs.y, next.outputs.y);
const wrong: string[] = [];
const other = await kernels.eval(later, { x }) as unknown as typeof made;
await kernels.update(other, params).catch((error: Error) => wrong.push('update: ' + error.message));
const wide = tensor('B T D', [1, 2, D + 1], new Float32Array(2 * D + 2));
await kernels.forward(params, { x: wide }).catch((error: Error) => wrong.push(error.message));
// The second token of the second sequence is no number: nobody reads it back unless asked.
const spoilt = tensor('B T D', [2, 5, D], waves(10 * D, 1.3).map((value, i) => (Math.floor(i / D) === 6 ? NaN : value)));
const silent = await kernels.forward(params, { x: spoilt });
await silent.losses().catch((error: Error) => wrong.push('losses: ' + error.message));
await kernels.forward(params, { x: spoilt }, { check: true }).catch((error: Error) => wrong.push(error.message));
made.release();
kernels.release();
runtime.release();
console.log(JSON.stringify({ found, wrong }));
`;

const project = folderWith({ 'package.json': '{"type":"module"}', 'tsconfig.json': JSON.stringify({
  compilerOptions: {
    target: 'ES2022', module: 'NodeNext', moduleResolution: 'NodeNext', strict: true, skipLibCheck: true, lib: ['ES2023'], types: ['node'],
  }, include: ['*.ts', 'out/**/*.ts'],
}) });
const at = (...names: string[]): string => join(project.path, ...names);

beforeAll(() => {
  ensureBuilt();
  mkdirSync(at('node_modules'));
  symlinkSync(ROOT, at('node_modules/lmoec'));
  symlinkSync(join(ROOT, 'node_modules/@types'), at('node_modules/@types'));
}, 120_000);
afterAll(project.remove);

const swiftshader = gpu('swiftshader');
const example = (file: string): string => join(ROOT, 'examples', `${file}.lmoe`);

/** Builds a declaration, compiles a program with its binding, and runs it. */
function executed(file: string, name: string, size: string, cotangents: string): { found: Record<string, number>; wrong: string[] } {
  expect(lmoec(['build', example(file), '--name', name, '--size', size, '-o', at('out'), '--target', 'webgpu,cuda.sm90', '--sources']))
    .toMatchObject({ code: 0, err: '', out: expect.stringContaining('webgpu f32, cuda.sm90 bf16') });
  writeFileSync(at(`${name}.ts`), program(name, cotangents));
  const compiled = spawnSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project.path], { encoding: 'utf8' });
  expect(compiled.stdout).toBe('');
  if (swiftshader === undefined) throw new Error('no device');
  const done = spawnSync(process.execPath, [at(`${name}.js`)], { encoding: 'utf8', env: environment(environmentFor(swiftshader)) });
  expect(done.stderr.replace(/^Warning: maxDynamic.*\n/gm, '')).toBe('');
  return JSON.parse(done.stdout);
}

describe.skipIf(swiftshader === undefined)('a binding with kernels (skipped without SwiftShader)', () => {
  it('of a dense layer: forward, backward, packed sequences, single tokens', () => {
    const { found, wrong } = executed('layers/feed_forward', 'swiglu', 'D=12,F=8', "y: tensor('B T D', [2, 5, D], waves(10 * D, 0.9))");
    expect(Object.keys(found)).toEqual(['y', 'd_gate', 'd_up', 'd_down', 'd_x', 'packed y', 'step y']);
    for (const [name, error] of Object.entries(found)) expect([name, error < 1e-5]).toEqual([name, true]);
    expect(wrong).toEqual(['swiglu: x must be [1, 2, 12], found [1, 2, 13]', 'swiglu: y is not a number at [1, 1, 0]']);
  }, 60_000);

  it('of a mixture: the same, with losses and the tokens of each expert', () => {
    const { found, wrong } = executed('moe/softmax', 'olmoe', 'D=12,E=4,F=8,k=2', "y: tensor('B T D', [2, 5, D], waves(10 * D, 0.9))");
    expect(Object.keys(found)).toEqual([
      'y', 'd_gate', 'd_expert.gate', 'd_expert.up', 'd_expert.down', 'd_x', 'loss balance', 'loss z', 'count expert', 'packed y', 'step y',
    ]);
    const score = 'olmoe: a score that top[E] chooses by is not a number at [1, 1]';
    expect(wrong.slice(1)).toEqual([`losses: ${score}`, score]);
    for (const [name, error] of Object.entries(found)) expect([name, error < 1e-5]).toEqual([name, true]);
  }, 60_000);

  it('of a mixture with a buffer: it moves by the tokens of all calls of a step', () => {
    const { found, wrong } = executed(
      'moe/groups', 'deepseek_v3', 'D=12,G=2,M=4,F=8,S=8,keep=1,k=2', "y: tensor('B T D', [2, 5, D], waves(10 * D, 0.9))",
    );
    // The sign of what is missing to the mean is that of two equal calls together.
    expect(found).toMatchObject({ 'update b': 0, 'twice b': 0 });
    expect(wrong[0]).toBe('update: deepseek_v3: this is no result of forward');
    for (const [name, error] of Object.entries(found)) expect([name, error < 1e-5]).toEqual([name, true]);
  }, 60_000);
});

describe('kernels of layers', () => {
  it('may be those of serving alone: no plan of training, no gradients, and types that say so', () => {
    const args = [example('moe/softmax'), '--name', 'olmoe', '--size', 'D=12,E=4,F=8,k=2', '--target', 'webgpu,cuda.sm90', '--sources'];
    expect(lmoec(['build', ...args, '-o', at('serving'), '--eval'])).toMatchObject({
      code: 0, err: '', out: expect.stringContaining('webgpu f32, cuda.sm90 bf16'),
    });
    expect(readdirSync(at('serving/olmoe/webgpu.f32'))).toEqual(['eval']);
    const plan = JSON.parse(readFileSync(at('serving/olmoe/cuda.sm90.bf16/eval/plan.json'), 'utf8'));
    expect(plan.programs.backward.launches).toEqual([]);
    expect(plan.source.command).toContain('--eval');
    const binding = readFileSync(at('serving/olmoe/olmoe.ts'), 'utf8');
    expect(binding).toContain('Promise<OpenEvalKernels<OlmoeTypes>>');
    expect(binding).toMatch(/built with --eval: there is no `forward` of training and no `backward`/);
  });

  it('are built where they are asked for; what has none yet is refused, and nothing is written', () => {
    expect(lmoec(['build', example('layers/feed_forward'), '--name', 'gelu_ffn', '-o', at('plain')]).out).toContain('in the interpreter');
    expect(readdirSync(at('plain/gelu_ffn')).sort()).toEqual(['eval.json', 'gelu_ffn.ts', 'lmoec.json', 'train.json']);
    const { code, err } = lmoec(['build', example('layers/gla'), '-o', at('refused'), '--target', 'webgpu']);
    expect(code).toBe(1);
    expect(err).toMatch(/error\[E815\]: `gla_mixer` has no kernels yet\n.*gla.lmoe:9:11/);
    expect(existsSync(at('refused'))).toBe(false);
  });

  it('are refused by what they lack: attention, a choice, or anything else; where a file has more, it is said how to name it', () => {
    const text = `
layer one(x: [D]) -> y: [D] with D = 8 { param w: [D]   y = tanh(x * w) }
layer looking(x: [D]) -> y: [D] with D = 8, K = 4 {
  param Wq, Wk: [D, K]
  let q = x @ Wq
  let k = x @ Wk
  y = softmax[past](q @[K] k[past]) @[past] x[past]
}
layer ranked(x: [D]) -> y: [D] with D = 8 { let chosen = top[tokens, D, 2 * tokens](x)   y = sum[](x[chosen]) }
layer product(x: [D]) -> y: [D] with D = 40 { y = x * prod[D](x) }
`;
    writeFileSync(at('lacking.lmoe'), text);
    const refusal = (name: string): string => {
      const { code, err } = lmoec(['build', at('lacking.lmoe'), '--name', name, '--target', 'webgpu', '-o', at('lacking')]);
      expect(code).toBe(1);
      return err;
    };
    expect(refusal('looking')).toMatch(/E812\]: `looking` has no kernels: no device has one for what looks back\n.*:7:28/);
    expect(refusal('ranked')).toMatch(/E813\]: `ranked` has no kernels for this choice\n.*:9:58/);
    expect(refusal('product')).toContain('--name chooses another declaration of this file: one, looking, ranked');
    expect(lmoec(['build', at('lacking.lmoe'), '--name', 'one', '--target', 'webgpu', '-o', at('lacking')]).code).toBe(0);
  });

  it('are explained: what they compute, what they move, how full experts are', () => {
    const { out } = lmoec(['explain', example('moe/softmax'), '--name', 'mixtral', '--size', 'T=8192']);
    expect(out).toMatch(/kernels +for cuda\.sm90 in bf16, at B=1 T=8,192/);
    // Two products of every row of the tiles that slots fill, [D] with [D, F]; so wide that their rows are copied first.
    expect(out).toMatch(/forward2 x2 +product of slot1 \[expert\.F\] +3\.91 TFLOP, .*, tensor cores/);
    expect(out).toMatch(/slot1: 2 of 8 \[E\] a token, 2,048 rows each; the fullest has 1\.03 times that, tiles of 64 rows are 98 % full/);
    expect(lmoec(['explain', example('layers/gla'), '--name', 'gla_mixer']).out).toContain('none yet: scans, in line 9');
  });

  it('are printed as tiles', () => {
    const { out } = lmoec(['check', example('layers/feed_forward'), '--emit', 'tile', '--size', 'D=64,F=128']);
    expect(out).toContain('module swiglu  chunk=64');
    expect(out).toContain('%3 [D, F] = load up');
    expect(lmoec(['check', example('layers/gla'), '--emit', 'tile']).out).toContain('gla_mixer has no kernels: scans');
  });
});
