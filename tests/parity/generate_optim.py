"""Makes goldens/optim*.safetensors: AdamW steps with seven groups, and the learning rates of a run.

    python generate_optim.py                      # writes the goldens
    python generate_optim.py --release CHECKOUT   # also holds groups and rates against the authors' code
"""

import math
from dataclasses import asdict

import torch

import cross_checks
import reference
from golden_file import prefixed, release_argument, save
from reference import ModelConfig, Options, TemporalConfig, TextConfig, VisionConfig
from small_models import BETA, forward, model_weights, random, saam_weights, subject_masks, token_rows

TINY = ModelConfig(
    embed_dim=8,
    vision=VisionConfig(image_size=16, patch_size=8, width=12, layers=1, heads=2),
    text=TextConfig(vocab_size=520, context_length=8, width=8, layers=1, heads=2),
    temporal=TemporalConfig(frames=2, layers=1, heads=2, feed_forward=12),
)
"""The golden holds six copies of these weights."""

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
            "beta": BETA,
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
    save("optim_schedule", config, tensors, keep_float64=True)


def main() -> None:
    release = release_argument(__doc__)
    torch.set_num_threads(1)
    write_optimiser(torch.Generator().manual_seed(2027))
    write_schedule()
    if release:
        weights = model_weights(torch.Generator().manual_seed(2027), TINY, logit_scale=0.1)
        cross_checks.check_release_groups(release, weights, TINY)
        bases = list(RELEASE_RATES.values())
        for setting in SCHEDULES.values():
            cross_checks.check_release_schedule(release, bases, epochs=25, **setting)


if __name__ == "__main__":
    main()
