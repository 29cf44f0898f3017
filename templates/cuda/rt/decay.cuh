// Decay scores by halving levels (kernels.md 4.1.7): at level l only pairs of neighbouring l-blocks meet, both sides decay towards their
// border, so every factor is at most 1 for gates <= 0. G: inclusive sums of the log gates, [64][STRIDE].
// Two neighbouring columns at once: (r, c) and (r, c + 1).
template <bool BEFORE> DEV float2 level_decay(const float* G, int stride, int r, int c, int l) {
  bool odd = (r & l) != 0;
  int border = odd ? (r & ~(l - 1)) - 1 : (r | (l - 1));
  int own = BEFORE && odd ? r - 1 : r;
  float2 x = *(const float2*)(G + own * stride + c), y = *(const float2*)(G + border * stride + c);
  return odd ? make_float2(m_exp(x.x - y.x), m_exp(x.y - y.y)) : make_float2(m_exp(y.x - x.x), m_exp(y.y - x.y));
}
DEV bool level_pair(int r, int c, int l) { return r > c && ((r ^ c) & ~(l - 1)) == l; }

// Scales 16 columns (step k) of one tile, or of two at once, for one level.
template <int STRIDE, bool BEFORE> DEV void level_step(u32* a, u32 x, u32* b, u32 y, const float* G, int k, int l) {
  u32 raw[1][4], raw2[1][4];
  float f[8], g[8];
  load_a<64, false>(raw[0], x, 0, k);
  unpack<1>(f, raw);
  if (b != nullptr) {
    load_a<64, false>(raw2[0], y, 0, k);
    unpack<1>(g, raw2);
  }
  UNROLL for (int i = 0; i < 8; i += 2) {
    float2 e = level_decay<BEFORE>(G, STRIDE, frag_row(i), k * 16 + frag_col(i), l);
    f[i] *= e.x, f[i + 1] *= e.y;
    if (b != nullptr) g[i] *= e.x, g[i + 1] *= e.y;
  }
  UNROLL for (int e = 0; e < 4; ++e) {
    a[e] = pack2(f[e * 2], f[e * 2 + 1]);
    if (b != nullptr) b[e] = pack2(g[e * 2], g[e * 2 + 1]);
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
    UNROLL for (int k = 0; k < NP * 4; ++k) {
      u32 b[4];
      level_step<STRIDE, BEFORE>(b, y, a[k], x, G, k, l);
      store_packed(scratch, k, b);
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
    UNROLL for (int k = 0; k < NP * 4; ++k) {
      u32 b[4];
      level_step<STRIDE, BEFORE>(b, y, nullptr, y, G, k, l);
      store_packed(scratch, k, b);
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
    UNROLL for (int i = 0; i < NP * 32; i += 2) {
      float2 e = level_decay<BEFORE>(G, STRIDE, frag_row(i), frag_col(i), l);
      out[i] += acc[i] * e.x;
      out[i + 1] += acc[i + 1] * e.y;
    }
  }
  team_sync(bar);
}
