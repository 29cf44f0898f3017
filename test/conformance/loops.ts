/**
 * A few recurrences written as plain loops over one head of one sequence, with nothing of the compiler in them.
 * `x.q[t]` is the value of q at token t, row-major over its axes; states are overwritten.
 */
export interface Recurrence {
  /** The example that says the same. */
  readonly example: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly heads: number;
  readonly groups: number;
  /** [B, T], or the lengths of packed sequences. */
  readonly batch: readonly [B: number, T: number] | undefined;
  readonly lengths: readonly number[];
  /** Axes of every tensor. `per: 'group'` inputs are shared. */
  readonly inputs: readonly {
    readonly name: string; readonly axes: readonly string[]; readonly per: 'head' | 'group'; readonly lo?: number; readonly hi?: number;
  }[];
  readonly params: readonly { readonly name: string; readonly axes: readonly string[] }[];
  readonly states: readonly { readonly name: string; readonly axes: readonly string[] }[];
  readonly outputs: readonly { readonly name: string; readonly axes: readonly string[] }[];
  run(
    x: Readonly<Record<string, readonly number[][]>>, param: Readonly<Record<string, readonly number[]>>, state: Readonly<Record<string,
    number[]>>, tokens: number,
  ): Record<string, number[][]>;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.log(1 + Math.exp(x));

const gatedDelta: Recurrence = {
  example: 'gated_delta', sizes: { K: 3, V: 4 }, heads: 2, groups: 1, batch: undefined, lengths: [4, 1, 3],
  inputs: [
    { name: 'q', axes: ['K'], per: 'group' }, { name: 'k', axes: ['K'], per: 'group' }, { name: 'v', axes: ['V'], per: 'head' },
    { name: 'g', axes: [], per: 'head', lo: -2, hi: 0 }, { name: 'beta', axes: [], per: 'head', lo: 0, hi: 1 },
  ],
  params: [], states: [{ name: 'S', axes: ['K', 'V'] }], outputs: [{ name: 'o', axes: ['V'] }],
  run({ q, k, v, g, beta }, _, { S }, tokens) {
    const o: number[][] = [];
    for (let t = 0; t < tokens; t++) {
      for (let i = 0; i < 12; i++) S[i] *= Math.exp(g[t][0]);
      o[t] = [];
      for (let j = 0; j < 4; j++) {
        const found = k[t][0] * S[j] + k[t][1] * S[4 + j] + k[t][2] * S[8 + j];
        for (let i = 0; i < 3; i++) S[4 * i + j] += beta[t][0] * k[t][i] * (v[t][j] - found);
        o[t][j] = (q[t][0] * S[j] + q[t][1] * S[4 + j] + q[t][2] * S[8 + j]) / Math.sqrt(3);
      }
    }
    return { o };
  },
};

const bonus: Recurrence = {
  example: 'rwkv6', sizes: { K: 2, V: 3 }, heads: 2, groups: 2, batch: [2, 4], lengths: [4, 4],
  inputs: [
    { name: 'r', axes: ['K'], per: 'head' }, { name: 'k', axes: ['K'], per: 'head' }, { name: 'v', axes: ['V'], per: 'head' }, {
      name: 'w', axes: ['K'], per: 'head', lo: -3, hi: 0,
    },
  ],
  params: [{ name: 'u', axes: ['K'] }], states: [{ name: 'S', axes: ['K', 'V'] }], outputs: [{ name: 'o', axes: ['V'] }],
  run({ r, k, v, w }, { u }, { S }, tokens) {
    const o: number[][] = [];
    for (let t = 0; t < tokens; t++) {
      o[t] = [0, 0, 0];
      for (let i = 0; i < 2; i++) {
        for (let j = 0; j < 3; j++) {
          o[t][j] += r[t][i] * (S[3 * i + j] + u[i] * k[t][i] * v[t][j]);
          S[3 * i + j] = Math.exp(w[t][i]) * S[3 * i + j] + k[t][i] * v[t][j];
        }
      }
    }
    return { o };
  },
};

const discretised: Recurrence = {
  example: 'mamba2', sizes: { N: 3, P: 2 }, heads: 4, groups: 2, batch: [1, 5], lengths: [5],
  inputs: [
    { name: 'x', axes: ['P'], per: 'head' }, { name: 'dt', axes: [], per: 'head' }, {
      name: 'B', axes: ['N'], per: 'group',
    }, { name: 'C', axes: ['N'], per: 'group' },
  ],
  params: [
    { name: 'A_log', axes: [] }, { name: 'dt_bias', axes: [] }, { name: 'D', axes: [] },
  ], states: [{ name: 'h', axes: ['N', 'P'] }], outputs: [{ name: 'o', axes: ['P'] }],
  run({ x, dt, B, C }, { A_log, dt_bias, D }, { h }, tokens) {
    const o: number[][] = [];
    for (let t = 0; t < tokens; t++) {
      const delta = softplus(dt[t][0] + dt_bias[0]);
      const decay = Math.exp(-Math.exp(A_log[0]) * delta);
      o[t] = [D[0] * x[t][0], D[0] * x[t][1]];
      for (let n = 0; n < 3; n++) {
        for (let p = 0; p < 2; p++) {
          h[2 * n + p] = decay * h[2 * n + p] + delta * B[t][n] * x[t][p];
          o[t][p] += C[t][n] * h[2 * n + p];
        }
      }
    }
    return { o };
  },
};

const elementwise: Recurrence = {
  example: 'rg_lru', sizes: { D: 3 }, heads: 2, groups: 2, batch: [2, 3], lengths: [3, 3],
  inputs: [{ name: 'x', axes: ['D'], per: 'head' }, { name: 'r', axes: ['D'], per: 'head' }, { name: 'i', axes: ['D'], per: 'head' }],
  params: [{ name: 'lam', axes: ['D'] }], states: [{ name: 'h', axes: ['D'] }], outputs: [{ name: 'o', axes: ['D'] }],
  run({ x, r, i }, { lam }, { h }, tokens) {
    const o: number[][] = [];
    for (let t = 0; t < tokens; t++) {
      for (let d = 0; d < 3; d++) {
        const a = sigmoid(lam[d]) ** (8 * sigmoid(r[t][d]));
        h[d] = a * h[d] + Math.sqrt(1 - a * a) * sigmoid(i[t][d]) * x[t][d];
      }
      o[t] = [...h];
    }
    return { o };
  },
};

const chained: Recurrence = {
  example: 'gsa', sizes: { K: 2, M: 3, V: 2 }, heads: 1, groups: 1, batch: undefined, lengths: [3, 3],
  inputs: [
    { name: 'q', axes: ['K'], per: 'head' }, { name: 'k', axes: ['K'], per: 'head' }, { name: 'v', axes: ['V'], per: 'head' }, {
      name: 'g', axes: ['M'], per: 'head', lo: -2, hi: 0,
    },
  ],
  params: [], states: [{ name: 'Kt', axes: ['K', 'M'] }, { name: 'Vt', axes: ['M', 'V'] }], outputs: [{ name: 'o', axes: ['V'] }],
  run({ q, k, v, g }, _, { Kt, Vt }, tokens) {
    const o: number[][] = [];
    for (let t = 0; t < tokens; t++) {
      const weights: number[] = [];
      for (let m = 0; m < 3; m++) {
        const keep = Math.exp(g[t][m]);
        for (let i = 0; i < 2; i++) Kt[3 * i + m] = keep * Kt[3 * i + m] + (1 - keep) * k[t][i];
        for (let j = 0; j < 2; j++) Vt[2 * m + j] = keep * Vt[2 * m + j] + (1 - keep) * v[t][j];
        weights[m] = Math.exp((q[t][0] * Kt[m] + q[t][1] * Kt[3 + m]) / Math.sqrt(2));
      }
      const total = weights[0] + weights[1] + weights[2];
      o[t] = [0, 1].map((j) => (weights[0] * Vt[j] + weights[1] * Vt[2 + j] + weights[2] * Vt[4 + j]) / total);
    }
    return { o };
  },
};

export const RECURRENCES: readonly Recurrence[] = [gatedDelta, bonus, discretised, elementwise, chained];
