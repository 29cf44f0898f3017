import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeHost } from '../../src/driver/host.js';
import { sourceOf } from '../../src/driver/session.js';
import { torchPackages } from '../../src/driver/torch.js';
import { ROOT } from '../cli/lmoec.js';
import { emptyFolder, packageIn, python } from './package.js';
import { NO_TORCH } from './python.js';

/** A layer, a mixture with draws, losses and a buffer that moves, and a scan: all in one package. */
const MIXED = `
layer ffn(x: [D]) -> y: [D] with D = 16, F = 32 {
  param up: [D, F], down: [F, D], class: [F] = 1
  y = (class * silu(x @ up)) @ down
}

moe noisy(x: [D]) -> y: [D], used: [E] with D = 16, E = 8, F = 32, k = 4 {
  param gate, noise: [D, E]
  buffer b: [E] = 0 f32
  use expert[E] = ffn with F

  let z = f32(x @ gate) + training * normal[E]() * softplus(f32(x @ noise))
  let s = sigmoid(z)
  let chosen = top[E, k](s + b)
  let g = s[chosen]
  y = sum[E](g / sum[E](g) * expert(x))
  used = mask(chosen)

  loss balance = sum[E](mean[tokens](mask(chosen)) * mean[tokens](s))
  let n = sum[tokens, calls](mask(chosen))
  update b += 1e-3 * sign(mean[E](n) - n)
}

scan decay(x: [D], g: [] in -inf..0) -> o: [D] with D = 16 { state h: [D]  h = exp(g) * h[t-1] + x  o = h }
`;

/** What a build of one text says. */
async function refusal(text: string, sizes: readonly ReadonlyMap<string, number>[] = [new Map()], part?: string): Promise<string> {
  const source = sourceOf(nodeHost(), 'f.lmoe', text);
  const made = await torchPackages(
    nodeHost(), [source],
    { name: 'f', version: '0.1.0', targets: ['cuda.sm80'], dtypes: undefined, sizes, experts: [], settings: new Map(), evalOnly: false,
      part },
    () => undefined,
  );
  if (!('failures' in made)) return '';
  return made.failures.map(({ failed }) => (
    'title' in failed ? `${failed.code} ${failed.title} ${failed.help.join(' ')}` : source.renderThese(failed.diagnostics, false)
  )).join('\n');
}

describe('what packages have no functions of is refused with its place and a remedy', () => {
  it('models', async () => {
    const text = 'layer f(x: [D]) -> y: [D] with D = 8 { param w: [D]  y = w * x }\n'
      + 'model m(x: [D]) -> y: [D] with D = 8 { use a = f  y = a(x) }\n';
    const said = await refusal(text, [new Map()], 'm');
    expect(said).toContain('E815');
    expect(said).toContain('f.lmoe:2:');
    expect(said).toContain('--name');
    expect(await refusal(text)).toBe('');
  });
  it('scans in layers', async () => {
    const said = await refusal(`scan s(x: [D]) -> o: [D] with D = 8 { state h: [D]  h = 0.5 * h[t-1] + x  o = h }
layer f(x: [D]) -> y: [D] with D = 8 {
  use a = s
  y = a(x)
}
`);
    expect(said).toContain('E815');
    expect(said).toMatch(/f\.lmoe:[34]:/);
  });
  it('params that no module can have, and several sizes', async () => {
    expect(await refusal('layer f(x: [D]) -> y: [D] with D = 8 { param train: [D]  y = train * x }\n')).toMatch(/E705.*`train`.*rename/);
    const text = 'layer f(x: [D]) -> y: [D] with D = 8 { param w: [D]  y = w * x }\n';
    expect(await refusal(text, [new Map([['D', 8]]), new Map([['D', 16]])])).toMatch(/E403.*one set of sizes.*--package/);
  });
});

describe.skipIf(NO_TORCH !== undefined)(`packages of layers and mixtures${NO_TORCH === undefined ? '' : `: ${NO_TORCH}`}`, () => {
  const folder = emptyFolder();
  const other = emptyFolder();
  let [at, serving] = ['', ''];
  beforeAll(async () => {
    at = await packageIn(folder.path, 'mixed', MIXED, new Map());
    serving = await packageIn(other.path, 'mixed', MIXED, new Map(), true);
  });
  afterAll(() => {
    folder.remove();
    other.remove();
  });

  it('pass their own tests, beside those of scans', () => {
    // Those on several ranks run in parts-divided.test.ts.
    const tests = ['tests', '--ignore=tests/test_ep.py', '--ignore=tests/test_part_experts.py'];
    const said = python(['-m', 'pytest', '-q', '-p', 'no:warnings', ...tests], at).trim().split('\n').at(-1) ?? '';
    expect(said).toMatch(/^\d+ passed, \d+ skipped/);
  });

  it('train by an optimiser, and buffers move', () => {
    const program = `
import torch
from mixed import Noisy
torch.manual_seed(0)
layer = torch.compile(Noisy(), fullgraph=True, backend="aot_eager")
target = torch.randn(16, 16)
optimizer = torch.optim.AdamW(layer.parameters(), lr=3e-2)
losses = []
for _ in range(60):
    x = torch.randn(2, 32, 16)
    made = layer(x)
    loss = (made.y - x @ target / 4).square().mean()
    (loss + 0.01 * made.loss_balance).backward()
    optimizer.step(), optimizer.zero_grad()
    layer._orig_mod.update(made)
    losses.append(loss.item())
assert layer._orig_mod.b.abs().sum() > 0 and made.count_expert.sum() == 2 * 32 * 4
print(sum(losses[-5:]) / sum(losses[:5]))`;
    expect(Number(python(['-c', program], at))).toBeLessThan(0.7);
  });

  it('built for serving alone say what they have not', () => {
    const program = `
from pathlib import Path
import torch, mixed
from mixed._launch import Kernels
from mixed._ops import noisy_eval
told = []
for mode in ("train", "eval"):
    kernels = Kernels(Path("mixed/plans/noisy"), mode, noisy_eval.program)
    try:
        kernels.plans()[0].expect("forward"), kernels.plans()[0].expect("backward")
    except mixed.LmoecError as error:
        told.append(str(error).splitlines()[0])
print("; ".join(told))`;
    expect(python(['-c', program], serving).trim()).toMatch(
      /^noisy was built with --eval: it has no kernels of training.*; noisy was built with --eval: it has no kernels of backward/,
    );
    expect(python(['-c', 'import mixed; help(mixed.noisy)'], serving)).toContain('on CUDA `training` must be False');
  });

  it('take buffers and params by the paths of checkpoints', () => {
    const program = 'import mixed; print(*mixed.Noisy().state_dict())';
    expect(python(['-c', program], at).trim()).toBe('gate noise b expert.up expert.down expert.class');
  });

  it('are formatted', () => {
    for (const name of ['_parts.py', 'noisy.py', '_ops.py']) {
      const long = readFileSync(join(at, 'mixed', name), 'utf8').split('\n').filter((line) => line.length > 200);
      expect(long, `${name} in ${ROOT}`).toEqual([]);
    }
  });
});
