// Instructions that C++ has no word for; everything above this file is plain arithmetic. Addresses are those of shared memory, 32 bits wide.
DEV u32 saddr(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// Two 16-bit operands in a register.
DEV u32 pack2(float x, float y) {
  u32 r;
  if (kHalf) asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(y), "f"(x));
  else asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(y), "f"(x));
  return r;
}
DEV float low(u32 p) {
  if (!kHalf) return __uint_as_float(p << 16);
  float r; asm("{.reg .b16 a, b; mov.b32 {a, b}, %1; cvt.f32.f16 %0, a;}" : "=f"(r) : "r"(p)); return r;
}
DEV float high(u32 p) {
  if (!kHalf) return __uint_as_float(p & 0xffff0000u);
  float r; asm("{.reg .b16 a, b; mov.b32 {a, b}, %1; cvt.f32.f16 %0, b;}" : "=f"(r) : "r"(p)); return r;
}
// Four of the eight bytes of x and y, chosen by the digits of `selector`; 8 added to a digit: the byte's sign instead, eight times.
DEV u32 prmt(u32 x, u32 y, u32 selector) { u32 r; asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(selector)); return r; }
DEV u32 tf32(float x) { u32 r; asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x)); return r; }

// Copies of 16 bytes, of which the first `bytes` are read and the others 0. Those between two commits are a group; a wait leaves the N latest on their way.
DEV void cp_async(u32 dst, const void* src, int bytes) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(dst), "l"(src), "r"(bytes) : "memory"); }
DEV void cp_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEV void cp_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// Named barrier of some warps of a block.
DEV void bar_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
// Barriers in memory: a phase ends with the n-th arrival.
DEV void bar_init(u32 b, int n) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(b), "r"(n) : "memory"); }
DEV void bar_arrive(u32 b) { asm volatile("{.reg .b64 t; mbarrier.arrive.shared::cta.b64 t, [%0];}" ::"r"(b) : "memory"); }
// Until the phase of this parity has ended; the first is even.
DEV void bar_wait(u32 b, int parity) {
#if __CUDA_ARCH__ >= 900
  asm volatile("{.reg .pred p;\nL%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D%=;\nbra L%=;\nD%=:}" ::"r"(b), "r"(parity) : "memory");
#else
  asm volatile("{.reg .pred p;\nL%=: mbarrier.test_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D%=;\nbra L%=;\nD%=:}" ::"r"(b), "r"(parity) : "memory");
#endif
}
#if __CUDA_ARCH__ >= 900
// Arrives, and has the phase wait for so many bytes of copies too.
DEV void bar_expect(u32 b, int bytes) { asm volatile("{.reg .b64 t; mbarrier.arrive.expect_tx.shared::cta.b64 t, [%0], %1;}" ::"r"(b), "r"(bytes) : "memory"); }
// The copy engine moves a box of a tensor of three axes, from element (x, y, z) on, innermost first; what lies outside the tensor becomes 0.
DEV void bulk_copy(u32 dst, const TensorMap& map, int x, int y, int z, u32 b) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];"
               ::"r"(dst), "l"(&map), "r"(x), "r"(y), "r"(z), "r"(b) : "memory");
}
// The other way: what lies outside the tensor is left out. Such stores are waited for in groups, until they have read what they move.
DEV void bulk_store(const TensorMap& map, int x, int y, int z, u32 src) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(&map), "r"(x), "r"(y), "r"(z), "r"(src) : "memory");
}
DEV void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
template <int LEFT> DEV void bulk_wait() { asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(LEFT) : "memory"); }
// The same box to the L2 cache.
DEV void bulk_prefetch(const TensorMap& map, int x, int y, int z) { asm volatile("cp.async.bulk.prefetch.tensor.3d.L2.global [%0, {%1, %2, %3}];" ::"l"(&map), "r"(x), "r"(y), "r"(z) : "memory"); }
#endif

// What comes before these numbers is asked for before what comes after them.
template <int N> DEV void all_asked(float* f) { UNROLL for (int i = 0; i < N; ++i) asm volatile("" : "+f"(f[i])); }

DEV u16 lds2(u32 a) { u16 h; asm volatile("ld.shared.u16 %0, [%1];" : "=h"(h) : "r"(a)); return h; }
DEV void lds16(u32* r, u32 a) { asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(a)); }
DEV void sts2(u32 a, u16 h) { asm volatile("st.shared.u16 [%0], %1;" ::"r"(a), "h"(h) : "memory"); }
DEV void fill16(u32 a, u32 x) { asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(a), "r"(x) : "memory"); }
DEV void sts4(u32 a, u32 x) { asm volatile("st.shared.u32 [%0], %1;" ::"r"(a), "r"(x) : "memory"); }

// Four 8 x 8 matrices; lane l gives the address of row l % 8 of matrix l / 8, and has row l / 4, columns 2 (l % 4) and the next; `t`: transposed in memory.
DEV void ldm4(u32* r, u32 a) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(a) : "memory"); }
DEV void ldm4t(u32* r, u32 a) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(a) : "memory"); }
#if __CUDA_ARCH__ >= 900
DEV void stm4(u32 a, const u32* r) { asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(a), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory"); }
DEV void stm4t(u32 a, const u32* r) { asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(a), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory"); }
#endif
// Transposes one 8 x 8 matrix.
DEV void movm(u32& x) { asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %0;" : "+r"(x)); }

// D (16 x 8) += A (16 x 16) B (16 x 8)
DEV void mma16816(float* d, const u32* a, u32 b0, u32 b1) {
  if (kHalf) asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// D (16 x 8) += A (16 x 8) B (8 x 8), tf32
DEV void mma1688(float* d, const u32* a, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// A warpgroup gives registers back, or takes those that others gave: so many a thread from here on.
template <int N> DEV void regs_down() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N> DEV void regs_up() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }
// Makes ordinary writes to shared memory visible to the tensor cores' own reads.
DEV void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
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
// D (64 x N) += A (64 x 16) B (16 x N) of a warpgroup; N is 16, 32 or 64, b describes B's tile. FRESH: D is written, else added to.
template <int N, bool MN, bool FRESH> DEV void wgmma_step(float* d, const u32* a, u64 b) {
  static_assert(N == 16 || N == 32 || N == 64, "columns of a step");
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
// mma.sync reads like any other instruction and is done when the next one begins.
DEV void proxy_fence() {}
DEV void mma_open() {}
DEV void mma_commit() {}
template <int N> DEV void mma_wait() {}
template <int N> DEV void mma_ready(float*) {}
#endif
