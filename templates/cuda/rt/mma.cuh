// D (64 x 64 NB, fragments) += A (fragments packed to 16 bits, KS steps of 16) * B (tile in shared memory).
// B K-major: the tile's rows are B's columns (n), its columns are k. B MN-major: the tile's rows are k.
// Asynchronous where wgmma is: between mma and its wait nobody touches D or B's tile.
DEV void mma16816(float* d, const u32* a, u32 b0, u32 b1) {
  if (kHalf) asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
DEV u64 mat_desc(u32 a, u32 lead) { return (u64)((a & 0x3ffff) >> 4) | ((u64)(lead >> 4) << 16) | (64ull << 32) | (1ull << 62); }
#define LMOEC_ACC8(d) "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
#define LMOEC_ACC16(d) \
  LMOEC_ACC8(d), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
#define LMOEC_ACC32(d) \
  LMOEC_ACC16(d), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), \
  "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define LMOEC_WGMMA64(TYPE, SUM, TRANSB) \
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, " \
               "{%32,%33,%34,%35}, %36, " SUM ", 1, 1, " TRANSB ";" : LMOEC_ACC32(d) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define LMOEC_WGMMA32(TYPE, SUM, TRANSB) \
  asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32." TYPE "." TYPE " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, " \
               "{%16,%17,%18,%19}, %20, " SUM ", 1, 1, " TRANSB ";" : LMOEC_ACC16(d) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define LMOEC_WGMMA16(TYPE, SUM, TRANSB) \
  asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32." TYPE "." TYPE " {%0,%1,%2,%3,%4,%5,%6,%7}, {%8,%9,%10,%11}, %12, " SUM ", 1, 1, " TRANSB ";" \
               : LMOEC_ACC8(d) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define LMOEC_WGMMA(N, SUM) \
  do { \
    if (kHalf) { if (MN) LMOEC_WGMMA##N("f16", SUM, "1"); else LMOEC_WGMMA##N("f16", SUM, "0"); } \
    else { if (MN) LMOEC_WGMMA##N("bf16", SUM, "1"); else LMOEC_WGMMA##N("bf16", SUM, "0"); } \
  } while (0)
// N columns, 16, 32 or 64. FRESH: D is written, else added to.
template <int N, bool MN, bool FRESH> DEV void wgmma_step(float* d, const u32* a, u64 b) {
  if (N == 16) { if (FRESH) LMOEC_WGMMA(16, "0"); else LMOEC_WGMMA(16, "1"); }
  else if (N == 32) { if (FRESH) LMOEC_WGMMA(32, "0"); else LMOEC_WGMMA(32, "1"); }
  else { if (FRESH) LMOEC_WGMMA(64, "0"); else LMOEC_WGMMA(64, "1"); }
}
DEV void mma_open() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEV void mma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> DEV void mma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }
// Keeps later reads of D after the wait.
template <int N> DEV void mma_ready(float* d) { UNROLL for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory"); }
#else
DEV void mma_open() {}
DEV void mma_commit() {}
template <int N> DEV void mma_wait() {}
template <int N> DEV void mma_ready(float*) {}
#endif

// N columns of D from B's column n0 on (a multiple of N or of 64), KS steps of 16. R: rows of B's tile. FRESH: D = A B, else D += A B.
template <int N, int KS, int R, bool MN, bool FRESH> DEV void mma(float* d, const u32 (*a)[4], u32 b, int n0 = 0) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr int W = N < 64 ? N : 64;
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
