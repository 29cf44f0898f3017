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
