"""Makes goldens/model*.safetensors: every encoder and variant of the model, and its gradients.

    python generate_model.py                      # writes the goldens
    python generate_model.py --release CHECKOUT   # also holds the reference against the authors' code
"""

import math
from dataclasses import asdict

import torch
from torch import Tensor
from torch.nn import functional

import cross_checks
import reference
from golden_file import prefixed, release_argument, save
from reference import ModelConfig, Options, TemporalConfig, TextConfig, VisionConfig, Weights
from small_models import (
    BETA,
    forward,
    gradients,
    model_weights,
    random,
    saam_weights,
    subject_masks,
    token_rows,
)

SMALL = ModelConfig(
    embed_dim=16,
    vision=VisionConfig(image_size=32, patch_size=8, width=24, layers=2, heads=4),
    text=TextConfig(vocab_size=540, context_length=16, width=18, layers=2, heads=3),
    temporal=TemporalConfig(frames=4, layers=2, heads=4, feed_forward=32),
)
"""Every width differs, so a transposed matrix cannot pass unseen."""


def model_inputs(generator: torch.Generator, config: ModelConfig) -> dict[str, Tensor]:
    """Three videos with their masks and sentiments, and five texts of which the first three are
    the videos' captions."""
    videos, frames = 3, config.temporal.frames
    size = config.vision.image_size
    return {
        "frames": random(generator, videos, frames, 3, size, size),
        "subject_mask": subject_masks(generator, size).reshape(videos, frames, size, size),
        "tokens": token_rows(generator, config.text, [5, 9, 15, 1, None]),
        "sentiment": random(generator, videos, 7, std=2.0),
    }


def write_model(generator: torch.Generator) -> tuple[Weights, dict[str, Tensor]]:
    """model.safetensors: the SAP model and its plain variants."""
    config = SMALL
    weights = model_weights(generator, config, logit_scale=2.0)
    inputs = model_inputs(generator, config)
    images = inputs["frames"].flatten(0, 1)
    masks = inputs["subject_mask"].flatten(0, 1)

    expected = {}
    cases = {
        "vanilla": Options(subject="vanilla"),
        "sap_coverage": Options(subject="sap_coverage"),
        "sap_indicator": Options(subject="sap_indicator"),
        "sap_coverage_quick_gelu": Options(subject="sap_coverage", activation="quick_gelu"),
    }
    for name, options in cases.items():
        encoding = reference.encode_frames(weights, config, options, images, masks)
        expected[f"{name}/frame_features"] = encoding.features
        if name == "sap_coverage":
            for layer, probabilities in enumerate(encoding.attention):
                expected[f"{name}/attention.{layer}"] = probabilities[:3]
    for activation in ("gelu", "quick_gelu"):
        options = Options(activation=activation)
        expected[f"{activation}/text_features"] = reference.encode_text(
            weights, config, options, inputs["tokens"]
        )
    whole = forward(weights, config, cases["sap_coverage"], inputs)
    expected |= {f"sap_coverage/{key}": value for key, value in whole.items()}

    save(
        "model",
        {
            "model": asdict(config),
            "cases": {name: asdict(options) for name, options in cases.items()},
            "beta": BETA,
            "kl_direction": "paper",
            "attention_images": 3,
        },
        {
            **prefixed("weights", weights),
            **prefixed("input", inputs),
            **prefixed("expected", expected),
            **prefixed("grad", gradients(weights, config, cases["sap_coverage"], inputs)),
        },
    )
    return weights, inputs


def write_saam(generator: torch.Generator, shared: Weights, inputs: dict[str, Tensor]) -> None:
    """model_saam.safetensors: what SAAM adds; the other weights and the inputs are model's."""
    config = SMALL
    extra = saam_weights(generator, config)
    weights = shared | extra
    images = inputs["frames"].flatten(0, 1)
    masks = inputs["subject_mask"].flatten(0, 1)
    expected = {}
    for layers in (1, 2):
        options = Options(subject="saam", saam_layers=layers)
        encoding = reference.encode_frames(weights, config, options, images, masks)
        expected[f"saam_{layers}/frame_features"] = encoding.features
        for layer in range(config.vision.layers):
            expected[f"saam_{layers}/attention.{layer}"] = encoding.attention[layer][:3]
            effective = encoding.effective_attention[layer][:3]
            expected[f"saam_{layers}/effective_attention.{layer}"] = effective
        whole = forward(weights, config, options, inputs)
        expected |= {f"saam_{layers}/{key}": value for key, value in whole.items()}
    options = Options(subject="saam", saam_layers=2)
    save(
        "model_saam",
        {
            "model": asdict(config),
            "cases": {f"saam_{n}": asdict(Options("saam", saam_layers=n)) for n in (1, 2)},
            "beta": BETA,
            "kl_direction": "paper",
            "gradient_case": "saam_2",
            "attention_images": 3,
        },
        {
            **prefixed("weights", extra),
            **prefixed("expected", expected),
            **prefixed("grad", gradients(weights, config, options, inputs)),
        },
    )


def write_temporal(generator: torch.Generator, shared: Weights) -> None:
    """model_temporal.safetensors: the temporal encoders alone, and a resized position table."""
    config = SMALL
    kernel = "visual_head.fusion_layer.weight"
    weights = {kernel: random(generator, config.embed_dim, 1, 3, std=3**-0.5)}
    features = random(generator, 3, config.temporal.frames, config.embed_dim)
    expected = {
        fusion: reference.fuse_frames(shared | weights, config, Options(fusion=fusion), features)
        for fusion in ("transformer", "mean", "conv1d")
    }
    table = shared["backbone.visual.positional_embedding"]
    side = math.isqrt(config.vision.patches)
    grid = table[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    for new_side in (2, 7):
        resized = functional.interpolate(
            grid, size=(new_side, new_side), mode="bicubic", align_corners=True
        )
        resized = resized.permute(0, 2, 3, 1).reshape(new_side**2, -1)
        expected[f"positional_embedding.{new_side}x{new_side}"] = torch.cat([table[:1], resized])
    save(
        "model_temporal",
        {"model": asdict(config), "fusions": ["transformer", "mean", "conv1d"]},
        {
            **prefixed("weights", weights),
            "input/frame_features": features,
            **prefixed("expected", expected),
        },
    )


def main() -> None:
    release = release_argument(__doc__)
    torch.set_num_threads(1)
    weights, inputs = write_model(torch.Generator().manual_seed(2023))
    write_saam(torch.Generator().manual_seed(2024), weights, inputs)
    write_temporal(torch.Generator().manual_seed(2025), weights)

    images, masks = inputs["frames"].flatten(0, 1), inputs["subject_mask"].flatten(0, 1)
    cross_checks.check_open_clip(weights, SMALL, images, masks, inputs["tokens"])
    tokens = random(torch.Generator().manual_seed(1), 2, 18, SMALL.vision.width)
    cross_checks.check_torch_attention(weights, SMALL, tokens)
    features = random(torch.Generator().manual_seed(2), 3, SMALL.temporal.frames, SMALL.embed_dim)
    cross_checks.check_torch_temporal(weights, SMALL, features)
    if release:
        batch = inputs | {"tokens": inputs["tokens"][:3]}
        cross_checks.check_release_model(release, weights, SMALL, batch, BETA)


if __name__ == "__main__":
    main()
