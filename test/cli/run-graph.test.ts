import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors, type WritableTensor } from '../../src/driver/run/safetensors.js';
import { ensureBuilt, folderWith, lmoec, type Finished } from './lmoec.js';

const folder = folderWith({
  'mixture.lmoe': `
layer two(x: [D]) -> y: [D] with D = 3, F = 4 { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }
moe mixture(x: [D]) -> y: [D] with D = 3, E = 4, F = 5, k = 2, rate = 0.5 {
  param gate: [D, E]
  buffer b: [E] = 0
  use expert[E] = two with F
  let p = softmax[E](x @ gate)
  let chosen = top[E, k](p + b)
  y = sum[E](p[chosen] * expert(x))
  loss balance = rate * sum[E](mean[tokens](mask(chosen)) * mean[tokens](p))
  let n = sum[tokens, calls](mask(chosen))
  update b += sign(mean[E](n) - n)
}
`,
  // Memories are no family: what is chosen has a name, and is counted by it.
  'memories.lmoe': `
layer memories(x: [D]) -> y: [D] with D = 2, M = 3 {
  param gate: [D, M]
  let s = x @ gate
  let chosen = top[M, 1](s)
  let loud = s > 1
  let kept = chosen and loud
  y = sum[M](outer(x, s[kept]))
}
layer turning(x: [D]) -> y: [D] with D = 2, I = 1 {
  const f: [I] = 0.5
  y = rope[D](x, f, pairs: halves) + position
}
`,
  'lm.lmoe': `
model lm(ids, labels: one of W) -> logits: [W] with D = 4, W = 6 {
  param embed: [W, D]
  init normal(0.5)
  logits = embed[ids] @ embed
  loss lm = mean[tokens](logsumexp[W](logits) - logits[labels])
}
`,
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);

/** In the interpreter, unless something else is said behind. */
const run = (...args: string[]): Finished => lmoec(['run', '--backend', 'oracle', ...args], { cwd: folder.path });
const at = (name: string): string => join(folder.path, name);
const filled = (shape: readonly number[]): WritableTensor => (
  { dtype: 'f64', shape, data: Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.7 * i + shape.length)) }
);
const write = (tensors: ReadonlyMap<string, WritableTensor>): void => writeFileSync(at('in.safetensors'), writeSafetensors(tensors));
function read(name: string) {
  const tensors = readSafetensors(new Uint8Array(readFileSync(at(name))), name);
  if ('code' in tensors) throw new Error(tensors.title);
  return tensors;
}
const [T, D, E, F] = [7, 3, 4, 5];
const given = (): Map<string, WritableTensor> => new Map([
  ['x', filled([1, T, D])], ['gate', filled([D, E])], ['b', { dtype: 'f32', shape: [E], data: [0, 0, 0, 0] }],
  ['expert.up', filled([E, D, F])], ['expert.down', filled([E, F, D])], ['d_y', filled([1, T, D])],
]);

/** The mixture in plain loops. */
function loops(tensors: ReadonlyMap<string, WritableTensor>) {
  const [x, gate, up, down] = ['x', 'gate', 'expert.up', 'expert.down'].map((name) => tensors.get(name)?.data ?? []);
  const y = new Float64Array(T * D);
  const [counts, share] = [new Float64Array(E), new Float64Array(E)];
  for (let t = 0; t < T; t++) {
    const z = Array.from({ length: E }, (_, e) => Math.exp([0, 1, 2].reduce((sum, d) => sum + x[t * D + d] * gate[d * E + e], 0)));
    const p = z.map((v) => v / z.reduce((a, b) => a + b, 0));
    const best = [...p.keys()].sort((a, b) => p[b] - p[a] || a - b).slice(0, 2);
    p.forEach((v, e) => { share[e] += v / T; });
    for (const e of best) {
      counts[e]++;
      for (let f = 0; f < F; f++) {
        const hidden = Math.max(0, [0, 1, 2].reduce((sum, d) => sum + x[t * D + d] * up[(e * D + d) * F + f], 0));
        for (let d = 0; d < D; d++) y[t * D + d] += p[e] * hidden * down[(e * F + f) * D + d];
      }
    }
  }
  const mean = counts.reduce((a, b) => a + b, 0) / E;
  return {
    y, counts, loss: 0.5 * share.reduce((sum, q, e) => sum + q * counts[e] / T, 0), b: Array.from(counts, (n) => Math.sign(mean - n)),
  };
}

describe('layers, mixtures and models, files in and files out', () => {
  it('give outputs, losses, counts and gradients; sizes come from the tensors', () => {
    write(given());
    expect(run('mixture.lmoe', '--inputs', 'in.safetensors', '--out', 'out.safetensors')).toMatchObject({ code: 0 });
    const out = read('out.safetensors');
    const expected = loops(given());
    expect(out.get('y')?.shape).toEqual([1, T, D]);
    Array.from(out.get('y')?.data ?? []).forEach((value, i) => expect(value).toBeCloseTo(expected.y[i], 12));
    expect(out.get('loss.balance')?.data[0]).toBeCloseTo(expected.loss, 12);
    expect(Array.from(out.get('count.expert')?.data ?? [])).toEqual([...expected.counts]);
    expect([...out.keys()].sort()).toEqual([
      'count.chosen', 'count.expert', 'd_expert.down', 'd_expert.up', 'd_gate', 'd_x', 'loss.balance', 'y',
    ]);
  });

  it('give gradients that a difference of two runs agrees with, losses weighed', () => {
    const loss = (tensors: Map<string, WritableTensor>): number => {
      write(new Map([...tensors, ['d_loss.balance', { dtype: 'f64', shape: [], data: [3] }]]));
      run('mixture.lmoe', '--inputs', 'in.safetensors', '--out', 'out.safetensors');
      const out = read('out.safetensors');
      const [y, d] = [out.get('y')?.data ?? [], tensors.get('d_y')?.data ?? []];
      return 3 * (out.get('loss.balance')?.data[0] ?? NaN) + Array.from(y).reduce((sum, v, i) => sum + v * d[i], 0);
    };
    const shifted = (by: number): Map<string, WritableTensor> => {
      const tensors = given();
      const gate = filled([D, E]);
      tensors.set('gate', { ...gate, data: Array.from(gate.data, (v, i) => v + (i === 5 ? by : 0)) });
      return tensors;
    };
    const difference = (loss(shifted(1e-6)) - loss(shifted(-1e-6))) / 2e-6;
    loss(given());
    expect(read('out.safetensors').get('d_gate')?.data[5]).toBeCloseTo(difference, 7);
  });

  it('update buffers in training only', () => {
    write(given());
    run('mixture.lmoe', '--inputs', 'in.safetensors', '--out', 'out.safetensors', '--training');
    expect(Array.from(read('out.safetensors').get('update.b')?.data ?? [])).toEqual(loops(given()).b);
  });

  it('are held against `expect.NAME`', () => {
    const { y, counts } = loops(given());
    const wanted = (data: ArrayLike<number>) => new Map([
      ...given(), ['expect.y', { dtype: 'f64', shape: [1, T, D], data } as const],
      ['expect.count.expert', { dtype: 'f64', shape: [E], data: counts } as const],
    ]);
    write(wanted(y));
    expect(run('mixture.lmoe', '--inputs', 'in.safetensors', '--check')).toMatchObject({
      code: 0, out: expect.stringMatching(/y +output .* ok\ncount\.expert +output .* ok/),
    });
    write(wanted(y.map((v) => v + 1e-6)));
    expect(run('mixture.lmoe', '--inputs', 'in.safetensors', '--check')).toMatchObject({
      code: 1, err: expect.stringContaining('1 of 2 tensors differ by more than is allowed: output y'),
    });
  });

  it('draw params by their laws and inputs at random, the same from the same seed', () => {
    const once = (...args: string[]) => {
      expect(run('lm.lmoe', '--out', 'out.safetensors', '--size', 'B=1,T=9', ...args).code).toBe(0);
      return read('out.safetensors').get('loss.lm')?.data[0];
    };
    expect(once()).toBe(once());
    expect(once('--seed', '2')).not.toBe(once());
    expect(run('mixture.lmoe', '--name', 'two', '--with', 'F=2', '--json')).toMatchObject({
      code: 0, out: expect.stringContaining('"call": "B=2 T=64 D=3 F=2"'),
    });
  });

  it('leave out the labels that only a loss reads', () => {
    write(new Map([['ids', { dtype: 'i32', shape: [1, 3], data: [0, -1, 5] }], ['embed', filled([6, 4])]]));
    expect(run('lm.lmoe', '--inputs', 'in.safetensors', '--out', 'out.safetensors').code).toBe(0);
    const out = read('out.safetensors');
    expect([...out.keys()]).toEqual(['logits']);
    expect(Array.from(out.get('logits')?.data ?? []).slice(6, 12)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it.each<[string, string, (tensors: Map<string, WritableTensor>) => void]>([
    ['E501', 'mixture` needs param `expert.up` [E, D, F]', (tensors) => tensors.delete('expert.up')],
    ['E502', '`expert.sideways` is no tensor', (tensors) => tensors.set('expert.sideways', filled([2]))],
    ['E503', '`expert.down` has the wrong shape: expected [E, F, D] = [4, 5, 3], found [4, 3, 5]', (tensors) => tensors.set(
      'expert.down', filled([E, D, F]),
    )],
    ['E504', '`x` [1, 7, 3] has a NaN at [0, 1, 0]', (tensors) => tensors.set(
      'x', { ...filled([1, T, D]), data: Array.from(filled([1, T, D]).data, (v, i) => (i === 3 ? NaN : v)) },
    )],
    ['E508', 'is not a number', (tensors) => tensors.set(
      'gate', { ...filled([D, E]), data: Array.from(filled([D, E]).data, (v, i) => (i === 2 ? Infinity : v)) },
    )],
  ])('refuse with %s what does not fit, and write nothing', (code, text, change) => {
    const tensors = given();
    change(tensors);
    write(tensors);
    const { code: status, err } = run('mixture.lmoe', '--inputs', 'in.safetensors', '--out', 'never.safetensors');
    expect(status).toBe(1);
    expect(err).toContain(`error[${code}]`);
    expect(err).toContain(text);
    expect(existsSync(at('never.safetensors'))).toBe(false);
  });

  it('refuse indices beyond their axis, models beyond memory, options of kernels', () => {
    write(new Map([['ids', { dtype: 'i64', shape: [1, 2], data: [6, 0] }], ['embed', filled([6, 4])]]));
    expect(run('lm.lmoe', '--inputs', 'in.safetensors').err).toContain('error[E507]: `ids` is 6 at [0, 0], beyond W = 6');
    expect(run('lm.lmoe', '--size', 'W=10000000,D=100000').err).toContain('error[E509]');
    const long = run('lm.lmoe', '--size', 'B=1000000,T=1000000');
    expect(long.code).toBe(1);
    expect(long.err).toContain('error[E509]: `lm` has many values at 1,000,000,000,000 tokens');
    expect(run('lm.lmoe', '--backend', 'cuda')).toMatchObject({ code: 2, err: expect.stringContaining('kernels do not exist yet') });
    expect(run('lm.lmoe', '--with', 'Q=3').err).toContain('`lm` has no `Q` to set');
  });

  it('count what is chosen by the name of the choice', () => {
    const x = filled([1, T, 2]);
    const gate = filled([2, 3]);
    writeFileSync(at('memories.safetensors'), writeSafetensors(new Map([['x', x], ['gate', gate]])));
    expect(run('memories.lmoe', '--name', 'memories', '--inputs', 'memories.safetensors', '-o', 'counts.safetensors').out)
      .toMatch(/tokens of +least +mean +most\nchosen .*\nloud .*\nkept /);
    const [chosen, loud, kept] = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
    for (let t = 0; t < T; t++) {
      const s = [0, 1, 2].map((m) => x.data[2 * t] * gate.data[m] + x.data[2 * t + 1] * gate.data[3 + m]);
      const best = s.indexOf(Math.max(...s));
      chosen[best]++;
      s.forEach((v, m) => { if (v > 1) loud[m]++; });
      if (s[best] > 1) kept[best]++;
    }
    const found = read('counts.safetensors');
    expect(['chosen', 'loud', 'kept'].map((name) => Array.from(found.get(`count.${name}`)?.data ?? []))).toEqual([chosen, loud, kept]);
    expect(kept).not.toEqual(chosen);
  });

  it('take positions of tokens, by which `rope` turns and which `position` is', () => {
    const x = filled([1, 3, 2]);
    const turned = (position?: readonly number[]): number[] => {
      writeFileSync(at('turning.safetensors'), writeSafetensors(new Map([
        ['x', x], ...(position === undefined ? [] : [['position', { dtype: 'i32', shape: [1, 3], data: position }] as const]),
      ])));
      const { code, err } = run('memories.lmoe', '--name', 'turning', '--inputs', 'turning.safetensors', '-o', 'turned.safetensors');
      if (code !== 0) throw new Error(err);
      return Array.from(read('turned.safetensors').get('y')?.data ?? []);
    };
    const wanted = (position: readonly number[]): number[] => position.flatMap((p, t) => {
      const [a, b, c, s] = [x.data[2 * t], x.data[2 * t + 1], Math.cos(p / 2), Math.sin(p / 2)];
      return [a * c - b * s + p, b * c + a * s + p];
    });
    for (const position of [[0, 1, 2], [5, 3, 9]]) turned(position).forEach((v, i) => expect(v).toBeCloseTo(wanted(position)[i], 12));
    turned().forEach((v, i) => expect(v).toBeCloseTo(wanted([0, 1, 2])[i], 12));
    expect(() => turned([0, -1, 2])).toThrow(/E507.*`position` is -1 at \[0, 1\]/);
  });

  it('that would not fit into memory are refused before anything is drawn', () => {
    const { code, err } = run('lm.lmoe', '--size', 'T=10000000000');
    expect(code).toBe(1);
    expect(err).toMatch(/E509.*`lm` has many values at 20,000,000,000 tokens: .* would need [\d.]+ GiB/);
  });
});
