// Four neighbours in a row of a tile of 16 bits, for what is made of rows near each other.
template <int R> DEV void near_take(float* f, u32 tile, int r, int c) {
  u32 v[2];
  lds8(v, tile + swz<R>(r, c));
  f[0] = low(v[0]), f[1] = high(v[0]), f[2] = low(v[1]), f[3] = high(v[1]);
}
// Rows that do not exist become 0.
template <int R> DEV void near_put(u32 tile, int r, int c, const float* f, bool exists) {
  const u32 v[2] = {exists ? pack2(f[0], f[1]) : 0, exists ? pack2(f[2], f[3]) : 0};
  sts8(tile + swz<R>(r, c), v);
}
