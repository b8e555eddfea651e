"""Full-size ViT-B/32 checkpoints with random weights, and what PyTorch computes with them.

    python full_size.py --out DIR [--release CHECKOUT] [--optimizer-state]
    python full_size.py --release CHECKOUT --check-ours WEIGHTS --io IO

The first form writes, for the Rust side to import and compare:

    DIR/open_clip/weights.pt, weights.safetensors   open_clip's ViT-B-32 state dict, two containers
    DIR/hugging_face/config.json, model.safetensors transformers' CLIPModel, default configuration
    DIR/release/checkpoint.pt                       the authors' EmotionCLIP as their trainer saves it
    DIR/<each>/io.safetensors                       inputs and expected features

`io.safetensors` holds, for the two CLIPs, `input/image` [2, 3, 224, 224], `input/tokens` [4, 77]
(i64), `expected/image_features` [2, 512] and `expected/text_features` [4, 512]; for the release
`input/frames` [2, 8, 3, 224, 224], `input/subject_mask` [2, 8, 224, 224], `input/tokens` [2, 77],
`expected/frame_features` [16, 512], `expected/video_features` and `expected/text_features`
[2, 512]. Features are not normalised. `expected/` was computed in float64 and rounded,
`expected_f32/` (the same names) in float32: the distance between the two is PyTorch's own error.

The second form goes the other way. WEIGHTS is a safetensors file with the release's keys, exported
by the Rust side; the authors' class must load it strictly. IO is a safetensors file with
`input/frames` [B, 8, 3, 224, 224], `input/subject_mask` [B, 8, 224, 224], `input/tokens` [B, 77] and
`output/video_features`, `output/text_features` [B, 512] as the Rust side computed them, not
normalised. One JSON object a line is printed for each compared feature; the exit status is 1 if one
lies outside the tolerance.
"""

import argparse
import contextlib
import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

import cross_checks
import reference

SENTENCES = [
    "I can't believe you did that, get out of my sight!",
    "we finally made it, look at the view",
    "Oh.",
    "She hasn't called since Tuesday, and nobody at the office has heard a word from her either.",
]

MAX_RELATIVE_ERROR = 1e-4
MIN_COSINE = 0.99999
"""The float32 tolerances of the numerical contract."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def smooth_pictures(seed: int, count: int, mean: tuple, std: tuple) -> Tensor:
    """Normalised pictures [count, 3, 224, 224] with the spectrum of photographs: a few octaves of
    noise, the coarse ones strongest."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(count, 3, 224, 224)
    for side, strength in ((4, 0.25), (14, 0.12), (56, 0.05), (224, 0.02)):
        noise = torch.randn(count, 3, side, side, generator=generator) * strength
        picture += functional.interpolate(noise, size=(224, 224), mode="bicubic")
    picture = (picture + 0.5).clamp(0, 1)
    return (picture - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def subject_boxes(videos: int, frames: int) -> Tensor:
    """Masks [videos, frames, 224, 224] of a box that drifts; the last frame has no box."""
    masks = torch.zeros(videos, frames, 224, 224)
    for video in range(videos):
        for frame in range(frames - 1):
            top, left = 20 + 37 * video + 5 * frame, 15 + 11 * frame
            masks[video, frame, top : top + 117, left : left + 71 + 20 * video] = 1.0
    return masks


@torch.no_grad()
def unsettle(model: nn.Module, seed: int) -> None:
    """Moves every bias and gain off its initial 0 or 1, or mixing two up would change nothing."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


@torch.no_grad()
def expected_features(
    model: nn.Module, features: Callable[[nn.Module, torch.dtype], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Runs `features` with the model in float64 and in float32."""
    single = features(model, torch.float32)
    double = features(copy.deepcopy(model).double(), torch.float64)
    return {
        **{f"expected/{key}": value.float().contiguous() for key, value in double.items()},
        **{f"expected_f32/{key}": value.contiguous() for key, value in single.items()},
    }


def tokenize(sentences: list[str]) -> Tensor:
    return open_clip.get_tokenizer("ViT-B-32")(sentences)


def write_open_clip(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(11)
    model = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    unsettle(model, seed=12)
    torch.save(model.state_dict(), directory / "weights.pt")
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()},
        directory / "weights.safetensors",
    )
    image = smooth_pictures(13, 2, CLIP_MEAN, CLIP_STD)
    tokens = tokenize(SENTENCES)
    expected = expected_features(
        model,
        lambda model, dtype: {
            "image_features": model.encode_image(image.to(dtype)),
            "text_features": model.encode_text(tokens),
        },
    )
    save_file(
        {"input/image": image, "input/tokens": tokens, **expected}, directory / "io.safetensors"
    )


def write_hugging_face(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(21)
    model = CLIPModel(CLIPConfig(projection_dim=512)).eval()
    unsettle(model, seed=22)
    model.save_pretrained(directory, safe_serialization=True)
    image = smooth_pictures(23, 2, CLIP_MEAN, CLIP_STD)
    tokens = tokenize(SENTENCES)

    def features(model: CLIPModel, dtype: torch.dtype) -> dict[str, Tensor]:
        seen = model.vision_model(pixel_values=image.to(dtype)).pooler_output
        read = model.text_model(input_ids=tokens).pooler_output
        return {
            "image_features": model.visual_projection(seen),
            "text_features": model.text_projection(read),
        }

    save_file(
        {"input/image": image, "input/tokens": tokens, **expected_features(model, features)},
        directory / "io.safetensors",
    )


def release_model(checkout: Path) -> nn.Module:
    base = cross_checks.import_release(checkout, "src.models.base")
    settings = checkout / "src" / "models" / "model_configs" / "ViT-B-32.json"
    return base.EmotionCLIP(backbone_config=str(settings), video_len=8).eval()


def release_arguments(checkout: Path) -> dict:
    """The settings their trainer stores; building them makes an experiment folder where one stands,
    hence the scratch directory."""
    options = cross_checks.import_release(checkout, "src.options")
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        return vars(options.DefaultArgs(exp_id="parity"))


def release_checkpoint(checkout: Path, model: nn.Module, optimizer_state: bool) -> dict:
    """{args, epoch, model, optimizer, grad_scaler, lr_scheduler}, live parameters included."""
    arguments = release_arguments(checkout)
    rates = {
        group: arguments["lr_backbone_gb" if group.endswith("gain_bias") else "lr_backbone_rest"]
        for group in reference.PARAMETER_GROUPS
    }
    members = {group: [] for group in reference.PARAMETER_GROUPS}
    for name, parameter in model.named_parameters():
        members[reference.parameter_group(name, parameter.ndim)].append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rates[group],
                "weight_decay": 0.1 if group.endswith("rest") else 0.0,
            }
            for group, parameters in members.items()
        ],
        betas=(0.98, 0.9),
        eps=1e-6,
    )
    if optimizer_state:
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter) * 1e-3
        optimizer.step()
    scheduler_class = cross_checks.import_release(
        checkout, "src.engine.lr_scheduler"
    ).LRWarmupScheduler
    scheduler = scheduler_class(
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=25, eta_min=1e-10),
        epoch_len=500,
        warmup_t=10_000,
        warmup_mode="auto",
        warmup_init_factor=1e-5,
    )
    return {
        "args": arguments,
        "epoch": 0,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "grad_scaler": {
            "scale": 65536.0,
            "growth_factor": 2.0,
            "backoff_factor": 0.5,
            "growth_interval": 2000,
            "_growth_tracker": 0,
        },
        "lr_scheduler": scheduler.state_dict(),
    }


def write_release(directory: Path, checkout: Path, optimizer_state: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(31)
    model = release_model(checkout)
    unsettle(model, seed=32)
    torch.save(
        release_checkpoint(checkout, model, optimizer_state), directory / "checkpoint.pt"
    )
    frames = smooth_pictures(33, 16, IMAGENET_MEAN, IMAGENET_STD).reshape(2, 8, 3, 224, 224)
    masks = subject_boxes(2, 8)
    tokens = tokenize(SENTENCES[:2])

    def features(model: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
        seen = model.encode_image(frames.flatten(0, 1).to(dtype), masks.flatten(0, 1).to(dtype))
        return {
            "frame_features": seen,
            "video_features": model.visual_head(seen.reshape(2, 8, -1)),
            "text_features": model.encode_text(tokens),
        }

    inputs = {"input/frames": frames, "input/subject_mask": masks, "input/tokens": tokens}
    save_file({**inputs, **expected_features(model, features)}, directory / "io.safetensors")


@torch.no_grad()
def check_ours(checkout: Path, weights: Path, io: Path) -> bool:
    """Loads the Rust side's export into the authors' class and compares what both compute."""
    model = release_model(checkout)
    model.load_state_dict(load_file(weights), strict=True)
    tensors = load_file(io)
    theirs = {
        "video_features": model.encode_video(
            tensors["input/frames"], tensors["input/subject_mask"]
        ),
        "text_features": model.encode_text(tensors["input/tokens"].long()),
    }
    within = True
    for name, expected in theirs.items():
        ours = tensors[f"output/{name}"]
        relative = float((ours - expected).norm() / expected.norm())
        cosine = float(functional.cosine_similarity(ours.double(), expected.double()).min())
        within &= relative <= MAX_RELATIVE_ERROR and cosine >= MIN_COSINE
        print(json.dumps({"feature": name, "relative_l2": relative, "cosine": cosine}))
    return within


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder for checkpoints and expected features")
    parser.add_argument("--release", type=Path, help="checkout of the authors' repository")
    parser.add_argument(
        "--optimizer-state",
        action="store_true",
        help="take an optimiser step first, so that the release's pickle holds moments (1.9 GB)",
    )
    parser.add_argument("--check-ours", type=Path, metavar="WEIGHTS", help="our export to load")
    parser.add_argument("--io", type=Path, help="our inputs and outputs, with --check-ours")
    arguments = parser.parse_args()

    if arguments.check_ours:
        if not (arguments.release and arguments.io):
            parser.error("--check-ours needs --release and --io")
        if not check_ours(arguments.release, arguments.check_ours, arguments.io):
            raise SystemExit(1)
    elif arguments.out:
        write_open_clip(arguments.out / "open_clip")
        write_hugging_face(arguments.out / "hugging_face")
        if arguments.release:
            write_release(
                arguments.out / "release", arguments.release, arguments.optimizer_state
            )
    else:
        parser.error("give --out, or --check-ours with --release and --io")


if __name__ == "__main__":
    main()
