// Rebuilds generated/ from examples/: sources, plans, bindings and the levels above them, without machine code, so that it is the same on
// every machine.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compile, root } from './setup.mjs';

if (!compile()) process.exit(1);
const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.lmoe')).map((name) => `examples/${name}`).sort();
// Python packages with a class each: one state and gates of channels; chained states; groups and params.
const packages = ['gla', 'gsa', 'mamba2'];
const build = (files, ...options) => spawnSync(
  process.execPath, ['dist/src/cli/main.js', 'build', ...files, ...options, '--sources'], { cwd: root, stdio: 'inherit' },
).status ?? 1;
const status = build(examples, '-o', 'generated', '--emit', 'spec,scan,tile') || build(
  packages.map((name) => `examples/${name}.lmoe`), '-o', 'generated/torch', '--target', 'torch',
);
/** What no example makes any more goes; README.md stays. */
function clean(folder, names) {
  for (const entry of existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []) {
    if (entry.isDirectory() && !names.has(entry.name)) rmSync(join(folder, entry.name), { recursive: true });
  }
}
if (status === 0) {
  clean(join(root, 'generated'), new Set(['torch', ...examples.map((file) => file.replace(/^examples\/(.*)\.lmoe$/, '$1'))]));
  clean(join(root, 'generated/torch'), new Set(packages));
}
process.exitCode = status;
