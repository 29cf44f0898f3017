import { fillDraws, keyOf, type Draw } from '../../../../src/support/noise.js';
import {
  average, best, feedForward, kth, logsumexp, normalCdf, range, sigmoid, softmax, softplus, tensor, times, total, type FfnKind,
    type Params, type Row,
} from './plain.js';

/** Sizes that all routers have in the tests, and numbers of single ones. */
export interface Sizes {
  readonly D: number;
  readonly E: number;
  readonly F: number;
  readonly k: number;
  readonly [name: string]: number;
}

export interface Routed {
  readonly y: readonly Row[];
  readonly losses?: Readonly<Record<string, number>>;
  readonly updates?: Readonly<Record<string, Row>>;
  /** Other outputs. */
  readonly outputs?: Readonly<Record<string, readonly Row[]>>;
}

export interface Input {
  readonly x: readonly Row[];
  readonly params: Params;
  readonly lengths: readonly number[];
  readonly sizes: Sizes;
  readonly seed: number;
  readonly step: number;
}

export type Router = (input: Input) => Routed;

/** What one token draws: element by element, by its sequence and its place in it. */
function drawn({ lengths, seed, step }: Input, draw: Draw, number: number, count: number): Row[] {
  const key = keyOf(seed, '', step, number);
  return lengths.flatMap((length, sequence) => range(length).map((position) => {
    const out = new Float64Array(count);
    fillDraws(draw, key, [position, sequence, 0], out, 0, count);
    return [...out];
  }));
}

/** First row of each sequence and rows of each. */
function sequences({ lengths }: Input): number[][] {
  let at = 0;
  return lengths.map((length) => range(length).map(() => at++));
}

const column = (rows: readonly Row[], e: number): Row => rows.map((row) => row[e]);

function logits({ x, params, sizes: { D, E } }: Input, name = 'gate'): Row[] {
  const w = tensor(params, name, D, E);
  return x.map((row) => times(row, w, E));
}

/** Sum over experts of weight times expert, where the weight is not 0. */
function mixed({ x, params, sizes: { E, F } }: Input, kind: FfnKind, weights: readonly Row[], scale = 1): Row[] {
  return x.map((row, t) => {
    const y = row.map(() => 0);
    for (let e = 0; e < E; e++) {
      if (weights[t][e] === 0) continue;
      feedForward(params, 'expert', kind, [E, e], row, F).forEach((value, d) => {
        y[d] += scale * weights[t][e] * value;
      });
    }
    return y;
  });
}

function plus(a: readonly Row[], b: readonly Row[]): Row[] {
  return a.map((row, t) => row.map((value, d) => value + b[t][d]));
}

function shared({ x, params, sizes: { S } }: Input, kind: FfnKind): Row[] {
  return x.map((row) => feedForward(params, 'shared', kind, [1, 0], row, S));
}

/** Sum over experts of (share of tokens that chose it) times (mean score). */
function balance(chosen: readonly boolean[][], p: readonly Row[], E: number): number {
  return total(range(E).map((e) => average(chosen.map((row) => (row[e] ? 1 : 0))) * average(column(p, e))));
}

const only = (row: Row, kept: readonly boolean[]): Row => row.map((value, e) => (kept[e] ? value : 0));
const normed = (row: Row, eps = 0): Row => row.map((value) => value / (total(row) + eps));

const softmaxRouter = (renorm: boolean, kind: FfnKind = 'swiglu') =>
  (input: Input): { y: Row[]; p: Row[]; z: Row[]; chosen: boolean[][] } => {
  const z = logits(input);
  const p = z.map((row) => softmax(row));
  const chosen = p.map((row) => best(row, input.sizes.k));
  const g = p.map((row, t) => (renorm ? normed(only(row, chosen[t])) : only(row, chosen[t])));
  return { y: mixed(input, kind, g), p, z, chosen };
};

const grouped = (input: Input, score: (z: number) => number, sizes: Sizes): Row[] => {
  const w = tensor(input.params, 'gate', sizes.D, sizes.E);
  return input.x.map((row) => times(row, w, sizes.E).map(score));
};

const square = (x: number): number => x * x;
const cv = (values: Row): number => average(values.map(square)) / square(average(values)) - 1;

export const routers: Readonly<Record<string, Router>> = {
  noisy_topk(input) {
    const { x, params, sizes: { D, E, k } } = input;
    const z = logits(input);
    const noise = drawn(input, 'normal', 0, E);
    const spread = x.map((row) => times(row, tensor(params, 'noise', D, E), E).map(softplus));
    const h = z.map((row, t) => row.map((value, e) => value + noise[t][e] * spread[t][e]));
    const chosen = h.map((row) => best(row, k));
    const g = h.map((row, t) => softmax(row, chosen[t]));
    const load = range(E).map((e) => total(h.map((row, t) => {
      const bar = kth(row.filter((_, other) => other !== e), k);
      return normalCdf((z[t][e] - bar) / spread[t][e]);
    })));
    return { y: mixed(input, 'relu', g),
      losses: { load_cv: 0.1 * cv(load), weight_cv: 0.1 * cv(range(E).map((e) => total(column(g, e)))) } };
  },

  gshard(input) {
    const { E, cf, zw } = input.sizes;
    const z = logits(input);
    const p = z.map((row) => softmax(row));
    const lots = drawn(input, 'uniform', 0, 1);
    const first = p.map((row) => row.indexOf(Math.max(...row)));
    const second = p.map((row, t) => row.indexOf(Math.max(...row.filter((_, e) => e !== first[t]))));
    const weight = (t: number, e: number): number => p[t][e] / (p[t][first[t]] + p[t][second[t]]);
    const g = p.map((row) => row.map(() => 0));
    for (const rows of sequences(input)) {
      const room = range(E).map(() => Math.ceil((2 * cf * rows.length) / E));
      for (const t of rows) if (room[first[t]]-- > 0) g[t][first[t]] = weight(t, first[t]);
      for (const t of rows) {
        const e = second[t];
        if (2 * weight(t, e) > lots[t][0] && room[e]-- > 0) g[t][e] = weight(t, e);
      }
    }
    const perSequence = sequences(input).map((rows) => average(range(E).map((e) => {
      return average(rows.map((t) => (first[t] === e ? 1 : 0))) * average(rows.map((t) => p[t][e]));
    })));
    return { y: mixed(input, 'relu', g),
      losses: { balance: 0.01 * average(perSequence), z: zw * average(z.map((row) => square(logsumexp(row)))) } };
  },

  switch(input) {
    const { x, params, sizes: { D, E, cf } } = input;
    const jitter = drawn(input, 'uniform', 0, D);
    const p = x.map((row, t) =>
      softmax(times(row.map((value, d) => value * (1 - 0.01 + 0.02 * jitter[t][d])), tensor(params, 'gate', D, E), E)));
    const chosen = p.map((row) => best(row, 1));
    const room = range(E).map(() => Math.ceil((cf * x.length) / E));
    const g = p.map((row, t) => row.map((value, e) => (chosen[t][e] && room[e]-- > 0 ? value : 0)));
    return { y: mixed(input, 'relu', g), losses: { balance: 0.01 * E * balance(chosen, p, E) } };
  },

  mixtral(input) {
    const z = logits(input);
    const chosen = z.map((row) => best(row, input.sizes.k));
    return {
      y: mixed(input, 'swiglu', z.map((row, t) => softmax(row, chosen[t]))),
      outputs: { used: chosen.map((row) => row.map(Number)), share: z.map((row) => softmax(row)) },
    };
  },

  qwen_moe(input) {
    const { x, params, sizes: { D, E, aux, renorm } } = input;
    const { y, p, chosen } = softmaxRouter(renorm === 1)(input);
    const open = x.map((row) => sigmoid(times(row, tensor(params, 'shared_gate', D, 1), 1)[0]));
    return { y: plus(y, shared(input, 'swiglu').map((row, t) => row.map((value) => open[t] * value))),
      losses: { balance: aux * E * balance(chosen, p, E) } };
  },

  qwen3_moe(input) {
    const { y, p, chosen } = softmaxRouter(true)(input);
    return { y, losses: { balance: 1e-3 * input.sizes.E * balance(chosen, p, input.sizes.E) } };
  },

  olmoe(input) {
    const { y, p, z, chosen } = softmaxRouter(false)(input);
    const { E, aux, zw } = input.sizes;
    return { y, losses: { balance: aux * E * balance(chosen, p, E), z: zw * average(z.map((row) => square(logsumexp(row)))) } };
  },

  deepseek_v2(input) {
    const { x, sizes } = input;
    const { G, M, keep, k, scale } = sizes;
    const E = G * M;
    const groupOf = (e: number): number => Math.floor(e / M);
    const p = grouped(input, (z) => z, { ...sizes, E }).map((row) => softmax(row));
    const chosen = p.map((row) => {
      const groups = best(range(G).map((g) => Math.max(...row.slice(g * M, (g + 1) * M))), keep);
      return best(row, k, row.map((_, e) => groups[groupOf(e)]));
    });
    const own = { ...input, sizes: { ...sizes, E } };
    const y = plus(mixed(own, 'swiglu', p.map((row, t) => only(row, chosen[t])), scale), shared(input, 'swiglu'));
    const terms = sequences(input).map((rows) => {
      const f = range(E).map((e) => (E / k) * average(rows.map((t) => Number(chosen[t][e]))));
      const q = range(E).map((e) => average(rows.map((t) => p[t][e])));
      const inGroup = (values: Row, g: number): Row => values.slice(g * M, (g + 1) * M);
      return {
        experts: total(f.map((value, e) => value * q[e])),
        devices: total(range(G).map((g) => average(inGroup(f, g)) * total(inGroup(q, g)))),
        messages: total(range(G).map((g) => {
          const sent = (G / keep) * average(rows.map((t) => Number(range(M).some((m) => chosen[t][g * M + m]))));
          return sent * total(inGroup(q, g));
        })),
      };
    });
    return {
      y: y.slice(0, x.length),
      losses: {
        experts: 0.003 * average(terms.map((term) => term.experts)), devices: 0.05 * average(terms.map((term) => term.devices)),
        messages: 0.02 * average(terms.map((term) => term.messages)),
      },
    };
  },

  deepseek_v3(input) {
    const { params, sizes } = input;
    const { G, M, keep, k, scale, aux } = sizes;
    const E = G * M;
    const bias = tensor(params, 'b', E);
    const s = grouped(input, sigmoid, { ...sizes, E });
    const chosen = s.map((row) => {
      const c = row.map((value, e) => value + bias(e));
      const groups = best(range(G).map((g) => total([...c.slice(g * M, (g + 1) * M)].sort((a, b) => b - a).slice(0, 2))), keep);
      return best(c, k, row.map((_, e) => groups[Math.floor(e / M)]));
    });
    const g = s.map((row, t) => normed(only(row, chosen[t]), 1e-20));
    const y = plus(mixed({ ...input, sizes: { ...sizes, E } }, 'swiglu', g, scale), shared(input, 'swiglu'));
    const perSequence = sequences(input).map((rows) => total(range(E).map((e) => {
      return average(rows.map((t) => Number(chosen[t][e]))) * average(rows.map((t) => normed(s[t])[e]));
    })));
    const n = range(E).map((e) => total(chosen.map((row) => Number(row[e]))));
    return {
      y, losses: { balance: ((aux * E) / k) * average(perSequence) },
      updates: { b: range(E).map((e) => bias(e) + 1e-3 * Math.sign(average(n) - n[e])) },
    };
  },

  latent(input) {
    const { x, params, sizes } = input;
    const { D, E, F, Z, k, scale } = sizes;
    const bias = tensor(params, 'b', E);
    const s = grouped(input, sigmoid, sizes);
    const chosen = s.map((row) => best(row.map((value, e) => value + bias(e)), k));
    const g = s.map((row, t) => normed(only(row, chosen[t]), 1e-20));
    const y = x.map((row, t) => {
      const u = times(row, tensor(params, 'into', D, Z), Z);
      const sum = range(Z).map(() => 0);
      for (let e = 0; e < E; e++) {
        if (g[t][e] > 0) feedForward(params, 'expert', 'relu2', [E, e], u, F).forEach((value, i) => {
          sum[i] += scale * g[t][e] * value;
        });
      }
      return times(sum, tensor(params, 'out', Z, D), D);
    });
    const n = range(E).map((e) => total(chosen.map((row) => Number(row[e]))));
    return { y: plus(y, shared(input, 'relu2')), updates: { b: range(E).map((e) => bias(e) + 1e-3 * Math.sign(average(n) - n[e])) } };
  },

  gpt_oss_moe(input) {
    const { params, sizes: { E, k, aux } } = input;
    const bias = tensor(params, 'gate_bias', E);
    const z = logits(input).map((row) => row.map((value, e) => value + bias(e)));
    const chosen = z.map((row) => best(row, k));
    const y = mixed(input, 'clamped', z.map((row, t) => softmax(row, chosen[t])));
    return { y, losses: { balance: aux * E * balance(chosen, z.map((row) => softmax(row)), E) } };
  },

  minimax(input) {
    const { x, sizes: { E, k, cf } } = input;
    const z = logits(input);
    const chosen = z.map((row) => best(row, k));
    const g = z.map((row, t) => softmax(row, chosen[t]));
    const kept = range(E).map((e) => best(column(g, e), Math.ceil((cf * k * x.length) / E), chosen.map((row) => row[e])));
    const p = z.map((row) => softmax(row));
    return { y: mixed(input, 'swiglu', g.map((row, t) => only(row, range(E).map((e) => kept[e][t])))),
      losses: { balance: 1e-3 * balance(chosen, p, E) / E } };
  },

  hunyuan(input) {
    const { x, sizes: { E, F, k, cf, recycle } } = input;
    const p = logits(input).map((row) => softmax(row));
    const chosen = p.map((row) => best(row, k));
    const g = p.map((row, t) => row.map((value) => value / total(only(row, chosen[t]))));
    const room = Math.ceil((cf * k * x.length) / E);
    const kept = range(E).map((e) => best(column(p, e), room, chosen.map((row) => row[e])));
    if (recycle === 1) {
      const dice = drawn(input, 'uniform', 0, E);
      const free = kept.map((row) => room - row.filter(Boolean).length);
      const again = x.map((_, t) => {
        const lost = range(E).some((e) => chosen[t][e] && !kept[e][t]);
        return lost ? best(dice[t], 1, free.map((n) => n > 0)) : range(E).map(() => false);
      });
      for (let e = 0; e < E; e++) {
        best(column(dice, e), free[e], again.map((row) => row[e])).forEach((yes, t) => {
          if (yes) kept[e][t] = true;
        });
      }
    }
    const weights = g.map((row, t) => only(row, range(E).map((e) => kept[e][t])));
    const y = plus(mixed(input, 'swiglu', weights), shared({ ...input, sizes: { ...input.sizes, S: F } }, 'swiglu'));
    return { y, losses: { balance: 0.01 * E * balance(chosen, p, E) } };
  },

  expert_choice(input) {
    const { x, sizes: { E, cf } } = input;
    const p = logits(input).map((row) => softmax(row));
    const taken = range(E).map((e) => best(column(p, e), Math.ceil((cf * x.length) / E)));
    return { y: mixed(input, 'gelu', p.map((row, t) => only(row, range(E).map((e) => taken[e][t])))) };
  },

  sinkhorn_base(input) {
    const { x, sizes: { E, k } } = input;
    const z = logits(input);
    const cost = z.map((row) => row.map(Math.exp));
    const [left, right] = [x.map(() => 0), range(E).map(() => 1)];
    for (let change = Infinity; change >= 1e-4;) {
      cost.forEach((row, t) => {
        left[t] = 1 / (x.length * total(row.map((value, e) => value * right[e])));
      });
      const next = range(E).map((e) => 1 / (E * total(cost.map((row, t) => row[e] * left[t]))));
      change = average(next.map((value, e) => Math.abs(value - right[e])));
      next.forEach((value, e) => {
        right[e] = value;
      });
    }
    const chosen = cost.map((row, t) => best(row.map((value, e) => value * left[t] * right[e]), k));
    const a = z.map((row) => (k === 1 ? row.map(sigmoid) : softmax(row)));
    return { y: mixed(input, 'gelu', a.map((row, t) => only(row, chosen[t]))) };
  },

  quantile(input) {
    const { x, params, sizes: { E, k, ema } } = input;
    const beta = tensor(params, 'beta', E);
    const z = logits(input);
    const d = z.map((row) => row.map((value, e) => value - beta(e)));
    const chosen = d.map((row) => best(row, k));
    const a = z.map((row, t) => row.map((value) => value - kth(d[t], k + 1)));
    const rank = Math.floor((x.length * k) / E + 1);
    const next = range(E).map((e) => ema * beta(e) + (1 - ema) * kth(column(a, e), rank));
    return { y: mixed(input, 'swiglu', z.map((row, t) => softmax(row, chosen[t]))),
      updates: { beta: next.map((value) => value - average(next)) } };
  },

  sqrt_softplus(input) {
    const s = logits(input).map((row) => row.map((value) => Math.sqrt(softplus(value))));
    return { y: mixed(input, 'swiglu', s.map((row) => normed(only(row, best(row, input.sizes.k)), 1e-20))) };
  },

  token_rounding(input) {
    const { sizes: { E, k, tile } } = input;
    const p = logits(input).map((row) => softmax(row));
    const chosen = p.map((row) => best(row, k));
    const kept = range(E).map((e) => {
      const tiles = chosen.filter((row) => row[e]).length / tile;
      const whole = Math.floor(tiles);
      const count = tile * (tiles - whole > 0.5 || (tiles - whole === 0.5 && whole % 2 === 1) ? whole + 1 : whole);
      return best(p.map((row, t) => row[e] + Number(chosen[t][e])), count);
    });
    const g = p.map((row, t) => row.map((value, e) => (!kept[e][t] ? 0 : chosen[t][e] ? value / total(only(row, chosen[t])) : value)));
    return { y: mixed(input, 'swiglu', g) };
  },

  llama4(input) {
    const { x, params, sizes: { E, F, k } } = input;
    const z = logits(input);
    const chosen = z.map((row) => best(row, k));
    const y = x.map((row, t) => {
      const sum = row.map(() => 0);
      for (let e = 0; e < E; e++) {
        if (chosen[t][e]) feedForward(params, 'expert', 'swiglu', [E, e], row.map((value) => sigmoid(z[t][e]) * value),
          F).forEach((value, d) => {
          sum[d] += value;
        });
      }
      return sum;
    });
    return { y: plus(y, shared({ ...input, sizes: { ...input.sizes, S: F } }, 'swiglu')) };
  },

  remoe(input) {
    const g = logits(input).map((row) => row.map((value) => Math.max(value, 0)));
    return { y: mixed(input, 'swiglu', g), losses: { sparsity: input.sizes.pull * average(g.map(total)) } };
  },
};


