    // A lane's vectors of its row's query, scaled, and where its sums start.
    //# repeat i SLICE
    let at_{{i}} = min(lane + {{i}}u * LANES, VECTORS - 1u);
    let within_{{i}} = lane + {{i}}u * LANES < VECTORS;
    let q_{{i}} = select(vec4<f32>(), qkv[queries + own * 3u * part + at_{{i}}] * SCALE, within_{{i}});
    var sum_{{i}} = vec4<f32>();
    //# end
    //# if !KNOWN
    var top = -3e38;
    var weight = 0.0;
    //# end
