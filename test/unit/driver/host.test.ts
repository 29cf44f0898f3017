import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeHost } from '../../../src/driver/host.js';

const host = nodeHost();
let folder = '';
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'lmoec-test-')); });
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true });
});

describe('writing', () => {
  const folders = (...names: string[]) => new Map(names.map((name) => [name, new Map([['a.txt', `new ${name}`], ['deep/b.txt', 'b']])] as const));

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
    expect(host.replaceFolders(folder, new Map([...folders('one', 'two'), ['one/deep', new Map([['x', 'x']])]]))).toMatch(/cannot be written/);
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

  it('tells apart what was joined differently', () => {
    expect(host.sha256('ab', 'c')).not.toBe(host.sha256('a', 'bc'));
  });

  it('forgets temporary folders', () => {
    const temporary = host.temporary();
    expect(existsSync(temporary.path)).toBe(true);
    temporary.discard();
    expect(existsSync(temporary.path)).toBe(false);
  });
});

describe('programs', () => {
  it('gives output and status, and 127 for one that is not there', async () => {
    expect(await host.run(process.execPath, ['-e', 'console.log(1); process.exitCode = 3'])).toEqual({ code: 3, stdout: '1\n', stderr: '' });
    expect((await host.run('no-such-program-here', [])).code).toBe(127);
  });
});
