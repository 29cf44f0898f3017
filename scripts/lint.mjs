// What tsc does not ask of a source: rules of .oxlintrc.json, and lines of at most 140 characters.
//   node scripts/lint.mjs   complains; exit status 1
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDERS = ['src', 'grammar', 'test', 'scripts'];
const LONGEST = 140;

/** Longer lines, by place. Golden files are what programs print. */
export function lengthFaults() {
  const files = FOLDERS.flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((name) => /\.(ts|mjs|h|cc)$/.test(name) && !/\/(golden|build)\//.test(name)));
  return files.sort().flatMap((name) => readFileSync(join(root, name), 'utf8').split('\n').flatMap((line, i) => (
    line.length > LONGEST ? [`${name}:${i + 1}: ${line.length} characters, ${LONGEST} at most`] : []
  )));
}

/** What the rules complain about; undefined where the linter is not installed. */
export function ruleFaults() {
  const program = join(root, 'node_modules/oxlint/bin/oxlint');
  if (!existsSync(program)) return undefined;
  const done = spawnSync(process.execPath, [program, '--type-aware', '--format', 'unix', ...FOLDERS], { cwd: root, encoding: 'utf8' });
  return done.status === 0 ? [] : `${done.stdout}${done.stderr}`.trim().split('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const faults = [...ruleFaults() ?? ['oxlint is missing: npm ci'], ...lengthFaults()];
  for (const fault of faults) console.log(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
