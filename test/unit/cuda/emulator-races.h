// Who reads and writes shared memory, and whether barriers put that in an order.
// Warps count as one: what their lanes do together orders them.
// With -DRACES the compiler reports every access (-fsanitize=thread, whose library this stands in for); without, all of this is nothing.
// What touches no shared memory need not report.
#define UNWATCHED __attribute__((no_sanitize("thread")))
#ifdef RACES
constexpr int WARPS = 32;
// What a warp knows of the others: everything up to their time.
struct Times { u32 of[WARPS]; };
extern bool watching;
void accessed(const void* at, size_t bytes, bool writes);
// A warp tells what it knows, and goes on; it learns what others have told.
void tells(Times& to);
void learns(const Times& from);
void begins();
#else
struct Times {};
inline void accessed(const void*, size_t, bool) {}
inline void tells(Times&) {}
inline void learns(const Times&) {}
inline void begins() {}
#endif
