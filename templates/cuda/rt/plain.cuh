// Products, solves and decay scores of f32 tiles by all 256 threads of a block, without tensor cores.

// T values in pieces of up to 4 neighbours, STRIDE apart.
template <int T, int STRIDE> DEV void pieces(float* r, const float* p) {
  constexpr int P = T < 4 ? T : 4;
  UNROLL for (int i = 0; i < T / P; ++i) ldn<P>(r + i * P, p + i * STRIDE);
}
// acc[m][n] += sum over KS of a[k][m] b[k][n]; rows of a and b are AP and BP long.
template <int KS, int AP, int BP, int AS, int BS, int TM, int TN> DEV void accumulate(float (&acc)[TM][TN], const float* a, const float* b) {
#pragma unroll 4
  for (int k = 0; k < KS; ++k) {
    float x[TM], y[TN];
    pieces<TM, AS>(x, a + k * AP);
    pieces<TN, BS>(y, b + k * BP);
    UNROLL for (int i = 0; i < TM; ++i) UNROLL for (int j = 0; j < TN; ++j) acc[i][j] += x[i] * y[j];
  }
}

// X = (I - A)^-1 for strictly lower A, both C x C with rows of P: 16 x 16 blocks by substitution, then pairs of blocks, X21 = X22 A21 X11.
// part: C * C / 4 floats. Starts and ends behind a barrier of its own.
template <int C, int P> DEV void inverse(float* X, const float* A, float* part) {
  constexpr int B = C < 16 ? C : 16;
  const int t = threadIdx.x;
  for (int i = t; i < C * C; i += 256) X[i / C * P + i % C] = 0.f;
  __syncthreads();
  if (t < C) {
    const int c = t % B, block = t - c;
    float x[B];
    UNROLL for (int r = 0; r < B; ++r) {
      float s = r == c ? 1.f : 0.f;
      UNROLL for (int j = 0; j < r; ++j) s += A[(block + r) * P + block + j] * x[j];
      x[r] = s;
    }
    UNROLL for (int r = 0; r < B; ++r) X[(block + r) * P + t] = x[r];
  }
  __syncthreads();
  UNROLL for (int h = B; h < C; h *= 2) {
    // Element (r, c) of the h x h block below pair p's diagonal.
    for (int i = t; i < C / 2 * h; i += 256) {
      const int p = i / (h * h), r = i / h % h, c = i % h, top = 2 * h * p;
      float s = 0.f;
#pragma unroll 4
      for (int j = 0; j < h; ++j) s += A[(top + h + r) * P + top + j] * X[(top + j) * P + top + c];
      part[i] = s;
    }
    __syncthreads();
    for (int i = t; i < C / 2 * h; i += 256) {
      const int p = i / (h * h), r = i / h % h, c = i % h, top = 2 * h * p;
      float s = 0.f;
#pragma unroll 4
      for (int j = 0; j < h; ++j) s += X[(top + h + r) * P + top + h + j] * part[(p * h + j) * h + c];
      X[(top + h + r) * P + top + c] = s;
    }
    __syncthreads();
  }
}

// Decay scores. a = e^g: the decay of a pair is the product of a over the tokens between, grown token by token, so that nothing overflows and
// an a of 0 resets. BEFORE: the reader sees the state before its own token's decay.

// out[r][c] = sum over K of x[r] y[c] decay. A warp takes four columns, its lanes the channels.
template <int C, int K, int P, int OP, bool BEFORE, bool STRICT> DEV void decay_scores(float* out, const float* x, const float* y, const float* a) {
  constexpr int L = (K + 31) / 32;
  const int lane = threadIdx.x & 31;
  for (int c0 = threadIdx.x / 32 * 4; c0 < C; c0 += 32) {
    float w[4][L], v[4][L];
    UNROLL for (int i = 0; i < 4; ++i) UNROLL for (int l = 0; l < L; ++l) {
      const int k = l * 32 + lane;
      v[i][l] = k < K ? y[(c0 + i) * P + k] : 0.f;
      w[i][l] = 1.f;
    }
    for (int i = lane; i < 4 * c0; i += 32) out[i / 4 * OP + c0 + i % 4] = 0.f;
    for (int r = c0; r < C; ++r) {
      float s[4] = {0.f, 0.f, 0.f, 0.f};
      UNROLL for (int l = 0; l < L; ++l) {
        const int k = l * 32 + lane;
        const float xr = k < K ? x[r * P + k] : 0.f, ar = k < K ? a[r * P + k] : 1.f;
        UNROLL for (int i = 0; i < 4; ++i) {
          if (!BEFORE && r > c0 + i) w[i][l] *= ar;
          s[i] += xr * v[i][l] * w[i][l];
          if (BEFORE && r > c0 + i) w[i][l] *= ar;
        }
      }
      // Four sums over 32 lanes: halve the values with the first two exchanges.
      const bool up = lane & 16, right = lane & 8;
      const float s0 = (up ? s[2] : s[0]) + __shfl_xor_sync(~0u, up ? s[0] : s[2], 16);
      const float s1 = (up ? s[3] : s[1]) + __shfl_xor_sync(~0u, up ? s[1] : s[3], 16);
      float sum = (right ? s1 : s0) + __shfl_xor_sync(~0u, right ? s0 : s1, 8);
      UNROLL for (int n = 4; n > 0; n /= 2) sum += __shfl_xor_sync(~0u, sum, n);
      const int c = c0 + lane / 8;
      if (lane % 8 == 0) out[r * OP + c] = r > c || (r == c && !STRICT) ? sum : 0.f;
    }
  }
}
// out[r][k] = sum over c of s[r][c] y[c][k] decay. A thread takes one channel of four rows.
template <int C, int K, int P, int SP, bool BEFORE, bool STRICT> DEV void decay_rows(float* out, const float* s, const float* y, const float* a) {
  for (int i = threadIdx.x; i < C / 4 * K; i += 256) {
    const int k = i % K, r0 = i / K * 4;
    float sum[4] = {0.f, 0.f, 0.f, 0.f}, w[4] = {1.f, 1.f, 1.f, 1.f};
    for (int c = r0 + 3; c >= 0; --c) {
      const float yc = y[c * P + k], ac = a[c * P + k];
      UNROLL for (int j = 0; j < 4; ++j) {
        const int r = r0 + j;
        if (c < r || (c == r && !STRICT)) sum[j] += s[r * SP + c] * yc * w[j];
        // From (r, c) to (r, c - 1) the decay of token c comes in; the reader's own only if it sees it.
        if (BEFORE ? c < r : c <= r) w[j] *= ac;
      }
    }
    UNROLL for (int j = 0; j < 4; ++j) out[(r0 + j) * P + k] = sum[j];
  }
}
// out[c][k] = sum over r of s[r][c] x[r][k] decay. A thread takes one channel of four columns.
template <int C, int K, int P, int SP, bool BEFORE, bool STRICT> DEV void decay_columns(float* out, const float* s, const float* x, const float* a) {
  for (int i = threadIdx.x; i < C / 4 * K; i += 256) {
    const int k = i % K, c0 = i / K * 4;
    float sum[4] = {0.f, 0.f, 0.f, 0.f}, w[4] = {1.f, 1.f, 1.f, 1.f};
    for (int r = c0; r < C; ++r) {
      const float xr = x[r * P + k], ar = a[r * P + k];
      UNROLL for (int j = 0; j < 4; ++j) {
        const int c = c0 + j;
        if (!BEFORE && r > c) w[j] *= ar;
        if (r > c || (r == c && !STRICT)) sum[j] += s[r * SP + c] * xr * w[j];
        if (BEFORE && r > c) w[j] *= ar;
      }
    }
    UNROLL for (int j = 0; j < 4; ++j) out[(c0 + j) * P + k] = sum[j];
  }
}
