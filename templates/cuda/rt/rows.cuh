// Tables of a domain whose runs a kernel has counted (ir/plan): each run is one segment, chunks beyond the real ones are empty. One block.
extern "C" __global__ void __launch_bounds__(kTableThreads) lmoec_rows(const int* __restrict__ offsets, int* runs, int* __restrict__ segments, int* __restrict__ chunks, const Dims d) {
  grid_wait();
  int all = 0;
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
    }
    all += more;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < d.chunks; i += kTableThreads) {
    int row[4] = {0, 0, 0, 0};
    if (i < all) {
      const int run = table_find(runs, d.sequences, 2, i), index = i - runs[6 * run + 2], first = runs[6 * run] + index * kChunk;
      const int left = runs[6 * run + 1] - first;
      row[0] = run, row[1] = first, row[2] = left < kChunk ? left : kChunk, row[3] = index;
    }
    for (int k = 0; k < 4; ++k) chunks[4 * i + k] = row[k];
  }
}
