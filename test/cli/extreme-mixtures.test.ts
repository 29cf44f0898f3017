import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checked, environmentFor, gpu } from './checked.js';
import { ensureBuilt, folderWith, lmoec, ROOT } from './lmoec.js';

const folder = folderWith({ 'mixtures.lmoe': `
layer two(x: [D]) -> y: [D] with D = 8, F = 4 { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }
moe closed(x: [D]) -> y: [D] with D = 8, E = 4, F = 5 {
  param gate: [D, E]
  use expert[E] = two with F
  let g = relu(x @ gate - 100)
  y = sum[E](g[g > 0] * expert(x)) + 2 * x
}
moe crowded(x: [D]) -> y: [D] with D = 8, E = 4, F = 5 {
  param gate: [D, E]
  use expert[E] = two with F
  let s = sigmoid(x @ gate)
  let chosen = top[E, 1](x @ gate - 100 * index[E])
  y = sum[E](s[chosen] * expert(x))
}
moe undefined(x: [D]) -> y: [D] with D = 8, E = 4, F = 5 {
  param gate: [D, E]
  use expert[E] = two with F
  let z = log(x @ gate)
  let chosen = top[E, 2](z)
  y = sum[E](z[chosen] * expert(x))
}
layer copies(x, z: [D]) -> y, w, v: [D] with D = 8 {
  param b: [D] = normal(1), c: [D] = normal(1)
  y = x
  w = x * c + z
  v = b
  loss size = mean[D](b) + mean[tokens](sum[D](x))
}
` });
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
