import { describe, expect, it } from 'vitest';
import { runSpec } from '../../../../src/interp/spec.js';
import { printSpec } from '../../../../src/ir/spec/print.js';
import type { Spec } from '../../../../src/ir/spec/spec.js';
import { frontend } from '../../../../src/passes/frontend.js';
import { resolveScan } from '../../../../src/passes/resolve/resolve.js';

function understood(text: string): Spec {
  const { specs, diagnostics } = frontend('test.lmoe', text);
  if (specs.length !== 1 || diagnostics.some((d) => d.severity === 'error')) throw new Error(diagnostics.map((d) => d.title).join('; '));
  return specs[0];
}

const X = [0.3, -1.2, 2.5];
const Y = [-0.7, 0.4, 1.1];
const P = 0.6;

/** Values of an expression of x: [K], y: [K], p: [] for the numbers above, K = 3, head 1 of 2. */
function evaluate(expression: string, axes: string): number[] {
  const spec = understood(`scan f(x, y: [K], p: []) -> o: ${axes} { o = ${expression} }`);
  const twice = (values: readonly number[]): Float64Array => Float64Array.from([...values.map(() => 9), ...values]);
  const results = runSpec(
    spec, { sizes: new Map([['K', 3]]), heads: 2, groups: 1, lengths: [1] }, new Map([['x', twice(X)], ['y', twice(Y)], ['p', twice([P])]]),
  );
  const o = results.get('o') ?? new Float64Array();
  return [...o.subarray(o.length / 2)];
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const squares = total(X.map((x) => x * x));

describe('numbers of the header', () => {
  const text = 'scan f(x: [K]) -> y: [K] with K = 4, V = 2 * K, rate = 3, more = rate / V { param w: [V] y = rate * x + more * sum[V](w) }';
  const literals = (spec: Spec): readonly number[] => spec.nodes.flatMap((node) => (node.kind === 'literal' ? [node.value] : []));

  it('are sizes of axes, or stand in formulas', () => {
    const spec = understood(text);
    expect(spec.axes).toEqual([{ name: 'K', defaultSize: 4 }, { name: 'V', defaultSize: 8 }]);
    expect(literals(spec)).toContain(3);
    expect(printSpec(spec)).toContain('size V');
  });

  it('give way to those of a caller', () => {
    const [item] = frontend('test.lmoe', text).ast?.items ?? [];
    if (item?.kind !== 'scan') throw new Error('no scan');
    const { spec } = resolveScan(item, new Map([['rate', 5], ['K', 2]]));
    expect(spec?.axes).toEqual([{ name: 'K', defaultSize: 2 }, { name: 'V', defaultSize: 4 }]);
    expect(spec && literals(spec)).toContain(5);
    expect(spec && literals(spec)).not.toContain(3);
  });

  it('are refused where they are none', () => {
    const codes = (given: string) => frontend(
      'test.lmoe', `scan f(x: [K]) -> y: [K] with ${given} { y = a * x }`,
    ).diagnostics.map((d) => d.code);
    expect(codes('a = "text"')).toContain('E402');
    expect(codes('a')).toContain('E402');
    expect(codes('a = b, b = 1')).toContain('E402');
    expect(codes('a = 1, K = a / 2')).toEqual(['E402']);
    expect(codes('a = 1, a = 2')).toEqual(['E205']);
    expect(codes('a = 1, x = 2')).toContain('E205');
    expect(codes('a = 1, unread = 2')).toEqual(['E206']);
    expect(codes('a = 1 / K')).toEqual([]);
  });
});

describe('values of expressions', () => {
  const cases: readonly (readonly [string, string, readonly number[]])[] = [
    ['-p^2', '[]', [-(P ** 2)]],
    ['2^-p^2', '[]', [2 ** -(P ** 2)]],
    ['p - 1 - 2', '[]', [P - 3]],
    ['p / 2 / 4 * 3', '[]', [(P / 8) * 3]],
    ['2 * x @ y', '[]', [2 * total(X.map((x, i) => x * Y[i]))]],
    ['x @[K] y', '[]', [total(X.map((x, i) => x * Y[i]))]],
    ['x @ y / sqrt(K)', '[]', [total(X.map((x, i) => x * Y[i])) / Math.sqrt(3)]],
    ['x^3', '[K]', X.map((x) => x ** 3)],
    ['x^7', '[K]', X.map((x) => x ** 7)],
    ['x^-2', '[K]', X.map((x) => x ** -2)],
    ['p^0.5 + p^-0.5', '[]', [Math.sqrt(P) + 1 / Math.sqrt(P)]],
    ['p^2.5', '[]', [P ** 2.5]],
    ['x * p + y', '[K]', X.map((x, i) => x * P + Y[i])],
    ['p - x', '[K]', X.map((x) => P - x)],
    ['sum[K](x)', '[]', [total(X)]],
    ['mean[K](x)', '[]', [total(X) / 3]],
    ['max[K](x) - min[K](x)', '[]', [3.7]],
    ['max(x, y) + min(x, p)', '[K]', X.map((x, i) => Math.max(x, Y[i]) + Math.min(x, P))],
    ['clamp(x, -p, 1)', '[K]', X.map((x) => Math.min(Math.max(x, -P), 1))],
    ['softmax[K](x)', '[K]', X.map((x) => Math.exp(x) / total(X.map(Math.exp)))],
    ['l2norm(x)', '[K]', X.map((x) => x / Math.sqrt(squares + 1e-6))],
    ['l2norm[K](x)', '[K]', X.map((x) => x / Math.sqrt(squares + 1e-6))],
    ['rmsnorm(x)', '[K]', X.map((x) => x / Math.sqrt(squares / 3 + 1e-5))],
    ['head + 10 * heads', '[]', [21]],
    ['1 - 2^(-5 - head)', '[]', [1 - 2 ** -6]],
    ['log(1 + exp(p)) - softplus(p)', '[]', [0]],
    ['sigmoid(x) * silu(y) + relu(x) - abs(y)', '[K]',
      X.map((x, i) => 1 / (1 + Math.exp(-x)) * (Y[i] / (1 + Math.exp(-Y[i]))) + Math.max(x, 0) - Math.abs(Y[i]))],
    ['exp(x) - expm1(x) + tanh(p) * log1p(p)', '[K]', X.map(() => 1 + Math.tanh(P) * Math.log1p(P))],
  ];
  it.each(cases)('%s', (expression, axes, expected) => {
    const found = evaluate(expression, axes);
    expect(found).toHaveLength(expected.length);
    found.forEach((value, i) => expect(Math.abs(value - expected[i])).toBeLessThan(1e-14 * Math.max(1, Math.abs(expected[i]))));
  });

  it('folds several axes at once', () => {
    const spec = understood('scan f(k: [K], v: [V]) -> o: [] { o = sum[K, V](outer(k, v)) + mean[K, V](outer(k, v)) }');
    const o = runSpec(
      spec, { sizes: new Map([['K', 2], ['V', 3]]), heads: 1, groups: 1, lengths: [1] },
      new Map([['k', Float64Array.of(1, 2)], ['v', Float64Array.of(3, 4, 5)]]),
    ).get('o');
    expect(o?.[0]).toBe(36 + 6);
  });
});

describe('Spec', () => {
  it('has everything written out', () => {
    expect(printSpec(understood(`
      /// One line.
      /// Another.
      scan f(q, k: [K] per group, v: [V], g: [] in -inf..0) -> o: [V] with K = 64 {
        param u: [K] in 0..1
        state S: [K, V]
        const scale = 1 / sqrt(K)
        let P: [K, V] = exp(g) * S[t-1]
        S = P + outer(u * k, v)
        o = scale * q @ S
      }`))).toMatchInlineSnapshot(`
        "spec f chunked
          axes K=64 V
          input q: [K] per group
          input k: [K] per group
          input v: [V]
          input g: [] in -inf..0
          param u: [K] in 0..1
          state S: [K, V] = %13
          output o: [V] = %17
          %0 = 1 : []
          %1 = size K : []
          %2 = sqrt %1 : []
          %3 = div %0 %2 : []
          %4 = input g : []
          %5 = exp %4 : []
          %6 = prev S : [K, V]
          %7 = mul %5 %6 : [K, V]
          %8 = param u : [K]
          %9 = input k : [K]
          %10 = mul %8 %9 : [K]
          %11 = input v : [V]
          %12 = mul %10 %11 : [K, V]
          %13 = add %7 %12 : [K, V]
          %14 = input q : [K]
          %15 = mul %14 %13 : [K, V]
          %16 = sum[K] %15 : [V]
          %17 = mul %3 %16 : [V]
        "
      `);
  });

  it('keeps the documentation and the mode', () => {
    const spec = understood('/// One line.\n/// Another.\n// not this\n'
      + 'scan f(x: [D]) -> h: [D] sequential {\n state h: [D]\n h = tanh(h[t-1]) + x }');
    expect(spec).toMatchObject({ name: 'f', doc: 'One line.\nAnother.', mode: 'sequential' });
    expect(spec.outputs).toEqual([{ name: 'h', axes: ['D'], value: spec.states[0].next, origin: expect.anything() }]);
  });

  it('remembers inputs in states of its own', () => {
    const spec = understood('scan f(x, x_prev: [D]) -> y: [D] {\n y = x + x[t-1] * x[t-1] - x_prev\n}');
    expect(spec.states).toMatchObject([{ name: 'x_prev_', hidden: true, axes: ['D'] }]);
    expect(spec.nodes[spec.states[0].next]).toMatchObject({ kind: 'input', input: 0 });
    const y = runSpec(
      spec, { sizes: new Map([['D', 1]]), heads: 1, groups: 1, lengths: [2, 1] },
      new Map([['x', Float64Array.of(2, 3, 5)], ['x_prev', new Float64Array(3)]]),
    ).get('y');
    expect([...(y ?? [])]).toEqual([2, 7, 5]);
  });

  it('reads a bare state as its new value, and `[t-1]` as the old one wherever it stands', () => {
    const spec = understood('scan f(x: [D]) -> y, z: [D] {\n state h: [D]\n y = h[t-1]\n h = 2 * h[t-1] + x\n z = 10 * h + h[t-1]\n}');
    const results = runSpec(
      spec, { sizes: new Map([['D', 1]]), heads: 1, groups: 1, lengths: [3] }, new Map([['x', Float64Array.of(1, 1, 1)]]),
    );
    expect([...(results.get('y') ?? [])]).toEqual([0, 1, 3]);
    expect([...(results.get('z') ?? [])]).toEqual([10, 31, 73]);
  });

  it('evaluates ranges', () => {
    const spec = understood('scan f(a: [] in -exp(-0.5)..0, b: [] in 2 * 3..2^4, c: [] in -inf..inf, d: []) -> y: [] {\n'
      + ' y = a * b * c * d\n}');
    expect(spec.inputs.map((input) => input.range)).toEqual([
      { lo: -Math.exp(-0.5), hi: 0 }, { lo: 6, hi: 16 }, { lo: -Infinity, hi: Infinity }, { lo: -Infinity, hi: Infinity },
    ]);
  });

  it('takes ranges of initial states, and relies on them for nothing', () => {
    const text = (range: string) => `scan f(x: [D], a: [D] in 0..1) -> y: [D] {\n state h, _n: [D]${range}, m: [D]\n`
      + ' h = a * h[t-1] + x\n _n = x\n m = m[t-1] - x\n y = h + m + a[t-1]\n}';
    const [ranged, free] = [understood(text(' in 0..inf')), understood(text(''))];
    const anything = { lo: -Infinity, hi: Infinity };
    expect(ranged.states.map(({ name, range }) => [name, range])).toEqual([
      ['h', { lo: 0, hi: Infinity }], ['_n', { lo: 0, hi: Infinity }], ['m', anything], ['a_prev', { lo: 0, hi: 1 }],
    ]);
    expect(ranged.nodes.map(({ origin: _, ...node }) => node)).toEqual(free.nodes.map(({ origin: _, ...node }) => node));
    expect(printSpec(ranged)).toMatch(/^ {2}state h: \[D\] in 0\.\.inf = %\d+$/m);
  });

  it('lets contextual words be names', () => {
    expect(understood('scan f(from, with: [K], group: []) -> per: [K] {\n per = from * group + with\n}').inputs.map((input) => input.name))
      .toEqual(['from', 'with', 'group']);
  });
});
