/** Extents of one batch. */
export interface Extents {
  readonly T: number;
  readonly H: number;
  readonly K: number;
  readonly V: number;
}

/** q, k, g [T, H, K] and v [T, H, V], row-major. */
export type Inputs = Readonly<Record<'q' | 'k' | 'v' | 'g', Float32Array>>;

/** o [T, H, V], S [H, K, V] after the last token, and the gradients of the inputs. */
export type Outcome = Readonly<Record<'o' | 'S' | 'd_q' | 'd_k' | 'd_v' | 'd_g', Float64Array>>;

/**
 * The formula token by token, in float64: S_t = diag(exp(g_t)) S_{t-1} + k_t v_t^T, o_t = q_t S_t / sqrt(K). Then backwards from dO [T, H, V], the
 * cotangent of o, with dS_t = diag(exp(g_{t+1})) dS_{t+1} + q_t do_t^T / sqrt(K).
 */
export function plainLoop({ q, k, v, g }: Inputs, dO: Float32Array, { T, H, K, V }: Extents): Outcome {
  const scale = 1 / Math.sqrt(K);
  const zeros = (count: number) => new Float64Array(count);
  const result = { o: zeros(T * H * V), S: zeros(H * K * V), d_q: zeros(T * H * K), d_k: zeros(T * H * K), d_v: zeros(T * H * V), d_g: zeros(T * H * K) };
  for (let h = 0; h < H; h++) {
    // S_0 ... S_T, one after the other.
    const states = zeros((T + 1) * K * V);
    for (let t = 0; t < T; t++) {
      const [before, now, key, value] = [t * K * V, (t + 1) * K * V, (t * H + h) * K, (t * H + h) * V];
      for (let i = 0; i < K; i++) {
        const decay = Math.exp(g[key + i]);
        for (let j = 0; j < V; j++) {
          states[now + i * V + j] = decay * states[before + i * V + j] + k[key + i] * v[value + j];
          result.o[value + j] += scale * q[key + i] * states[now + i * V + j];
        }
      }
    }
    result.S.set(states.subarray(T * K * V), h * K * V);
    const dS = zeros(K * V);
    for (let t = T - 1; t >= 0; t--) {
      const [before, now, key, value] = [t * K * V, (t + 1) * K * V, (t * H + h) * K, (t * H + h) * V];
      for (let i = 0; i < K; i++) {
        const decay = Math.exp(g[key + i]);
        for (let j = 0; j < V; j++) {
          const at = i * V + j;
          dS[at] += scale * q[key + i] * dO[value + j];
          result.d_q[key + i] += scale * states[now + at] * dO[value + j];
          result.d_k[key + i] += dS[at] * v[value + j];
          result.d_v[value + j] += dS[at] * k[key + i];
          result.d_g[key + i] += dS[at] * decay * states[before + at];
          dS[at] *= decay;
        }
      }
    }
  }
  return result;
}
