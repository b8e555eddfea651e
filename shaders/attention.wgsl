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
    @builtin(local_invocation_index) thread: u32,
) {
    //# include shared/place.wgsl

    //# repeat i SLICE
    let at_{{i}} = min(lane + {{i}}u * LANES, VECTORS - 1u);
    let within_{{i}} = lane + {{i}}u * LANES < VECTORS;
    let q_{{i}} = select(vec4<f32>(), qkv[queries + own * 3u * part + at_{{i}}] * SCALE, within_{{i}});
    var sum_{{i}} = vec4<f32>();
    //# end
    var top = -3e38;
    var weight = 0.0;

    //# if CAUSAL
    let end = min(tokens, (group.x + 1u) * ROWS);
    //# else
    let end = tokens;
    //# end
    for (var first = 0u; first < end; first += TILE) {
        var x: array<f32, {{VALUES}}>;
        //# repeat t TILE
        {
            let source = keys + min(first + {{t}}u, tokens - 1u) * 3u * part;
            var score = 0.0;
            //# repeat i SLICE
            score += dot(q_{{i}}, qkv[source + at_{{i}}]);
            //# end
            x[{{t}}] = score;
        }
        //# end
        //# include shared/sum_lanes.wgsl
        let before = top;
        //# repeat t TILE
        x[{{t}}] = masked(x[{{t}}], batch, own, min(first + {{t}}u, tokens - 1u), tokens);
        top = max(top, x[{{t}}]);
        //# end
        let fade = exp(before - top);
        weight *= fade;
        //# repeat i SLICE
        sum_{{i}} *= fade;
        //# end
        //# repeat t TILE
        {
            let key = min(first + {{t}}u, tokens - 1u);
            let p = select(0.0, exp(x[{{t}}] - top), first + {{t}}u < tokens);
            weight += p;
            let source = values + key * 3u * part;
            //# if MIX
            let past = p * opening(head, own, key, tokens);
            let straight = p - past;
            let detour = outputs + key * part;
            //# repeat i SLICE
            sum_{{i}} += straight * qkv[source + at_{{i}}] + past * through[detour + at_{{i}}];
            //# end
            //# else
            //# repeat i SLICE
            sum_{{i}} += p * qkv[source + at_{{i}}];
            //# end
            //# end
        }
        //# end
    }

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
