import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, lmoec, ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { emptyFolder, packageIn, python } from './package.js';
import { NO_TORCH } from './python.js';

const example = (name: string): string => readFileSync(join(ROOT, `examples/${name}.lmoe`), 'utf8');

/**
 * What examples do not have: a scan that runs step by step, an input of the token before, two outputs, no state, names that Python keeps
 * for itself.
 */
const OTHERS = `
scan stepwise(x, z: [D]) -> h: [D] with D = 16 sequential { param w: [D]  state h: [D]  h = tanh(w * h[t-1] + x) * sigmoid(z) }

scan before(q, k: [K], v: [V]) -> o: [V], n: [] with K = 16, V = 16 {
  state S: [K, V]  S = 0.9 * S[t-1] + outer(k, v + 0.5 * v[t-1])  o = q @ S  n = q @ k
}

scan forgetful(kept: [D], known: []) -> keep: [D], result: [] with D = 16 {
  param w: [D]  keep = 2 * kept * w  result = sum[D](kept) * known
}

scan cp(lambda, class, results, tokens, dtype, d_out0: [D]) -> self: [D] with D = 16 {
  state None, _m: [D]

  None = sigmoid(lambda) * None[t-1] + class * results
  _m = 0.5 * _m[t-1] + tokens * dtype
  self = None + _m * d_out0
}
`;

const reason = NO_TORCH ?? (NO_EXAMPLES ? 'there are no examples' : undefined);

describe.skipIf(reason !== undefined)(`Python packages${reason === undefined ? '' : `: ${reason}`}`, () => {
  const folder = emptyFolder();
  const out = join(folder.path, 'out');
  beforeAll(() => {
    ensureBuilt();
    const { code, err } = lmoec(['build', 'examples/gla.lmoe', '--target', 'torch', '-o', out, '--sources'], { cwd: ROOT });
    expect([code, err]).toEqual([0, '']);
  });
  afterAll(() => folder.remove());

  /** Runs pytest in a package; gives its last line. */
  const pytest = (at: string): string => python(['-m', 'pytest', '-q', '-p', 'no:warnings'], at).trim().split('\n').at(-1) ?? '';

  it('installs without a network, as files, as a wheel and as a link, and runs what README shows', () => {
    const lines = /^ {4}python -c "([^]*?)"$/m.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1]?.replaceAll('\n    ', '\n') ?? '';
    expect(lines).toContain('gla(');
    python(['-m', 'venv', '--system-site-packages', '--without-pip', 'env'], folder.path);
    const site = python(['-c', 'import site; print(site.getsitepackages()[0])'], folder.path).trim();
    const own = join(folder.path, 'env/bin/python');
    const target = join(folder.path, 'installed');
    const pip = (...args: string[]) => python(
      ['-m', 'pip', '--disable-pip-version-check', 'install', '--no-index', '--no-deps', '--target', target, '--upgrade', ...args],
      folder.path,
    );
    const run = (): string => python(
      ['-c', `import os, sys; os.execv(${JSON.stringify(own)}, ["python", "-c", sys.argv[1]])`, lines], folder.path,
      { PYTHONPATH: `${target}:${site}` },
    );
    for (const way of [[join(out, 'gla')], ['--editable', join(out, 'gla')]]) {
      pip(...way);
      // A link is a .pth, which counts in folders of site packages only.
      if (way.length === 2) expect(readFileSync(join(target, '__editable__gla.pth'), 'utf8')).toBe(`${join(out, 'gla')}\n`);
      else expect(run()).toMatch(/torch\.Size\(\[2, 1000, 4, 64\]\)/);
      rmSync(target, { recursive: true });
    }
    python(['-m', 'pip', '--disable-pip-version-check', 'wheel', '--no-index', '--no-deps', '-w', target, join(out, 'gla')], folder.path);
    pip(join(target, 'gla-0.1.0-py3-none-any.whl'));
    expect(run()).toMatch(/torch\.Size/);
    expect(python(['-m', 'compileall', '-q', join(out, 'gla')], folder.path)).toBe('');
    // What Python leaves beside the sources is no hindrance to building again.
    expect(lmoec(['build', 'examples/gla.lmoe', '--target', 'torch', '-o', out, '--sources'], { cwd: ROOT }).code).toBe(0);
  });

  it('pass their own tests: gla', () => {
    expect(pytest(join(out, 'gla'))).toMatch(/^\d+ passed/);
  });

  it('pass their own tests: groups, two states, params, elementwise, step by step, inputs of before', async () => {
    const text = `${['gated_delta', 'gsa', 'mamba2', 'rg_lru'].map(example).join('\n')}${OTHERS}`;
    const at = await packageIn(folder.path, 'classes', text, new Map());
    expect(pytest(at)).toMatch(/^\d+ passed/);
  });

  it('train as docs/pytorch.md shows', async () => {
    const page = readFileSync(join(ROOT, 'docs/pytorch.md'), 'utf8');
    const [formula, program] = ['lmoe', 'python'].map((kind) => new RegExp(`\\n\`\`\`${kind}\\n([^]*?)\n\`\`\``).exec(page)?.[1] ?? '');
    const at = await packageIn(folder.path, 'memory', `${formula}\n`, new Map());
    // Inductor would compile C++ for half a minute.
    const quick = program.replace('fullgraph=True', 'fullgraph=True, backend="aot_eager"');
    expect(quick).not.toBe(program);
    expect(Number(python(['-c', `${quick}\nprint(loss.item())`], at))).toBeLessThan(6);
  });

  it('say what to install where torch is too old', () => {
    const old = 'import sys, types; t = types.ModuleType("torch"); t.__version__ = "2.3.0"; t.Tensor = object; '
      + 'sys.modules["torch"] = t; import gla';
    expect(() => python(['-c', old], join(out, 'gla'))).toThrow(/ImportError: torch 2\.3\.0 is too old: install torch 2\.9 or later/);
  });

  it('say what a backend may be', () => {
    const environment = { LMOEC_BACKEND: 'refrence' };
    expect(() => python(
      ['-c', 'import gla'], join(out, 'gla'), environment,
    )).toThrow(/LMOEC_BACKEND=refrence is no backend: set it to reference/);
  });
});
