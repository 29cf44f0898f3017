// Neighbouring elements in one access, and folds over the lanes of a warp.
template <typename E, int N> struct alignas(sizeof(E) * N) Few { E v[N]; };
template <int N, typename E> DEV Few<E, N> few(const E* p) { return *(const Few<E, N>*)p; }
template <int N, typename E> DEV void ldn(float* r, const Few<E, N>& f) { UNROLL for (int i = 0; i < N; ++i) r[i] = ld(&f.v[i]); }
template <int N, typename E> DEV void ldn(float* r, const E* p) { ldn(r, few<N>(p)); }
// Two of 16 bits, as one number in memory.
template <typename E> struct Pair { u32 bits; };
template <typename E> DEV Pair<E> pair(const E* p) { return {*(const u32*)p}; }
template <typename E> DEV void ldn(float* r, Pair<E> p) {
  const E x = {(u16)p.bits}, y = {(u16)(p.bits >> 16)};
  r[0] = ld(&x), r[1] = ld(&y);
}
template <int N> DEV void zeron(float* r) { UNROLL for (int i = 0; i < N; ++i) r[i] = 0.f; }
template <int N, typename E> DEV void stn(E* p, const float* r) {
  // Elements of 16 bits as one number: a copy of several is one of each to some compilers.
  if constexpr (sizeof(E) == 2 && N == 4) *(unsigned long long*)p = both(p, r[0], r[1]) | (unsigned long long)both(p, r[2], r[3]) << 32;
  else if constexpr (sizeof(E) == 2 && N == 2) *(u32*)p = both(p, r[0], r[1]);
  else {
    Few<E, N> f;
    UNROLL for (int i = 0; i < N; ++i) st(&f.v[i], r[i]);
    *(Few<E, N>*)p = f;
  }
}
template <typename F> DEV float lanes_fold(float x, F f) {
  UNROLL for (int n = 16; n > 0; n /= 2) x = f(x, __shfl_xor_sync(~0u, x, n));
  return x;
}
DEV float fold_sum(float x, float y) { return x + y; }
DEV float fold_product(float x, float y) { return x * y; }
