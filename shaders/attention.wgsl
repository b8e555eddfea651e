// Masked attention, forward: softmax(scale Q K^T + mask) V with a running softmax over tiles of keys.
//
// With MIX the weights S of the softmax are split by the gate A over the values and over `through`,
// the masked stream's output U V: (S o (1 - A)) V + (S o A) (U V). Neither S nor A o S reaches memory.
// Each row's maximum and the inverse of its sum are kept for the backward pass.
//# binding qkv vec4<f32>
//# if BIASED
//# binding bias f32
//# end
//# if MIX
//# binding through vec4<f32>
//# binding gate f32
//# end
//# binding mixed vec4<f32>
//# binding stats f32
//# info

//# include shared/attention.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    //# include shared/place.wgsl

    //# include shared/attention_walk.wgsl

    if (row < tokens) {
        let inverse = 1.0 / weight;
        //# repeat i SLICE
        if (within_{{i}}) {
            mixed[outputs + row * part + at_{{i}}] = sum_{{i}} * inverse;
        }
        //# end
        if (lane == 0u) {
            let place = 2u * ((batch * heads + head) * tokens + row);
            stats[place] = top;
            stats[place + 1u] = inverse;
        }
    }
}
