// Stands in for rt/base.cuh under g++: the threads of a block are fibers, a barrier hands over to the next one.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>
#include <ucontext.h>
#define __global__
#define __device__
#define __shared__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#define DEV inline
#define UNROLL
struct Dims { int tokens, heads, groups, sequences, chunks, segments; };
struct bf16 { u16 bits; };
struct f16 { u16 bits; };
typedef float f32;

inline float __uint_as_float(u32 x) { float f; memcpy(&f, &x, 4); return f; }
inline u32 __float_as_uint(float f) { u32 x; memcpy(&x, &f, 4); return x; }
inline float __int_as_float(int x) { return __uint_as_float((u32)x); }
inline float __expf(float x) { return expf(x); }

DEV float ld(const float* p) { return *p; }
DEV float ld(const bf16* p) { return __uint_as_float((u32)p->bits << 16); }
DEV float ld(const f16* p) { _Float16 h; memcpy(&h, p, 2); return (float)h; }
DEV void st(float* p, float x) { *p = x; }
DEV void st(bf16* p, float x) { u32 b = __float_as_uint(x); p->bits = (u16)(x != x ? 0x7fc0 : (b + 0x7fff + ((b >> 16) & 1)) >> 16); }
DEV void st(f16* p, float x) { _Float16 h = (_Float16)x; memcpy(p, &h, 2); }

struct Index { int x, y, z; };
static Index threadIdx, blockIdx, gridDim;
extern u8 smem[];

enum Wait { RUN, BLOCK, WARP, DONE };
struct Fiber { ucontext_t context; Wait wait; std::vector<char> stack; };
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static std::function<void()> kernel_call;
static bool descending = false;
static float exchange_[1024];

inline void wait_(Wait wait) {
  const int self = threadIdx.x;
  fibers[self].wait = wait;
  swapcontext(&fibers[self].context, &scheduler);
  threadIdx.x = self;
}
inline void __syncthreads() { wait_(BLOCK); }
inline void __syncwarp() { wait_(WARP); }
template <typename F> inline float shuffle_(float x, F from) {
  const int self = threadIdx.x;
  exchange_[self] = x;
  wait_(WARP);
  const float y = exchange_[(self & ~31) + from(self & 31)];
  wait_(WARP);
  return y;
}
inline float __shfl_xor_sync(u32, float x, int n) { return shuffle_(x, [=](int l) { return l ^ n; }); }
inline float __shfl_up_sync(u32, float x, int n) { return shuffle_(x, [=](int l) { return l >= n ? l - n : l; }); }
inline float __shfl_sync(u32, float x, int n) { return shuffle_(x, [=](int) { return n & 31; }); }

// Asynchronous copies arrive when they are waited for, not before.
struct Copy { u32 to; const void* from; int bytes, group; };
static std::vector<std::vector<Copy>> copies;
static std::vector<int> groups;
DEV u32 saddr(const void* p) { return (u32)((const u8*)p - smem); }
DEV void cp_async(u32 to, const void* from, int bytes) { copies[threadIdx.x].push_back({to, from, bytes, groups[threadIdx.x]}); }
DEV void cp_commit() { ++groups[threadIdx.x]; }
template <int N> DEV void cp_wait() {
  auto& mine = copies[threadIdx.x];
  std::vector<Copy> left;
  for (auto& c : mine) {
    if (c.group >= groups[threadIdx.x] - N) { left.push_back(c); continue; }
    if (c.to % 16 || (u64)c.from % 16) { fprintf(stderr, "unaligned copy\n"); exit(3); }
    memset(smem + c.to, 0, 16);
    memcpy(smem + c.to, c.from, c.bytes);
  }
  mine = left;
}

static void fiber_main() {
  kernel_call();
  fibers[threadIdx.x].wait = DONE;
  setcontext(&scheduler);
}
static void run_block(int threads, int shared) {
  // NaN everywhere: what is read before it was written shows.
  memset(smem, 0xff, shared);
  copies.assign(threads, {});
  groups.assign(threads, 0);
  if ((int)fibers.size() < threads) fibers.resize(threads);
  for (int t = 0; t < threads; ++t) {
    Fiber& f = fibers[t];
    if (f.stack.empty()) f.stack.resize(256 * 1024);
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    f.context.uc_link = &scheduler;
    makecontext(&f.context, fiber_main, 0);
    f.wait = RUN;
  }
  for (;;) {
    bool ran = false;
    for (int n = 0; n < threads; ++n) {
      const int t = descending ? threads - 1 - n : n;
      if (fibers[t].wait != RUN) continue;
      ran = true;
      threadIdx.x = t;
      swapcontext(&scheduler, &fibers[t].context);
    }
    if (ran) {
      for (int w = 0; w < threads; w += 32) {
        bool all = true;
        for (int t = w; t < w + 32 && t < threads; ++t) all &= fibers[t].wait == WARP;
        if (all) for (int t = w; t < w + 32 && t < threads; ++t) fibers[t].wait = RUN;
      }
      continue;
    }
    int block = 0, done = 0;
    for (int t = 0; t < threads; ++t) block += fibers[t].wait == BLOCK, done += fibers[t].wait == DONE;
    if (done == threads) return;
    if (block != threads) { fprintf(stderr, "a barrier that not all threads reach: %d of %d, %d done\n", block, threads, done); exit(2); }
    for (int t = 0; t < threads; ++t) fibers[t].wait = RUN;
  }
}
static void launch(Index grid, int threads, int shared, std::function<void()> call) {
  kernel_call = call;
  gridDim = grid;
  for (int y = 0; y < grid.y; ++y)
    for (int x = 0; x < grid.x; ++x) {
      blockIdx = {x, y, 0};
      run_block(threads, shared);
    }
}
