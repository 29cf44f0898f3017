import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DECAYING, ensureBuilt, folderWith, lmoec, ROOT, started } from './lmoec.js';

const folder = folderWith({
  'decaying.lmoe': DECAYING,
  'ugly.lmoe': DECAYING.replace('  state', ' state').replace('= exp(g)', '=exp( g )'),
  'wrong.lmoe': DECAYING.replace('outer(k, v)', 'k * v'),
  'both.lmoe': `${DECAYING}\n${DECAYING.replace('scan decaying', 'scan other')}`,
  'case.lmoe': DECAYING.replace('scan decaying', 'scan Decaying'),
  'unparsed.lmoe': 'scan x(q: [K] -> o: [K] {',
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);
const inFolder = (...args: string[]) => lmoec(args, { cwd: folder.path });

describe('the program', () => {
  it('helps within 150 ms, and knows its version', () => {
    const best = (call: () => void): number => Math.min(...[1, 2, 3, 4, 5, 6].map(() => {
      const start = performance.now();
      call();
      return performance.now() - start;
    }));
    const help = best(() => expect(lmoec(['--help'])).toMatchObject({
      code: 0, out: expect.stringMatching(/check FILES.*build FILES.*explain.*run FILE.*fmt FILES.*doctor/s),
    }));
    // Other processes share the machine: where Node alone takes long to start, its time is the measure.
    const bare = best(() => spawnSync(process.execPath, ['-e', '']));
    expect(help).toBeLessThan(Math.max(150, 2 * bare));
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(lmoec(['--version']).out).toBe(`lmoec ${version}\n`);
  });

  it('shows the options of every command', () => {
    for (const command of ['check', 'build', 'explain', 'run', 'fmt', 'doctor']) {
      const { code, out } = lmoec([command, '--help']);
      expect(code).toBe(0);
      expect(out).toMatch(new RegExp(`^usage: lmoec ${command}`));
    }
  });

  it('refuses a wrong command line with status 2 and a remedy', () => {
    expect(lmoec([]).code).toBe(2);
    expect(lmoec(['frobnicate'])).toMatchObject({ code: 2, err: expect.stringMatching(/no command `frobnicate`; there are check, build/) });
    expect(inFolder('check')).toMatchObject({ code: 2, err: expect.stringMatching(/name at least one \.lmoe file/) });
    expect(inFolder('build', 'decaying.lmoe', '--target', 'tpu')).toMatchObject({
      code: 2, err: expect.stringMatching(/--target tpu: must be one of cuda\.sm80, cuda\.sm86, cuda\.sm90, webgpu/),
    });
    expect(inFolder('run', 'decaying.lmoe', '--dtype', 'f8')).toMatchObject({
      code: 2, err: expect.stringMatching(/must be one of f32, f16, bf16/),
    });
    expect(inFolder('run', 'decaying.lmoe', '--frob')).toMatchObject({ code: 2, err: expect.stringMatching(/--frob/) });
    expect(inFolder('run', 'decaying.lmoe', '--size', 'K')).toMatchObject({ code: 2, err: expect.stringMatching(/write AXIS=NUMBER/) });
  });

  it('guesses what a misspelt option, value or command was meant to be', () => {
    expect(lmoec(['chek'])).toMatchObject({ code: 2, err: expect.stringMatching(/no command `chek`; .*; did you mean check\?/) });
    expect(inFolder('run', 'decaying.lmoe', '--chek')).toMatchObject({
      code: 2, err: expect.stringMatching(/'--chek'; did you mean --check\?/),
    });
    expect(inFolder('build', 'decaying.lmoe', '--target', 'cuda.sm09')).toMatchObject({
      code: 2, err: expect.stringMatching(/did you mean cuda\.sm90\?/),
    });
  });

  it('takes nothing for something: empty names, and items that a comma promises', () => {
    for (const [args, message] of [
      [['run', 'decaying.lmoe', '--out='], '--out is empty'], [['build', 'decaying.lmoe', '-o', ''], '--out is empty'],
      [['check', ''], 'a file name is empty'],
      [['run', 'decaying.lmoe', '--lengths', '3,,4'], '--lengths 3,,4: write items with one comma between two'],
      [['build', 'decaying.lmoe', '--target', 'webgpu,'], '--target webgpu,: write items with one comma between two'],
    ] as const) expect(inFolder(...args)).toEqual({ code: 2, out: '', err: `lmoec: ${message}\n` });
  });
});

describe('check', () => {
  it('says that all is well, and nothing on standard error', () => {
    expect(inFolder('check', 'decaying.lmoe')).toEqual({ code: 0, out: '1 scan in 1 file: no errors\n', err: '' });
  });

  it('prints levels', () => {
    const { code, out } = inFolder('check', 'decaying.lmoe', '--emit', 'spec,scan,tile');
    expect(code).toBe(0);
    expect(out).toMatch(/spec decaying chunked/);
    expect(out).toMatch(/state S: \[K, V\]/);
  });

  it('names place and remedy of an error, in colour only where that is wanted', () => {
    const plain = inFolder('check', 'wrong.lmoe');
    expect(plain.code).toBe(1);
    expect(plain.err).toMatch(/^error\[E202\].*\n ┌─ wrong\.lmoe:5:/);
    expect(plain.err).toMatch(/help: .*outer\(k, v\)/);
    expect(plain.err).not.toMatch(/\u001b\[/);
    expect(lmoec(['check', 'wrong.lmoe'], { cwd: folder.path, env: { FORCE_COLOR: '1' } }).err).toMatch(/\u001b\[1;31merror/);
    expect(lmoec(['check', 'wrong.lmoe'], { cwd: folder.path, env: { FORCE_COLOR: '1', NO_COLOR: '1' } }).err).not.toMatch(/\u001b\[/);
  });

  it('gives diagnostics as JSON, with lines and columns', () => {
    const { code, out } = inFolder('check', 'wrong.lmoe', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject([{ code: 'E202', severity: 'error', file: 'wrong.lmoe', line: 5 }]);
    expect(JSON.parse(inFolder('check', 'decaying.lmoe', '--json').out)).toEqual([]);
  });

  it('refuses what build refuses', () => {
    for (const [args, message] of [
      [['decaying.lmoe', '--size', 'K=520'], /E404.*axis `K` has size 520/],
      [['decaying.lmoe', '--size', 'Z=20'], /E403.*no scan has an axis `Z`/],
      [['decaying.lmoe', 'both.lmoe'], /E703.*decaying\.lmoe and both\.lmoe both declare a scan `decaying`/],
      [['decaying.lmoe', 'case.lmoe'], /E703.*the scans `decaying` of decaying\.lmoe and `Decaying` of case\.lmoe differ in case only/],
    ] as const) {
      for (const command of [['check'], ['build', '--sources', '-o', 'refused']]) {
        expect(inFolder(...command, ...args)).toMatchObject({ code: 1, err: expect.stringMatching(message) });
      }
    }
  });

  it('checks a folder', () => {
    const { code, err } = inFolder('check', '.');
    expect(code).toBe(1);
    expect(err).toMatch(/wrong\.lmoe/);
    expect(err).toMatch(/unparsed\.lmoe/);
  });
});

describe('fmt', () => {
  it('says which files are not formatted, then formats them; a second time changes nothing', () => {
    expect(inFolder('fmt', '--check', 'decaying.lmoe', 'ugly.lmoe')).toMatchObject({ code: 1, out: 'ugly.lmoe is not formatted\n' });
    expect(inFolder('fmt', 'ugly.lmoe')).toMatchObject({ code: 0, out: 'formatted ugly.lmoe\n' });
    expect(readFileSync(join(folder.path, 'ugly.lmoe'), 'utf8')).toBe(DECAYING);
    expect(inFolder('fmt', '--check', 'ugly.lmoe')).toEqual({ code: 0, out: '', err: '' });
  });

  it('filters standard input, and leaves what does not parse alone', () => {
    expect(lmoec(['fmt', '-'], { input: DECAYING.replaceAll('  ', '\t') })).toMatchObject({ code: 0, out: DECAYING });
    const before = readFileSync(join(folder.path, 'unparsed.lmoe'), 'utf8');
    expect(inFolder('fmt', 'unparsed.lmoe').code).toBe(1);
    expect(readFileSync(join(folder.path, 'unparsed.lmoe'), 'utf8')).toBe(before);
  });
});

describe('explain', () => {
  it('tells what a code means', () => {
    expect(lmoec(['explain', 'e503'])).toMatchObject({ code: 0, out: expect.stringMatching(/^# E503: /) });
    expect(lmoec(['explain', 'E999'])).toMatchObject({ code: 1, err: expect.stringMatching(/there is no code E999/) });
  });

  it('tells what was understood and what will run', () => {
    const { code, out } = inFolder('explain', 'decaying.lmoe', '--size', 'B=1,T=1000,H=2');
    expect(code).toBe(0);
    expect(out).toMatch(/decaying +decaying\.lmoe:2/);
    expect(out).toMatch(/S \[K, V\] +diag\[K\] · S\[t-1\] {2}\+ {2}outer\(k, v\)/);
    expect(out).toMatch(/forward +\d+ kernel/);
    expect(out).toMatch(/backward +\d+ kernel/);
    expect(JSON.parse(inFolder('explain', 'decaying.lmoe', '--json').out)).toMatchObject([{
      scan: 'decaying', target: 'cuda.sm90', dtype: 'bf16',
    }]);
  });

  it('writes a report that needs nothing else', () => {
    const { code, err } = inFolder('explain', 'decaying.lmoe', '--html', 'report.html');
    expect([code, err]).toEqual([0, 'wrote report.html\n']);
    const report = readFileSync(join(folder.path, 'report.html'), 'utf8');
    expect(report.match(/<svg/g)?.length).toBeGreaterThanOrEqual(4);
    expect(report).not.toMatch(/(src|href)="http/);
  });

  it('wants to know which of several scans a report is about', () => {
    expect(inFolder('explain', 'both.lmoe', '--html', 'x.html')).toMatchObject({
      code: 1, err: expect.stringMatching(/several scans: decaying, other.*--scan NAME/s),
    });
    expect(inFolder('explain', 'both.lmoe', '--scan', 'othr')).toMatchObject({ code: 1, err: expect.stringMatching(/has no `othr`/) });
  });
});

describe('doctor', () => {
  it('says of everything whether it was found, or why not', () => {
    const { code, out } = lmoec(['doctor']);
    expect(code).toBe(0);
    for (const name of ['node', 'cuda', 'nvrtc', 'nvcc', 'webgpu']) expect(out).toMatch(new RegExp(
      `^${name} +(found|not found) +\\S`, 'm',
    ));
    expect(out).toMatch(/default backend: (cuda|webgpu|oracle), since /);
    const { cuda, webgpu, backend } = JSON.parse(lmoec(['doctor', '--json']).out);
    expect(cuda.available || cuda.why.length > 0).toBe(true);
    expect(backend.name).toBe(cuda.available ? 'cuda' : webgpu.available ? 'webgpu' : 'oracle');
  });
});

describe('watch', () => {
  it('checks again when the file changes', async () => {
    const path = join(folder.path, 'watched.lmoe');
    writeFileSync(path, DECAYING);
    const run = started(['check', 'watched.lmoe', '--watch'], { cwd: folder.path });
    const until = async (wanted: () => boolean): Promise<void> => {
      for (let i = 0; i < 1200 && !wanted(); i++) await new Promise((done) => { setTimeout(done, 50); });
      if (!wanted()) throw new Error(JSON.stringify(run.texts()));
    };
    await until(() => /watching 1 file/.test(run.texts().err));
    writeFileSync(path, DECAYING.replace('q @ S', 'qq @ S'));
    await until(() => /E201/.test(run.texts().err));
    run.child.kill('SIGINT');
    await run.finished;
  });
});
