"""EmotionCLIP written out as plain tensor equations, to be read beside the paper.

The Rust model is compared with this module, so nothing here borrows a layer from a library: each
step is the equation, in whatever precision the weights have (the generators use float64). Where a
library has the same part (CLIP's towers in open_clip, torch's transformer encoder), the generators
check this module against it; subject-aware prompting, subject-aware attention masking and the
sentiment-guided loss exist only here.

Weights are a flat mapping from the release's checkpoint keys to tensors.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

Weights = dict[str, Tensor]

LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True)
class VisionConfig:
    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int

    @property
    def patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True)
class TextConfig:
    vocab_size: int
    context_length: int
    width: int
    layers: int
    heads: int


@dataclass(frozen=True)
class TemporalConfig:
    frames: int
    layers: int
    heads: int
    feed_forward: int


@dataclass(frozen=True)
class ModelConfig:
    embed_dim: int
    vision: VisionConfig
    text: TextConfig
    temporal: TemporalConfig


@dataclass(frozen=True)
class Options:
    """What may differ between two runs of one architecture.

    subject: "vanilla", "sap_coverage", "sap_indicator" or "saam".
    saam_layers: how many of the first layers use masked attention when subject is "saam".
    activation: "gelu" (erf) or "quick_gelu", in both towers.
    fusion: "transformer", "mean" or "conv1d".
    """

    subject: str = "sap_coverage"
    saam_layers: int = 0
    activation: str = "gelu"
    fusion: str = "transformer"


@dataclass
class FrameEncoding:
    """features [N, embed]; per layer, attention probabilities [N, heads, tokens, tokens].

    `effective_attention` is the matrix that actually multiplies V. It differs from the softmax of
    the scores only in layers with subject-aware masking.
    """

    features: Tensor
    attention: list[Tensor] = field(default_factory=list)
    effective_attention: list[Tensor] = field(default_factory=list)


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0)))


def quick_gelu(x: Tensor) -> Tensor:
    return x / (1.0 + torch.exp(-1.702 * x))


ACTIVATIONS = {"gelu": gelu, "quick_gelu": quick_gelu}


def layer_norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    normalised = (x - mean) / torch.sqrt(variance + LAYER_NORM_EPS)
    return normalised * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def softmax(x: Tensor) -> Tensor:
    e = torch.exp(x - x.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def log_softmax(x: Tensor) -> Tensor:
    shifted = x - x.amax(-1, keepdim=True)
    return shifted - torch.log(torch.exp(shifted).sum(-1, keepdim=True))


def attention(
    x: Tensor,
    weights: Weights,
    name: str,
    heads: int,
    mask: Tensor | None = None,
    masking_amount: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Multi-head self-attention of x [N, L, width]: output, softmax of the scores, effective matrix.

    Without `masking_amount`, `mask` is added to the scores (causal text). With it (`A`, shape
    [heads, L, L]) the layer is subject-aware: S is the softmax without the mask, U with it, and

        out = (S * (1 - A)) V + (S * A) (U V)
    """
    batch, length, width = x.shape
    head_width = width // heads
    projected = x @ weights[f"{name}.in_proj_weight"].T + weights[f"{name}.in_proj_bias"]
    query, key, value = (
        part.reshape(batch, length, heads, head_width).transpose(1, 2)
        for part in projected.split(width, dim=-1)
    )
    scores = query @ key.transpose(-1, -2)
    scale = math.sqrt(head_width)
    if masking_amount is None:
        probabilities = softmax((scores if mask is None else scores + mask) / scale)
        effective = probabilities
    else:
        probabilities = softmax(scores / scale)
        masked = softmax((scores + mask) / scale)
        kept = probabilities * (1.0 - masking_amount)
        replaced = probabilities * masking_amount
        effective = kept + replaced @ masked
    out = (effective @ value).transpose(1, 2).reshape(batch, length, width)
    return linear(out, weights, f"{name}.out_proj"), probabilities, effective


def pre_norm_block(
    x: Tensor,
    weights: Weights,
    name: str,
    heads: int,
    activation: str,
    mask: Tensor | None = None,
    masking_amount: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    attended, probabilities, effective = attention(
        layer_norm(x, weights, f"{name}.ln_1"), weights, f"{name}.attn", heads, mask, masking_amount
    )
    x = x + attended
    hidden = linear(layer_norm(x, weights, f"{name}.ln_2"), weights, f"{name}.mlp.c_fc")
    x = x + linear(ACTIVATIONS[activation](hidden), weights, f"{name}.mlp.c_proj")
    return x, probabilities, effective


def patch_coverage(subject_mask: Tensor, patch_size: int) -> Tensor:
    """Fraction of each patch the mask [N, H, W] covers: [N, patches], rows first."""
    images, height, width = subject_mask.shape
    tiles = subject_mask.reshape(
        images, height // patch_size, patch_size, width // patch_size, patch_size
    )
    return tiles.mean(dim=(2, 4)).reshape(images, -1)


def patch_embedding(frames: Tensor, kernel: Tensor, patch_size: int) -> Tensor:
    """A convolution whose stride is its kernel size, as one matrix product over the patches."""
    images, channels, height, width = frames.shape
    tiles = frames.reshape(
        images, channels, height // patch_size, patch_size, width // patch_size, patch_size
    )
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(images, -1, channels * patch_size**2)
    return tiles @ kernel.reshape(kernel.shape[0], -1).T


def subject_attention_mask(coverage: Tensor) -> Tensor:
    """M of the paper's eq. 2 to 4, additive, [N, 1, L, L]; tokens are cls, patches, human."""
    images, patches = coverage.shape
    human = patches + 1
    mask = torch.zeros(images, patches + 2, patches + 2, dtype=coverage.dtype)
    outside = torch.where(coverage > 0, 0.0, -math.inf).to(coverage.dtype)
    mask[:, 1:human, human] = outside
    mask[:, human, 1:human] = outside
    mask[:, human, 0] = -math.inf
    return mask.unsqueeze(1)


def encode_frames(
    weights: Weights, config: ModelConfig, options: Options, frames: Tensor, subject_mask: Tensor
) -> FrameEncoding:
    """frames [N, 3, H, W] and subject_mask [N, H, W] to features [N, embed] (not normalised)."""
    vision = config.vision
    prefix = "backbone.visual"
    positions = weights[f"{prefix}.positional_embedding"]
    patches = patch_embedding(frames, weights[f"{prefix}.conv1.weight"], vision.patch_size)
    cls = weights[f"{prefix}.class_embedding"].expand(frames.shape[0], 1, -1)
    tokens = torch.cat([cls, patches], dim=1) + positions

    coverage = patch_coverage(subject_mask, vision.patch_size)
    human = None
    if options.subject == "sap_coverage":
        human = coverage @ positions[1:]
    elif options.subject == "sap_indicator":
        human = (coverage > 0).to(positions.dtype) @ positions[1:]
    elif options.subject == "saam":
        human = weights[f"{prefix}.human_embedding"].expand(frames.shape[0], -1)
    elif options.subject != "vanilla":
        raise ValueError(f"unknown subject encoding {options.subject}")
    if human is not None:
        tokens = torch.cat([tokens, human.unsqueeze(1)], dim=1)

    x = layer_norm(tokens, weights, f"{prefix}.ln_pre")
    encoding = FrameEncoding(features=x)
    for layer in range(vision.layers):
        mask = masking_amount = None
        if options.subject == "saam" and layer < options.saam_layers:
            mask = subject_attention_mask(coverage)
            masking_amount = torch.sigmoid(weights[f"{prefix}.saam.{layer}.a"])
        x, probabilities, effective = pre_norm_block(
            x,
            weights,
            f"{prefix}.transformer.resblocks.{layer}",
            vision.heads,
            options.activation,
            mask,
            masking_amount,
        )
        encoding.attention.append(probabilities)
        encoding.effective_attention.append(effective)
    encoding.features = layer_norm(x[:, 0], weights, f"{prefix}.ln_post") @ weights[f"{prefix}.proj"]
    return encoding


def encode_text(weights: Weights, config: ModelConfig, options: Options, tokens: Tensor) -> Tensor:
    """tokens [B, context] to features [B, embed], read at the largest id (EOT)."""
    text = config.text
    x = weights["backbone.token_embedding.weight"][tokens]
    x = x + weights["backbone.positional_embedding"]
    later = torch.ones(text.context_length, text.context_length, dtype=torch.bool).triu(1)
    causal = torch.zeros(later.shape, dtype=x.dtype).masked_fill(later, -math.inf)
    for layer in range(text.layers):
        x, _, _ = pre_norm_block(
            x,
            weights,
            f"backbone.transformer.resblocks.{layer}",
            text.heads,
            options.activation,
            mask=causal,
        )
    x = layer_norm(x, weights, "backbone.ln_final")
    at_eot = x[torch.arange(tokens.shape[0]), tokens.argmax(-1)]
    return at_eot @ weights["backbone.text_projection"]


def post_norm_block(x: Tensor, weights: Weights, name: str, heads: int) -> Tensor:
    attended, _, _ = attention(x, weights, f"{name}.self_attn", heads)
    x = layer_norm(x + attended, weights, f"{name}.norm1")
    fed = linear(gelu(linear(x, weights, f"{name}.linear1")), weights, f"{name}.linear2")
    return layer_norm(x + fed, weights, f"{name}.norm2")


def fuse_frames(weights: Weights, config: ModelConfig, options: Options, x: Tensor) -> Tensor:
    """Frame features [B, T, embed] to a video feature [B, embed]; no dropout (evaluation)."""
    if options.fusion == "transformer":
        y = x + weights["visual_head.frame_position_embedding.weight"]
        for layer in range(config.temporal.layers):
            y = post_norm_block(
                y, weights, f"visual_head.fusion_layer.layers.{layer}", config.temporal.heads
            )
        x = layer_norm(y, weights, "visual_head.fusion_layer.norm") + x
    elif options.fusion == "conv1d":
        kernel = weights["visual_head.fusion_layer.weight"][:, 0]
        steps = x.shape[1] - kernel.shape[1] + 1
        x = sum(x[:, i : i + steps] * kernel[:, i] for i in range(kernel.shape[1]))
    elif options.fusion != "mean":
        raise ValueError(f"unknown temporal fusion {options.fusion}")
    return x.mean(1)


def encode_video(
    weights: Weights, config: ModelConfig, options: Options, frames: Tensor, subject_mask: Tensor
) -> Tensor:
    """frames [B, T, 3, H, W] and subject_mask [B, T, H, W] to [B, embed] (not normalised)."""
    batch, length = frames.shape[:2]
    features = encode_frames(
        weights, config, options, frames.flatten(0, 1), subject_mask.flatten(0, 1)
    ).features
    return fuse_frames(weights, config, options, features.reshape(batch, length, -1))


def normalise(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).sum(-1, keepdim=True))


def similarity_logits(video: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
    """[B, B], rows are videos; `logit_scale` is the parameter, before exp."""
    return torch.exp(logit_scale) * normalise(video) @ normalise(text).T


def sentiment_weights(sentiment: Tensor, beta: float, direction: str) -> Tensor:
    """w [B, B] of the paper's eq. 6; infinite where two rows mean the same, 0 on the diagonal.

    direction "paper" is KL(s_i || s_j), "release" is KL(s_j || s_i).
    """
    log_probabilities = log_softmax(sentiment)
    ratio = log_probabilities[:, None] - log_probabilities[None, :]
    divergence = (torch.exp(log_probabilities)[:, None] * ratio).sum(-1)
    if direction == "release":
        divergence = divergence.T
    elif direction != "paper":
        raise ValueError(f"unknown KL direction {direction}")
    weights = beta / divergence.abs()
    return weights.masked_fill(torch.eye(len(sentiment), dtype=torch.bool), 0.0)


def cross_entropy_to_diagonal(logits: Tensor) -> Tensor:
    """Mean over rows of log-sum-exp minus the diagonal; entries of -inf take no part."""
    present = torch.isfinite(logits)
    finite = torch.where(present, logits, torch.zeros_like(logits))
    peak = torch.where(present, logits, -torch.inf).amax(-1, keepdim=True).detach()
    exponentials = torch.where(present, torch.exp(finite - peak), torch.zeros_like(logits))
    return (torch.log(exponentials.sum(-1)) + peak[:, 0] - torch.diagonal(finite)).mean()


def sentiment_guided_loss(
    video: Tensor,
    text: Tensor,
    logit_scale: Tensor,
    sentiment: Tensor,
    beta: float,
    direction: str,
) -> Tensor:
    """The paper's eq. 5 and 7 on features [B, D] before normalisation; beta = 0 is InfoNCE."""
    logits = similarity_logits(video, text, logit_scale)
    if beta == 0:
        return 0.5 * (cross_entropy_to_diagonal(logits) + cross_entropy_to_diagonal(logits.T))
    weights = sentiment_weights(sentiment, beta, direction).detach()
    return 0.5 * (
        cross_entropy_to_diagonal(logits - weights)
        + cross_entropy_to_diagonal(logits.T - weights)
    )


PARAMETER_GROUPS = [
    "frame_gain_bias",
    "frame_rest",
    "text_gain_bias",
    "text_rest",
    "temporal_gain_bias",
    "temporal_rest",
    "logit_scale",
]


def parameter_group(name: str, dimensions: int) -> str:
    """The optimiser group of a parameter, by the release's rules on its name and rank."""
    if "logit_scale" in name:
        return "logit_scale"
    gain_or_bias = dimensions < 2 or any(part in name for part in ("bn", "ln", "bias"))
    if "backbone.visual" in name:
        part = "frame"
    elif "backbone" in name and "visual" not in name:
        part = "text"
    elif "visual_head" in name:
        part = "temporal"
    else:
        raise ValueError(f"{name} belongs to no parameter group")
    return f"{part}_{'gain_bias' if gain_or_bias else 'rest'}"


def learning_rate(
    base: float,
    step: int,
    steps_per_epoch: int,
    epochs: int = 25,
    warm_up_steps: int = 10_000,
    warm_up_factor: float = 1e-5,
    minimum: float = 1e-10,
) -> float:
    """Learning rate at a step counted from 0: linear warm-up toward the cosine's value at its end,
    then a cosine that moves once an epoch."""

    def cosine(epoch: int) -> float:
        return minimum + (base - minimum) * (1.0 + math.cos(math.pi * epoch / epochs)) / 2.0

    if step < warm_up_steps:
        done = step / warm_up_steps
        end = cosine(warm_up_steps // steps_per_epoch)
        return warm_up_factor * base * (1.0 - done) + end * done
    return cosine(step // steps_per_epoch)
