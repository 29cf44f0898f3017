// Stands in for rt/wgmma.cuh under g++. Bodies are in emulator-ptx.cc.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <int N, bool ACROSS_A, bool ACROSS_B> DEV void wgmma_shared(float* d, u64 a, u64 b) {
  wgmma_shared_of(N, ACROSS_A, ACROSS_B, d, a, b);
}
DEV void stg16(void* p, const u32* v) {
  if ((u64)p % 16 != 0) fail("a store to an address that is no multiple of 16");
  memcpy(p, v, 16);
}
DEV void stg8(float* p, float x, float y) {
  if ((u64)p % 8 != 0) fail("a store to an address that is no multiple of 8");
  p[0] = x, p[1] = y;
}
DEV void l2_prefetch(const void* p) { volatile u8 x = *(const u8*)p; (void)x; }
DEV void cp_arrive(u32 b) { copies_tell(b); }
#endif
