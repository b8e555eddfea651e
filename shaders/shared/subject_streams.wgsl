    // SAAM's first walk: S V of the plain softmax, and U V - V of the masked one, from the same scores.
    //
    // U's rows are S's but for the human token's key, which patches outside of the subject don't see.
    // That key is the last one, so only the last step is taken twice. The human token's own row has
    // other keys masked as well: it is walked once more, as row `tokens`.
    //# include shared/attention_row.wgsl
    let last = (tokens - 1u) / TILE * TILE;
    for (var first = 0u; first < last; first += TILE) {
        //# include shared/attention_scores.wgsl

        if (row == tokens) {
            //# include shared/attention_masked.wgsl
        }
        //# include shared/attention_step.wgsl
    }
    // The last step stands behind the loop, not in it: drivers on the processor skip no branch.
    let first = last;
    //# include shared/attention_scores.wgsl
    {
        // With U's mask, on copies of what S goes on with.
        var x = x;
        var top = top;
        var weight = weight;
        //# repeat i SLICE
        var sum_{{i}} = sum_{{i}};
        //# end
        //# include shared/attention_masked.wgsl

        //# include shared/attention_step.wgsl

        if (row <= tokens && row != tokens - 1u) {
            let inverse = 1.0 / weight;
            //# repeat i SLICE
            if (within_{{i}}) {
                let straight = qkv[values + own * 3u * part + at_{{i}}];
                let detour = sum_{{i}} * inverse - straight;
                //# if AT_ONCE
                kept[own * VECTORS + at_{{i}}] = detour;
                //# end
                //# if SAVE
                detours[outputs + own * part + at_{{i}}] = detour;
                //# end
            }
            //# end
            //# if SAVE
            if (lane == 0u) {
                let place = 2u * ((batch * heads + head) * tokens + own);
                masked_stats[place] = top;
                masked_stats[place + 1u] = inverse;
            }
            //# end
        }
    }
    //# include shared/attention_step.wgsl

    //# include shared/attention_store.wgsl
