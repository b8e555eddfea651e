    // One row's way over all keys: a running softmax of its scores, and the sum of the values (with MIX
    // of values and `through`, split by the gate, and without a mask) weighted by it. Leaves the sums
    // sum_0, sum_1 and so on, the scores' maximum `top` and the exponentials' sum `weight`.
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
        //# if !MIX
        x[{{t}}] = masked(x[{{t}}], batch, own, min(first + {{t}}u, tokens - 1u), tokens);
        //# end
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
            //# repeat i SLICE
            //# if AT_ONCE
            let detour_{{i}} = detours[key * VECTORS + at_{{i}}];
            //# else
            let detour_{{i}} = through[outputs + key * part + at_{{i}}];
            //# end
            sum_{{i}} += straight * qkv[source + at_{{i}}] + past * detour_{{i}};
            //# end
            //# else
            //# repeat i SLICE
            sum_{{i}} += p * qkv[source + at_{{i}}];
            //# end
            //# end
        }
        //# end
    }
