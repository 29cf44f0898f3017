import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, environment, folderWith, lmoec, ROOT } from './lmoec.js';

const PROGRAM = join(ROOT, 'examples/program');
const project = folderWith({ 'package.json': '{"type":"module"}' });
const at = (...names: string[]): string => join(project.path, ...names);

/** Somebody else's project: the package in node_modules, kernels built by its command line. */
beforeAll(() => {
  ensureBuilt();
  mkdirSync(at('node_modules'));
  symlinkSync(ROOT, at('node_modules/lmoec'));
  symlinkSync(join(ROOT, 'node_modules/@types'), at('node_modules/@types'));
  if (existsSync(PROGRAM)) cpSync(PROGRAM, at('examples/program'), { recursive: true, filter: (path) => !path.endsWith('.js') });
}, 120_000);
afterAll(project.remove);

describe.skipIf(!existsSync(PROGRAM))('the example program', () => {
  it('compiles against a binding that was built for it', () => {
    expect(lmoec([
      'build', join(ROOT, 'examples/gated_delta.lmoe'), '-o', at('generated'), '--target', 'webgpu,cuda.sm80,cuda.sm90', '--sources',
    ])).toMatchObject({ code: 0, err: '' });
    const done = spawnSync(
      process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', at('examples/program')], { encoding: 'utf8' },
    );
    expect(done.stdout + done.stderr).toBe('');
  });

  it('trains values and decodes a token, where a device answers', (context) => {
    const { cuda, webgpu } = JSON.parse(lmoec(['doctor', '--json']).out);
    if (!cuda.available && !webgpu.available) context.skip(`no device: ${webgpu.why}`);
    const done = spawnSync(process.execPath, [at('examples/program/main.js')], { encoding: 'utf8', env: environment() });
    expect(done.stdout).toMatch(/^device: .+/);
    const errors = [...done.stdout.matchAll(/mean square error (\S+)/g)].map((match) => Number(match[1]));
    expect(errors).toHaveLength(5);
    // Each round must help: gradients point the right way.
    errors.forEach((error, i) => { if (i > 0) expect(error).toBeLessThan(errors[i - 1]); });
    expect(errors[4]).toBeLessThan(0.5 * errors[0]);
    expect(done.stdout).toMatch(/the last token, decoded: largest difference \S+e-/);
    expect(done.status).toBe(0);
  });
});
