//! Masked attention on an adapter against its plain-tensor reference on the CPU.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop right there"
)]

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{
    ROUNDING, TILES, adapter, assert_aligned, assert_close, host, kernels, largest, numbers, on,
    random, subgroup_kernels, weighted,
};
use emotionclip_kernels::{AttentionMask, Kernels, TileSet, reference};

/// What a case attends with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mask {
    None,
    KeyBias,
    Causal,
    Subject,
}

const MASKS: [Mask; 4] = [Mask::None, Mask::KeyBias, Mask::Causal, Mask::Subject];

#[derive(Clone, Copy, Debug)]
struct Case {
    tokens: usize,
    heads: usize,
    batch: usize,
    head_width: usize,
    /// Inputs lie in ± this.
    size: f32,
    /// Whether all patches are outside of the subject (1) or none (0); else every other one is.
    patches: Option<f32>,
}

impl Case {
    const fn new(tokens: usize, heads: usize, batch: usize, head_width: usize) -> Self {
        let size = 1.0;
        Self {
            tokens,
            heads,
            batch,
            head_width,
            size,
            patches: None,
        }
    }

    fn qkv(&self) -> Tensor<3> {
        let width = 3 * self.heads * self.head_width;
        random([self.batch, self.tokens, width], 11, &Device::flex()) * self.size
    }

    /// Key biases with a third of −∞, but never for the first key; patches outside as `patches` says.
    fn mask(&self, mask: Mask, device: &Device) -> AttentionMask {
        let (batch, tokens) = (self.batch, self.tokens);
        match mask {
            Mask::None => AttentionMask::None,
            Mask::Causal => AttentionMask::Causal,
            Mask::KeyBias => {
                let mut bias = numbers(batch * tokens, 5);
                for (index, bias) in bias.iter_mut().enumerate() {
                    if index % tokens % 3 == 1 {
                        *bias = f32::NEG_INFINITY;
                    }
                }
                let bias = TensorData::new(bias, [batch, tokens]);
                AttentionMask::KeyBias(Tensor::from_data(bias, device))
            }
            Mask::Subject => {
                let outside = (0..batch * (tokens - 2))
                    .map(|index| self.patches.unwrap_or_else(|| f32::from(index % 2 == 0)))
                    .collect::<Vec<_>>();
                let outside = TensorData::new(outside, [batch, tokens - 2]);
                AttentionMask::Subject {
                    outside: Tensor::from_data(outside, device),
                    gate: random([self.heads, tokens, tokens], 7, device),
                }
            }
        }
    }

    /// Largest `Σ |q| |k| / √d`: what the error of a score is relative to.
    fn logit_size(&self) -> f32 {
        let width = self.heads * self.head_width;
        let part = |part: usize| {
            let rows = self.qkv().abs().narrow(2, part * width, width);
            rows.reshape([self.batch, self.tokens, self.heads, self.head_width])
                .swap_dims(1, 2)
        };
        let size = largest(part(0).matmul(part(1).swap_dims(2, 3)));
        size / (self.head_width as f32).sqrt()
    }

    /// A score is a sum of d + 1 rounded products, wrong by at most (d + 2) roundings of its terms;
    /// a weight's relative error is that of two scores (its own and the row's sum) and a few
    /// roundings of the exponential; the output is a mean of values under N such weights. Both
    /// sides err, and SAAM, whichever way its sums go, takes a mean of means: a factor of 4.
    fn tolerance(&self) -> f32 {
        let score = (self.head_width + 2) as f32 * self.logit_size();
        4.0 * self.size * ROUNDING * (2.0 * score + (self.tokens + 8) as f32)
    }
}

fn check(kernels: &Kernels, case: Case, mask: Mask, device: &Device) {
    let what = format!("{kernels:?} {case:?} {mask:?}");
    let wanted =
        reference::masked_attention(case.qkv(), case.heads, case.mask(mask, &Device::flex()));
    let actual =
        kernels.masked_attention(on(&case.qkv(), device), case.heads, case.mask(mask, device));
    assert_close(&what, actual, wanted, case.tolerance());
}

/// Gradients of `Σ w · attention` with respect to the joint projection and SAAM's gate.
fn gradients(
    attend: impl Fn(Tensor<3>, AttentionMask) -> Tensor<3>,
    case: Case,
    mask: Mask,
    device: &Device,
) -> (Tensor<3>, Option<Tensor<3>>) {
    let device = device.clone().autodiff();
    let qkv = on(&case.qkv(), &device).require_grad();
    let (mask, gate) = match case.mask(mask, &device) {
        AttentionMask::Subject { outside, gate } => {
            let gate = gate.require_grad();
            let mask = AttentionMask::Subject {
                outside,
                gate: gate.clone(),
            };
            (mask, Some(gate))
        }
        mask => (mask, None),
    };
    let output = attend(qkv.clone(), mask);
    let weights = random(output.dims(), 13, &device);
    let mut grads = (output * weights).backward();
    let grad_gate = gate.map(|gate| gate.grad_remove(&mut grads).unwrap());
    (qkv.grad_remove(&mut grads).unwrap(), grad_gate)
}

fn check_gradients(kernels: &Kernels, case: Case, mask: Mask, device: &Device) {
    let what = format!("gradient, {kernels:?} {case:?} {mask:?}");
    let attend = |qkv, mask| reference::masked_attention(qkv, case.heads, mask);
    let (wanted, wanted_gate) = gradients(attend, case, mask, &Device::flex());
    let attend = |qkv, mask| kernels.masked_attention(qkv, case.heads, mask);
    let (actual, actual_gate) = gradients(attend, case, mask, device);
    // Every entry is a sum of at most N + d products of weights with the errors of `tolerance`;
    // the difference of a weight's gradient and its mean doubles them.
    let tolerance = f64::from(8.0 * case.tolerance() / case.size.min(1.0));
    let (cpu, width) = (Device::flex(), case.heads * case.head_width);
    for (part, name) in ["query", "key", "value"].into_iter().enumerate() {
        let cut = |grad: &Tensor<3>| on(grad, &cpu).narrow(2, part * width, width);
        // With one token the weight is 1 whatever the score: queries and keys have no gradient.
        if case.tokens > 1 || name == "value" {
            assert_aligned(
                &format!("{name} {what}"),
                cut(&actual),
                cut(&wanted),
                tolerance,
            );
        } else {
            assert!(largest(cut(&actual)) <= case.tolerance(), "{name} {what}");
        }
    }
    if let (Some(actual), Some(wanted)) = (actual_gate, wanted_gate) {
        assert_aligned(&format!("gate {what}"), actual, wanted, tolerance);
    }
}

mod needs_wgsl {
    use super::*;

    /// The encoders' tokens, odd numbers of them, one and two. A shader is compiled for each head
    /// width and mask, a second or so on a software adapter: hence two widths with all masks.
    const SWEEP: [Case; 9] = [
        Case::new(1, 1, 1, 8),
        Case::new(2, 3, 2, 8),
        Case::new(7, 5, 9, 8),
        Case::new(66, 2, 1, 8),
        Case::new(1, 2, 3, 64),
        Case::new(51, 12, 1, 64),
        Case::new(51, 3, 2, 64),
        Case::new(77, 8, 1, 64),
        Case::new(197, 2, 1, 64),
    ];

    /// Widths that leave lanes without work, and EmoCLIP's.
    const WIDTHS: [(Case, Mask); 4] = [
        (Case::new(9, 2, 2, 24), Mask::Subject),
        (Case::new(10, 1, 3, 40), Mask::KeyBias),
        (Case::new(5, 2, 1, 520), Mask::Causal),
        (Case::new(33, 1, 1, 2048), Mask::None),
    ];

    fn outputs_agree(kernels: &Kernels, device: &Device) {
        for case in SWEEP {
            for mask in MASKS {
                if mask != Mask::Subject || case.tokens > 2 {
                    check(kernels, case, mask, device);
                }
            }
        }
        for (case, mask) in WIDTHS {
            check(kernels, case, mask, device);
        }
    }

    #[test]
    fn outputs_agree_over_shapes_and_masks_with_software_tiles() {
        let device = adapter();
        outputs_agree(&kernels(&device, TileSet::Software), &device);
    }

    #[test]
    fn outputs_agree_over_shapes_and_masks_with_gpu_tiles() {
        let device = adapter();
        outputs_agree(&kernels(&device, TileSet::Gpu), &device);
    }

    #[test]
    fn outputs_agree_over_shapes_and_masks_with_subgroups() {
        let device = adapter();
        outputs_agree(&subgroup_kernels(&device), &device);
    }

    #[test]
    fn outputs_agree_over_shapes_and_masks_with_plain_tiles() {
        let device = adapter();
        outputs_agree(&kernels(&device, TileSet::Plain), &device);
    }

    #[test]
    fn a_subject_may_cover_no_patch_and_every_patch() {
        let device = adapter();
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            for outside in [0.0, 1.0] {
                for case in [Case::new(3, 1, 1, 8), Case::new(51, 2, 2, 64)] {
                    let patches = Some(outside);
                    let case = Case { patches, ..case };
                    check(&kernels, case, Mask::Subject, &device);
                    check_gradients(&kernels, case, Mask::Subject, &device);
                }
            }
        }
    }

    #[test]
    fn a_subject_in_two_dispatches_agrees_with_its_gradients() {
        let device = adapter();
        for tiles in TILES {
            let kernels = Kernels {
                split_subject: true,
                ..kernels(&device, tiles)
            };
            for case in [Case::new(7, 5, 9, 8), Case::new(51, 3, 2, 64)] {
                check(&kernels, case, Mask::Subject, &device);
                check_gradients(&kernels, case, Mask::Subject, &device);
            }
        }
    }

    #[test]
    fn large_logits_neither_overflow_nor_lose_the_small_ones() {
        let device = adapter();
        // Scores of some hundreds: exponentials overflow without the maximum taken off.
        let mut case = Case::new(51, 2, 1, 64);
        case.size = 16.0;
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            for mask in MASKS {
                check(&kernels, case, mask, &device);
            }
        }
    }

    #[test]
    fn a_row_with_every_key_blocked_takes_the_mean() {
        let device = adapter();
        let case = Case::new(5, 2, 1, 16);
        let bias = Tensor::full([1, 5], f32::NEG_INFINITY, &device);
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            let mask = AttentionMask::KeyBias(bias.clone());
            let qkv = on(&case.qkv(), &device);
            let actual = kernels.masked_attention(qkv.clone(), 2, mask);
            let mean = qkv.narrow(2, 64, 32).mean_dim(1).expand([1, 5, 32]);
            assert_close("mean of all values", actual, mean, 16.0 * ROUNDING);
        }
    }

    #[test]
    fn a_shut_gate_is_plain_attention_exactly() {
        let device = adapter();
        let case = Case::new(51, 3, 2, 64);
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            let AttentionMask::Subject { outside, gate } = case.mask(Mask::Subject, &device) else {
                panic!("a subject's mask");
            };
            let gate = gate.full_like(-1e4);
            let qkv = on(&case.qkv(), &device);
            let shut = AttentionMask::Subject { outside, gate };
            let subject = kernels.masked_attention(qkv.clone(), 3, shut);
            let plain = kernels.masked_attention(qkv, 3, AttentionMask::None);
            assert_eq!(host(subject), host(plain), "{tiles:?}");
        }
    }

    fn gradients_agree(kernels: &Kernels, device: &Device) {
        let cases = [
            Case::new(1, 1, 2, 64),
            Case::new(2, 2, 1, 64),
            Case::new(5, 3, 9, 64),
            Case::new(51, 2, 2, 64),
            Case::new(77, 2, 1, 64),
            Case::new(197, 1, 1, 64),
            Case::new(3, 12, 1, 64),
        ];
        for case in cases {
            for mask in MASKS {
                if mask != Mask::Subject || case.tokens > 2 {
                    check_gradients(kernels, case, mask, device);
                }
            }
        }
        for (case, mask) in &WIDTHS[..3] {
            check_gradients(kernels, *case, *mask, device);
        }
    }

    #[test]
    fn gradients_agree_over_shapes_and_masks_with_software_tiles() {
        let device = adapter();
        gradients_agree(&kernels(&device, TileSet::Software), &device);
    }

    #[test]
    fn gradients_agree_over_shapes_and_masks_with_gpu_tiles() {
        let device = adapter();
        gradients_agree(&kernels(&device, TileSet::Gpu), &device);
    }

    #[test]
    fn gradients_agree_over_shapes_and_masks_with_subgroups() {
        let device = adapter();
        gradients_agree(&subgroup_kernels(&device), &device);
    }

    #[test]
    fn gradients_agree_over_shapes_and_masks_with_plain_tiles() {
        let device = adapter();
        gradients_agree(&kernels(&device, TileSet::Plain), &device);
    }

    #[test]
    fn gradients_are_the_slopes_of_the_forward_pass() {
        let device = adapter();
        let kernels = kernels(&device, TileSet::Plain);
        let case = Case::new(6, 2, 2, 16);
        let attend = |qkv, mask| kernels.masked_attention(qkv, 2, mask);
        for mask in MASKS {
            let (grad_qkv, grad_gate) = gradients(attend, case, mask, &device);
            let weights = numbers(2 * 6 * 32, 13);
            let loss = |qkv: Tensor<3>, gate: Option<Tensor<3>>| {
                let mask = match (case.mask(mask, &device), gate) {
                    (AttentionMask::Subject { outside, .. }, Some(gate)) => {
                        AttentionMask::Subject { outside, gate }
                    }
                    (mask, _) => mask,
                };
                weighted(attend(qkv, mask), &weights)
            };
            let qkv = on(&case.qkv(), &device);
            let gate = match case.mask(mask, &device) {
                AttentionMask::Subject { gate, .. } => Some(gate),
                _ => None,
            };
            // Along the gradient itself the slope is its squared length, the largest there is. A
            // step of 1/64 of a unit: the third derivative then moves the difference quotient by
            // some 1e-3 of the slope, the outputs' rounding by 1e-5.
            let slope = |grad: Tensor<3>, moved: &dyn Fn(Tensor<3>) -> f64| {
                let length = weighted(grad.clone(), &host(grad.clone())).sqrt();
                let step = grad * (1.0 / (64.0 * length));
                let rise = moved(step.clone()) - moved(-step);
                (32.0 * rise / length, 5e-3)
            };
            let (ratio, allowed) = slope(grad_qkv, &|step| loss(qkv.clone() + step, gate.clone()));
            assert!((ratio - 1.0).abs() < allowed, "{mask:?}: {ratio}");
            if let (Some(grad), Some(gate)) = (grad_gate, gate) {
                let moved = |step: Tensor<3>| loss(qkv.clone(), Some(gate.clone() + step));
                let (ratio, allowed) = slope(grad, &moved);
                assert!((ratio - 1.0).abs() < allowed, "gate: {ratio}");
            }
        }
    }

    #[test]
    fn the_environment_and_the_adapter_choose() {
        let device = adapter();
        let automatic = Kernels::of(&device).expect("the adapter runs WGSL");
        // The same through an autodiff device.
        assert_eq!(Kernels::of(&device.clone().autodiff()), Some(automatic));
        let off = Kernels::with_choice(&device, emotionclip_kernels::Choice::Off);
        assert_eq!(off, None);
    }
}
