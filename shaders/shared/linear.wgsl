// What the matrix products share: bindings, guarded reads of both operands, and the epilogue
// act(x W + b) + residual. info is rows, depth and width, then for PATCHES channels, side, patch, grid.
//
// A quarter is a shift: drivers on the processor divide number by number, even by a constant.
//
// Reads beyond the depth give 0, so they change no sum; rows and columns beyond the output are read
// at the nearest valid place and never stored.
//# binding x {{X_TYPE}}
//# binding w {{W_TYPE}}
//# if BIAS
//# binding bias {{Y_TYPE}}
//# end
//# if RESIDUAL
//# binding residual {{Y_TYPE}}
//# end
//# binding y {{Y_TYPE}}
//# if SAVE
//# binding before {{Y_TYPE}}
//# end
//# info

//# include shared/activation.wgsl

//# if PATCHES
// Rows are patches of images [images, channels, side, side] in row order, the depth is channels,
// then pixel rows, then pixel columns: what an im2col buffer would hold, read in place.
fn row_start(row: u32) -> u32 {
    let side = info[4];
    let extent = info[5];
    let grid = info[6];
    let image = row / (grid * grid);
    let place = row % (grid * grid);
    return image * info[3] * side * side + (place / grid) * extent * side + (place % grid) * extent;
}

fn depth_offset(k: u32) -> u32 {
    let side = info[4];
    let extent = info[5];
    let pixel = k % (extent * extent);
    return (k / (extent * extent)) * side * side + (pixel / extent) * side + pixel % extent;
}
//# else
//# if X_COLUMNS
// x is stored by columns, [depth, rows].
fn row_start(row: u32) -> u32 {
    return row;
}

fn depth_offset(k: u32) -> u32 {
    return k * info[0];
}
//# else
fn row_start(row: u32) -> u32 {
    return row * info[1];
}

fn depth_offset(k: u32) -> u32 {
    return k;
}
//# end
//# end

//# if !ROW_VECTORS
// Four consecutive elements of a row of x.
fn load_x(start: u32, k: u32) -> vec4<f32> {
    let depth = info[1];
    //# if X_VECTORS
    let at = (start + depth_offset(min(k, depth - 4u))) >> 2u;
    return select(vec4<f32>(), x[at], k < depth);
    //# else
    var value = vec4<f32>();
    //# repeat q 4
    if (k + {{q}}u < depth) {
        value[{{q}}] = x[start + depth_offset(k + {{q}}u)];
    }
    //# end
    return value;
    //# end
}
//# end

//# if X_COLUMNS
// Four consecutive rows of one column of x; what lies beyond is any number.
fn load_rows(row: u32, k: u32) -> vec4<f32> {
    let rows = info[0];
    let start = min(k, info[1] - 1u) * rows;
    //# if ROW_VECTORS
    return select(vec4<f32>(), x[(start + min(row, rows - 4u)) >> 2u], k < info[1]);
    //# else
    var value = vec4<f32>();
    //# repeat q 4
    if (k < info[1]) {
        value[{{q}}] = x[start + min(row + {{q}}u, rows - 1u)];
    }
    //# end
    return value;
    //# end
}
//# end

//# if TRANSPOSED
// Four consecutive elements, along the depth, of one column of weights [width, depth].
fn load_w(k: u32, column: u32) -> vec4<f32> {
    let depth = info[1];
    let start = min(column, info[2] - 1u) * depth;
    //# if W_VECTORS
    return select(vec4<f32>(), w[(start + min(k, depth - 4u)) >> 2u], k < depth);
    //# else
    var value = vec4<f32>();
    //# repeat q 4
    if (k + {{q}}u < depth) {
        value[{{q}}] = w[start + k + {{q}}u];
    }
    //# end
    return value;
    //# end
}
//# else
// Four consecutive columns of one row of weights [depth, width].
fn load_w(k: u32, column: u32) -> vec4<f32> {
    let depth = info[1];
    let width = info[2];
    let row = min(k, depth - 1u);
    //# if W_HALF
    // Halves are stored in rows padded to four columns.
    let quads = (width + 3u) >> 2u;
    let stored = w[row * quads + min(column >> 2u, quads - 1u)];
    //# if NATIVE_HALF
    let value = vec4<f32>(stored);
    //# else
    let value = vec4<f32>(unpack2x16float(stored.x), unpack2x16float(stored.y));
    //# end
    return select(vec4<f32>(), value, k < depth);
    //# else
    //# if W_VECTORS
    return select(vec4<f32>(), w[(row * width + min(column, width - 4u)) >> 2u], k < depth);
    //# else
    var value = vec4<f32>();
    //# repeat q 4
    if (k < depth && column + {{q}}u < width) {
        value[{{q}}] = w[row * width + column + {{q}}u];
    }
    //# end
    return value;
    //# end
    //# end
}
//# end

// Finishes and stores four columns of one row.
fn finish(row: u32, column: u32, product: vec4<f32>) {
    let width = info[2];
    if (row >= info[0] || column >= width) {
        return;
    }
    //# if Y_VECTORS
    let at = (row * width + column) >> 2u;
    var value = product;
    //# if BIAS
    value += bias[column >> 2u];
    //# end
    //# if SAVE
    before[at] = value;
    //# end
    value = activation(value);
    //# if RESIDUAL
    value += residual[at];
    //# end
    y[at] = value;
    //# else
    let at = row * width + column;
    var sum = product;
    //# if BIAS
    //# repeat q 4
    sum[{{q}}] += bias[min(column + {{q}}u, width - 1u)];
    //# end
    //# end
    let value = activation(sum);
    //# repeat q 4
    if (column + {{q}}u < width) {
        //# if SAVE
        before[at + {{q}}u] = sum[{{q}}];
        //# end
        //# if RESIDUAL
        y[at + {{q}}u] = value[{{q}}] + residual[at + {{q}}u];
        //# else
        y[at + {{q}}u] = value[{{q}}];
        //# end
    }
    //# end
    //# end
}
