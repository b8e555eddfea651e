        // A step of a running softmax: takes the keys with these scores into the scores' maximum `top`,
        // the exponentials' sum `weight` and the values' sums weighted by them.
        let before = top;
        //# repeat t TILE
        top = max(top, x[{{t}}]);
        //# end
        let fade = exp(before - top);
        weight *= fade;
        //# repeat i SLICE
        sum_{{i}} *= fade;
        //# end
        //# repeat t TILE
        {
            let p = select(0.0, exp(x[{{t}}] - top), first + {{t}}u < tokens);
            weight += p;
            let source = values + min(first + {{t}}u, tokens - 1u) * 3u * part;
            //# repeat i SLICE
            sum_{{i}} += p * qkv[source + at_{{i}}];
            //# end
        }
        //# end
