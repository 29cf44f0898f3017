// What tsc does not ask of a source: rules of .oxlintrc.json, and lines of at most 140 characters.
//   node scripts/lint.mjs            complains; exit status 1
//   node scripts/lint.mjs --lengths  writes down how many longer lines each file has left: it may only become fewer
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDERS = ['src', 'grammar', 'test', 'scripts'];
const LONGEST = 140;
/** Files with longer lines, and how many: what was there before the rule. */
const LEFT = join(root, 'scripts/long-lines.json');

/** Longer lines by file. Golden files are what programs print. */
export function longLines() {
  const files = FOLDERS.flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((name) => /\.(ts|mjs|h|cc)$/.test(name) && !/\/(golden|build)\//.test(name)));
  const counted = files.map((name) => [
    name, readFileSync(join(root, name), 'utf8').split('\n').filter((line) => line.length > LONGEST).length,
  ]);
  return Object.fromEntries(counted.filter(([, count]) => count > 0).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Files that have more of them than is written down. */
export function lengthFaults() {
  const left = JSON.parse(readFileSync(LEFT, 'utf8'));
  return Object.entries(longLines()).filter(([name, count]) => count > (left[name] ?? 0))
    .map(([name, count]) => `${name}: ${count} lines of more than ${LONGEST} characters, where ${left[name] ?? 0} are left over`);
}

/** What the rules complain about; undefined where the linter is not installed. */
export function ruleFaults() {
  const program = join(root, 'node_modules/oxlint/bin/oxlint');
  if (!existsSync(program)) return undefined;
  const done = spawnSync(process.execPath, [program, '--type-aware', '--format', 'unix', ...FOLDERS], { cwd: root, encoding: 'utf8' });
  return done.status === 0 ? [] : `${done.stdout}${done.stderr}`.trim().split('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--lengths')) writeFileSync(LEFT, `${JSON.stringify(longLines(), undefined, 1)}\n`);
  else {
    const faults = [...ruleFaults() ?? ['oxlint is missing: npm ci'], ...lengthFaults()];
    for (const fault of faults) console.log(fault);
    process.exitCode = faults.length === 0 ? 0 : 1;
  }
}
