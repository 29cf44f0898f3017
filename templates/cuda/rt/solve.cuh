// Running sum down one column of a 64-row array; result may be the argument. Sixteen rows are read at a time, since no read may pass a write.
template <bool EXCLUSIVE, bool REVERSE> DEV void col_cumsum(float* out, const float* in, int stride, bool exists) {
  float acc = 0.f;
  UNROLL for (int s = 0; s < 64; s += 16) {
    float x[16];
    // Padding is 0, whatever lies there.
    UNROLL for (int i = 0; i < 16; ++i) x[i] = exists ? in[(REVERSE ? 63 - s - i : s + i) * stride] : 0.f;
    UNROLL for (int i = 0; i < 16; ++i) {
      const int r = REVERSE ? 63 - s - i : s + i;
      if (!REVERSE) x[i] = log_decay(x[i]);
      if (EXCLUSIVE) out[r * stride] = acc;
      acc += x[i];
      if (!EXCLUSIVE) out[r * stride] = acc;
    }
  }
}

// D (16 x 8N) += X (16 x 8) Y (8 x 8N), arrays of floats; FINE: operands in two parts, which leave nothing of a float out.
template <int STRIDE, bool FINE, int N = 1> DEV void step_tf32(float* d, const float* x, const float* y) {
  int r = lane_id() >> 2, c = lane_id() & 3;
  const float xs[4] = {x[r * STRIDE + c], x[(r + 8) * STRIDE + c], x[r * STRIDE + c + 4], x[(r + 8) * STRIDE + c + 4]};
  u32 a[4], rest[4];
  UNROLL for (int i = 0; i < 4; ++i) a[i] = tf32(xs[i]);
  if (FINE) UNROLL for (int i = 0; i < 4; ++i) rest[i] = tf32(xs[i] - __uint_as_float(a[i]));
  UNROLL for (int n = 0; n < N; ++n) {
    const float ys[2] = {y[c * STRIDE + r + n * 8], y[(c + 4) * STRIDE + r + n * 8]};
    u32 b[2];
    UNROLL for (int i = 0; i < 2; ++i) b[i] = tf32(ys[i]);
    mma1688(d + n * 4, a, b[0], b[1]);
    if (FINE) {
      mma1688(d + n * 4, rest, b[0], b[1]);
      UNROLL for (int i = 0; i < 2; ++i) b[i] = tf32(ys[i] - __uint_as_float(b[i]));
      mma1688(d + n * 4, a, b[0], b[1]);
    }
  }
}
// D (16 x 8) += X (16 x 8k) Y (8k x 8)
template <int K8, int STRIDE, bool FINE> DEV void mma_tf32(float* d, const float* x, const float* y) {
  UNROLL for (int k = 0; k < K8; ++k) step_tf32<STRIDE, FINE>(d, x + k * 8, y + k * 8 * STRIDE);
}
template <int STRIDE> DEV void put_16x8(float* to, const float* d) {
  int r = lane_id() >> 2, c = (lane_id() & 3) * 2;
  *(float2*)(to + r * STRIDE + c) = make_float2(d[0], d[1]);
  *(float2*)(to + (r + 8) * STRIDE + c) = make_float2(d[2], d[3]);
}

// (I - A)^-1 in place; A strictly lower, 64 x 64 floats. Diagonal blocks of 16 by substitution in f32 (docs/algorithms.md: solves; powers of A in less
// precision cancel), then T21 = T22 A21 T11 for blocks of 16 and 32. Every warp owns columns; the block above the diagonal holds A21 T11 meanwhile.
template <int STRIDE, bool FINE = false> DEV void tri_inverse(float* A, int t, int bar) {
  const int w = t >> 5;
  {
    float *block = A + (w * 16) * STRIDE + w * 16, x[16];
    const int c = t & 15;
    UNROLL for (int i = 0; i < 16; ++i) {
      float s = i == c ? 1.f : 0.f;
      UNROLL for (int j = 0; j < i; j += 4) {
        float4 a = *(const float4*)(block + i * STRIDE + j);
        s += a.x * x[j];
        if (j + 1 < i) s += a.y * x[j + 1];
        if (j + 2 < i) s += a.z * x[j + 2];
        if (j + 3 < i) s += a.w * x[j + 3];
      }
      x[i] = s;
    }
    __syncwarp();
    if ((t & 31) < 16) UNROLL for (int i = 0; i < 16; ++i) block[i * STRIDE + c] = x[i];
  }
  bar_sync(bar, 128);
  {
    const int o = (w >> 1) * 32, n = (w & 1) * 8;
    float *above = A + o * STRIDE + o + 16 + n, *below = A + (o + 16) * STRIDE + o + n;
    float u[4] = {0.f, 0.f, 0.f, 0.f}, v[4] = {0.f, 0.f, 0.f, 0.f};
    mma_tf32<2, STRIDE, FINE>(u, A + (o + 16) * STRIDE + o, A + o * STRIDE + o + n);
    put_16x8<STRIDE>(above, u);
    bar_sync(bar, 128);
    mma_tf32<2, STRIDE, FINE>(v, A + (o + 16) * STRIDE + o + 16, above);
    put_16x8<STRIDE>(below, v);
    __syncwarp();
    UNROLL for (int i = 0; i < 4; ++i) u[i] = 0.f;
    put_16x8<STRIDE>(above, u);
  }
  bar_sync(bar, 128);
  {
    const int n = w * 8;
    float *above = A + 32 + n, *below = A + 32 * STRIDE + n;
    float u[2][4], v[2][4];
    UNROLL for (int m = 0; m < 2; ++m) {
      UNROLL for (int i = 0; i < 4; ++i) u[m][i] = v[m][i] = 0.f;
      mma_tf32<4, STRIDE, FINE>(u[m], A + (32 + m * 16) * STRIDE, A + n);
      put_16x8<STRIDE>(above + m * 16 * STRIDE, u[m]);
    }
    bar_sync(bar, 128);
    UNROLL for (int m = 0; m < 2; ++m) {
      mma_tf32<4, STRIDE, FINE>(v[m], A + (32 + m * 16) * STRIDE + 32, above);
      put_16x8<STRIDE>(below + m * 16 * STRIDE, v[m]);
    }
    __syncwarp();
    UNROLL for (int i = 0; i < 4; ++i) u[0][i] = 0.f;
    UNROLL for (int m = 0; m < 2; ++m) put_16x8<STRIDE>(above + m * 16 * STRIDE, u[0]);
  }
  bar_sync(bar, 128);
}

// 64 x 64 product of arrays; every warp makes 16 rows. A loop: a scan of three erases has 24 of these in one kernel, 800 KB of code without it.
template <int STRIDE, bool FINE = false> DEV void compose_tf32(float* out, const float* a, const float* b, int t) {
  const int row = (t >> 5) * 16;
  float d[8][4];
  UNROLL for (int n = 0; n < 8; ++n) UNROLL for (int i = 0; i < 4; ++i) d[n][i] = 0.f;
#pragma unroll 1
  for (int k = 0; k < 64; k += 8) step_tf32<STRIDE, FINE, 8>(d[0], a + row * STRIDE + k, b + k * STRIDE);
  UNROLL for (int n = 0; n < 8; ++n) put_16x8<STRIDE>(out + row * STRIDE + n * 8, d[n]);
}
