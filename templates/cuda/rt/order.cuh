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
  return left == 0 ? INFINITY : there ? order_number(~found) : -INFINITY;
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
  return left == 0 ? -1.f : there ? (float)found : INFINITY;
}
