// Masked attention, backward: the gradient of the queries. A thread owns a slice of a query row and
// walks over the keys; probabilities are recomputed from the row's statistics. With MIX the values are
// V + A (U V - V).
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
//# info

//# include shared/attention.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    //# include shared/place.wgsl

    let place = 3u * ((batch * heads + head) * tokens + own);
    let top = rows[place];
    let inverse = rows[place + 1u];
    let mean = rows[place + 2u];
    //# repeat i SLICE
    let at_{{i}} = min(lane + {{i}}u * LANES, VECTORS - 1u);
    let within_{{i}} = lane + {{i}}u * LANES < VECTORS;
    let q_{{i}} = select(vec4<f32>(), qkv[queries + own * 3u * part + at_{{i}}] * SCALE, within_{{i}});
    let g_{{i}} = select(vec4<f32>(), grad[outputs + own * part + at_{{i}}], within_{{i}});
    var sum_{{i}} = vec4<f32>();
    //# end

    //# if CAUSAL
    let end = min(tokens, (group.x + 1u) * ROWS);
    //# else
    let end = tokens;
    //# end
    for (var first = 0u; first < end; first += TILE) {
        var x: array<f32, {{VALUES}}>;
        //# repeat t TILE
        {
            let key = min(first + {{t}}u, tokens - 1u);
            let source = key * 3u * part;
            var score = 0.0;
            var slope = 0.0;
            //# repeat i SLICE
            score += dot(q_{{i}}, qkv[keys + source + at_{{i}}]);
            slope += dot(g_{{i}}, qkv[values + source + at_{{i}}]);
            //# end
            x[{{t}}] = score;
            x[{{TILE}} + {{t}}] = slope;
            //# if MIX
            var detour = 0.0;
            //# repeat i SLICE
            detour += dot(g_{{i}}, detours[outputs + key * part + at_{{i}}]);
            //# end
            x[2 * {{TILE}} + {{t}}] = detour;
            //# end
        }
        //# end
        //# include shared/sum_lanes.wgsl
        //# repeat t TILE
        {
            let key = min(first + {{t}}u, tokens - 1u);
            let score = masked(x[{{t}}], batch, own, key, tokens);
            let p = select(0.0, exp(score - top) * inverse, first + {{t}}u < tokens);
            //# if MIX
            let open = opening(head, own, key, tokens);
            let slope = x[{{TILE}} + {{t}}] + open * x[2 * {{TILE}} + {{t}}];
            //# else
            let slope = x[{{TILE}} + {{t}}];
            //# end
            let grad_score = p * (slope - mean);
            //# repeat i SLICE
            sum_{{i}} += grad_score * qkv[keys + key * 3u * part + at_{{i}}];
            //# end
        }
        //# end
    }

    if (row < tokens) {
        //# repeat i SLICE
        if (within_{{i}}) {
            grad_qkv[queries + row * 3u * part + at_{{i}}] = sum_{{i}} * SCALE;
        }
        //# end
    }
}
