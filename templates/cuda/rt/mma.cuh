// D (64 x 64 NB, fragments) += A (fragments packed to 16 bits, KS steps of 16) * B (tile in shared memory).
// B K-major: the tile's rows are B's columns (n), its columns are k. B MN-major: the tile's rows are k.
// Asynchronous where wgmma is: between mma and its wait nobody touches D or B's tile.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
DEV u64 mat_desc(u32 a, u32 lead) { return (u64)((a & 0x3ffff) >> 4) | ((u64)(lead >> 4) << 16) | (64ull << 32) | (1ull << 62); }
#endif

// N columns of D from B's column n0 on (a multiple of N or of 64), KS steps of 16. R: rows of B's tile. FRESH: D = A B, else D += A B.
// Columns go by the largest power of two in N, up to 64, so that no step leaves D, or the panel where it began.
template <int N, int KS, int R, bool MN, bool FRESH> DEV void mma(float* d, const u32 (*a)[4], u32 b, int n0 = 0) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr int W = (N & -N) < 64 ? N & -N : 64;
  UNROLL for (int k = 0; k < KS; ++k) UNROLL for (int n = 0; n < N; n += W) {
    int nn = n0 + n;
    u32 at = MN ? b + (nn >> 6) * R * 128 + (nn & 63) * 2 + k * 2048 : b + nn * 128 + (k >> 2) * R * 128 + (k & 3) * 32;
    if (FRESH && k == 0) wgmma_step<W, MN, true>(d + n / 2, a[k], mat_desc(at, MN ? R * 128 : 16));
    else wgmma_step<W, MN, false>(d + n / 2, a[k], mat_desc(at, MN ? R * 128 : 16));
  }
#else
  int l = lane_id();
  if (FRESH) UNROLL for (int i = 0; i < N / 2; ++i) d[i] = 0.f;
  UNROLL for (int k = 0; k < KS; ++k) UNROLL for (int n = 0; n < N; n += 16) {
    u32 f[4];
    int kk = k * 16, nn = n0 + n;
    if (MN) ldm4t(f, b + swz<R>(kk + (l & 7) + ((l >> 3) & 1) * 8, nn + (l >> 4) * 8));
    else ldm4(f, b + swz<R>(nn + (l & 7) + ((l >> 4) << 3), kk + ((l >> 3) & 1) * 8));
    mma16816(d + n / 2, a[k], f[0], f[1]);
    mma16816(d + n / 2 + 4, a[k], f[2], f[3]);
  }
#endif
}
