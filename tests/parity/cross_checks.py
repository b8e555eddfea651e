"""Holds reference.py against implementations written by other people.

open_clip has the plain frame encoder and the text encoder, torch has the temporal encoder, and a
checkout of the authors' release has subject-aware prompting, the loss and the schedule. What is in
none of them (subject-aware attention masking, the degenerate losses) rests on reference.py alone.
"""

import ast
import importlib
import json
import sys
import tempfile
from pathlib import Path

import open_clip
import torch
from torch import Tensor, nn

import reference
from reference import ModelConfig, Options, Weights

RELATIVE_TOLERANCE = 1e-10
"""Both sides run in float64 and differ only in the order of sums."""


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def expect_equal(what: str, ours: Tensor, theirs: Tensor) -> None:
    error = relative_error(ours.detach(), theirs.detach())
    print(f"  {what}: relative error {error:.1e}")
    if not error <= RELATIVE_TOLERANCE:
        raise SystemExit(f"{what} disagrees: relative error {error:.1e}")


def backbone_weights(weights: Weights) -> Weights:
    own = ("human_embedding", "saam")
    return {
        key.removeprefix("backbone."): value
        for key, value in weights.items()
        if key.startswith("backbone.") and not any(part in key for part in own)
    }


def backbone_settings(config: ModelConfig) -> dict:
    """The settings open_clip and the release both build a CLIP from."""
    vision, text = config.vision, config.text
    return {
        "embed_dim": config.embed_dim,
        "vision_cfg": {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "width": vision.width,
            "layers": vision.layers,
            "head_width": vision.width // vision.heads,
        },
        "text_cfg": {
            "context_length": text.context_length,
            "vocab_size": text.vocab_size,
            "width": text.width,
            "layers": text.layers,
            "heads": text.heads,
        },
    }


@torch.no_grad()
def check_open_clip(
    weights: Weights, config: ModelConfig, frames: Tensor, subject_mask: Tensor, tokens: Tensor
) -> None:
    print("against open_clip")
    for activation in ("gelu", "quick_gelu"):
        clip = open_clip.CLIP(**backbone_settings(config), quick_gelu=activation == "quick_gelu")
        clip = clip.double().eval()
        clip.load_state_dict(backbone_weights(weights), strict=True)
        options = Options(subject="vanilla", activation=activation)
        ours = reference.encode_frames(weights, config, options, frames, subject_mask).features
        expect_equal(f"frames, {activation}", ours, clip.encode_image(frames))
        ours = reference.encode_text(weights, config, options, tokens)
        expect_equal(f"text, {activation}", ours, clip.encode_text(tokens))


@torch.no_grad()
def check_torch_attention(weights: Weights, config: ModelConfig, x: Tensor) -> None:
    print("against torch's attention")
    name = "backbone.visual.transformer.resblocks.0.attn"
    layer = nn.MultiheadAttention(config.vision.width, config.vision.heads, batch_first=True)
    layer = layer.double()
    layer.load_state_dict(
        {key.removeprefix(f"{name}."): value for key, value in weights.items() if name in key}
    )
    theirs, theirs_probabilities = layer(x, x, x, average_attn_weights=False)
    ours, probabilities, _ = reference.attention(x, weights, name, config.vision.heads)
    expect_equal("output", ours, theirs)
    expect_equal("probabilities", probabilities, theirs_probabilities)


@torch.no_grad()
def check_torch_temporal(weights: Weights, config: ModelConfig, x: Tensor) -> None:
    print("against torch's transformer encoder")
    temporal = config.temporal
    layer = nn.TransformerEncoderLayer(
        config.embed_dim,
        temporal.heads,
        temporal.feed_forward,
        activation="gelu",
        batch_first=True,
    )
    encoder = nn.TransformerEncoder(layer, temporal.layers, norm=nn.LayerNorm(config.embed_dim))
    encoder = encoder.double().eval()
    prefix = "visual_head.fusion_layer."
    encoder.load_state_dict(
        {key.removeprefix(prefix): value for key, value in weights.items() if prefix in key}
    )
    positions = weights["visual_head.frame_position_embedding.weight"]
    theirs = (encoder(x + positions) + x).mean(1)
    expect_equal("transformer", reference.fuse_frames(weights, config, Options(), x), theirs)


def import_release(checkout: Path, module: str):
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    return importlib.import_module(module)


def release_model(checkout: Path, weights: Weights, config: ModelConfig) -> nn.Module:
    """The authors' EmotionCLIP in float64 with our weights."""
    base = import_release(checkout, "src.models.base")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as settings:
        json.dump(backbone_settings(config), settings)
        settings.flush()
        model = base.EmotionCLIP(
            backbone_config=settings.name, video_len=config.temporal.frames
        )
    model.visual_head = base.VisualHead(
        embed_dim=config.embed_dim,
        video_len=config.temporal.frames,
        transformer_nhead=config.temporal.heads,
        transformer_nlayer=config.temporal.layers,
        transformer_dim_feedforward=config.temporal.feed_forward,
    )
    model = model.double().eval()
    state = {key: value.detach() for key, value in weights.items()}
    state["visual_head.position_ids"] = torch.arange(config.temporal.frames)
    model.load_state_dict(state, strict=True)
    return model


def check_release_model(
    checkout: Path, weights: Weights, config: ModelConfig, inputs: dict[str, Tensor], beta: float
) -> None:
    """Features, loss and every gradient with the authors' own classes (SAP, their KL direction)."""
    print("against the authors' model and loss")
    model = release_model(checkout, weights, config)
    video, text, scale = model(inputs["frames"], inputs["subject_mask"], inputs["tokens"])
    criterion = import_release(checkout, "src.models.loss_v2").ReweightedClipLoss(
        sentiment_scale=beta
    )
    their_loss = criterion(video, text, scale, inputs["sentiment"])
    their_loss.backward()

    ours = {key: value.detach().clone().requires_grad_() for key, value in weights.items()}
    ours["backbone.logit_scale"] = ours["logit_scale"]
    our_video = reference.encode_video(
        ours, config, Options(), inputs["frames"], inputs["subject_mask"]
    )
    our_text = reference.encode_text(ours, config, Options(), inputs["tokens"])
    our_loss = reference.sentiment_guided_loss(
        our_video, our_text, ours["logit_scale"], inputs["sentiment"], beta, "release"
    )
    our_loss.backward()
    expect_equal("video", reference.normalise(our_video), video)
    expect_equal("text", reference.normalise(our_text), text)
    expect_equal("loss", our_loss, their_loss)
    gradients = [(ours[name].grad, p.grad) for name, p in model.named_parameters()]
    expect_equal(
        "all gradients",
        torch.cat([mine.flatten() for mine, _ in gradients]),
        torch.cat([theirs.flatten() for _, theirs in gradients]),
    )


def release_learning_rates(
    checkout: Path, bases: list[float], steps_per_epoch: int, epochs: int, warm_up_steps: int
) -> Tensor:
    """[steps, groups], read from the authors' scheduler driven as their trainer drives it."""
    scheduler_class = import_release(checkout, "src.engine.lr_scheduler").LRWarmupScheduler
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": base} for base in bases]
    optimizer = torch.optim.AdamW(groups)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs, eta_min=1e-10)
    scheduler = scheduler_class(
        cosine,
        by_epoch=True,
        epoch_len=steps_per_epoch,
        warmup_t=warm_up_steps,
        warmup_by_epoch=False,
        warmup_mode="auto",
        warmup_init_factor=1e-5,
    )
    rates = []
    for _ in range(epochs):
        for _ in range(steps_per_epoch):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.iter_step()
        scheduler.epoch_step()
    return torch.tensor(rates, dtype=torch.float64)


def check_release_schedule(
    checkout: Path, bases: list[float], steps_per_epoch: int, epochs: int, warm_up_steps: int
) -> None:
    print(f"against the authors' schedule, {steps_per_epoch} steps an epoch")
    theirs = release_learning_rates(checkout, bases, steps_per_epoch, epochs, warm_up_steps)
    ours = torch.tensor(
        [
            [
                reference.learning_rate(base, step, steps_per_epoch, epochs, warm_up_steps)
                for base in bases
            ]
            for step in range(steps_per_epoch * epochs)
        ],
        dtype=torch.float64,
    )
    error = float(((ours - theirs) / theirs).abs().max())
    print(f"  largest relative error {error:.1e}")
    if not error <= 1e-12:
        raise SystemExit(f"the schedule disagrees: relative error {error:.1e}")


def check_release_groups(checkout: Path, weights: Weights, config: ModelConfig) -> None:
    """Group membership against the filters of the authors' main.py, which are run as they stand."""
    print("against the authors' parameter groups")
    model = release_model(checkout, weights, config)
    script = ast.parse((checkout / "main.py").read_text())
    scope = {"model": model}
    for node in ast.walk(script):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        if name == "all_named_parameters" or name.endswith("_params"):
            exec(compile(ast.Module([node], []), "main.py", "exec"), scope)
    group_lists = [
        "frame_gb_params",
        "frame_rest_params",
        "text_gb_params",
        "text_rest_params",
        "temporal_gb_params",
        "temporal_rest_params",
        "logit_scale_params",
    ]
    theirs = {
        id(parameter): ours
        for ours, listed in zip(reference.PARAMETER_GROUPS, group_lists, strict=True)
        for parameter in scope[listed]
    }
    named = dict(model.named_parameters())
    for name, parameter in named.items():
        ours = reference.parameter_group(name, parameter.ndim)
        if theirs[id(parameter)] != ours:
            raise SystemExit(f"{name}: {ours} here, {theirs[id(parameter)]} there")
    if set(named) != {key for key in weights if key != "backbone.logit_scale"}:
        raise SystemExit("the release names other parameters")
    print(f"  {len(named)} parameters, same names and groups")
