// Is it no number? The bits say so; a compiler may take it that comparisons never do.
fn m_is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
