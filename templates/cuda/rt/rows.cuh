// Tables of a domain whose runs a kernel has counted (ir/plan): each run is one segment, chunks beyond the real ones are empty. One block. FEW: runs
// have a chunk or few, and write theirs by themselves, which waits for nobody.
template <bool FEW> DEV void table_rows(const int* offsets, int* runs, int* segments, int* chunks, const Dims d) {
  int all = 0;
  const auto put = [&](int i, int run, int first, int end, int index) {
    const int left = end - first, row[4] = {run, first, left < kChunk ? left : kChunk, index};
    for (int k = 0; k < 4; ++k) chunks[4 * i + k] = row[k];
  };
  for (int from = 0; from < d.sequences; from += kTableThreads) {
    const int i = from + threadIdx.x;
    const bool real = i < d.sequences;
    const int first = real ? offsets[i] : 0, end = real ? offsets[i + 1] : 0, count = (end - first + kChunk - 1) / kChunk;
    int more;
    const int at = all + table_scan(count, more);
    if (real) {
      const int run[6] = {first, end, at, count, i, 1}, segment[4] = {i, at, count, 0};
      for (int k = 0; k < 6; ++k) runs[6 * i + k] = run[k];
      for (int k = 0; k < 4; ++k) segments[4 * i + k] = segment[k];
      if (FEW) for (int n = 0; n < count; ++n) put(at + n, i, first + n * kChunk, end, n);
    }
    all += more;
  }
  if (!FEW) __syncthreads();
  for (int i = threadIdx.x + (FEW ? all : 0); i < d.chunks; i += kTableThreads) {
    if (i < all) {
      const int run = table_find(runs, d.sequences, 2, i), index = i - runs[6 * run + 2];
      put(i, run, runs[6 * run] + index * kChunk, runs[6 * run + 1], index);
    } else for (int k = 0; k < 4; ++k) chunks[4 * i + k] = 0;
  }
}
extern "C" __global__ void __launch_bounds__(kTableThreads) lmoec_rows(const int* offsets, int* runs, int* segments, int* chunks, const Dims d) {
  grid_wait();
  table_rows<false>(offsets, runs, segments, chunks, d);
}
