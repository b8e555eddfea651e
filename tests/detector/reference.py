"""BlazeFace's way from a picture to boxes, in NumPy around ONNX Runtime.

What MediaPipe's graphs do, written from their description: letterbox, two grids of anchors, boxes
relative to their anchor, scores through a clipped sigmoid, weighted non-maximum suppression. All of it
but the network is float64.
"""

import numpy as np
import onnxruntime
from PIL import Image

SCORE_LIMIT = 100.0
LEAST_OVERLAP = 0.3


class Reference:
    """The network in ONNX Runtime, with what stands before and behind it."""

    def __init__(self, model: bytes, network: dict, score_threshold: float):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.size = network["input_size"]
        self.boxes_per_cell = network["boxes_per_cell"]
        self.score_threshold = score_threshold

    def detect(self, picture: Image.Image) -> list[dict]:
        values, to_picture = letterbox(picture, self.size)
        return self.faces(self.run(values), to_picture)

    def run(self, values: np.ndarray) -> np.ndarray:
        """`[H, W, 3]` in [-1, 1] to `[anchors, 17]`: a logit and 16 coordinates in pixels."""
        feed = {self.session.get_inputs()[0].name: values[None].astype(np.float32)}
        fine_scores, coarse_scores, fine_boxes, coarse_boxes = (
            output[0] for output in self.session.run(None, feed)
        )
        scores = np.concatenate([fine_scores, coarse_scores])
        boxes = np.concatenate([fine_boxes, coarse_boxes])
        return np.concatenate([scores, boxes], axis=1)

    def faces(self, outputs: np.ndarray, to_picture) -> list[dict]:
        outputs = outputs.astype(np.float64)
        logits = np.clip(outputs[:, 0], -SCORE_LIMIT, SCORE_LIMIT)
        scores = 1.0 / (1.0 + np.exp(-logits))
        anchors = self.anchors(len(outputs))
        centres = outputs[:, 1:3] + anchors
        halves = outputs[:, 3:5] / 2.0
        points = outputs[:, 5:].reshape(-1, 6, 2) + anchors[:, None]
        corners = np.stack([centres - halves, centres + halves], axis=1)
        kept = (scores >= self.score_threshold) & (halves > 0.0).all(axis=1)
        geometry = np.concatenate([corners, points], axis=1)[kept]
        return [
            {
                "box": to_picture(points[:2]).reshape(-1).tolist(),
                "key_points": to_picture(points[2:]).tolist(),
                "score": float(score),
            }
            for score, points in weighted_suppression(scores[kept], geometry)
        ]

    def anchors(self, count: int) -> np.ndarray:
        """Centres of the cells in pixels of the input, as often as a cell has boxes."""
        centres = []
        for boxes, side in zip(self.boxes_per_cell, grid_sides(self.size)):
            steps = (np.arange(side) + 0.5) * self.size / side
            x, y = np.meshgrid(steps, steps)
            cells = np.stack([x.reshape(-1), y.reshape(-1)], axis=1)
            centres.append(np.repeat(cells, boxes, axis=0))
        centres = np.concatenate(centres)
        assert len(centres) == count, f"{len(centres)} anchors, {count} outputs"
        return centres


def grid_sides(size: int) -> tuple[int, int]:
    """Both models have grids of 16 and 8 cells."""
    return {128: (16, 8), 256: (16, 8)}[size]


def letterbox(picture: Image.Image, size: int):
    """The picture in the middle of a black square, `[size, size, 3]` in [-1, 1], and the way back.

    The longer side becomes `size`, the shorter one is rounded half up; an odd margin has its larger
    half at the right or bottom.
    """
    longest = max(picture.size)
    fitted = [max(1, (2 * side * size + longest) // (2 * longest)) for side in picture.size]
    offset = [(size - side) // 2 for side in fitted]
    canvas = Image.new("RGB", (size, size))
    canvas.paste(picture.convert("RGB").resize(fitted, Image.BICUBIC), tuple(offset))
    values = np.asarray(canvas).astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    ratio = np.array(picture.size) / np.array(fitted)

    def to_picture(points: np.ndarray) -> np.ndarray:
        return (points - np.array(offset)) * ratio

    return values, to_picture


def weighted_suppression(scores: np.ndarray, geometry: np.ndarray):
    """Faces in order of score: each the mean of the boxes that overlap its best one, by score."""
    order = list(np.argsort(-scores, kind="stable"))
    while order:
        best = order[0]
        overlap = np.array([intersection_over_union(geometry[best], geometry[i]) for i in order])
        taken = [i for i, value in zip(order, overlap) if value > LEAST_OVERLAP or i == best]
        weights = scores[taken]
        yield scores[best], np.tensordot(weights, geometry[taken], axes=1) / weights.sum()
        order = [i for i in order if i not in set(taken)]


def intersection_over_union(a: np.ndarray, b: np.ndarray) -> float:
    """Of two boxes given as their first two points, the corners."""
    start, end = np.maximum(a[0], b[0]), np.minimum(a[1], b[1])
    common = np.prod(np.maximum(end - start, 0.0))
    areas = np.prod(a[1] - a[0]) + np.prod(b[1] - b[0])
    return float(common / (areas - common))
