// Reads the state.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let heads = dims[0].y;
  let zero = dims[0].x >> 31u;
  let head = wid.y;
  let chunk = wid.x;
  let sequence = chunks[4u * chunk];
  let token = chunks[4u * chunk + 1u];
  let length = chunks[4u * chunk + 2u];
  let at_q = (token * heads + head) * 64u;
  let heads_64 = heads * 64u;
  let at_S = (sequence * heads + head) * 4096u;
  const near0 = 0u;
  // %0 [%row, K] = load q row
  for (var i = lid; i < 1024u + zero; i += 64u) {
    let i_K = i % 64u;
    let r = i / 64u;
    let v0_1 = select(0.0, p_q[at_q + r * heads_64 + i_K], r < length);
    near[near0 + r * 64u + i_K] = v0_1;
  }
  workgroupBarrier();
  // %1 [K, V] = load S
  // %2 [%row, V] = contract[K] %0, %1
  // %3 [] = 0.125
  // %4 [%row, V] = mul %2, %3
  // store o, %4
  for (var i = lid; i < 64u + zero; i += 64u) {
    let first_i_V = (i % 16u) * 4u;
    let first_r = (i / 16u) * 4u;
    var sum3 = vec4<f32>();
    var sum4 = vec4<f32>();
    var sum5 = vec4<f32>();
    var sum6 = vec4<f32>();
    for (var k2 = 0u; k2 < 64u + zero; k2++) {
      let b7 = vec4<f32>(p_S[at_S + k2 * 64u + first_i_V], p_S[at_S + k2 * 64u + first_i_V + 1u], p_S[at_S + k2 * 64u + first_i_V + 2u], p_S[at_S + k2 * 64u + first_i_V + 3u]);
      sum3 += near[near0 + first_r * 64u + k2] * b7;
      sum4 += near[near0 + first_r * 64u + k2 + 64u] * b7;
      sum5 += near[near0 + first_r * 64u + k2 + 128u] * b7;
      sum6 += near[near0 + first_r * 64u + k2 + 192u] * b7;
    }
    var m2 = array<vec4<f32>, 4>(sum3, sum4, sum5, sum6);
    for (var y = 0u; y < 4u + zero; y++) {
      let r = first_r + y;
      for (var x = 0u; x < 4u + zero; x++) {
        let i_V = first_i_V + x;
        if (r < length) { p_o[at_q + r * heads_64 + i_V] = (m2[y][x] * 0.125f); }
      }
    }
  }
}
