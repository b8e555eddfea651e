"""Compares the boxes of `trainer data subjects --detector` with ONNX Runtime's on real frames.

    python check_yolo.py TRAINER WORK DETECTOR.onnx … [--class person] [--confidence 0.25]

WORK is a work folder with frames and sentences (`trainer data frames`, `captions`); its boxes are made anew.
The canvas and the suppression of this side are those of `generate_yolo.py`. Boxes belong together by their
overlap; what stands on one side only is counted: a score next to the threshold, or an overlap next to that of
the suppression, may fall on either side of it by the rounding of a pixel.
"""

import argparse
import ast
import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
from generate_yolo import OVERLAP, detect
from PIL import Image


def iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:4], b[2:4])
    shared = np.prod(np.clip(high - low, 0, None))
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
    return shared / (area(a) + area(b) - shared)


def compare(trainer, work, detector, name, confidence):
    arguments = ["--detector", detector, "--detector-class", name, "--detector-confidence", str(confidence)]
    subprocess.run(
        [trainer, "data", "subjects", "--out", work, "--quiet", "--device", "cpu", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    session = onnxruntime.InferenceSession(detector, providers=["CPUExecutionProvider"])
    names = session.get_modelmeta().custom_metadata_map.get("names")
    names = ast.literal_eval(names) if names else {0: "person"}
    chosen = next((number for number, known in names.items() if known == name), None)
    chosen = int(name) if chosen is None else chosen
    total, missing, overlaps, scores = 0, 0, [], []
    for file in sorted(work.glob("videos/*/boxes.json")):
        for number, ours in json.loads(file.read_text())["frames"].items():
            picture = Image.open(file.parent / "frames" / f"{int(number):08}.jpg")
            theirs = detect(session, picture, chosen, len(names), confidence, OVERLAP)
            total += max(len(theirs), len(ours))
            left = [np.array(box) for box in ours]
            for box in map(np.array, theirs):
                best = max(left, key=lambda other: iou(box, other), default=None)
                if best is None or iou(box, best) < 0.5:
                    missing += 1
                    continue
                left = [other for other in left if other is not best]
                overlaps.append(iou(box, best))
                scores.append(abs(box[4] - best[4]))
            missing += len(left)
    worst, mean = min(overlaps, default=1), np.mean(overlaps or [1])
    print(
        f"{Path(detector).name}: {total} boxes, {missing} on one side only, IoU at least {worst:.4f}, "
        f"{mean:.4f} on average, scores within {max(scores, default=0):.4f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trainer")
    parser.add_argument("work", type=Path)
    parser.add_argument("detectors", nargs="+")
    parser.add_argument("--class", dest="name", default="person")
    parser.add_argument("--confidence", type=float, default=0.25)
    options = parser.parse_args()
    for detector in options.detectors:
        compare(options.trainer, options.work, detector, options.name, options.confidence)


if __name__ == "__main__":
    main()
