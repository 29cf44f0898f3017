// Scalar functions. kExact (f32 io) asks for correctly rounded exponentials, otherwise the hardware's ex2 serves.
DEV float m_exp(float x) { return kExact ? expf(x) : __expf(x); }
DEV float m_log(float x) { return logf(x); }
DEV float m_sigmoid(float x) { return 1.f / (1.f + m_exp(-x)); }
DEV float m_softplus(float x) { return fmaxf(x, 0.f) + log1pf(m_exp(-fabsf(x))); }
DEV float m_log_sigmoid(float x) { return -m_softplus(-x); }
DEV float m_silu(float x) { return x * m_sigmoid(x); }
DEV float m_relu(float x) { return fmaxf(x, 0.f); }
DEV float m_gelu(float x) { return 0.5f * x * (1.f + erff(x * 0.70710678118654752f)); }
DEV float m_sign(float x) { return x > 0.f ? 1.f : x < 0.f ? -1.f : 0.f; }
