// Decay scores and their adjoints. A warp owns 16 tokens. Among them, halving levels (kernels.md 4.1.7): at level l only pairs of neighbouring
// l-blocks meet and both sides decay towards their border. Between warps, both sides decay to the border of their 16 tokens and what lies between
// is the product of whole blocks. Every factor is a product of decays, so it is at most 1 for any gate, and 0 for a reset.

// One warp's decays at 16 channels, in the layout of an A fragment: value i is token lane / 4 + 8 * (i / 2 % 2), channel 8 * (i / 4) + 2 * (lane % 4) + i % 2.
struct Decays {
  float from[8];   // from the start of the token's block to the token, the reader's side
  float to[8];     // from the token to the end of its block, the writer's side
  float whole[8];  // the whole block
};
// G: inclusive sums of the log gates, [64][stride]. A token's own decay is a difference of neighbours, so the gates need no array of their own.
template <bool BEFORE> DEV void decays_begin(Decays& f, const float* G, int stride, int k) {
  UNROLL for (int i = 0; i < 8; i += 2) {
    const int r = frag_row(i);
    const float* at = G + r * stride + k * 16 + frag_col(i);
    float2 x = *(const float2*)at, y = r == 0 ? make_float2(0.f, 0.f) : *(const float2*)(at - stride);
    f.whole[i] = m_exp(x.x - y.x), f.whole[i + 1] = m_exp(x.y - y.y);
  }
  UNROLL for (int i = 0; i < 8; ++i) f.from[i] = BEFORE ? 1.f : f.whole[i], f.to[i] = 1.f;
}
// Blocks of l tokens become blocks of 2l.
DEV void decays_double(Decays& f, int l) {
  UNROLL for (int i = 0; i < 8; ++i) {
    if (l == 8 && (i & 2)) continue;
    float mine = f.whole[i], other = l == 8 ? f.whole[i + 2] : __shfl_xor_sync(~0u, mine, 4 * l);
    if (l == 8) f.from[i + 2] *= mine, f.to[i] *= other, f.whole[i + 2] = mine * other;
    else if ((lane_id() >> 2) & l) f.from[i] *= other;
    else f.to[i] *= other;
    f.whole[i] = mine * other;
  }
}
DEV void scaled(u32* a, const float* x, const float* f) { UNROLL for (int e = 0; e < 4; ++e) a[e] = pack2(x[e * 2] * f[e * 2], x[e * 2 + 1] * f[e * 2 + 1]); }
DEV void store_packed(u32 to, int k, const u32* p) {
  int l = lane_id(), w = warp_id() * 16;
  UNROLL for (int e = 0; e < 4; ++e)
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to + swz<64>(w + (l >> 2) + (e & 1) * 8, k * 16 + (e >> 1) * 8 + (l & 3) * 2)), "r"(p[e]) : "memory");
}
DEV void store_wholes(float* wholes, int columns, int k, const Decays& f) {
  if (lane_id() < 4) UNROLL for (int i = 0; i < 8; ++i) if (!(i & 2)) wholes[warp_id() * columns + k * 16 + frag_col(i)] = f.whole[i];
}
// Value of a token's channel: column of an accumulator or A fragment, from a vector of channels.
DEV float at_channel(const float* v, int k, int i) { return v[k * 16 + frag_col(i)]; }

// out[r, c] = sum over channels of x[r] y[c] decays(c..r), 64 x 64. scratch: 64 x 64NP 16-bit; wholes: 4 x 64NP floats.
template <int NP, int STRIDE, bool BEFORE, bool STRICT> DEV void decay_score(float* out, u32 x, u32 y, const float* G, u32 scratch, float* wholes, int bar) {
  const int w = warp_id();
  float from[NP * 4][8], level[4][8], dot[2] = {0.f, 0.f};
  UNROLL for (int n = 0; n < 4; ++n) UNROLL for (int i = 0; i < 8; ++i) level[n][i] = 0.f;
  UNROLL for (int k = 0; k < NP * 4; ++k) {
    u32 raw[1][4], a[4], b[4];
    float fx[8], fy[8];
    load_a<64, false>(raw[0], x, 0, k);
    unpack<1>(fx, raw);
    load_a<64, false>(raw[0], y, 0, k);
    unpack<1>(fy, raw);
    if (!STRICT) UNROLL for (int i = 0; i < 8; ++i) dot[(i >> 1) & 1] += fx[i] * fy[i];
    Decays f;
    decays_begin<BEFORE>(f, G, STRIDE, k);
    UNROLL for (int n = 0; n < 4; ++n) {
      scaled(a, fx, f.from);
      scaled(b, fy, f.to);
      // Cells of A and B fragments are the same: tokens 0..7 of b are its registers 0 and 2, tokens 8..15 the others.
      mma16816(level[n], a, b[0], b[2]);
      if (n < 3) mma16816(level[n] + 4, a, b[1], b[3]);
      decays_double(f, 1 << n);
    }
    scaled(b, fy, f.to);
    store_packed(scratch, k, b);
    store_wholes(wholes, NP * 64, k, f);
    UNROLL for (int i = 0; i < 8; ++i) from[k][i] = f.from[i];
  }
  if (!STRICT) UNROLL for (int h = 0; h < 2; ++h) {
    dot[h] += __shfl_xor_sync(~0u, dot[h], 1);
    dot[h] += __shfl_xor_sync(~0u, dot[h], 2);
  }
  float own[8];
  UNROLL for (int i = 0; i < 8; ++i) {
    const int r = frag_row(i) & 15, c = frag_col(i);
    own[i] = !STRICT && r == c ? dot[(i >> 1) & 1] : 0.f;
    UNROLL for (int n = 0; n < 4; ++n) if (r > c && ((r ^ c) >> n) == 1) own[i] = level[n][i];
  }
  UNROLL for (int J = 0; J < 4; ++J) UNROLL for (int i = 0; i < 8; ++i) out[J * 8 + i] = J == w ? own[i] : 0.f;
  team_sync(bar);
  UNROLL for (int J = 0; J < 3; ++J) {
    if (J >= w) continue;
    UNROLL for (int k = 0; k < NP * 4; ++k) {
      u32 raw[1][4], a[4], b[4];
      float fx[8], f[8];
      load_a<64, false>(raw[0], x, 0, k);
      unpack<1>(fx, raw);
      UNROLL for (int i = 0; i < 8; ++i) f[i] = from[k][i];
      UNROLL for (int m = J + 1; m < 3; ++m) if (m < w) UNROLL for (int i = 0; i < 8; ++i) f[i] *= at_channel(wholes + m * NP * 64, k, i);
      scaled(a, fx, f);
      ldm4(b, scratch + swz<64>(J * 16 + (lane_id() & 7) + ((lane_id() >> 4) << 3), k * 16 + ((lane_id() >> 3) & 1) * 8));
      mma16816(out + J * 8, a, b[0], b[1]);
      mma16816(out + J * 8 + 4, a, b[2], b[3]);
    }
  }
}

// Adjoints: out[r] = sum_c A[r, c] y[c] decays(c..r), or with COL out[c] = sum_r A[r, c] y[r] decays(c..r), A given transposed; 64 x 64NP.
template <int NP, int STRIDE, bool BEFORE, bool STRICT, bool COL> DEV void decay_side(float* out, const u32 (*A)[4], u32 y, const float* G, u32 scratch, float* wholes, int bar) {
  const int w = warp_id();
  // The 16 x 16 block of this warp's tokens, level by level.
  u32 diagonal[4], masked[4][4];
  UNROLL for (int e = 0; e < 4; ++e) diagonal[e] = w == 0 ? A[0][e] : w == 1 ? A[1][e] : w == 2 ? A[2][e] : A[3][e];
  float unit[2] = {0.f, 0.f};
  UNROLL for (int e = 0; e < 4; ++e) {
    const int r = frag_row(e * 2) & 15, c = frag_col(e * 2);
    UNROLL for (int n = 0; n < 4; ++n) {
      auto keeps = [&](int c) { return (COL ? c > r : r > c) && ((r ^ c) >> n) == 1; };
      masked[n][e] = diagonal[e] & ((keeps(c) ? 0xffffu : 0u) | (keeps(c + 1) ? 0xffff0000u : 0u));
    }
    if (!STRICT && r == c) unit[e & 1] += low(diagonal[e]);
    if (!STRICT && r == c + 1) unit[e & 1] += high(diagonal[e]);
  }
  if (!STRICT) UNROLL for (int h = 0; h < 2; ++h) {
    unit[h] += __shfl_xor_sync(~0u, unit[h], 1);
    unit[h] += __shfl_xor_sync(~0u, unit[h], 2);
  }
  float outer[NP * 4][8];
  UNROLL for (int k = 0; k < NP * 4; ++k) {
    u32 raw[1][4], b[4];
    float fy[8];
    load_a<64, false>(raw[0], y, 0, k);
    unpack<1>(fy, raw);
    UNROLL for (int i = 0; i < 8; ++i) out[k * 8 + i] = STRICT ? 0.f : unit[(i >> 1) & 1] * fy[i];
    Decays f;
    decays_begin<BEFORE>(f, G, STRIDE, k);
    UNROLL for (int n = 0; n < 4; ++n) {
      scaled(b, fy, COL ? f.from : f.to);
      // Tokens become the contracted axis.
      UNROLL for (int e = 0; e < 4; ++e) asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %0;" : "+r"(b[e]));
      float acc[8] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
      mma16816(acc, masked[n], b[0], b[1]);
      mma16816(acc + 4, masked[n], b[2], b[3]);
      UNROLL for (int i = 0; i < 8; ++i) out[k * 8 + i] += acc[i] * (COL ? f.to[i] : f.from[i]);
      decays_double(f, 1 << n);
    }
    scaled(b, fy, COL ? f.from : f.to);
    store_packed(scratch, k, b);
    store_wholes(wholes, NP * 64, k, f);
    UNROLL for (int i = 0; i < 8; ++i) outer[k][i] = COL ? f.to[i] : f.from[i];
  }
  team_sync(bar);
  UNROLL for (int k = 0; k < NP * 4; ++k) {
    float acc[8] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
    // The farthest block first: what it has gathered decays across each block it passes.
    UNROLL for (int n = 0; n < 4; ++n) {
      const int J = COL ? 3 - n : n;
      if (COL ? J <= w : J >= w) continue;
      UNROLL for (int i = 0; i < 8; ++i) acc[i] *= at_channel(wholes + J * NP * 64, k, i);
      u32 b[4];
      ldm4t(b, scratch + swz<64>(J * 16 + (lane_id() & 7) + ((lane_id() >> 3) & 1) * 8, k * 16 + (lane_id() >> 4) * 8));
      mma16816(acc, A[J], b[0], b[1]);
      mma16816(acc + 4, A[J], b[2], b[3]);
    }
    UNROLL for (int i = 0; i < 8; ++i) out[k * 8 + i] += acc[i] * outer[k][i];
  }
}
