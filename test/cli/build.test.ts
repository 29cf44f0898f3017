import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DECAYING, ensureBuilt, folderWith, lmoec, started, type Finished } from './lmoec.js';

/** A compiler of ours: answers to --version, and makes the two files that nvcc makes. */
const nvcc = (body: string): string =>
  `#!/bin/sh\ncase "$*" in *--version*) echo "Cuda compilation tools, release 12.4, V12.4.1"; exit 0;; esac\n${body}\n`;

const folder = folderWith({
  'decaying.lmoe': DECAYING,
  'nonlinear.lmoe': 'scan nonlinear(x, w: [D]) -> h: [D] with D = 16 {\n  state h: [D]\n\n  h = tanh(w * h[t-1] + x)\n}\n',
  'circle.lmoe': 'scan circle(k: [K], v: [V]) -> o: [V] with K = 16, V = 16 {\n  state M: [K, V], Z: [K, V]\n\n'
    + '  Z = 0.5 * Z[t-1] + outer(k, v - k @ M[t-1])\n  M = 0.9 * M[t-1] + Z\n  o = k @ M\n}\n',
  'sizeless.lmoe': DECAYING.replace(' with K = 16, V = 24', ''),
  'syntax.lmoe': DECAYING.replace('exp(g)', 'exp(g'),
  'again.lmoe': DECAYING,
});
const bin = folderWith({
  good: nvcc('cp kernel.cu kernel.cubin; cp kernel.cu kernel.ptx'),
  failing: nvcc('echo "kernel.cu(10): error: identifier is undefined" >&2; exit 2'),
  slow: nvcc('echo started > "$LMOEC_TEST_STARTED"; sleep 30'),
});
for (const name of readdirSync(bin.path)) chmodSync(join(bin.path, name), 0o755);

beforeAll(ensureBuilt, 120_000);
afterAll(() => {
  folder.remove();
  bin.remove();
});
const at = (...names: string[]): string => join(folder.path, ...names);
const env = (program: string): Readonly<Record<string, string>> => ({
  LMOEC_NVCC: join(bin.path, program), LMOEC_CACHE: join(bin.path, `cache-${program}`),
});
const inFolder = (
  args: readonly string[], extra: Readonly<Record<string, string>> = {},
): Finished => lmoec(args, { cwd: folder.path, env: extra });
const filesOf = (name: string): string[] => readdirSync(
  at(name), { recursive: true, withFileTypes: true },
).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(at(name).length + 1)).sort();

describe('build', () => {
  it('refuses a size of an axis that no scan has', () => {
    const { code, err } = inFolder(['build', 'decaying.lmoe', '-o', 'sized', '--size', 'Z=16', '--sources']);
    expect(code).toBe(1);
    expect(err).toContain('error[E403]: no scan has an axis `Z`\n = help: their axes are K, V');
    expect(existsSync(at('sized'))).toBe(false);
  });

  it('writes a Python package, beside or together with other targets', () => {
    const { code, out } = inFolder(['build', 'decaying.lmoe', '-o', 'python', '--target', 'torch,webgpu', '--sources']);
    expect([code, out]).toEqual([0, 'python/decaying: Python package; pip install python/decaying\npython/decaying: webgpu f32\n']);
    const files = filesOf('python');
    for (const name of [
      'decaying.ts', 'webgpu.f32/plan.json', 'pyproject.toml', '_backend.py', 'decaying/__init__.py', 'decaying/_reference.py',
      'tests/test_ops.py', 'lmoec.json',
    ]) {
      expect(files).toContain(`decaying/${name}`);
    }
    for (const target of ['sm80', 'sm90']) {
      expect(files).toContain(`decaying/decaying/plans/decaying/K16_V24/cuda.${target}.bf16/plan.json`);
    }
    expect(inFolder([
      'build', 'decaying.lmoe', '-o', 'python', '--target', 'torch', '--sources',
    ]).out).toBe('python/decaying: Python package; pip install python/decaying\n');
    expect(filesOf('python').filter((name) => /\.ts$|webgpu/.test(name))).toEqual([]);
  });

  it('gives a Python package kernels for every --size, every dtype and every CUDA target', () => {
    const built = (targets: string) => inFolder([
      'build', 'decaying.lmoe', '-o', 'several', '--target', targets, '--dtype', 'bf16,f32', '--sources', '--package', 'memory',
      '--version', '2.1', '--size', 'K=16,V=16', '--size', 'V=32',
    ]);
    expect(built('torch,webgpu').err).toContain('--size: several make several plans');
    for (const [targets, chips] of [['torch', ['sm80', 'sm90']], ['torch,cuda.sm86', ['sm86']]] as const) {
      expect(built(targets).code).toBe(0);
      const plans = filesOf('several').filter((name) => name.endsWith('plan.json')).map((name) => name.replace(
        'memory/memory/plans/decaying/', '',
      ));
      expect(plans).toEqual(['K16_V16', 'K16_V32'].flatMap((sizes) => chips
        .flatMap((target) => ['bf16', 'f32'].map((dtype) => `${sizes}/cuda.${target}.${dtype}/plan.json`))));
    }
    expect(readFileSync(at('several/memory/pyproject.toml'), 'utf8')).toContain('version = "2.1"');
    expect(inFolder([
      'build', 'decaying.lmoe', '-o', 'several', '--size', 'Z=16', '--target', 'torch',
    ]).err).toContain('error[E403]: no scan has an axis `Z`');
  });

  it('refuses names that Python cannot import, and one name for two packages', () => {
    const named = inFolder(['build', 'decaying.lmoe', '-o', 'named', '--target', 'torch', '--package', 'torch']);
    expect([named.code, named.err]).toEqual([1,
      `error[E705]: a package cannot be called \`torch\`: Python cannot import it, or it would hide a module that is needed
 = help: choose another with --package NAME: letters, digits and _
`]);
    expect(inFolder([
      'build', 'decaying.lmoe', 'again.lmoe', '-o', 'named', '--target', 'torch', '--package', 'memory',
    ]).err).toContain('error[E705]: two files both make a package `memory`');
    expect(inFolder(['build', 'decaying.lmoe', '-o', 'named', '--package', 'memory'])).toMatchObject({
      code: 2, err: 'lmoec: --package, --version and --experts are of Python packages: add --target torch\n',
    });
    expect(existsSync(at('named'))).toBe(false);
  });

  it('writes a binding, and a plan with its kernels for every target', () => {
    const { code, out } = inFolder(['build', 'decaying.lmoe', '-o', 'out', '--sources']);
    expect([code, out]).toEqual([0, 'out/decaying: cuda.sm80 bf16, cuda.sm90 bf16, webgpu f32\n']);
    const files = filesOf('out');
    expect(files.filter((name) => !/\.(cuh?|wgsl)$/.test(name))).toEqual([
      'decaying/cuda.sm80.bf16/plan.json', 'decaying/cuda.sm90.bf16/plan.json',
      'decaying/decaying.ts', 'decaying/lmoec.json', 'decaying/webgpu.f32/plan.json',
    ]);
    for (const variant of ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32']) {
      const plan = JSON.parse(readFileSync(at('out/decaying', variant, 'plan.json'), 'utf8'));
      expect(`${plan.target}.${plan.dtype}`).toBe(variant);
      expect(plan.source.command).toBe('lmoec build decaying.lmoe');
      for (const kernel of plan.kernels) expect(files).toContain(`decaying/${variant}/${kernel.file}`);
      expect(files.includes(`decaying/${variant}/${plan.prelude}`)).toBe(plan.target !== 'webgpu');
      for (const program of ['forward', 'backward', 'step']) expect(plan.programs[program].launches.length).toBeGreaterThan(0);
    }
    const binding = readFileSync(at('out/decaying/decaying.ts'), 'utf8');
    expect(binding).toMatch(/^\/\/ Made by lmoec \d/);
    expect(binding).toMatch(/A matrix memory that forgets per channel/);
  });

  it('leaves gradients out where they are not wanted', () => {
    expect(inFolder(['build', 'decaying.lmoe', '-o', 'serving', '--eval', '--target', 'torch,webgpu', '--sources']).code).toBe(0);
    const [plan, other] = ['webgpu.f32', 'decaying/plans/decaying/K16_V24/cuda.sm90.bf16'].map((folder) => (
      JSON.parse(readFileSync(at('serving/decaying', folder, 'plan.json'), 'utf8'))
    ));
    for (const { programs, source } of [plan, other]) {
      expect(programs.backward.launches).toEqual([]);
      for (const program of ['forward', 'step']) expect(programs[program].launches.length).toBeGreaterThan(0);
      expect(source.command).toContain('--eval');
    }
    const binding = readFileSync(at('serving/decaying/decaying.ts'), 'utf8');
    expect(binding).toContain('built with --eval: there is no `backward`');
    expect(binding).not.toMatch(/backward\(|Gradients|Grads/);
    const python = readFileSync(at('serving/decaying/decaying/decaying.py'), 'utf8');
    expect(python).toContain('built with --eval: on CUDA there are no gradients');
  });

  it('makes the same bytes of the same input, wherever they go', () => {
    for (const out of ['one', 'two']) expect(inFolder(['build', 'decaying.lmoe', '-o', out, '--sources']).code).toBe(0);
    expect(filesOf('one')).toEqual(filesOf('two'));
    for (const name of filesOf('one')) expect(readFileSync(at('one', name)).equals(readFileSync(at('two', name)))).toBe(true);
  });

  it('makes what is asked for', () => {
    expect(inFolder([
      'build', 'decaying.lmoe', '-o', 'asked', '--target', 'webgpu,cuda.sm90', '--dtype', 'f32', '--dtype', 'f16', '--size', 'K=32',
      '--sources',
    ]).out).toBe('asked/decaying: webgpu f32, webgpu f16, cuda.sm90 f32, cuda.sm90 f16\n');
    expect(JSON.parse(readFileSync(at('asked/decaying/webgpu.f16/plan.json'), 'utf8')).sizes).toEqual({ K: 32, V: 24 });
  });

  it('prints levels instead of writing where no folder is named', () => {
    const { code, out } = inFolder(['build', 'decaying.lmoe', '--emit', 'scan,kernel', '--target', 'webgpu']);
    expect(code).toBe(0);
    expect(out).toMatch(/@compute/);
    expect(existsSync(at('lmoec-out'))).toBe(false);
  });

  it('writes levels beside the kernels where a folder is named: the texts that check prints', () => {
    const { code, out } = inFolder(['build', 'decaying.lmoe', '--emit', 'spec,scan,tile', '-o', 'levels', '--sources']);
    expect({ code, out }).toEqual({ code: 0, out: 'levels/decaying: cuda.sm80 bf16, cuda.sm90 bf16, webgpu f32\n' });
    const texts = filesOf('levels').filter((name) => name.endsWith('.txt'));
    expect(texts.sort()).toEqual([
      ...['cuda.sm80.bf16', 'cuda.sm90.bf16'].map((variant) => `decaying/${variant}/decaying.tile.txt`),
      'decaying/decaying.scan.txt', 'decaying/decaying.spec.txt', 'decaying/webgpu.f32/decaying.tile.txt',
    ].sort());
    for (const level of ['spec', 'scan']) {
      const printed = inFolder(['check', 'decaying.lmoe', '--emit', level]).out;
      expect(readFileSync(at(`levels/decaying/decaying.${level}.txt`), 'utf8').trim()).toBe(printed.trim());
    }
    expect(readFileSync(
      at('levels/decaying/cuda.sm90.bf16/decaying.tile.txt'), 'utf8',
    ).trim()).toBe(inFolder(['check', 'decaying.lmoe', '--emit', 'tile']).out.trim());
  });
});

describe('machine code', () => {
  it('lies beside the source where a compiler is found, and is taken from the cache the second time', () => {
    const args = ['build', 'decaying.lmoe', '-o', 'machine', '--target', 'cuda.sm80'];
    expect(inFolder(args, env('good'))).toMatchObject({ code: 0 });
    expect(filesOf('machine').map((name) => name.replace(/.*\./, '')).sort()).toEqual(['cu', 'cubin', 'cuh', 'json', 'json', 'ptx', 'ts']);
    expect(inFolder(args, { ...env('failing'), LMOEC_CACHE: join(bin.path, 'cache-good') })).toMatchObject({ code: 0 });
  });

  it('that cannot be made is a message, and nothing is written', () => {
    expect(inFolder(['build', 'decaying.lmoe', '-o', 'never'], env('failing'))).toMatchObject({
      code: 1, err: expect.stringMatching(/E603.*identifier is undefined/),
    });
    expect(inFolder(['build', 'decaying.lmoe', '-o', 'never'], env('absent'))).toMatchObject({
      code: 1, err: expect.stringMatching(/E603.*nvcc was not found \(LMOEC_NVCC=.*absent\)\n.*help/),
    });
    expect(existsSync(at('never'))).toBe(false);
  });
});

describe('nothing is written', () => {
  const refused = (args: readonly string[]): string => {
    const { code, err } = inFolder(['build', ...args, '-o', 'never', '--sources']);
    expect(code).toBe(1);
    expect(existsSync(at('never'))).toBe(false);
    expect(err).toMatch(/help/);
    return err;
  };

  it('where one of several files has an error', () => {
    expect(refused(['decaying.lmoe', 'syntax.lmoe'])).toMatch(/E10\d[\s\S]*syntax\.lmoe:5/);
    expect(refused(['nonlinear.lmoe'])).toMatch(/E301[\s\S]*nonlinear\.lmoe:4/);
    expect(refused(['circle.lmoe'])).toMatch(/E302[\s\S]*circle\.lmoe/);
    expect(refused(['decaying.lmoe', 'absent.lmoe'])).toMatch(/E702.*absent\.lmoe does not exist/);
  });

  it('where a size is missing, or is one that kernels cannot have', () => {
    expect(refused(['sizeless.lmoe'])).toMatch(/E403.*axis `K` of `decaying` has no size/);
    expect(refused(['decaying.lmoe', '--size', 'V=520'])).toMatch(/E404.*axis `V` has size 520: kernels take up to 512\n.*oracle/);
  });

  it('where two files declare one scan', () => {
    expect(refused(['decaying.lmoe', 'again.lmoe'])).toMatch(/E703.*decaying\.lmoe and again\.lmoe both declare a scan `decaying`/);
  });

  it('where the folder cannot be written, and what was there stays', () => {
    writeFileSync(at('file'), 'here');
    expect(inFolder(['build', 'decaying.lmoe', '-o', 'file', '--sources'])).toMatchObject({
      code: 1, err: expect.stringMatching(/E701.*cannot be written.*\n.*-o/),
    });
    expect(readFileSync(at('file'), 'utf8')).toBe('here');
  });

  it('when it is interrupted, and nothing half-written is left', async () => {
    const mark = join(bin.path, 'started');
    const temporary = folderWith({});
    const run = started(
      ['build', 'decaying.lmoe', '-o', 'never'],
      { cwd: folder.path, env: { ...env('slow'), LMOEC_TEST_STARTED: mark, TMPDIR: temporary.path } },
    );
    for (let i = 0; i < 2400 && !existsSync(mark); i++) await new Promise((done) => { setTimeout(done, 25); });
    expect(existsSync(mark)).toBe(true);
    run.child.kill('SIGINT');
    const { code, err } = await run.finished;
    expect([code, err]).toEqual([130, 'lmoec: interrupted; nothing half-written is left\n']);
    expect(existsSync(at('never'))).toBe(false);
    expect(readdirSync(temporary.path)).toEqual([]);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('.'))).toEqual([]);
    temporary.remove();
  });

  it('and a pipe sees no progress', () => {
    expect(inFolder(['build', 'decaying.lmoe', '-o', 'quiet', '--sources']).err).toBe('');
  });
});

describe('what lmoec did not make', () => {
  it('stays, in one place that is refused and in all others', () => {
    writeFileSync(at('second.lmoe'), DECAYING.replace('scan decaying', 'scan second'));
    const build = (...files: string[]): Finished => inFolder(['build', ...files, '-o', '.', '--target', 'webgpu', '--sources']);
    mkdirSync(at('second'));
    writeFileSync(at('second/mine'), 'mine');
    expect(build('decaying.lmoe', 'second.lmoe')).toMatchObject({ code: 1, out: '',
      err: `error[E704]: second is not replaced: it does not say that lmoec made it (there is no lmoec.json)
 = help: delete it if it came from an earlier build, else move it away
 = help: or build elsewhere with -o, or rename the scan
` });
    expect([existsSync(at('decaying')), readFileSync(at('second/mine'), 'utf8')]).toEqual([false, 'mine']);
    rmSync(at('second/mine'));
    expect(build('decaying.lmoe', 'second.lmoe')).toMatchObject({ code: 0, err: '' });
    // Folders say which build they belong to.
    const buildOf = (name: string): string => JSON.parse(readFileSync(at(name, 'lmoec.json'), 'utf8')).build;
    expect(buildOf('decaying')).toBe(buildOf('second'));
    expect(build('decaying.lmoe')).toMatchObject({ code: 0, err: '' });
    expect(buildOf('decaying')).not.toBe(buildOf('second'));
  });
});
