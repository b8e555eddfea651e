// act(x W + b) + residual without workgroup memory: a thread computes ROWS rows by QUADS times four
// columns in registers. Threads of a workgroup share their rows and take neighbouring columns, so
// one read of x serves all of them.
//
// Four steps of the depth make one statement: software drivers keep variables in memory, and so read
// and write each sum once where single steps would do so four times.
//# if NATIVE_HALF
enable f16;
//# end
//# include shared/linear.wgsl

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let depth = info[1];
    let column = (group.x * {{THREADS}}u + thread) * {{COLUMNS}}u;
    let row = group.y * {{ROWS}}u;
    //# repeat r ROWS
    let start_{{r}} = row_start(min(row + {{r}}u, info[0] - 1u));
    //# repeat c QUADS
    var sum_{{r}}_{{c}} = vec4<f32>();
    //# end
    //# end
    //# if WHOLE
    let stride = info[2] / 4u;
    //# repeat c QUADS
    let column_{{c}} = min(column / 4u + {{c}}u, stride - 1u);
    //# end
    //# end
    for (var k = 0u; k < depth; k += 4u) {
        //# if TRANSPOSED
        //# repeat r ROWS
        let x_{{r}} = load_x(start_{{r}}, k);
        //# end
        //# repeat c QUADS
        {
            //# repeat q 4
            let w_{{q}} = load_w(k, column + {{c}}u * 4u + {{q}}u);
            //# end
            //# repeat r ROWS
            sum_{{r}}_{{c}} += vec4<f32>(
                dot(x_{{r}}, w_0), dot(x_{{r}}, w_1), dot(x_{{r}}, w_2), dot(x_{{r}}, w_3),
            );
            //# end
        }
        //# end
        //# else
        //# repeat q 4
        //# repeat c QUADS
        //# if WHOLE
        let w_{{q}}_{{c}} = w[(k + {{q}}u) * stride + column_{{c}}];
        //# else
        let w_{{q}}_{{c}} = load_w(k + {{q}}u, column + {{c}}u * 4u);
        //# end
        //# end
        //# end
        //# repeat r ROWS
        {
            //# if WHOLE
            let x_r = x[(start_{{r}} + k) / 4u];
            //# else
            let x_r = load_x(start_{{r}}, k);
            //# end
            //# repeat c QUADS
            sum_{{r}}_{{c}} +=
                x_r.x * w_0_{{c}} + x_r.y * w_1_{{c}} + x_r.z * w_2_{{c}} + x_r.w * w_3_{{c}};
            //# end
        }
        //# end
        //# end
    }
    // One copy of what follows instead of one for every sum: those took a software driver seconds to
    // compile.
    var sums: array<vec4<f32>, {{SUMS}}>;
    //# repeat r ROWS
    //# repeat c QUADS
    sums[{{r}}u * {{QUADS}}u + {{c}}u] = sum_{{r}}_{{c}};
    //# end
    //# end
    for (var i = 0u; i < {{SUMS}}u; i++) {
        finish(row + i / {{QUADS}}u, column + (i % {{QUADS}}u) * 4u, sums[i]);
    }
}
