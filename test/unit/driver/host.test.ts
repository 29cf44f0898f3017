import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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
  it('replaces a folder as a whole and leaves nothing beside it', () => {
    const target = join(folder, 'out');
    mkdirSync(target);
    writeFileSync(join(target, 'old.txt'), 'old');
    expect(host.replaceFolder(target, new Map<string, string>([['a.txt', 'a'], ['deep/b.txt', 'b']]))).toBeUndefined();
    expect(host.list(target)).toEqual(['a.txt', 'deep/b.txt']);
    expect(readdirSync(folder)).toEqual(['out']);
  });

  it('says why a folder cannot be written, and keeps what was there', () => {
    writeFileSync(join(folder, 'file'), 'here');
    expect(host.replaceFolder(join(folder, 'file', 'out'), new Map([['a', 'a']]))).toMatch(/cannot be written/);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('here');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it.skipIf(!existsSync('/proc/self'))('ends where a folder takes no entries (skipped where there is no /proc)', () => {
    expect(host.write('/proc/none/x', 'x')).toMatch(/\/proc\/none\/x cannot be written/);
    expect(host.replaceFolder('/proc/none/out', new Map([['a', 'a']]))).toMatch(/\/proc\/none\/out cannot be written/);
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
