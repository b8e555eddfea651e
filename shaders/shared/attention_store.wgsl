    // The row's mean of the values, and what its weights can be had from again: the scores' maximum and
    // the inverse of the exponentials' sum.
    if (row < tokens) {
        let inverse = 1.0 / weight;
        //# repeat i SLICE
        if (within_{{i}}) {
            mixed[outputs + row * part + at_{{i}}] = sum_{{i}} * inverse;
        }
        //# end
        if (lane == 0u) {
            //# if AT_ONCE
            walked[row] = vec2<f32>(top, inverse);
            //# end
            //# if SAVE
            let place = 2u * ((batch * heads + head) * tokens + row);
            stats[place] = top;
            stats[place + 1u] = inverse;
            //# end
        }
    }
