// The upper word of a product of two.
fn rt_high(a: u32, b: u32) -> u32 {
  let a1 = a >> 16u;
  let a0 = a & 0xffffu;
  let b1 = b >> 16u;
  let b0 = b & 0xffffu;
  let middle = a1 * b0 + ((a0 * b0) >> 16u);
  let other = a0 * b1 + (middle & 0xffffu);
  return a1 * b1 + (middle >> 16u) + (other >> 16u);
}
// Word number % 4 of Philox 4x32 at (number / 4, place), as a number between 0 and 1; a key in halves of its two words.
fn rt_draw(halves: vec4<f32>, number: f32, place: vec3<f32>) -> f32 {
  let half = vec4<u32>(halves);
  var key = vec2<u32>(half.x | (half.y << 16u), half.z | (half.w << 16u));
  let element = u32(number);
  var x = vec4<u32>(element / 4u, vec3<u32>(place));
  for (var round = 0u; round < 10u; round++) {
    let high = vec2<u32>(rt_high(0xd2511f53u, x.x), rt_high(0xcd9e8d57u, x.z));
    let low = vec2<u32>(0xd2511f53u * x.x, 0xcd9e8d57u * x.z);
    x = vec4<u32>(high.y ^ x.y ^ key.x, low.y, high.x ^ x.w ^ key.y, low.x);
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return min((f32(x[element % 4u]) + 0.5) * 2.3283064365386963e-10, 0.99999994);
}
