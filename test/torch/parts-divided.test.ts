import { afterAll, describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeHost } from '../../src/driver/host.js';
import { sourceOf } from '../../src/driver/session.js';
import { torchPackages } from '../../src/driver/torch.js';
import { emptyFolder, packageIn, python } from './package.js';
import { NO_TORCH } from './python.js';

const FFN = 'layer ffn(x: [D]) -> y: [D] with D = 16, F = 32 {\n'
  + '  param up: [D, F], down: [F, D] = orthogonal(1), class: [F] = 1\n  y = (class * silu(x @ up)) @ down\n}\n';

/** Two axes of experts, rows that are no input, a shared expert, a buffer; weights on the input; a choice among tokens; two sums. */
const MIXTURES = `${FFN}
moe grouped(x: [D]) -> y: [D] with D = 16, Z = 8, G = 2, M = 4, F = 32, k = 2 {
  param gate: [D, G, M], into: [D, Z], out: [Z, D]
  buffer b: [G, M] = 0 f32
  use expert[G, M] = ffn with D = Z, F
  use shared = ffn with F
  let s = sigmoid(f32(x @ gate))
  let chosen = top[G, M, k](s + b)
  let g = s[chosen]
  y = sum[G, M](g / (sum[G, M](g) + 1e-20) * expert(x @ into)) @ out + shared(x)
  loss balance = sum[G, M](mean[tokens](mask(chosen)) * mean[tokens](s))
  let n = sum[tokens, calls](mask(chosen))
  update b += 1e-3 * sign(mean[G, M](n) - n)
}

moe inward(x: [D]) -> y: [D], used: [E] with D = 16, E = 8, F = 32, k = 2 {
  param gate: [D, E]
  use expert[E] = ffn with F
  let z = f32(x @ gate)
  let chosen = top[E, k](z)
  let g = sigmoid(z)
  y = sum[E](expert(outer(g[chosen], x)))
  used = mask(chosen)
}

moe open(x: [D]) -> y: [D] with D = 16, E = 8, F = 32 {
  param gate: [D, E]
  use expert[E] = ffn with F
  let g = relu(x @ gate)
  y = sum[E](g[g > 0] * expert(x))
}
`;

const TWICE = `${FFN}
moe twice(x: [D]) -> y: [D] with D = 16, E = 8, F = 32, k = 2 {
  param gate: [D, E]
  use expert[E] = ffn with F
  let z = f32(x @ gate)
  let chosen = top[E, k](z)
  y = sum[E](softmax[E](z[chosen]) * expert(x))
  loss size = mean[tokens](sum[D](y^2))
}
`;

const options = (experts: readonly number[]) => ({
  name: 'f', version: '0.1.0', targets: ['cuda.sm80'] as const, dtypes: undefined, sizes: [new Map<string, number>()], experts,
  settings: new Map<string, number | string>(), evalOnly: false, part: undefined,
});

describe('packages of mixtures in parts', () => {
  it('have kernels for the numbers of experts that were asked for', async () => {
    const made = await torchPackages(nodeHost(), [sourceOf(nodeHost(), 'f.lmoe', MIXTURES)], options([2, 4]), () => undefined);
    if ('failures' in made) throw new Error('refused');
    const plans = [...made[0].files.keys()].flatMap(
      (path) => /^f\/plans\/inward\/cuda.sm80.bf16\/(.*)\/plan.json$/.exec(path)?.[1] ?? []
    ).sort();
    expect(plans).toEqual(['eval', 'experts-2', 'experts-4', 'experts_by_id-2', 'experts_by_id-4', 'route_eval', 'route_train', 'train']);
    expect(made[0].files.get('f/_ops.py')).toContain('inward_experts_by_id_kernels,');
    // Experts of two axes are one in the module of a rank's: each has a matrix of its own.
    const parts = made[0].files.get('f/_parts.py');
    expect(parts).toMatch(/def _grouped_start_expert_down\(x: Tensor\) -> None:\n +x\.copy_\(orthogonal\(x, 2,/);
    expect(parts).toMatch(/def _grouped_experts_start_expert_down\(x: Tensor\) -> None:\n +x\.copy_\(orthogonal\(x, 1,/);
  });
  it('say why there are none, and refuse kernels of them with the place', async () => {
    const source = sourceOf(nodeHost(), 'f.lmoe', TWICE);
    const made = await torchPackages(nodeHost(), [source], options([]), () => undefined);
    if ('failures' in made) throw new Error('refused');
    expect(made[0].files.get('f/twice.py')).toContain('There are no functions for experts on several ranks: a loss or an update reads');
    expect(made[0].files.has('f/ep.py')).toBe(false);
    const refused = await torchPackages(nodeHost(), [source], options([2]), () => undefined);
    const [failed] = 'failures' in refused ? refused.failures.map((one) => one.failed) : [];
    const said = failed !== undefined && 'diagnostics' in failed ? source.renderThese(failed.diagnostics, false) : '';
    expect(said).toMatch(/E815.*`twice` cannot be cut[\s\S]*f\.lmoe:\d+:[\s\S]*leave --experts out/);
  });
});

describe.skipIf(NO_TORCH !== undefined)(`mixtures in parts${NO_TORCH === undefined ? '' : `: ${NO_TORCH}`}`, () => {
  const folder = emptyFolder();
  afterAll(() => folder.remove());

  it('are the whole, in one process and on 2 and 4 ranks', async () => {
    const at = await packageIn(folder.path, 'divided', MIXTURES, new Map());
    const last = python(
      ['-m', 'pytest', '-q', '-p', 'no:warnings', 'tests/test_part_experts.py', 'tests/test_ep.py'], at,
    ).trim().split('\n').at(-1);
    expect(last).toMatch(/^\d+ passed/);
    const text = readFileSync(join(at, 'divided/grouped.py'), 'utf8');
    expect(text).toContain('def grouped_combine(');
    expect(text.split('\n').filter((line) => line.length > 200)).toEqual([]);
  });
});
