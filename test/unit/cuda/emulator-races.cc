// Bodies of emulator-races.h.
#ifdef RACES
constexpr int MOST_SHARED = 256 * 1024;
static Times times[WARPS];
// Two bytes of shared memory: who wrote last and when, and when each warp read last.
struct Cell { u32 written, read[WARPS]; int writer; };
static Cell cells[MOST_SHARED / 2];
bool watching = false;
#define UNWATCHED __attribute__((no_sanitize("thread")))

UNWATCHED void accessed(const void* at, size_t bytes, bool writes) {
  if (!watching || (const u8*)at < smem || (const u8*)at >= smem + shared_bytes) return;
  const int me = threadIdx.x / 32;
  const Times& known = times[me];
  const size_t first = ((const u8*)at - smem) / 2, last = ((const u8*)at - smem + bytes - 1) / 2;
  for (size_t n = first; n <= last; ++n) {
    Cell& c = cells[n];
    int other = -1;
    if (c.writer != me && c.written > known.of[c.writer]) other = c.writer;
    for (int w = 0; writes && w < WARPS; ++w) if (w != me && c.read[w] > known.of[w]) other = w;
    if (other >= 0) {
      watching = false;
      fail("%s byte %zu of shared memory, which warp %d %s without a barrier between them", writes ? "writes" : "reads", n * 2, other,
        c.writer == other && c.written > known.of[other] ? "wrote" : "reads");
    }
    if (writes) c.writer = me, c.written = known.of[me];
    else c.read[me] = known.of[me];
  }
}
UNWATCHED void tells(Times& to) {
  Times& mine = times[threadIdx.x / 32];
  for (int w = 0; w < WARPS; ++w) if (mine.of[w] > to.of[w]) to.of[w] = mine.of[w];
  ++mine.of[threadIdx.x / 32];
}
UNWATCHED void learns(const Times& from) {
  Times& mine = times[threadIdx.x / 32];
  for (int w = 0; w < WARPS; ++w) if (from.of[w] > mine.of[w]) mine.of[w] = from.of[w];
}
UNWATCHED void begins() {
  memset(cells, 0, sizeof(Cell) * (shared_bytes / 2 + 1));
  for (int w = 0; w < WARPS; ++w) for (int v = 0; v < WARPS; ++v) times[w].of[v] = w == v;
}
extern "C" {
#define WATCH(BYTES) \
  UNWATCHED void __tsan_read##BYTES(void* at) { accessed(at, BYTES, false); } \
  UNWATCHED void __tsan_write##BYTES(void* at) { accessed(at, BYTES, true); } \
  UNWATCHED void __tsan_unaligned_read##BYTES(void* at) { accessed(at, BYTES, false); } \
  UNWATCHED void __tsan_unaligned_write##BYTES(void* at) { accessed(at, BYTES, true); }
WATCH(1) WATCH(2) WATCH(4) WATCH(8) WATCH(16)
UNWATCHED void __tsan_read_range(void* at, size_t bytes) { accessed(at, bytes, false); }
UNWATCHED void __tsan_write_range(void* at, size_t bytes) { accessed(at, bytes, true); }
// Counts of shared pointers of the emulator itself.
UNWATCHED int __tsan_atomic32_fetch_add(volatile int* at, int x, int) { const int before = *at; *at = before + x; return before; }
UNWATCHED void __tsan_init() {}
UNWATCHED void __tsan_func_entry(void*) {}
UNWATCHED void __tsan_func_exit() {}
UNWATCHED void __tsan_vptr_update(void**, void*) {}
UNWATCHED void __tsan_vptr_read(void**) {}
}
#endif
