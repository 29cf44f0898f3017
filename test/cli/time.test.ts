import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, environment, MAIN, ROOT } from './lmoec.js';

beforeAll(ensureBuilt, 120_000);

/** Prints what all threads of a process took of the processors: waiting for others that share the machine is not in it. */
const METER = `data:text/javascript,${encodeURIComponent(`
  import { writeSync } from 'node:fs';
  process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    writeSync(2, 'processor ' + (user + system) / 1e6);
  });
`)}`;

function processorSeconds(args: readonly string[]): number {
  const { status, stdout, stderr } = spawnSync(
    process.execPath, ['--import', METER, MAIN, ...args], { cwd: ROOT, encoding: 'utf8', env: environment() },
  );
  expect(`${stdout}${stderr}`).toMatch(/no errors\nprocessor [\d.]+$/);
  expect(status).toBe(0);
  return Number(/processor ([\d.]+)$/.exec(stderr)?.[1]);
}

describe('time', () => {
  it('checks all models in less than 3 s of a processor', () => {
    const files = readdirSync(join(ROOT, 'examples/models')).filter((name) => name.endsWith('.lmoe'));
    expect(files.length).toBeGreaterThan(10);
    // A processor that others heat or share is slower: the best of some counts.
    const best = Math.min(...[1, 2, 3].map(() => processorSeconds(['check', ...files.map((name) => join('examples/models', name))])));
    expect(best).toBeLessThan(3);
  }, 60_000);

  it('checks one small layer in less than a second of a processor', () => {
    const best = Math.min(...[1, 2, 3].map(() => processorSeconds(['check', 'examples/layers/norms.lmoe'])));
    expect(best).toBeLessThan(1);
  }, 60_000);
});
