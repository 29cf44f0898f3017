// Word element % 4 of Philox 4x32 at (element / 4, position, sequence, lane), as a number between 0 and 1; a key in halves of its two words.
DEV float draw(float k0, float k1, float k2, float k3, float element, float position, float sequence, float lane) {
  u32 a = (u32)k0 | (u32)k1 << 16, b = (u32)k2 | (u32)k3 << 16;
  u32 x[4] = {(u32)element / 4, (u32)position, (u32)sequence, (u32)lane};
  UNROLL for (int round = 0; round < 10; ++round) {
    const unsigned long long p = 0xd2511f53ull * x[0], q = 0xcd9e8d57ull * x[2];
    const u32 y[4] = {(u32)(q >> 32) ^ x[1] ^ a, (u32)q, (u32)(p >> 32) ^ x[3] ^ b, (u32)p};
    UNROLL for (int i = 0; i < 4; ++i) x[i] = y[i];
    a += 0x9e3779b9u, b += 0xbb67ae85u;
  }
  const int at = (u32)element % 4;
  const u32 word = at == 0 ? x[0] : at == 1 ? x[1] : at == 2 ? x[2] : x[3];
  return fminf(((float)word + 0.5f) * 2.3283064365386963e-10f, 0.99999994f);
}
