// Stands in for rt/ptx.cuh under g++. Bodies are in emulator-ptx.cc.
DEV u32 saddr(const void* p) { return (u32)((const u8*)p - smem) + SHARED_AT; }
u32 pack2(float x, float y);
float low(u32 p);
float high(u32 p);
u32 prmt(u32 x, u32 y, u32 selector);
DEV u32 tf32(float x) { return (__float_as_uint(x) + 0x1000) & ~0x1fffu; }

template <int N> DEV void regs_down() {}
template <int N> DEV void regs_up() {}
void proxy_fence();

void cp_async(u32 to, const void* from, int bytes);
void cp_commit();
void cp_wait_for(int left);
template <int N> DEV void cp_wait() { cp_wait_for(N); }

void bar_init(u32 b, int n);
void bar_arrive(u32 b);
void bar_wait(u32 b, int parity);
#if __CUDA_ARCH__ >= 900
void bar_expect(u32 b, int bytes);
void bulk_copy(u32 dst, const TensorMap& map, int x, int y, int z, u32 b);
void bulk_copy_rows(u32 dst, const TensorMap& map, int x, int y, u32 b);
DEV void bulk_prefetch(const TensorMap&, int, int, int) {}
void bulk_store(const TensorMap& map, int x, int y, int z, u32 src);
void bulk_commit();
void bulk_wait_for(int left);
template <int LEFT> DEV void bulk_wait() {
  static_assert(LEFT >= 0);
  bulk_wait_for(LEFT);
}
#endif
template <int N> DEV void all_asked(float*) {}
u16 lds2(u32 a);
void lds16(u32* r, u32 a);
void fill16(u32 a, u32 x);
void sts2(u32 a, u16 h);
void sts4(u32 a, u32 x);

void ldm4(u32* r, u32 a);
void ldm4t(u32* r, u32 a);
#if __CUDA_ARCH__ >= 900
void stm4(u32 a, const u32* r);
void stm4t(u32 a, const u32* r);
#endif
void movm(u32& x);
void mma16816(float* d, const u32* a, u32 b0, u32 b1);
void mma1688(float* d, const u32* a, u32 b0, u32 b1);

DEV void mma_open() {}
template <int N> DEV void mma_ready(float*) {}
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
void wgmma_step_of(int columns, bool mn, bool fresh, float* d, const u32* a, u64 b);
template <int N, bool MN, bool FRESH> DEV void wgmma_step(float* d, const u32* a, u64 b) {
  static_assert(N == 16 || N == 32 || N == 64, "columns of a step");
  wgmma_step_of(N, MN, FRESH, d, a, b);
}
void mma_commit();
void mma_wait_for(int left);
template <int N> DEV void mma_wait() { mma_wait_for(N); }
// Of emulator-wgmma.h.
void wgmma_shared_of(int columns, bool across_a, bool across_b, float* d, u64 a, u64 b);
void copies_tell(u32 b);
#else
DEV void mma_commit() {}
template <int N> DEV void mma_wait() {}
#endif
