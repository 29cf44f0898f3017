// Sums over R runs of as many columns as give a thread N values each, `count` floats from row to row, from run r0 on.
template <int R, int N> DEV void runs_to(float* out, const float* f, int count, int r0) {
  UNROLL for (int r = 0; r < R; ++r) {
    float s[2];
    row_sums<N>(s, f + r * N);
    if ((lane_id() & 3) == 0) { out[frag_row(0) * count + r0 + r] = s[0]; out[frag_row(2) * count + r0 + r] = s[1]; }
  }
}
