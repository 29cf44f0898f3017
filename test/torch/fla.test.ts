import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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

  it('are told of in a table by what becomes of the tests of a tree, be it ended before they are', () => {
    const tree = join(folder.path, 'tree');
    const write = (path: string, text: string): void => {
      mkdirSync(join(tree, path, '..'), { recursive: true });
      writeFileSync(join(tree, path), text);
    };
    for (const name of ['fla', 'fla/ops']) write(`${name}/__init__.py`, '');
    write('fla/ops/gla/__init__.py', 'from .chunk import chunk_gla\n');
    write('fla/ops/gla/chunk.py', 'def chunk_gla(*args, **options): raise RuntimeError("the original")\n');
    write('tests/ops/test_others.py', 'def test_chunk(): pass\n');
    write('tests/ops/test_gla.py', `
import os, signal, torch
from fla.ops.gla import chunk_gla
def call(**options):
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 5, 2, 16) for _ in range(3))
    return chunk_gla(q, k, v, -torch.rand(1, 5, 2, 16), **options)
def test_chunk(): assert call()[0].shape == (1, 5, 2, 16)
def test_chunk_wrong(): assert call()[0].shape == (1, 5, 2, 8)
def test_chunk_refused(): raise NotImplementedError('an option that is not offered')
def test_chunk_alone(): pass
def test_chunk_large(): raise ValueError("q has K = 512; gla was built for K=64, V=64")
def test_recurrent(): pass
def test_chunk_killed(): os.kill(os.getpid(), signal.SIGKILL)
def test_chunk_after(): call()
`);
    const out = join(folder.path, 'tables');
    const said = python(['bench/fla_tests.py', tree, '--packages', folder.path, '--out', out], ROOT);
    const { rows: [row, ...others] } = JSON.parse(readFileSync(join(out, 'fla_tests.json'), 'utf8'));
    expect(others).toEqual([]);
    expect(row).toMatchObject({
      row: 'chunk/test_gla', tests: 7, passed: 1, failed: 1, unbuilt: 1, skipped: 2, rest: 2, why: 'ended with -9',
      others: {
        test_chunk_wrong: { outcome: 'failed' }, test_chunk_large: { outcome: 'unbuilt' },
        test_chunk_refused: { outcome: 'skipped', why: 'lmoec_fla: an option that is not offered' },
        test_chunk_alone: { outcome: 'skipped', why: 'lmoec_fla: no function of ours was called' },
      },
    });
    expect(said.trim().split('\n').at(-1)).toBe('fla_tests: 7 tests, 1 passed, 1 failed, 1 not built, 2 skipped, 2 not reached');
    expect(readFileSync(join(out, 'fla_tests.md'), 'utf8')).toContain('| chunk/test_gla | 7 | 1 | 1 | 1 | 2 | 2 |');
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
