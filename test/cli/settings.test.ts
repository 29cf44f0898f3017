import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, folderWith, lmoec } from './lmoec.js';

/** V follows K; `rate` is a number and no size. */
const SCAN = `scan fading(q, k: [K], v: [V]) -> o: [V] with K = 32, V = 2 * K, rate = 1 {
  const slope = rate / (head + 1)
  state S: [K, V]

  S = exp(-slope) * S[t-1] + outer(k, v)
  o = q @ S
}
`;
const folder = folderWith({
  'fading.lmoe': SCAN,
  'two.lmoe': `layer f(x: [D]) -> y: [D] with D = 8, F = 2 * D {
  param up: [D, F], down: [F, D]
  y = silu(x @ up) @ down
}

layer g(x: [D]) -> y: [D] with D = 8, times = 1 {
  use h = f
  y = times * h(x)
}
`,
  'other.lmoe': 'layer g(x: [D]) -> y: [D] with D = 8 {\n  y = 2 * x\n}\n',
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);
const inFolder = (...args: string[]) => lmoec(args, { cwd: folder.path });
const at = (...names: string[]): string => readFileSync(join(folder.path, ...names), 'utf8');

describe('settings in place of those of a header', () => {
  it('numbers of a scan, and sizes that follow from others', () => {
    expect(inFolder('explain', 'fading.lmoe', '--size', 'K=16,rate=3').out).toMatch(/exp\(-\(3 \/ \(head \+ 1\)\)\)[^]*K=16 V=32/);
    const run = (...args: string[]) => inFolder('run', 'fading.lmoe', '--backend', 'oracle', '--size', 'K=16,T=5', ...args);
    expect(run().out).toContain('T=5 H=2 K=16 V=32');
    const files = ['1', '0.25'].map((rate) => {
      expect(run('--with', `rate=${rate}`, '-o', `rate${rate}`).code).toBe(0);
      return at(`rate${rate}`);
    });
    expect(files[0]).not.toBe(files[1]);
    expect(run('--with', 'rat=1').err).toMatch(/E201.*`fading` has no `rat` to set/);
    expect(run('--with', 'rate=fast').err).toMatch(/E816.*`rate` of `fading` is a number/);
  });

  it('builds with them, and says them in what it makes', () => {
    expect(inFolder(
      'build', 'fading.lmoe', '--size', 'K=16', '--with', 'rate=0.5', '--target', 'webgpu', '--emit', 'spec', '-o', 'out',
    ).code).toBe(0);
    expect(at('out/fading/fading.ts')).toMatch(/--size K=16 --with rate=0.5[^]*sizes = \{ K: 16, V: 32 \}/);
    expect(at('out/fading/fading.spec.txt')).toContain('0.5');
    const torch = inFolder('build', 'fading.lmoe', '--target', 'torch', '--size', 'rate=2', '--size', 'rate=3', '-o', 'torch', '--sources');
    expect(torch.err).toMatch(/E403.*one `fading`, with the same rate for all sizes/);
  });

  it('gives each declaration what it has a use for, settings of parts below among them', () => {
    expect(inFolder('build', 'two.lmoe', '--size', 'h.F=4,times=3', '-o', 'parts').code).toBe(0);
    expect(at('parts/g/g.ts')).toContain('[D = 8, F = 4]');
    expect(inFolder('explain', 'two.lmoe', '--size', 'times=3').out).toMatch(/with {8}D=8 F=16[^]*with {8}D=8 times=3/);
    expect(inFolder('check', 'two.lmoe', '--size', 'q.F=4').err).toMatch(/E403.*nothing here has `q\.F` to set/);
    expect(inFolder('check', 'two.lmoe', '--with', 'F=abc').err).toMatch(/E816/);
  });

  it('files that declare one name are checked together, and not built into one folder', () => {
    expect(inFolder('check', 'two.lmoe', 'other.lmoe').out).toBe('3 layers in 2 files: no errors\n');
    const { err } = inFolder('build', 'two.lmoe', 'other.lmoe', '-o', 'both');
    expect(err).toMatch(/E703.*two\.lmoe and other\.lmoe both declare a layer `g`/);
  });
});
