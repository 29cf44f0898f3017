// Stands in for rt/wgmma.cuh under g++.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
struct BothShared { float* d; u64 a, b; };
template <int N, bool ACROSS_A, bool ACROSS_B> DEV void wgmma_shared(float* d, u64 a, u64 b) {
  BothShared mine = {d, a, b};
  together(WGMMA, &mine, [](BothShared** of) {
    Product p = {N, 0, ACROSS_B, false, of[0]->b};
    p.shared = true;
    p.across = ACROSS_A;
    p.from = of[0]->a;
    for (int l = 0; l < 32; ++l) {
      if (of[l]->b != p.b || of[l]->a != p.from) fail("lanes with different matrix descriptors");
      p.d[l] = of[l]->d;
    }
    begin_product(p);
  });
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
DEV void cp_arrive(u32 b) {
  tells(phases_at(b).told);
  arrivals.push_back({threadIdx.x, copy_groups[threadIdx.x]++, b});
  if (!lazy || awaited(b)) arrive_late(b);
}
#endif
