import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { nodeHost } from '../../src/driver/host.js';
import { sourceOf } from '../../src/driver/session.js';
import { torchPackages, type TorchPackage } from '../../src/driver/torch.js';
import { PYTHON } from './python.js';

const host = nodeHost();

/** The package of a text, in a folder of its own below `at`. Kernels are made for one target: the CPU takes none. */
export async function packageIn(
  at: string, name: string, text: string, sizes: ReadonlyMap<string, number>, evalOnly = false,
): Promise<string> {
  const source = sourceOf(host, `${name}.lmoe`, text);
  if (source.failed) throw new Error(source.render(false));
  const made = await torchPackages(
    host, [source],
    {
      name, version: '0.1.0', targets: ['cuda.sm80'], dtypes: undefined, sizes: [sizes], experts: [], settings: new Map(), evalOnly,
      part: undefined,
    }, () => undefined,
  );
  if ('failures' in made) throw new Error(made.failures.map(({ failed }) => (
    'title' in failed ? failed.title : source.renderThese(failed.diagnostics, false)
  )).join('\n'));
  return writeTo(at, made[0]);
}

function writeTo(at: string, { folder, files }: TorchPackage): string {
  for (const [name, text] of files) {
    const path = join(at, folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return join(at, folder);
}

/** An empty folder; `remove` takes it away. */
export function emptyFolder() {
  const path = mkdtempSync(join(tmpdir(), 'lmoec-torch-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Runs Python; throws with what it printed where it fails. */
export function python(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): string {
  const done = spawnSync(
    PYTHON ?? 'python3', args, { cwd, encoding: 'utf8', env: { ...process.env, OMP_NUM_THREADS: '1', ...env }, maxBuffer: 2 ** 26 },
  );
  if (done.status !== 0) throw new Error(`python ${args.join(' ')}\n${done.stdout.slice(-8000)}${done.stderr.slice(-8000)}`);
  return done.stdout;
}
