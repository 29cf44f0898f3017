import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DECAYING, ensureBuilt, environment, folderWith, lmoec, MAIN } from './lmoec.js';

const escape = '\u001b[31m';
const folder = folderWith({
  'good.lmoe': DECAYING,
  'bad.lmoe': DECAYING.replace('outer(k, v)', `k * v // ${escape}`),
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);

/** The program in a shell, which says where its output goes. `$?` is that of the program, not of what follows it in a pipe. */
function shell(line: string) {
  const { status, stdout, stderr } = spawnSync(
    'bash', ['-o', 'pipefail', '-c', line],
    { encoding: 'utf8', cwd: folder.path, env: environment({ LMOEC: `${process.execPath} ${MAIN}` }) },
  );
  return { code: status, out: stdout, err: stderr };
}

describe('output that nobody takes', () => {
  it.skipIf(!existsSync('/dev/full'))('is a failure where the disk is full (skipped where there is no /dev/full)', () => {
    for (const command of ['check good.lmoe', 'explain good.lmoe', '--help', 'fmt - < good.lmoe']) {
      expect(shell(`$LMOEC ${command} > /dev/full`)).toEqual({
        code: 1, out: '', err: 'lmoec: standard output cannot be written: the disk is full\n',
      });
    }
    expect(shell('$LMOEC check bad.lmoe 2> /dev/full')).toEqual({ code: 1, out: '', err: '' });
    expect(shell('$LMOEC run good.lmoe --backend oracle --size B=1,T=4,H=1 --out /dev/full')).toMatchObject({
      code: 1, err: expect.stringMatching(/E701.*\/dev\/full cannot be written: the disk is full/),
    });
  });

  it('is none of a closed pipe, and the status says what was found', () => {
    expect(shell('$LMOEC explain good.lmoe | head -1')).toMatchObject({ code: 0, err: '' });
    expect(shell('$LMOEC check bad.lmoe --json | true').code).toBe(1);
  });
});

describe('input that is none', () => {
  it('is a message', () => {
    expect(shell('$LMOEC fmt - < /')).toMatchObject({
      code: 1, err: expect.stringMatching(/^error\[E702\]: standard input cannot be read/),
    });
    expect(lmoec(['check', '/dev/zero'])).toMatchObject({ code: 1, err: 'error[E702]: /dev/zero is a device\n = help: check the path\n' });
    expect(shell('$LMOEC check <(cat good.lmoe)')).toMatchObject({ code: 0 });
  });
});

describe('escape sequences', () => {
  it('of files, options and names do not reach the terminal', () => {
    for (const args of [
      ['check', 'bad.lmoe'], ['check', `${escape}.lmoe`], [escape], ['check', `--${escape}`], ['explain', 'good.lmoe', '--scan', escape],
    ]) {
      const { code, out, err } = lmoec(args, { cwd: folder.path });
      expect(code).not.toBe(0);
      expect(out + err).toContain('\\u{1b}[31m');
      expect(out + err).not.toContain('\u001b');
    }
    expect(lmoec(['fmt', '-'], { input: `// ${escape}\n${DECAYING}` }).out).toContain(escape);
  });
});
