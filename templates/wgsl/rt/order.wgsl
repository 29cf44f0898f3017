// Words in the order of numbers, 0 and -0 alike, and back.
fn rt_key(x: f32) -> u32 {
  let bits = bitcast<u32>(x + 0.0);
  return select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
}
fn rt_number(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, key > 0x7fffffffu)); }
