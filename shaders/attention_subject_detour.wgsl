// SAAM's attention in two dispatches: the second. Adds (S o A) (U V - V) to the S V in `mixed`, see
// attention_subject.wgsl.
//# binding qkv vec4<f32>
//# binding gate f32
//# binding mixed vec4<f32>
//# binding detours vec4<f32>
//# binding stats f32
//# info

//# include shared/attention.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    //# include shared/place.wgsl

    //# include shared/subject_detour.wgsl
}
