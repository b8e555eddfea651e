//! Masked attention with `[B, heads, N, N]` weights in memory.

use burn::tensor::{Tensor, activation};

use crate::AttentionMask;

/// A score that counts for nothing, and the least that a key bias can be. The same in the shaders.
const BLOCKED: f64 = -1e30;

/// Refuses shapes that disagree.
pub(crate) fn check_attention(
    [batch, tokens, width]: [usize; 3],
    heads: usize,
    mask: &AttentionMask,
) {
    assert!(
        heads > 0 && width.is_multiple_of(3 * heads),
        "a width of {width} for queries, keys and values of {heads} heads"
    );
    match mask {
        AttentionMask::None | AttentionMask::Causal => {}
        AttentionMask::KeyBias(bias) => {
            assert_eq!(bias.dims(), [batch, tokens], "a key bias is [B, N]");
        }
        AttentionMask::Subject { outside, gate } => {
            assert!(tokens > 2, "class and human token and at least a patch");
            assert_eq!(
                outside.dims(),
                [batch, tokens - 2],
                "patches are [B, N - 2]"
            );
            assert_eq!(
                gate.dims(),
                [heads, tokens, tokens],
                "a gate is [heads, N, N]"
            );
        }
    }
}

/// See [`crate::masked_attention`].
///
/// # Panics
///
/// If shapes disagree.
pub fn masked_attention(qkv: Tensor<3>, heads: usize, mask: AttentionMask) -> Tensor<3> {
    check_attention(qkv.dims(), heads, &mask);
    let [batch, tokens, width] = qkv.dims();
    let width = width / 3;
    let head_width = width / heads;
    let [query, key, value] = [0, 1, 2].map(|part| {
        qkv.clone()
            .narrow(2, part * width, width)
            .reshape([batch, tokens, heads, head_width])
            .swap_dims(1, 2)
    });
    let query = query * (1.0 / (head_width as f64).sqrt());
    let scores = query.matmul(key.swap_dims(2, 3));
    let mixed = match mask {
        AttentionMask::None => activation::softmax(scores, 3).matmul(value),
        AttentionMask::KeyBias(bias) => {
            let bias = bias.clamp_min(BLOCKED).reshape([batch, 1, 1, tokens]);
            activation::softmax(scores + bias, 3).matmul(value)
        }
        AttentionMask::Causal => {
            let future = Tensor::<2>::full([tokens, tokens], BLOCKED, &scores.device()).triu(1);
            activation::softmax(scores + future.unsqueeze(), 3).matmul(value)
        }
        AttentionMask::Subject { outside, gate } => {
            let masked = activation::softmax(scores.clone() + subject_mask(outside), 3);
            let weights = activation::softmax(scores, 3);
            let past = weights.clone() * activation::sigmoid(gate).unsqueeze::<4>();
            let straight = weights - past.clone();
            straight.matmul(value.clone()) + past.matmul(masked.matmul(value))
        }
    };
    mixed.swap_dims(1, 2).reshape([batch, tokens, width])
}

/// SAAM's additive mask `[B, 1, N, N]`: patches outside of the subject and the human token don't see
/// each other, and the human token doesn't see the class token.
fn subject_mask(outside: Tensor<2>) -> Tensor<4> {
    let [batch, patches] = outside.dims();
    let device = outside.device();
    let nothing = Tensor::<2>::zeros([batch, 1], &device);
    let class = Tensor::<2>::ones([batch, 1], &device);
    let column = Tensor::cat(vec![nothing.clone(), outside.clone()], 1);
    let row = Tensor::cat(vec![class, outside, nothing], 1);
    let free = Tensor::<3>::zeros([batch, patches + 1, patches + 1], &device);
    let upper = Tensor::cat(vec![free, column.unsqueeze_dim(2)], 2);
    let blocked = Tensor::cat(vec![upper, row.unsqueeze_dim(1)], 1);
    (blocked * BLOCKED).unsqueeze_dim(1)
}
