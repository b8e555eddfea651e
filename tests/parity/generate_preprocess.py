"""Golden pictures, frames and masks for the preprocessing, from PIL, torch and torchvision.

    python generate_preprocess.py [--release CHECKOUT] [--astronaut astronaut.png]

writes `goldens/preprocess.safetensors` beside this file from `goldens/preprocess.png`. With
`--astronaut` the latter is made anew: the upper two thirds of scikit-image's `astronaut.png`
(Eileen Collins, NASA, public domain) at 284x190 pixels. With `--release` the masks are also held
against the functions of a checkout of the authors' release.

Names of the tensors, all sizes in pixels and `SOURCE` one of the pictures of `sources()`:

    expected/resize/SOURCE/WxH            u8 [H, W, 3], PIL's bicubic to W x H
    expected/PRESET/SOURCE/LEFT,TOP       f32, every STRIDE-th value of the frame [3, S, S] cropped
                                          at that place of the resized picture
    expected/size/PRESET                  i32 [N, 6]: width and height before, after, and the
                                          centre crop's left and top
    input/detector, input/annotated       f32 [N, 5] and [N, 4]: x1, y1, x2, y2 (, score)
    input/joints                          f32 [18, 3]: x, y, confidence
    expected/mask/PROTOCOL/WxH            u8, the bits of the centre-cropped mask of a WxH frame,
                                          first pixel in the highest bit
"""

import argparse
import ast
import importlib
import math
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

GOLDENS = Path(__file__).parent / "goldens"
STRIDE = 89

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
# Name: shorter side, crop, (mean, std), antialiased.
PRESETS = {
    "release": (256, 224, IMAGENET, True),
    "emotic": (224, 224, IMAGENET, True),
    "emoclip": (224, 224, CLIP, False),
    "square-64": (64, 64, IMAGENET, True),
}

DETECTOR = np.array(
    [
        [101.3, 57.9, 260.2, 301.7, 0.91],
        [300.5, 12.25, 402.0, 180.6, 0.62],
        [420.1, 90.0, 500.0, 330.3, 0.5],
        [-7.5, 200.4, 66.6, 655.0, 0.77],
        [180.0, 340.0, 520.0, 371.0, 0.31],
    ],
    np.float32,
)
ANNOTATED = np.array([[61, 40, 190, 203], [150, 88, 411, 700]], np.float32)
FRAME_SIZES = [(1280, 720), (480, 640), (333, 251)]


def joints() -> np.ndarray:
    generator = np.random.default_rng(18)
    found = generator.uniform([90, 40, 0.1], [430, 220, 1.0], (18, 3)).astype(np.float32)
    found[[2, 9, 17]] = 0
    return found


def sources(photograph: np.ndarray) -> dict[str, np.ndarray]:
    """The photograph as it is, on its side, a detail of odd size, and mirrored out to 720p."""
    height, width, _ = photograph.shape
    rows = np.pad(np.arange(height), (0, 720 - height), "symmetric")
    columns = np.pad(np.arange(width), (0, 1280 - width), "symmetric")
    return {
        "landscape": photograph,
        "portrait": np.ascontiguousarray(photograph.transpose(1, 0, 2)),
        "detail": np.ascontiguousarray(photograph[20:43, 60:97]),
        "mirrored": np.ascontiguousarray(photograph[rows][:, columns]),
    }


def pil_bicubic(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """PIL's bicubic, rows filtered first.

    Up to Pillow 12 that is one call. Pillow 13 filters columns first when the height shrinks much
    more than the width; one call an axis gives the same bits under every version.
    """
    narrowed = Image.fromarray(picture).resize((width, picture.shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(narrowed.resize((width, height), Image.Resampling.BICUBIC))


def resize_cases(pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    sizes = {
        "landscape": [(95, 64), (11, 7), (300, 33), (1, 1)],
        "portrait": [(64, 95), (97, 145), (13, 200)],
        "detail": [(98, 61), (37, 5), (200, 23), (74, 46)],
        "mirrored": [(113, 64), (57, 32)],
    }
    return {
        f"expected/resize/{source}/{width}x{height}": pil_bicubic(pictures[source], width, height)
        for source, targets in sizes.items()
        for width, height in targets
    }


def resize_to(preset: str, picture: np.ndarray) -> torch.Tensor:
    """The normalised, uncropped frame [3, H, W] of a preset, by torchvision."""
    shorter, _, (mean, std), antialiased = PRESETS[preset]
    if antialiased:
        resized = F.resize(Image.fromarray(picture), shorter, InterpolationMode.BICUBIC)
        rows_first = pil_bicubic(picture, *resized.size)
        if not np.array_equal(np.asarray(resized), rows_first):
            raise SystemExit(f"PIL {PIL.__version__} filtered the columns of a {preset} frame first")
        return F.normalize(F.to_tensor(resized), mean, std)
    normalised = F.normalize(F.to_tensor(Image.fromarray(picture)), mean, std)
    return F.resize(normalised, shorter, InterpolationMode.BICUBIC, antialias=False)


def frame_cases(pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    cases = {}
    for preset, (_, crop, _, _) in PRESETS.items():
        for source, picture in pictures.items():
            frame = resize_to(preset, picture)
            height, width = frame.shape[1:]
            centre = centre_offsets(width, height, crop)
            corner = (width - crop, 0) if source == "mirrored" else centre
            for left, top in {centre, corner}:
                cropped = F.crop(frame, top, left, crop, crop)
                if (left, top) == centre:
                    assert torch.equal(cropped, F.center_crop(frame, crop))
                sampled = cropped.flatten()[::STRIDE].contiguous().numpy()
                cases[f"expected/{preset}/{source}/{left},{top}"] = sampled
    return cases


def centre_offsets(width: int, height: int, crop: int) -> tuple[int, int]:
    return round((width - crop) / 2), round((height - crop) / 2)


def size_cases() -> dict[str, np.ndarray]:
    """Sizes and centre crops of many frames, as torchvision does them to a picture of that size."""
    cases = {}
    for preset in ("release", "emotic", "square-64"):
        shorter, crop, _, _ = PRESETS[preset]
        rows = []
        for width, height in [*FRAME_SIZES, (1920, 1080), (853, 480), (640, 360), (1, 1), (5, 3),
                              (257, 256), (256, 257), (319, 241), (100, 999), (720, 405)]:
            resized = F.resize(Image.new("L", (width, height)), shorter)
            columns = torch.arange(resized.width).expand(resized.height, -1)
            lines = torch.arange(resized.height).unsqueeze(1).expand(-1, resized.width)
            left = int(F.center_crop(columns, crop)[0, 0])
            top = int(F.center_crop(lines, crop)[0, 0])
            rows.append([width, height, *resized.size, left, top])
        cases[f"expected/size/{preset}"] = np.array(rows, np.int32)
    return cases


def letterbox_padding(width: int, height: int) -> tuple[int, int]:
    """Left and top padding of the release's detector input: 640, sides padded to 32."""
    scale = min(640 / width, 640 / height)
    return tuple(((640 - round(side * scale)) % 32) // 2 for side in (width, height))


def draw(boxes: list[list[int]], size: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(size[1], size[0])
    for x1, y1, x2, y2 in boxes:
        mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 1
    return mask


def outward(box: np.ndarray, scale: float, padding: tuple[int, int] = (0, 0)) -> list[int]:
    edges = [(float(edge) - padding[index % 2]) / scale for index, edge in enumerate(box[:4])]
    return [math.floor(edges[0]), math.floor(edges[1]), math.ceil(edges[2]), math.ceil(edges[3])]


def detector_mask(frame: tuple[int, int], size: tuple[int, int], corrected: bool) -> torch.Tensor:
    scale = min(640 / size[0], 640 / size[1])
    padding = letterbox_padding(*frame) if corrected else (0, 0)
    return draw([outward(box, scale, padding) for box in DETECTOR if box[4] > 0.5], size)


def joint_mask(frame: tuple[int, int]) -> torch.Tensor:
    found = joints()
    found = found[(found != 0).any(axis=1)]
    box = np.concatenate([found.min(axis=0)[:2], found.max(axis=0)[:2]])
    return draw([outward(box, 1.0)], frame)


def annotated_mask(frame: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    scale = min(frame[0] / size[0], frame[1] / size[1])
    return draw([outward(box, scale) for box in ANNOTATED], size)


def resized_size(frame: tuple[int, int], shorter: int) -> tuple[int, int]:
    return F.resize(Image.new("L", frame), shorter).size


def resize_and_binarise(mask: torch.Tensor, shorter: int, crop: int) -> torch.Tensor:
    resized = F.resize(mask.unsqueeze(0), shorter, InterpolationMode.BILINEAR, antialias=False)
    return F.center_crop(resized.squeeze(0), crop) > 0.5


def mask_cases() -> dict[str, np.ndarray]:
    cases = {}
    for frame in FRAME_SIZES:
        masks = {"bold": resize_and_binarise(joint_mask(frame), 256, 224)}
        size = resized_size(frame, 224)
        masks["emotic"] = F.center_crop(annotated_mask(frame, size), 224) > 0.5
        size = resized_size(frame, 256)
        for name, corrected in (("release", False), ("corrected", True)):
            captioned = detector_mask(frame, size, corrected)
            masks[f"captioned-{name}"] = F.center_crop(captioned, 224) > 0.5
            original = detector_mask(frame, frame, corrected)
            masks[f"liris-{name}"] = resize_and_binarise(original, 256, 224)
        for protocol, mask in masks.items():
            share = mask.float().mean()
            assert 0.01 < share < 0.99, f"{protocol} at {frame} covers {share:.2f}"
            bits = np.packbits(mask.numpy().flatten())
            cases[f"expected/mask/{protocol}/{frame[0]}x{frame[1]}"] = bits
    return cases


def check_release(checkout: Path) -> None:
    """Holds the masks and the padding above against the authors' own functions."""
    sys.path.insert(0, str(checkout))
    for name in ("h5py", "orjson", "pandas", "rich", "tqdm", "src.models", "src.models.tokenizer"):
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = mock.MagicMock()
    utils, bold, emotic = (
        importlib.import_module(f"src.datasets.{name}") for name in ("utils", "bold", "emotic")
    )
    boxes = DETECTOR.tolist()
    for frame in FRAME_SIZES:
        for size in (frame, resized_size(frame, 256)):
            theirs = utils.bbox_to_mask(utils.get_correct_bbox(boxes, size), size)
            expect_equal("detector mask", detector_mask(frame, size, corrected=False), theirs)
        row = np.concatenate([[1, 0], joints().flatten()])
        theirs = bold.bbox_to_mask(bold.joints_to_bbox(row)[1], frame)
        expect_equal("joint mask", joint_mask(frame), theirs)
        size = resized_size(frame, 224)
        theirs = torch.zeros(size[1], size[0])
        for box in ANNOTATED.tolist():
            x1, y1, x2, y2 = emotic.get_correct_bbox(box, size, frame)
            theirs[y1:y2, x1:x2] = 1
        expect_equal("annotated mask", annotated_mask(frame, size), theirs)
    check_letterbox(checkout)
    print("masks and letterbox agree with the release")


def check_letterbox(checkout: Path) -> None:
    tree = ast.parse((checkout / "preprocessing/yolo_additions/datasets.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    letterbox = next(node for node in functions if node.name == "letterbox")
    cv2 = mock.MagicMock()
    scope = {"np": np, "cv2": cv2}
    exec(compile(ast.Module([letterbox], []), "letterbox", "exec"), scope)
    for width in range(16, 2000, 13):
        for height in range(16, 2000, 17):
            scope["letterbox"](np.empty((height, width, 0), np.uint8))
            _, top, _, left, _ = cv2.copyMakeBorder.call_args.args[:5]
            if (left, top) != letterbox_padding(width, height):
                raise SystemExit(f"the letterbox of {width}x{height} disagrees: {left}, {top}")


def expect_equal(what: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    if not torch.equal(ours, theirs):
        raise SystemExit(f"{what} disagrees with the release's on {int((ours != theirs).sum())} pixels")


def write_photograph(astronaut: Path) -> None:
    picture = Image.open(astronaut).convert("RGB").crop((0, 0, 512, 342))
    small = picture.resize((284, 190), Image.Resampling.LANCZOS)
    small.save(GOLDENS / "preprocess.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the goldens of the preprocessing.")
    parser.add_argument("--release", type=Path, help="checkout of the authors' release")
    parser.add_argument("--astronaut", type=Path, help="scikit-image's astronaut.png")
    arguments = parser.parse_args()
    if arguments.astronaut:
        write_photograph(arguments.astronaut)
    if arguments.release:
        check_release(arguments.release)
    photograph = np.asarray(Image.open(GOLDENS / "preprocess.png").convert("RGB"))
    pictures = sources(photograph)
    tensors = {
        "input/detector": DETECTOR,
        "input/annotated": ANNOTATED,
        "input/joints": joints(),
        **resize_cases(pictures),
        **frame_cases(pictures),
        **size_cases(),
        **mask_cases(),
    }
    versions = {
        "pillow": PIL.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    path = GOLDENS / "preprocess.safetensors"
    save_file(tensors, path, metadata={"stride": str(STRIDE), **versions})
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
