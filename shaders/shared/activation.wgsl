//# if GELU
// exp(x*x) erfc(x) for x >= 0 is a polynomial in 1 / (1 + px): Abramowitz and Stegun, 7.1.26, whose
// error is below 1.5e-7. Written by erfc, the left tail keeps its relative precision.
fn activation(x: vec4<f32>) -> vec4<f32> {
    // Beyond 64 the tail is 0 and its product with an infinite x would not be.
    let size = min(abs(x), vec4<f32>(64.0));
    let z = size * 0.70710678118654752;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    var tail = 1.061405429 * t - 1.453152027;
    tail = tail * t + 1.421413741;
    tail = tail * t - 0.284496736;
    tail = tail * t + 0.254829592;
    return max(x, vec4<f32>()) - 0.5 * size * tail * t * exp(-z * z);
}
//# end
//# if QUICK_GELU
fn activation(x: vec4<f32>) -> vec4<f32> {
    return x / (1.0 + exp(-1.702 * x));
}
//# end
//# if LINEAR
fn activation(x: vec4<f32>) -> vec4<f32> {
    return x;
}
//# end
