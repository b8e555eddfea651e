"""Times one frame through a ViT-B/32 frame encoder on the CPU beside ONNX Runtime and PyTorch.

    python bench_encode.py TRAINER [--threads 2] [--batch 1] [--rounds 5] [--repeats 20]

TRAINER is the program (target/release/trainer); needs torch, onnx and onnxruntime. The ONNX graph is
the one of `cargo xtask bench-web` (tests/web/bench/vit_b_32.py), with random weights; PyTorch computes
from the same weights and must agree with it, ours is `trainer bench --what encode`. The three take
turns, so that other programs disturb all of them; a round's time is the median of its calls, what is
printed the median of the rounds. Calls only: loading and the first call are left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import onnxruntime
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1] / "web" / "bench"))
import vit_b_32 as vit  # noqa: E402

VISUAL = "backbone.visual"


def torch_encoder(drawn: vit.Weights) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The same encoder by PyTorch's own operations."""
    weights = {name: torch.from_numpy(w) for name, w in drawn.items() if name.startswith(VISUAL)}

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        gain, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return functional.layer_norm(x, (vit.WIDTH,), gain, bias, vit.EPSILON)

    def linear(x: torch.Tensor, name: str, separator: str = ".") -> torch.Tensor:
        return functional.linear(
            x, weights[f"{name}{separator}weight"], weights[f"{name}{separator}bias"]
        )

    def block(x: torch.Tensor, name: str) -> torch.Tensor:
        joint = linear(norm(x, f"{name}.ln_1"), f"{name}.attn.in_proj", "_")
        heads = [part.unflatten(2, (vit.HEADS, -1)).transpose(1, 2) for part in joint.chunk(3, 2)]
        mixed = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        x = x + linear(mixed, f"{name}.attn.out_proj")
        hidden = functional.gelu(linear(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc"))
        return x + linear(hidden, f"{name}.mlp.c_proj")

    def encode(frames: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        positions = weights[f"{VISUAL}.positional_embedding"]
        patches = functional.conv2d(frames, weights[f"{VISUAL}.conv1.weight"], stride=vit.PATCH)
        patches = patches.flatten(2).transpose(1, 2) + positions[1:]
        class_token = weights[f"{VISUAL}.class_embedding"] + positions[0]
        class_token = class_token.expand(len(frames), 1, vit.WIDTH)
        coverage = functional.avg_pool2d(masks.unsqueeze(1), vit.PATCH).flatten(2)
        x = torch.cat([class_token, patches, coverage @ positions[1:]], 1)
        x = norm(x, f"{VISUAL}.ln_pre")
        for layer in range(vit.LAYERS):
            x = block(x, f"{VISUAL}.transformer.resblocks.{layer}")
        return norm(x[:, 0], f"{VISUAL}.ln_post") @ weights[f"{VISUAL}.proj"]

    return torch.inference_mode()(encode)


def median_ms(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainer", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1, help="frames in one call")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20, help="calls of a round")
    args = parser.parse_args()

    generator = numpy.random.default_rng(6)
    frames = generator.standard_normal((args.batch, 3, vit.SIDE, vit.SIDE), dtype=numpy.float32)
    masks = numpy.zeros((args.batch, vit.SIDE, vit.SIDE), dtype=numpy.float32)
    masks[:, 30:180, 40:150] = 1

    drawn = vit.draw_weights()
    torch.set_num_threads(args.threads)
    encode = torch_encoder(drawn)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "frames.onnx"
        vit.write_frames(graph, drawn)
        session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])

    def by_torch() -> numpy.ndarray:
        return encode(torch.from_numpy(frames), torch.from_numpy(masks)).numpy()

    def by_onnx() -> numpy.ndarray:
        return session.run(None, {"frames": frames, "masks": masks})[0]

    def ours() -> float:
        command = [args.trainer, "bench", "--what", "encode", "--device", "cpu", "--json", "--quiet"]
        command += ["--batch", str(args.batch), "--repeats", str(args.repeats)]
        environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads)}
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
        return json.loads(done.stdout)["median_ms"]

    a, b = by_torch().ravel(), by_onnx().ravel()
    cosine = float(a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b))
    if cosine < 0.9999:
        sys.exit(f"PyTorch and ONNX Runtime disagree: cosine {cosine:.6f}")

    engines = {
        "ours": ours,
        f"onnxruntime {onnxruntime.__version__}": lambda: median_ms(by_onnx, args.repeats),
        f"torch {torch.__version__}": lambda: median_ms(by_torch, args.repeats),
    }
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(args.rounds):
        for name, run in engines.items():
            times[name].append(run())
    print(f"{args.batch} frame(s), {args.threads} thread(s), {args.rounds} rounds")
    print(f"{'engine':<24}{'median ms':>10}{'least ms':>10}{'ours over it':>14}")
    for name, found in times.items():
        ratio = statistics.median(o / t for o, t in zip(times["ours"], found))
        print(f"{name:<24}{statistics.median(found):>10.1f}{min(found):>10.1f}{ratio:>14.2f}")


if __name__ == "__main__":
    main()
