// First half of PIL's resize: every pixel of a part of a picture's rows becomes a sum of neighbours in
// the row, rounded to 8 bits as PIL does. Outside the picture its outermost pixels repeat.
//
// The table holds start, place and number of the weights of each output column, then of each row, then
// all weights in fixed point. Info is output columns, rows, the part's left edge, its first row that
// is needed, both counted in the picture, and the picture's width, height and stride.
//# binding pixels u32
//# binding table i32
//# binding narrowed u32
//# info

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let columns = info[0];
    let place = (group.y * groups.x + group.x) * {{THREADS}}u + thread;
    if (place >= columns * info[1]) {
        return;
    }
    let entry = 3u * (place % columns);
    let first = bitcast<i32>(info[2]) + table[entry];
    let weights = u32(table[entry + 1u]);
    let count = u32(table[entry + 2u]);
    let row = bitcast<i32>(info[3]) + i32(place / columns);
    let line = u32(clamp(row, 0, i32(info[5]) - 1)) * info[6];
    let last = i32(info[4]) - 1;
    var sum = vec3<i32>({{HALF}});
    for (var tap = 0u; tap < count; tap++) {
        let rgba = pixels[line + u32(clamp(first + i32(tap), 0, last))];
        let levels = vec3<u32>(rgba, rgba >> 8u, rgba >> 16u) & vec3<u32>(255u);
        sum += vec3<i32>(levels) * table[weights + tap];
    }
    let level = vec3<u32>(clamp(sum >> vec3<u32>({{BITS}}u), vec3<i32>(0), vec3<i32>(255)));
    narrowed[place] = level.x | (level.y << 8u) | (level.z << 16u);
}
