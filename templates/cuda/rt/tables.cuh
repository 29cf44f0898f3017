// Tables of sequences, segments and chunks (ir/plan), from the offsets of sequences on the device, so that no host reads them. One block.
// As many warps as lanes.
constexpr int kTableThreads = 1024;

// Sum of what the threads before this one give; `total` of all.
DEV int table_scan(int x, int& total) {
  int* const sums = (int*)smem;
  const int lane = threadIdx.x & 31, warp = threadIdx.x / 32;
  const auto up_to = [&](int y) {
    UNROLL for (int n = 1; n < 32; n *= 2) {
      const int less = __shfl_up_sync(~0u, y, n);
      if (lane >= n) y += less;
    }
    return y;
  };
  const int own = up_to(x);
  __syncthreads();
  if (lane == 31) sums[warp] = own;
  __syncthreads();
  const int warps = up_to(sums[lane]), before = __shfl_sync(~0u, warps, warp > 0 ? warp - 1 : 0);
  total = __shfl_sync(~0u, warps, 31);
  return (warp > 0 ? before : 0) + own - x;
}
// The largest of the numbers that threads bring.
DEV int table_most(int x) {
  int* const most = (int*)smem;
  const auto largest = [](int y) {
    UNROLL for (int n = 16; n > 0; n /= 2) {
      const int other = __shfl_xor_sync(~0u, y, n);
      if (other > y) y = other;
    }
    return y;
  };
  const int own = largest(x);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) most[threadIdx.x / 32] = own;
  __syncthreads();
  return largest(most[threadIdx.x & 31]);
}
// Offset number i: within 0 and the number of tokens whatever is given, since kernels go where tables send them.
DEV int table_offset(const void* offsets, int bytes, const Dims& d, int i) {
  if (bytes == 0) return (int)((i64)d.tokens / d.sequences * i);
  const i64 at = bytes == 8 ? ((const i64*)offsets)[i] : ((const int*)offsets)[i];
  return (int)(at < 0 ? 0 : at > d.tokens ? d.tokens : at);
}
// The last row of `sequences` whose entry `column` is no more than x.
DEV int table_find(const int* sequences, int n, int column, int x) {
  int low = 0, high = n;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (sequences[6 * middle + column] <= x) low = middle;
    else high = middle;
  }
  return low;
}
// The shortest segments of `even` chunks or more, but below twice as many, of which sequences have `room` at most; `even` where they have more.
DEV int table_fitting(const int* sequences, int n, int from, int to, int even, int room) {
  const auto fits = [&](int longest) {
    int count = 0, all;
    for (int i = from; i < to; ++i) count += sequences[6 * i + 3] > longest ? (sequences[6 * i + 3] + longest - 1) / longest : 1;
    table_scan(count, all);
    return all <= room;
  };
  int low = even, high = 2 * even - 1;
  if (n > room || fits(even) || !fits(high)) return even;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return high;
}

// `offset_bytes` of one number: 4 or 8; 0: there are none, sequences are equally long. `d`: the extents of the call, which are bounds where the host does not
// know lengths: rows beyond the real ones are empty, of sequence 0.
extern "C" __global__ void __launch_bounds__(kTableThreads) lmoec_tables(const void* offsets, const int offset_bytes, int* __restrict__ sequences, int* __restrict__ segments, int* __restrict__ chunks, const Dims d) {
  grid_wait();
  const int t = threadIdx.x, each = (d.sequences + kTableThreads - 1) / kTableThreads, from = t * each < d.sequences ? t * each : d.sequences;
  const int to = from + each < d.sequences ? from + each : d.sequences;
  int count = 0, most = 0, all_chunks, all_segments;
  for (int i = from; i < to; ++i) {
    const int first = table_offset(offsets, offset_bytes, d, i), next = table_offset(offsets, offset_bytes, d, i + 1), end = next < first ? first : next;
    sequences[6 * i] = first;
    sequences[6 * i + 1] = end;
    sequences[6 * i + 3] = (end - first + kChunk - 1) / kChunk;
    count += sequences[6 * i + 3];
    if (sequences[6 * i + 3] > most) most = sequences[6 * i + 3];
  }
  int at = table_scan(count, all_chunks);
  // Offsets that fall make more chunks than there is room for.
  if (all_chunks > d.chunks) all_chunks = d.chunks;
  const i64 spread = ((i64)all_chunks * d.heads + kTablePrograms - 1) / kTablePrograms;
  most = table_most(most);
  if (most > d.chunks) most = d.chunks;
  const i64 even = spread > kTableLeast ? spread : kTableLeast;
  const i64 longest = kTablePays == 1 || even >= d.chunks ? even : table_fitting(sequences, d.sequences, from, to, (int)even, kTablePrograms / (d.heads > 0 ? d.heads : 1));
  const bool cut = most >= kTablePays * longest;
  count = 0;
  for (int i = from; i < to; ++i) {
    if (at > d.chunks) at = d.chunks;
    const int room = d.chunks - at, here = sequences[6 * i + 3] < room ? sequences[6 * i + 3] : room;
    if (here < sequences[6 * i + 3]) sequences[6 * i + 1] = sequences[6 * i] + here * kChunk;
    sequences[6 * i + 2] = at;
    sequences[6 * i + 3] = here;
    sequences[6 * i + 5] = cut && here > longest ? (int)((here + longest - 1) / longest) : 1;
    at += here;
    count += sequences[6 * i + 5];
  }
  at = table_scan(count, all_segments);
  for (int i = from; i < to; ++i) {
    sequences[6 * i + 4] = at;
    at += sequences[6 * i + 5];
  }
  __syncthreads();
  for (int i = t; i < d.chunks; i += kTableThreads) {
    int row[4] = {0, 0, 0, 0};
    if (i < all_chunks) {
      const int s = table_find(sequences, d.sequences, 2, i), index = i - sequences[6 * s + 2], first = sequences[6 * s] + index * kChunk;
      const int left = sequences[6 * s + 1] - first;
      row[0] = s, row[1] = first, row[2] = left < kChunk ? left : kChunk, row[3] = index;
    }
    for (int k = 0; k < 4; ++k) chunks[4 * i + k] = row[k];
  }
  for (int i = t; i < d.segments; i += kTableThreads) {
    // Neither the first segment of a sequence nor its last.
    int row[4] = {0, 0, 0, -1};
    if (i < all_segments) {
      const int s = table_find(sequences, d.sequences, 4, i), index = i - sequences[6 * s + 4];
      const int pieces = sequences[6 * s + 5], part = sequences[6 * s + 3] / pieces, more = sequences[6 * s + 3] % pieces;
      row[0] = s, row[1] = sequences[6 * s + 2] + index * part + (index < more ? index : more), row[2] = part + (index < more), row[3] = index;
    }
    for (int k = 0; k < 4; ++k) segments[4 * i + k] = row[k];
  }
}
