"""Small models with random weights, batches to feed them, and one training step's numbers.

Values are rounded to float32 when they are drawn, so that what a golden stores is what was computed
with.
"""

import torch
from torch import Tensor

import reference
from reference import ModelConfig, Options, TextConfig, Weights

BETA = 0.5
"""Small enough that the reweighting changes the logits without silencing the gradient."""


def random(generator: torch.Generator, *shape: int, std: float = 1.0, mean: float = 0.0) -> Tensor:
    """Normal values, rounded to float32 so that what is stored is what was computed with."""
    values = torch.randn(*shape, generator=generator, dtype=torch.float64) * std + mean
    return values.float().double()


def norm_weights(generator: torch.Generator, name: str, width: int) -> Weights:
    return {
        f"{name}.weight": random(generator, width, std=0.3, mean=1.0),
        f"{name}.bias": random(generator, width, std=0.3),
    }


def linear_weights(generator: torch.Generator, name: str, inputs: int, outputs: int) -> Weights:
    return {
        f"{name}.weight": random(generator, outputs, inputs, std=inputs**-0.5),
        f"{name}.bias": random(generator, outputs, std=0.3),
    }


def attention_weights(generator: torch.Generator, name: str, width: int) -> Weights:
    return {
        f"{name}.in_proj_weight": random(generator, 3 * width, width, std=width**-0.5),
        f"{name}.in_proj_bias": random(generator, 3 * width, std=0.3),
        **linear_weights(generator, f"{name}.out_proj", width, width),
    }


def tower_weights(generator: torch.Generator, name: str, width: int, layers: int) -> Weights:
    weights = {}
    for layer in range(layers):
        block = f"{name}.resblocks.{layer}"
        weights |= attention_weights(generator, f"{block}.attn", width)
        weights |= norm_weights(generator, f"{block}.ln_1", width)
        weights |= linear_weights(generator, f"{block}.mlp.c_fc", width, 4 * width)
        weights |= linear_weights(generator, f"{block}.mlp.c_proj", 4 * width, width)
        weights |= norm_weights(generator, f"{block}.ln_2", width)
    return weights


def model_weights(generator: torch.Generator, config: ModelConfig, logit_scale: float) -> Weights:
    """Weights of the SAP model, several times larger than a usual initialisation.

    With the usual small values attention is near uniform and biases are zero, which would hide a
    wrong scale, a missing bias or a swapped norm.
    """
    vision, text, temporal = config.vision, config.text, config.temporal
    visual = "backbone.visual"
    pixels = 3 * vision.patch_size**2
    kernel = (vision.width, 3, vision.patch_size, vision.patch_size)
    weights = {
        f"{visual}.class_embedding": random(generator, vision.width),
        f"{visual}.positional_embedding": random(
            generator, vision.patches + 1, vision.width, std=0.5
        ),
        f"{visual}.conv1.weight": random(generator, *kernel, std=pixels**-0.5),
        **norm_weights(generator, f"{visual}.ln_pre", vision.width),
        **tower_weights(generator, f"{visual}.transformer", vision.width, vision.layers),
        **norm_weights(generator, f"{visual}.ln_post", vision.width),
        f"{visual}.proj": random(
            generator, vision.width, config.embed_dim, std=vision.width**-0.5
        ),
        "backbone.token_embedding.weight": random(generator, text.vocab_size, text.width),
        "backbone.positional_embedding": random(
            generator, text.context_length, text.width, std=0.5
        ),
        **tower_weights(generator, "backbone.transformer", text.width, text.layers),
        **norm_weights(generator, "backbone.ln_final", text.width),
        "backbone.text_projection": random(
            generator, text.width, config.embed_dim, std=text.width**-0.5
        ),
        "visual_head.frame_position_embedding.weight": random(
            generator, temporal.frames, config.embed_dim
        ),
    }
    for layer in range(temporal.layers):
        block = f"visual_head.fusion_layer.layers.{layer}"
        weights |= attention_weights(generator, f"{block}.self_attn", config.embed_dim)
        weights |= linear_weights(
            generator, f"{block}.linear1", config.embed_dim, temporal.feed_forward
        )
        weights |= linear_weights(
            generator, f"{block}.linear2", temporal.feed_forward, config.embed_dim
        )
        weights |= norm_weights(generator, f"{block}.norm1", config.embed_dim)
        weights |= norm_weights(generator, f"{block}.norm2", config.embed_dim)
    weights |= norm_weights(generator, "visual_head.fusion_layer.norm", config.embed_dim)
    scale = torch.tensor(logit_scale, dtype=torch.float32).double()
    weights["backbone.logit_scale"] = weights["logit_scale"] = scale
    return weights


def saam_weights(generator: torch.Generator, config: ModelConfig) -> Weights:
    """What the SAAM variant has beyond the SAP model; sigmoid(a) spreads around 0.3."""
    vision = config.vision
    tokens = vision.patches + 2
    weights = {"backbone.visual.human_embedding": random(generator, vision.width, std=0.5)}
    for layer in range(vision.layers):
        weights[f"backbone.visual.saam.{layer}.a"] = random(
            generator, vision.heads, tokens, tokens, mean=-1.0
        )
    return weights


def subject_masks(generator: torch.Generator, size: int) -> Tensor:
    """Twelve masks [12, size, size]: every shape a subject mask can take, and empty ones.

    Values are eighths and patches hold 64 pixels, so coverage is exact in float32 too.
    """
    half, quarter = size // 2, size // 4
    masks = torch.zeros(12, size, size, dtype=torch.float64)
    masks[1] = 1.0
    masks[2, 5 : half + 5, quarter + 1 : size - 5] = 1.0
    masks[3, half : half + 8, :8] = 1.0
    masks[4, 9, size - 9] = 1.0
    masks[5, 3:half, 3:half] = 0.25
    masks[6] = torch.randint(0, 2, (size, size), generator=generator)
    masks[7] = torch.randint(0, 9, (size, size), generator=generator) / 8
    masks[8, half + 3 :, half - 5 :] = 1.0
    masks[10, :7, :] = 1.0
    masks[10, half + 1 : half + 6, 2:5] = 0.875
    masks[11, ::2, 1::2] = 1.0
    return masks


def token_rows(
    generator: torch.Generator, text: TextConfig, eot_positions: list[int | None]
) -> Tensor:
    """Token ids [rows, context]; None is an overlong text cut without EOT, read at position 0."""
    start, end = text.vocab_size - 2, text.vocab_size - 1
    rows = torch.zeros(len(eot_positions), text.context_length, dtype=torch.int64)
    for row, eot in zip(rows, eot_positions, strict=True):
        last = text.context_length if eot is None else eot
        row[0] = start
        row[1:last] = torch.randint(1, start, (last - 1,), generator=generator)
        if eot is not None:
            row[eot] = end
    return rows


def forward(
    weights: Weights,
    config: ModelConfig,
    options: Options,
    inputs: dict[str, Tensor],
    direction: str = "paper",
) -> dict[str, Tensor]:
    """The whole model on a batch: features, embeddings, logits and loss."""
    videos = inputs["frames"].shape[0]
    video = reference.encode_video(
        weights, config, options, inputs["frames"], inputs["subject_mask"]
    )
    text = reference.encode_text(weights, config, options, inputs["tokens"][:videos])
    scale = weights["logit_scale"]
    return {
        "video_features": video,
        "text_features": text,
        "video_embedding": reference.normalise(video),
        "text_embedding": reference.normalise(text),
        "logits": reference.similarity_logits(video, text, scale),
        "loss": reference.sentiment_guided_loss(
            video, text, scale, inputs["sentiment"], BETA, direction
        ),
    }


def gradients(
    weights: Weights, config: ModelConfig, options: Options, inputs: dict[str, Tensor]
) -> Weights:
    """Gradient of the batch's loss for every parameter; the shared logit scale stands once."""
    leaves = {
        key: value.detach().clone().requires_grad_()
        for key, value in weights.items()
        if key != "backbone.logit_scale"
    }
    forward(leaves, config, options, inputs)["loss"].backward()
    return {key: leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}
