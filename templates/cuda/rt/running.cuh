// The sum of what the lanes of a warp up to this one have, or before it, with what came before them all, which all of it is added to.
template <bool EXCLUSIVE> DEV float running_sum(float x, float& before) {
  const int lane = threadIdx.x & 31;
  UNROLL for (int n = 1; n < 32; n *= 2) {
    const float less = __shfl_up_sync(~0u, x, n);
    if (lane >= n) x += less;
  }
  const float less = __shfl_up_sync(~0u, x, 1), found = before + (EXCLUSIVE ? (lane > 0 ? less : 0.f) : x);
  before += __shfl_sync(~0u, x, 31);
  return found;
}
