"""Faces as ONNX Runtime finds them, for the detector's tests.

    python generate.py --package PACKAGE.tgz --packages DIR --out DIR [--goldens] [--still]

writes into `--out` every picture of `pictures.py` as PNG and `faces.json`: for each picture its name,
the SHA-256 of its RGB bytes and the faces (`box` left, top, right, bottom; six `key_points`; `score`),
computed by the package's own file. `--goldens` puts `faces.json` and
`network.safetensors` under `goldens/` as well. `--still` first makes the committed still anew.

`network.safetensors` holds what the network itself says:

    expected/logits     [896]
    expected/boxes      [112, 16], every 8th anchor

The input is `../parity/goldens/preprocess.png`, unscaled, in the upper left corner of a black square.
"""

import argparse
import hashlib
import json
from pathlib import Path

import convert
import numpy as np
import onnxruntime
import pictures
from PIL import Image
from reference import Reference
from safetensors.numpy import save_file

HERE = Path(__file__).parent
EVERY = 8


def reference(model: bytes) -> Reference:
    return Reference(model, convert.NETWORK, convert.SCORE_THRESHOLD)


def write_network(model: bytes) -> None:
    size = convert.NETWORK["input_size"]
    canvas = Image.new("RGB", (size, size))
    path = HERE.parent / pictures.COMMITTED["astronaut-cropped"]
    canvas.paste(Image.open(path).convert("RGB"))
    values = np.asarray(canvas).astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    outputs = reference(model).run(values)
    tensors = {
        "expected/logits": np.ascontiguousarray(outputs[:, 0]),
        "expected/boxes": np.ascontiguousarray(outputs[::EVERY, 1:]),
    }
    config = json.dumps({"every": EVERY})
    path = HERE / "goldens" / "network.safetensors"
    save_file(tensors, path, metadata={"config": config})
    # safetensors writes files that only their owner can read.
    path.chmod(0o644)


def described(name: str, picture: Image.Image, faces: list[dict]) -> dict:
    return {
        "name": name,
        "file": pictures.COMMITTED.get(name),
        "size": list(picture.size),
        "sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
        "faces": [
            {
                "box": [round(edge, 3) for edge in face["box"]],
                "key_points": [[round(x, 3), round(y, 3)] for x, y in face["key_points"]],
                "score": round(face["score"], 6),
            }
            for face in faces
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--goldens", action="store_true")
    parser.add_argument("--still", action="store_true")
    arguments = parser.parse_args()
    # It warns of constants that are used nowhere.
    onnxruntime.set_default_logger_severity(3)
    if arguments.still:
        pictures.write_still(arguments.packages)

    model = convert.read_model(arguments.package)
    network = reference(model)
    arguments.out.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, picture in pictures.all_pictures(arguments.packages):
        picture.save(arguments.out / f"{name}.png", compress_level=1)
        faces = network.detect(picture)
        listed.append(described(name, picture, faces))
        scores = ", ".join(f"{face['score']:.2f}" for face in faces)
        print(f"{name}: {picture.width}x{picture.height}, {len(faces)} faces ({scores})")
    text = json.dumps({"pictures": listed}, indent=1) + "\n"
    (arguments.out / "faces.json").write_text(text)
    if arguments.goldens:
        (HERE / "goldens").mkdir(exist_ok=True)
        (HERE / "goldens" / "faces.json").write_text(text)
        write_network(model)


if __name__ == "__main__":
    main()
