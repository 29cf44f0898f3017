// Tiles of 16-bit operands in shared memory: panels of 64 columns, 128-byte rows, 16-byte pieces exchanged by row (128-byte swizzle),
// which ldmatrix, its transposing form and matrix descriptors all read without conflicts. R rows; columns are padded to 64.
// Fragments: 64 rows of a warpgroup in the accumulator layout of m16n8: value i of a thread is
//   row 16 * warp + lane / 4 + 8 * (i / 2 % 2),   column 8 * (i / 4) + 2 * (lane % 4) + i % 2.
DEV int lane_id() { return threadIdx.x & 31; }
DEV int warp_id() { return (threadIdx.x >> 5) & 3; }
DEV int frag_row(int i) { return warp_id() * 16 + (lane_id() >> 2) + ((i >> 1) & 1) * 8; }
DEV int frag_col(int i) { return (i >> 2) * 8 + (lane_id() & 3) * 2 + (i & 1); }
template <int R> DEV u32 swz(int r, int c) { return (u32)((c >> 6) * R * 128 + r * 128 + ((((c >> 3) ^ r) & 7) << 4) + (c & 7) * 2); }

// Barrier of the threads of one team.
DEV void team_sync(int id, int threads = 128) {
  proxy_fence();
  bar_sync(id, threads);
}

// Copies R x 64P elements; rows >= rows and columns >= cols become 0. `stride` in elements.
template <int R, int P, int THREADS = 128, typename E> DEV void tile_load(u32 dst, const E* src, i64 stride, int rows, int cols, int t, int skip = 0) {
  if (rows >= R && cols >= P * 64 && skip <= 0) {
    // Nearly all tiles are full: one address each for source and target, then steps. Where threads do not fill whole rows (three panels),
    // one comes back to its columns after a few turns, each of which has addresses of its own.
    constexpr int TURNS = P / (P & -P), ROWS = TURNS * THREADS / (8 * P);
    static_assert(TURNS * THREADS % (8 * P) == 0 && R % ROWS == 0, "steps of whole rows");
    UNROLL for (int turn = 0; turn < TURNS; ++turn) {
      const int at = turn * THREADS + t;
      const E* from = src + at / (8 * P) * stride + at % (8 * P) * 8;
      const u32 to = dst + swz<R>(at / (8 * P), at % (8 * P) * 8);
      UNROLL for (int n = 0; n < R / ROWS; ++n) {
        const u32 there = ROWS % 8 == 0 ? to + n * ROWS * 128 : dst + swz<R>(at / (8 * P) + n * ROWS, at % (8 * P) * 8);
        cp_async(there, from + n * ROWS * stride, 16);
      }
    }
    return;
  }
  UNROLL for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    int i = n * THREADS + t, r = i / (8 * P), x = i % (8 * P);
    bool in = r < rows && r >= skip && x * 8 < cols;
    cp_async(dst + swz<R>(r, x * 8), in ? src + r * stride + x * 8 : src, in ? 16 : 0);
  }
}
#if __CUDA_ARCH__ >= 900
// The same by the copy engine: a box for each 64 columns. The map's swizzle is swz's.
template <int R, int P> DEV void tile_bulk(u32 dst, const TensorMap& map, int x, int y, int z, u32 bar) { UNROLL for (int p = 0; p < P; ++p) bulk_copy(dst + p * R * 128, map, x + p * 64, y, z, bar); }
template <int R, int P> DEV void tile_push(const TensorMap& map, int x, int y, int z, u32 src) { UNROLL for (int p = 0; p < P; ++p) bulk_store(map, x + p * 64, y, z, src + p * R * 128); }
template <int P> DEV void tile_prefetch(const TensorMap& map, int x, int y, int z) { UNROLL for (int p = 0; p < P; ++p) bulk_prefetch(map, x + p * 64, y, z); }
#endif
// Rows that another sequence's tokens came to become 0.
template <int R, int P, int THREADS = 128> DEV void tile_clear(u32 dst, int rows, int t, int skip = 0) {
  for (int i = t; i < skip * 8 * P; i += THREADS) fill16(dst + swz<R>(i / (8 * P), i % (8 * P) * 8), 0);
  for (int i = t + rows * 8 * P; i < R * 8 * P; i += THREADS) fill16(dst + swz<R>(i / (8 * P), i % (8 * P) * 8), 0);
}
// 64 rows of floats at a stride that is a multiple of 4; rows >= rows and columns >= cols become 0.
template <int COLS, int STRIDE, int THREADS = 128> DEV void array_load(u32 dst, const float* src, i64 stride, int rows, int cols, int t, int skip = 0) {
  UNROLL for (int n = 0; n < (COLS * 16 + THREADS - 1) / THREADS; ++n) {
    int i = n * THREADS + t, r = i / (COLS / 4), x = i % (COLS / 4);
    if (COLS * 16 % THREADS != 0 && r >= 64) break;
    bool in = r < rows && r >= skip && x * 4 < cols;
    cp_async(dst + (r * STRIDE + x * 4) * 4, in ? src + r * stride + x * 4 : src, in ? 16 : 0);
  }
}
template <int R, int P, int THREADS = 128, typename E> DEV void tile_store(E* dst, i64 stride, int rows, int cols, u32 src, int t) {
  UNROLL for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    int i = n * THREADS + t, r = i / (8 * P), x = i % (8 * P);
    if (r < rows && x * 8 < cols) {
      u32 v[4];
      lds16(v, src + swz<R>(r, x * 8));
      *(uint4*)(dst + r * stride + x * 8) = make_uint4(v[0], v[1], v[2], v[3]);
    }
  }
}
DEV void st2(float* p, float x, float y) { *(float2*)p = make_float2(x, y); }
template <int R> DEV float tile_at(u32 tile, int r, int c) { return low(lds2(tile + swz<R>(r, c))); }

// 16 fragment columns of a tile as one A operand. The fragment's rows are the tile's rows r0.., or, TRANS, its columns r0...
template <int R, bool TRANS> DEV void load_a(u32* a, u32 tile, int r0, int k) {
  int l = lane_id(), w = warp_id() * 16 + r0;
  if (TRANS) ldm4t(a, tile + swz<R>(k * 16 + (l & 7) + ((l >> 4) << 3), w + ((l >> 3) & 1) * 8));
  else ldm4(a, tile + swz<R>(w + (l & 7) + ((l >> 3) & 1) * 8, k * 16 + (l >> 4) * 8));
}
template <int KS, int R, bool TRANS> DEV void load_as(u32 (*a)[4], u32 tile) { UNROLL for (int k = 0; k < KS; ++k) load_a<R, TRANS>(a[k], tile, 0, k); }
template <int KS> DEV void unpack(float* f, u32 (*a)[4]) {
  UNROLL for (int k = 0; k < KS; ++k) UNROLL for (int e = 0; e < 4; ++e) { f[k * 8 + e * 2] = low(a[k][e]); f[k * 8 + e * 2 + 1] = high(a[k][e]); }
}
// KS steps of 16 columns from step k0 on.
template <int KS, int R, bool TRANS> DEV void load_frag(float* f, u32 tile, int k0) {
  UNROLL for (int k = 0; k < KS; ++k) {
    u32 a[1][4];
    load_a<R, TRANS>(a[0], tile, 0, k0 + k);
    unpack<1>(f + k * 8, a);
  }
}
template <int KS> DEV void pack(u32 (*a)[4], const float* f) {
  UNROLL for (int k = 0; k < KS; ++k) UNROLL for (int e = 0; e < 4; ++e) a[k][e] = pack2(f[k * 8 + e * 2], f[k * 8 + e * 2 + 1]);
}
// The inverse of load_frag: rounds a fragment into a tile.
template <int KS, int R, bool TRANS> DEV void store_frag(u32 tile, const float* f, int k0) {
  int l = lane_id(), w = warp_id() * 16;
  UNROLL for (int s = 0; s < KS; ++s) {
    u32 p[4];
    const int k = k0 + s;
    UNROLL for (int e = 0; e < 4; ++e) p[e] = pack2(f[s * 8 + e * 2], f[s * 8 + e * 2 + 1]);
#if __CUDA_ARCH__ >= 900
    if (TRANS) stm4t(tile + swz<R>(k * 16 + (l & 7) + ((l >> 4) << 3), w + ((l >> 3) & 1) * 8), p);
    else stm4(tile + swz<R>(w + (l & 7) + ((l >> 3) & 1) * 8, k * 16 + (l >> 4) * 8), p);
#else
    UNROLL for (int e = 0; e < 4; ++e) {
      int r = w + (l >> 2) + (e & 1) * 8, c = k * 16 + (e >> 1) * 8 + (l & 3) * 2;
      if (TRANS) {
        sts2(tile + swz<R>(c, r), (u16)p[e]);
        sts2(tile + swz<R>(c + 1, r), (u16)(p[e] >> 16));
      } else sts4(tile + swz<R>(r, c), p[e]);
    }
#endif
  }
}

// Sum over a fragment's columns: every thread of a quad gets the sums of its two rows.
template <int N> DEV void row_sums(float* s, const float* f) {
  s[0] = s[1] = 0.f;
  UNROLL for (int i = 0; i < N; ++i) s[(i >> 1) & 1] += f[i];
  UNROLL for (int h = 0; h < 2; ++h) {
    s[h] += __shfl_xor_sync(~0u, s[h], 1);
    s[h] += __shfl_xor_sync(~0u, s[h], 2);
  }
}
template <int N> DEV void row_sums_to(float* out, const float* f) {
  float s[2];
  row_sums<N>(s, f);
  if ((lane_id() & 3) == 0) { out[frag_row(0)] = s[0]; out[frag_row(2)] = s[1]; }
}
// Sum over a fragment's 64 rows, from column c0 on; part: 4 x `columns` floats, a line a warp, which the caller adds up after a barrier.
template <int N> DEV void col_sums_part(float* part, const float* f, int columns, int c0) {
  UNROLL for (int i = 0; i < N; ++i) {
    if ((i >> 1) & 1) continue;
    float s = f[i] + f[i + 2];
    s += __shfl_xor_sync(~0u, s, 4);
    s += __shfl_xor_sync(~0u, s, 8);
    s += __shfl_xor_sync(~0u, s, 16);
    if (lane_id() < 4) part[warp_id() * columns + c0 + frag_col(i)] = s;
  }
}
// Running sum of 64 floats by one warp; result may be the argument. Two per lane.
DEV void vec_cumsum(float* out, const float* in, bool exclusive, bool reverse) {
  int l = lane_id(), i0 = reverse ? 63 - 2 * l : 2 * l, i1 = reverse ? i0 - 1 : i0 + 1;
  float a = reverse ? in[i0] : log_decay(in[i0]), b = reverse ? in[i1] : log_decay(in[i1]), s = a + b;
  UNROLL for (int n = 1; n < 32; n *= 2) { float y = __shfl_up_sync(~0u, s, n); if (l >= n) s += y; }
  float before = s - (a + b);
  float y = __shfl_up_sync(~0u, s, 1);
  before = l == 0 ? 0.f : y;
  out[i0] = exclusive ? before : before + a;
  out[i1] = exclusive ? before + a : before + a + b;
}
// Sum of N floats in shared memory, the same in every thread of a warp.
template <int N> DEV float vec_sum(const float* v) {
  float s = 0.f;
  UNROLL for (int i = 0; i < N; i += 32) if (i + lane_id() < N) s += v[i + lane_id()];
  UNROLL for (int n = 16; n > 0; n /= 2) s += __shfl_xor_sync(~0u, s, n);
  return s;
}
// Largest (smallest) of N / 2 columns of each row.
template <int N, bool MAX> DEV void row_extrema_to(float* out, const float* f) {
  float s[2] = {f[0], f[2]};
  auto pick = [](float x, float y) { return MAX ? max_nan(x, y) : min_nan(x, y); };
  UNROLL for (int i = 0; i < N; ++i) s[(i >> 1) & 1] = pick(s[(i >> 1) & 1], f[i]);
  UNROLL for (int h = 0; h < 2; ++h) {
    s[h] = pick(s[h], __shfl_xor_sync(~0u, s[h], 1));
    s[h] = pick(s[h], __shfl_xor_sync(~0u, s[h], 2));
  }
  if ((lane_id() & 3) == 0) { out[frag_row(0)] = s[0]; out[frag_row(2)] = s[1]; }
}
// Inner product of row r of two tiles with R rows and COLS columns. Neighbouring rows start at different pieces, so that they read different banks.
template <int R, int COLS> DEV float row_dot(u32 x, u32 y, int r) {
  float s = 0.f;
  UNROLL for (int n = 0; n < COLS / 8; ++n) {
    u32 a[4], b[4];
    lds16(a, x + swz<R>(r, n * 8));
    lds16(b, y + swz<R>(r, n * 8));
    UNROLL for (int e = 0; e < 4; ++e) s += low(a[e]) * low(b[e]) + high(a[e]) * high(b[e]);
  }
  return s;
}
// Inner product of column c of two tiles with R rows.
template <int R> DEV float col_dot(u32 x, u32 y, int c) {
  float s = 0.f;
#pragma unroll 8
  for (int r = 0; r < R; ++r) s += tile_at<R>(x, r, c) * tile_at<R>(y, r, c);
  return s;
}
// A 64 x 64 fragment as values of threads: what one warpgroup puts down another of the same place in its rows picks up. sum: 32 x 128 floats.
DEV void put_whole(float* sum, const float* f, int t) { UNROLL for (int i = 0; i < 32; ++i) sum[i * 128 + (t & 127)] = f[i]; }
DEV void add_whole(float* sum, const float* f, int t) { UNROLL for (int i = 0; i < 32; ++i) sum[i * 128 + (t & 127)] += f[i]; }
template <int N> DEV void take_part(float* out, const float* sum, int part, int t) { UNROLL for (int i = 0; i < N; ++i) out[i] = sum[(part * N + i) * 128 + (t & 127)]; }
