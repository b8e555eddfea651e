"""Makes goldens/{model,loss,optim}*.safetensors: the model, its loss, one optimiser, the schedule.

    python generate_model.py                      # writes the goldens
    python generate_model.py --release CHECKOUT   # also holds the reference against the authors' code

Everything is computed in float64 from float32 weights and stored as float32, so a golden is the
truth to float32 rounding. Tensors are named `weights/<key>`, `input/<name>`, `expected/<name>` and
`grad/<key>`, where keys are the release's checkpoint keys; the header's `config` entry is JSON with
the dimensions and options of the cases. README.md describes each file.
"""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

import cross_checks
import reference
from reference import ModelConfig, Options, TemporalConfig, TextConfig, VisionConfig, Weights

GOLDENS = Path(__file__).parent / "goldens"

SMALL = ModelConfig(
    embed_dim=16,
    vision=VisionConfig(image_size=32, patch_size=8, width=24, layers=2, heads=4),
    text=TextConfig(vocab_size=540, context_length=16, width=18, layers=2, heads=3),
    temporal=TemporalConfig(frames=4, layers=2, heads=4, feed_forward=32),
)
"""For the model's goldens: every width differs, so a transposed matrix cannot pass unseen."""

TINY = ModelConfig(
    embed_dim=8,
    vision=VisionConfig(image_size=16, patch_size=8, width=12, layers=1, heads=2),
    text=TextConfig(vocab_size=520, context_length=8, width=8, layers=1, heads=2),
    temporal=TemporalConfig(frames=2, layers=1, heads=2, feed_forward=12),
)
"""For the optimiser's golden, which holds six copies of the weights."""

MODEL_BETA = 0.5
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


def save(name: str, config: dict, tensors: dict[str, Tensor]) -> None:
    """Stores float64 as float32, except the schedule's learning rates, which stay float64."""
    stored = {}
    for key, value in tensors.items():
        value = value.detach()
        if value.dtype == torch.float64 and not name.startswith("optim_schedule"):
            value = value.float()
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise SystemExit(f"{name}: {key} is not finite")
        stored[key] = value.contiguous().clone()
    GOLDENS.mkdir(exist_ok=True)
    path = GOLDENS / f"{name}.safetensors"
    save_file(stored, path, metadata={"config": json.dumps(config)})
    print(f"{path.name}: {len(stored)} tensors, {path.stat().st_size / 1000:.0f} kB")


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{key}": value for key, value in tensors.items()}


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
            video, text, scale, inputs["sentiment"], MODEL_BETA, direction
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
            "beta": MODEL_BETA,
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
            "beta": MODEL_BETA,
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


def loss_inputs(generator: torch.Generator) -> dict[str, dict[str, Tensor]]:
    """Batches by name: features before normalisation, logit scale and sentiment logits."""

    def batch(size: int, sentiment: Tensor, logit_scale: float) -> dict[str, Tensor]:
        return {
            "video": random(generator, size, 8),
            "text": random(generator, size, 8),
            "sentiment": sentiment,
            "logit_scale": torch.tensor(logit_scale, dtype=torch.float32).double(),
        }

    twins = random(generator, 5, 7, std=2.0)
    twins[2], twins[3] = twins[0], twins[1]
    saturated = torch.full((5, 7), -80.0, dtype=torch.float64)
    for row, column in enumerate([0, 0, 3, 6]):
        saturated[row, column] = 80.0
    saturated[1, 2] = -20.0
    saturated[4] = 80.0
    one_row = random(generator, 1, 7, std=2.0)
    return {
        "ordinary": batch(5, random(generator, 5, 7, std=2.0), 2.0),
        "identical_rows": batch(5, twins, 2.0),
        "saturated": batch(5, saturated, math.log(100.0)),
        "all_removed": batch(4, one_row.expand(4, 7).clone(), 2.5),
        "single": batch(1, random(generator, 1, 7, std=2.0), 2.5),
    }


def write_loss(generator: torch.Generator) -> None:
    """loss.safetensors: the loss and its gradients, degenerate batches included."""
    inputs = loss_inputs(generator)
    tensors, cases = {}, []
    for name, batch in inputs.items():
        tensors |= prefixed(f"input/{name}", batch)
        for direction in ("paper", "release"):
            for beta in (0.0, 0.5, 10.0):
                leaves = {
                    key: batch[key].clone().requires_grad_()
                    for key in ("video", "text", "logit_scale")
                }
                loss = reference.sentiment_guided_loss(
                    **leaves, sentiment=batch["sentiment"], beta=beta, direction=direction
                )
                loss.backward()
                case = f"{name}.{direction}.{beta:g}"
                cases.append(
                    {"name": case, "input": name, "kl_direction": direction, "beta": beta}
                )
                tensors[f"expected/{case}/loss"] = loss
                for key, leaf in leaves.items():
                    tensors[f"grad/{case}/{key}"] = leaf.grad
    save("loss", {"cases": cases}, tensors)


LEARNING_RATES = dict(
    zip(reference.PARAMETER_GROUPS, [0.03, 0.02, 0.05, 0.01, 0.04, 0.015, 0.06], strict=True)
)
"""Large and all different: a step must show in float32 and a wrong group must not pass."""


def group_settings(rates: dict[str, float]) -> dict[str, dict[str, float]]:
    return {
        group: {"lr": rate, "weight_decay": 0.1 if group.endswith("rest") else 0.0}
        for group, rate in rates.items()
    }


def write_optimiser(generator: torch.Generator) -> None:
    """optim.safetensors: three AdamW steps of the SAAM model on one batch, by torch's AdamW."""
    config = TINY
    options = Options(subject="saam", saam_layers=1)
    size, frames = config.vision.image_size, config.temporal.frames
    weights = model_weights(generator, config, logit_scale=0.1)
    weights |= saam_weights(generator, config)
    masks = subject_masks(generator, size)[[2, 5, 8, 1, 0, 7]]
    inputs = {
        "frames": random(generator, 3, frames, 3, size, size),
        "subject_mask": masks.reshape(3, frames, size, size),
        "tokens": token_rows(generator, config.text, [3, 7, 5]),
        "sentiment": random(generator, 3, 7, std=2.0),
    }
    settings = group_settings(LEARNING_RATES)
    leaves = {
        key: torch.nn.Parameter(value.clone())
        for key, value in weights.items()
        if key != "backbone.logit_scale"
    }
    groups = {key: reference.parameter_group(key, leaf.ndim) for key, leaf in leaves.items()}
    optimiser = torch.optim.AdamW(
        [
            {"params": [leaves[k] for k, g in groups.items() if g == group], **settings[group]}
            for group in reference.PARAMETER_GROUPS
        ],
        betas=(0.98, 0.9),
        eps=1e-6,
    )
    tensors = {**prefixed("weights", weights), **prefixed("input", inputs)}
    losses, clamped = [], 0
    for step in (1, 2, 3):
        optimiser.zero_grad()
        loss = forward(leaves, config, options, inputs)["loss"]
        loss.backward()
        losses.append(loss.detach())
        tensors |= {f"grad/step{step}/{key}": leaf.grad.clone() for key, leaf in leaves.items()}
        optimiser.step()
        scale = leaves["logit_scale"]
        clamped += int(scale.item() < 0.0)
        with torch.no_grad():
            scale.clamp_(0.0, math.log(100.0))
        if step in (1, 3):
            tensors |= {
                f"expected/step{step}/{key}": leaf.detach().clone() for key, leaf in leaves.items()
            }
    if clamped == 0:
        raise SystemExit("the logit scale never reached its bound: choose other weights")
    tensors["expected/losses"] = torch.stack(losses)
    save(
        "optim",
        {
            "model": asdict(config),
            "case": asdict(options),
            "beta": MODEL_BETA,
            "kl_direction": "paper",
            "adamw": {"beta1": 0.98, "beta2": 0.9, "eps": 1e-6},
            "logit_scale_bounds": [0.0, math.log(100.0)],
            "groups": settings,
            "group_of": groups,
        },
        tensors,
    )


RELEASE_RATES = {
    group: 5e-5 if group.endswith("gain_bias") else 1e-8 for group in reference.PARAMETER_GROUPS
}

SCHEDULES = {
    "warm_up_ends_inside_an_epoch": {"steps_per_epoch": 641, "warm_up_steps": 10_000},
    "warm_up_ends_with_an_epoch": {"steps_per_epoch": 12, "warm_up_steps": 36},
    "warm_up_outlasts_training": {"steps_per_epoch": 30, "warm_up_steps": 10_000},
}


def write_schedule() -> None:
    """optim_schedule.safetensors: learning rates at sampled steps, and their sum over all steps."""
    tensors, epochs = {}, 25
    for name, setting in SCHEDULES.items():
        steps = setting["steps_per_epoch"] * epochs
        rates = torch.tensor(
            [
                [
                    reference.learning_rate(base, step, epochs=epochs, **setting)
                    for base in RELEASE_RATES.values()
                ]
                for step in range(steps)
            ],
            dtype=torch.float64,
        )
        turning_points = [epoch * setting["steps_per_epoch"] for epoch in range(epochs + 1)]
        turning_points.append(setting["warm_up_steps"])
        kept = set(range(0, steps, max(1, steps // 300)))
        kept |= {point + offset for point in turning_points for offset in (-2, -1, 0, 1)}
        sampled = torch.tensor(sorted(step for step in kept if 0 <= step < steps))
        tensors[f"input/{name}/step"] = sampled
        tensors[f"expected/{name}/lr"] = rates[sampled]
        tensors[f"expected/{name}/lr_sum"] = rates.sum(0)
    config = {
        "epochs": epochs,
        "warm_up_factor": 1e-5,
        "minimum": 1e-10,
        "groups": RELEASE_RATES,
        "schedules": SCHEDULES,
    }
    save("optim_schedule", config, tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, help="checkout of the authors' repository")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    weights, inputs = write_model(torch.Generator().manual_seed(2023))
    write_saam(torch.Generator().manual_seed(2024), weights, inputs)
    write_temporal(torch.Generator().manual_seed(2025), weights)
    write_loss(torch.Generator().manual_seed(2026))
    write_optimiser(torch.Generator().manual_seed(2027))
    write_schedule()

    images, masks = inputs["frames"].flatten(0, 1), inputs["subject_mask"].flatten(0, 1)
    cross_checks.check_open_clip(weights, SMALL, images, masks, inputs["tokens"])
    tokens = random(torch.Generator().manual_seed(1), 2, 18, SMALL.vision.width)
    cross_checks.check_torch_attention(weights, SMALL, tokens)
    features = random(torch.Generator().manual_seed(2), 3, SMALL.temporal.frames, SMALL.embed_dim)
    cross_checks.check_torch_temporal(weights, SMALL, features)
    if arguments.release:
        batch = inputs | {"tokens": inputs["tokens"][:3]}
        cross_checks.check_release_model(arguments.release, weights, SMALL, batch, MODEL_BETA)
        cross_checks.check_release_groups(arguments.release, weights, SMALL)
        bases = list(RELEASE_RATES.values())
        for setting in SCHEDULES.values():
            cross_checks.check_release_schedule(arguments.release, bases, epochs=25, **setting)


if __name__ == "__main__":
    main()
