// What kernels of lmoec 0.1.0 call. Their files include this one
// after they have said what kExact, kHalf and kChunk are. Do not edit.
// Types, conversions and index helpers.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#define DEV __device__ __forceinline__
#define UNROLL _Pragma("unroll")

// Elements from one token of an input to the next, and from one head to the next.
struct Strides { int token, head; };
struct Dims { int tokens, heads, groups, sequences, chunks, segments; };
// What the host encodes for the copy engine: a tensor and the box of it that a copy moves.
struct __align__(64) TensorMap { u64 opaque[16]; };
struct bf16 { u16 bits; };
struct f16 { u16 bits; };
typedef float f32;

// Lets the next kernel be launched already, whose blocks come here too, and waits for the one before, where a host has launched this one as early.
DEV void grid_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// Of two numbers; no number if one of them is none.
DEV float max_nan(float x, float y) { float r; asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(y)); return r; }
DEV float min_nan(float x, float y) { float r; asm("min.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(y)); return r; }
// To the last digit but one, in an instruction or few where the exact ones take tens: straight code of that length would not fit the instruction cache.
DEV float quick_exp2(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
DEV float quick_inverse(float x) { float r; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
DEV float quick_quotient(float x, float y) { float r; asm("div.full.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(y)); return r; }
// Forwards, running sums are of log decays: a gate of -inf stays a reset (e^-80 is 0 beside anything) and differences of sums stay numbers.
DEV float log_decay(float x) { return max_nan(x, -80.f); }

DEV float ld(const float* p) { return *p; }
DEV float ld(const bf16* p) { return __uint_as_float((u32)p->bits << 16); }
DEV float ld(const f16* p) { float r; asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(p->bits)); return r; }
DEV void st(float* p, float x) { *p = x; }
DEV void st(bf16* p, float x) { u32 r; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(0.f), "f"(x)); p->bits = (u16)r; }
DEV void st(f16* p, float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(p->bits) : "f"(x)); }
// Two of 16 bits as one number, rounded at once.
DEV u32 both(const bf16*, float x, float y) { u32 r; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(y), "f"(x)); return r; }
DEV u32 both(const f16*, float x, float y) { u32 r; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(y), "f"(x)); return r; }

// Scalar functions. kExact (f32 io) asks for correctly rounded exponentials and quotients, otherwise the hardware's serve.
// Infinities times 0 would be no numbers where formulas go to 0, so exponentials end at the largest one. What is no number stays so everywhere.
DEV float m_exp(float x) { return kExact ? expf(min_nan(x, 88.72f)) : quick_exp2(1.44269504f * min_nan(x, 88.72f)); }
DEV float m_expm1(float x) { return expm1f(min_nan(x, 88.72f)); }
// A cotangent times a slope: where one is 0, the other may be beyond all numbers.
DEV float m_chain(float x, float y) { const float p = x * y; return p != p && x == x && y == y ? 0.f : p; }
DEV float m_log(float x) { return logf(x); }
DEV float m_div(float x, float y) { return kExact ? x / y : quick_quotient(x, y); }
DEV float m_sigmoid(float x) {
  // 1 / infinity is 0.
  if (!kExact) return quick_inverse(1.f + quick_exp2(-1.44269504f * x));
  const float e = m_exp(-fabsf(x));
  return (x < 0.f ? e : 1.f) / (1.f + e);
}
// m_sigmoid(-x), of the numbers that m_sigmoid(x) is made of.
DEV float m_sigmoid_minus(float x) {
  if (kExact) return m_sigmoid(-x);
  const float e = quick_exp2(-1.44269504f * x), part = e * quick_inverse(1.f + e);
  return e > 1e37f ? 1.f : part;
}
// Of x m_sigmoid(x): near 1 what it lacks of that is small beside it.
DEV float m_silu_slope(float x) {
  const float s = m_sigmoid(x);
  return s * (1.f + (kExact ? m_chain(x, m_sigmoid(-x)) : min_nan(x, 3e38f) * (1.f - s)));
}
DEV float m_softplus(float x) { return fmaxf(x, 0.f) + log1pf(m_exp(-fabsf(x))); }
DEV float m_log_sigmoid(float x) { return -m_softplus(-x); }
// Of -infinity it is 0.
DEV float m_silu(float x) { return kExact ? m_chain(x, m_sigmoid(x)) : max_nan(x, -3e38f) * m_sigmoid(x); }
DEV float m_relu(float x) { return max_nan(x, 0.f); }
DEV float m_normal_cdf(float x) { return 0.5f * erfcf(x * -0.70710678118654752f); }
DEV float m_gelu(float x) { return m_chain(x, m_normal_cdf(x)); }
DEV float m_nan(float x) { return x != x ? 1.f : 0.f; }
DEV float m_sign(float x) { return x > 0.f ? 1.f : x < 0.f ? -1.f : x; }
// a h + x. Next to 1 what a takes away, less = a - 1, has more digits than a: the small terms come first.
DEV float decayed(float h, float a, float less, float x) { return less > -0.5f ? h + (less * h + x) : a * h + x; }

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

// Tiles of 16-bit operands in shared memory: panels of 64 columns, 128-byte rows, 16-byte pieces exchanged by row (128-byte swizzle),
// which ldmatrix, its transposing form and matrix descriptors all read without conflicts. R rows; columns are padded to 64.
// Fragments: 64 rows of a warpgroup in the accumulator layout of m16n8: value i of a thread is
//   row 16 * warp + lane / 4 + 8 * (i / 2 % 2),   column 8 * (i / 4) + 2 * (lane % 4) + i % 2.
DEV int lane_id() { return threadIdx.x & 31; }
DEV int warp_id() { return (threadIdx.x >> 5) & 3; }
DEV int frag_row(int i) { return warp_id() * 16 + (lane_id() >> 2) + ((i >> 1) & 1) * 8; }
DEV int frag_col(int i) { return (i >> 2) * 8 + (lane_id() & 3) * 2 + (i & 1); }
template <int R> DEV u32 swz(int r, int c) { return (u32)((c >> 6) * R * 128 + r * 128 + ((((c >> 3) ^ r) & 7) << 4) + (c & 7) * 2); }

// Barrier of the threads of one team.
DEV void team_sync(int id, int threads = 128) {
  proxy_fence();
  bar_sync(id, threads);
}

// Copies R x 64P elements; rows >= rows and columns >= cols become 0. `stride` in elements.
template <int R, int P, int THREADS = 128, typename E> DEV void tile_load(u32 dst, const E* src, i64 stride, int rows, int cols, int t, int skip = 0) {
  if (rows >= R && cols >= P * 64 && skip <= 0) {
    // Nearly all tiles are full: one address each for source and target, then steps. Where threads do not fill whole rows (three panels),
    // one comes back to its columns after a few turns, each of which has addresses of its own.
    constexpr int TURNS = P / (P & -P), ROWS = TURNS * THREADS / (8 * P);
    static_assert(TURNS * THREADS % (8 * P) == 0 && R % ROWS == 0, "steps of whole rows");
    UNROLL for (int turn = 0; turn < TURNS; ++turn) {
      const int at = turn * THREADS + t;
      const E* from = src + at / (8 * P) * stride + at % (8 * P) * 8;
      const u32 to = dst + swz<R>(at / (8 * P), at % (8 * P) * 8);
      UNROLL for (int n = 0; n < R / ROWS; ++n) {
        const u32 there = ROWS % 8 == 0 ? to + n * ROWS * 128 : dst + swz<R>(at / (8 * P) + n * ROWS, at % (8 * P) * 8);
        cp_async(there, from + n * ROWS * stride, 16);
      }
    }
    return;
  }
  UNROLL for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    int i = n * THREADS + t, r = i / (8 * P), x = i % (8 * P);
    bool in = r < rows && r >= skip && x * 8 < cols;
    cp_async(dst + swz<R>(r, x * 8), in ? src + r * stride + x * 8 : src, in ? 16 : 0);
  }
}
#if __CUDA_ARCH__ >= 900
// The same by the copy engine: a box for each 64 columns. The map's swizzle is swz's.
template <int R, int P> DEV void tile_bulk(u32 dst, const TensorMap& map, int x, int y, int z, u32 bar) { UNROLL for (int p = 0; p < P; ++p) bulk_copy(dst + p * R * 128, map, x + p * 64, y, z, bar); }
template <int R, int P> DEV void tile_push(const TensorMap& map, int x, int y, int z, u32 src) { UNROLL for (int p = 0; p < P; ++p) bulk_store(map, x + p * 64, y, z, src + p * R * 128); }
template <int P> DEV void tile_prefetch(const TensorMap& map, int x, int y, int z) { UNROLL for (int p = 0; p < P; ++p) bulk_prefetch(map, x + p * 64, y, z); }
#endif
// Rows that another sequence's tokens came to become 0.
template <int R, int P, int THREADS = 128> DEV void tile_clear(u32 dst, int rows, int t, int skip = 0) {
  for (int i = t; i < skip * 8 * P; i += THREADS) fill16(dst + swz<R>(i / (8 * P), i % (8 * P) * 8), 0);
  for (int i = t + rows * 8 * P; i < R * 8 * P; i += THREADS) fill16(dst + swz<R>(i / (8 * P), i % (8 * P) * 8), 0);
}
// 64 rows of floats at a stride that is a multiple of 4; rows >= rows and columns >= cols become 0.
template <int COLS, int STRIDE, int THREADS = 128> DEV void array_load(u32 dst, const float* src, i64 stride, int rows, int cols, int t, int skip = 0) {
  UNROLL for (int n = 0; n < (COLS * 16 + THREADS - 1) / THREADS; ++n) {
    int i = n * THREADS + t, r = i / (COLS / 4), x = i % (COLS / 4);
    if (COLS * 16 % THREADS != 0 && r >= 64) break;
    bool in = r < rows && r >= skip && x * 4 < cols;
    cp_async(dst + (r * STRIDE + x * 4) * 4, in ? src + r * stride + x * 4 : src, in ? 16 : 0);
  }
}
template <int R, int P, int THREADS = 128, typename E> DEV void tile_store(E* dst, i64 stride, int rows, int cols, u32 src, int t) {
  UNROLL for (int n = 0; n < R * P * 8 / THREADS; ++n) {
    int i = n * THREADS + t, r = i / (8 * P), x = i % (8 * P);
    if (r < rows && x * 8 < cols) {
      u32 v[4];
      lds16(v, src + swz<R>(r, x * 8));
      *(uint4*)(dst + r * stride + x * 8) = make_uint4(v[0], v[1], v[2], v[3]);
    }
  }
}
DEV void st2(float* p, float x, float y) { *(float2*)p = make_float2(x, y); }
template <int R> DEV float tile_at(u32 tile, int r, int c) { return low(lds2(tile + swz<R>(r, c))); }

// 16 fragment columns of a tile as one A operand. The fragment's rows are the tile's rows r0.., or, TRANS, its columns r0...
template <int R, bool TRANS> DEV void load_a(u32* a, u32 tile, int r0, int k) {
  int l = lane_id(), w = warp_id() * 16 + r0;
  if (TRANS) ldm4t(a, tile + swz<R>(k * 16 + (l & 7) + ((l >> 4) << 3), w + ((l >> 3) & 1) * 8));
  else ldm4(a, tile + swz<R>(w + (l & 7) + ((l >> 3) & 1) * 8, k * 16 + (l >> 4) * 8));
}
template <int KS, int R, bool TRANS> DEV void load_as(u32 (*a)[4], u32 tile) { UNROLL for (int k = 0; k < KS; ++k) load_a<R, TRANS>(a[k], tile, 0, k); }
template <int KS> DEV void unpack(float* f, u32 (*a)[4]) {
  UNROLL for (int k = 0; k < KS; ++k) UNROLL for (int e = 0; e < 4; ++e) { f[k * 8 + e * 2] = low(a[k][e]); f[k * 8 + e * 2 + 1] = high(a[k][e]); }
}
// KS steps of 16 columns from step k0 on.
template <int KS, int R, bool TRANS> DEV void load_frag(float* f, u32 tile, int k0) {
  UNROLL for (int k = 0; k < KS; ++k) {
    u32 a[1][4];
    load_a<R, TRANS>(a[0], tile, 0, k0 + k);
    unpack<1>(f + k * 8, a);
  }
}
template <int KS> DEV void pack(u32 (*a)[4], const float* f) {
  UNROLL for (int k = 0; k < KS; ++k) UNROLL for (int e = 0; e < 4; ++e) a[k][e] = pack2(f[k * 8 + e * 2], f[k * 8 + e * 2 + 1]);
}
// The inverse of load_frag: rounds a fragment into a tile.
template <int KS, int R, bool TRANS> DEV void store_frag(u32 tile, const float* f, int k0) {
  int l = lane_id(), w = warp_id() * 16;
  UNROLL for (int s = 0; s < KS; ++s) {
    u32 p[4];
    const int k = k0 + s;
    UNROLL for (int e = 0; e < 4; ++e) p[e] = pack2(f[s * 8 + e * 2], f[s * 8 + e * 2 + 1]);
#if __CUDA_ARCH__ >= 900
    if (TRANS) stm4t(tile + swz<R>(k * 16 + (l & 7) + ((l >> 4) << 3), w + ((l >> 3) & 1) * 8), p);
    else stm4(tile + swz<R>(w + (l & 7) + ((l >> 3) & 1) * 8, k * 16 + (l >> 4) * 8), p);
#else
    UNROLL for (int e = 0; e < 4; ++e) {
      int r = w + (l >> 2) + (e & 1) * 8, c = k * 16 + (e >> 1) * 8 + (l & 3) * 2;
      if (TRANS) {
        sts2(tile + swz<R>(c, r), (u16)p[e]);
        sts2(tile + swz<R>(c + 1, r), (u16)(p[e] >> 16));
      } else sts4(tile + swz<R>(r, c), p[e]);
    }
#endif
  }
}

// Sum over a fragment's columns: every thread of a quad gets the sums of its two rows.
template <int N> DEV void row_sums(float* s, const float* f) {
  s[0] = s[1] = 0.f;
  UNROLL for (int i = 0; i < N; ++i) s[(i >> 1) & 1] += f[i];
  UNROLL for (int h = 0; h < 2; ++h) {
    s[h] += __shfl_xor_sync(~0u, s[h], 1);
    s[h] += __shfl_xor_sync(~0u, s[h], 2);
  }
}
template <int N> DEV void row_sums_to(float* out, const float* f) {
  float s[2];
  row_sums<N>(s, f);
  if ((lane_id() & 3) == 0) { out[frag_row(0)] = s[0]; out[frag_row(2)] = s[1]; }
}
// Sum over a fragment's 64 rows, from column c0 on; part: 4 x `columns` floats, a line a warp, which the caller adds up after a barrier.
template <int N> DEV void col_sums_part(float* part, const float* f, int columns, int c0) {
  UNROLL for (int i = 0; i < N; ++i) {
    if ((i >> 1) & 1) continue;
    float s = f[i] + f[i + 2];
    s += __shfl_xor_sync(~0u, s, 4);
    s += __shfl_xor_sync(~0u, s, 8);
    s += __shfl_xor_sync(~0u, s, 16);
    if (lane_id() < 4) part[warp_id() * columns + c0 + frag_col(i)] = s;
  }
}
// Running sum of 64 floats by one warp; result may be the argument. Two per lane.
DEV void vec_cumsum(float* out, const float* in, bool exclusive, bool reverse) {
  int l = lane_id(), i0 = reverse ? 63 - 2 * l : 2 * l, i1 = reverse ? i0 - 1 : i0 + 1;
  float a = reverse ? in[i0] : log_decay(in[i0]), b = reverse ? in[i1] : log_decay(in[i1]), s = a + b;
  UNROLL for (int n = 1; n < 32; n *= 2) { float y = __shfl_up_sync(~0u, s, n); if (l >= n) s += y; }
  float before = s - (a + b);
  float y = __shfl_up_sync(~0u, s, 1);
  before = l == 0 ? 0.f : y;
  out[i0] = exclusive ? before : before + a;
  out[i1] = exclusive ? before + a : before + a + b;
}
// Sum of N floats in shared memory, the same in every thread of a warp.
template <int N> DEV float vec_sum(const float* v) {
  float s = 0.f;
  UNROLL for (int i = 0; i < N; i += 32) if (i + lane_id() < N) s += v[i + lane_id()];
  UNROLL for (int n = 16; n > 0; n /= 2) s += __shfl_xor_sync(~0u, s, n);
  return s;
}
// Largest (smallest) of N / 2 columns of each row.
template <int N, bool MAX> DEV void row_extrema_to(float* out, const float* f) {
  float s[2] = {f[0], f[2]};
  auto pick = [](float x, float y) { return MAX ? max_nan(x, y) : min_nan(x, y); };
  UNROLL for (int i = 0; i < N; ++i) s[(i >> 1) & 1] = pick(s[(i >> 1) & 1], f[i]);
  UNROLL for (int h = 0; h < 2; ++h) {
    s[h] = pick(s[h], __shfl_xor_sync(~0u, s[h], 1));
    s[h] = pick(s[h], __shfl_xor_sync(~0u, s[h], 2));
  }
  if ((lane_id() & 3) == 0) { out[frag_row(0)] = s[0]; out[frag_row(2)] = s[1]; }
}
// Inner product of row r of two tiles with R rows and COLS columns. Neighbouring rows start at different pieces, so that they read different banks.
template <int R, int COLS> DEV float row_dot(u32 x, u32 y, int r) {
  float s = 0.f;
  UNROLL for (int n = 0; n < COLS / 8; ++n) {
    u32 a[4], b[4];
    lds16(a, x + swz<R>(r, n * 8));
    lds16(b, y + swz<R>(r, n * 8));
    UNROLL for (int e = 0; e < 4; ++e) s += low(a[e]) * low(b[e]) + high(a[e]) * high(b[e]);
  }
  return s;
}
// Inner product of column c of two tiles with R rows.
template <int R> DEV float col_dot(u32 x, u32 y, int c) {
  float s = 0.f;
#pragma unroll 8
  for (int r = 0; r < R; ++r) s += tile_at<R>(x, r, c) * tile_at<R>(y, r, c);
  return s;
}
// A 64 x 64 fragment as values of threads: what one warpgroup puts down another of the same place in its rows picks up. sum: 32 x 128 floats.
DEV void put_whole(float* sum, const float* f, int t) { UNROLL for (int i = 0; i < 32; ++i) sum[i * 128 + (t & 127)] = f[i]; }
DEV void add_whole(float* sum, const float* f, int t) { UNROLL for (int i = 0; i < 32; ++i) sum[i * 128 + (t & 127)] += f[i]; }
template <int N> DEV void take_part(float* out, const float* sum, int part, int t) { UNROLL for (int i = 0; i < N; ++i) out[i] = sum[(part * N + i) * 128 + (t & 127)]; }

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

// Running sum down one column of a 64-row array; result may be the argument. Sixteen rows are read at a time, since no read may pass a write.
template <bool EXCLUSIVE, bool REVERSE> DEV void col_cumsum(float* out, const float* in, int stride, bool exists) {
  float acc = 0.f;
  UNROLL for (int s = 0; s < 64; s += 16) {
    float x[16];
    // Padding is 0, whatever lies there.
    UNROLL for (int i = 0; i < 16; ++i) x[i] = exists ? in[(REVERSE ? 63 - s - i : s + i) * stride] : 0.f;
    UNROLL for (int i = 0; i < 16; ++i) {
      const int r = REVERSE ? 63 - s - i : s + i;
      if (!REVERSE) x[i] = log_decay(x[i]);
      if (EXCLUSIVE) out[r * stride] = acc;
      acc += x[i];
      if (!EXCLUSIVE) out[r * stride] = acc;
    }
  }
}

// D (16 x 8N) += X (16 x 8) Y (8 x 8N), arrays of floats; FINE: operands in two parts, which leave nothing of a float out.
template <int STRIDE, bool FINE, int N = 1> DEV void step_tf32(float* d, const float* x, const float* y) {
  int r = lane_id() >> 2, c = lane_id() & 3;
  const float xs[4] = {x[r * STRIDE + c], x[(r + 8) * STRIDE + c], x[r * STRIDE + c + 4], x[(r + 8) * STRIDE + c + 4]};
  u32 a[4], rest[4];
  UNROLL for (int i = 0; i < 4; ++i) a[i] = tf32(xs[i]);
  if (FINE) UNROLL for (int i = 0; i < 4; ++i) rest[i] = tf32(xs[i] - __uint_as_float(a[i]));
  UNROLL for (int n = 0; n < N; ++n) {
    const float ys[2] = {y[c * STRIDE + r + n * 8], y[(c + 4) * STRIDE + r + n * 8]};
    u32 b[2];
    UNROLL for (int i = 0; i < 2; ++i) b[i] = tf32(ys[i]);
    mma1688(d + n * 4, a, b[0], b[1]);
    if (FINE) {
      mma1688(d + n * 4, rest, b[0], b[1]);
      UNROLL for (int i = 0; i < 2; ++i) b[i] = tf32(ys[i] - __uint_as_float(b[i]));
      mma1688(d + n * 4, a, b[0], b[1]);
    }
  }
}
// D (16 x 8) += X (16 x 8k) Y (8k x 8)
template <int K8, int STRIDE, bool FINE> DEV void mma_tf32(float* d, const float* x, const float* y) {
  UNROLL for (int k = 0; k < K8; ++k) step_tf32<STRIDE, FINE>(d, x + k * 8, y + k * 8 * STRIDE);
}
template <int STRIDE> DEV void put_16x8(float* to, const float* d) {
  int r = lane_id() >> 2, c = (lane_id() & 3) * 2;
  *(float2*)(to + r * STRIDE + c) = make_float2(d[0], d[1]);
  *(float2*)(to + (r + 8) * STRIDE + c) = make_float2(d[2], d[3]);
}

// (I - A)^-1 in place; A strictly lower, 64 x 64 floats. Diagonal blocks of 16 by substitution in f32 (docs/algorithms.md: solves; powers of A in less
// precision cancel), then T21 = T22 A21 T11 for blocks of 16 and 32. Every warp owns columns; the block above the diagonal holds A21 T11 meanwhile.
template <int STRIDE, bool FINE = false> DEV void tri_inverse(float* A, int t, int bar) {
  const int w = t >> 5;
  {
    float *block = A + (w * 16) * STRIDE + w * 16, x[16];
    const int c = t & 15;
    UNROLL for (int i = 0; i < 16; ++i) {
      float s = i == c ? 1.f : 0.f;
      UNROLL for (int j = 0; j < i; j += 4) {
        float4 a = *(const float4*)(block + i * STRIDE + j);
        s += a.x * x[j];
        if (j + 1 < i) s += a.y * x[j + 1];
        if (j + 2 < i) s += a.z * x[j + 2];
        if (j + 3 < i) s += a.w * x[j + 3];
      }
      x[i] = s;
    }
    __syncwarp();
    if ((t & 31) < 16) UNROLL for (int i = 0; i < 16; ++i) block[i * STRIDE + c] = x[i];
  }
  bar_sync(bar, 128);
  {
    const int o = (w >> 1) * 32, n = (w & 1) * 8;
    float *above = A + o * STRIDE + o + 16 + n, *below = A + (o + 16) * STRIDE + o + n;
    float u[4] = {0.f, 0.f, 0.f, 0.f}, v[4] = {0.f, 0.f, 0.f, 0.f};
    mma_tf32<2, STRIDE, FINE>(u, A + (o + 16) * STRIDE + o, A + o * STRIDE + o + n);
    put_16x8<STRIDE>(above, u);
    bar_sync(bar, 128);
    mma_tf32<2, STRIDE, FINE>(v, A + (o + 16) * STRIDE + o + 16, above);
    put_16x8<STRIDE>(below, v);
    __syncwarp();
    UNROLL for (int i = 0; i < 4; ++i) u[i] = 0.f;
    put_16x8<STRIDE>(above, u);
  }
  bar_sync(bar, 128);
  {
    const int n = w * 8;
    float *above = A + 32 + n, *below = A + 32 * STRIDE + n;
    float u[2][4], v[2][4];
    UNROLL for (int m = 0; m < 2; ++m) {
      UNROLL for (int i = 0; i < 4; ++i) u[m][i] = v[m][i] = 0.f;
      mma_tf32<4, STRIDE, FINE>(u[m], A + (32 + m * 16) * STRIDE, A + n);
      put_16x8<STRIDE>(above + m * 16 * STRIDE, u[m]);
    }
    bar_sync(bar, 128);
    UNROLL for (int m = 0; m < 2; ++m) {
      mma_tf32<4, STRIDE, FINE>(v[m], A + (32 + m * 16) * STRIDE + 32, above);
      put_16x8<STRIDE>(below + m * 16 * STRIDE, v[m]);
    }
    __syncwarp();
    UNROLL for (int i = 0; i < 4; ++i) u[0][i] = 0.f;
    UNROLL for (int m = 0; m < 2; ++m) put_16x8<STRIDE>(above + m * 16 * STRIDE, u[0]);
  }
  bar_sync(bar, 128);
}

// 64 x 64 product of arrays; every warp makes 16 rows. A loop: a scan of three erases has 24 of these in one kernel, 800 KB of code without it.
template <int STRIDE, bool FINE = false> DEV void compose_tf32(float* out, const float* a, const float* b, int t) {
  const int row = (t >> 5) * 16;
  float d[8][4];
  UNROLL for (int n = 0; n < 8; ++n) UNROLL for (int i = 0; i < 4; ++i) d[n][i] = 0.f;
#pragma unroll 1
  for (int k = 0; k < 64; k += 8) step_tf32<STRIDE, FINE, 8>(d[0], a + row * STRIDE + k, b + k * STRIDE);
  UNROLL for (int n = 0; n < 8; ++n) put_16x8<STRIDE>(out + row * STRIDE + n * 8, d[n]);
}

// Decay scores and their adjoints. A warp owns 16 tokens. Among them, halving levels (docs/algorithms.md: decays): at level l only pairs of neighbouring
// l-blocks meet and both sides decay towards their border; the factors are running products, so one exponential per element serves all levels.
// Between warps both sides decay to the last token of the writer's 16. Every factor is at most 1 for gates <= 0, and 0 for a reset.
// G: inclusive sums of the log gates, [64][STRIDE]. Loops over steps of 16 channels stay loops: unrolled they would not fit the instruction cache.

// One warp's decays at 16 channels, in the layout of an A fragment: value i is token lane / 4 + 8 * (i / 2 % 2), channel 8 * (i / 4) + 2 * (lane % 4) + i % 2.
struct Decays {
  float from[8];   // from the start of the token's block to the token, the reader's side
  float early[8];  // the same without the token's own decay: a reader that sees the state before it
  float to[8];     // from the token to the end of its block, the writer's side
  float whole[8];  // the whole block
};
template <int STRIDE> DEV float2 sum_at(const float* G, int r, int c) { return r < 0 ? make_float2(0.f, 0.f) : *(const float2*)(G + r * STRIDE + c); }
// e^(G[a] - G[b]) for two rows per thread and 16 channels; a and b take the fragment's token.
template <int STRIDE, typename A, typename B> DEV void decays_between(float* f, const float* G, int k, A a, B b) {
  UNROLL for (int i = 0; i < 8; i += 2) {
    const int r = frag_row(i), c = k * 16 + frag_col(i);
    float2 x = sum_at<STRIDE>(G, a(r), c), y = sum_at<STRIDE>(G, b(r), c);
    f[i] = m_exp(x.x - y.x), f[i + 1] = m_exp(x.y - y.y);
  }
}
// Blocks of one token. A token's own decay is a difference of neighbouring sums.
template <int STRIDE> DEV void decays_begin(Decays& f, const float* G, int k) {
  decays_between<STRIDE>(f.whole, G, k, [](int r) { return r; }, [](int r) { return r - 1; });
  UNROLL for (int i = 0; i < 8; ++i) f.from[i] = f.whole[i], f.early[i] = f.to[i] = 1.f;
}
// Blocks of l tokens become blocks of 2l.
DEV void decays_double(Decays& f, int l) {
  UNROLL for (int i = 0; i < 8; ++i) {
    float mine = f.whole[i], other = __shfl_xor_sync(~0u, mine, 4 * l);
    if ((lane_id() >> 2) & l) f.from[i] *= other, f.early[i] *= other;
    else f.to[i] *= other;
    f.whole[i] = mine * other;
  }
}
// Blocks of 8 become one of 16: the other half of the fragment's rows.
DEV void decays_join(Decays& f) {
  UNROLL for (int i = 0; i < 8; ++i) if (!(i & 2)) f.from[i + 2] *= f.whole[i], f.early[i + 2] *= f.whole[i], f.to[i] *= f.whole[i + 2];
}
DEV void scaled(u32* a, const float* x, const float* f) { UNROLL for (int e = 0; e < 4; ++e) a[e] = pack2(x[e * 2] * f[e * 2], x[e * 2 + 1] * f[e * 2 + 1]); }
// In two parts of 16 bits. A gradient of a gate is a difference of such products (docs/algorithms.md: decays), where one part's rounding would be what is left.
DEV void scaled_parts(u32* a, u32* rest, const float* x, const float* f) {
  scaled(a, x, f);
  UNROLL for (int e = 0; e < 4; ++e) rest[e] = pack2(x[e * 2] * f[e * 2] - low(a[e]), x[e * 2 + 1] * f[e * 2 + 1] - high(a[e]));
}
DEV void load_step(float* f, u32 tile, int k) {
  u32 raw[1][4];
  load_a<64, false>(raw[0], tile, 0, k);
  unpack<1>(f, raw);
}
DEV void store_packed(u32 to, int k, const u32* p) {
  int l = lane_id(), w = warp_id() * 16;
  UNROLL for (int e = 0; e < 4; ++e)
    sts4(to + swz<64>(w + (l >> 2) + (e & 1) * 8, k * 16 + (e >> 1) * 8 + (l & 3) * 2), p[e]);
}

// out[n * Y + m][r, c] = sum over channels of x[n][r] y[m][c] decays(c..r), 64 x 64, of the channels [16 k0, 16 k1). Bit n of BEFORE, of STRICT: how x[n] reads.
// scratch[m]: a 64-row tile.
template <int X, int Y, int STRIDE, int BEFORE, int STRICT>
DEV void decay_scores(float (*out)[32], const u32 (&x)[X], const u32 (&y)[Y], const float* G, const u32 (&scratch)[Y], int k0, int k1, int bar) {
  const int w = warp_id();
  float level[X * Y][4][8], dot[X * Y][2];
  UNROLL for (int p = 0; p < X * Y; ++p) {
    dot[p][0] = dot[p][1] = 0.f;
    UNROLL for (int l = 0; l < 4; ++l) UNROLL for (int i = 0; i < 8; ++i) level[p][l][i] = 0.f;
  }
#pragma unroll 1
  for (int k = k0; k < k1; ++k) {
    u32 a[4], b[Y][4];
    float fx[X][8], fy[Y][8];
    UNROLL for (int m = 0; m < Y; ++m) load_step(fy[m], y[m], k);
    UNROLL for (int n = 0; n < X; ++n) {
      load_step(fx[n], x[n], k);
      if (!(STRICT >> n & 1)) UNROLL for (int m = 0; m < Y; ++m) UNROLL for (int i = 0; i < 8; ++i) dot[n * Y + m][(i >> 1) & 1] += fx[n][i] * fy[m][i];
    }
    Decays f;
    decays_begin<STRIDE>(f, G, k);
    UNROLL for (int l = 0; l < 4; ++l) {
      UNROLL for (int m = 0; m < Y; ++m) scaled(b[m], fy[m], f.to);
      UNROLL for (int n = 0; n < X; ++n) {
        scaled(a, fx[n], BEFORE >> n & 1 ? f.early : f.from);
        // Cells of A and B fragments are the same: tokens 0..7 of b are its registers 0 and 2, tokens 8..15 the others.
        UNROLL for (int m = 0; m < Y; ++m) {
          mma16816(level[n * Y + m][l], a, b[m][0], b[m][2]);
          if (l < 3) mma16816(level[n * Y + m][l] + 4, a, b[m][1], b[m][3]);
        }
      }
      if (l < 3) decays_double(f, 1 << l);
    }
    decays_join(f);
    UNROLL for (int m = 0; m < Y; ++m) {
      scaled(b[m], fy[m], f.to);
      store_packed(scratch[m], k, b[m]);
    }
  }
  UNROLL for (int p = 0; p < X * Y; ++p) {
    const bool diagonal = !(STRICT >> p / Y & 1);
    if (diagonal) UNROLL for (int h = 0; h < 2; ++h) {
      dot[p][h] += __shfl_xor_sync(~0u, dot[p][h], 1);
      dot[p][h] += __shfl_xor_sync(~0u, dot[p][h], 2);
    }
    float own[8];
    UNROLL for (int i = 0; i < 8; ++i) {
      const int r = frag_row(i) & 15, c = frag_col(i);
      own[i] = diagonal && r == c ? dot[p][(i >> 1) & 1] : 0.f;
      UNROLL for (int l = 0; l < 4; ++l) if (r > c && ((r ^ c) >> l) == 1) own[i] = level[p][l][i];
    }
    UNROLL for (int J = 0; J < 4; ++J) UNROLL for (int i = 0; i < 8; ++i) out[p][J * 8 + i] = J == w ? own[i] : 0.f;
  }
  bar_sync(bar, 128);
#pragma unroll 1
  for (int k = k0; k < k1; ++k) {
    float fx[X][8];
    UNROLL for (int n = 0; n < X; ++n) load_step(fx[n], x[n], k);
    UNROLL for (int J = 0; J < 3; ++J) {
      if (J >= w) continue;
      u32 a[4], b[Y][4];
      float late[8], early[8];
      decays_between<STRIDE>(late, G, k, [](int r) { return r; }, [&](int) { return J * 16 + 15; });
      decays_between<STRIDE>(early, G, k, [](int r) { return r - 1; }, [&](int) { return J * 16 + 15; });
      UNROLL for (int m = 0; m < Y; ++m) ldm4(b[m], scratch[m] + swz<64>(J * 16 + (lane_id() & 7) + ((lane_id() >> 4) << 3), k * 16 + ((lane_id() >> 3) & 1) * 8));
      UNROLL for (int n = 0; n < X; ++n) {
        scaled(a, fx[n], BEFORE >> n & 1 ? early : late);
        UNROLL for (int m = 0; m < Y; ++m) {
          mma16816(out[n * Y + m] + J * 8, a, b[m][0], b[m][1]);
          mma16816(out[n * Y + m] + J * 8 + 4, a, b[m][2], b[m][3]);
        }
      }
    }
  }
}

// The next 8 values of a fragment that a loop fills: first in, first out, since registers have no index at run time.
template <int N> DEV void rotate(float* out, const float* next) {
  UNROLL for (int i = 0; i + 8 < N; ++i) out[i] = out[i + 8];
  UNROLL for (int i = 0; i < 8; ++i) out[N - 8 + i] = next[i];
}

// Adjoints, for n < N: out[n][r] = sum_c A[n][r, c] y[c] decays(c..r), or with COL out[n][c] = sum_r A[n][r, c] y[r] decays(c..r), A given transposed; 64 x 16KS,
// from channel 16 k0 on. With COL all read alike: BEFORE is 0 or has all bits.
template <int N, int KS, int STRIDE, int BEFORE, int STRICT, bool COL>
DEV void decay_sides(float (*out)[KS * 8], const u32 (*const (&A)[N])[4], u32 y, const float* G, u32 scratch, int k0, int bar) {
  const int w = warp_id();
  // The 16 x 16 block of this warp's tokens. Levels 0 to 2 are in its diagonal 8 x 8 blocks, which are alike: byte l of `meet` has its sign where the low
  // and the high element of a pair meet at level l.
  u32 own[N][4], meet[2];
  UNROLL for (int i = 0; i < 2; ++i) {
    const int r = lane_id() >> 2, c = (lane_id() & 3) * 2 + i;
    meet[i] = 0;
    UNROLL for (int l = 0; l < 3; ++l) if ((COL ? c > r : r > c) && ((r ^ c) >> l) == 1) meet[i] |= 0x80u << 8 * l;
  }
  float unit[N][2];
  UNROLL for (int n = 0; n < N; ++n) {
    const bool diagonal = !(STRICT >> n & 1);
    unit[n][0] = unit[n][1] = 0.f;
    UNROLL for (int e = 0; e < 4; ++e) {
      own[n][e] = w == 0 ? A[n][0][e] : w == 1 ? A[n][1][e] : w == 2 ? A[n][2][e] : A[n][3][e];
      const int r = frag_row(e * 2) & 15, c = frag_col(e * 2);
      if (diagonal && r == c) unit[n][e & 1] += low(own[n][e]);
      if (diagonal && r == c + 1) unit[n][e & 1] += high(own[n][e]);
    }
    if (diagonal) UNROLL for (int h = 0; h < 2; ++h) {
      unit[n][h] += __shfl_xor_sync(~0u, unit[n][h], 1);
      unit[n][h] += __shfl_xor_sync(~0u, unit[n][h], 2);
    }
  }
#pragma unroll 1
  for (int k = k0; k < k0 + KS; ++k) {
    u32 b[4];
    float fy[8], sum[N][8];
    load_step(fy, y, k);
    UNROLL for (int n = 0; n < N; ++n) UNROLL for (int i = 0; i < 8; ++i) sum[n][i] = unit[n][(i >> 1) & 1] * fy[i];
    Decays f;
    decays_begin<STRIDE>(f, G, k);
    const float* reader = BEFORE & 1 ? f.early : f.from;
    UNROLL for (int l = 0; l < 4; ++l) {
      u32 rest[4];
      scaled_parts(b, rest, fy, COL ? reader : f.to);
      // Tokens become the contracted axis.
      UNROLL for (int e = 0; e < 4; ++e) { movm(b[e]); movm(rest[e]); }
      const u32 near = prmt(meet[0], meet[1], 0xcc88 + 0x1111 * l), far = l == 3 ? ~0u : 0u;
      UNROLL for (int n = 0; n < N; ++n) {
        float acc[8] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
        const u32 level[4] = {own[n][0] & near, COL ? 0 : own[n][1] & far, COL ? own[n][2] & far : 0, own[n][3] & near};
        mma16816(acc, level, b[0], b[1]);
        mma16816(acc + 4, level, b[2], b[3]);
        mma16816(acc, level, rest[0], rest[1]);
        mma16816(acc + 4, level, rest[2], rest[3]);
        const float* to = COL ? f.to : BEFORE >> n & 1 ? f.early : f.from;
        UNROLL for (int i = 0; i < 8; ++i) sum[n][i] += acc[i] * to[i];
      }
      if (l < 3) decays_double(f, 1 << l);
    }
    decays_join(f);
    scaled(b, fy, COL ? reader : f.to);
    store_packed(scratch, k, b);
    UNROLL for (int n = 0; n < N; ++n) rotate<KS * 8>(out[n], sum[n]);
  }
  bar_sync(bar, 128);
#pragma unroll 1
  for (int k = k0; k < k0 + KS; ++k) {
    float sum[N][8];
    UNROLL for (int n = 0; n < N; ++n) UNROLL for (int i = 0; i < 8; ++i) sum[n][i] = out[n][i];
    UNROLL for (int J = 0; J < 4; ++J) {
      if (COL ? J <= w : J >= w) continue;
      u32 b[4];
      float late[8], early[8];
      ldm4t(b, scratch + swz<64>(J * 16 + (lane_id() & 7) + ((lane_id() >> 3) & 1) * 8, k * 16 + (lane_id() >> 4) * 8));
      // What is stored has decayed to the end (COL: from the start) of its own 16 tokens.
      if (COL) decays_between<STRIDE>(late, G, k, [&](int) { return J * 16 - 1; }, [](int r) { return r; });
      else {
        decays_between<STRIDE>(late, G, k, [](int r) { return r; }, [&](int) { return J * 16 + 15; });
        decays_between<STRIDE>(early, G, k, [](int r) { return r - 1; }, [&](int) { return J * 16 + 15; });
      }
      UNROLL for (int n = 0; n < N; ++n) {
        float acc[8] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
        mma16816(acc, A[n][J], b[0], b[1]);
        mma16816(acc + 4, A[n][J], b[2], b[3]);
        const float* to = !COL && BEFORE >> n & 1 ? early : late;
        UNROLL for (int i = 0; i < 8; ++i) sum[n][i] += acc[i] * to[i];
      }
    }
    UNROLL for (int n = 0; n < N; ++n) rotate<KS * 8>(out[n], sum[n]);
  }
}

extern __shared__ __align__(1024) u8 smem[];
