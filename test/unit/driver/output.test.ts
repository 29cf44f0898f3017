import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeHost } from '../../../src/driver/host.js';
import { writeOutput } from '../../../src/driver/output.js';

const host = nodeHost();
let folder = '';
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'lmoec-test-')); });
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (...names: string[]): string => join(folder, ...names);
const put = (name: string, text = 'mine'): void => {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), text);
};
const write = (...names: string[]) => {
  const files = new Map([['gla.ts', 'a binding'], ['webgpu.f32/plan.json', '{}'], ['nn/layer.py', 'a module']]);
  return writeOutput(
    host, folder, { folders: new Map((names.length === 0 ? ['gla'] : names).map((name) => [name, files])), compiler: '1', build: 'abc' },
  );
};
const refused = (why: string): void => {
  expect(write()).toMatchObject({ code: 'E704', title: expect.stringContaining(`${at('gla')} is not replaced: ${why}`) });
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
};

describe('a place is replaced', () => {
  it('where nothing is, and says then whose it is', () => {
    expect(write('gla', 'other')).toBeUndefined();
    expect(host.list(at('other'))).toEqual(['gla.ts', 'lmoec.json', 'nn/layer.py', 'webgpu.f32/plan.json']);
    expect(JSON.parse(readFileSync(at('other/lmoec.json'), 'utf8'))).toMatchObject({
      format: 'lmoec-output-1', compiler: '1', build: 'abc',
    });
    const { files } = JSON.parse(readFileSync(at('other/lmoec.json'), 'utf8'));
    expect(Object.keys(files)).toEqual(['gla.ts', 'nn/layer.py', 'webgpu.f32/plan.json']);
  });

  it('where lines end otherwise, where a file is gone, and where an older lmoec said nothing of contents', () => {
    expect(write()).toBeUndefined();
    put('gla/gla.ts', '');
    rmSync(at('gla/gla.ts'));
    expect(write()).toBeUndefined();
    const mark = JSON.parse(readFileSync(at('gla/lmoec.json'), 'utf8'));
    put('gla/lmoec.json', JSON.stringify({ ...mark, files: Object.keys(mark.files) }));
    put('gla/gla.ts', 'changed');
    expect(write()).toBeUndefined();
    const lines = (end: string) => writeOutput(host, folder, {
      folders: new Map([['gla', new Map([['gla.ts', `one${end}two${end}`]])]]), compiler: '1', build: 'abc',
    });
    expect(lines('\n')).toBeUndefined();
    put('gla/gla.ts', 'one\r\ntwo\r\n');
    expect(lines('\n')).toBeUndefined();
  });

  it('where an empty folder is, or one of ours with what compilers put beside our files', () => {
    mkdirSync(at('gla'));
    for (const beside of [
      'gla.js', 'gla.js.map', 'gla.d.ts', 'gla.d.ts.map', 'nn/__pycache__/layer.cpython-312.pyc',
      'nn/__pycache__/layer.cpython-312.opt-1.pyc',
    ]) {
      expect(write()).toBeUndefined();
      put(`gla/${beside}`, 'made of ours');
    }
    expect(write()).toBeUndefined();
    expect(host.list(at('gla'))).toEqual(['gla.ts', 'lmoec.json', 'nn/layer.py', 'webgpu.f32/plan.json']);
  });
});

describe('a place stays', () => {
  it('where a folder is that is not ours, whatever lies in it under the name of our mark', () => {
    put('gla/main.ts');
    refused('it does not say that lmoec made it');
    for (const mark of ['{}', '{"format":"lmoec-output-1"}', '[', 'null', '']) {
      put('gla/lmoec.json', mark);
      refused('it does not say that lmoec made it');
    }
    expect(readFileSync(at('gla/main.ts'), 'utf8')).toBe('mine');
  });

  it('where a file is, a link to a folder of ours, a link to nowhere, a pipe', () => {
    put('gla');
    refused('it is a file, not a folder that lmoec made');
    rmSync(at('gla'));
    expect(write('elsewhere')).toBeUndefined();
    for (const to of ['elsewhere', 'nowhere']) {
      symlinkSync(at(to), at('gla'));
      refused('it is a link');
      expect(lstatSync(at('gla')).isSymbolicLink()).toBe(true);
      rmSync(at('gla'));
    }
    expect(host.list(at('elsewhere')).length).toBe(4);
    if (spawnSync('mkfifo', [at('gla')]).status === 0) refused('it is a pipe');
  });

  it('where somebody changed what we made', () => {
    expect(write()).toBeUndefined();
    for (const [name, text] of [['gla.ts', 'a binding of mine'], ['webgpu.f32/plan.json', '{ }'], ['nn/layer.py', '']] as const) {
      const before = readFileSync(at('gla', name), 'utf8');
      put(`gla/${name}`, text);
      refused(`${name} was changed after lmoec made it`);
      expect(readFileSync(at('gla', name), 'utf8')).toBe(text);
      put(`gla/${name}`, before);
    }
    expect(write()).toBeUndefined();
  });

  it('where somebody put a file, a link or a folder into one of ours', () => {
    const cases: readonly [string, () => void][] = [
      ['notes.txt', () => put('gla/notes.txt')],
      ['webgpu.f32/mine.js', () => put('gla/webgpu.f32/mine.js')],
      ['__pycache__/mine.cpython-312.pyc', () => put('gla/__pycache__/mine.cpython-312.pyc')],
      ['mine (a folder)', () => mkdirSync(at('gla/mine'))],
      ['gla.ts (a link)', () => { rmSync(at('gla/gla.ts')); symlinkSync(at('file'), at('gla/gla.ts')); }],
      ['webgpu.f32 (a link)', () => { rmSync(at('gla/webgpu.f32'), { recursive: true }); symlinkSync(folder, at('gla/webgpu.f32')); }],
    ];
    for (const [what, make] of cases) {
      rmSync(at('gla'), { recursive: true, force: true });
      expect(write()).toBeUndefined();
      make();
      refused(`it holds ${what}, which lmoec did not make`);
    }
  });

  it('where a name leads out of the folder', () => {
    put('mine');
    for (const name of ['.', '..', '']) expect(write(name)).toMatchObject({ code: 'E704' });
    expect(existsSync(at('mine'))).toBe(true);
  });

  it('and so do all the others of that build', () => {
    put('second/mine');
    expect(write('first', 'second')).toMatchObject({ code: 'E704' });
    expect(readdirSync(folder)).toEqual(['second']);
  });
});
