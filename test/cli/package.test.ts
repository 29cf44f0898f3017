import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../src/driver/run/safetensors.js';
import { ensureBuilt, environment, folderWith, ROOT } from './lmoec.js';

/** What may lie in the package; everything else strayed in. */
const BELONGS = [
  /^dist\/(src|grammar)\/.*\.(js|d\.ts)$/, /^templates\//, /^docs\/.*\.md$/,
  /^examples\/[\w/]+\.(lmoe|md|ts|mjs|html|py)$/, /^examples\/\w+\/(tsconfig|package)\.json$/,
  /^src\/runtime\/cuda\/native\/[\w.]+\.(cc|h|gyp)$/, /^scripts\/(cli|native|software-gpu|apt)\.mjs$/,
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|grammar\/lmoe\.ebnf|src\/ir\/plan\/plan\.ts)$/,
];

const project = folderWith({ 'package.json': '{"type":"module"}' });
const at = (...names: string[]): string => join(project.path, ...names);
let files: readonly string[] = [];

/** The package as it would be published, unpacked into somebody's project; its dependencies are those of this checkout. */
beforeAll(() => {
  ensureBuilt();
  const packed = spawnSync(
    'npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', project.path], { cwd: ROOT, encoding: 'utf8' },
  );
  const [{ filename, files: list }] = JSON.parse(packed.stdout);
  files = list.map(({ path }: { readonly path: string }) => path);
  mkdirSync(at('node_modules/lmoec'), { recursive: true });
  spawnSync('tar', ['xzf', at(filename), '--strip-components=1', '-C', at('node_modules/lmoec')]);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.') && !existsSync(at('node_modules', name))) symlinkSync(
      join(ROOT, 'node_modules', name), at('node_modules', name),
    );
  }
  symlinkSync(at('node_modules/lmoec/examples'), at('examples'));
}, 300_000);
afterAll(project.remove);

const readme = () => readFileSync(at('node_modules/lmoec/README.md'), 'utf8');
const snippets = () => [...readme().matchAll(/```ts\n(import[\s\S]*?)```/g)].map(([, text]) => text);
/** The first is of a scan, the second of a model. */
const snippet = (which = 0) => snippets()[which] ?? '';
/** The command line of the README, with what it says about each command taken off. */
const commands = () => [...readme().matchAll(/^ {4}npx lmoec (\w+(?: +(?:--?[\w-]+|[\w./*-]+\.(?:lmoe|safetensors|html)|out|torch))*)/gm)]
  .map(([, text]) => text.split(/ +/));

/** What npm links as `lmoec`. */
const command: string = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).bin.lmoec;

function lmoec(args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath, [at('node_modules/lmoec', command), ...args], { cwd: project.path, encoding: 'utf8', env: environment() },
  );
  return { status, out: stdout, err: stderr };
}

describe('the package', () => {
  it('holds nothing that strayed in', () => {
    expect(files.filter((path) => !BELONGS.some((pattern) => pattern.test(path)))).toEqual([]);
  });

  it('holds what its pages link to', () => {
    const pages = files.filter((path) => path.endsWith('.md'));
    const dead = pages.flatMap((page) => [...readFileSync(join(ROOT, page), 'utf8').replace(
      /```[\s\S]*?```|`[^`\n]*`/g, '',
    ).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link)
      .filter((link) => !/^(https?:|#)/.test(link))
      .map((link) => posix.normalize(posix.join(posix.dirname(page), link.split('#')[0])).replace(/\/$/, ''))
      .filter((path) => !files.some((file) => file === path || file.startsWith(`${path}/`)))
      .map((path) => `${page}: ${path}`));
    expect(dead).toEqual([]);
  });

  it('runs every command that the README shows', (context) => {
    const shown = commands();
    expect(shown.length).toBeGreaterThan(6);
    const inputs = new Map(['q', 'k', 'v', 'g'].map((name) => [
      name, { dtype: 'f32', shape: [1, 5, 1, 64], data: new Float64Array(320).fill(name === 'g' ? -0.1 : 0.5) },
    ] as const));
    writeFileSync(at('in.safetensors'), writeSafetensors(inputs));
    const { webgpu, cuda } = JSON.parse(lmoec(['doctor', '--json']).out);
    for (const words of shown) {
      const onDevice = words[0] === 'run';
      if (onDevice && !webgpu.available && !cuda.available) continue;
      const args = words[0] === 'fmt' ? [
        'fmt', '--check', ...readdirSync(at('examples')).filter((name) => name.endsWith('.lmoe')).map((name) => `examples/${name}`)
      ]
        : words[0] === 'build' && !words.includes('--sources') ? [...words, '--sources'] : words;
      const { status, err } = lmoec(args);
      expect(`${words.join(' ')}: ${status} ${status === 0 ? '' : err}`).toBe(`${words.join(' ')}: 0 `);
    }
    if (!webgpu.available && !cuda.available) context.skip(`\`run\` was not tried, no device: ${webgpu.why}`);
  });

  it.each(['typescript', 'typescript-6', 'typescript-5.5'])('compiles for %s, strict, declarations of libraries checked', (version) => {
    expect(lmoec(['build', 'examples/gla.lmoe', '-o', 'out', '--target', 'webgpu,cuda.sm90', '--sources']).status).toBe(0);
    const everything = "import * as cuda from 'lmoec/cuda';\n"
      + "import * as files from 'lmoec/files';\nimport * as interpreter from 'lmoec/interpreter';\n"
      + "import * as runtimes from 'lmoec/runtime';\n"
      + "export { cuda, files, interpreter, runtimes };\n";
    writeFileSync(at('main.ts'), `${snippet()}\n${everything}`);
    const options = ['--strict', '--noEmit', '--target', 'es2022', '--skipLibCheck', 'false'];
    const resolutions = [
      ['--module', 'nodenext', '--moduleResolution', 'nodenext'],
      ['--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2022,dom'],
    ];
    for (const resolution of resolutions) {
      const done = spawnSync(
        process.execPath, [join(ROOT, 'node_modules', version, 'bin/tsc'), ...options, ...resolution, 'main.ts'],
        { cwd: project.path, encoding: 'utf8' },
      );
      expect(`${resolution.join(' ')}\n${done.stdout}`).toBe(`${resolution.join(' ')}\n`);
    }
  });

  it('runs the program that the README shows, compiled into another folder', (context) => {
    const tsc = (...more: string[]) => spawnSync(
      process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--target', 'es2022', '--module', 'nodenext', ...more],
      { cwd: project.path, encoding: 'utf8' },
    );
    expect(lmoec(['build', 'examples/gla.lmoe', '-o', 'out', '--target', 'webgpu,cuda.sm90', '--sources']).status).toBe(0);
    const { webgpu } = JSON.parse(lmoec(['doctor', '--json']).out);
    if (!webgpu.available) context.skip(`no device: ${webgpu.why}`);
    writeFileSync(at('main.ts'), snippet());
    expect(tsc('--outDir', 'compiled', 'main.ts').stdout).toBe('');
    const run = (file: string) => spawnSync(process.execPath, [file], { cwd: project.path, encoding: 'utf8', env: environment() });
    // Kernels stayed where they were built: the error says so, and what to write.
    expect(run('compiled/main.js').stderr).toMatch(/RuntimeError: .*plan\.json cannot be read[\s\S]*outDir/);
    const placed = snippet().replace('await load(runtime)', "await load(runtime, filesBeside(new URL('../out/gla/', import.meta.url)))");
    writeFileSync(at('main.ts'), `import { filesBeside } from 'lmoec/files';\n${placed}`);
    expect(tsc('--outDir', 'compiled', 'main.ts').stdout).toBe('');
    const done = run('compiled/main.js');
    expect(done.stderr.replace(/^Warning:.*$/gm, '').trim()).toBe('');
    expect(done.stdout).toMatch(/\[ 1, 2, 64 \]/);
  });

  it('runs the program of a model that the README shows', () => {
    expect(lmoec(['build', 'examples/models/tiny_linear_moe.lmoe', '-o', 'out']).status).toBe(0);
    writeFileSync(at('model.ts'), snippet(1));
    const done = spawnSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), '--target', 'es2022', '--module', 'nodenext', '--strict', 'model.ts'],
      { cwd: project.path, encoding: 'utf8' },
    );
    expect(done.stdout).toBe('');
    const ran = spawnSync(process.execPath, ['model.js'], { cwd: project.path, encoding: 'utf8', env: environment() });
    expect(ran.stderr).toBe('');
    expect(ran.stdout).toMatch(/^5\.\d+ \[ 64, 1, 32 \]/);
  });
});
