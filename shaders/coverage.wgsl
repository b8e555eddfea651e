// Mean of a mask [images, side, side] over patches: how much of each patch the subject covers. The
// lanes of a patch take its pixels in turn; info is images, side, patch and grid.
//# binding mask f32
//# binding covered f32
//# info

//# include shared/lanes.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    //# include shared/thread_inputs.wgsl
) {
    //# include shared/thread.wgsl
    let side = info[1];
    let extent = info[2];
    let grid = info[3];
    let count = info[0] * grid * grid;
    let lane = thread % LANES;
    let local = thread / LANES;
    let place = (group.y * groups.x + group.x) * ROWS + local;
    let own = min(place, count - 1u);
    let within = own % (grid * grid);
    let start = (own / (grid * grid)) * side * side
        + (within / grid) * extent * side
        + (within % grid) * extent;
    var x: array<f32, 1>;
    var sum = 0.0;
    for (var pixel = lane; pixel < extent * extent; pixel += LANES) {
        sum += mask[start + (pixel / extent) * side + pixel % extent];
    }
    x[0] = sum;
    //# include shared/sum_lanes.wgsl
    if (place < count && lane == 0u) {
        covered[place] = x[0] / f32(extent * extent);
    }
}
