// Scalar functions in f32. WGSL leaves infinities open and promises few digits near zeros: none of these needs either. What is no number stays so.

fn m_max(x: f32, y: f32) -> f32 { return select(max(x, y), x + y, m_is_nan(x) || m_is_nan(y)); }
fn m_min(x: f32, y: f32) -> f32 { return select(min(x, y), x + y, m_is_nan(x) || m_is_nan(y)); }
fn m_at_least(x: f32, least: f32) -> f32 { return select(max(x, least), x, m_is_nan(x)); }
fn m_floor(x: f32) -> f32 { return select(floor(x), x, m_is_nan(x)); }
fn m_ceil(x: f32) -> f32 { return select(ceil(x), x, m_is_nan(x)); }
fn m_round(x: f32) -> f32 { return select(round(x), x, m_is_nan(x)); }
fn m_sign(x: f32) -> f32 { return select(sign(x), x, m_is_nan(x)); }
fn m_nan(x: f32) -> f32 { return select(0.0, 1.0, m_is_nan(x)); }
// Infinities times 0 would be no numbers where formulas go to 0, so exponentials end at the largest one.
fn m_exp(x: f32) -> f32 { return select(exp(min(x, 88.72)), x, m_is_nan(x)); }
// A cotangent times a slope: where one is 0, the other may be beyond all numbers.
fn m_chain(x: f32, y: f32) -> f32 { return select(x * y, 0.0, (x == 0.0 || y == 0.0) && !(m_is_nan(x) || m_is_nan(y))); }

// a h + x. Next to 1 what a takes away, less = a - 1, has more digits than a: the small terms come first.
fn m_decayed(h: f32, a: f32, less: f32, x: f32) -> f32 { return select(a * h + x, h + (less * h + x), less > -0.5); }

// What is no number may be anything where a driver says so.
fn m_log_far(x: f32) -> f32 { return select(log(x), m_no_number(x), x < 0.0 || m_is_nan(x)); }
fn m_log1p(x: f32) -> f32 {
  if (x < -0.5 || x > 1.0) { return m_log_far(1.0 + x); }
  // 2 atanh(s), |s| <= 1/3
  let s = x / (2.0 + x);
  let z = s * s;
  let p = 1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0 + z * (1.0 / 13.0))))));
  return 2.0 * s * p;
}
fn m_log(x: f32) -> f32 {
  if (x > 0.5 && x < 2.0) { return m_log1p(x - 1.0); }
  return m_log_far(x);
}
fn m_expm1(x: f32) -> f32 {
  if (abs(x) > 0.5) { return m_exp(x) - 1.0; }
  return x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x * (1.0 / 5040.0 + x * (1.0 / 40320.0))))))));
}
fn m_pow(x: f32, y: f32) -> f32 {
  if (x == 0.0) { return select(0.0, 1.0, y == 0.0); }
  if (x < 0.0 && fract(y) != 0.0) { return m_no_number(x); }
  let r = m_exp(y * m_log(abs(x)));
  return select(r, -r, x < 0.0 && fract(abs(y) * 0.5) != 0.0);
}
fn m_quarters(x: f32, quarters: f32) -> f32 {
  // sin(x + quarters pi / 2): pi / 2 in three parts, of which two have few digits, so that their multiples are exact
  let y = x * 0.63661977 + 0.5;
  let k = y - fract(y);
  let r = ((x - k * 1.5703125) - k * 4.837512969970703e-4) - k * 7.549789954891882e-8;
  let z = r * r;
  let s = r * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * (1.0 / 362880.0)))));
  let c = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0 + z * (-1.0 / 3628800.0)))));
  let q = fract((k + quarters) * 0.25);
  return select(1.0, -1.0, q >= 0.5) * select(s, c, q == 0.25 || q == 0.75);
}
fn m_sin(x: f32) -> f32 { return m_quarters(x, 0.0); }
fn m_cos(x: f32) -> f32 { return m_quarters(x, 1.0); }
fn m_sigmoid(x: f32) -> f32 {
  let e = m_exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}
fn m_softplus(x: f32) -> f32 { return max(x, 0.0) + m_log1p(m_exp(-abs(x))); }
fn m_log_sigmoid(x: f32) -> f32 { return min(x, 0.0) - m_log1p(m_exp(-abs(x))); }
fn m_tanh(x: f32) -> f32 {
  let e = m_expm1(-2.0 * abs(x));
  return -sign(x) * e / (2.0 + e);
}
fn m_silu(x: f32) -> f32 { return m_chain(x, m_sigmoid(x)); }
fn m_relu(x: f32) -> f32 { return m_max(x, 0.0); }
fn m_erf(x: f32) -> f32 {
  let a = abs(x);
  if (a < 1.0) {
    // Taylor: sum (-1)^n x^(2n+1) / (n! (2n+1)), times 2/sqrt(pi)
    let z = x * x;
    let p = 1.0 / 42.0 + z * (-1.0 / 216.0 + z * (1.0 / 1320.0 + z * (-1.0 / 9360.0 + z * (1.0 / 75600.0 + z * (-1.0 / 685440.0 + z * (1.0 / 6894720.0))))));
    return 1.1283791671 * x * (1.0 + z * (-1.0 / 3.0 + z * (0.1 - z * p)));
  }
  // Abramowitz and Stegun 7.1.26: 1.5e-7
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - p * exp(-a * a));
}
// 1 - erf(x), to 6e-8 of itself: e^(-x^2) t p(t), t = 1 / (1 + x/2), with the values of e^(x^2) erfc(x) / t at the nodes of Chebyshev's ninth polynomial for x up to 10
fn m_erfc(x: f32) -> f32 {
  let a = abs(x);
  let t = 1.0 / (1.0 + 0.5 * a);
  let s = 2.4 * t - 1.4;
  let high = 5.87326300e-4 + s * (1.98380996e-5 - s * 5.42491469e-5);
  let p = 0.572011976 + s * (0.326222252 + s * (0.102029600 + s * (5.96606174e-3 + s * (-6.15169429e-3 + s * (-6.31151734e-4 + s * high)))));
  let r = p * t * exp(-a * a);
  return select(r, 2.0 - r, x < 0.0);
}
fn m_normal_cdf(x: f32) -> f32 { return 0.5 * m_erfc(x * -0.70710678); }
fn m_gelu(x: f32) -> f32 { return m_chain(x, m_normal_cdf(x)); }
