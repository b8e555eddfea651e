"""Times decoding, resizing and cropping of JPEG frames beside torchvision on PIL.

    python bench_loader.py TRAINER CLIP_OR_FOLDER [--workers 2]

Both sides read the same files with the same number of workers, in turns, and are compared by their
best of several rounds. Theirs are processes (what a DataLoader's workers are), started before the
clock, that decode, resize to 256 by bicubic with antialiasing and crop 224; ours,
`trainer bench --what loader`, are threads that also normalise and make the mask. FFmpeg takes the
frames out of a clip, scaled to --size.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def prepare(path: str) -> int:
    from PIL import Image
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    with Image.open(path) as picture:
        frame = F.resize(picture.convert("RGB"), 256, interpolation=InterpolationMode.BICUBIC)
        return F.center_crop(frame, 224).getpixel((0, 0))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainer", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="1280:720")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        frames = args.source
        if frames.is_file():
            frames = Path(folder)
            scale = ["-vf", f"scale={args.size}:flags=bicubic", "-q:v", "3"]
            target = str(frames / "frame_%05d.jpg")
            subprocess.run(
                ["ffmpeg", "-v", "error", "-i", args.source, *scale, target], check=True
            )
        files = sorted(str(path) for path in frames.glob("*.jpg"))
        command = [args.trainer, "bench", "--what", "loader", "--data", frames, "--json", "--quiet"]
        command += ["--workers", str(args.workers), "--repeats", "1"]
        ours, theirs = [], []
        with multiprocessing.Pool(args.workers) as pool:
            pool.map(prepare, files[: 2 * args.workers])
            for _ in range(args.rounds):
                result = subprocess.run(command, check=True, capture_output=True)
                ours.append(json.loads(result.stdout)["median_ms"] / 1e3)
                start = time.perf_counter()
                pool.map(prepare, files, chunksize=4)
                theirs.append(time.perf_counter() - start)
    print(f"{len(files)} frames of {args.size}, {args.workers} workers, best of {args.rounds}")
    for name, seconds in [("torchvision + PIL", min(theirs)), ("ours", min(ours))]:
        print(f"{name:<20}{len(files) / seconds:>8.0f} frames/s")
    print(f"ours is {min(theirs) / min(ours):.2f} times as fast")


if __name__ == "__main__":
    sys.exit(main())
