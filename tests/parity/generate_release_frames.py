"""Frames packed as the authors' release packs them: `goldens/release/frames.hdf5`, written by h5py the way
their `preprocessing/frames_to_hdf5.py` does (a scalar dataset a frame, the JPEG's bytes as one NumPy string),
and `frames.json`, the SHA-256 of each frame."""

import hashlib
import io
import json
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "goldens" / "release"
FRAMES = 24


def frame(number):
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    picture = np.stack([3 * x + 5 * y + 2 * number, 5 * x + 3 * y, x + y + 9 * number], axis=2) % 200
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=40)
    return file.getvalue()


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "frames.hdf5"
    path.unlink(missing_ok=True)
    digests = {}
    with h5py.File(path, "a") as packed:
        for number in range(1, FRAMES + 1):
            name = f"{number:08}.jpg"
            content = frame(number)
            packed[name] = np.asarray(content)
            digests[name] = hashlib.sha256(content).hexdigest()
    (FOLDER / "frames.json").write_text(json.dumps(digests, indent=0) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
