// Tiles whose rows have any number of columns: where they do not begin on 16 bytes, they come and go element by element.
template <int R, int P, int THREADS = 128, typename E> DEV void ragged_load(u32 dst, const E* src, i64 stride, int rows, int cols, int t, int skip = 0) {
#pragma unroll 2
  for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    const int i = n * THREADS + t, r = i / (8 * P), x = i % (8 * P) * 8;
    const E* from = src + r * stride + x;
    UNROLL for (int e = 0; e < 4; ++e) {
      const int left = r < rows && r >= skip ? cols - x - e * 2 : 0;
      const u32 one = left > 0 ? from[e * 2].bits : 0, two = left > 1 ? from[e * 2 + 1].bits : 0;
      sts4(dst + swz<R>(r, x + e * 2), one | two << 16);
    }
  }
}
template <int R, int P, int THREADS = 128, typename E> DEV void ragged_store(E* dst, i64 stride, int rows, int cols, u32 src, int t) {
#pragma unroll 2
  for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    const int i = n * THREADS + t, r = i / (8 * P), x = i % (8 * P) * 8;
    if (r < rows && x < cols) {
      u32 v[4];
      lds16(v, src + swz<R>(r, x));
      UNROLL for (int e = 0; e < 8; ++e) if (x + e < cols) dst[r * stride + x + e].bits = (u16)(v[e / 2] >> (e % 2 * 16));
    }
  }
}
// Largest (smallest) of the first COLS columns of each row of a fragment.
template <int COLS, bool MAX> DEV void ragged_extrema_to(float* out, const float* f) {
  constexpr int N = (COLS + 7) / 8 * 4;
  float g[N];
  UNROLL for (int i = 0; i < N; ++i) g[i] = frag_col(i) < COLS ? f[i] : __uint_as_float(MAX ? 0xff800000u : 0x7f800000u);
  row_extrema_to<N, MAX>(out, g);
}
