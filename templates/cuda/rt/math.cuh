// Scalar functions. kExact (f32 io) asks for correctly rounded exponentials and quotients, otherwise the hardware's serve.
// Infinities times 0 would be no numbers where formulas go to 0, so exponentials end at the largest one. What is no number stays so everywhere.
DEV float m_exp(float x) { return kExact ? expf(min_nan(x, 88.72f)) : quick_exp2(1.44269504f * min_nan(x, 88.72f)); }
DEV float m_expm1(float x) { return expm1f(min_nan(x, 88.72f)); }
// A cotangent times a slope: where one is 0, the other may be beyond all numbers.
DEV float m_chain(float x, float y) { const float p = x * y; return p != p && x == x && y == y ? 0.f : p; }
DEV float m_log(float x) { return logf(x); }
DEV float m_div(float x, float y) { return kExact ? x / y : quick_quotient(x, y); }
DEV float m_sigmoid(float x) {
  // 1 / infinity is 0.
  if (!kExact) return quick_inverse(1.f + quick_exp2(-1.44269504f * x));
  const float e = m_exp(-fabsf(x));
  return (x < 0.f ? e : 1.f) / (1.f + e);
}
// m_sigmoid(-x), of the numbers that m_sigmoid(x) is made of.
DEV float m_sigmoid_minus(float x) {
  if (kExact) return m_sigmoid(-x);
  const float e = quick_exp2(-1.44269504f * x), part = e * quick_inverse(1.f + e);
  return e > 1e37f ? 1.f : part;
}
// Of x m_sigmoid(x): near 1 what it lacks of that is small beside it.
DEV float m_silu_slope(float x) {
  const float s = m_sigmoid(x);
  return s * (1.f + (kExact ? m_chain(x, m_sigmoid(-x)) : min_nan(x, 3e38f) * (1.f - s)));
}
DEV float m_softplus(float x) { return fmaxf(x, 0.f) + log1pf(m_exp(-fabsf(x))); }
DEV float m_log_sigmoid(float x) { return -m_softplus(-x); }
// Of -infinity it is 0.
DEV float m_silu(float x) { return kExact ? m_chain(x, m_sigmoid(x)) : max_nan(x, -3e38f) * m_sigmoid(x); }
DEV float m_relu(float x) { return max_nan(x, 0.f); }
DEV float m_normal_cdf(float x) { return 0.5f * erfcf(x * -0.70710678118654752f); }
DEV float m_gelu(float x) { return m_chain(x, m_normal_cdf(x)); }
DEV float m_nan(float x) { return x != x ? 1.f : 0.f; }
DEV float m_sign(float x) { return x > 0.f ? 1.f : x < 0.f ? -1.f : x; }
// a h + x. Next to 1 what a takes away, less = a - 1, has more digits than a: the small terms come first.
DEV float decayed(float h, float a, float less, float x) { return less > -0.5f ? h + (less * h + x) : a * h + x; }
