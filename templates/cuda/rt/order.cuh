// Words in the order of numbers, 0 and -0 alike, and back.
DEV u32 order_key(float x) { const u32 bits = __float_as_uint(x + 0.f); return bits > 0x80000000u ? ~bits : bits | 0x80000000u; }
DEV float order_number(u32 key) { return __uint_as_float(key > 0x7fffffffu ? key & 0x7fffffffu : ~key); }
// A number of elements to be chosen, from what may be any number.
DEV u32 order_count(float x) { return x >= 1.f ? (u32)fminf(x, 4e9f) : 0; }
// The `left`-th smallest, from 1, of the keys of rows, by its bytes from the highest: how many keys have each, among those with the bytes found
// so far. False if there are fewer. `key`: is there one? All 256 threads of a block, behind a barrier and up to one; `tally`: 256 counters.
template <typename Key> DEV bool order_find(int first, int end, u32 left, u32* tally, u32& found, Key key) {
  bool there = left > 0;
  found = 0;
#pragma unroll 1
  for (int shift = 24; shift >= 0; shift -= 8) {
    tally[threadIdx.x] = 0;
    __syncthreads();
#pragma unroll 4
    for (int row = first + threadIdx.x; row < end; row += 256) {
      u32 k;
      if (key(row, k) && (shift == 24 || k >> (shift + 8) == found)) atomicAdd(tally + (k >> shift & 255), 1u);
    }
    __syncthreads();
    u32 digit = 0;
    for (; digit < 256 && tally[digit] < left; ++digit) left -= tally[digit];
    there = there && digit < 256;
    found = found << 8 | (digit & 255);
    __syncthreads();
  }
  return there;
}
// The `count`-th largest of rows that are `stride` apart: those of -infinity are none.
DEV float nth(const float* p, i64 stride, int first, int end, float count, u32* tally) {
  const u32 left = order_count(count);
  u32 found;
  const bool there = order_find(first, end, left, tally, found, [&](int row, u32& k) { k = ~order_key(p[row * stride]); return k < 0xff800000u; });
  return left == 0 ? __int_as_float(0x7f800000) : there ? order_number(~found) : __int_as_float(0xff800000);
}
// The row up to which those that equal `of` are among the `count` largest: -1 if none is, infinity if all are.
DEV float nth_row(const float* p, i64 stride, int first, int end, float count, float of, u32* tally) {
  const u32 wanted = order_count(count), key = order_key(of);
  if (threadIdx.x == 0) tally[0] = 0;
  __syncthreads();
  u32 mine = 0;
  for (int row = first + threadIdx.x; row < end; row += 256) mine += order_key(p[row * stride]) > key;
  atomicAdd(tally, mine);
  __syncthreads();
  const u32 larger = tally[0], left = wanted > larger ? wanted - larger : 0;
  __syncthreads();
  u32 found;
  const bool there = order_find(first, end, left, tally, found, [&](int row, u32& k) { k = row; return order_key(p[row * stride]) == key; });
  return left == 0 ? -1.f : there ? (float)found : __int_as_float(0x7f800000);
}
// The largest number that `count` of the lanes' keys reach, bit by bit, or one that no others do.
DEV u32 lanes_nth(u32 key, u32 count) {
  u32 found = 0;
#pragma unroll 1
  for (u32 bit = 0x80000000u; bit > 0; bit >>= 1) {
    const u32 many = __popc(__ballot_sync(~0u, key >= (found | bit)));
    if (many >= count) found |= bit;
    if (many == count) break;
  }
  return found;
}
// Marks the `count` largest of N numbers, the first of equals, by a warp: what so many reach, then what is above it. `get`, `put`: of number j,
// the i-th of its lane; those of -infinity are none.
// Of few among several a lane: so many reach what so many lanes have at least, and hardly any others do. These go, the least first. Where they are
// more, the bound is found bit by bit among all.
template <int N, typename Get, typename Put> DEV void top(float count, Get get, Put put) {
  constexpr int EACH = (N + 31) / 32;
  constexpr u32 FEW = 16, MORE = 6;
  const int lane = threadIdx.x & 31;
  const u32 wanted = order_count(count), none = order_key(__int_as_float(0xff800000));
  u32 keys[EACH], bound = 0, many = 0;
  UNROLL for (int i = 0; i < EACH; ++i) keys[i] = i * 32 + lane < N ? order_key(get(i, i * 32 + lane)) : 0;
  bool found = false;
  if (EACH > 2 && wanted - 1 < FEW) {
    u32 most = keys[0];
    UNROLL for (int i = 1; i < EACH; ++i) most = keys[i] > most ? keys[i] : most;
    bound = lanes_nth(most, wanted);
    UNROLL for (int i = 0; i < EACH; ++i) many += keys[i] >= bound;
    many = __reduce_add_sync(~0u, many);
    found = many == wanted;
#pragma unroll 1
    while (!found && many <= wanted + MORE) {
      // Numbers below the bound are far above it.
      u32 above = keys[0] - bound, more = 0;
      UNROLL for (int i = 1; i < EACH; ++i) above = keys[i] - bound < above ? keys[i] - bound : above;
      const u32 least = bound + __reduce_min_sync(~0u, above);
      UNROLL for (int i = 0; i < EACH; ++i) more += keys[i] > least;
      more = __reduce_add_sync(~0u, more);
      // Of its equals some are wanted: they are marked in their order.
      found = more <= wanted;
      bound = more < wanted ? least : least + 1;
      many = more < wanted ? many : more;
    }
  }
  if (!found) {
    bound = 0;
#pragma unroll 1
    for (u32 bit = 0x80000000u; bit > 0; bit >>= 1) {
      many = 0;
      UNROLL for (int i = 0; i < EACH; ++i) many += keys[i] >= (bound | bit);
      many = __reduce_add_sync(~0u, many);
      if (many >= wanted) bound |= bit;
      // Nobody else comes into question.
      if (many == wanted) break;
    }
  }
  if (many == wanted) {
    UNROLL for (int i = 0; i < EACH; ++i) if (i * 32 + lane < N) put(i, i * 32 + lane, keys[i] >= bound && keys[i] > none ? 1.f : 0.f);
    return;
  }
  u32 seats = wanted;
  UNROLL for (int i = 0; i < EACH; ++i) seats -= __popc(__ballot_sync(~0u, keys[i] > bound));
  UNROLL for (int i = 0; i < EACH; ++i) {
    const u32 equal = __ballot_sync(~0u, keys[i] == bound && bound > none), before = __popc(equal & ((1u << lane) - 1)), all = __popc(equal);
    const bool holds = keys[i] > none && (keys[i] > bound || (keys[i] == bound && before < seats));
    seats -= all < seats ? all : seats;
    if (i * 32 + lane < N) put(i, i * 32 + lane, holds ? 1.f : 0.f);
  }
}
