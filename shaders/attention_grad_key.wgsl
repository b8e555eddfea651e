// Masked attention, backward: the gradients of keys and values, and with MIX of `detours`,
// U V - V. A thread owns a slice of a key row and walks over the queries.
//# binding qkv vec4<f32>
//# if BIASED
//# binding bias f32
//# end
//# if MIX
//# binding detours vec4<f32>
//# binding gate f32
//# end
//# binding rows f32
//# binding grad vec4<f32>
//# binding grad_qkv vec4<f32>
//# if MIX
//# binding grad_detours vec4<f32>
//# end
//# info

//# include shared/attention.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    //# include shared/place.wgsl
    let key = row;

    //# repeat i SLICE
    let at_{{i}} = min(lane + {{i}}u * LANES, VECTORS - 1u);
    let within_{{i}} = lane + {{i}}u * LANES < VECTORS;
    let k_{{i}} = select(vec4<f32>(), qkv[keys + own * 3u * part + at_{{i}}] * SCALE, within_{{i}});
    let v_{{i}} = select(vec4<f32>(), qkv[values + own * 3u * part + at_{{i}}], within_{{i}});
    var grad_key_{{i}} = vec4<f32>();
    var grad_value_{{i}} = vec4<f32>();
    //# if MIX
    let u_{{i}} = select(vec4<f32>(), detours[outputs + own * part + at_{{i}}], within_{{i}});
    var grad_detour_{{i}} = vec4<f32>();
    //# end
    //# end

    //# if CAUSAL
    let start = group.x * ROWS;
    //# else
    let start = 0u;
    //# end
    for (var first = start; first < tokens; first += TILE) {
        var x: array<f32, {{VALUES}}>;
        //# repeat t TILE
        {
            let row = min(first + {{t}}u, tokens - 1u);
            var score = 0.0;
            var slope = 0.0;
            //# repeat i SLICE
            score += dot(k_{{i}}, qkv[queries + row * 3u * part + at_{{i}}]);
            slope += dot(v_{{i}}, grad[outputs + row * part + at_{{i}}]);
            //# end
            x[{{t}}] = score;
            x[{{TILE}} + {{t}}] = slope;
            //# if MIX
            var detour = 0.0;
            //# repeat i SLICE
            detour += dot(u_{{i}}, grad[outputs + row * part + at_{{i}}]);
            //# end
            x[2 * {{TILE}} + {{t}}] = detour;
            //# end
        }
        //# end
        //# include shared/sum_lanes.wgsl
        //# repeat t TILE
        {
            let row = min(first + {{t}}u, tokens - 1u);
            let place = 3u * ((batch * heads + head) * tokens + row);
            let score = masked(x[{{t}}], batch, row, own, tokens);
            let p = select(
                0.0,
                exp(score - rows[place]) * rows[place + 1u],
                first + {{t}}u < tokens,
            );
            //# if MIX
            let open = opening(head, row, own, tokens);
            let slope = x[{{TILE}} + {{t}}] + open * x[2 * {{TILE}} + {{t}}];
            let past = p * open;
            let straight = p - past;
            //# else
            let slope = x[{{TILE}} + {{t}}];
            let straight = p;
            //# end
            let grad_score = p * (slope - rows[place + 2u]);
            //# repeat i SLICE
            let seen_{{i}} = grad[outputs + row * part + at_{{i}}];
            grad_key_{{i}} += grad_score * qkv[queries + row * 3u * part + at_{{i}}];
            grad_value_{{i}} += straight * seen_{{i}};
            //# if MIX
            grad_detour_{{i}} += past * seen_{{i}};
            //# end
            //# end
        }
        //# end
    }

    if (key < tokens) {
        //# repeat i SLICE
        if (within_{{i}}) {
            grad_qkv[keys + key * 3u * part + at_{{i}}] = grad_key_{{i}} * SCALE;
            grad_qkv[values + key * 3u * part + at_{{i}}] = grad_value_{{i}};
            //# if MIX
            grad_detours[outputs + key * part + at_{{i}}] = grad_detour_{{i}};
            //# end
        }
        //# end
    }
}
