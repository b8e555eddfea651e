// act(x W + b) + residual for drivers on the processor: a thread computes ROWS rows by QUADS times
// four columns, its sums in memory.
//
// SwiftShader turns a read of a buffer into four guarded reads of a number, some sixty instructions,
// even where its threads read the same place, and registers go to whatever is used most, not to what
// is needed next. So loops copy x and the weights into arrays of the thread's own, once for all
// products, and the products are one long block that finds every operand and every sum in such an
// array, at a place that is known when it is compiled.
//# if NATIVE_HALF
enable f16;
//# end
//# include shared/linear.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // Browsers put an array's length in front of every access, and the software driver divides for it.
    // With a length taken here, which changes nothing, they are the same value and found once.
    let steps = min(info[1] >> 2u, min(arrayLength(&x), arrayLength(&w)));
    let pitch = info[1] >> 2u;
    let width = info[2];
    let quad = (group.x * {{THREADS}}u + thread) * {{QUADS}}u;
    let row = group.y * {{ROWS}}u;
    let last = info[0] - 1u;
    var sums: array<vec4<f32>, {{SUMS}}>;
    var x_rows: array<vec4<f32>, {{ROWS}}>;
    // Four rows of weights, or where they are transposed, four columns for each of QUADS.
    var w_held: array<vec4<f32>, {{HELD}}>;
    //# if PATCHES
    var starts: array<u32, {{ROWS}}>;
    for (var r = 0u; r < {{ROWS}}u; r++) {
        starts[r] = row_start(min(row + r, last));
    }
    //# end
    for (var step = 0u; step < steps; step++) {
        // The smallest bodies are the fastest: processors keep them decoded.
        //# if PATCHES
        let offset = depth_offset(step * 4u);
        //# end
        for (var r = 0u; r < {{ROWS}}u; r++) {
            //# if PATCHES
            x_rows[r] = x[(starts[r] + offset) >> 2u];
            //# else
            x_rows[r] = x[min(row + r, last) * pitch + step];
            //# end
        }
        //# if TRANSPOSED
        for (var c = 0u; c < {{HELD}}u; c++) {
            w_held[c] = w[min(quad * 4u + c, width - 1u) * pitch + step];
        }
        //# else
        let stride = width >> 2u;
        for (var q = 0u; q < 4u; q++) {
            let start = (step * 4u + q) * stride;
            for (var c = 0u; c < {{QUADS}}u; c++) {
                let stored = w[start + min(quad + c, stride - 1u)];
                //# if W_HALF
                //# if NATIVE_HALF
                w_held[q * {{QUADS}}u + c] = vec4<f32>(stored);
                //# else
                w_held[q * {{QUADS}}u + c] =
                    vec4<f32>(unpack2x16float(stored.x), unpack2x16float(stored.y));
                //# end
                //# else
                w_held[q * {{QUADS}}u + c] = stored;
                //# end
            }
        }
        //# end
        //# repeat r ROWS
        {
            let x_r = x_rows[{{r}}];
            //# repeat c QUADS
            //# if TRANSPOSED
            //# repeat q 4
            sums[{{r}}u * {{QUADS}}u + {{c}}u][{{q}}] += dot(x_r, w_held[{{c}}u * 4u + {{q}}u]);
            //# end
            //# else
            sums[{{r}}u * {{QUADS}}u + {{c}}u] = sums[{{r}}u * {{QUADS}}u + {{c}}u]
                //# repeat q 4
                + w_held[{{q}}u * {{QUADS}}u + {{c}}u] * x_r[{{q}}]
                //# end
                ;
            //# end
            //# end
        }
        //# end
    }
    for (var r = 0u; r < {{ROWS}}u; r++) {
        for (var c = 0u; c < {{QUADS}}u; c++) {
            finish(row + r, (quad + c) * 4u, sums[r * {{QUADS}}u + c]);
        }
    }
}
