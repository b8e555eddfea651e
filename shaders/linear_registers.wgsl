// act(x W + b) + residual without workgroup memory: a thread computes ROWS rows by QUADS times four
// columns in registers. Threads of a workgroup share their rows and take neighbouring columns, so
// one read of x serves all of them.
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
    for (var k = 0u; k < depth; k += 4u) {
        //# repeat r ROWS
        let x_{{r}} = load_x(start_{{r}}, k);
        //# end
        //# if TRANSPOSED
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
        {
            //# repeat c QUADS
            let w_{{c}} = load_w(k + {{q}}u, column + {{c}}u * 4u);
            //# end
            //# repeat r ROWS
            //# repeat c QUADS
            sum_{{r}}_{{c}} += x_{{r}}[{{q}}] * w_{{c}};
            //# end
            //# end
        }
        //# end
        //# end
    }
    //# repeat r ROWS
    //# repeat c QUADS
    finish(row + {{r}}u, column + {{c}}u * 4u, sum_{{r}}_{{c}});
    //# end
    //# end
}
