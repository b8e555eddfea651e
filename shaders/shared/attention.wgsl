// What the attention kernels share: the joint projection qkv is [batch, tokens, 3, heads, width]
// and values are [batch, tokens, heads, width], both in vectors of four; info is batch, tokens and
// heads. A lane takes every LANES-th vector of a head, SLICE of them, so neighbours read neighbours.
const VECTORS: u32 = {{VECTORS}}u;
const SCALE: f32 = {{SCALE}};
const TILE: u32 = {{TILE}}u;

//# include shared/lanes.wgsl
//# include shared/mask.wgsl

//# if GATED
// A = sigma(a), how much of a weight goes through the subject's stream.
fn opening(head: u32, row: u32, key: u32, tokens: u32) -> f32 {
    return 1.0 / (1.0 + exp(-gate[(head * tokens + row) * tokens + key]));
}
//# end
