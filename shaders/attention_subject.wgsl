// SAAM's attention in one dispatch: a workgroup owns a head of one picture and walks twice over its
// rows, ROWS at a time. With the plain softmax S, the masked one U and the gate A,
//   (S o (1 - A)) V + (S o A) (U V) = S V + (S o A) (U V - V):
// the first walk gives S V and U V, the second adds what passes the gate. U V - V and S's statistics
// stay in workgroup memory; S V waits in `mixed`, where each thread reads what it wrote itself.
//
// With SAVE, U V - V and both softmaxes' statistics are stored too, for the backward pass.
//# binding qkv vec4<f32>
//# binding bias f32
//# binding gate f32
//# binding mixed vec4<f32>
//# if SAVE
//# binding detours vec4<f32>
//# binding masked_stats f32
//# binding stats f32
//# end
//# info

//# include shared/attention.wgsl

// U V - V, row by row, and the rows' statistics. All of a row that is there is stored before the
// barrier.
var<workgroup> kept: array<vec4<f32>, {{ROOM}}>;
var<workgroup> walked: array<vec2<f32>, {{TOKENS}}>;

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    for (var block = 0u; block <= info[1]; block += ROWS) {
        //# include shared/place.wgsl

        //# include shared/subject_streams.wgsl
    }
    workgroupBarrier();
    for (var block = 0u; block < info[1]; block += ROWS) {
        //# include shared/place.wgsl

        //# include shared/subject_detour.wgsl
    }
}
