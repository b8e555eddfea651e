// SAAM's attention in two dispatches, for more tokens than workgroup memory has room for: the first.
// Leaves S V in `mixed` and U V - V in `detours`, see attention_subject.wgsl.
//# binding qkv vec4<f32>
//# binding bias f32
//# binding mixed vec4<f32>
//# binding detours vec4<f32>
//# binding masked_stats f32
//# binding stats f32
//# info

//# include shared/attention.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    //# include shared/place.wgsl

    //# include shared/subject_streams.wgsl SAVE
}
