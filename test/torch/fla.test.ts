import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, lmoec, ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { emptyFolder, python } from './package.js';
import { NO_TORCH } from './python.js';

const reason = NO_TORCH ?? (NO_EXAMPLES ? 'there are no examples' : undefined);
const FORMULAS = [
  'comba', 'delta_net', 'gated_delta', 'gdn2', 'gla', 'hgrn', 'iplr', 'kda', 'mamba2', 'retention', 'rwkv6', 'rwkv7', 'simple_gla',
];
const OWN = 'examples/torch/fla/formulas';

describe.skipIf(reason !== undefined)(`functions of flash-linear-attention${reason === undefined ? '' : `: ${reason}`}`, () => {
  const folder = emptyFolder();
  beforeAll(() => {
    ensureBuilt();
    const own = readdirSync(join(ROOT, OWN)).map((name) => join(OWN, name));
    const { code, err } = lmoec(
      ['build', ...FORMULAS.map((name) => `examples/${name}.lmoe`), ...own, '--target', 'torch', '-o', folder.path, '--sources'],
      { cwd: ROOT },
    );
    expect([code, err]).toEqual([0, '']);
  });
  afterAll(() => folder.remove());

  it('give what their formulas say, with its scales, states, padding, gates and refusals', () => {
    const out = python(
      ['-m', 'pytest', '-q', '-p', 'no:warnings', '-p', 'no:cacheprovider', 'test/torch/fla_cases.py'], ROOT,
      { LMOEC_PACKAGES: folder.path },
    );
    expect(out.trim().split('\n').at(-1)).toMatch(/^\d+ passed/);
  });

  it('take the place of what modules have imported, and leave it again', () => {
    const program = `
import sys, types
def module(name, **names):
    m = types.ModuleType(name); m.__dict__.update(names); m.__path__ = []; sys.modules[name] = m; return m
def original(): pass
for name in ("fla", "fla.ops", "fla.ops.gla"): module(name)
home, user = module("fla.ops.gla.chunk", chunk_gla=original), module("user", mine=original)
import lmoec_fla
undo = lmoec_fla.install("chunk")
assert home.chunk_gla is user.mine is lmoec_fla.chunk_gla
undo()
assert home.chunk_gla is user.mine is original
try: lmoec_fla.install("nothing")
except ValueError as error: print(error)`;
    expect(python(['-c', program], join(ROOT, 'examples/torch/fla'))).toMatch(/no function is called nothing; there are chunk_gla/);
  });
});
