// Products of two matrices that both lie in shared memory, and copies that tell a barrier when they are there: what only sm_90a has words for.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LMOEC_ACC64(d) \
  LMOEC_ACC32(d), \
  "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), \
  "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
  "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
#define LMOEC_ACC128(d) \
  LMOEC_ACC64(d), \
  "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), \
  "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), \
  "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99]), \
  "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), \
  "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), \
  "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])
#define LMOEC_WGMMA_SHARED64(TYPE, MAJORS) \
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " {" \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31" \
    "}, %32, %33, 1, 1, 1, " MAJORS ";" : LMOEC_ACC32(d) : "l"(a), "l"(b))
#define LMOEC_WGMMA_SHARED128(TYPE, MAJORS) \
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " {" \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63" \
    "}, %64, %65, 1, 1, 1, " MAJORS ";" : LMOEC_ACC64(d) : "l"(a), "l"(b))
#define LMOEC_WGMMA_SHARED256(TYPE, MAJORS) \
  asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32." TYPE "." TYPE " {" \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127" \
    "}, %128, %129, 1, 1, 1, " MAJORS ";" : LMOEC_ACC128(d) : "l"(a), "l"(b))
#define LMOEC_WGMMA_SHARED(N, MAJORS) \
  do { if (kHalf) LMOEC_WGMMA_SHARED##N("f16", MAJORS); else LMOEC_WGMMA_SHARED##N("bf16", MAJORS); } while (0)
#define LMOEC_WGMMA_MAJORS(N) \
  do { \
    if (ACROSS_A && ACROSS_B) LMOEC_WGMMA_SHARED(N, "1, 1"); \
    else if (ACROSS_A) LMOEC_WGMMA_SHARED(N, "1, 0"); \
    else if (ACROSS_B) LMOEC_WGMMA_SHARED(N, "0, 1"); \
    else LMOEC_WGMMA_SHARED(N, "0, 0"); \
  } while (0)
// D (64 x N) += A (64 x 16) B (16 x N) of a warpgroup; N is 64, 128 or 256. Across: rows of the tile are what is summed over.
template <int N, bool ACROSS_A, bool ACROSS_B> DEV void wgmma_shared(float* d, u64 a, u64 b) {
  if (N == 64) LMOEC_WGMMA_MAJORS(64);
  else if (N == 128) LMOEC_WGMMA_MAJORS(128);
  else LMOEC_WGMMA_MAJORS(256);
}
// A box of a tensor of two axes, as bulk_copy.
DEV void bulk_copy_rows(u32 dst, const TensorMap& map, int x, int y, u32 b) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               ::"r"(dst), "l"(&map), "r"(x), "r"(y), "r"(b) : "memory");
}
// 16 bytes at once, which the compiler would not always see.
DEV void stg16(void* p, const u32* v) { asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]) : "memory"); }
DEV void stg8(float* p, float x, float y) { asm volatile("st.global.v2.f32 [%0], {%1, %2};" ::"l"(p), "f"(x), "f"(y) : "memory"); }
DEV void l2_prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
// Arrives, of a barrier that counts this thread, when all that the thread has asked cp_async for is there.
DEV void cp_arrive(u32 b) { asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(b) : "memory"); }
#endif
