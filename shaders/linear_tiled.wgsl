// act(x W + b) + residual with tiles in workgroup memory: TILE_ROWS rows of x and TILE_COLUMNS
// columns of W, TILE_DEPTH deep, and four rows by QUADS times four columns a thread in registers.
//
// Both tiles lie depth first, so that a thread reads its rows and its columns as whole vectors.
//# if NATIVE_HALF
enable f16;
//# end
//# include shared/linear.wgsl

const TILE_ROWS: u32 = {{TILE_ROWS}}u;
const TILE_COLUMNS: u32 = {{TILE_COLUMNS}}u;
const TILE_DEPTH: u32 = {{TILE_DEPTH}}u;
const THREADS: u32 = {{THREADS}}u;
const ROW_QUADS: u32 = TILE_ROWS / 4u;
const COLUMN_QUADS: u32 = TILE_COLUMNS / 4u;
// Every element of both is stored before the barrier in front of its reads.
var<workgroup> tile_x: array<vec4<f32>, {{TILE_X}}>;
var<workgroup> tile_w: array<vec4<f32>, {{TILE_W}}>;

@compute @workgroup_size({{THREADS}}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let depth = info[1];
    let first_column = group.x * TILE_COLUMNS;
    let first_row = group.y * TILE_ROWS;
    let across = TILE_COLUMNS / {{COLUMNS}}u;
    let quad = (thread % across) * {{QUADS}}u;
    let row_quad = thread / across;
    //# repeat r 4
    //# repeat c QUADS
    var sum_{{r}}_{{c}} = vec4<f32>();
    //# end
    //# end

    for (var first = 0u; first < depth; first += TILE_DEPTH) {
        //# if X_COLUMNS
        for (var i = thread; i < ROW_QUADS * TILE_DEPTH; i += THREADS) {
            let rows = i % ROW_QUADS;
            tile_x[i] = load_rows(first_row + rows * 4u, first + i / ROW_QUADS);
        }
        //# else
        // Four rows by four of the depth at a time, turned round in registers.
        for (var i = thread; i < ROW_QUADS * (TILE_DEPTH / 4u); i += THREADS) {
            let k = (i % (TILE_DEPTH / 4u)) * 4u;
            let rows = i / (TILE_DEPTH / 4u);
            //# repeat r 4
            let x_{{r}} = load_x(
                row_start(min(first_row + rows * 4u + {{r}}u, info[0] - 1u)),
                first + k,
            );
            //# end
            //# repeat q 4
            tile_x[(k + {{q}}u) * ROW_QUADS + rows] =
                vec4<f32>(x_0[{{q}}], x_1[{{q}}], x_2[{{q}}], x_3[{{q}}]);
            //# end
        }
        //# end
        //# if TRANSPOSED
        for (var i = thread; i < COLUMN_QUADS * (TILE_DEPTH / 4u); i += THREADS) {
            let k = (i % (TILE_DEPTH / 4u)) * 4u;
            let columns = i / (TILE_DEPTH / 4u);
            //# repeat r 4
            let w_{{r}} = load_w(first + k, first_column + columns * 4u + {{r}}u);
            //# end
            //# repeat q 4
            tile_w[(k + {{q}}u) * COLUMN_QUADS + columns] =
                vec4<f32>(w_0[{{q}}], w_1[{{q}}], w_2[{{q}}], w_3[{{q}}]);
            //# end
        }
        //# else
        for (var i = thread; i < COLUMN_QUADS * TILE_DEPTH; i += THREADS) {
            let columns = i % COLUMN_QUADS;
            tile_w[i] = load_w(first + i / COLUMN_QUADS, first_column + columns * 4u);
        }
        //# end
        workgroupBarrier();
        for (var k = 0u; k < TILE_DEPTH; k++) {
            let rows = tile_x[k * ROW_QUADS + row_quad];
            //# repeat c QUADS
            let w_{{c}} = tile_w[k * COLUMN_QUADS + quad + {{c}}u];
            //# end
            //# repeat r 4
            //# repeat c QUADS
            sum_{{r}}_{{c}} += rows[{{r}}] * w_{{c}};
            //# end
            //# end
        }
        workgroupBarrier();
    }
    //# repeat r 4
    //# repeat c QUADS
    finish(
        first_row + row_quad * 4u + {{r}}u,
        first_column + (quad + {{c}}u) * 4u,
        sum_{{r}}_{{c}},
    );
    //# end
    //# end
}
