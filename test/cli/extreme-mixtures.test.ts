import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checked, environmentFor, gpu } from './checked.js';
import { ensureBuilt, folderWith, lmoec, ROOT } from './lmoec.js';

const folder = folderWith({
  'mixtures.lmoe': `${readFileSync(`${ROOT}/test/cli/extremes.lmoe`, 'utf8')}
layer copies(x, z: [D]) -> y, w, v: [D] with D = 8 {
  param b: [D] = normal(1), c: [D] = normal(1)
  y = x
  w = x * c + z
  v = b
  loss size = mean[D](b) + mean[tokens](sum[D](x))
}
`,
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);

const swiftshader = gpu('swiftshader');

describe.skipIf(swiftshader === undefined)('at the ends (skipped without SwiftShader)', () => {
  const run = (name: string, size: string, ...more: string[]) => {
    if (swiftshader === undefined) throw new Error('no device');
    return checked(folder.path, swiftshader, 'mixtures.lmoe', name, size, ...more);
  };

  it('no token has an expert', () => expect(run('closed', 'T=40').counts.expert).toEqual([0, 0, 0, 0]), 60_000);

  it('all tokens have the same one', () => expect(run('crowded', 'T=40').counts.expert).toEqual([80, 0, 0, 0]), 60_000);

  it('what is given as it comes is copied, what is the same along an axis is spread', () => {
    const names = run('copies', 'T=5').tensors.map(({ name }) => name);
    expect(names).toEqual(['y', 'w', 'v', 'loss.size', 'd_x', 'd_z', 'd_b', 'd_c', 'y', 'w', 'v']);
  }, 60_000);

  it('scores that are no numbers are named, where nothing is compared too', () => {
    if (swiftshader === undefined) return;
    const found = [[], ['--check']].map((more) => lmoec(
      ['run', 'mixtures.lmoe', '--name', 'undefined', '--backend', 'webgpu', '--size', 'T=4', ...more],
      { env: environmentFor(swiftshader), cwd: folder.path },
    ));
    for (const { code, err } of found) {
      expect(code).toBe(1);
      expect(err).toMatch(/E508\]: a score that something is chosen by is not a number, at token \d\n.*:20:16/);
    }
  }, 60_000);

  it('more rows of experts than numbers of 32 bits can count are refused with what to do (E812)', () => {
    if (swiftshader === undefined) return;
    const { code, out, err } = lmoec([
      'run', `${ROOT}/examples/moe/softmax.lmoe`, '--name', 'mixtral', '--backend', 'webgpu', '--size', 'D=2,E=64,F=2,k=64,B=1,T=263000',
    ], { env: environmentFor(swiftshader), cwd: folder.path });
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/error\[E812\]: a call of 263000 tokens has 16832000 places for them, more than 2\^24\n.*split the call/);
  }, 120_000);

  it('in 16 bits', () => {
    if (swiftshader === undefined) return;
    const file = `${ROOT}/examples/moe/softmax.lmoe`;
    checked(folder.path, swiftshader, file, 'mixtral', 'D=16,E=4,F=16,k=2,B=1,T=9', '--dtype', 'bf16');
    checked(folder.path, swiftshader, file, 'olmoe', 'D=16,E=4,F=16,k=2,B=1,T=9', '--dtype', 'f16', '--training');
  }, 60_000);
});

it('layers whose sums forward and backward both make are explained, kernels or none', () => {
  const { code, out } = lmoec(['explain', `${ROOT}/examples/layers/rwkv7.lmoe`]);
  expect([code, out.includes('none yet: scans, in line 33')]).toEqual([0, true]);
});
