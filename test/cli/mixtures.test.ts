import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checked, environmentFor, gpu, gpus, type Report } from './checked.js';
import { ensureBuilt, folderWith, lmoec, ROOT } from './lmoec.js';

const folder = folderWith({
  // A param whose axes of groups are not in front, and one of a group.
  'mixture.lmoe': `
layer two(x: [D]) -> y: [D] with D = 8, F = 4 { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }
moe mixture(x: [D]) -> y: [D] with D = 8, E = 4, F = 5, k = 2 {
  param gate: [D, E], scale: [D, E] = normal(1), w: [E, D] = normal(1)
  use expert[E] = two with F
  let p = softmax[E](x @ gate)
  let chosen = top[E, k](p)
  y = sum[E](p[chosen] * (expert(x * w) * scale))
}
moe lottery(x: [D]) -> y: [D] with D = 8, E = 4, F = 5, k = 2 {
  param gate: [D, E]
  use expert[E] = two with F
  let z = x @ gate + uniform[E]()
  y = sum[E](sigmoid(z[top[E, k](z)]) * expert(x))
}
moe planned(x: [D]) -> y: [D] with D = 8, E = 4, F = 5 {
  param gate: [D, E]
  use expert[E] = two with F
  let z = x @ gate
  y = sum[E](sigmoid(z[top[E, 1](sinkhorn[tokens, E](z, tol: 1e-3))]) * expert(x))
}
layer before(x: [D]) -> y: [D] with D = 8, T = 4 { param w: [D, T] = normal(1)   y = silu(conv[T](x - x[t-1], w)) }
layer whole(x: [D]) -> y: [D] with D = 40 { y = x * prod[D](x) }
`,
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);

const check = (...args: Args): Report => checked(folder.path, ...args);
type Args = Parameters<typeof checked> extends [string, ...infer Rest] ? Rest : never;

const moe = (file: string): string => `${ROOT}/examples/moe/${file}.lmoe`;
const named = ({ tensors }: Report): readonly string[] => tensors.map(({ name, role }) => `${role} ${name}`);
const MIXTRAL = [
  'output y', 'output used', 'output share', 'output count.expert', 'gradient d_x', 'gradient d_gate', 'gradient d_expert.gate',
  'gradient d_expert.up', 'gradient d_expert.down', 'step y', 'step used', 'step share',
];

describe('mixtures on a device give what their formulas mean', () => {
  const [swiftshader, lavapipe] = [gpu('swiftshader'), gpu('lavapipe')];
  const cases: readonly (readonly [file: string, name: string, size: string])[] = [
    ['softmax', 'mixtral', 'D=24,E=4,F=16,k=2,B=1,T=1'], ['groups', 'deepseek_v3', 'D=12,G=3,M=2,F=8,S=4,keep=2,k=3,T=9'],
    ['gates', 'remoe', 'D=12,E=4,F=8,T=9'], ['gates', 'llama4', 'D=12,E=7,F=8,k=1,B=3,T=1'], [
      'softmax', 'gpt_oss_moe', 'D=12,E=4,F=8,k=2,T=5',
    ],
  ];
  for (const [file, name, size] of cases) {
    it.skipIf(swiftshader === undefined)(`${name} at ${size} on swiftshader`, () => {
      if (swiftshader !== undefined) expect(named(check(
        swiftshader, moe(file), name, size, '--training',
      )).some((one) => one.startsWith('step'))).toBe(true);
    }, 60_000);
  }

  it.skipIf(lavapipe === undefined)('mixtral on lavapipe: outputs, counts, gradients and single tokens', () => {
    if (lavapipe === undefined) return;
    // Sums over 64 columns are stored block by block.
    const report = check(lavapipe, moe('softmax'), 'mixtral', 'D=8,E=3,F=64,k=2,B=2,T=9', '--training');
    expect(named(report)).toEqual(MIXTRAL);
    // No measurement is perfect: all zeros would be the interpreter against itself.
    expect(report.tensors.some(({ error }) => error > 1e-9)).toBe(true);
  }, 60_000);

  it.skipIf(swiftshader === undefined)('packed sequences, params with groups behind other axes, a dense layer', () => {
    if (swiftshader === undefined) return;
    const tensors = named(check(swiftshader, 'mixture.lmoe', 'mixture', 'D=8', '--lengths', '3,1,6'));
    expect(tensors).toEqual(expect.arrayContaining(['gradient d_scale', 'gradient d_w', 'step y']));
    check(swiftshader, `${ROOT}/examples/layers/feed_forward.lmoe`, 'swiglu', 'D=12,F=8,T=5');
    check(swiftshader, 'mixture.lmoe', 'before', 'D=8', '--lengths', '3,1,6');
  }, 60_000);
});

describe('draws and choices among rows', () => {
  const [swiftshader, lavapipe] = [gpu('swiftshader'), gpu('lavapipe')];
  it.skipIf(swiftshader === undefined)('are those of the interpreter on swiftshader', () => {
    if (swiftshader === undefined) return;
    check(swiftshader, 'mixture.lmoe', 'lottery', 'D=8', '--lengths', '3,1,6', '--training');
    check(swiftshader, 'mixture.lmoe', 'planned', 'D=8,T=9');
    check(swiftshader, moe('capacity'), 'switch', 'D=12,E=4,F=8,B=2,T=9', '--with', 'cf=0.7', '--training');
  }, 60_000);

  it.skipIf(lavapipe === undefined)('are those of the interpreter on lavapipe, by sequence too', () => {
    if (lavapipe !== undefined) check(lavapipe, moe('capacity'), 'gshard', 'D=12,E=4,F=8,B=2,T=9', '--with', 'cf=0.6', '--training');
  }, 60_000);
});

const swiftshader = gpu('swiftshader');

describe('kernels that are not there yet', () => {
  const run = (...args: string[]) => lmoec(['run', 'mixture.lmoe', ...args], { cwd: folder.path });

  it('are refused with the place and the reason', (context) => {
    if (gpus.length === 0) context.skip('no software GPU');
    const env = environmentFor(gpus[0]);
    const { code, out, err } = lmoec(['run', 'mixture.lmoe', '--name', 'whole', '--backend', 'webgpu'], { cwd: folder.path, env });
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('error[E815]: `whole` has no kernels yet');
    expect(err).toMatch(/prod\[D\]\(x\).*\n.*\^+ products of elements/);
  });

  it('leave the interpreter, which says why it is what runs', (context) => {
    expect(run('--name', 'whole', '--backend', 'oracle').out).toContain('layer whole in the interpreter, float64: B=2');
    expect(run('--name', 'whole', '--backend', 'oracle', '--dtype', 'bf16')).toMatchObject({
      code: 2, err: expect.stringContaining('--target and --dtype are for kernels, which want a device'),
    });
    if (gpus.length === 0) context.skip('no software GPU');
    const env = environmentFor(gpus[0]);
    const unasked = (...args: string[]) => lmoec(['run', 'mixture.lmoe', '--name', 'whole', ...args], { cwd: folder.path, env });
    expect(unasked().out).toContain('layer whole in the interpreter, float64 (it has no kernels: products of elements, in line 23): B=2');
    expect(unasked('--dtype', 'bf16').err).toContain('error[E815]: `whole` has no kernels yet');
  });

  it.skipIf(swiftshader === undefined)('run on the default device where there are some', () => {
    if (swiftshader === undefined) return;
    const { code, out } = lmoec(
      ['run', 'mixture.lmoe', '--name', 'planned', '--size', 'D=8,T=9', '--check'], { cwd: folder.path, env: environmentFor(swiftshader) },
    );
    expect([code, out]).toEqual([0, expect.stringMatching(/^moe planned on webgpu .*, f32: /)]);
  });
});
