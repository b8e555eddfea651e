// Masked attention, forward: softmax(scale Q K^T + mask) V with a running softmax over tiles of keys.
// Neither scores nor weights reach memory.
//# binding qkv vec4<f32>
//# if BIASED
//# binding bias f32
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

    //# include shared/attention_row.wgsl

    //# if CAUSAL
    let end = min(tokens, (group.x + 1u) * ROWS);
    //# else
    let end = tokens;
    //# end
    for (var first = 0u; first < end; first += TILE) {
        //# include shared/attention_scores.wgsl

        //# include shared/attention_masked.wgsl

        //# include shared/attention_step.wgsl
    }

    //# include shared/attention_store.wgsl SAVE
}
