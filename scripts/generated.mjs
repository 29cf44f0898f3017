// Rebuilds generated/ from examples/: sources, plans and bindings, without machine code, so that it is the same on every machine.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compile, root } from './setup.mjs';

if (!compile()) process.exit(1);
const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.lmoe')).map((name) => `examples/${name}`).sort();
const done = spawnSync(process.execPath, ['dist/src/cli/main.js', 'build', ...examples, '-o', 'generated', '--sources'], { cwd: root, stdio: 'inherit' });
if (done.status === 0) {
  // What no example makes any more goes; README.md stays.
  const scans = new Set(examples.map((file) => file.replace(/^examples\/(.*)\.lmoe$/, '$1')));
  for (const entry of existsSync(join(root, 'generated')) ? readdirSync(join(root, 'generated'), { withFileTypes: true }) : []) {
    if (entry.isDirectory() && !scans.has(entry.name)) rmSync(join(root, 'generated', entry.name), { recursive: true });
  }
}
process.exitCode = done.status ?? 1;
