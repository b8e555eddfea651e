//! Functions of whole vectors. Errors below are in roundings, u = 2⁻²⁴.

use pulp::Simd;

use crate::Activation;

/// Adding it leaves the nearest whole number in the lowest bits of the sum.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts; products of the first with whole numbers below 2⁹ are exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// The exponential of numbers up to 88; those below −86 count as −86, whose exponential is below
/// 5·10⁻³⁸.
///
/// `eˣ = 2ⁿ eʳ` with `|r| ≤ ln 2 / 2`. The series of `eʳ` to the seventh power leaves `r⁸/8!`, below
/// 0.1 u; r is wrong by at most u/2, and Horner's scheme adds less than 2 u because the leading 1
/// outweighs what comes before it. Together below 3 u of the result.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.max_f32s(x, simd.splat_f32s(-86.0));
    let rounder = simd.splat_f32s(ROUNDER);
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), rounder);
    let whole = simd.sub_f32s(shifted, rounder);
    let r = simd.mul_add_e_f32s(whole, simd.splat_f32s(-LN_2_HIGH), x);
    let r = simd.mul_add_e_f32s(whole, simd.splat_f32s(-LN_2_LOW), r);
    let series = [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
        1.0,
        1.0,
    ];
    let mut sum = simd.splat_f32s(1.0 / 5040.0);
    for coefficient in series {
        sum = simd.mul_add_e_f32s(sum, r, simd.splat_f32s(coefficient));
    }
    // The bits of a float's exponent begin at the 23rd; what the rounder left above is shifted out.
    let power = simd.transmute_u32s_f32s(shifted);
    let power = simd.wrapping_dyn_shl_u32s(power, simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(sum), power))
}

/// `Φ(x)`, wrong by at most 6 u, and `exp(−x²/2)`, wrong by below 4 u (and x² u) of the result.
///
/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: with `t = 1 / (1 + p z)`,
/// `erfc(z) = (a₁ t + … + a₅ t⁵) exp(−z²)` to 1.5·10⁻⁷, hence `Φ(−√2 z) = erfc(z) / 2` to 1.3 u.
/// Rounding: the terms' absolute sum is 4.5 times their sum where t is near 1 and each is wrong by a
/// few u, half of which counts; it is at most 5 u of Φ's half. What lies right of 0 is
/// `1 − Φ(−x)`, with one rounding more.
#[inline(always)]
fn normal<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let one = simd.splat_f32s(1.0);
    let z = simd.mul_f32s(
        simd.abs_f32s(x),
        simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2),
    );
    // Beyond it the exponential is 0 in effect; keeps infinity out of the sums.
    let z = simd.min_f32s(z, simd.splat_f32s(10.0));
    let t = simd.mul_add_e_f32s(z, simd.splat_f32s(0.327_591_1), one);
    let t = simd.div_f32s(one, t);
    let mut sum = simd.splat_f32s(0.5 * 1.061_405_4);
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        sum = simd.mul_add_e_f32s(sum, t, simd.splat_f32s(0.5 * coefficient));
    }
    let fall = exp(simd, simd.neg_f32s(simd.mul_f32s(z, z)));
    let left = simd.mul_f32s(simd.mul_f32s(sum, t), fall);
    let negative = simd.less_than_f32s(x, simd.splat_f32s(0.0));
    let below = simd.select_f32s(negative, left, simd.sub_f32s(one, left));
    (below, fall)
}

/// `x Φ(x)`, wrong by at most 7 u |x|.
#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.mul_f32s(x, normal(simd, x).0)
}

/// The slope of GELU, `Φ(x) + x φ(x)`, wrong by below 10 u: 6 for Φ; x φ(x) is below 0.25 and its
/// exponential as wrong as [`normal`] says.
#[cfg(not(target_family = "wasm"))]
#[inline(always)]
fn gelu_slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (below, fall) = normal(simd, x);
    let density = simd.mul_f32s(fall, simd.splat_f32s(0.398_942_3));
    simd.mul_add_e_f32s(x, density, below)
}

/// `x / (1 + exp(−1.702 x))`, wrong by below (7 + 3.4 |x|) u of the result where that isn't below
/// 10⁻³⁵: [`exp`] and the operations around it make the 7, the rest is `1.702 x`, whose rounding (and
/// the constant's) the exponential turns into a relative error.
#[inline(always)]
fn quick_gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let steep = simd.mul_f32s(x, simd.splat_f32s(-1.702));
    let steep = simd.min_f32s(steep, simd.splat_f32s(86.0));
    let divisor = simd.add_f32s(simd.splat_f32s(1.0), exp(simd, steep));
    simd.div_f32s(x, divisor)
}

/// The slope of QuickGELU, `σ + 1.702 x σ (1 − σ)` with σ of `1.702 x`.
#[cfg(not(target_family = "wasm"))]
#[inline(always)]
fn quick_gelu_slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let steep = simd.mul_f32s(x, simd.splat_f32s(-1.702));
    let steep = simd.min_f32s(steep, simd.splat_f32s(86.0));
    let share = simd.div_f32s(one, simd.add_f32s(one, exp(simd, steep)));
    let rest = simd.mul_f32s(share, simd.sub_f32s(one, share));
    let x = simd.mul_f32s(x, simd.splat_f32s(1.702));
    // Far out x is large and the rest nothing; infinity times nothing is kept out.
    let far = simd.splat_f32s(1.0e4);
    let x = simd.max_f32s(simd.min_f32s(x, far), simd.neg_f32s(far));
    simd.mul_add_e_f32s(x, rest, share)
}

/// The slope of an activation at a vector.
#[cfg(not(target_family = "wasm"))]
#[inline(always)]
pub(super) fn slope<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> S::f32s {
    match activation {
        Activation::None => simd.splat_f32s(1.0),
        Activation::Gelu => gelu_slope(simd, x),
        Activation::QuickGelu => quick_gelu_slope(simd, x),
    }
}

/// The activation of a vector.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> S::f32s {
    match activation {
        Activation::None => x,
        Activation::Gelu => gelu(simd, x),
        Activation::QuickGelu => quick_gelu(simd, x),
    }
}
