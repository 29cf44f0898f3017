// Bodies of emulator-ptx.h and emulator-wgmma.h.
static u8* shared_at(u32 a, int bytes, int align) {
  if (a % align != 0) fail("shared address %u is no multiple of %d", a, align);
  if (a < SHARED_AT || a + bytes > SHARED_AT + (u32)shared_bytes)
    fail("shared memory has %d bytes, byte %d is touched", shared_bytes, (int)(a - SHARED_AT));
  return smem + (a - SHARED_AT);
}

UNWATCHED static float half_value(u16 h) {
  if (kHalf) { _Float16 x; memcpy(&x, &h, 2); return (float)x; }
  return __uint_as_float((u32)h << 16);
}
UNWATCHED static u16 half_bits(float x) {
  u16 h;
  if (kHalf) { f16 f; st(&f, x); h = f.bits; }
  else { bf16 b; st(&b, x); h = b.bits; }
  return h;
}
u32 pack2(float x, float y) { return half_bits(x) | (u32)half_bits(y) << 16; }
float low(u32 p) { return half_value((u16)p); }
float high(u32 p) { return half_value((u16)(p >> 16)); }
u32 prmt(u32 x, u32 y, u32 selector) {
  const u64 both = (u64)y << 32 | x;
  u32 r = 0;
  for (int i = 0; i < 4; ++i) {
    const u32 digit = selector >> 4 * i, byte = both >> 8 * (digit & 7) & 0xff;
    r |= (digit & 8 ? (byte & 0x80 ? 0xffu : 0u) : byte) << 8 * i;
  }
  return r;
}

// Writes to shared memory that the tensor cores' own reads do not see yet: by 16 bytes, the thread (from 1) that has still to fence.
static std::vector<u16> unfenced;
static std::vector<std::vector<u32>> mine_unfenced;
static void wrote(u32 a, int by) {
  const u32 at = (a - SHARED_AT) / 16;
  unfenced[at] = by + 1;
  mine_unfenced[by].push_back(at);
}
// Of copies that told a barrier.
constexpr u16 ANYBODY = 0xffff;
static std::vector<u32> anybodys;
void proxy_fence() {
  for (u32 at : mine_unfenced[threadIdx.x]) if (unfenced[at] == threadIdx.x + 1) unfenced[at] = 0;
  mine_unfenced[threadIdx.x].clear();
  for (u32 at : anybodys) if (unfenced[at] == ANYBODY) unfenced[at] = 0;
  anybodys.clear();
}

struct Copy { u32 to; const void* from; int bytes, group; };
static std::vector<std::vector<Copy>> copies;
static std::vector<int> copy_groups;
static void arrive(const Copy& c) {
  u8* to = shared_at(c.to, 16, 16);
  if ((u64)c.from % 16 != 0) fail("a copy from an address that is no multiple of 16");
  accessed(to, 16, true);
  memset(to, 0, 16);
  memcpy(to, c.from, c.bytes);
  wrote(c.to, threadIdx.x);
}
void cp_async(u32 to, const void* from, int bytes) {
  const Copy c = {to, from, bytes, copy_groups[threadIdx.x]};
  accessed(shared_at(to, 16, 16), 16, true);
  if (!lazy) arrive(c);
  copies[threadIdx.x].push_back(c);
}
void cp_commit() { ++copy_groups[threadIdx.x]; }
void cp_wait_for(int left) {
  auto& mine = copies[threadIdx.x];
  size_t n = 0;
  // What was to arrive comes last of all, over whatever was written there meanwhile.
  for (; n < mine.size() && mine[n].group < copy_groups[threadIdx.x] - left; ++n) arrive(mine[n]);
  mine.erase(mine.begin(), mine.begin() + n);
}

// Copies of a thread that a barrier has to be told of.
struct Arrival { int thread, group; u32 bar; };
static std::vector<Arrival> arrivals;
struct Phases { int arrived, expected, phase, bytes; Times told, known; };
static std::map<u32, Phases> phases;
static const char PHASE[] = "a phase of the barrier at";
void bar_init(u32 b, int n) {
  shared_at(b, 8, 8);
  phases[b] = {0, n, 0, 0, {}, {}};
  wrote(b, threadIdx.x);
}
static Phases& phases_at(u32 b) {
  auto found = phases.find(b);
  if (found == phases.end()) fail("no barrier at %u", b);
  return found->second;
}
static void ends_perhaps(u32 b, Phases& p) {
  if (p.arrived < p.expected || p.bytes != 0) return;
  p.arrived = 0;
  ++p.phase;
  p.known = p.told;
  release(PHASE, (int)b, 0, threads);
}
// Does anybody wait for it now?
static bool awaited(u32 b) { return waits(PHASE, (int)b); }
void bar_arrive(u32 b) {
  Phases& p = phases_at(b);
  tells(p.told);
  ++p.arrived;
  ends_perhaps(b, p);
}
#if __CUDA_ARCH__ >= 900
void bar_expect(u32 b, int bytes) {
  phases_at(b).bytes += bytes;
  bar_arrive(b);
}
// The map by value: a parameter that its kernel reads no more has no place in memory for certain when the copy lands.
struct BulkCopy { u32 to; TensorMap map; int from[3]; u32 bar; };
static std::vector<BulkCopy> bulk_copies;
static void land(const BulkCopy& c) {
  const TensorMap& m = c.map;
  const int line = m.box[0] * m.element;
  u32 to = c.to;
  for (int z = 0; z < m.box[2]; ++z) for (int y = 0; y < m.box[1]; ++y) for (int x = 0; x < m.box[0]; x += 16 / m.element, to += 16) {
    const i64 at[3] = {c.from[0] + x, c.from[1] + y, c.from[2] + z};
    u8* here = shared_at(to ^ (to >> 7 & 7) << 4, 16, 16);
    memset(here, 0, 16);
    const bool before = at[0] < 0 || at[1] < 0 || at[2] < 0;
    for (int i = 0; i < 16 / m.element; ++i) if (!before && at[0] + i < m.dims[0] && at[1] < m.dims[1] && at[2] < m.dims[2])
      memcpy(here + i * m.element, m.at + (at[0] + i) * m.element + at[1] * m.strides[0] + at[2] * m.strides[1], m.element);
  }
  Phases& p = phases_at(c.bar);
  p.bytes -= line * m.box[1] * m.box[2];
  if (p.bytes < 0) fail("more bytes than the barrier at %u expects", c.bar);
  ends_perhaps(c.bar, p);
}
static void bulk_copy_any(u32 dst, const TensorMap& map, int x, int y, int z, u32 b) {
  if (dst % 1024 != 0) fail("a swizzled copy to %u", dst);
  const int bytes = map.box[0] * map.box[1] * map.box[2] * map.element;
  if (map.box[0] * map.element != 128) fail("a box with rows of %d bytes", map.box[0] * map.element);
  accessed(shared_at(dst, bytes, 16), bytes, true);
  for (int n = 0; n < bytes / 16; ++n)
    if (unfenced[(dst - SHARED_AT) / 16 + n] != 0)
      fail("a copy over what thread %d wrote without a fence after it", unfenced[(dst - SHARED_AT) / 16 + n] - 1);
  if (const u16 by = unfenced[(b - SHARED_AT) / 16]) fail("a copy tells a barrier that thread %d made without a fence after it", by - 1);
  tells(phases_at(b).told);
  const BulkCopy c = {dst, map, {x, y, z}, b};
  if (lazy && !awaited(b)) bulk_copies.push_back(c);
  else land(c);
}
void bulk_copy(u32 dst, const TensorMap& map, int x, int y, int z, u32 b) {
  if (map.axes != 3) fail("a copy from a tensor of %d axes", map.axes);
  bulk_copy_any(dst, map, x, y, z, b);
}
void bulk_copy_rows(u32 dst, const TensorMap& map, int x, int y, u32 b) {
  if (map.axes != 2) fail("a copy of rows from a tensor of %d axes", map.axes);
  bulk_copy_any(dst, map, x, y, 0, b);
}
// Stores of the engine read when somebody waits for them at the latest; then they do here. By thread, in groups.
struct BulkStore { TensorMap map; int to[3]; u32 from; };
static std::vector<std::vector<std::vector<BulkStore>>> bulk_stores;
static void leave(const BulkStore& c) {
  const TensorMap& m = c.map;
  u32 from = c.from;
  for (int z = 0; z < m.box[2]; ++z) for (int y = 0; y < m.box[1]; ++y) for (int x = 0; x < m.box[0]; x += 16 / m.element, from += 16) {
    const i64 at[3] = {c.to[0] + x, c.to[1] + y, c.to[2] + z};
    const u8* here = shared_at(from ^ (from >> 7 & 7) << 4, 16, 16);
    for (int i = 0; i < 16 / m.element; ++i) if (at[0] + i < m.dims[0] && at[1] < m.dims[1] && at[2] < m.dims[2])
      memcpy((u8*)m.at + (at[0] + i) * m.element + at[1] * m.strides[0] + at[2] * m.strides[1], here + i * m.element, m.element);
  }
}
void bulk_store(const TensorMap& map, int x, int y, int z, u32 src) {
  if (src % 1024 != 0) fail("a swizzled store from %u", src);
  const int bytes = map.box[0] * map.box[1] * map.box[2] * map.element;
  if (map.box[0] * map.element != 128) fail("a box with rows of %d bytes", map.box[0] * map.element);
  accessed(shared_at(src, bytes, 16), bytes, false);
  for (int n = 0; n < bytes / 16; ++n)
    if (unfenced[(src - SHARED_AT) / 16 + n] != 0)
      fail("a store of what thread %d wrote without a fence after it", unfenced[(src - SHARED_AT) / 16 + n] - 1);
  auto& mine = bulk_stores[threadIdx.x];
  if (mine.empty()) mine.emplace_back();
  mine.back().push_back({map, {x, y, z}, src});
}
void bulk_commit() {
  auto& mine = bulk_stores[threadIdx.x];
  if (mine.empty()) mine.emplace_back();
  mine.emplace_back();
}
void bulk_wait_for(int left) {
  auto& mine = bulk_stores[threadIdx.x];
  // The last is not a group yet.
  while ((int)mine.size() - 1 > left) {
    for (const BulkStore& c : mine.front()) {
      accessed(shared_at(c.from, 16, 16), c.map.box[0] * c.map.box[1] * c.map.box[2] * c.map.element, false);
      leave(c);
    }
    mine.erase(mine.begin());
  }
}
#else
struct BulkCopy { u32 bar; };
static std::vector<BulkCopy> bulk_copies;
static void land(const BulkCopy&) {}
#endif
static void arrive_late(u32 b);
void bar_wait(u32 b, int parity) {
  if (parity != 0 && parity != 1) fail("a parity of %d", parity);
  arrive_late(b);
  // What the engine has been asked for comes when somebody waits for it.
  for (size_t n = 0; n < bulk_copies.size();) {
    if (bulk_copies[n].bar != b) { ++n; continue; }
    const BulkCopy c = bulk_copies[n];
    bulk_copies.erase(bulk_copies.begin() + n);
    land(c);
  }
  while ((phases_at(b).phase & 1) == parity) wait_for(PHASE, (int)b);
  learns(phases_at(b).known);
}

// A barrier is told of copies when somebody waits for it. Any thread may fence what they wrote, since they are nobody's own writes.
static void arrive_late(u32 b) {
  for (size_t n = 0; n < arrivals.size();) {
    if (arrivals[n].bar != b) { ++n; continue; }
    const Arrival done = arrivals[n];
    arrivals.erase(arrivals.begin() + n);
    auto& its = copies[done.thread];
    size_t m = 0;
    for (; m < its.size() && its[m].group <= done.group; ++m) {
      memset(shared_at(its[m].to, 16, 16), 0, 16);
      memcpy(shared_at(its[m].to, 16, 16), its[m].from, its[m].bytes);
      unfenced[(its[m].to - SHARED_AT) / 16] = ANYBODY;
      anybodys.push_back((its[m].to - SHARED_AT) / 16);
    }
    its.erase(its.begin(), its.begin() + m);
    Phases& p = phases_at(b);
    ++p.arrived;
    ends_perhaps(b, p);
  }
}
u16 lds2(u32 a) { u16 h; memcpy(&h, shared_at(a, 2, 2), 2); return h; }
void lds16(u32* r, u32 a) { memcpy(r, shared_at(a, 16, 16), 16); }
void fill16(u32 a, u32 x) {
  u8* to = shared_at(a, 16, 16);
  for (int i = 0; i < 16; i += 4) memcpy(to + i, &x, 4);
  wrote(a, threadIdx.x);
}
void sts2(u32 a, u16 h) { memcpy(shared_at(a, 2, 2), &h, 2); wrote(a, threadIdx.x); }
void sts4(u32 a, u32 x) { memcpy(shared_at(a, 4, 4), &x, 4); wrote(a, threadIdx.x); }

UNWATCHED static u16 half_of(u32 r, int i) { return (u16)(r >> (16 * i)); }
static void put_half(u32& r, int i, u16 h) { r = (r & ~(0xffffu << (16 * i))) | (u32)h << (16 * i); }
struct Matrices { u32 address, *r; };
template <bool STORE, bool TRANS> static void matrices(const char* what, u32* r, u32 a) {
  Matrices mine = {a, r};
  together(what, &mine, [](Matrices** of) {
    for (int m = 0; m < 4; ++m) for (int row = 0; row < 8; ++row) {
      const u32 at = of[m * 8 + row]->address;
      u8* line = shared_at(at, 16, 16);
      if (STORE) wrote(at, (threadIdx.x & ~31) + m * 8 + row);
      for (int col = 0; col < 8; ++col) {
        const int i = TRANS ? col : row, j = TRANS ? row : col;
        u32& held = of[i * 4 + j / 2]->r[m];
        u16 h = half_of(held, j % 2);
        if (STORE) memcpy(line + col * 2, &h, 2);
        else {
          memcpy(&h, line + col * 2, 2);
          put_half(held, j % 2, h);
        }
      }
    }
  });
}
static const char LDM4[] = "ldmatrix", LDM4T[] = "ldmatrix.trans", STM4[] = "stmatrix", STM4T[] = "stmatrix.trans",
  MOVM[] = "movmatrix", MMA16[] = "mma.m16n8k16", MMA8[] = "mma.m16n8k8";
void ldm4(u32* r, u32 a) { matrices<false, false>(LDM4, r, a); }
void ldm4t(u32* r, u32 a) { matrices<false, true>(LDM4T, r, a); }
#if __CUDA_ARCH__ >= 900
void stm4(u32 a, const u32* r) { matrices<true, false>(STM4, (u32*)r, a); }
void stm4t(u32 a, const u32* r) { matrices<true, true>(STM4T, (u32*)r, a); }
#endif
void movm(u32& x) {
  together(MOVM, &x, [](u32** of) {
    u16 whole[8][8];
    for (int i = 0; i < 8; ++i) for (int j = 0; j < 8; ++j) whole[i][j] = half_of(*of[i * 4 + j / 2], j % 2);
    for (int i = 0; i < 8; ++i) for (int j = 0; j < 8; ++j) put_half(*of[i * 4 + j / 2], j % 2, whole[j][i]);
  });
}

struct Operands { float* d; const u32* a; u32 b[2]; };
// Registers of A, 16 rows, as numbers.
template <typename AT> UNWATCHED static void rows_of_a(float (*a)[16], AT at) {
  for (int l = 0; l < 32; ++l) for (int e = 0; e < 4; ++e) for (int i = 0; i < 2; ++i)
    a[l / 4 + e % 2 * 8][e / 2 * 8 + l % 4 * 2 + i] = half_value(half_of(at(l)[e], i));
}
// Adds a product to 16 rows of sums, each in the order of k, eight columns at once.
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
template <int K, int N> UNWATCHED static void add_product(const float (*a)[K], const float (*b)[N], float (*sums)[N], int columns = N) {
  for (int r = 0; r < 16; ++r) for (int n = 0; n < columns; n += 8) {
    Eight sum = *(Eight*)(sums[r] + n);
    for (int k = 0; k < K; ++k) sum += a[r][k] * *(const Eight*)(b[k] + n);
    *(Eight*)(sums[r] + n) = sum;
  }
}
// The lanes' results, 16 rows of 8 columns.
template <int K> UNWATCHED static void add_lanes(Operands** of, const float (*a)[K], const float (*b)[8]) {
  float sums[16][8];
  auto at = [&](int l, int i) UNWATCHED -> float& { return sums[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2]; };
  for (int l = 0; l < 32; ++l) for (int i = 0; i < 4; ++i) at(l, i) = of[l]->d[i];
  add_product<K, 8>(a, b, sums);
  for (int l = 0; l < 32; ++l) for (int i = 0; i < 4; ++i) of[l]->d[i] = at(l, i);
}
void mma16816(float* d, const u32* a, u32 b0, u32 b1) {
  Operands mine = {d, a, {b0, b1}};
  together(MMA16, &mine, [](Operands** of) UNWATCHED {
    float a[16][16], b[16][8];
    rows_of_a(a, [&](int l) UNWATCHED { return of[l]->a; });
    for (int l = 0; l < 32; ++l) for (int e = 0; e < 2; ++e) for (int i = 0; i < 2; ++i)
      b[e * 8 + l % 4 * 2 + i][l / 4] = half_value(half_of(of[l]->b[e], i));
    add_lanes<16>(of, a, b);
  });
}
void mma1688(float* d, const u32* a, u32 b0, u32 b1) {
  Operands mine = {d, a, {b0, b1}};
  together(MMA8, &mine, [](Operands** of) UNWATCHED {
    float a[16][8], b[8][8];
    auto value = [](u32 x) UNWATCHED { return __uint_as_float(x & ~0x1fffu); };
    for (int l = 0; l < 32; ++l) {
      for (int e = 0; e < 4; ++e) a[l / 4 + e % 2 * 8][l % 4 + e / 2 * 4] = value(of[l]->a[e]);
      for (int e = 0; e < 2; ++e) b[l % 4 + e * 4][l / 4] = value(of[l]->b[e]);
    }
    add_lanes<8>(of, a, b);
  });
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// A warp's 16 rows of a warpgroup's product: its own rows of A, from registers or, `shared`, as `from` describes them; all of B.
struct Product {
  int columns, group;
  bool mn, fresh;
  u64 b;
  u32 a[32][4];
  float* d[32];
  std::shared_ptr<std::vector<float>> sum;
  bool shared, across;
  u64 from;
  int warp;
};
static std::vector<Product> running[32];
static std::vector<int> product_groups;
// What each warp has asked for: the warps of a warpgroup ask for the same.
static u64 asked[32];
static const char WGMMA[] = "wgmma", WGMMA_WAIT[] = "wgmma.wait_group";

// Eight neighbours of what a descriptor describes, 16 along the summed axis: `across`, that one goes from row to row and they lie along the
// other.
static void described(u64 desc, bool across, int n, int k, float* to, int apart) {
  const u32 start = (u32)(desc & 0x3fff) << 4, lead = (u32)(desc >> 16 & 0x3fff) << 4, stride = (u32)(desc >> 32 & 0x3fff) << 4;
  if (desc >> 62 != 1 || (desc >> 49 & 7) != 0) fail("a matrix descriptor %llx without the 128-byte swizzle", desc);
  const u32 at = start + (across ? n / 64 * lead + n % 64 * 2 + k / 8 * stride + k % 8 * 128 : n / 8 * stride + n % 8 * 128 + k * 2),
    swizzled = at ^ (at >> 7 & 7) << 4;
  u16 h[8];
  memcpy(h, shared_at(swizzled, 16, 16), 16);
  const int writer = unfenced[(swizzled - SHARED_AT) / 16];
  if (writer != 0) fail("a product reads what thread %d wrote without a fence after it", writer - 1);
  for (int i = 0; i < 8; ++i) to[i * apart] = half_value(h[i]);
}
// All of it, `count` along the other axis.
template <int APART_N, int APART_K> static void describe(u64 desc, bool across, int from, int count, float* to) {
  if (across) for (int k = 0; k < 16; ++k) for (int n = 0; n < count; n += 8)
    described(desc, true, from + n, k, to + n * APART_N + k * APART_K, APART_N);
  else for (int n = 0; n < count; ++n) for (int k = 0; k < 16; k += 8)
    described(desc, false, from + n, k, to + n * APART_N + k * APART_K, APART_K);
}
constexpr int MOST_VALUES = 128;
UNWATCHED static void multiply(Product& p) {
  static float a[16][16], b[16][256], sums[16][256];
  if (p.shared) describe<16, 1>(p.from, p.across, p.warp % 4 * 16, 16, a[0]);
  else rows_of_a(a, [&](int l) UNWATCHED { return p.a[l]; });
  describe<1, 256>(p.b, p.mn, 0, p.columns, b[0]);
  memset(sums, 0, sizeof sums);
  add_product<16, 256>(a, b, sums, p.columns);
  for (int l = 0; l < 32; ++l) for (int i = 0; i < p.columns / 2; ++i) {
    const float s = sums[l / 4 + i / 2 % 2 * 8][i / 4 * 8 + l % 4 * 2 + i % 2];
    float& d = (*p.sum)[l * MOST_VALUES + i];
    d = p.fresh ? s : d + s;
  }
}
UNWATCHED static void deliver(const Product& p) {
  for (int l = 0; l < 32; ++l) for (int i = 0; i < p.columns / 2; ++i) p.d[l][i] = (*p.sum)[l * MOST_VALUES + i];
}

// Begins a product of a warp.
static void begin_product(Product& p) {
  const int warp = threadIdx.x / 32;
  p.warp = warp;
  p.group = product_groups[threadIdx.x];
  asked[warp] = (asked[warp] ^ p.b ^ p.from * 3 ^ (u64)p.columns << 50 ^ (u64)p.mn << 60 ^ (u64)p.fresh << 61) * 0x9e3779b97f4a7c15ull;
  for (auto& before : running[warp]) if (before.d[0] == p.d[0]) p.sum = before.sum;
  if (p.sum == nullptr) {
    p.sum = std::make_shared<std::vector<float>>(32 * MOST_VALUES);
    for (int l = 0; l < 32; ++l) for (int i = 0; i < p.columns / 2; ++i) (*p.sum)[l * MOST_VALUES + i] = p.d[l][i];
  }
  if (lazy) {
    // Who looks before the wait shall see it.
    for (int l = 0; l < 32; ++l) for (int i = 0; i < p.columns / 2; ++i) p.d[l][i] = NAN;
    running[warp].push_back(p);
  } else {
    multiply(p);
    deliver(p);
  }
}
struct Asked { float* d; const u32* a; u64 b; };
void wgmma_step_of(int columns, bool mn, bool fresh, float* d, const u32* a, u64 b) {
  Asked mine = {d, a, b};
  together(WGMMA, &mine, [=](Asked** of) {
    Product p = {columns, 0, mn, fresh, of[0]->b};
    for (int l = 0; l < 32; ++l) {
      if (of[l]->b != p.b) fail("lanes with different matrix descriptors");
      p.d[l] = of[l]->d;
      memcpy(p.a[l], of[l]->a, 16);
    }
    begin_product(p);
  });
}
void mma_commit() { ++product_groups[threadIdx.x]; }
void mma_wait_for(int left) {
  int none = 0;
  together(WGMMA_WAIT, &none, [=](int**) {
    auto& here = running[threadIdx.x / 32];
    size_t n = 0;
    for (; n < here.size() && here[n].group < product_groups[threadIdx.x] - left; ++n) multiply(here[n]);
    for (size_t m = 0; m < n; ++m) {
      bool goes_on = false;
      for (size_t later = n; later < here.size(); ++later) goes_on |= here[later].sum == here[m].sum;
      if (!goes_on) deliver(here[m]);
    }
    here.erase(here.begin(), here.begin() + n);
  });
}
struct BothShared { float* d; u64 a, b; };
void wgmma_shared_of(int columns, bool across_a, bool across_b, float* d, u64 a, u64 b) {
  BothShared mine = {d, a, b};
  together(WGMMA, &mine, [=](BothShared** of) {
    Product p = {columns, 0, across_b, false, of[0]->b};
    p.shared = true;
    p.across = across_a;
    p.from = of[0]->a;
    for (int l = 0; l < 32; ++l) {
      if (of[l]->b != p.b || of[l]->a != p.from) fail("lanes with different matrix descriptors");
      p.d[l] = of[l]->d;
    }
    begin_product(p);
  });
}
void copies_tell(u32 b) {
  tells(phases_at(b).told);
  arrivals.push_back({threadIdx.x, copy_groups[threadIdx.x]++, b});
  if (!lazy || awaited(b)) arrive_late(b);
}
#endif

static const bool ptx_is_kept = [] {
  at_block_start.push_back([] {
    unfenced.assign(shared_bytes / 16 + 1, 0);
    mine_unfenced.assign(threads, {});
    copies.assign(threads, {});
    copy_groups.assign(threads, 0);
    phases.clear();
    bulk_copies.clear();
    arrivals.clear();
    anybodys.clear();
#if __CUDA_ARCH__ >= 900
    bulk_stores.assign(threads, {});
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    product_groups.assign(threads, 0);
    for (auto& warp : running) warp.clear();
    for (auto& hash : asked) hash = 0;
#endif
  });
  at_block_end.push_back([] {
    if (!arrivals.empty()) fail("nobody waits for %d copies", (int)arrivals.size());
    if (!bulk_copies.empty()) fail("nobody waits for %d copies", (int)bulk_copies.size());
#if __CUDA_ARCH__ >= 900
    for (const auto& groups : bulk_stores) for (const auto& group : groups)
      if (!group.empty()) fail("nobody waits for %d stores", (int)group.size());
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    for (int w = 0; w < threads / 32; ++w) {
      if (!running[w].empty()) fail("warp %d does not wait for its products", w);
      if (asked[w] != asked[w / 4 * 4]) fail("the warps of warpgroup %d ask for different products", w / 4);
    }
#endif
  });
  return true;
}();
