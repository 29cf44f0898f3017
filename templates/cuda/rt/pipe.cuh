// Products whose operands go through a ring of stages in shared memory, which one warpgroup fills for two others.
// D (64 x N) += A (64 x 64) B (64 x N): A's first row (across: column) is at `a`, that of B at `b`; both are panels of 64 columns (rt/tile.cuh), of RA and RB rows.
template <int N, int RA, bool ACROSS_A, int RB, bool ACROSS_B> DEV void pipe_mma(float* d, u32 a, u32 b) {
  const u64 ad = mat_desc(a, ACROSS_A ? RA * 128 : 16), bd = mat_desc(b, ACROSS_B ? RB * 128 : 16);
  // Of 16 columns further on, or of 16 rows, by 16 bytes.
  UNROLL for (int k = 0; k < 4; ++k) wgmma_shared<N, ACROSS_A, ACROSS_B>(d, ad + k * (ACROSS_A ? 128 : 2), bd + k * (ACROSS_B ? 128 : 2));
}
// Tiles of R rows and P panels by the copy engine, in boxes of 64 x 64: of a tensor of matrices, without boxes beyond the first `rows` rows and `cols` columns, and of one of rows.
template <int R, int P> DEV void pipe_matrix(u32 dst, const TensorMap& map, int x, int y, int z, int rows, int cols, u32 bar) {
  UNROLL for (int p = 0; p < P; ++p) UNROLL for (int r = 0; r < R; r += 64) if (r < rows && p * 64 < cols) bulk_copy(dst + p * R * 128 + r * 128, map, x + p * 64, y + r, z, bar);
}
// Of rows, boxes none of whose first `rows` is wanted are left out.
template <int R, int P> DEV void pipe_rows(u32 dst, const TensorMap& map, int x, int y, int rows, u32 bar) {
  UNROLL for (int p = 0; p < P; ++p) UNROLL for (int r = 0; r < R; r += 64) if (r < rows) bulk_copy_rows(dst + p * R * 128 + r * 128, map, x + p * 64, y + r, bar);
}
// As tile_load, by threads that have few registers: addresses are worked out anew for every piece.
template <int R, int P, int THREADS, typename E> DEV void pipe_load(u32 dst, const E* src, i64 stride, int rows, int cols, int t) {
#pragma unroll 4
  for (int i = t; i < R * P * 8; i += THREADS) {
    const int r = i / (8 * P), x = i % (8 * P) * 8;
    const bool in = r < rows && x < cols;
    cp_async(dst + swz<R>(r, x), in ? src + r * stride + x : src, in ? 16 : 0);
  }
}
// Of threads that wait for what they copied and fence it, so that who reads it need not: the first says that it is there.
template <int THREADS> DEV void pipe_brought(u32 bar, int together, int t) {
  cp_commit();
  cp_wait<0>();
  proxy_fence();
  bar_sync(together, THREADS);
  if (t == 0) bar_arrive(bar);
}
// Rows that an index names, `apart` numbers from one to the next, of a tile that 128 threads copy: a lane knows one of those that its warp copies, which
// has a few of them at a time. Others than the first `rows` are -1, as are those of nobody.
template <int R, int P> DEV void pipe_ask(int& row, const int* index, i64 apart, int rows, int t) {
  constexpr int FEW = 4 / P;
  const int l = lane_id(), r = l / FEW * 4 * FEW + t / 32 * FEW + l % FEW;
  row = r < R && r < rows ? index[r * apart] : -1;
}
// Rows beyond `rows` stay as they are, but for those that a warp copies with others.
template <int R, int P, typename E> DEV void pipe_gather(u32 dst, const E* src, i64 stride, int row, int cols, int rows, int t) {
  constexpr int FEW = 4 / P;
  const int x = t % (8 * P) * 8;
  UNROLL for (int n = 0; n < R / (4 * FEW); ++n) {
    if (n * 4 * FEW >= rows) break;
    const int from = __shfl_sync(~0u, row, n * FEW + lane_id() / (8 * P));
    const bool in = from >= 0 && x < cols;
    cp_async(dst + swz<R>(n * 4 * FEW + t / (8 * P), x), src + (in ? from : 0) * stride + x, in ? 16 : 0);
  }
}
// The same where every step has rows of its own: those of the next are asked for ahead.
template <int R, int P, typename E> DEV void pipe_gather_on(u32 dst, const E* src, i64 stride, int& row, int cols, const int* index, i64 apart, int rows, int t) {
  int next;
  pipe_ask<R, P>(next, index, apart, rows, t);
  pipe_gather<R, P>(dst, src, stride, row, cols, R, t);
  row = next;
}
// 64 columns of 64 rows, of which each warp brings those 16 that it reads, once it has read what was there.
template <typename E> DEV void pipe_ahead(u32 tile, const E* src, i64 stride, int rows, int cols, int t) {
  const int r0 = t / 32 * 16 + lane_id() / 8, x = lane_id() % 8 * 8;
  __syncwarp();
  UNROLL for (int n = 0; n < 4; ++n) {
    const int r = r0 + n * 4;
    const bool in = r < rows && x < cols;
    cp_async(tile + swz<64>(r, x), in ? src + r * stride + x : src, in ? 16 : 0);
  }
  cp_commit();
}
// All of that is there.
DEV void pipe_come() {
  cp_wait<0>();
  __syncwarp();
}
// As a fragment, two neighbours in a register.
DEV void pipe_take(u32* p, u32 tile) { UNROLL for (int k = 0; k < 4; ++k) load_a<64, false>(p + k * 4, tile, 0, k); }
// Stores 64 columns of a fragment, rounded, in rows of 16-byte pieces: each warp its own 16 rows, by 2 KB of its own, so that no other waits.
template <typename E> DEV void pipe_store(E* dst, i64 stride, int rows, int cols, u32 tile, const u32* p, int t) {
  const int l = lane_id(), r0 = t / 32 * 16;
  const u32 mine = tile + t / 32 * 2048;
  __syncwarp();
  UNROLL for (int s = 0; s < 4; ++s) stm4(mine + swz<16>((l & 7) + ((l >> 3) & 1) * 8, s * 16 + (l >> 4) * 8), p + s * 4);
  __syncwarp();
  UNROLL for (int n = 0; n < 4; ++n) {
    const int r = n * 4 + l / 8, x = l % 8 * 8;
    u32 v[4];
    lds16(v, mine + swz<16>(r, x));
    if (r0 + r < rows && x < cols) stg16(dst + (r0 + r) * stride + x, v);
  }
}
// Has rows of 128-byte lines brought as far as the L2 cache.
template <int R, int THREADS, typename E> DEV void pipe_prefetch(const E* src, i64 stride, int rows, int cols, int t) {
  const int lines = (cols + 63) / 64;
#pragma unroll 1
  for (int i = t; i < R * lines; i += THREADS) if (i / lines < rows) l2_prefetch(src + i / lines * stride + i % lines * 64);
}
// Of pairs of chunks, those of all runs one behind the other, with a gap here and there: number of the first pair of a run, if that is none of the gaps.
DEV int pipe_pair(const int* runs, int run) { return (runs[6 * run + 2] + run + 1) / 2; }
// So many pairs and gaps there are.
DEV int pipe_pairs(const int* runs, int count) { return count == 0 ? 0 : (runs[6 * count - 4] + runs[6 * count - 3] + count + 1) / 2; }
// The run of a pair.
DEV int pipe_run(const int* runs, int count, int pair) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (pipe_pair(runs, middle) <= pair) low = middle;
    else high = middle;
  }
  return low;
}
// The same numbers without gaps: pairs before each run of RUNS, and all of them, which a block works out for itself. They are there behind the next barrier.
template <int RUNS, int THREADS> DEV void pipe_count(int* pairs, const int* runs) {
  for (int i = threadIdx.x; i < RUNS; i += THREADS) pairs[i + 1] = (runs[6 * i + 3] + 1) / 2;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  if (threadIdx.x == 0) pairs[0] = 0;
  int all = 0;
#pragma unroll 1
  for (int from = 1; from <= RUNS; from += 32) {
    const int i = from + threadIdx.x;
    int here = i <= RUNS ? pairs[i] : 0;
    UNROLL for (int n = 1; n < 32; n *= 2) {
      const int less = __shfl_up_sync(~0u, here, n);
      if (threadIdx.x >= n) here += less;
    }
    if (i <= RUNS) pairs[i] = all + here;
    all += __shfl_sync(~0u, here, 31);
  }
}
template <int RUNS> DEV int pipe_counted(const int* pairs, int pair) {
  int low = 0, high = RUNS;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (pairs[middle] <= pair) low = middle;
    else high = middle;
  }
  return low;
}
// What a warpgroup without rows does: so many stages go by.
template <int STAGES> DEV void pipe_pass(int steps, u32 full, u32 empty, int& at, int& lap) {
#pragma unroll 1
  for (int n = 0; n < steps; ++n) {
    const u32 bar = full + at * 8;
    bar_wait(bar, lap);
    __syncwarp();
    if (lane_id() == 0) bar_arrive(empty + at * 8);
    if (++at == STAGES) at = 0, lap ^= 1;
  }
}
