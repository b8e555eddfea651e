// gain * (x - mean) / sqrt(variance + epsilon) + bias along rows; info is rows and the row length in
// elements of the binding. Mean first, then the variance around it: one pass over squares would
// cancel where the mean is large. Mean and the inverse deviation are kept for the backward pass.
//# binding source {{TYPE}}
//# binding gain {{TYPE}}
//# binding bias {{TYPE}}
//# binding y {{TYPE}}
//# binding stats f32
//# info

//# include shared/lanes.wgsl

fn horizontal(value: {{TYPE}}) -> f32 {
    //# if VECTORS
    return dot(value, vec4<f32>(1.0));
    //# else
    return value;
    //# end
}

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    //# include shared/thread.wgsl
    let length = info[1];
    let lane = thread % LANES;
    let local = thread / LANES;
    let row = (group.y * groups.x + group.x) * ROWS + local;
    let start = min(row, info[0] - 1u) * length;
    let count = f32(length * {{WIDTH}}u);
    var added = {{TYPE}}();
    for (var i = lane; i < length; i += LANES) {
        added += source[start + i];
    }
    var x: array<f32, 1>;
    x[0] = horizontal(added);
    //# include shared/sum_lanes.wgsl
    let mean = x[0] / count;
    var squares = {{TYPE}}();
    for (var i = lane; i < length; i += LANES) {
        let away = source[start + i] - mean;
        squares += away * away;
    }
    x[0] = horizontal(squares);
    //# include shared/sum_lanes.wgsl
    let inverse = inverseSqrt(x[0] / count + {{EPSILON}});
    if (row < info[0]) {
        for (var i = lane; i < length; i += LANES) {
            y[start + i] = (source[start + i] - mean) * inverse * gain[i] + bias[i];
        }
        if (lane == 0u) {
            stats[2u * row] = mean;
            stats[2u * row + 1u] = inverse;
        }
    }
}
