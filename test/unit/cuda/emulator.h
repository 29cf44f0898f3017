// Stands in for rt/base.cuh under g++: the threads of a block are fibers, which hand over where they wait. Bodies are in emulator.cc, so
// that not every text of kernels has to compile them.
#pragma once
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#define __global__
#define __device__
#define __shared__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline
#define __grid_constant__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#define DEV inline
#define UNROLL
struct Strides { int token, head; };
struct Dims { int tokens, heads, groups, sequences, chunks, segments; };
// A tensor of two or three axes, innermost first (of two, the third is 1), and the box that a copy moves.
struct TensorMap { const u8* at; int axes; i64 dims[3], strides[2]; int box[3], element; };
struct bf16 { u16 bits; };
struct f16 { u16 bits; };
typedef float f32;
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) uint4 { u32 x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }

inline float __uint_as_float(u32 x) { float f; memcpy(&f, &x, 4); return f; }
inline u32 __float_as_uint(float f) { u32 x; memcpy(&x, &f, 4); return x; }
inline float __int_as_float(int x) { return __uint_as_float((u32)x); }
inline float max_nan(float x, float y) { return x != x || y != y ? NAN : fmaxf(x, y); }
inline float min_nan(float x, float y) { return x != x || y != y ? NAN : fminf(x, y); }
inline float quick_exp2(float x) { return exp2f(x); }
inline float quick_inverse(float x) { return 1.f / x; }
inline float quick_quotient(float x, float y) { return x / y; }
inline float log_decay(float x) { return max_nan(x, -80.f); }

DEV float ld(const float* p) { return *p; }
DEV float ld(const bf16* p) { return __uint_as_float((u32)p->bits << 16); }
DEV float ld(const f16* p) { _Float16 h; memcpy(&h, p, 2); return (float)h; }
DEV void st(float* p, float x) { *p = x; }
DEV void st(bf16* p, float x) { u32 b = __float_as_uint(x); p->bits = (u16)(x != x ? 0x7fc0 : (b + 0x7fff + ((b >> 16) & 1)) >> 16); }
DEV void st(f16* p, float x) { _Float16 h = (_Float16)x; memcpy(p, &h, 2); }
template <typename E> DEV u32 both(const E*, float x, float y) { E a, b; st(&a, x), st(&b, y); return a.bits | (u32)b.bits << 16; }

struct Index { int x, y, z; };
extern Index threadIdx, blockIdx, gridDim;

// Odd addresses on purpose: whoever wants them rounded has to round.
constexpr u32 SHARED_AT = 1040;
extern u8* smem;
extern int shared_bytes;

extern bool lazy;
void set_order(int n);

extern int threads;

[[noreturn]] void fail(const char* format, ...);

#include "emulator-races.h"

void wait_for(const char* what, int id);
// Lets threads go on that wait for that; does one wait?
void release(const char* what, int id, int from, int to);
bool waits(const char* what, int id);
void bar_sync(int id, int count);
u32 atomicAdd(u32* at, u32 x);
inline void __syncthreads() { bar_sync(0, threads); }

// What the lanes of a warp do together, the last to come does for all. `mine`: where each lane keeps its operands and finds its results.
struct Meeting { const char* what; int arrived; void* of[32]; };
extern Meeting meetings[32];
inline const char LANES[] = "the other lanes of its warp";
template <typename T, typename F> inline void together(const char* what, T* mine, F run) {
  const int warp = threadIdx.x / 32, first = warp * 32, lanes = threads - first < 32 ? threads - first : 32;
  Meeting& m = meetings[warp];
  if (m.arrived != 0 && m.what != what) fail("%s, while other lanes of the warp are at %s", what, m.what);
  m.what = what;
  m.of[threadIdx.x & 31] = mine;
  if (++m.arrived < lanes) return wait_for(LANES, warp);
  m.arrived = 0;
  run((T**)m.of);
  release(LANES, warp, first, first + lanes);
}
void __syncwarp();
u32 shuffle(const char* what, u32 x, int from);
template <typename T> inline T shuffled(const char* what, T x, int from) {
  static_assert(sizeof(T) == 4);
  u32 bits;
  memcpy(&bits, &x, 4);
  bits = shuffle(what, bits, from);
  memcpy(&x, &bits, 4);
  return x;
}
inline int __popc(u32 x) { return __builtin_popcount(x); }
u32 __ballot_sync(u32, bool x);
u32 __reduce_add_sync(u32, u32 x);
u32 __reduce_min_sync(u32, u32 x);
// Kernels run one after the other.
inline void grid_wait() {}
inline const char BUTTERFLY[] = "shfl.bfly", UP[] = "shfl.up", FROM[] = "shfl.idx";
template <typename T> inline T __shfl_xor_sync(u32, T x, int n) { return shuffled(BUTTERFLY, x, (threadIdx.x & 31) ^ n); }
template <typename T> inline T __shfl_up_sync(u32, T x, int n) {
  const int lane = threadIdx.x & 31;
  return shuffled(UP, x, lane >= n ? lane - n : lane);
}
template <typename T> inline T __shfl_sync(u32, T x, int n) { return shuffled(FROM, x, n & 31); }

// Memory that ends, up to `align`, where no page is, and begins after none.
struct Guarded { std::string name; u8 *from, *at, *to; size_t bytes; };
Guarded guard(const char* name, size_t bytes, size_t align);
void catch_faults();
void launch(const char* name, Index grid, int block, int shared, std::function<void()> call);
