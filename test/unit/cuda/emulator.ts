import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const version = spawnSync('g++', ['--version'], { encoding: 'utf8' });

/** Is there a C++ compiler? */
export const compiler = version.status === 0;

/** What texts of kernels are compiled for. */
export interface Emulated {
  readonly sm90: boolean;
  /** Elements of 16 bits are f16. */
  readonly half: boolean;
  readonly races: boolean;
  /** A libcuda.so.1 that launches them (test/torch/libcuda.cc), not a program. */
  readonly library?: boolean;
}

// Kernels run for a moment only, which more optimisation would not pay for; the emulator's own parts are compiled once.
const KERNELS = ['-Og', '-fno-exceptions'];
// Loops over shared memory stay loops, whose accesses are watched, where calls of the C library are not.
const BODIES = ['-O2', '-fno-tree-loop-distribute-patterns'];

function run(folder: string, ...args: readonly string[]): void {
  execFileSync('g++', ['-std=c++17', '-w', ...args], { cwd: folder, stdio: 'pipe' });
}

function flagsOf({ sm90, half, races, library = false }: Emulated): readonly string[] {
  return [
    `-DHALF=${half ? 1 : 0}`,
    ...(sm90 ? ['-D__CUDA_ARCH__=900', '-D__CUDA_ARCH_FEAT_SM90_ALL'] : ['-D__CUDA_ARCH__=800']),
    ...(races ? ['-DRACES', '-fsanitize=thread', '--param=tsan-instrument-func-entry-exit=0'] : []),
    ...(library ? ['-fPIC', '-fvisibility=hidden'] : []),
  ];
}

/**
 * A folder with the emulator's own parts: what kernels see of it, and its bodies. Compiled once for all tests, and again where a text, the
 * flags or the compiler differ.
 */
function partsOf(emulated: Emulated): string {
  const flags = flagsOf(emulated);
  const texts = readdirSync(import.meta.dirname).filter((name) => /^emulat.*\.(h|cc)$/.test(name)).sort()
    .map((name): readonly [string, string] => [name, readFileSync(join(import.meta.dirname, name), 'utf8')]);
  if (emulated.library === true) texts.push(['libcuda.cc', readFileSync(join(import.meta.dirname, '../../torch/libcuda.cc'), 'utf8')]);
  const hash = createHash('sha256').update(JSON.stringify([version.stdout, flags, KERNELS, BODIES, texts])).digest('hex').slice(0, 16);
  const cache = join(import.meta.dirname, '../../../node_modules/.cache/lmoec-emulator');
  const parts = join(cache, hash);
  if (existsSync(parts)) return parts;
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(join(cache, 'making-'));
  try {
    for (const [name, text] of texts) writeFileSync(join(made, name), text);
    run(made, ...flags, ...KERNELS, '-x', 'c++-header', '-o', 'emulated.h.gch', 'emulated.h');
    const bodies = ['emulated', ...(emulated.library === true ? ['libcuda'] : [])];
    for (const name of bodies) run(made, ...flags, ...BODIES, '-c', '-o', `${name}.o`, `${name}.cc`);
    renameSync(made, parts);
  } catch (error) {
    rmSync(made, { recursive: true });
    // Unless another test was sooner.
    if (!existsSync(parts)) throw error;
  }
  return parts;
}

/** Compiles a text of kernels, and puts it together with the emulator: in `folder`, as `name`. */
export function compileKernels(text: string, emulated: Emulated, folder: string, name: string): void {
  const parts = partsOf(emulated);
  const [source, object] = ['cc', 'o'].map((ending) => `${name}.${ending}`);
  writeFileSync(join(folder, source), text);
  run(folder, ...flagsOf(emulated), ...KERNELS, '-include', join(parts, 'emulated.h'), '-c', '-o', object, source);
  const more = emulated.library === true ? ['-shared', join(parts, 'libcuda.o')] : [];
  run(folder, '-o', name, object, join(parts, 'emulated.o'), ...more);
}

/** The last text that was compiled: kernels that run over other values are not compiled again. */
const latest = { key: '', program: Buffer.alloc(0) };

/** The program that a text of kernels with a `main` makes. */
export function compiled(text: string, emulated: Emulated): Buffer {
  const key = JSON.stringify([emulated, text]);
  if (key === latest.key) return latest.program;
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-compile-'));
  try {
    compileKernels(text, emulated, folder, 'k');
    return Object.assign(latest, { key, program: readFileSync(join(folder, 'k')) }).program;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** For templates that have a stand-in in the emulator. Kernels see it anyway; a text says what of it they use. */
export const STAND_INS: Readonly<Record<string, string>> = {
  'rt/base.cuh': '', 'rt/ptx.cuh': 'using namespace ptx;', 'rt/wgmma.cuh': 'using namespace wgmma_rows;',
};
