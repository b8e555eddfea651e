// Masked attention, backward, first step: what the other steps need of a query row, three numbers:
// the scores' maximum, the inverse of the sum of exponentials, and the output's product with its
// gradient, which is the mean of the weights' gradients under the weights.
//# binding mixed vec4<f32>
//# binding grad vec4<f32>
//# binding stats f32
//# binding rows f32
//# info
const VECTORS: u32 = {{VECTORS}}u;

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tokens = info[1];
    let heads = info[2];
    let row = group.x * {{THREADS}}u + thread;
    if (row >= tokens) {
        return;
    }
    let at = ((group.z * tokens + row) * heads + group.y) * VECTORS;
    var product = 0.0;
    for (var i = 0u; i < VECTORS; i++) {
        product += dot(mixed[at + i], grad[at + i]);
    }
    let place = (group.z * heads + group.y) * tokens + row;
    rows[3u * place] = stats[2u * place];
    rows[3u * place + 1u] = stats[2u * place + 1u];
    rows[3u * place + 2u] = product;
}
