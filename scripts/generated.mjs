// Rebuilds generated/ from examples/: sources, plans, bindings and the levels above them, without machine code, so that it is the same on
// every machine.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compile, root } from './setup.mjs';

if (!compile()) process.exit(1);
const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.lmoe')).map((name) => `examples/${name}`).sort();
// Python packages with a class each: one state and gates of channels; chained states; groups and params.
const packages = ['gla', 'gsa', 'mamba2'];
const build = (files, ...options) => spawnSync(
  process.execPath, ['dist/src/cli/main.js', 'build', ...files, ...options, '--sources'], { cwd: root, stdio: 'inherit' },
).status ?? 1;
// Whatever merges and editors left is made again: `build` itself replaces no file that was changed.
for (const entry of readdirSync(join(root, 'generated'), { withFileTypes: true })) {
  if (entry.isDirectory()) rmSync(join(root, 'generated', entry.name), { recursive: true });
}
const status = build(examples, '-o', 'generated', '--emit', 'spec,scan,tile') || build(
  packages.map((name) => `examples/${name}.lmoe`), '-o', 'generated/torch', '--target', 'torch',
);
process.exitCode = status;
