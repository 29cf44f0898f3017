// Bodies of emulator.h.
#include "emulator.h"

Index threadIdx, blockIdx, gridDim;
u8* smem;
int shared_bytes;
// How threads take turns: from the first or from the last, or, from order 2 on, warps at random.
// What runs on its own is done at once, or, if `lazy`, no sooner than somebody waits for it.
// Runs that differ show a missing barrier or wait.
static int order = 0;
bool lazy = true;
static u32 chance = 1;
void set_order(int n) {
  order = n;
  lazy = n % 2 == 0;
  chance = 2654435761u * (n + 1) | 1;
}
static u32 dice(u32 sides) {
  chance ^= chance << 13, chance ^= chance >> 17, chance ^= chance << 5;
  return chance % sides;
}
constexpr size_t STACK = 512 * 1024;
struct Fiber {
  jmp_buf here;
  ucontext_t context;
  bool begun;
  // What it waits for; nullptr: it can run.
  const char* wait;
  int id;
  u8* stack;
};
static std::vector<Fiber> fibers;
int threads;
static ucontext_t starter;
static jmp_buf scheduler;
static const char* kernel_name = "";
static std::function<void()> kernel_call;
static const char DONE[] = "its end";
[[noreturn]] void fail(const char* format, ...) {
  fprintf(stderr, "%s block %d %d thread %d: ", kernel_name, blockIdx.x, blockIdx.y, threadIdx.x);
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "\n");
  _exit(3);
}
#include "emulator-races.cc"

void wait_for(const char* what, int id) {
  const int self = threadIdx.x;
  fibers[self].wait = what;
  fibers[self].id = id;
  if (_setjmp(fibers[self].here) == 0) _longjmp(scheduler, 1);
  threadIdx.x = self;
}
void release(const char* what, int id, int from, int to) {
  for (int t = from; t < to; ++t) if (fibers[t].wait == what && fibers[t].id == id) fibers[t].wait = nullptr;
}
bool waits(const char* what, int id) {
  for (int t = 0; t < threads; ++t) if (fibers[t].wait == what && fibers[t].id == id) return true;
  return false;
}
// Barriers of a block by number; the one of all threads is 0.
struct Barrier { int arrived, expected; Times told, known; };
static Barrier barriers[16];
static const char BARRIER[] = "a barrier";
void bar_sync(int id, int count) {
  Barrier& b = barriers[id];
  if (count % 32 != 0 && count != threads) fail("barrier %d of %d threads", id, count);
  if (b.arrived != 0 && b.expected != count) fail("barrier %d of %d and of %d threads", id, b.expected, count);
  b.expected = count;
  tells(b.told);
  if (++b.arrived < count) {
    wait_for(BARRIER, id);
    return learns(b.known);
  }
  b.arrived = 0;
  b.known = b.told;
  b.told = {};
  learns(b.known);
  release(BARRIER, id, 0, threads);
}
// Threads take turns, so that none comes between.
UNWATCHED u32 atomicAdd(u32* at, u32 x) {
  const u32 before = *at;
  *at = before + x;
  return before;
}
Meeting meetings[32];
void __syncwarp() {
  static const char WHAT[] = "syncwarp";
  together(WHAT, (int*)nullptr, [](int**) {});
}
u32 shuffle(const char* what, u32 x, int from) {
  struct { u32 in, out; int from; } mine = {x, x, from};
  together(what, &mine, [&](auto** of) {
    for (int l = 0; l < 32; ++l) if (threads >= 32 || l < threads) of[l]->out = of[of[l]->from]->in;
  });
  return mine.out;
}
u32 __ballot_sync(u32, bool x) {
  static const char WHAT[] = "ballot";
  struct { bool in; u32 out; } mine = {x, 0};
  together(WHAT, &mine, [&](auto** of) {
    u32 all = 0;
    for (int l = 0; l < 32; ++l) if (threads >= 32 || l < threads) all |= (u32)of[l]->in << l;
    for (int l = 0; l < 32; ++l) if (threads >= 32 || l < threads) of[l]->out = all;
  });
  return mine.out;
}
template <typename Fold> static u32 reduced(const char* what, u32 x, Fold fold) {
  struct { u32 in, out; } mine = {x, 0};
  together(what, &mine, [&](auto** of) {
    u32 all = of[0]->in;
    for (int l = 1; l < 32; ++l) if (threads >= 32 || l < threads) all = fold(all, of[l]->in);
    for (int l = 0; l < 32; ++l) if (threads >= 32 || l < threads) of[l]->out = all;
  });
  return mine.out;
}
u32 __reduce_add_sync(u32, u32 x) {
  static const char WHAT[] = "redux.add";
  return reduced(WHAT, x, [](u32 a, u32 b) { return a + b; });
}
u32 __reduce_min_sync(u32, u32 x) {
  static const char WHAT[] = "redux.min";
  return reduced(WHAT, x, [](u32 a, u32 b) { return a < b ? a : b; });
}
static u8* pages(size_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) { perror("mmap"); _exit(4); }
  return (u8*)at;
}
static std::vector<Guarded> guarded;
Guarded guard(const char* name, size_t bytes, size_t align) {
  const size_t page = 4096, inner = (bytes + align - 1) / align * align, whole = (inner + page - 1) / page * page;
  u8* from = pages(whole + 2 * page);
  mprotect(from, page, PROT_NONE);
  mprotect(from + page + whole, page, PROT_NONE);
  guarded.push_back({name, from, from + page + whole - inner, from + whole + 2 * page, bytes});
  return guarded.back();
}
static void caught(int, siginfo_t* info, void*) {
  const u8* at = (const u8*)info->si_addr;
  for (auto& g : guarded)
    if (at >= g.from && at < g.to) fail("%s has %zu bytes, byte %lld is touched", g.name.c_str(), g.bytes, (i64)(at - g.at));
  for (int t = 0; t < threads; ++t)
    if (at >= fibers[t].stack - 4096 && at < fibers[t].stack) fail("the stack of thread %d is too small", t);
  fail("address %p is touched, which is no tensor's", at);
}
void catch_faults() {
  stack_t stack = {};
  stack.ss_sp = pages(65536);
  stack.ss_size = 65536;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = caught;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}
// What other parts of the emulator keep for a block.
static std::vector<std::function<void()>> at_block_start, at_block_end;

static void fiber_main() {
  kernel_call();
  fibers[threadIdx.x].wait = DONE;
  _longjmp(scheduler, 1);
}
// Runs one thread until it waits.
__attribute__((noinline)) static void resume(int t) {
  Fiber& f = fibers[t];
  threadIdx.x = t;
  if (_setjmp(scheduler) != 0) return;
  if (f.begun) _longjmp(f.here, 1);
  f.begun = true;
  setcontext(&f.context);
}
static void run_block() {
  // What is read before it was written shows: NaN, and in one order a large number, since the larger of NaN and another is the other.
  memset(smem, order == 1 ? 0x60 : 0xff, shared_bytes);
  for (auto& b : barriers) b = {};
  for (auto& m : meetings) m.arrived = 0;
  for (auto& start : at_block_start) start();
  begins();
  while ((int)fibers.size() < threads) {
    fibers.emplace_back();
    u8* stack = pages(STACK + 4096);
    mprotect(stack, 4096, PROT_NONE);
    fibers.back().stack = stack + 4096;
  }
  for (int t = 0; t < threads; ++t) {
    Fiber& f = fibers[t];
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = STACK;
    f.context.uc_link = &starter;
    makecontext(&f.context, fiber_main, 0);
    f.begun = false;
    f.wait = nullptr;
  }
  const int warps = (threads + 31) / 32;
#ifdef RACES
  watching = true;
#endif
  for (bool some = true; some;) {
    const int shift = order < 2 ? 0 : dice(warps);
    for (int n = 0; n < warps; ++n) {
      const int warp = order == 1 ? warps - 1 - n : (n + shift) % warps;
      // At random a warp falls behind.
      if (order >= 2 && dice(2) == 0) continue;
      for (int l = 0; l < 32; ++l) {
        const int t = warp * 32 + (order == 1 ? 31 - l : l);
        if (t >= threads || fibers[t].wait != nullptr) continue;
        resume(t);
      }
    }
    some = false;
    for (int t = 0; t < threads && !some; ++t) some = fibers[t].wait == nullptr;
  }
  for (int t = 0; t < threads; ++t) {
    if (fibers[t].wait == DONE) continue;
    threadIdx.x = t;
    int others = 0;
    for (int u = 0; u < threads; ++u) others += fibers[u].wait == fibers[t].wait && fibers[u].id == fibers[t].id;
    fail("waits for %s (%d) for ever, as do %d threads in all", fibers[t].wait, fibers[t].id, others);
  }
  for (auto& end : at_block_end) end();
}
void launch(const char* name, Index grid, int block, int shared, std::function<void()> call) {
  kernel_name = name;
  kernel_call = call;
  gridDim = grid;
  threads = block;
  shared_bytes = shared;
  const Guarded memory = guard("shared memory", shared, 128);
  smem = memory.at;
  for (int y = 0; y < grid.y; ++y)
    for (int x = 0; x < grid.x; ++x) {
      blockIdx = {x, y, 0};
      run_block();
    }
  munmap(memory.from, memory.to - memory.from);
  guarded.pop_back();
}
