import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheOf } from '../../../src/driver/cache.js';
import { nodeHost } from '../../../src/driver/host.js';
import { sourceFiles, sourceOf } from '../../../src/driver/session.js';

const host = nodeHost();
let folder = '';
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'lmoec-test-')); });
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true });
});

describe('writing', () => {
  const folders = (...names: string[]) => new Map(names.map((name) => [
    name, new Map([['a.txt', `new ${name}`], ['deep/b.txt', 'b']]),
  ] as const));

  it('replaces folders as a whole and leaves nothing beside them', () => {
    mkdirSync(join(folder, 'out'));
    writeFileSync(join(folder, 'out/old.txt'), 'old');
    expect(host.replaceFolders(folder, folders('out', 'other'))).toBeUndefined();
    for (const name of ['out', 'other']) expect(host.list(join(folder, name))).toEqual(['a.txt', 'deep/b.txt']);
    expect(readdirSync(folder).sort()).toEqual(['other', 'out']);
  });

  it('says why folders cannot be written, and keeps what was there', () => {
    writeFileSync(join(folder, 'file'), 'here');
    expect(host.replaceFolders(join(folder, 'file'), folders('out'))).toMatch(/cannot be written/);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('here');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('takes back all of a set where one of it cannot be put in its place', () => {
    mkdirSync(join(folder, 'one'));
    writeFileSync(join(folder, 'one/old.txt'), 'old');
    // What was filled for `one/deep` is gone when its turn comes: it went with `one`.
    expect(host.replaceFolders(
      folder, new Map([...folders('one', 'two'), ['one/deep', new Map([['x', 'x']])]]),
    )).toMatch(/cannot be written/);
    expect(readFileSync(join(folder, 'one/old.txt'), 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['one']);
  });

  describe('rooms of killed builds', () => {
    const gone = (): number => spawnSync(process.execPath, ['-e', '']).pid;
    /** The room that a process of this machine would have had: its name is seen while another is filled. */
    const room = (pid: number): string => {
      let seen = '';
      class Watched extends Map<string, string> {
        override [Symbol.iterator](): MapIterator<[string, string]> {
          seen = readdirSync(folder).find((name) => name.startsWith('.lmoec-')) ?? '';
          return super[Symbol.iterator]();
        }
      }
      host.replaceFolders(folder, new Map([['watched', new Watched()]]));
      rmSync(join(folder, 'watched'), { recursive: true });
      expect(seen).toContain(`-${process.pid}-`);
      return join(folder, seen.replace(`-${process.pid}-`, `-${pid}-`));
    };

    it('are cleared, and what they had moved away comes back', () => {
      const left = room(gone());
      mkdirSync(join(left, 'old/lost'), { recursive: true });
      writeFileSync(join(left, 'old/lost/a.txt'), 'the only copy');
      expect(host.replaceFolders(folder, folders('out'))).toBeUndefined();
      expect(readdirSync(folder).sort()).toEqual(['lost', 'out']);
      expect(readFileSync(join(folder, 'lost/a.txt'), 'utf8')).toBe('the only copy');
    });

    it('stay where their process runs, unless nobody can be filling them any more', () => {
      const left = room(process.ppid);
      mkdirSync(left);
      host.replaceFolders(folder, folders('out'));
      expect(existsSync(left)).toBe(true);
      utimesSync(left, new Date(0), new Date(0));
      host.replaceFolders(folder, folders('out'));
      expect(existsSync(left)).toBe(false);
    });

    it('are told from folders that only look like them', () => {
      const others = ['.lmoec', '.lmoec-1-config', '.out-AbCdEf', '.lmoec-notes-12345678-abcdef'];
      for (const name of others) mkdirSync(join(folder, name));
      host.replaceFolders(folder, folders('out'));
      expect(readdirSync(folder).sort()).toEqual([...others, 'out'].sort());
    });
  });

  it.skipIf(!existsSync('/proc/self'))('ends where a folder takes no entries (skipped where there is no /proc)', () => {
    expect(host.write('/proc/none/x', 'x')).toMatch(/\/proc\/none\/x cannot be written/);
    expect(host.replaceFolders('/proc/none', folders('out'))).toMatch(/\/proc\/none cannot be written/);
  });

  it.skipIf(process.getuid?.() === 0)('names a read-only folder (skipped for root, who may write everywhere)', () => {
    chmodSync(folder, 0o500);
    expect(host.write(join(folder, 'x'), 'x')).toMatch(/no permission/);
  });

  it('writes a file by way of a partial one', () => {
    expect(host.write(join(folder, 'new/x.bin'), new Uint8Array([1, 2]))).toBeUndefined();
    expect([...(host.readBytes(join(folder, 'new/x.bin')) ?? [])]).toEqual([1, 2]);
    expect(readdirSync(join(folder, 'new'))).toEqual(['x.bin']);
    expect(host.write(folder, 'x')).toMatch(/it is a folder/);
  });

  it('keeps the mode of a file, and links of both kinds', () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'old');
    chmodSync(file, 0o640);
    expect(host.write(file, 'new')).toBeUndefined();
    expect(statSync(file).mode & 0o7777).toBe(0o640);
    symlinkSync(file, join(folder, 'soft'));
    linkSync(file, join(folder, 'hard'));
    for (const name of ['soft', 'hard']) {
      expect(host.write(join(folder, name), name)).toBeUndefined();
      expect(readFileSync(file, 'utf8')).toBe(name);
    }
    expect(lstatSync(join(folder, 'soft')).isSymbolicLink()).toBe(true);
    expect(statSync(file).nlink).toBe(2);
    symlinkSync(join(folder, 'later'), join(folder, 'to nowhere'));
    expect(host.write(join(folder, 'to nowhere'), 'x')).toBeUndefined();
    expect(readFileSync(join(folder, 'later'), 'utf8')).toBe('x');
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it.skipIf(!existsSync('/dev/full'))('writes to devices and pipes, and leaves them what they are (skipped without /dev/full)', () => {
    expect(host.write('/dev/null', 'x')).toBeUndefined();
    expect(host.write('/dev/full', 'x')).toBe('/dev/full cannot be written: the disk is full');
    expect(['/dev/null', '/dev/full'].map((path) => lstatSync(path).isCharacterDevice())).toEqual([true, true]);
    const pipe = join(folder, 'pipe');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'ignore'] });
    const read = new Promise((done) => { reader.stdout.on('data', (data) => done(String(data))); });
    expect(host.write(pipe, 'through it')).toBeUndefined();
    expect(lstatSync(pipe).isFIFO()).toBe(true);
    return expect(read).resolves.toBe('through it');
  });

  it('tells apart what was joined differently', () => {
    expect(host.sha256('ab', 'c')).not.toBe(host.sha256('a', 'bc'));
  });

  it('forgets temporary folders', () => {
    const temporary = host.temporary();
    if (typeof temporary === 'string') throw new Error(temporary);
    expect(existsSync(temporary.path)).toBe(true);
    temporary.discard();
    expect(existsSync(temporary.path)).toBe(false);
  });
});

describe('reading', () => {
  it('takes files and what links lead to, and no devices', () => {
    writeFileSync(join(folder, 'file'), 'text');
    symlinkSync(join(folder, 'file'), join(folder, 'link'));
    expect(['file', 'link', 'none', '.'].map((name) => host.readText(join(folder, name)))).toEqual(['text', 'text', undefined, undefined]);
    expect(host.readBytes('/dev/zero')).toBeUndefined();
  });

  it('waits for who writes to a pipe, as other programs do', () => {
    const pipe = join(folder, 'read me');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    const writer = spawn('sh', ['-c', 'printf text > "$0"', pipe], { stdio: 'ignore' });
    expect(host.readText(pipe)).toBe('text');
    return expect(new Promise((done) => { writer.on('exit', done); })).resolves.toBe(0);
  });

  it('imports plain .lmoe files only, and quotes no others', () => {
    const scan = 'scan f(x: [D]) -> y: [D] {\n  y = x\n}\n';
    writeFileSync(join(folder, 'good.lmoe'), scan);
    writeFileSync(join(folder, 'secret'), 'root:x:0:0\n');
    symlinkSync(join(folder, 'secret'), join(folder, 'link.lmoe'));
    symlinkSync(join(folder, 'good.lmoe'), join(folder, 'alias.lmoe'));
    spawnSync('mkfifo', [join(folder, 'pipe.lmoe')]);
    const errors = (path: string): string => sourceOf(host, join(folder, 'main.lmoe'), `import { f } from "${path}"\n`).render(false);
    for (const path of ['./good.lmoe', './alias.lmoe']) expect(errors(path)).toBe('');
    for (const path of ['./secret', './link.lmoe', './pipe.lmoe', '/dev/zero', './none.lmoe']) {
      expect(errors(path)).toContain('error[E218]');
      expect(errors(path)).not.toContain('root:');
    }
    // A folder stands for its plain files.
    expect(sourceFiles(host, [folder])).toEqual([join(folder, 'alias.lmoe'), join(folder, 'good.lmoe')]);
  });

  it('makes again what the cache holds empty', () => {
    const cache = cacheOf({ ...host, cacheFolder: folder }, 'nvcc');
    cache.keep('key', new Uint8Array([1]));
    expect(cache.get('key')).toEqual(new Uint8Array([1]));
    writeFileSync(join(folder, 'nvcc/key'), '');
    expect(cache.get('key')).toBeUndefined();
    const none = cacheOf({ ...host, cacheFolder: undefined }, 'nvcc');
    none.keep('key', new Uint8Array([1]));
    expect(none.get('key')).toBeUndefined();
  });
});

describe('a signal', () => {
  it('is caught only while something would be left half-written or running', async () => {
    const caught = (): number => process.listenerCount('SIGTERM') + process.listenerCount('SIGINT');
    const before = caught();
    const [one, other] = [host.temporary(), host.temporary()];
    if (typeof one === 'string' || typeof other === 'string') throw new Error('no temporary folder');
    expect(caught()).toBe(before + 2);
    one.discard();
    expect(caught()).toBe(before + 2);
    other.discard();
    expect(caught()).toBe(before);
    const running = host.run(process.execPath, ['-e', '']);
    expect(caught()).toBe(before + 2);
    await running;
    expect(caught()).toBe(before);
    expect(host.write(join(folder, 'written'), 'text')).toBeUndefined();
    expect(caught()).toBe(before);
  });
});

describe('programs', () => {
  it('gives output and status, and 127 for one that is not there', async () => {
    expect(await host.run(
      process.execPath, ['-e', 'console.log(1); process.exitCode = 3'],
    )).toEqual({ code: 3, stdout: '1\n', stderr: '' });
    expect((await host.run('no-such-program-here', [])).code).toBe(127);
  });
});
