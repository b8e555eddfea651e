    //# include shared/thread.wgsl
    // Which row this thread shares and where the vectors of its head lie; `own` is a row that is there.
    let tokens = info[1];
    let heads = info[2];
    let head = group.y;
    let batch = group.z;
    let lane = thread % LANES;
    let local = thread / LANES;
    //# if AT_ONCE
    let row = block + local;
    //# else
    let row = group.x * ROWS + local;
    //# end
    let own = min(row, tokens - 1u);
    let part = heads * VECTORS;
    let queries = batch * tokens * 3u * part + head * VECTORS;
    let keys = queries + part;
    let values = keys + part;
    let outputs = batch * tokens * part + head * VECTORS;
