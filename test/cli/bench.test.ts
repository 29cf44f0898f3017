import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, ROOT, folderWith } from './lmoec.js';

const folder = folderWith({});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);

const python = process.env['LMOEC_PYTHON'] ?? 'python3';
const hasPython = spawnSync(python, ['--version']).status === 0;
const out = join(folder.path, 'out');
const filesOf = (ending: string): string[] =>
  readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith(ending)).sort();
const images = (nvcc: string) =>
  spawnSync(python, ['bench/images.py', out, '--nvcc', nvcc, '--jobs', '2'], { cwd: ROOT, encoding: 'utf8' });

describe('what benches want', () => {
  it('is built as sources, by sets; another set is refused by name', () => {
    const prepare = (...sets: string[]) =>
      spawnSync(process.execPath, ['bench/prepare.mjs', '--out', out, ...sets], { cwd: ROOT, encoding: 'utf8' });
    expect(prepare('writen')).toMatchObject({ status: 2, stderr: expect.stringMatching(/no set writen; there are scans, written, /) });
    expect(prepare('written', 'memory')).toMatchObject({ status: 0, stdout: expect.stringMatching(/written: built/) });
    expect(filesOf('.cubin')).toEqual([]);
    expect(filesOf('.cu').length).toBeGreaterThan(8);
  });

  it.skipIf(!hasPython)('is compiled where nvcc is, once, and says what failed (skipped without python3)', () => {
    const nvcc = join(folder.path, 'nvcc');
    writeFileSync(nvcc, '#!/bin/sh\ncase "$6" in *kda*) echo "kernel is wrong" >&2; exit 2;; esac\necho "$2" > "$5"\n', { mode: 0o755 });
    const sources = filesOf('.cu').filter((path) => !/^memory\/\w+\/cuda/.test(path));
    const wrong = sources.filter((path) => /kda[^/]*$/.test(path));
    expect(wrong.length).toBeGreaterThan(0);
    const first = images(nvcc);
    expect(first).toMatchObject({
      status: 1, stdout: expect.stringMatching(new RegExp(`${sources.length - wrong.length} compiled, ${wrong.length} failed`)),
    });
    expect(first.stdout).toMatch(/kda\S*\.cu: kernel is wrong/);
    const made = filesOf('.cubin');
    expect(made).toEqual(sources.filter((path) => !wrong.includes(path)).map((path) => path.replace(/cu$/, 'cubin')));
    expect(execFileSync('cat', [join(out, made[0])], { encoding: 'utf8' })).toBe('-arch=sm_90a\n');
    expect(images('true').stdout).toMatch(new RegExp(`${wrong.length} compiled, 0 failed`));
  });
});
