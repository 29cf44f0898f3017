// Bodies of emulator-races.h.
#ifdef RACES
constexpr int MOST_SHARED = 256 * 1024;
static Times times[WARPS];
// Two bytes of shared memory: who wrote last and when, and who has read since (a bit for each warp). Who comes after a write knows what its
// writer knew, the reads before it among that.
struct Cell { u32 written, writer, readers; };
static Cell cells[MOST_SHARED / 2];
// When each warp read a cell last.
static u32 reads[WARPS][MOST_SHARED / 2];
bool watching = false;

[[noreturn]] UNWATCHED static void disordered(size_t cell, bool writes, int other, const char* does) {
  watching = false;
  fail("%s byte %zu of shared memory, which warp %d %s without a barrier between them", writes ? "writes" : "reads", cell * 2, other, does);
}
UNWATCHED static void accessed_shared(size_t from, size_t bytes, bool writes) {
  const u32 me = threadIdx.x / 32, mine = 1u << me;
  const Times& known = times[me];
  const u32 now = known.of[me];
  for (size_t n = from / 2; n <= (from + bytes - 1) / 2; ++n) {
    Cell& c = cells[n];
    if (c.written > known.of[c.writer]) disordered(n, writes, c.writer, "wrote");
    if (!writes) {
      c.readers |= mine;
      reads[me][n] = now;
      continue;
    }
    for (u32 others = c.readers & ~mine; others != 0; others &= others - 1) {
      const int other = __builtin_ctz(others);
      if (reads[other][n] > known.of[other]) disordered(n, true, other, "reads");
    }
    c = {now, me, 0};
  }
}
// Most of what the compiler reports is elsewhere.
UNWATCHED inline void accessed_here(const void* at, size_t bytes, bool writes) {
  const size_t from = (const u8*)at - smem;
  if (from < (size_t)shared_bytes && watching) accessed_shared(from, bytes, writes);
}
UNWATCHED void accessed(const void* at, size_t bytes, bool writes) { accessed_here(at, bytes, writes); }
UNWATCHED void tells(Times& to) {
  Times& mine = times[threadIdx.x / 32];
  for (int w = 0; w < WARPS; ++w) if (mine.of[w] > to.of[w]) to.of[w] = mine.of[w];
  ++mine.of[threadIdx.x / 32];
}
UNWATCHED void learns(const Times& from) {
  Times& mine = times[threadIdx.x / 32];
  for (int w = 0; w < WARPS; ++w) if (from.of[w] > mine.of[w]) mine.of[w] = from.of[w];
}
// Time goes on from block to block, so that cells need not be cleared: what was in the blocks before is known to all.
UNWATCHED void begins() {
  static u32 before = 0;
  for (const Times& warp : times) for (u32 time : warp.of) if (time > before) before = time;
  for (int w = 0; w < WARPS; ++w) for (int v = 0; v < WARPS; ++v) times[w].of[v] = before + (w == v);
}
extern "C" {
#define WATCH(BYTES) \
  UNWATCHED void __tsan_read##BYTES(void* at) { accessed_here(at, BYTES, false); } \
  UNWATCHED void __tsan_write##BYTES(void* at) { accessed_here(at, BYTES, true); } \
  UNWATCHED void __tsan_unaligned_read##BYTES(void* at) { accessed_here(at, BYTES, false); } \
  UNWATCHED void __tsan_unaligned_write##BYTES(void* at) { accessed_here(at, BYTES, true); }
WATCH(1) WATCH(2) WATCH(4) WATCH(8) WATCH(16)
UNWATCHED void __tsan_read_range(void* at, size_t bytes) { accessed_here(at, bytes, false); }
UNWATCHED void __tsan_write_range(void* at, size_t bytes) { accessed_here(at, bytes, true); }
// Counts of shared pointers of the emulator itself.
UNWATCHED int __tsan_atomic32_fetch_add(volatile int* at, int x, int) { const int before = *at; *at = before + x; return before; }
UNWATCHED void __tsan_init() {}
UNWATCHED void __tsan_vptr_update(void**, void*) {}
UNWATCHED void __tsan_vptr_read(void**) {}
}
#endif
