// Decay scores by halving levels (kernels.md 4.1.7): at level l only pairs of neighbouring l-blocks meet, both sides decay towards their
// border, so every factor is at most 1 for gates <= 0. G: inclusive sums of the log gates, [64][STRIDE].
template <bool BEFORE> DEV float level_decay(const float* G, int stride, int r, int c, int l) {
  if (r & l) return m_exp(BEFORE && (r & (l - 1)) == 0 ? 0.f : G[(BEFORE ? r - 1 : r) * stride + c] - G[((r & ~(l - 1)) - 1) * stride + c]);
  return m_exp(G[(r | (l - 1)) * stride + c] - G[r * stride + c]);
}
DEV bool level_pair(int r, int c, int l) { return r > c && ((r ^ c) & ~(l - 1)) == l; }

// Scales 64 columns (panel p) of a tile for one level and stores them in `to` (if any) or packs them as an A operand.
template <int STRIDE, bool BEFORE> DEV void level_panel(u32 (*a)[4], u32 from, const float* G, int p, int l) {
  UNROLL for (int k = 0; k < 4; ++k) {
    u32 raw[1][4];
    float f[8];
    load_a<64, false>(raw[0], from, 0, p * 4 + k);
    unpack<1>(f, raw);
    UNROLL for (int i = 0; i < 8; ++i) f[i] *= level_decay<BEFORE>(G, STRIDE, frag_row(i), (p * 4 + k) * 16 + frag_col(i), l);
    pack<1>(a + k, f);
  }
}
DEV void store_packed(u32 to, int k, const u32* p) {
  int l = lane_id(), w = warp_id() * 16;
  UNROLL for (int e = 0; e < 4; ++e)
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to + swz<64>(w + (l >> 2) + (e & 1) * 8, k * 16 + (e >> 1) * 8 + (l & 3) * 2)), "r"(p[e]) : "memory");
}

template <int NP, int STRIDE, bool BEFORE, bool STRICT> DEV void decay_score(float* out, u32 x, u32 y, const float* G, u32 scratch, int bar) {
  float dot[2] = {0.f, 0.f};
  if (!STRICT) {
    UNROLL for (int k = 0; k < NP * 4; ++k) {
      u32 a[1][4], b[1][4];
      float f[8], g[8];
      load_a<64, false>(a[0], x, 0, k);
      load_a<64, false>(b[0], y, 0, k);
      unpack<1>(f, a);
      unpack<1>(g, b);
      UNROLL for (int i = 0; i < 8; ++i) dot[(i >> 1) & 1] += f[i] * g[i];
    }
    UNROLL for (int h = 0; h < 2; ++h) {
      dot[h] += __shfl_xor_sync(~0u, dot[h], 1);
      dot[h] += __shfl_xor_sync(~0u, dot[h], 2);
    }
  }
  UNROLL for (int i = 0; i < 32; ++i) out[i] = !STRICT && frag_row(i) == frag_col(i) ? dot[(i >> 1) & 1] : 0.f;
#pragma unroll 1
  for (int l = 32; l > 0; l /= 2) {
    u32 a[NP * 4][4];
    float acc[32];
    team_sync(bar);
    UNROLL for (int p = 0; p < NP; ++p) {
      level_panel<STRIDE, BEFORE>(a + p * 4, y, G, p, l);
      UNROLL for (int k = 0; k < 4; ++k) store_packed(scratch, p * 4 + k, a[p * 4 + k]);
      if (x != y) level_panel<STRIDE, BEFORE>(a + p * 4, x, G, p, l);
    }
    UNROLL for (int i = 0; i < 32; ++i) acc[i] = 0.f;
    team_sync(bar);
    mma_open();
    mma<1, NP * 4, 64, false>(acc, a, scratch);
    mma_commit();
    mma_wait<0>();
    mma_ready<32>(acc);
    UNROLL for (int i = 0; i < 32; ++i) if (level_pair(frag_row(i), frag_col(i), l)) out[i] += acc[i];
  }
  team_sync(bar);
}

// COL: rows are the tokens that wrote, A is given transposed. Else rows are the tokens that read.
template <int NP, int STRIDE, bool BEFORE, bool STRICT, bool COL> DEV void decay_side(float* out, const u32 (*a)[4], u32 y, const float* G, u32 scratch, int bar) {
  float diagonal[2] = {0.f, 0.f};
  if (!STRICT) {
    UNROLL for (int i = 0; i < 32; ++i) {
      u32 p = a[i >> 3][(i >> 1) & 3];
      if (frag_row(i) == frag_col(i)) diagonal[(i >> 1) & 1] += i & 1 ? high(p) : low(p);
    }
    UNROLL for (int h = 0; h < 2; ++h) {
      diagonal[h] += __shfl_xor_sync(~0u, diagonal[h], 1);
      diagonal[h] += __shfl_xor_sync(~0u, diagonal[h], 2);
    }
  }
  UNROLL for (int k = 0; k < NP * 4; ++k) {
    u32 b[1][4];
    float f[8];
    load_a<64, false>(b[0], y, 0, k);
    unpack<1>(f, b);
    UNROLL for (int i = 0; i < 8; ++i) out[k * 8 + i] = STRICT ? 0.f : f[i] * diagonal[(i >> 1) & 1];
  }
#pragma unroll 1
  for (int l = 32; l > 0; l /= 2) {
    u32 m[4][4];
    float acc[NP * 32];
    team_sync(bar);
    UNROLL for (int p = 0; p < NP; ++p) {
      u32 s[4][4];
      level_panel<STRIDE, BEFORE>(s, y, G, p, l);
      UNROLL for (int k = 0; k < 4; ++k) store_packed(scratch, p * 4 + k, s[k]);
    }
    UNROLL for (int k = 0; k < 4; ++k) UNROLL for (int e = 0; e < 4; ++e) {
      int i = k * 8 + e * 2, r = frag_row(i), c = frag_col(i);
      bool lo = COL ? level_pair(c, r, l) : level_pair(r, c, l), hi = COL ? level_pair(c + 1, r, l) : level_pair(r, c + 1, l);
      m[k][e] = a[k][e] & ((lo ? 0xffffu : 0u) | (hi ? 0xffff0000u : 0u));
    }
    UNROLL for (int i = 0; i < NP * 32; ++i) acc[i] = 0.f;
    team_sync(bar);
    mma_open();
    mma<NP, 4, 64, true>(acc, m, scratch);
    mma_commit();
    mma_wait<0>();
    mma_ready<NP * 32>(acc);
    // Rows of the other role have no pair at this level: acc is 0 there.
    UNROLL for (int i = 0; i < NP * 32; ++i) out[i] += acc[i] * level_decay<BEFORE>(G, STRIDE, frag_row(i), frag_col(i), l);
  }
  team_sync(bar);
}
