// Installs and builds what a run needs and this machine lacks, and says so in one line each. Safe to run again: what is there stays.
//   node scripts/setup.mjs [--quiet]     everything, also what only tests need
//   node scripts/setup.mjs --dist        only dist/, and only if it is older than the sources
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { missing, openApt } from './apt.mjs';
import { installGpus, missingGpus } from './software-gpu.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Programs that tests take for a browser. */
export const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chromium-headless-shell'];
const quiet = process.argv.includes('--quiet');
const say = (text) => { if (!quiet) console.log(`setup: ${text}`); };

function run(program, args, what) {
  const done = spawnSync(program, args, { cwd: root, encoding: 'utf8', shell: false });
  if (done.status !== 0) {
    console.error(`setup: ${what} failed\n${done.stdout ?? ''}${done.stderr ?? done.error?.message ?? ''}`);
    return false;
  }
  return true;
}

/** npm's packages, those of the lock file. */
function packages() {
  const needed = ['chevrotain', 'handlebars', 'ts-morph', 'webgpu', 'typescript', 'vitest', 'node-addon-api'];
  const missing = needed.filter((name) => !existsSync(join(root, 'node_modules', name, 'package.json')));
  if (missing.length === 0) return true;
  say('installing npm packages');
  return run('npm', ['ci', '--no-audit', '--no-fund'], 'npm ci');
}

/** Newest change below a folder, in milliseconds. */
function newest(folder) {
  let last = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'build') continue;
    const path = join(folder, entry.name);
    last = Math.max(last, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return last;
}

/** dist/: the compiler itself, from TypeScript. The stamp is written after a compilation without errors; the files alone would not tell. */
export function compile() {
  const stamp = join(root, 'dist/.built');
  if (existsSync(stamp) && statSync(stamp).mtimeMs > Math.max(newest(join(root, 'src')), newest(join(root, 'grammar')))) return true;
  say('compiling TypeScript');
  if (!run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], 'tsc')) return false;
  writeFileSync(stamp, '');
  return true;
}

/**
 * From apt: a C++ compiler, two software GPUs for WebGPU, and a browser for tests. What cannot be installed is named, and what needs it is
 * skipped.
 */
function systemPackages(tests) {
  const packages = [...(missing('g++') ? ['g++'] : []), ...(tests && BROWSERS.every(missing) ? ['chromium-headless-shell'] : [])];
  const gpus = missingGpus();
  if (packages.length + gpus.length === 0) return;
  say(`missing: ${[...packages, ...gpus].join(', ')}; trying apt`);
  const apt = openApt();
  if (apt.why !== undefined) return say(`not installed: ${apt.why}`);
  try {
    for (const name of packages) {
      const why = apt.install([name]);
      say(why === undefined ? `installed ${name}` : `no ${name}: ${why}`);
    }
    if (gpus.length > 0) installGpus(apt, gpus).forEach(say);
  } finally {
    apt.close();
  }
}

/** The CUDA addon. No compiler, no addon: cuda is then absent, all else works. */
function native() {
  const done = spawnSync(process.execPath, [join(root, 'scripts/native.mjs'), '--if-needed'], { cwd: root, encoding: 'utf8' });
  say((done.stdout.trim() || done.stderr.trim()).replace(/^native: /, ''));
}

/** The compiler, as far as it needs no more than npm. */
export const build = () => packages() && compile();

/** Everything, or all but what only tests need; the result is an exit status. */
export function setup({ tests = false } = {}) {
  if (!build()) return 1;
  systemPackages(tests);
  native();
  return 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = process.argv.includes('--dist') ? (compile() ? 0 : 1) : setup({ tests: true });
}
