import { describe, expect, it } from 'vitest';
import { printScan } from '../../../src/ir/scan/print.js';
import type { Stage } from '../../../src/ir/scan/scan.js';
import { verifyScan } from '../../../src/ir/scan/verify.js';
import { math } from '../../../src/math/index.js';
import { normalize } from '../../../src/passes/normalize/normalize.js';
import { isRefusal, type Refusal } from '../../../src/passes/normalize/refusal.js';
import { specOf } from './scans.js';

const HEAD = 'scan s(q, k: [K], v: [V], g: [] in -inf..0, b: [] in 0..1, w: [K] in -inf..0, u: [V] in -inf..0, a: []) -> o: [V]';
const scan = (body: string) => normalize(specOf(`${HEAD} { state S: [K, V] ${body} }`));

/** What was understood of a stage, in a few words. */
function summary(stage: Stage): string {
  switch (stage.kind) {
    case 'matrix': {
      const gate = stage.gate.kind === 'channel'
        ? `per ${stage.gate.axis}`
        : stage.gate.kind === 'scalar' && stage.gate.constant
        ? 'constant'
        : stage.gate.kind;
      const sources = stage.sources.map((source) => (
        source.erase === undefined ? 'write'
        : `erase ${source.erase.before ? 'before' : 'after'} ${source.erase.sees.filter(Boolean).length}`
      ));
      const reads = stage.reads.map((read) => `read ${read.before ? 'before' : 'after'} ${read.sees.filter(Boolean).length}`);
      return [gate, ...sources, ...reads].join(', ');
    }
    case 'element': return `element${stage.decay === undefined ? '' : ', decay'}${stage.write === undefined ? '' : ', write'}`;
    case 'matrix-adjoint': case 'element-adjoint': return stage.kind;
  }
}

describe('normal forms', () => {
  const forms: readonly (readonly [body: string, form: string])[] = [
    ['S = S[t-1] + outer(k, v)  o = q @ S', 'none, write, read after 1'],
    ['S = 0.9 * S[t-1] + outer(k, v)  o = q @ S', 'constant, write, read after 1'],
    ['S = exp(g) * S[t-1] + outer(k, v)  o = q @ S', 'scalar, write, read after 1'],
    ['S = sigmoid(a) * (S[t-1] * exp(g)) + v * outer(k, v)  o = q @ S', 'scalar, write, read after 1'],
    ['S = exp(w) * S[t-1] + outer(k, v)  o = q @ S', 'per K, write, read after 1'],
    ['S = S[t-1] * exp(u) + outer(k, v)  o = q @ S', 'per V, write, read after 1'],
    ['S = exp(w) * S[t-1] + outer(k, v)  o = q @ S[t-1]', 'per K, write, read before 0'],
    ['let P = exp(w) * S[t-1]  S = P + outer(k, v)  o = q @ P', 'per K, write, read after 0'],
    ['let P = exp(g) * S[t-1]  S = P + outer(k, b * (v - k @ P))  o = q @ S', 'scalar, erase after 0, read after 1'],
    ['S = exp(g) * S[t-1] + outer(k, b * (v - k @ S[t-1]))  o = q @ S', 'scalar, erase before 0, read after 1'],
    ['let P = exp(g) * S[t-1] - b * outer(k, k @ (exp(g) * S[t-1]))  S = P + outer(k, b * v)  o = q @ S',
      'scalar, erase after 0, read after 1'],
    ['S = S[t-1] + outer(q, b * (k @ S[t-1])) + outer(k, v)  o = q @ S', 'none, write, erase after 0, read after 2'],
    ['let Q = S[t-1] + outer(k, v - k @ S[t-1])  S = Q + outer(q, v - q @ Q)  o = q @ S',
      'none, erase after 0, erase after 1, read after 2'],
    ['S = exp(w) * (exp(u) * S[t-1]) + outer(k, v)  o = q @ S', 'element, decay, write'],
    ['S = exp(g) * S[t-1] + outer(k, v)  o = max[K](S * q)', 'element, decay, write'],
  ];
  for (const [body, form] of forms) {
    it(body, () => {
      expect(scan(body).stages.map(summary)).toEqual([form]);
    });
  }

  it('gates come in log form, off the text', () => {
    const text = printScan(scan('S = sigmoid(a) * exp(g) * S[t-1] + outer(k, v)  o = q @ S'), {
      inputs: ['q', 'k', 'v', 'g', 'b', 'w', 'u', 'a'], params: [], outputs: ['o'], states: ['S'],
    });
    expect(text).toBe([
      'stage 0: S [K, V] matrix',
      '  gate scalar exp(log_sigmoid(a) + g)',
      '  write outer(k, v)',
      '  stage0.0 = (q) @ S after the decay, after writes 0',
      'o = stage0.0',
      '',
    ].join('\n'));
  });

  it('1 - tanh(x)^2 is a decay of which no digits are lost', () => {
    const { nodes, stages: [stage] } = scan('S = (1 - tanh(a)^2) * S[t-1] + outer(k, v)  o = q @ S');
    if (stage.kind !== 'matrix' || stage.gate.kind !== 'scalar') throw new Error('no scalar gate');
    const value = (id: number, a: number): number => {
      const node = nodes[id];
      if (node.kind === 'literal') return node.value;
      return node.kind === 'map' ? math[node.fn].f64(value(node.args[0], a), node.args.length > 1 ? value(node.args[1], a) : NaN) : a;
    };
    for (const a of [-300, -20, -1, 0, 0.3, 5, 40]) {
      // log(sech(a)^2), with e^-|a| taken out of the cosine.
      expect(value(stage.gate.log, a)).toBeCloseTo(2 * (Math.LN2 - Math.abs(a) - Math.log1p(Math.exp(-2 * Math.abs(a)))), 12);
    }
  });

  it('what a read sees beyond the state is added to it: a bonus is a product of the token', () => {
    const program = normalize(specOf('scan s(q, k: [K], v: [V]) -> o: [V] { '
      + 'param c: [K]  state S: [K, V]  S = S[t-1] + outer(k, v)  o = q @ (S[t-1] + c * outer(k, v)) }'));
    expect(program.stages.map(summary)).toEqual(['none, write, read after 0']);
    const text = printScan(program, { inputs: ['q', 'k', 'v'], params: ['c'], outputs: ['o'], states: ['S'] });
    expect(text).toContain('o = stage0.0 + v * (k * c) @ q');
  });

  it('a vector that is read by its own update is a matrix state without value axis', () => {
    const { stages } = normalize(specOf('scan s(q, k: [K], v: []) -> o: [] { '
      + 'state S: [K]  S = S[t-1] + k * (v - k @ S[t-1])  o = q @ S }'));
    expect(stages.map(summary)).toEqual(['none, erase after 0, read after 1']);
  });

  it('stages come in the order in which they read each other', () => {
    const text = 'scan s(q, k: [K], v: [V], g: [M] in -inf..0) -> o: [V] { '
      + 'state B: [M, V], A: [K, M]  A = exp(g) * A[t-1] + outer(k, g)  B = B[t-1] + outer(softmax[M](q @ A), v)  o = g @ B }';
    expect(normalize(specOf(text)).stages.map((stage) => ('state' in stage ? stage.state : -1))).toEqual([1, 0]);
  });
});

describe('refusals', () => {
  const refusals: readonly (readonly [body: string, code: Refusal['code'], place: string])[] = [
    ['S = tanh(S[t-1]) + outer(k, v)  o = q @ S', 'E301', 'tanh(S[t-1])'],
    ['S = S[t-1] * S[t-1] + outer(k, v)  o = q @ S', 'E301', 'S[t-1] * S[t-1]'],
    ['S = outer(k, v) / (1 + sum[V](sum[K](S[t-1]))) + S[t-1]  o = q @ S', 'E301', 'outer(k, v) / (1 + sum[V](sum[K](S[t-1])))'],
    ['S = outer(k, v - k @ S[t-1])  o = q @ S', 'E303', ''],
    ['S = a * S[t-1] + outer(k, v)  o = q @ S', 'E305', 'a'],
    ['S = S[t-1] + outer(k, u * (v - k @ S[t-1]))  o = q @ S', 'E306', 'k @ S[t-1]'],
    ['S = exp(u) * S[t-1] + outer(k, v - k @ S[t-1])  o = q @ S', 'E306', ''],
    ['S = exp(w) * (exp(u) * S[t-1]) + outer(k, v - k @ S[t-1])  o = q @ S', 'E306', ''],
    ['S = S[t-1] + outer(k, v - k @ S[t-1]) + outer(S[t-1] @ u, v)  o = q @ S', 'E306', 'S[t-1] @ u'],
    ['S = S[t-1] + outer(k, v - k @ (u * S[t-1]))  o = q @ S', 'E306', 'k @ (u * S[t-1])'],
  ];
  for (const [body, code, place] of refusals) {
    it(`${code}: ${body}`, () => {
      const text = `${HEAD} { state S: [K, V] ${body} }`;
      const refusal = refusalOf(text);
      expect(refusal.code).toBe(code);
      if (place !== '') expect(text.slice(refusal.origin.start, refusal.origin.end)).toBe(place);
      expect(refusal.title).toContain('`S`');
      expect(refusal.help.at(-1)).toContain('sequential');
    });
  }

  it('E302: states that feed each other', () => {
    const refusal = refusalOf('scan s(x: [D]) -> o: [D] { state h, z: [D]  h = z[t-1] + x  z = h[t-1]  o = h }');
    expect(refusal.code).toBe('E302');
    expect(refusal.title).toMatch(/`h` and `z`|`z` and `h`/);
  });

  it('E304: a sum of two states', () => {
    const refusal = refusalOf('scan s(q, k: [K], v: [V]) -> o: [V] { '
      + 'state S, R: [K, V]  S = S[t-1] + outer(k, v)  R = R[t-1] + S  o = q @ R }');
    expect(refusal.code).toBe('E304');
  });

  it('a read of a sum of states is the reads of each', () => {
    const reads = (o: string, r: string): unknown => {
      const { stages } = normalize(specOf(`scan s(q, k, u: [K], v, w: [V], g: [] in -inf..0) -> o: [V], r: [K] { state S, R: [K, V]  `
        + `S = exp(g) * S[t-1] + outer(k, v)  R = R[t-1] + outer(u, w)  o = ${o}  r = ${r} }`));
      return stages.map((stage) => (
        stage.kind === 'matrix' ? [stage.state, stage.rowAxis, stage.reads.map(({ before, sees }) => [before, sees])] : stage.kind
      ));
    };
    expect(reads('q @ (w * S + u * R)', '(S[t-1] - R) @ v')).toEqual(reads('w * (q @ S) + (q * u) @ R', 'S[t-1] @ v - R @ v'));
    expect(reads('q @ (-(S - R) / 2)', '(S + (R - S[t-1])) @ v')).toEqual(reads('q @ R / 2 - q @ S / 2', '(S - S[t-1]) @ v + R @ v'));
  });

  it('what a state erases may be read of a sum of it and another', () => {
    const text = 'scan s(q, k: [K], v: [V]) -> o: [V] { state S, R: [K, V]  '
      + 'S = S[t-1] + outer(k, v)  R = R[t-1] + outer(k, v - k @ (R[t-1] - S / 2))  o = q @ R }';
    const { stages } = normalize(specOf(text));
    const erases = stages.map((stage) => (stage.kind === 'matrix' ? stage.sources.map(({ erase }) => erase !== undefined) : []));
    expect(erases).toEqual([[false], [true]]);
  });
});

function refusalOf(text: string): Refusal {
  try {
    normalize(specOf(text));
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  throw new Error(`not refused: ${text}`);
}

describe('places of refusals', () => {
  const refusalOf = (body: string): string => {
    const text = `scan f(q, k: [K], v, w: [V], g: [] in -inf..0) -> o: [V] {\n  state S: [K, V]\n${body}\n  o = q @ S\n}`;
    try {
      normalize(specOf(text));
    } catch (error) {
      if (isRefusal(error)) return `${error.code} ${error.origin.file} ${text.slice(error.origin.start, error.origin.end)}`;
      throw error;
    }
    return 'none';
  };
  it.each([
    ['S = outer(k, v) - S[t-1]', 'E305 <test> outer(k, v) - S[t-1]'],
    ['S = -2 * S[t-1] + outer(k, v)', 'E305 <test> -2'],
    ['S = S[t-1] / sum[V](v) + outer(k, v)', 'E305 <test> S[t-1] / sum[V](v)'],
    ['let P = exp(g) * S[t-1]\n  S = P - 3 * S[t-1] + outer(k, v)', 'E305 <test> P - 3 * S[t-1]'],
    ['S = S[t-1] + outer(k, v - k @ S[t-1]) + 2 * (outer(q, v) + exp(outer(k, w)))', 'E306 <test> exp(outer(k, w))'],
  ])('%s', (body, place) => expect(refusalOf(body)).toBe(place));
});

describe('reads along both axes of a state', () => {
  const walks = (update: string, reads: string) => {
    const program = normalize(specOf(
      'scan s(q, k: [K], v, u, w: [V], b: [] in 0..1, g: [K] in -inf..0) -> o: [V], p: [K] { '
      + `state S: [K, V]  S = ${update}  ${reads} }`,
    ));
    expect(verifyScan(program)).toEqual([]);
    return {
      walks: program.stages.map((stage) => (stage.kind === 'matrix' ? [stage.rowAxis, stage.walk, stage.reads.length] : [])),
      text: printScan(program, { inputs: ['q', 'k', 'v', 'u', 'w', 'b', 'g'], params: [], outputs: ['o', 'p'], states: ['S'] }),
    };
  };

  it('are a walk for each axis, the first that of the first read', () => {
    const made = walks('exp(g) * S[t-1] + outer(k, v)', 'o = q @ S[t-1]  p = S @ u');
    expect(made.walks).toEqual([['K', 0, 1], ['V', 1, 1]]);
    expect(made.text).toContain('write outer(k, v)');
    expect(made.text).toContain('write outer(v, k)');
  });

  it('have what the update reads from the walk that erases', () => {
    const made = walks('exp(g) * S[t-1] + outer(k, b * (v - k @ S[t-1]))', 'o = q @ S  p = S @ u');
    // Its own read, and what it erases.
    expect(made.walks).toEqual([['K', 0, 2], ['V', 1, 1]]);
    expect(made.text).toContain('stage0.1 = (-b * k) @ S before the decay, before all writes');
    expect(made.text).toContain('write outer(v * b + stage0.1, k)');
  });

  it('scaled along the axis that stays: the result is scaled, and what is not scaled stands beside it', () => {
    const made = walks('S[t-1] + outer(k, v)', 'o = q @ (w * S + outer(k, u))  p = S @ u');
    expect(made.walks).toEqual([['K', 0, 1], ['V', 1, 1]]);
    expect(made.text).toMatch(/o = w \* stage0\.0 \+ .*u/);
  });
});
