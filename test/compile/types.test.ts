import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

// The test runner only strips types: sources, tests and examples are checked here.
it('everything that is TypeScript has sound types', () => {
  const done = spawnSync(
    process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json', '--noEmit'], { cwd: ROOT, encoding: 'utf8' },
  );
  expect(done.stdout).toBe('');
  expect(done.status).toBe(0);
});
