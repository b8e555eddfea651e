"""Records what the authors' loaders make of our miniatures, in goldens/benchmark_samples.json.

    cargo run -p emotionclip-data --example benchmark_miniature -- --release-rows DIR PICTURE
    python record_samples.py --release EmotionCLIP --miniatures DIR

PICTURE is tests/detector/pictures/woman.jpg. The release is a checkout of the authors' repository,
unchanged; beside requirements.txt its loaders import pandas, orjson, rich and tqdm.

For every part of a set the file holds the number of samples, a SHA-256 over all of them (the
frames that were opened and the target), and of some samples that list itself, the number of pixels
of each frame's mask, where they are, and the mean of the frame's normalised pixels. The loaders are
unchanged; around them three things are:

- `os.listdir` is sorted, as its order is the disk's.
- `Image.open` notes what is opened.
- BoLD's loader hands `np.apply_along_axis` rows of unequal shapes, which NumPy makes an array of
  objects up to 1.23 and an error since: here as up to 1.23.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

GOLDEN = Path(__file__).parent / "goldens" / "benchmark_samples.json"
SHOWN = 3


def loaders(release: Path, root: Path) -> dict:
    """For each set the parts' names and the loaders that read them."""
    sys.path.insert(0, str(release))
    from src.datasets.bold import BoLD
    from src.datasets.emotic import Emotic
    from src.datasets.liris_accede import LirisAccede
    from src.datasets.meld import MELD
    from src.datasets.movie_graphs import MovieGraphsDataset

    def folder(name: str) -> str:
        return str(root / name)

    return {
        "bold": {part: lambda p=part: BoLD(folder("bold"), split=p) for part in ("train", "val")},
        "moviegraphs": {
            part: lambda p=part: MovieGraphsDataset(folder("moviegraphs"), split=p)
            for part in ("train", "val", "test")
        },
        "meld": {
            part: lambda p=part: MELD(folder("meld"), split=p) for part in ("train", "dev", "test")
        },
        "emotic": {
            part: lambda p=part: Emotic(folder("emotic"), split=p)
            for part in ("train", "val", "test")
        },
        "liris-accede": {
            part: lambda p=part: LirisAccede(folder("liris-accede"), split=p)
            for part in ("train", "test")
        },
    }


def apply_along_axis(function, axis: int, rows: np.ndarray) -> np.ndarray:
    """NumPy 1.23's, for the one way in which the loader calls it."""
    assert axis == 1
    results = np.empty((len(rows), 2), dtype=object)
    for index, row in enumerate(rows):
        results[index] = np.array(function(row), dtype=object)
    return results


class Opened:
    """Which pictures a loader opens; each is decoded once."""

    def __init__(self, root: Path):
        self.root, self.names, self.cache = root, [], {}
        self.open = Image.open
        Image.open = self

    def __call__(self, path):
        self.names.append(str(Path(path).relative_to(self.root)))
        if path not in self.cache:
            with self.open(path) as picture:
                self.cache[path] = picture.convert("RGB")
        return self.cache[path].copy()


def numbers(target) -> list[float]:
    """A target as the text of the digest needs it: float32 values."""
    return [float(value) for value in np.atleast_1d(np.asarray(target, dtype=np.float32))]


def line(names: list[str], values: list[float]) -> str:
    """Values with six decimals: they are read as float32 on one side and doubles on the other."""
    return ";".join(names) + "|" + ",".join(f"{value:.6f}" for value in values)


def record(dataset, opened: Opened, vad: bool) -> dict:
    digest, shown = hashlib.sha256(), []
    count = len(dataset)
    wanted = {index * (count - 1) // (SHOWN - 1) for index in range(SHOWN)}
    for index in range(count):
        opened.names.clear()
        frames, masks, target = dataset[index]
        names, values = list(opened.names), numbers(target)
        if vad:
            dataset.target = "vad"
            values += numbers(dataset[index][2])
            dataset.target = "idx"
        digest.update((line(names, values) + "\n").encode())
        if index in wanted:
            frames = frames.reshape(-1, *frames.shape[-3:]).double()
            masks = masks.reshape(-1, *masks.shape[-2:])
            shown.append({
                "index": index,
                "frames": names,
                "target": values,
                "mask_pixels": [int(mask.sum()) for mask in masks],
                "mask_offsets": [[int((mask.cumsum(axis) == 0).sum()) for axis in (0, 1)] for mask in masks],
                "means": [round(float(frame.mean()), 5) for frame in frames],
            })
    return {"count": count, "digest": digest.hexdigest(), "samples": shown}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, required=True, help="checkout of the authors' repository")
    parser.add_argument("--miniatures", type=Path, required=True, help="folder with the five miniatures")
    parser.add_argument("--out", type=Path, default=GOLDEN)
    args = parser.parse_args()
    torch.set_num_threads(1)
    listed = os.listdir
    os.listdir = lambda *path: sorted(listed(*path))
    np.apply_along_axis = apply_along_axis
    root = args.miniatures.resolve()
    recorded = {}
    for name, parts in loaders(args.release.resolve(), root).items():
        opened = Opened(root / name)
        recorded[name] = {
            part: record(load(), opened, vad=name == "bold") for part, load in parts.items()
        }
        Image.open = opened.open
    args.out.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
    print(f"{args.out.name}: {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
