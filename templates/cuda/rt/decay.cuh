// Decay scores and their adjoints. A warp owns 16 tokens. Among them, halving levels (docs/algorithms.md: decays): at level l only pairs of neighbouring
// l-blocks meet and both sides decay towards their border; the factors are running products, so one exponential per element serves all levels.
// Between warps both sides decay to the last token of the writer's 16. Every factor is at most 1 for gates <= 0, and 0 for a reset.
// G: inclusive sums of the log gates, [64][STRIDE]. Loops over steps of 16 channels stay loops: unrolled they would not fit the instruction cache.

// One warp's decays at 16 channels, in the layout of an A fragment: value i is token lane / 4 + 8 * (i / 2 % 2), channel 8 * (i / 4) + 2 * (lane % 4) + i % 2.
struct Decays {
  float from[8];   // from the start of the token's block to the token, the reader's side
  float early[8];  // the same without the token's own decay: a reader that sees the state before it
  float to[8];     // from the token to the end of its block, the writer's side
  float whole[8];  // the whole block
};
template <int STRIDE> DEV float2 sum_at(const float* G, int r, int c) { return r < 0 ? make_float2(0.f, 0.f) : *(const float2*)(G + r * STRIDE + c); }
// e^(G[a] - G[b]) for two rows per thread and 16 channels; a and b take the fragment's token.
template <int STRIDE, typename A, typename B> DEV void decays_between(float* f, const float* G, int k, A a, B b) {
  UNROLL for (int i = 0; i < 8; i += 2) {
    const int r = frag_row(i), c = k * 16 + frag_col(i);
    float2 x = sum_at<STRIDE>(G, a(r), c), y = sum_at<STRIDE>(G, b(r), c);
    f[i] = m_exp(x.x - y.x), f[i + 1] = m_exp(x.y - y.y);
  }
}
// Blocks of one token. A token's own decay is a difference of neighbouring sums.
template <int STRIDE> DEV void decays_begin(Decays& f, const float* G, int k) {
  decays_between<STRIDE>(f.whole, G, k, [](int r) { return r; }, [](int r) { return r - 1; });
  UNROLL for (int i = 0; i < 8; ++i) f.from[i] = f.whole[i], f.early[i] = f.to[i] = 1.f;
}
// Blocks of l tokens become blocks of 2l.
DEV void decays_double(Decays& f, int l) {
  UNROLL for (int i = 0; i < 8; ++i) {
    float mine = f.whole[i], other = __shfl_xor_sync(~0u, mine, 4 * l);
    if ((lane_id() >> 2) & l) f.from[i] *= other, f.early[i] *= other;
    else f.to[i] *= other;
    f.whole[i] = mine * other;
  }
}
// Blocks of 8 become one of 16: the other half of the fragment's rows.
DEV void decays_join(Decays& f) {
  UNROLL for (int i = 0; i < 8; ++i) if (!(i & 2)) f.from[i + 2] *= f.whole[i], f.early[i + 2] *= f.whole[i], f.to[i] *= f.whole[i + 2];
}
DEV void scaled(u32* a, const float* x, const float* f) { UNROLL for (int e = 0; e < 4; ++e) a[e] = pack2(x[e * 2] * f[e * 2], x[e * 2 + 1] * f[e * 2 + 1]); }
// In two parts of 16 bits. A gradient of a gate is a difference of such products (docs/algorithms.md: decays), where one part's rounding would be what is left.
DEV void scaled_parts(u32* a, u32* rest, const float* x, const float* f) {
  scaled(a, x, f);
  UNROLL for (int e = 0; e < 4; ++e) rest[e] = pack2(x[e * 2] * f[e * 2] - low(a[e]), x[e * 2 + 1] * f[e * 2 + 1] - high(a[e]));
}
DEV void load_step(float* f, u32 tile, int k) {
  u32 raw[1][4];
  load_a<64, false>(raw[0], tile, 0, k);
  unpack<1>(f, raw);
}
DEV void store_packed(u32 to, int k, const u32* p) {
  int l = lane_id(), w = warp_id() * 16;
  UNROLL for (int e = 0; e < 4; ++e)
    sts4(to + swz<64>(w + (l >> 2) + (e & 1) * 8, k * 16 + (e >> 1) * 8 + (l & 3) * 2), p[e]);
}

// out[n * Y + m][r, c] = sum over channels of x[n][r] y[m][c] decays(c..r), 64 x 64, of the channels [16 k0, 16 k1). Bit n of BEFORE, of STRICT: how x[n] reads.
// scratch[m]: a 64-row tile.
template <int X, int Y, int STRIDE, int BEFORE, int STRICT>
DEV void decay_scores(float (*out)[32], const u32 (&x)[X], const u32 (&y)[Y], const float* G, const u32 (&scratch)[Y], int k0, int k1, int bar) {
  const int w = warp_id();
  float level[X * Y][4][8], dot[X * Y][2];
  UNROLL for (int p = 0; p < X * Y; ++p) {
    dot[p][0] = dot[p][1] = 0.f;
    UNROLL for (int l = 0; l < 4; ++l) UNROLL for (int i = 0; i < 8; ++i) level[p][l][i] = 0.f;
  }
#pragma unroll 1
  for (int k = k0; k < k1; ++k) {
    u32 a[4], b[Y][4];
    float fx[X][8], fy[Y][8];
    UNROLL for (int m = 0; m < Y; ++m) load_step(fy[m], y[m], k);
    UNROLL for (int n = 0; n < X; ++n) {
      load_step(fx[n], x[n], k);
      if (!(STRICT >> n & 1)) UNROLL for (int m = 0; m < Y; ++m) UNROLL for (int i = 0; i < 8; ++i) dot[n * Y + m][(i >> 1) & 1] += fx[n][i] * fy[m][i];
    }
    Decays f;
    decays_begin<STRIDE>(f, G, k);
    UNROLL for (int l = 0; l < 4; ++l) {
      UNROLL for (int m = 0; m < Y; ++m) scaled(b[m], fy[m], f.to);
      UNROLL for (int n = 0; n < X; ++n) {
        scaled(a, fx[n], BEFORE >> n & 1 ? f.early : f.from);
        // Cells of A and B fragments are the same: tokens 0..7 of b are its registers 0 and 2, tokens 8..15 the others.
        UNROLL for (int m = 0; m < Y; ++m) {
          mma16816(level[n * Y + m][l], a, b[m][0], b[m][2]);
          if (l < 3) mma16816(level[n * Y + m][l] + 4, a, b[m][1], b[m][3]);
        }
      }
      if (l < 3) decays_double(f, 1 << l);
    }
    decays_join(f);
    UNROLL for (int m = 0; m < Y; ++m) {
      scaled(b[m], fy[m], f.to);
      store_packed(scratch[m], k, b[m]);
    }
  }
  UNROLL for (int p = 0; p < X * Y; ++p) {
    const bool diagonal = !(STRICT >> p / Y & 1);
    if (diagonal) UNROLL for (int h = 0; h < 2; ++h) {
      dot[p][h] += __shfl_xor_sync(~0u, dot[p][h], 1);
      dot[p][h] += __shfl_xor_sync(~0u, dot[p][h], 2);
    }
    float own[8];
    UNROLL for (int i = 0; i < 8; ++i) {
      const int r = frag_row(i) & 15, c = frag_col(i);
      own[i] = diagonal && r == c ? dot[p][(i >> 1) & 1] : 0.f;
      UNROLL for (int l = 0; l < 4; ++l) if (r > c && ((r ^ c) >> l) == 1) own[i] = level[p][l][i];
    }
    UNROLL for (int J = 0; J < 4; ++J) UNROLL for (int i = 0; i < 8; ++i) out[p][J * 8 + i] = J == w ? own[i] : 0.f;
  }
  bar_sync(bar, 128);
#pragma unroll 1
  for (int k = k0; k < k1; ++k) {
    float fx[X][8];
    UNROLL for (int n = 0; n < X; ++n) load_step(fx[n], x[n], k);
    UNROLL for (int J = 0; J < 3; ++J) {
      if (J >= w) continue;
      u32 a[4], b[Y][4];
      float late[8], early[8];
      decays_between<STRIDE>(late, G, k, [](int r) { return r; }, [&](int) { return J * 16 + 15; });
      decays_between<STRIDE>(early, G, k, [](int r) { return r - 1; }, [&](int) { return J * 16 + 15; });
      UNROLL for (int m = 0; m < Y; ++m) ldm4(b[m], scratch[m] + swz<64>(J * 16 + (lane_id() & 7) + ((lane_id() >> 4) << 3), k * 16 + ((lane_id() >> 3) & 1) * 8));
      UNROLL for (int n = 0; n < X; ++n) {
        scaled(a, fx[n], BEFORE >> n & 1 ? early : late);
        UNROLL for (int m = 0; m < Y; ++m) {
          mma16816(out[n * Y + m] + J * 8, a, b[m][0], b[m][1]);
          mma16816(out[n * Y + m] + J * 8 + 4, a, b[m][2], b[m][3]);
        }
      }
    }
  }
}

// The next 8 values of a fragment that a loop fills: first in, first out, since registers have no index at run time.
template <int N> DEV void rotate(float* out, const float* next) {
  UNROLL for (int i = 0; i + 8 < N; ++i) out[i] = out[i + 8];
  UNROLL for (int i = 0; i < 8; ++i) out[N - 8 + i] = next[i];
}

// Adjoints, for n < N: out[n][r] = sum_c A[n][r, c] y[c] decays(c..r), or with COL out[n][c] = sum_r A[n][r, c] y[r] decays(c..r), A given transposed; 64 x 16KS,
// from channel 16 k0 on. With COL all read alike: BEFORE is 0 or has all bits.
template <int N, int KS, int STRIDE, int BEFORE, int STRICT, bool COL>
DEV void decay_sides(float (*out)[KS * 8], const u32 (*const (&A)[N])[4], u32 y, const float* G, u32 scratch, int k0, int bar) {
  const int w = warp_id();
  // The 16 x 16 block of this warp's tokens. Levels 0 to 2 are in its diagonal 8 x 8 blocks, which are alike: byte l of `meet` has its sign where the low
  // and the high element of a pair meet at level l.
  u32 own[N][4], meet[2];
  UNROLL for (int i = 0; i < 2; ++i) {
    const int r = lane_id() >> 2, c = (lane_id() & 3) * 2 + i;
    meet[i] = 0;
    UNROLL for (int l = 0; l < 3; ++l) if ((COL ? c > r : r > c) && ((r ^ c) >> l) == 1) meet[i] |= 0x80u << 8 * l;
  }
  float unit[N][2];
  UNROLL for (int n = 0; n < N; ++n) {
    const bool diagonal = !(STRICT >> n & 1);
    unit[n][0] = unit[n][1] = 0.f;
    UNROLL for (int e = 0; e < 4; ++e) {
      own[n][e] = w == 0 ? A[n][0][e] : w == 1 ? A[n][1][e] : w == 2 ? A[n][2][e] : A[n][3][e];
      const int r = frag_row(e * 2) & 15, c = frag_col(e * 2);
      if (diagonal && r == c) unit[n][e & 1] += low(own[n][e]);
      if (diagonal && r == c + 1) unit[n][e & 1] += high(own[n][e]);
    }
    if (diagonal) UNROLL for (int h = 0; h < 2; ++h) {
      unit[n][h] += __shfl_xor_sync(~0u, unit[n][h], 1);
      unit[n][h] += __shfl_xor_sync(~0u, unit[n][h], 2);
    }
  }
#pragma unroll 1
  for (int k = k0; k < k0 + KS; ++k) {
    u32 b[4];
    float fy[8], sum[N][8];
    load_step(fy, y, k);
    UNROLL for (int n = 0; n < N; ++n) UNROLL for (int i = 0; i < 8; ++i) sum[n][i] = unit[n][(i >> 1) & 1] * fy[i];
    Decays f;
    decays_begin<STRIDE>(f, G, k);
    const float* reader = BEFORE & 1 ? f.early : f.from;
    UNROLL for (int l = 0; l < 4; ++l) {
      u32 rest[4];
      scaled_parts(b, rest, fy, COL ? reader : f.to);
      // Tokens become the contracted axis.
      UNROLL for (int e = 0; e < 4; ++e) { movm(b[e]); movm(rest[e]); }
      const u32 near = prmt(meet[0], meet[1], 0xcc88 + 0x1111 * l), far = l == 3 ? ~0u : 0u;
      UNROLL for (int n = 0; n < N; ++n) {
        float acc[8] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
        const u32 level[4] = {own[n][0] & near, COL ? 0 : own[n][1] & far, COL ? own[n][2] & far : 0, own[n][3] & near};
        mma16816(acc, level, b[0], b[1]);
        mma16816(acc + 4, level, b[2], b[3]);
        mma16816(acc, level, rest[0], rest[1]);
        mma16816(acc + 4, level, rest[2], rest[3]);
        const float* to = COL ? f.to : BEFORE >> n & 1 ? f.early : f.from;
        UNROLL for (int i = 0; i < 8; ++i) sum[n][i] += acc[i] * to[i];
      }
      if (l < 3) decays_double(f, 1 << l);
    }
    decays_join(f);
    scaled(b, fy, COL ? reader : f.to);
    store_packed(scratch, k, b);
    UNROLL for (int n = 0; n < N; ++n) rotate<KS * 8>(out[n], sum[n]);
  }
  bar_sync(bar, 128);
#pragma unroll 1
  for (int k = k0; k < k0 + KS; ++k) {
    float sum[N][8];
    UNROLL for (int n = 0; n < N; ++n) UNROLL for (int i = 0; i < 8; ++i) sum[n][i] = out[n][i];
    UNROLL for (int J = 0; J < 4; ++J) {
      if (COL ? J <= w : J >= w) continue;
      u32 b[4];
      float late[8], early[8];
      ldm4t(b, scratch + swz<64>(J * 16 + (lane_id() & 7) + ((lane_id() >> 3) & 1) * 8, k * 16 + (lane_id() >> 4) * 8));
      // What is stored has decayed to the end (COL: from the start) of its own 16 tokens.
      if (COL) decays_between<STRIDE>(late, G, k, [&](int) { return J * 16 - 1; }, [](int r) { return r; });
      else {
        decays_between<STRIDE>(late, G, k, [](int r) { return r; }, [&](int) { return J * 16 + 15; });
        decays_between<STRIDE>(early, G, k, [](int r) { return r - 1; }, [&](int) { return J * 16 + 15; });
      }
      UNROLL for (int n = 0; n < N; ++n) {
        float acc[8] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
        mma16816(acc, A[n][J], b[0], b[1]);
        mma16816(acc + 4, A[n][J], b[2], b[3]);
        const float* to = !COL && BEFORE >> n & 1 ? early : late;
        UNROLL for (int i = 0; i < 8; ++i) sum[n][i] += acc[i] * to[i];
      }
    }
    UNROLL for (int n = 0; n < N; ++n) rotate<KS * 8>(out[n], sum[n]);
  }
}
