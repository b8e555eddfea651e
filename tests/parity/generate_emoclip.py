"""Makes goldens/emoclip*: EmoCLIP's model, optimisers, clip variation and windows.

    python generate_emoclip.py                      # writes the goldens
    python generate_emoclip.py --release CHECKOUT   # also holds the equations against EmoCLIP's code

CLIP's towers are those of `reference.py`; the temporal transformer is written out here.

    emoclip.safetensors          a small model, a batch, its features and loss, the gradient of every
                                 parameter but CLIP's own logit scale, the temporal transformer alone
                                 on clips of 1 and 7 frames, and a downstream head on the same weights
    emoclip_optim.safetensors    weights after one and after three steps with the model's gradients
                                 times GRADIENT_FACTORS, by torch's SGD, Adam and AdamW; both towers at
                                 a thousandth of the rate; the rate drops before the third step
    emoclip_frames.safetensors   prepared photographs, varied and sampled, and where each pixel of a
                                 small plane comes from (0 is outside)
    emoclip_data_parallel.pt     the same model as EmoCLIP saves it after data-parallel training on a
                                 GPU: `module.` before the keys, CLIP's matrices in half precision

What is in the headers: configurations, learning rates over 60 epochs, frame indices of windows.
"""

import importlib.util
import math
import sys
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

import reference
from cross_checks import expect_equal
from generate_preprocess import STRIDE, resize_to, sources
from golden_file import GOLDENS, prefixed, release_argument, save
from reference import ModelConfig, Options, TemporalConfig, TextConfig, VisionConfig, Weights
from small_models import linear_weights, model_weights, norm_weights, random, token_rows

TOWERS = ModelConfig(
    embed_dim=8,
    vision=VisionConfig(image_size=8, patch_size=4, width=12, layers=1, heads=2),
    text=TextConfig(vocab_size=520, context_length=8, width=6, layers=1, heads=2),
    temporal=TemporalConfig(frames=3, layers=2, heads=2, feed_forward=6),
)
HEAD_WIDTH = 12
"""Two heads of it are three tokens wide, so that nothing fits where it does not belong."""
POSITIONS = 10
OPTIONS = Options(subject="vanilla", activation="quick_gelu")
OUTPUTS = 3

CONFIG = {
    "embed_dim": TOWERS.embed_dim,
    "activation": OPTIONS.activation,
    "vision": {**asdict(TOWERS.vision), "subject": OPTIONS.subject},
    "text": asdict(TOWERS.text),
    "temporal": {
        **asdict(TOWERS.temporal),
        "positions": POSITIONS,
        "head_width": HEAD_WIDTH,
    },
}
"""As our configuration files spell it."""


def layer_names(layer: int) -> tuple[str, str]:
    block = f"temporal.temporal_transformer.layers.{layer}"
    return f"{block}.0.fn", f"{block}.1.fn"


def emoclip_weights(generator: torch.Generator) -> Weights:
    """Both logit scales differ, as they do once EmoCLIP's own is trained."""
    width, temporal = TOWERS.embed_dim, TOWERS.temporal
    inner = temporal.heads * HEAD_WIDTH
    weights = {
        key: value
        for key, value in model_weights(generator, TOWERS, logit_scale=2.0).items()
        if key.startswith("backbone.")
    }
    weights["logit_scale"] = torch.tensor(1.5, dtype=torch.float64)
    weights["temporal.cls_token"] = random(generator, 1, 1, width)
    weights["temporal.pos_embedding"] = random(generator, 1, POSITIONS, width)
    for layer in range(temporal.layers):
        attention, feed_forward = layer_names(layer)
        weights |= norm_weights(generator, f"{attention}.norm", width)
        weights[f"{attention}.fn.to_qkv.weight"] = random(
            generator, 3 * inner, width, std=width**-0.5
        )
        weights |= linear_weights(generator, f"{attention}.fn.to_out.0", inner, width)
        weights |= norm_weights(generator, f"{feed_forward}.norm", width)
        hidden = temporal.feed_forward
        weights |= linear_weights(generator, f"{feed_forward}.fn.net.0", width, hidden)
        weights |= linear_weights(generator, f"{feed_forward}.fn.net.3", hidden, width)
    return weights


def tanh_gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def wide_attention(x: Tensor, weights: Weights, name: str) -> Tensor:
    """Heads of HEAD_WIDTH; the joint projection has no bias and holds q, k, v one after another."""
    batch, tokens, _ = x.shape
    inner = TOWERS.temporal.heads * HEAD_WIDTH
    query, key, value = (
        part.reshape(batch, tokens, TOWERS.temporal.heads, HEAD_WIDTH).transpose(1, 2)
        for part in (x @ weights[f"{name}.to_qkv.weight"].T).split(inner, dim=-1)
    )
    probabilities = reference.softmax(query @ key.transpose(-1, -2) / math.sqrt(HEAD_WIDTH))
    mixed = (probabilities @ value).transpose(1, 2).reshape(batch, tokens, inner)
    return reference.linear(mixed, weights, f"{name}.to_out.0")


def temporal_tokens(weights: Weights, x: Tensor) -> Tensor:
    """Frame features [B, T, E] to all output tokens [B, T + 1, E]."""
    cls = weights["temporal.cls_token"].expand(x.shape[0], 1, -1)
    x = torch.cat([cls, x], dim=1)
    x = x + weights["temporal.pos_embedding"][:, : x.shape[1]]
    for layer in range(TOWERS.temporal.layers):
        attention, feed_forward = layer_names(layer)
        normed = reference.layer_norm(x, weights, f"{attention}.norm")
        x = x + wide_attention(normed, weights, f"{attention}.fn")
        normed = reference.layer_norm(x, weights, f"{feed_forward}.norm")
        hidden = tanh_gelu(reference.linear(normed, weights, f"{feed_forward}.fn.net.0"))
        x = x + reference.linear(hidden, weights, f"{feed_forward}.fn.net.3")
    return x


def encode_video(weights: Weights, frames: Tensor) -> Tensor:
    batch, length = frames.shape[:2]
    nobody = torch.zeros_like(frames[:, :, 0])
    features = reference.encode_frames(
        weights, TOWERS, OPTIONS, frames.flatten(0, 1), nobody.flatten(0, 1)
    ).features
    return temporal_tokens(weights, features.reshape(batch, length, -1))[:, 0]


def forward(weights: Weights, frames: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    video = encode_video(weights, frames)
    text = reference.encode_text(weights, TOWERS, OPTIONS, tokens)
    logits = reference.similarity_logits(video, text, weights["logit_scale"])
    return {
        "video_features": video,
        "text_features": text,
        "video_embedding": reference.normalise(video),
        "text_embedding": reference.normalise(text),
        "logits": logits,
        "loss": 0.5
        * (
            reference.cross_entropy_to_diagonal(logits)
            + reference.cross_entropy_to_diagonal(logits.T)
        ),
    }


def downstream(weights: Weights, head: Weights, frames: Tensor) -> Tensor:
    hidden = reference.linear(encode_video(weights, frames), head, "mlp.0")
    return reference.linear(hidden.clamp_min(0.0), head, "mlp.2")


def gradients(weights: Weights, inputs: dict[str, Tensor]) -> Weights:
    leaves = {key: value.clone().requires_grad_() for key, value in weights.items()}
    forward(leaves, **inputs)["loss"].backward()
    return {key: leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}


def write_model(generator: torch.Generator, weights: Weights) -> Weights:
    """Writes emoclip.safetensors and gives the gradients."""
    size, clips = TOWERS.vision.image_size, 3
    inputs = {
        "frames": random(generator, clips, TOWERS.temporal.frames, 3, size, size),
        "tokens": token_rows(generator, TOWERS.text, [3, 7, 5]),
    }
    width = TOWERS.embed_dim
    head = linear_weights(generator, "mlp.0", width, width // 2)
    head |= linear_weights(generator, "mlp.2", width // 2, OUTPUTS)
    grads = gradients(weights, inputs)
    if "backbone.logit_scale" in grads:
        raise SystemExit("CLIP's own logit scale takes part in the loss")
    tensors = {
        **prefixed("weights", weights),
        **prefixed("input", inputs),
        **prefixed("expected", forward(weights, **inputs)),
        **prefixed("grad", grads),
        **prefixed("head", head),
        "expected/downstream": downstream(weights, head, inputs["frames"]),
    }
    for length in (1, 7):
        features = random(generator, 2, length, width)
        tensors[f"input/features.{length}"] = features
        tensors[f"expected/temporal.{length}"] = temporal_tokens(weights, features)[:, 0]
    save("emoclip", {"model": CONFIG, "outputs": OUTPUTS, "windows": window_cases()}, tensors)
    return grads


GRADIENT_FACTORS = [1.0, -0.5, 2.0]
"""The same gradient at every step would leave Adam's moments in one ratio whatever their decay."""

BASE_RATE = {"sgd": 20.0, "adam": 2.0, "adamw": 2.0}
"""Towers move at a thousandth of it, which must still show beside float32 weights."""
WEIGHT_DECAY = 0.05
TOWER_FACTOR = 0.001
KEPT = ("logit_scale", "_token", "pos_embedding", ".layers.0.", ".ln_", ".out_proj.", "visual.proj")
"""Some of every part: own, image tower, text tower; matrices, vectors, a table, a scalar."""


def trained_groups(keys: list[str]) -> tuple[list[str], list[str]]:
    """EmoCLIP's groups with `--finetune --visual --text`: its own parts, and CLIP's."""
    own = [key for key in keys if "backbone" not in key]
    along = ("backbone.visual.", "backbone.transformer.")
    return own, [key for key in keys if key.startswith(along)]


def optimiser(name: str, groups: list[dict]) -> torch.optim.Optimizer:
    settings = {"lr": BASE_RATE[name], "weight_decay": WEIGHT_DECAY}
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, **settings)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(groups, eps=1e-6, **settings)


def write_optimisers(weights: Weights, grads: Weights) -> None:
    """emoclip_optim.safetensors, which holds the parameters of KEPT only."""
    own, along = trained_groups(list(weights))
    tensors = {}
    for name, base in BASE_RATE.items():
        leaves = {key: torch.nn.Parameter(weights[key].clone()) for key in own + along}
        groups = [
            {"params": [leaves[key] for key in own]},
            {"params": [leaves[key] for key in along], "lr": base * TOWER_FACTOR},
        ]
        steps = optimiser(name, groups)
        schedule = torch.optim.lr_scheduler.MultiStepLR(steps, milestones=[2], gamma=0.1)
        for step, factor in enumerate(GRADIENT_FACTORS, start=1):
            for key, leaf in leaves.items():
                leaf.grad = grads[key] * factor
            steps.step()
            schedule.step()
            if step == 2:
                continue
            tensors |= {
                f"expected/{name}/step{step}/{key}": leaf.detach().clone()
                for key, leaf in leaves.items()
                if any(part in key for part in KEPT)
            }
    config = {
        "rates": BASE_RATE,
        "weight_decay": WEIGHT_DECAY,
        "gradient_factors": GRADIENT_FACTORS,
        "schedule": {"milestones": [2], "factor": 0.1},
        "learning_rates": {
            "captions": learning_rates([15, 35, 50]),
            "supervised": learning_rates([25, 50]),
        },
    }
    save("emoclip_optim", config, tensors)


def learning_rates(milestones: list[int]) -> list[float]:
    steps = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = torch.optim.lr_scheduler.MultiStepLR(steps, milestones=milestones, gamma=0.1)
    rates = []
    for _ in range(60):
        rates.append(schedule.get_last_lr()[0])
        steps.step()
        schedule.step()
    return rates


def vary(frames: Tensor, angle: float, flip: bool) -> Tensor:
    frames = F.rotate(frames, angle, InterpolationMode.NEAREST, fill=[0.0] * frames.shape[-3])
    return F.hflip(frames) if flip else frames


PHOTOGRAPHS = [("landscape", 4.2, True), ("portrait", -6.0, False)]
PLANE_SIZE = 24
PLANE_ANGLES = [6.0, -6.0, 3.3, -0.7]


def write_frames() -> None:
    photograph = np.asarray(Image.open(GOLDENS / "preprocess.png").convert("RGB"))
    pictures = sources(photograph)
    cases, tensors = [], {}
    for source, angle, flip in PHOTOGRAPHS:
        prepared = F.center_crop(resize_to("emoclip", pictures[source]), 224)
        varied = vary(prepared.unsqueeze(0), angle, flip)
        tensors[f"expected/photograph/{len(cases)}"] = varied.flatten()[::STRIDE]
        cases.append({"source": source, "angle_degrees": angle, "flip": flip})
    side = PLANE_SIZE
    plane = torch.arange(1, side * side + 1, dtype=torch.float32).reshape(1, 1, side, side)
    planes = []
    for angle in PLANE_ANGLES:
        flip = angle < 0
        tensors[f"expected/plane/{len(planes)}"] = vary(plane, angle, flip)
        planes.append({"angle_degrees": angle, "flip": flip})
    save(
        "emoclip_frames",
        {"stride": STRIDE, "size": side, "photographs": cases, "planes": planes},
        tensors,
    )


def kept_frames(count: int, downsample: int) -> np.ndarray:
    return np.array([frame for frame in range(count) if frame % downsample == 0])


def release_window(kept: np.ndarray, length: int, start: int) -> np.ndarray:
    """A run from `start` that goes on at the beginning, reflected when the frames are too few."""
    run = kept[start : start + length]
    if start + length > len(kept):
        run = np.concatenate([run, kept[: start + length - len(kept)]])
    return np.pad(run, (0, length - len(run)), "reflect")


def window_cases() -> list[dict]:
    cases = []
    for count, downsample, start in [
        (200, 2, 10),
        (200, 4, 30),
        (96, 3, 0),
        (64, 2, 1),
        (63, 2, 31),
        (40, 2, 7),
        (9, 2, 3),
        (5, 1, 2),
        (4, 4, 0),
        (2, 1, 1),
    ]:
        indices = release_window(kept_frames(count, downsample), 32, start)
        cases.append(
            {
                "count": count,
                "downsample": downsample,
                "start": start,
                "indices": indices.tolist(),
            }
        )
    return cases


HALF_PRECISION = ("conv1.weight", "proj", "in_proj_weight", "in_proj_bias", "text_projection")


def is_half(key: str) -> bool:
    """What OpenAI's loader keeps in half precision: projections, the joint ones and linear layers."""
    linear = any(part in key for part in (".out_proj.", ".c_fc.", ".c_proj."))
    return key.startswith("backbone.") and (linear or key.split(".", 1)[1].endswith(HALF_PRECISION))


def write_data_parallel(weights: Weights) -> None:
    state = {
        f"module.{key}": value.half() if is_half(key) else value.float()
        for key, value in weights.items()
    }
    path = GOLDENS / "emoclip_data_parallel.pt"
    torch.save(state, path)
    print(f"{path.name}: {len(state)} tensors, {path.stat().st_size / 1000:.0f} kB")


def release_module(release: Path, name: str):
    path = release / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def check_release(release: Path, weights: Weights, generator: torch.Generator) -> None:
    """Against EmoCLIP's own temporal transformer (needs einops) and sampling."""
    print("against the authors' release")
    transformer = release_module(release, "architecture/transformer.py")
    temporal = TOWERS.temporal
    theirs = transformer.TemporalTransformer(
        TOWERS.embed_dim, temporal.layers, temporal.heads, temporal.feed_forward, HEAD_WIDTH
    ).double()
    own = {
        key.removeprefix("temporal."): value
        for key, value in weights.items()
        if key.startswith("temporal.")
    }
    # Their table always has 1024 rows; those that no clip here reaches stay as they are.
    table = theirs.pos_embedding.data.clone()
    table[:, :POSITIONS] = own["pos_embedding"]
    theirs.load_state_dict({**own, "pos_embedding": table}, strict=True)
    for length in (1, 7, POSITIONS - 1):
        features = random(generator, 4, length, TOWERS.embed_dim)
        with torch.no_grad():
            expect_equal(f"{length} frames", temporal_tokens(weights, features), theirs(features))

    utils = release_module(release, "DataLoaders/utils.py")
    checked = 0
    for count in (1, 2, 3, 8, 31, 32, 33, 63, 64, 100):
        for downsample in (2, 3, 4):
            kept = utils.TemporalDownSample(downsample)(np.arange(count))
            for start in range(len(kept)):
                drawn = torch.tensor([start])
                with mock.patch.object(torch, "randint", return_value=drawn):
                    theirs = utils.RandomSequence(32, on_load=True)(kept)
                ours = release_window(kept_frames(count, downsample), 32, start)
                if not np.array_equal(ours, theirs):
                    raise SystemExit(f"window of {count} / {downsample} from {start} disagrees")
                checked += 1
    print(f"  {checked} windows are equal")


def main() -> None:
    release = release_argument(__doc__)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(2310)
    weights = emoclip_weights(generator)
    grads = write_model(generator, weights)
    write_optimisers(weights, grads)
    write_frames()
    write_data_parallel(weights)
    if release:
        check_release(release, weights, generator)


if __name__ == "__main__":
    main()
