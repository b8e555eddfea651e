// SAAM's attention in one dispatch: a workgroup owns a head of one picture and walks twice over its
// rows, ROWS at a time. First come the weights U of the masked softmax and their values U V, which
// stay in workgroup memory; then the weights S, split by the gate A over the values and over U V:
// (S o (1 - A)) V + (S o A) (U V).
//
// With SAVE, U V and both softmaxes' statistics are stored too, for the backward pass.
//# binding qkv vec4<f32>
//# binding bias f32
//# binding gate f32
//# binding mixed vec4<f32>
//# if SAVE
//# binding through vec4<f32>
//# binding through_stats f32
//# binding stats f32
//# end
//# info

//# include shared/attention.wgsl

// U V, row by row. Every vector of a row that is there is stored before the barrier.
var<workgroup> detours: array<vec4<f32>, {{ROOM}}>;

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    for (var block = 0u; block < info[1]; block += ROWS) {
        //# include shared/place.wgsl

        //# include shared/attention_walk.wgsl

        if (row < tokens) {
            let inverse = 1.0 / weight;
            //# repeat i SLICE
            if (within_{{i}}) {
                let detour = sum_{{i}} * inverse;
                detours[row * VECTORS + at_{{i}}] = detour;
                //# if SAVE
                through[outputs + row * part + at_{{i}}] = detour;
                //# end
            }
            //# end
            //# if SAVE
            if (lane == 0u) {
                let place = 2u * ((batch * heads + head) * tokens + row);
                through_stats[place] = top;
                through_stats[place + 1u] = inverse;
            }
            //# end
        }
    }
    workgroupBarrier();
    for (var block = 0u; block < info[1]; block += ROWS) {
        //# include shared/place.wgsl

        //# include shared/attention_walk.wgsl MIX

        if (row < tokens) {
            let inverse = 1.0 / weight;
            //# repeat i SLICE
            if (within_{{i}}) {
                mixed[outputs + row * part + at_{{i}}] = sum_{{i}} * inverse;
            }
            //# end
            //# if SAVE
            if (lane == 0u) {
                let place = 2u * ((batch * heads + head) * tokens + row);
                stats[place] = top;
                stats[place + 1u] = inverse;
            }
            //# end
        }
    }
}
