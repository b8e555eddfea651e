// Masked attention, backward: the gradient of SAAM's gate a, [heads, tokens, tokens]. It is a sum
// over the batch, so a thread owns one entry and walks over the batch: no atomics and no [batch,
// heads, tokens, tokens] in memory, for the price of computing the scores once more.
//# binding qkv vec4<f32>
//# binding detours vec4<f32>
//# binding gate f32
//# binding rows f32
//# binding grad vec4<f32>
//# binding grad_gate f32
//# info
const VECTORS: u32 = {{VECTORS}}u;
const SCALE: f32 = {{SCALE}};

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tokens = info[1];
    let heads = info[2];
    let key = group.x * {{THREADS}}u + thread;
    let row = group.y;
    let head = group.z;
    if (key >= tokens) {
        return;
    }
    let part = heads * VECTORS;
    var sum = 0.0;
    for (var batch = 0u; batch < info[0]; batch++) {
        let query_at = (batch * tokens + row) * 3u * part + head * VECTORS;
        let key_at = (batch * tokens + key) * 3u * part + part + head * VECTORS;
        let row_at = (batch * tokens + row) * part + head * VECTORS;
        let detour_at = (batch * tokens + key) * part + head * VECTORS;
        var score = 0.0;
        var gain = 0.0;
        for (var i = 0u; i < VECTORS; i++) {
            score += dot(qkv[query_at + i], qkv[key_at + i]);
            gain += dot(grad[row_at + i], detours[detour_at + i]);
        }
        let place = 3u * ((batch * heads + head) * tokens + row);
        sum += exp(score * SCALE - rows[place]) * rows[place + 1u] * gain;
    }
    let at = (head * tokens + row) * tokens + key;
    let open = 1.0 / (1.0 + exp(-gate[at]));
    grad_gate[at] = sum * open * (1.0 - open);
}
