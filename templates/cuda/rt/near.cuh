// Rows of a tile of 16 bits and those some before them: a tile of R rows, of which the first 8 come before. The fragment's rows are the tile's columns, its columns the tile's rows.
// a[n]: what load_frag of a tile that begins 2 n rows earlier would unpack.
template <int KS, int R, int N> DEV void near_load(u32 (*a)[4 * KS], u32 tile) {
  const int l = lane_id(), w = warp_id() * 16 + ((l >> 3) & 1) * 8, r = 8 + (l & 7) + ((l >> 4) << 3);
  UNROLL for (int n = 0; n < N; ++n) UNROLL for (int k = 0; k < KS; ++k) ldm4t(a[n] + 4 * k, tile + swz<R>(r + k * 16 - 2 * n, w));
}
// Value i of the fragment of the rows `BACK` before: of two neighbours in a register, those at odd distances come from two registers.
template <int BACK, int N> DEV float near_at(const u32 (*a)[N], int i) {
  const int from = (i & 1) - BACK, n = (1 - from) >> 1;
  return from + 2 * n == 0 ? low(a[n][i >> 1]) : high(a[n][i >> 1]);
}
// One of the rows before.
template <int R> DEV void near_put(u32 tile, int r, int c, float x) { sts2(tile + swz<R>(r, c), (u16)pack2(x, 0.f)); }
