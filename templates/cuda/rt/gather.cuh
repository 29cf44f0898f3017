// Rows that an index names, `apart` numbers from one to the next: those of the pieces of a tile that a thread copies. Others than the first
// `rows` are -1, as are those of nobody.
template <int R, int P, int THREADS> DEV void gather_rows(int* row, const int* index, i64 apart, int rows, int t) {
  UNROLL for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    const int r = (n * THREADS + t) / (8 * P);
    row[n] = r < rows ? index[r * apart] : -1;
  }
}
// As tile_load, of those rows.
template <int R, int P, int THREADS, typename E> DEV void gather_tile(u32 dst, const E* src, i64 stride, const int* row, int cols, int t) {
  UNROLL for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    const int i = n * THREADS + t, r = i / (8 * P), x = i % (8 * P);
    const bool in = row[n] >= 0 && x * 8 < cols;
    cp_async(dst + swz<R>(r, x * 8), in ? src + row[n] * stride + x * 8 : src, in ? 16 : 0);
  }
}
