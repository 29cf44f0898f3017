// Numbers of any size as operands of 16 bits: a power of two brings the largest of a row, or of a tile, to where f16 has all its digits, and another one
// the product back. Both are exact.
DEV float fit_up(float most) {
  const int e = 268 - (int)(__float_as_uint(most) >> 23);
  return __uint_as_float((u32)(e > 253 ? 253 : e < 1 ? 1 : e) << 23);
}
DEV float fit_back(float up) { return __uint_as_float((254u << 23) - __float_as_uint(up)); }

// An A operand, row by row. back[h]: of the rows of values i with i / 2 % 2 = h.
template <int KS> DEV void fit_pack(u32 (*a)[4], const float* f, float* back) {
  float up[2] = {0.f, 0.f};
  UNROLL for (int i = 0; i < KS * 8; ++i) up[(i >> 1) & 1] = fmaxf(up[(i >> 1) & 1], fabsf(f[i]));
  UNROLL for (int h = 0; h < 2; ++h) {
    up[h] = fmaxf(up[h], __shfl_xor_sync(~0u, up[h], 1));
    up[h] = fit_up(fmaxf(up[h], __shfl_xor_sync(~0u, up[h], 2)));
    back[h] = fit_back(up[h]);
  }
  UNROLL for (int k = 0; k < KS; ++k) UNROLL for (int e = 0; e < 4; ++e) a[k][e] = pack2(f[k * 8 + e * 2] * up[e & 1], f[k * 8 + e * 2 + 1] * up[e & 1]);
}

// A tile: every warp leaves the largest of its values in most[], from which the tile's readers know the scale, too.
DEV void fit_most(float* most, float m, int t) {
  UNROLL for (int n = 16; n > 0; n /= 2) m = fmaxf(m, __shfl_xor_sync(~0u, m, n));
  if (lane_id() == 0) most[t >> 5] = m;
}
template <int N> DEV void fit_measure(float* most, const float* f, int t) {
  float m = 0.f;
  UNROLL for (int i = 0; i < N; ++i) m = fmaxf(m, fabsf(f[i]));
  fit_most(most, m, t);
}
template <int WARPS> DEV float fit_all(const float* most) {
  float m = most[0];
  UNROLL for (int w = 1; w < WARPS; ++w) m = fmaxf(m, most[w]);
  return fit_up(m);
}
template <int KS, int R, bool TRANS> DEV void fit_store(u32 tile, const float* f, int k0, float up) {
  float g[KS * 8];
  UNROLL for (int i = 0; i < KS * 8; ++i) g[i] = f[i] * up;
  store_frag<KS, R, TRANS>(tile, g, k0);
}

// The same for an array of floats in device memory; beyond its rows and columns are zeros.
template <int R, int P, int THREADS> DEV void fit_measure_far(float* most, const float* src, i64 stride, int rows, int cols, int t) {
  float m = 0.f;
  for (int i = t; i < R * P * 64; i += THREADS) {
    const int r = i / (64 * P), c = i % (64 * P);
    if (r < rows && c < cols) m = fmaxf(m, fabsf(src[r * stride + c]));
  }
  fit_most(most, m, t);
}
template <int R, int P, int THREADS> DEV void fit_load_far(u32 tile, const float* src, i64 stride, int rows, int cols, float up, int t) {
  for (int i = t; i < R * P * 32; i += THREADS) {
    const int r = i / (32 * P), c = i % (32 * P) * 2;
    const bool in = r < rows && c < cols;
    sts4(tile + swz<R>(r, c), in ? pack2(src[r * stride + c] * up, c + 1 < cols ? src[r * stride + c + 1] * up : 0.f) : 0);
  }
}
// Inner products of the rows, or of the columns, of two such arrays.
template <int ROWS, int COLS, int THREADS, typename X, typename Y> DEV void fit_row_dots(float* out, const X* x, i64 sx, const Y* y, i64 sy, int t) {
  for (int r = t >> 5; r < ROWS; r += THREADS / 32) {
    float s = 0.f;
    for (int c = lane_id(); c < COLS; c += 32) s += ld(x + r * sx + c) * ld(y + r * sy + c);
    UNROLL for (int n = 16; n > 0; n /= 2) s += __shfl_xor_sync(~0u, s, n);
    if (lane_id() == 0) out[r] = s;
  }
}
template <int ROWS, int COLS, int THREADS, typename X, typename Y> DEV void fit_col_dots(float* out, const X* x, i64 sx, const Y* y, i64 sy, int t) {
  for (int c = t; c < COLS; c += THREADS) {
    float s = 0.f;
    for (int r = 0; r < ROWS; ++r) s += ld(x + r * sx + c) * ld(y + r * sy + c);
    out[c] = s;
  }
}
