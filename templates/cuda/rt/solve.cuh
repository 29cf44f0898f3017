// Running sum down one column of a 64-row array.
template <bool EXCLUSIVE, bool REVERSE, bool FLOOR> DEV void col_cumsum(float* out, const float* in, int stride) {
  float acc = 0.f;
  UNROLL for (int s = 0; s < 64; ++s) {
    int r = REVERSE ? 63 - s : s;
    float x = in[r * stride];
    // A gate of -inf stays a reset (e^-80 is 0 beside anything) and differences of sums stay numbers.
    if (FLOOR) x = fmaxf(x, -80.f);
    if (EXCLUSIVE) out[r * stride] = acc;
    acc += x;
    if (!EXCLUSIVE) out[r * stride] = acc;
  }
}

// (I - A)^-1 in place; A strictly lower, 64 x 64 floats. Diagonal blocks of 16 by substitution, then
// T21 = T22 A21 T11 for blocks of 16 and 32, all in f32 (kernels.md 4.2: powers of A in less precision cancel).
template <int STRIDE> DEV void tri_inverse(float* A, int t, int bar) {
  {
    int b = (t >> 5) * 16, c = t & 15;
    float x[16];
    UNROLL for (int i = 0; i < 16; ++i) {
      float s = i == c ? 1.f : 0.f;
      UNROLL for (int j = 0; j < i; ++j) s += A[(b + i) * STRIDE + b + j] * x[j];
      x[i] = s;
    }
    __syncwarp();
    if ((t & 31) < 16) UNROLL for (int i = 0; i < 16; ++i) A[(b + i) * STRIDE + b + c] = x[i];
  }
  team_sync(bar);
  UNROLL for (int s = 16; s < 64; s *= 2) {
    // The block above the diagonal is free: it holds A21 T11 for a while.
    UNROLL for (int step = 0; step < 2; ++step) {
      for (int n = t; n < s * 8; n += 128) {
        int pair = n / (s * s / 4), i = n / (s / 4) % s, j = n % (s / 4) * 4, o = pair * 2 * s;
        float4 acc = make_float4(0.f, 0.f, 0.f, 0.f);
        const float* x = A + (o + s + i) * STRIDE + (step == 0 ? o : o + s);
        const float* y = step == 0 ? A + o * STRIDE + o + j : A + o * STRIDE + o + s + j;
        UNROLL for (int k = 0; k < s; ++k) {
          float4 v = *(const float4*)(y + k * STRIDE);
          float f = x[k];
          acc.x += f * v.x; acc.y += f * v.y; acc.z += f * v.z; acc.w += f * v.w;
        }
        float* to = step == 0 ? A + (o + i) * STRIDE + o + s + j : A + (o + s + i) * STRIDE + o + j;
        *(float4*)to = acc;
      }
      team_sync(bar);
    }
    for (int n = t; n < s * 8; n += 128) {
      int pair = n / (s * s / 4), i = n / (s / 4) % s, j = n % (s / 4) * 4, o = pair * 2 * s;
      *(float4*)(A + (o + i) * STRIDE + o + s + j) = make_float4(0.f, 0.f, 0.f, 0.f);
    }
    team_sync(bar);
  }
  // Blocks between the second and third quarter of the top right are zero since the last round wrote them.
}
