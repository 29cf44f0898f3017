// Element i of a tensor of 16-bit floats that lies in words of two, and the word of two elements.

fn rt_f16(word: u32, i: u32) -> f32 { return unpack2x16float(word)[i & 1u]; }
fn rt_bf16(word: u32, i: u32) -> f32 { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1u) == 1u)); }
fn rt_pack_f16(low: f32, high: f32) -> u32 { return pack2x16float(vec2<f32>(low, high)); }
// The nearest bf16, ties to even; NaN stays NaN.
fn rt_bf16_bits(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  return select(rounded, 0x7fc0u, (bits & 0x7fffffffu) > 0x7f800000u);
}
fn rt_round_bf16(x: f32) -> f32 { return bitcast<f32>(rt_bf16_bits(x) << 16u); }
// The digits of an f16, whatever the number's size.
fn rt_round_f16(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let rounded = (bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
  return bitcast<f32>(select(rounded, bits, (bits & 0x7f800000u) == 0x7f800000u));
}
fn rt_pack_bf16(low: f32, high: f32) -> u32 { return rt_bf16_bits(low) | (rt_bf16_bits(high) << 16u); }
