"""Writes golden files; README.md describes their form."""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

GOLDENS = Path(__file__).parent / "goldens"


def save(
    name: str, config: dict, tensors: dict[str, Tensor], keep_float64: bool = False
) -> None:
    """Stores float64 as float32, except what is to be compared in float64."""
    stored = {}
    for key, value in tensors.items():
        value = value.detach()
        if value.dtype == torch.float64 and not keep_float64:
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


def release_argument(description: str) -> Path | None:
    """Reads the command line that all generators share."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--release", type=Path, help="checkout of the authors' repository")
    return parser.parse_args().release
