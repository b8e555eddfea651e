// Second half of PIL's resize: sums along the columns, rounded to 8 bits; then each level's value by the
// table, into the planes of a square frame. What the picture doesn't reach has the margin's value.
//
// Info is the frame's side, columns and rows of the picture in it, its left and top edge there, where
// the rows' entries begin in the table, where the levels' values do, and the margin's value; for a mask
// also where its columns from and to, row by row, begin.
//# binding narrowed u32
//# binding table i32
//# binding frame f32
//# if MASK
//# binding mask f32
//# end
//# info

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let side = info[0];
    let columns = info[1];
    let place = (group.y * groups.x + group.x) * {{THREADS}}u + thread;
    let plane = side * side;
    if (place >= plane) {
        return;
    }
    // Left of the picture and above it these wrap around and are too large as well.
    let column = place % side - info[3];
    let row = place / side - info[4];
    var value = vec3<f32>(bitcast<f32>(info[7]));
    if (column < columns && row < info[2]) {
        let entry = info[5] + 3u * row;
        let first = u32(table[entry]);
        let weights = u32(table[entry + 1u]);
        let count = u32(table[entry + 2u]);
        var sum = vec3<i32>({{HALF}});
        for (var tap = 0u; tap < count; tap++) {
            let rgb = narrowed[(first + tap) * columns + column];
            let levels = vec3<u32>(rgb, rgb >> 8u, rgb >> 16u) & vec3<u32>(255u);
            sum += vec3<i32>(levels) * table[weights + tap];
        }
        let level = info[6] + vec3<u32>(clamp(sum >> vec3<u32>({{BITS}}u), vec3<i32>(0), vec3<i32>(255)));
        value = bitcast<vec3<f32>>(vec3<i32>(table[level.x], table[level.y + 256u], table[level.z + 512u]));
    }
    frame[place] = value.x;
    frame[place + plane] = value.y;
    frame[place + 2u * plane] = value.z;
    //# if MASK
    let span = info[8] + 2u * (place / side);
    let x = i32(place % side);
    mask[place] = select(0.0, 1.0, x >= table[span] && x < table[span + 1u]);
    //# end
}
