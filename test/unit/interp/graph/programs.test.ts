import { describe, expect, it } from 'vitest';
import { GraphFault } from '../../../../src/interp/graph/fault.js';
import { initial } from '../../../../src/interp/graph/initial.js';
import { evaluate, gradients, type Evaluation, type GraphCall } from '../../../../src/interp/graph/machine.js';
import { update } from '../../../../src/interp/graph/update.js';
import type { Graph } from '../../../../src/ir/graph/graph.js';
import { randomSource } from '../../../../src/support/random.js';
import { gradientError, someCall } from './make-graph.js';
import { slope } from '../numbers.js';
import { exampleGraph, graphOf } from './texts.js';

const data = (found: ReadonlyMap<string, Float64Array>, name: string): Float64Array => {
  const values = found.get(name);
  if (values === undefined) throw new Error(`no ${name}`);
  return values;
};

function fault(run: () => unknown): GraphFault {
  try {
    run();
  } catch (error) {
    if (error instanceof GraphFault) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

function near(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12): void {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(found[i] - expected[i]),
      `[${i}] ${found[i]} ${expected[i]}`).toBeLessThan(tolerance * Math.max(1, Math.abs(expected[i])));
  }
}

/** Processor time of this process for something, in seconds. */
function secondsOf(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** What a plain loop takes for a multiply-add here, in seconds: 1e-9 on a usual machine, several times that on a slow or busy one. */
function multiplyAdd(): number {
  const [x, y] = [new Float64Array(1024).fill(1), new Float64Array(1024)];
  const times = 32768;
  return secondsOf(() => {
    for (let n = 0; n < times; n++) for (let i = 0; i < 1024; i++) y[i] += 0.5 * x[i];
    if (y[7] !== times / 2) throw new Error('the yardstick is wrong');
  }) / (times * 1024);
}

describe('the tiny model', () => {
  const training = exampleGraph('models/tiny_linear_moe', 'tiny_linear_moe');
  const params = initial(training, 7);
  const ids = (length: number, start: number): Float64Array => Float64Array.from({ length }, (_, i) => (start + 37 * i * i + 11 * i) % 256);

  it('a step of training, 2 x 64 tokens, takes no longer than 1e9 multiply-adds in a plain loop (2 s is asked of a usual core)', () => {
    const inputs = new Map([['ids', ids(128, 3)], ['labels', ids(128, 4)]]);
    const step = (): { made: Evaluation; found: ReadonlyMap<string, Float64Array> } => {
      const made = evaluate(training, { program: 'train', params, inputs, lengths: [64, 64] });
      const found = gradients(made);
      update([made], params);
      return { made, found };
    };
    const { made, found } = step();
    // The first step is the compilation's too. What is measured stands between two measures of the machine: others use it as well.
    const before = multiplyAdd();
    const seconds = secondsOf(step);
    expect(seconds / ((before + multiplyAdd()) / 2)).toBeLessThan(1e9);
    // The loss of a model that knows nothing.
    expect(Math.abs((made.losses.get('lm') ?? 0) - Math.log(256))).toBeLessThan(0.1);
    expect(found.size).toBe([...params.keys()].filter((path) => !path.endsWith('.b')).length);
    for (const values of found.values()) expect(values.some((value) => value !== 0)).toBe(true);
    // Every token goes to two of eight experts in each of four layers.
    for (const counts of made.counts.values()) expect(counts.reduce((a, b) => a + b, 0)).toBe(2 * 128);
  });

  it('the gradient along a direction in all params is the slope there', () => {
    const inputs = new Map([['ids', ids(9, 3)], ['labels', ids(9, 4)]]);
    const wide = new Map([...params].map(([path, values]) => [path, values.map((value) => 8 * value)]));
    const call: GraphCall = { program: 'train', params: wide, inputs, lengths: [5, 4], seed: 3 };
    const found = gradients(evaluate(training, call));
    const random = randomSource(2);
    const direction = new Map([...found].map(([name, values]) => [name.slice(2), values.map(() => random.normal() / 256)]));
    const along = (step: number): number => {
      const moved = new Map([...wide].map(([path, values]) =>
        [path, values.map((value, i) => value + step * (direction.get(path)?.[i] ?? 0))]));
      return [...evaluate(training, { ...call, program: 'eval', params: moved }).losses.values()].reduce((a, b) => a + b, 0);
    };
    let expected = 0;
    for (const [path, values] of direction) values.forEach((value, i) => {
      expected += value * (found.get(`d_${path}`)?.[i] ?? 0);
    });
    expect(Math.abs(slope(along, 0) - expected)).toBeLessThan(1e-7 * Math.abs(expected));
  });

  const outside = exampleGraph('models/tiny_linear_moe', 'tiny_linear_moe', {}, false);
  const [one, two] = [ids(9, 3), ids(6, 50)];
  const both: GraphCall = { program: 'eval', params, inputs: new Map([['ids', Float64Array.of(...one, ...two)]]), lengths: [9, 6] };

  it('packed sequences are what each is by itself; labels are needed by losses alone', () => {
    const packed = data(evaluate(outside, both).outputs, 'logits');
    const alone = [one, two].map((own) =>
      data(evaluate(outside, { ...both, inputs: new Map([['ids', own]]), lengths: [own.length] }).outputs, 'logits'));
    near(packed, alone.flatMap((values) => [...values]));
  });

  it('token by token from nothing is all at once', () => {
    const all = data(evaluate(outside, both).outputs, 'logits');
    let made: Evaluation = evaluate(outside, { ...both, lengths: [0, 0], inputs: new Map([['ids', new Float64Array()]]) });
    const rows: number[][] = [[], []];
    for (let t = 0; t < 9; t++) {
      const lengths = [1, t < 6 ? 1 : 0];
      const next = Float64Array.of(one[t], ...(t < 6 ? [two[t]] : []));
      made = evaluate(outside, { ...both, program: 'step', lengths, inputs: new Map([['ids', next]]), state: made.state });
      const logits = data(made.outputs, 'logits');
      rows[0].push(...logits.subarray(0, 256));
      rows[1].push(...logits.subarray(256));
    }
    near(rows.flat(), all);
  });

  it('a state keeps keys and values of every token, and of windows the latest ones', () => {
    const kept = ({ state }: Evaluation): number => [...state.kept.values()].reduce((sum, { rows }) => sum + rows[0].length, 0);
    const after = (graph: Graph, length: number): number => {
      const call = someCall(graph, [length], 1, { program: 'eval' });
      return kept(evaluate(graph, graph === outside ? { ...call, params, inputs: new Map([['ids', ids(length, 3)]]) } : call));
    };
    // One layer of four has a cache: 32 numbers each of keys and values.
    expect(after(outside, 9) - after(outside, 8)).toBe(64);
    const window = exampleGraph('layers/attention', 'sink_gqa', { D: 4, J: 2, R: 1, K: 4, I: 1, window: 3 }, false);
    expect([1, 2, 5].map((length) => after(window, length))).toEqual([16, 32, 32]);
  });

  it('positions may be given: turns depend on their differences alone', () => {
    const graph = exampleGraph('layers/attention', 'gqa', { D: 4, J: 1, R: 2, K: 4, I: 2, theta: 100 });
    const call = someCall(graph, [3, 2], 1, { program: 'eval' });
    const plain = data(evaluate(graph, call).outputs, 'y');
    near(data(evaluate(graph, { ...call, positions: Float64Array.of(0, 1, 2, 0, 1) }).outputs, 'y'), plain, 1e-15);
    near(data(evaluate(graph, { ...call, positions: Float64Array.of(7, 8, 9, 30, 31) }).outputs, 'y'), plain);
    const stretched = data(evaluate(graph, { ...call, positions: Float64Array.of(0, 2, 4, 0, 2) }).outputs, 'y');
    expect(stretched.some((value, i) => Math.abs(value - plain[i]) > 1e-3)).toBe(true);
  });

  it('noise does not depend on the batch, its order or packing, and differs by seed and step', () => {
    const dropped = (lengths: readonly number[], own: Float64Array, names: readonly number[], seed = 5, step = 1): Float64Array => {
      const call: GraphCall = { program: 'eval', params, inputs: new Map([['ids', own]]), lengths, ids: names, seed, step };
      return data(evaluate(training, call).outputs, 'logits');
    };
    const first = dropped([9, 6], Float64Array.of(...one, ...two), [40, 8]);
    const turned = dropped([6, 9], Float64Array.of(...two, ...one), [8, 40]);
    near(turned.subarray(6 * 256), first.subarray(0, 9 * 256));
    near(dropped([6], two, [8]), first.subarray(9 * 256));
    const same = (other: Float64Array): boolean => first.every((value, i) => value === other[i]);
    expect(same(dropped([9, 6], Float64Array.of(...one, ...two), [40, 8]))).toBe(true);
    expect(same(dropped([9, 6], Float64Array.of(...one, ...two), [40, 8], 6))).toBe(false);
    expect(same(dropped([9, 6], Float64Array.of(...one, ...two), [40, 8], 5, 2))).toBe(false);
  });

  it('an id beyond the vocabulary is named', () => {
    const call = { ...both, inputs: new Map([['ids', Float64Array.of(...one, ...two).fill(256, 3, 4)]]) };
    expect(fault(() => evaluate(outside, call))).toMatchObject({ kind: 'index', message: '256 is no index of W, which has 256' });
  });

  it('no tokens are no tokens', () => {
    const inputs = new Map([['ids', new Float64Array()], ['labels', new Float64Array()]]);
    const made = evaluate(training, { program: 'train', params, inputs, lengths: [0] });
    expect(data(made.outputs, 'logits').length).toBe(0);
    expect([...made.losses.values()].every((value) => value === 0)).toBe(true);
    expect([...gradients(made).values()].every((values) => values.every((value) => value === 0))).toBe(true);
  });

  it('tokens without a label are left out of means, whose numbers of tokens are reported', () => {
    const call: GraphCall = { program: 'train', params,
      inputs: new Map([['ids', one], ['labels', Float64Array.from(one, (_, i) => (i < 4 ? -1 : i))]]), lengths: [9], seed: 5 };
    const made = evaluate(training, call);
    const logits = data(made.outputs, 'logits');
    const losses = Array.from({ length: 5 }, (_, i) => {
      const row = [...logits.subarray((i + 4) * 256, (i + 5) * 256)];
      return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[i + 4];
    });
    near([made.losses.get('lm') ?? NaN], [losses.reduce((a, b) => a + b, 0) / 5]);
    expect(made.means.filter(({ path }) => path === '').map(({ counts }) => [...counts])).toContainEqual([5]);
  });
});

describe('choices', () => {
  const router = (body: string, rest = 'D = 2, E = 3, F = 2'): string => `
    layer ffn(x: [D]) -> y: [D] with D = 2, F = 2 { param up: [D, F], down: [F, D]   y = tanh(x @ up) @ down }
    moe r(x: [D], s: [E]) -> y: [D], m: [E] with ${rest} { use expert[E] = ffn with F   ${body} }`;
  const run = (graph: Graph, s: readonly number[], program: GraphCall['program'] = 'train',
    lengths: readonly number[] = [s.length / 3]): Evaluation => {
    const call = someCall(graph, lengths);
    return evaluate(graph, { ...call, program, inputs: new Map(call.inputs).set('s', Float64Array.from(s)) });
  };

  it('of equals the lower index is chosen, of tokens the earlier one', () => {
    const along = graphOf(router('let c = top[E, 2](s)   m = mask(c)   y = sum[E](s[c] * expert(x))'), 'r');
    expect(data(run(along, [1, 1, 1, 0, 2, 2, 3, 0, 0]).outputs, 'm')).toEqual(Float64Array.of(1, 1, 0, 0, 1, 1, 1, 1, 0));
    const tokens = graphOf(router('let c = top[tokens, 2](s)   m = mask(c)   y = sum[E](s[c] * expert(x))'), 'r');
    expect(data(run(tokens, [1, 0, 1, 1, 1, 0, 1, 1, 2]).outputs, 'm')).toEqual(Float64Array.of(1, 0, 1, 1, 1, 0, 0, 1, 1));
  });

  it('a score that is not a number is an error with its token and its place', () => {
    const graph = graphOf(router('let c = top[E, 2](s)   m = mask(c)   y = sum[E](s[c] * expert(x))'), 'r');
    const found = fault(() => run(graph, [1, 2, 3, 4, NaN, 6], 'train', [1, 1]));
    expect(found).toMatchObject({ kind: 'not a number',
      message: 'the score of token 0 of sequence 1 at E = 1, by which something is chosen, is not a number' });
    expect(found.origin.end).toBeGreaterThan(found.origin.start);
  });

  it('a choice among tokens has no step', () => {
    const graph = graphOf(router('let c = top[tokens, 2](s)   m = mask(c)   y = sum[E](s[c] * expert(x))'), 'r', {}, false);
    const { state } = run(graph, [1, 2, 3], 'eval');
    const call: GraphCall = { ...someCall(graph, [1]), program: 'step', state };
    expect(fault(() => evaluate(graph, call)).kind).toBe('other tokens');
  });

  it('experts without tokens have no gradient; restricted chains, computed rooms and counts', () => {
    const graph = graphOf(router(`
      let a = top[E, 2](s)   let b = top[E, 1](s[a])   let n = sum[tokens](mask(a))
      let kept = top[tokens, n / 2](s[a])   m = mask(kept and not b)   y = sum[E](s[kept] * expert(x))`), 'r');
    // Chosen: {0, 1}, {0, 1}, {0, 1}; best: 1, 0, 0; room of 1.5 each, floored.
    const made = run(graph, [1, 2, 0, 4, 3, 0, 6, 5, 0]);
    expect(data(made.outputs, 'm')).toEqual(Float64Array.of(0, 0, 0, 0, 0, 0, 0, 1, 0));
    expect(data(made.counts, 'expert')).toEqual(Float64Array.of(1, 1, 0));
    const up = data(gradients(made, new Map([['d_y', new Float64Array(6).fill(1)]])), 'd_expert.up');
    expect([...up.subarray(8)]).toEqual([0, 0, 0, 0]);
    expect(up.subarray(0, 8).every((value) => value !== 0)).toBe(true);
  });

  it('what is absent is skipped: the sum and the mean of nothing are 0, its product is 1, its maximum stays absent', () => {
    const graph = graphOf(`layer f(s: [E]) -> a, b, p, m, n, mean_all: [] with E = 3 {
      let c = s > 0   let x = s[c]   a = sum[E](x)   b = mean[E](x)   p = prod[E](x)
      m = sum[](max[E](x))   n = sum[E](mask(not (s[c] > 1)))
      mean_all = mean[tokens](max[E](x)) + 0 * a }`, 'f');
    const made = evaluate(graph, { ...someCall(graph, [2]), inputs: new Map([['s', Float64Array.of(1, -1, 3, -1, -2, -3)]]) });
    const found = Object.fromEntries([...made.outputs].map(([name, values]) => [name, [...values]]));
    expect(found).toEqual({ a: [4, 0], b: [2, 0], p: [3, 1], m: [3, 0], n: [1, 0], mean_all: [3, 3] });
  });
});

describe('calls', () => {
  it('a part that is called with restricted arguments sees the present tokens alone', () => {
    const text = `
      layer inner(x: [D]) -> y: [D] with D = 1 { y = x[t-1] + 10 * mean[tokens](x) + 100 * index[time]   loss l = mean[tokens](sum[D](x)) }
      layer outer_part(x: [D], s: [E]) -> y: [D] with D = 1, E = 2 { let c = s > 0   let m = mask(c)   y = sum[E](inner(outer(m[c], x))) }`;
    const graph = graphOf(text, 'outer_part');
    const x = Float64Array.of(1, 2, 3, 4, 5);
    const s = Float64Array.of(1, 0, 0, 1, 1, 1, 1, 0, 1, 0);
    const made = evaluate(graph, { ...someCall(graph, [3, 2]), inputs: new Map([['x', x], ['s', s]]) });
    // Index 0 has tokens 1, 3 | 4, 5; index 1 has 2, 3.
    const zero = [1, 3, 4, 5].reduce((a, b) => a + b, 0) / 4;
    const expected = [0 + 10 * zero, 0 + 25, 1 + 10 * zero + 100 + 2 + 25 + 100, 0 + 10 * zero, 4 + 10 * zero + 100];
    near(data(made.outputs, 'y'), expected);
    near([made.losses.get('inner.l') ?? NaN], [zero + 2.5]);
  });

  it('families in families have their weights in rows', () => {
    const text = `
      layer f(x: [D]) -> y: [D] with D = 2 { param w: [D]   y = w * x }
      layer g(x: [D]) -> y: [D] with D = 2, M = 3 { use inner[M] = f   y = sum[M](inner(x)) }
      layer h(x: [D]) -> y: [E, D] with D = 2, E = 2 { use part[E] = g   y = part(x) }`;
    const graph = graphOf(text, 'h');
    const call = someCall(graph, [2]);
    const [x, w] = [data(call.inputs, 'x'), data(call.params, 'part.inner.w')];
    const y = data(evaluate(graph, call).outputs, 'y');
    const expected = Array.from({ length: 8 }, (_, i) => {
      const [t, e, d] = [Math.floor(i / 4), Math.floor(i / 2) % 2, i % 2];
      return [0, 1, 2].reduce((sum, m) => sum + w[(e * 3 + m) * 2 + d] * x[t * 2 + d], 0);
    });
    near(y, expected);
    expect(gradientError(graph, call)).toBeLessThan(1e-9);
  });
});

describe('starts and updates', () => {
  it('params start by their laws, each with draws of its own', () => {
    const text = (more: string): string => `layer f(x: [D]) -> y: [D] with D = 40, F = 30 {
      ${more} param a: [D, F] = orthogonal(2), b: [F, D] = orthogonal(1), c: [D] = index[D] / D, e: [D, F] = normal(0.5),
        u: [D, F] = uniform(-1, 3)
      y = c * ((x @ a) @ b + x @ e @ b + x @ u @ b) }`;
    const start = initial(graphOf(text(''), 'f'), 3);
    const a = data(start, 'a');
    for (const [i, j] of [[0, 0], [3, 3], [2, 5], [0, 29]]) {
      let dot = 0;
      for (let d = 0; d < 40; d++) dot += a[d * 30 + i] * a[d * 30 + j];
      expect(dot).toBeCloseTo(i === j ? 4 : 0, 10);
    }
    expect(data(start, 'c')[10]).toBe(0.25);
    expect([data(start, 'e').some((x) => x > 0.9), data(start, 'e').every((x) => Math.abs(x) < 2.5)]).toEqual([true, true]);
    expect(data(start, 'u').every((x) => x > -1 && x < 3)).toBe(true);
    const more = initial(graphOf(text('param z: [D] = normal(1)   let q = z * x').replace('y = c *', 'y = q + c *'), 'f'), 3);
    for (const [path, values] of start) expect(data(more, path)).toEqual(values);
    expect(data(initial(graphOf(text(''), 'f'), 4), 'e')).not.toEqual(data(start, 'e'));
  });

  it('updates read the values before, over all calls of a step', () => {
    const text = `layer f(x: [D]) -> y: [D] with D = 2 {
      buffer a, b: [D] = 0   y = x + a - b
      update a = sum[tokens, calls](x) + b   update b += mean[tokens, calls](x) * calls   }`;
    const graph = graphOf(text, 'f');
    const params = new Map([['a', Float64Array.of(1, 2)], ['b', Float64Array.of(10, 20)]]);
    const calls = [[1, 2, 3, 4],
      [5, 6]].map((x): Evaluation =>
      evaluate(graph, { program: 'train', params, inputs: new Map([['x', Float64Array.from(x)]]), lengths: [x.length / 2] }));
    const next = update(calls, params);
    expect(Object.fromEntries([...next].map(([path, values]) => [path, [...values]]))).toEqual({ a: [19, 32], b: [16, 28] });
  });
});
