        // The row's scores with TILE keys from `first` on, no mask in force; keys beyond the end are the
        // last one.
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
