import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
export const MAIN = join(ROOT, 'dist/src/cli/main.js');

/**
 * Compiles dist/ if it is older than the sources: these tests run the built program. LMOEC_KEEP_DIST=1 takes it as it is, for work on a
 * half-edited tree.
 */
export function ensureBuilt(): void {
  if (process.env.LMOEC_KEEP_DIST === '1') return;
  const done = spawnSync(process.execPath, [join(ROOT, 'scripts/setup.mjs'), '--dist'], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`dist/ cannot be built:\n${done.stdout}${done.stderr}`);
}

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** An environment without what would make results depend on the machine or the terminal. */
export function environment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { NO_COLOR: _n, FORCE_COLOR: _f, LMOEC_NVCC: _c, ...rest } = process.env;
  return { ...rest, ...extra };
}

export function lmoec(args: readonly string[], options: RunOptions = {}): Finished {
  const { status, stdout, stderr } = spawnSync(
    process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: options.cwd, input: options.input ?? '', env: environment(options.env) },
  );
  return { code: status, out: stdout, err: stderr };
}

/** Starts the program and gives it back running. */
export function started(args: readonly string[], options: RunOptions = {}) {
  const child = spawn(
    process.execPath, [MAIN, ...args], { cwd: options.cwd, env: environment(options.env), stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let out = '';
  let err = '';
  child.stdout.on('data', (data) => { out += String(data); });
  child.stderr.on('data', (data) => { err += String(data); });
  const finished = new Promise<Finished>((done) => { child.on('close', (code) => done({ code, out, err })); });
  return { child, finished, texts: () => ({ out, err }) };
}

/** An empty folder with some files in it; `remove` takes it away. */
export function folderWith(files: Readonly<Record<string, string | Uint8Array>>) {
  const path = mkdtempSync(join(tmpdir(), 'lmoec-cli-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A scan with a gate, a matrix state and sizes that every kernel can have. */
export const DECAYING = `/// A matrix memory that forgets per channel.
scan decaying(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] with K = 16, V = 24 {
  state S: [K, V]

  S = exp(g) * S[t-1] + outer(k, v)
  o = q @ S / sqrt(K)
}
`;
