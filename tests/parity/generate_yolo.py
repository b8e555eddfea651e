"""Small detectors in the output layouts of YOLO, and the boxes that ONNX Runtime gives for them.

Each looks at the picture in grids of strides 8, 16 and 32, as YOLO does; a class's score is how much a
cell's mean colour leans to one channel. So the boxes depend on every step: the canvas, the layout, the
class and the suppression. What a person is stands in the metadata, as exports write it.

    python generate_yolo.py        goldens/yolo/{v5,v8,v10}.onnx and expected.json

The canvas and the suppression here are written on their own, in NumPy and Pillow.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

FOLDER = Path(__file__).parent / "goldens" / "yolo"
SIZE = 64
STRIDES = (8, 16, 32)
NAMES = ["cat", "person", "dog"]
# Which channel a class leans to, less which: green - red, red - green, blue - red.
LEANS = [(1, 0), (0, 1), (2, 0)]
CONFIDENCE, OVERLAP = 0.25, 0.45
# Width, height, and rectangles (left, top, right, bottom, colour) on grey.
PICTURES = {
    "wide": (100, 60, [(20, 10, 50, 40, (230, 40, 40)), (60, 30, 90, 60, (200, 60, 40))]),
    "tall": (48, 96, [(0, 0, 30, 30, (250, 20, 60)), (10, 50, 40, 90, (30, 60, 220))]),
    "nobody": (64, 64, [(8, 8, 56, 56, (40, 220, 40))]),
}


def draw(width, height, rectangles):
    picture = np.full((height, width, 3), 60, np.uint8)
    for left, top, right, bottom, colour in rectangles:
        picture[top:bottom, left:right] = colour
    return Image.fromarray(picture)


def cells(stride):
    """Centre and size of each cell's box, three strides wide so that neighbours overlap."""
    side = SIZE // stride
    centres = (np.arange(side, dtype=np.float32) + 0.5) * stride
    y, x = np.meshgrid(centres, centres, indexing="ij")
    size = np.full(side * side, 1.5 * stride, np.float32)
    return np.stack([x.ravel(), y.ravel(), size, size])


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def save(self, path, shape):
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        entry = model.metadata_props.add()
        entry.key, entry.value = "names", str(dict(enumerate(NAMES)))
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def scores(graph):
    """`[1, classes, cells]`, all strides one after another."""
    weights = np.zeros((len(NAMES), 3, 1, 1), np.float32)
    for number, (more, less) in enumerate(LEANS):
        weights[number, more], weights[number, less] = 1.0, -1.0
    graph.constant("leans", weights)
    graph.constant("flat", np.array([1, len(NAMES), -1], np.int64))
    parts = []
    for stride in STRIDES:
        pooled = graph.add(
            "AveragePool", ["images"], f"pooled{stride}", kernel_shape=[stride] * 2, strides=[stride] * 2
        )
        # Written out, as exporters do: rten asks for the strides.
        plain = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0, 0, 0, 0]}
        leaning = graph.add("Conv", [pooled, "leans"], f"leaning{stride}", **plain)
        positive = graph.add("Relu", [leaning], f"positive{stride}")
        parts.append(graph.add("Reshape", [positive, "flat"], f"scores{stride}"))
    return graph.add("Concat", parts, "scores", axis=2)


def v8(path):
    graph = Graph()
    boxes = np.concatenate([cells(stride) for stride in STRIDES], axis=1)[None]
    graph.constant("boxes", boxes)
    graph.add("Concat", ["boxes", scores(graph)], "output0", axis=1)
    graph.save(path, [1, 4 + len(NAMES), boxes.shape[2]])


def v5(path):
    """Three anchors a cell, of which the second is the cell's own box, and an objectness of 0.9."""
    graph = Graph()
    boxes = np.concatenate([cells(stride) for stride in STRIDES], axis=1).T
    rows = np.repeat(boxes[None], 3, axis=0)
    rows[0, :, 2:] *= 0.5
    rows[2, :, 2:] *= 2.0
    sure = np.empty((3, boxes.shape[0], 1), np.float32)
    sure[0], sure[1], sure[2] = 0.3, 0.9, 0.5
    fixed = np.concatenate([rows, sure], axis=2).reshape(1, -1, 5)
    graph.constant("fixed", fixed)
    turned = graph.add("Transpose", [scores(graph)], "turned", perm=[0, 2, 1])
    classes = graph.add("Concat", [turned] * 3, "classes", axis=1)
    graph.add("Concat", ["fixed", classes], "output0", axis=2)
    graph.save(path, [1, fixed.shape[1], 5 + len(NAMES)])


def v10(path):
    """The best 20 of all cells and classes by TopK, as end-to-end heads choose, filled up to 300 rows."""
    graph = Graph()
    boxes = np.concatenate([cells(stride) for stride in STRIDES], axis=1).T
    edges = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    count = edges.shape[0]
    graph.constant("edges", np.tile(edges, (len(NAMES), 1)))
    graph.constant("class", np.repeat(np.arange(len(NAMES), dtype=np.float32), count)[:, None])
    graph.constant("row", np.array([-1], np.int64))
    graph.constant("best", np.array([20], np.int64))
    graph.constant("column", np.array([-1, 1], np.int64))
    graph.constant("one", np.array([1, 20, 6], np.int64))
    graph.constant("rest", np.zeros((1, 280, 6), np.float32))
    flat = graph.add("Reshape", [scores(graph), "row"], "all_scores")
    graph.nodes.append(helper.make_node("TopK", [flat, "best"], ["top", "places"], axis=0))
    parts = [
        graph.add("Gather", ["edges", "places"], "chosen_edges", axis=0),
        graph.add("Reshape", ["top", "column"], "chosen_scores"),
        graph.add("Gather", ["class", "places"], "chosen_class", axis=0),
    ]
    chosen = graph.add("Concat", parts, "chosen", axis=1)
    batch = graph.add("Reshape", [chosen, "one"], "chosen_batch")
    graph.add("Concat", [batch, "rest"], "output0", axis=1)
    graph.save(path, [1, 300, 6])


def canvas(picture, size=(SIZE, SIZE)):
    """`[1, 3, height, width]`, the scale, and where the picture lies."""
    scale = min(size[0] / picture.width, size[1] / picture.height)
    inner = [round(picture.width * scale), round(picture.height * scale)]
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    grey = np.full((size[1], size[0], 3), 114, np.float32)
    small = picture.convert("RGB").resize(inner, Image.Resampling.BILINEAR)
    grey[top : top + inner[1], left : left + inner[0]] = np.asarray(small, np.float32)
    return grey.transpose(2, 0, 1)[None] / 255, scale, (left, top)


def candidates(output, classes, chosen):
    """Edges and scores of one class, and whether something is left to suppress."""
    rows = output[0]
    if rows.shape[0] < rows.shape[1]:
        rows = rows.T
    elif rows.shape[1] != 5 + classes and rows.shape[0] <= 1000:
        return rows[:, :4], np.where(rows[:, 5].round() == chosen, rows[:, 4], 0), False
    half = rows[:, 2:4] / 2
    edges = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
    if rows.shape[1] == 5 + classes:
        return edges, rows[:, 4] * rows[:, 5 + chosen], True
    return edges, rows[:, 4 + chosen], True


def suppress(edges, scores, overlap):
    order, kept = np.argsort(-scores, kind="stable"), []
    area = np.prod(edges[:, 2:] - edges[:, :2], axis=1)
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        low = np.maximum(edges[best, :2], edges[order, :2])
        high = np.minimum(edges[best, 2:], edges[order, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        order = order[shared / (area[best] + area[order] - shared) <= overlap]
    return kept


def detect(session, picture, chosen, classes, confidence=CONFIDENCE, overlap=OVERLAP):
    """`[left, top, right, bottom, score]` of a class in the picture's pixels, surest first."""
    height, width = session.get_inputs()[0].shape[2:]
    values, scale, offset = canvas(picture, (width, height))
    output = session.run(None, {session.get_inputs()[0].name: values.astype(np.float32)})[0]
    edges, scores, is_open = candidates(output, classes, chosen)
    above = scores > confidence
    edges, scores = edges[above].astype(np.float64), scores[above]
    if is_open:
        kept = suppress(edges, scores, overlap)
        edges, scores = edges[kept], scores[kept]
    edges = (edges - np.tile(offset, 2)) / scale
    limit = np.array([picture.width, picture.height] * 2)
    edges = np.clip(edges, 0, limit)
    has_area = (edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])
    return [[*map(float, box), float(score)] for box, score in zip(edges[has_area], scores[has_area])]


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = {"pictures": PICTURES, "boxes": {}}
    for name, make in (("v5", v5), ("v8", v8), ("v10", v10)):
        path = FOLDER / f"{name}.onnx"
        make(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        boxes = {}
        for picture, drawing in PICTURES.items():
            found = detect(session, draw(*drawing), NAMES.index("person"), len(NAMES))
            boxes[picture] = [[round(value, 4) for value in box] for box in found]
        expected["boxes"][name] = boxes
        print(name, path.stat().st_size, {picture: len(found) for picture, found in boxes.items()})
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
