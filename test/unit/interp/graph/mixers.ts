import { average, dot, logsumexp, range, sigmoid, silu, relu, softplus, tensor, times, total, type Params, type Row } from './plain.js';

/** Mixers in plain loops. Rows of projections hold all heads, outermost first. */
export interface MixerInput {
  readonly x: readonly Row[];
  /** Other inputs. */
  readonly inputs: Readonly<Record<string, readonly Row[]>>;
  readonly params: Params;
  readonly lengths: readonly number[];
  readonly sizes: Readonly<Record<string, number>>;
}

export type Mixer = (input: MixerInput) => Readonly<Record<string, readonly Row[]>>;

const part = (row: Row, i: number, size: number): Row => row.slice(i * size, (i + 1) * size);
const l2 = (row: Row): Row => row.map((value) => value / Math.sqrt(dot(row, row) + 1e-6));
const rms = (row: Row, eps: number): Row => row.map((value) => value / Math.sqrt(dot(row, row) / row.length + eps));
const standard = (row: Row, eps: number): Row => {
  const middle = average(row);
  return row.map((value) => (value - middle) / Math.sqrt(average(row.map((other) => (other - middle) ** 2)) + eps));
};
/** A function of each of `count` parts of a row. */
const each = (row: Row, count: number, f: (own: Row, i: number) => Row): Row =>
  range(count).flatMap((i) => f(part(row, i, row.length / count), i));
const product = (a: Row, b: Row): Row => a.map((value, i) => value * b[i]);
const sum = (a: Row, b: Row): Row => a.map((value, i) => value + b[i]);

function places({ lengths }: MixerInput): { sequence: number; position: number; first: number }[] {
  let first = 0;
  return lengths.flatMap((length, sequence) => {
    first += length;
    return range(length).map((position) => ({ sequence, position, first: first - length }));
  });
}

function project({ x, params, sizes: { D } }: MixerInput, path: string, width: number, from: readonly Row[] = x, inner = D): Row[] {
  const w = tensor(params, path, inner, width);
  return from.map((row) => times(row, w, width));
}

function vector(params: Params, path: string, size: number): Row {
  const w = tensor(params, path, size);
  return range(size).map((i) => w(i));
}

/** Row t: sum over j of w[j] x[t - (T - 1) + j], 0 before the sequence. */
function convolve(input: MixerInput, rows: readonly Row[], path: string): Row[] {
  const { T } = input.sizes;
  const w = tensor(input.params, path, T, rows[0].length);
  return places(input).map(({ position }, t) => rows[t].map((_, i) => total(range(T).map((j) => {
    const back = T - 1 - j;
    return back > position ? 0 : w(j, i) * rows[t - back][i];
  }))));
}

function rotate(row: Row, position: number, f: Row, pairs: 'halves' | 'adjacent'): Row {
  const out = [...row];
  f.forEach((speed, i) => {
    const [p, q] = pairs === 'halves' ? [i, i + f.length] : [2 * i, 2 * i + 1];
    out[p] = row[p] * Math.cos(position * speed) - row[q] * Math.sin(position * speed);
    out[q] = row[q] * Math.cos(position * speed) + row[p] * Math.sin(position * speed);
  });
  return out;
}

interface Attention {
  readonly heads: number;
  /** Logit of head h for token t and an earlier one. */
  logit(h: number, t: number, s: number): number;
  value(h: number, s: number): Row;
  readonly window?: number;
  sink?(h: number): number;
}

function attend(input: MixerInput, { heads, logit, value, window = Infinity, sink }: Attention): Row[] {
  return places(input).map(({ first }, t) => range(heads).flatMap((h) => {
    const seen = range(t + 1).slice(Math.max(first, t - window + 1));
    const weights = seen.map((s) => Math.exp(logit(h, t, s)));
    const all = total(weights) + (sink === undefined ? 0 : Math.exp(sink(h)));
    return seen.map((s, i) => value(h, s).map((v) => (v * weights[i]) / all)).reduce(sum);
  }));
}

type Matrix = number[][];

/** A state [K, V] a head, from step to step along each sequence; `tokens` says which are steps. */
function recur(
  input: MixerInput, heads: number, K: number, V: number, step: (S: Matrix, h: number, t: number) => { S: Matrix; o: Row },
    present: (t: number, h: number) => boolean = () => true,
): Row[] {
  const states = new Map<number, Matrix>();
  return places(input).map(({ position }, t) => range(heads).flatMap((h) => {
    if (position === 0) states.set(h, range(K).map(() => range(V).map(() => 0)));
    if (!present(t, h)) return range(V).map(() => 0);
    const { S, o } = step(states.get(h) ?? [], h, t);
    states.set(h, S);
    return o;
  }));
}

const read = (q: Row, S: Matrix): Row => range(S[0].length).map((v) => total(q.map((value, k) => value * S[k][v])));

/** Decay (of a channel each), erase what k reads, write beta v; read by q / sqrt(K). */
function deltaStep(S: Matrix, q: Row, k: Row, v: Row, g: Row, beta: number): { S: Matrix; o: Row } {
  const P = S.map((row, i) => row.map((value) => Math.exp(g[i]) * value));
  const old = read(k, P);
  const next = P.map((row, i) => row.map((value, j) => value + k[i] * beta * (v[j] - old[j])));
  return { S: next, o: read(q, next).map((value) => value / Math.sqrt(k.length)) };
}

/** Decay, write k v, read by q. */
function plainStep(S: Matrix, q: Row, k: Row, v: Row, g: Row): { S: Matrix; o: Row } {
  const next = S.map((row, i) => row.map((value, j) => Math.exp(g[i]) * value + k[i] * v[j]));
  return { S: next, o: read(q, next) };
}

const frequencies = (I: number, theta: number): Row => range(I).map((i) => theta ** (-i / I));

/** YaRN: slow ones are stretched by `factor`, fast ones stay. */
function yarn(I: number, theta: number, factor: number, round: boolean): Row {
  const bound = (turns: number): number => (I * Math.log(4096 / (turns * 2 * Math.PI))) / Math.log(theta);
  const [low, high] = round ? [Math.floor(bound(32)), Math.ceil(bound(1))] : [bound(32), bound(1)];
  return frequencies(I, theta).map((f, i) => {
    const ramp = Math.min(Math.max((i - low) / (high - low), 0), 1);
    return f * (1 - ramp + ramp / factor);
  });
}

export const mixers: Readonly<Record<string, Mixer>> = {
  gqa(input) {
    const { params, sizes: { D, J, R, K, I, theta, bias, qk_norm, eps } } = input;
    const made = (name: string, count: number): Row[] => project(input, `W${name}`, count * K).map((row, t) => {
      const shifted = bias === 1 ? sum(row, vector(params, `b${name}`, count * K)) : row;
      if (name === 'v') return shifted;
      return each(shifted, count, (own) => {
        const scaled = qk_norm === 1 ? product(vector(params, `n${name}`, K), rms(own, eps)) : own;
        return rotate(scaled, places(input)[t].position, I > 0 ? frequencies(I, theta) : [], 'halves');
      });
    });
    const [q, k, v] = [made('q', J * R), made('k', J), made('v', J)];
    const o = attend(input, {
      heads: J * R,
      logit: (h, t, s) => dot(part(q[t], h, K), part(k[s], Math.floor(h / R), K)) / Math.sqrt(K),
      value: (h, s) => part(v[s], Math.floor(h / R), K),
    });
    return { y: project(input, 'Wo', D, o, J * R * K) };
  },

  gated_gqa(input) {
    const { params, sizes: { D, J, R, K, I, theta } } = input;
    const turned = (name: string, count: number): Row[] => project(input, `W${name}`, count * K).map((row, t) => each(row, count, (own) => {
      const weight = vector(params, `n${name}`, K).map((w) => 1 + w);
      return rotate(product(weight, rms(own, 1e-6)), places(input)[t].position, frequencies(I, theta), 'halves');
    }));
    const [q, k, v, g] = [turned('q', J * R), turned('k', J), project(input, 'Wv', J * K), project(input, 'Wg', J * R * K)];
    const o = attend(input, {
      heads: J * R,
      logit: (h, t, s) => dot(part(q[t], h, K), part(k[s], Math.floor(h / R), K)) / Math.sqrt(K),
      value: (h, s) => part(v[s], Math.floor(h / R), K),
    });
    return { y: project(input, 'Wo', D, o.map((row, t) => product(row, g[t].map(sigmoid))), J * R * K) };
  },

  sink_gqa(input) {
    const { params, sizes: { D, J, R, K, I, theta, factor, window } } = input;
    const m = 0.1 * Math.log(factor) + 1;
    const biased = (name: string, count: number): Row[] =>
      project(input, `W${name}`, count * K).map((row) => sum(row, vector(params, `b${name}`, count * K)));
    const turned = (name: string, count: number): Row[] => biased(name, count).map((row, t) => each(row, count, (own) => {
      return rotate(own, places(input)[t].position, yarn(I, theta, factor, false), 'halves').map((value) => m * value);
    }));
    const [q, k, v] = [turned('q', J * R), turned('k', J), biased('v', J)];
    const sinks = vector(params, 'sinks', J * R);
    const o = attend(input, {
      heads: J * R, window: window > 0 ? window : Infinity, sink: (h) => sinks[h],
      logit: (h, t, s) => dot(part(q[t], h, K), part(k[s], Math.floor(h / R), K)) / Math.sqrt(K),
      value: (h, s) => part(v[s], Math.floor(h / R), K),
    });
    return { y: project(input, 'Wo', D, o, J * R * K).map((row) => sum(row, vector(params, 'bo', D))) };
  },

  mla(input) {
    const { params, sizes: { D, H, A, C, N, R, V, I, theta, factor, rotate: turns } } = input;
    const where = places(input);
    const a = A > 0 ? project(input, 'Wqa', A).map((row) => product(vector(params, 'nq', A), rms(row, 1e-6))) : input.x;
    const width = A > 0 ? A : D;
    const turn = (row: Row, t: number): Row =>
      (turns === 1 ? rotate(row, where[t].position, yarn(I, theta, factor, true), 'adjacent') : row);
    const qn = project(input, 'Wqn', H * N, a, width);
    const qr = project(input, 'Wqr', H * R, a, width).map((row, t) => each(row, H, (own) => turn(own, t)));
    const c = project(input, 'Wkv', C).map((row) => product(vector(params, 'nkv', C), rms(row, 1e-6)));
    const r = project(input, 'Wkr', R).map(turn);
    const [keys, values] = [project(input, 'Wuk', H * N, c, C), project(input, 'Wuv', H * V, c, C)];
    const m = 0.1 * Math.log(factor) + 1;
    const o = attend(input, {
      heads: H,
      logit: (h, t, s) => ((dot(part(qn[t], h, N), part(keys[s], h, N)) + dot(part(qr[t], h, R), r[s])) * m * m) / Math.sqrt(N + R),
      value: (h, s) => part(values[s], h, V),
    });
    return { y: project(input, 'Wo', D, o, H * V) };
  },

  gdn(input) {
    const { params, sizes: { D, J, R, K, V } } = input;
    const mixed = (name: string, width: number): Row[] =>
      convolve(input, project(input, `W${name}`, width), `C${name}`).map((row) => row.map(silu));
    const [q, k] = ['q', 'k'].map((name) => mixed(name, J * K).map((row) => each(row, J, l2)));
    const v = mixed('v', J * R * V);
    const [A, dt] = [vector(params, 'A_log', J * R), vector(params, 'dt_bias', J * R)];
    const [a, b] = [project(input, 'Wa', J * R), project(input, 'Wb', J * R)];
    const o = recur(input, J * R, K, V, (S, h, t) => {
      const g = -Math.exp(A[h]) * softplus(a[t][h] + dt[h]);
      const j = Math.floor(h / R);
      return deltaStep(S, part(q[t], j, K), part(k[t], j, K), part(v[t], h, V), range(K).map(() => g), sigmoid(b[t][h]));
    });
    const z = project(input, 'Wz', J * R * V);
    const gated = o.map((row, t) => product(each(row, J * R, (own) => product(vector(params, 'norm', V), rms(own, 1e-6))), z[t].map(silu)));
    return { y: project(input, 'Wo', D, gated, J * R * V) };
  },

  kimi_kda(input) {
    const { params, sizes: { D, H, K, V, Z } } = input;
    const mixed = (name: string, width: number): Row[] =>
      convolve(input, project(input, `W${name}`, width), `C${name}`).map((row) => row.map(silu));
    const [q, k] = ['q', 'k'].map((name) => mixed(name, H * K).map((row) => each(row, H, l2)));
    const v = mixed('v', H * V);
    const [A, dt] = [vector(params, 'A_log', H), vector(params, 'dt_bias', H * K)];
    const [f, b] = [project(input, 'f2', H * K, project(input, 'f1', Z), Z), project(input, 'Wb', H)];
    const o = recur(input, H, K, V, (S, h, t) => {
      const g = part(f[t], h, K).map((value, i) => -Math.exp(A[h]) * softplus(value + dt[h * K + i]));
      return deltaStep(S, part(q[t], h, K), part(k[t], h, K), part(v[t], h, V), g, sigmoid(b[t][h]));
    });
    const gate = project(input, 'g2', H * V, project(input, 'g1', Z), Z);
    const gated = o.map((row, t) =>
      product(each(row, H, (own) => product(vector(params, 'norm', V), rms(own, 1e-5))), gate[t].map(sigmoid)));
    return { y: project(input, 'Wo', D, gated, H * V) };
  },

  mamba2(input) {
    const { params, sizes: { D, G, R, V, K, eps } } = input;
    const mixed = (name: string, width: number): Row[] => convolve(input, project(input, `W${name}`, width), `C${name}`).map((row) => {
      return sum(row, vector(params, `b${name}`, width)).map(silu);
    });
    const [u, b, c] = [mixed('x', G * R * V), mixed('b', G * K), mixed('c', G * K)];
    const [A, bias, skip] = ['A_log', 'dt_bias', 'skip'].map((name) => vector(params, name, G * R));
    const dt = project(input, 'Wdt', G * R).map((row) => sum(row, bias).map(softplus));
    const o = recur(input, G * R, K, V, (S, h, t) => {
      const own = part(u[t], h, V);
      const g = Math.floor(h / R);
      const step = plainStep(S, part(c[t], g, K), part(b[t], g, K), own.map((value) => dt[t][h] * value),
        range(K).map(() => -Math.exp(A[h]) * dt[t][h]));
      return { S: step.S, o: sum(step.o, own.map((value) => skip[h] * value)) };
    });
    const z = project(input, 'Wz', G * R * V);
    const normed = o.map((row, t) =>
      product(vector(params, 'norm', G * R * V), each(product(row, z[t].map(silu)), G, (own) => rms(own, eps))));
    return { y: project(input, 'Wo', D, normed, G * R * V) };
  },

  lightning_mixer(input) {
    const { params, sizes: { D, H, K, V, i, L } } = input;
    const made = (name: string, width: number): Row[] => project(input, `W${name}`, width).map((row) => row.map(silu));
    const [q, k, v, g] = [made('q', H * K), made('k', H * K), made('v', H * V), project(input, 'Wg', H * V)];
    const rate = 1 - i / (L - 1 + 1e-5) + 1e-5;
    const o = recur(input, H, K, V, (S, h, t) => {
      const decay = -rate * 2 ** ((-8 * (h + 1)) / H);
      return plainStep(S, part(q[t], h, K), part(k[t], h, K), part(v[t], h, V), range(K).map(() => decay));
    });
    const gated = o.map((row, t) => product(product(vector(params, 'norm', H * V), rms(row, 1e-6)), g[t].map(sigmoid)));
    return { y: project(input, 'Wo', D, gated, H * V) };
  },

  gla_mixer(input) {
    const { params, sizes: { D, H, K, V, Z } } = input;
    const [q, k, v, g] = [project(input, 'Wq', H * K), project(input, 'Wk', H * K), project(input, 'Wv', H * V),
      project(input, 'Wg', H * V)];
    const f = project(input, 'g2', H * K, project(input, 'g1', Z),
      Z).map((row) => sum(row, vector(params, 'gb', H * K)).map((value) => -softplus(-value) / 16));
    const o = recur(input, H, K, V, (S, h, t) => {
      const step = plainStep(S, part(q[t], h, K), part(k[t], h, K), part(v[t], h, V), part(f[t], h, K));
      return { S: step.S, o: step.o.map((value) => value / Math.sqrt(K)) };
    });
    const gated = o.map((row, t) => product(each(row, H, (own) => product(vector(params, 'norm', V), rms(own, 1e-6))), g[t].map(silu)));
    return { y: project(input, 'Wo', D, gated, H * V) };
  },

  seed_gla(input) {
    const { params, sizes: { D, H, K, V, Z } } = input;
    const biased = (name: string, width: number): Row[] =>
      project(input, `W${name}`, width).map((row) => sum(row, vector(params, `b${name}`, width)));
    const [q, k, v, g] = [biased('q', H * K).map((row) => row.map(silu)), biased('k', H * K).map((row) => row.map(silu)),
      biased('v', H * V), biased('g', H * V)];
    const f = project(input, 'g2', H * K, project(input, 'g1', Z),
      Z).map((row) => sum(row, vector(params, 'gb', H * K)).map((value) => -softplus(-value) / 16));
    const o = recur(input, H, K, V, (S, h, t) => {
      const step = plainStep(S, part(q[t], h, K), part(k[t], h, K), part(v[t], h, V), part(f[t], h, K));
      return { S: step.S, o: step.o.map((value) => value / Math.sqrt(K)) };
    });
    const gated = o.map((row, t) => product(each(row, H, (own) => product(vector(params, 'norm', V), rms(own, 1e-5))), g[t].map(silu)));
    return { y: project(input, 'Wo', D, gated, H * V) };
  },

  time_mix(input) {
    const { x, inputs, params, sizes: { D, H, K, V, A, Z, M, P, i } } = input;
    const where = places(input);
    const shifted = (name: string): Row[] => x.map((row, t) => row.map((value, d) => {
      const before = where[t].position === 0 ? 0 : x[t - 1][d];
      return value + (before - value) * vector(params, name, D)[d];
    }));
    const through = (from: Row[], first: string, width: number, second: string, out: number, f: (value: number) => number): Row[] => {
      return project(input, second, out, project(input, first, width, from).map((row) => row.map(f)), width);
    };
    const same = (value: number): number => value;
    const xv = shifted('x_v');
    const r = project(input, 'Wr', H * K, shifted('x_r'));
    let k = project(input, 'Wk', H * K, shifted('x_k'));
    let v = project(input, 'Wv', H * V, xv);
    if (i > 0) {
      const blend = through(xv, 'v1', M, 'v2', H * V, same);
      v = v.map((row, t) =>
        row.map((value, j) => value + (inputs.v0[t][j] - value) * sigmoid(blend[t][j] + vector(params, 'vb', H * V)[j])));
    }
    const decay = through(shifted('x_w'), 'w1', Z, 'w2', H * K, Math.tanh);
    const w = decay.map((row) => sum(row, vector(params, 'w0', H * K)).map((value) => -Math.exp(-0.5) * sigmoid(value)));
    const a = through(shifted('x_a'), 'a1', A, 'a2', H * K, same).map((row) => sum(row, vector(params, 'a0', H * K)).map(sigmoid));
    const g = through(shifted('x_g'), 'g1', P, 'g2', H * V, sigmoid);
    const kk = k.map((row) => each(product(row, vector(params, 'k_k', H * K)), H, l2));
    k = k.map((row, t) => row.map((value, j) => value * (1 + (a[t][j] - 1) * vector(params, 'k_a', H * K)[j])));
    const o = recur(input, H, K, V, (S, h, t) => {
      const [own, gate] = [part(kk[t], h, K), part(a[t], h, K)];
      const old = read(own.map((value) => -value), S);
      const next = S.map((row, c) => row.map((value, j) => {
        return Math.exp(w[t][h * K + c]) * value + own[c] * gate[c] * old[j] + k[t][h * K + c] * v[t][h * V + j];
      }));
      return { S: next, o: read(part(r[t], h, K), next) };
    });
    const [nw, nb, bonus] = [vector(params, 'nw', H * V), vector(params, 'nb', H * V), vector(params, 'r_k', H * K)];
    const y = o.map((row, t) => {
      const normed = sum(product(nw, each(row, H, (own) => standard(own, V * 1e-5))), nb);
      const bonusOf = (h: number): number => total(range(K).map((c) => r[t][h * K + c] * k[t][h * K + c] * bonus[h * K + c]));
      const straight = each(v[t], H, (own, h) => own.map((value) => value * bonusOf(h)));
      return product(sum(normed, straight), g[t]);
    });
    return { y: project(input, 'Wo', D, y, H * V), v };
  },

  channel_mix(input) {
    const { x, params, sizes: { D, F } } = input;
    const where = places(input);
    const mixed = x.map((row, t) =>
      row.map((value, d) => value + ((where[t].position === 0 ? 0 : x[t - 1][d]) - value) * vector(params, 'x_k', D)[d]));
    return { y: project(input, 'down', D, project(input, 'up', F, mixed).map((row) => row.map((value) => relu(value) ** 2)), F) };
  },

  mom(input) {
    const { x, params, lengths, sizes: { D, H, K, V, M, T, k: most } } = input;
    const z = project(input, 'gate', M);
    const p = z.map((row) => row.map((value) => Math.exp(value - logsumexp(row))));
    const chosen = p.map((row) =>
      range(M).map((m) => row.filter((other, i) => other > row[m] || (other === row[m] && i < m)).length < most));
    const [A, dt] = [vector(params, 'A_log', H), vector(params, 'dt_bias', H)];
    /** One memory on the tokens that are its own. */
    const memory = (own: readonly boolean[], k0: Row[], v0: Row[], a0: Row[], b0: Row[]): Row[] => {
      const kept = range(x.length).filter((t) => own[t]);
      let at = 0;
      const counts = lengths.map((length) => {
        at += length;
        return kept.filter((t) => t >= at - length && t < at).length;
      });
      const short: MixerInput = { ...input, x: kept.map((t) => x[t]), lengths: counts, sizes: { ...input.sizes, T } };
      if (kept.length === 0) return x.map(() => range(H * V).map(() => 0));
      const q = convolve(short, project(short, 'Wq', H * K), 'Cq').map((row) => each(row.map(silu), H, l2));
      const key = convolve(short, kept.map((t) => k0[t]), 'Ck').map((row) => each(row.map(silu), H, l2));
      const v = convolve(short, kept.map((t) => v0[t]), 'Cv').map((row) => row.map(silu));
      const o = recur(short, H, K, V, (S, h, t) => {
        const g = -Math.exp(A[h]) * softplus(a0[kept[t]][h] + dt[h]);
        return deltaStep(S, part(q[t], h, K), part(key[t], h, K), part(v[t], h, V), range(K).map(() => g), sigmoid(b0[kept[t]][h]));
      });
      return x.map((_, t) => (kept.includes(t) ? o[kept.indexOf(t)] : range(H * V).map(() => 0)));
    };
    const of = (name: string, m: number, width: number): Row[] => {
      const w = tensor(params, name, M, D, width);
      return x.map((row) => times(row, (d, f) => w(m, d, f), width));
    };
    const memories = range(M).map((m) =>
      memory(chosen.map((row) => row[m]), of('Wk', m, H * K), of('Wv', m, H * V), of('Wa', m, H), of('Wb', m, H)));
    const always = memory(x.map(() => true), project(input, 'Sk', H * K), project(input, 'Sv', H * V), project(input, 'Sa', H),
      project(input, 'Sb', H));
    const g = project(input, 'Wg', H * V);
    const gated = x.map((_, t) => {
      const all = total(p[t].filter((_value, m) => chosen[t][m]));
      const mixed = range(M).reduce((row, m) => (chosen[t][m] ? sum(row, memories[m][t].map((value) => (p[t][m] / all) * value)) : row),
        always[t]);
      return product(each(mixed, H, (own) => product(vector(params, 'norm', V), rms(own, 1e-6))), g[t].map(silu));
    });
    return { y: project(input, 'Wo', D, gated, H * V) };
  },
};
