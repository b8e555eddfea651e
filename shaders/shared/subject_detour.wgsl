    // SAAM's second walk: adds (S o A) (U V - V) to S V. S comes from its rows' statistics, so there is
    // no running maximum and nothing to fade.
    //# include shared/attention_row.wgsl KNOWN
    //# if AT_ONCE
    let top = walked[own].x;
    let inverse = walked[own].y;
    //# else
    let place = 2u * ((batch * heads + head) * tokens + own);
    let top = stats[place];
    let inverse = stats[place + 1u];
    //# end
    for (var first = 0u; first < tokens; first += TILE) {
        //# include shared/attention_scores.wgsl

        //# repeat t TILE
        {
            let key = min(first + {{t}}u, tokens - 1u);
            let p = select(0.0, exp(x[{{t}}] - top), first + {{t}}u < tokens);
            let past = p * opening(head, own, key, tokens);
            //# repeat i SLICE
            //# if AT_ONCE
            sum_{{i}} += past * kept[key * VECTORS + at_{{i}}];
            //# else
            sum_{{i}} += past * detours[outputs + key * part + at_{{i}}];
            //# end
            //# end
        }
        //# end
    }
    if (row < tokens) {
        //# repeat i SLICE
        if (within_{{i}}) {
            mixed[outputs + row * part + at_{{i}}] += sum_{{i}} * inverse;
        }
        //# end
    }
