"""A ViT-B/32 EmotionCLIP with random weights, for `cargo xtask bench-web`: the same weights for our
engine and for ONNX Runtime, and inputs for both.

    python vit_b_32.py --out DIR

writes DIR/weights.safetensors (the release's keys, which `trainer import` reads), DIR/frames.onnx,
DIR/texts.onnx, and the inputs as plain numbers, little-endian: DIR/frames.f32 [8, 3, 224, 224],
DIR/masks.f32 [8, 224, 224] and DIR/texts.i32 [7, 77].

The graphs are what PyTorch exports of such a model: ONNX Runtime's own optimiser finds the patterns
it fuses (LayerNormalization is an operator already, GELU stands as its error function).
"""

import argparse
import json
import struct
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

EMBED = 512
SIDE, PATCH, WIDTH, LAYERS, HEADS = 224, 32, 768, 12, 12
CONTEXT, VOCABULARY, TEXT_WIDTH, TEXT_LAYERS, TEXT_HEADS = 77, 49408, 512, 12, 8
TEMPORAL_LAYERS, FEED_FORWARD, FRAMES = 6, 2048, 8
GRID = SIDE // PATCH
PATCHES = GRID * GRID
EPSILON = 1e-5
END_OF_TEXT = VOCABULARY - 1

Weights = dict[str, numpy.ndarray]


class Draw:
    """Random weights, sized as at the start of training, with gains and biases off 1 and 0."""

    def __init__(self) -> None:
        self.generator = numpy.random.default_rng(5)
        self.weights: Weights = {}

    def matrix(self, name: str, shape: tuple, deviation: float) -> None:
        values = self.generator.standard_normal(shape, dtype=numpy.float32)
        self.weights[name] = values * numpy.float32(deviation)

    def norm(self, name: str, width: int) -> None:
        self.matrix(f"{name}.weight", (width,), 0.1)
        self.weights[f"{name}.weight"] += 1
        self.matrix(f"{name}.bias", (width,), 0.1)

    def linear(self, name: str, width: int, depth: int, separator: str = ".") -> None:
        self.matrix(f"{name}{separator}weight", (width, depth), depth**-0.5)
        self.matrix(f"{name}{separator}bias", (width,), 0.1)

    def block(self, name: str, width: int) -> None:
        self.norm(f"{name}.ln_1", width)
        self.linear(f"{name}.attn.in_proj", 3 * width, width, "_")
        self.linear(f"{name}.attn.out_proj", width, width)
        self.norm(f"{name}.ln_2", width)
        self.linear(f"{name}.mlp.c_fc", 4 * width, width)
        self.linear(f"{name}.mlp.c_proj", width, 4 * width)


def draw_weights() -> Weights:
    draw = Draw()
    visual = "backbone.visual"
    draw.matrix(f"{visual}.conv1.weight", (WIDTH, 3, PATCH, PATCH), (3 * PATCH * PATCH) ** -0.5)
    draw.matrix(f"{visual}.class_embedding", (WIDTH,), WIDTH**-0.5)
    draw.matrix(f"{visual}.positional_embedding", (PATCHES + 1, WIDTH), WIDTH**-0.5)
    draw.matrix(f"{visual}.proj", (WIDTH, EMBED), WIDTH**-0.5)
    draw.norm(f"{visual}.ln_pre", WIDTH)
    draw.norm(f"{visual}.ln_post", WIDTH)
    for layer in range(LAYERS):
        draw.block(f"{visual}.transformer.resblocks.{layer}", WIDTH)
    draw.matrix("backbone.token_embedding.weight", (VOCABULARY, TEXT_WIDTH), 0.02)
    draw.matrix("backbone.positional_embedding", (CONTEXT, TEXT_WIDTH), 0.01)
    draw.matrix("backbone.text_projection", (TEXT_WIDTH, EMBED), TEXT_WIDTH**-0.5)
    draw.norm("backbone.ln_final", TEXT_WIDTH)
    for layer in range(TEXT_LAYERS):
        draw.block(f"backbone.transformer.resblocks.{layer}", TEXT_WIDTH)
    # The temporal encoder takes no part, but a model has one.
    fusion = "visual_head.fusion_layer"
    for layer in range(TEMPORAL_LAYERS):
        name = f"{fusion}.layers.{layer}"
        draw.linear(f"{name}.self_attn.in_proj", 3 * EMBED, EMBED, "_")
        draw.linear(f"{name}.self_attn.out_proj", EMBED, EMBED)
        draw.linear(f"{name}.linear1", FEED_FORWARD, EMBED)
        draw.linear(f"{name}.linear2", EMBED, FEED_FORWARD)
        draw.norm(f"{name}.norm1", EMBED)
        draw.norm(f"{name}.norm2", EMBED)
    draw.norm(f"{fusion}.norm", EMBED)
    draw.matrix("visual_head.frame_position_embedding.weight", (FRAMES, EMBED), 0.02)
    scale = numpy.array(numpy.log(1 / 0.07), dtype=numpy.float32)
    return {**draw.weights, "logit_scale": scale, "backbone.logit_scale": scale}


def write_safetensors(path: Path, weights: Weights) -> None:
    header, at = {}, 0
    for name, values in weights.items():
        end = at + values.nbytes
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in weights.values():
            file.write(values.tobytes())


class Graph:
    """An ONNX graph under construction: every method adds operators and gives the result's name."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, values: numpy.ndarray | list[int] | float, name: str | None = None) -> str:
        if isinstance(values, list):
            values = numpy.array(values, dtype=numpy.int64)
        values = numpy.asarray(values, dtype=None if isinstance(values, numpy.ndarray) else numpy.float32)
        name = name or f"constant_{len(self.constants)}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(numpy.array(values, order="C"), name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(self.weights[name], name)

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str | list[str]:
        names = [f"value_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.constant(list(shape)))

    def norm(self, x: str, name: str) -> str:
        gain, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", x, gain, bias, axis=-1, epsilon=EPSILON)

    def linear(self, x: str, name: str, separator: str = ".") -> str:
        weight = f"{name}{separator}weight"
        transposed = self.constant(self.weights[weight].T, f"{weight}.T")
        return self.add("Add", self.add("MatMul", x, transposed), self.weight(f"{name}{separator}bias"))

    def gelu(self, x: str) -> str:
        error = self.add("Erf", self.add("Div", x, self.constant(2.0**0.5)))
        doubled = self.add("Mul", x, self.add("Add", error, self.constant(1.0)))
        return self.add("Mul", doubled, self.constant(0.5))

    def attention(self, x: str, name: str, width: int, heads: int, mask: str | None) -> str:
        joint = self.linear(x, f"{name}.in_proj", "_")
        parts = self.add("Split", joint, outputs=3, axis=-1, num_outputs=3)
        split = [self.reshape(part, 0, -1, heads, width // heads) for part in parts]
        query, value = (self.add("Transpose", split[part], perm=[0, 2, 1, 3]) for part in (0, 2))
        key = self.add("Transpose", split[1], perm=[0, 2, 3, 1])
        query = self.add("Mul", query, self.constant((width // heads) ** -0.5))
        scores = self.add("MatMul", query, key)
        if mask:
            scores = self.add("Add", scores, mask)
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        mixed = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(self.reshape(mixed, 0, -1, width), f"{name}.out_proj")

    def block(self, x: str, name: str, width: int, heads: int, mask: str | None = None) -> str:
        attended = self.attention(self.norm(x, f"{name}.ln_1"), f"{name}.attn", width, heads, mask)
        x = self.add("Add", x, attended)
        hidden = self.gelu(self.linear(self.norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc"))
        return self.add("Add", x, self.linear(hidden, f"{name}.mlp.c_proj"))

    def save(self, path: Path, inputs: dict[str, tuple[int, list]], output: str) -> None:
        values = [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()]
        features = self.nodes[-1].output
        features[:] = [output]
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["count", EMBED])
        graph = helper.make_graph(
            self.nodes, path.stem, values, [result], list(self.constants.values())
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, path)


def write_frames(path: Path, weights: Weights) -> None:
    graph = Graph(weights)
    visual = "backbone.visual"
    positions = weights[f"{visual}.positional_embedding"]
    strides = {"kernel_shape": [PATCH] * 2, "strides": [PATCH] * 2}
    patches = graph.add("Conv", "frames", graph.weight(f"{visual}.conv1.weight"), **strides)
    patches = graph.add("Transpose", graph.reshape(patches, 0, WIDTH, PATCHES), perm=[0, 2, 1])
    patches = graph.add("Add", patches, graph.constant(positions[1:], "positions"))
    class_token = weights[f"{visual}.class_embedding"] + positions[0]
    count = graph.add("Shape", "frames", start=0, end=1)
    shape = graph.add("Concat", count, graph.constant([1, WIDTH]), axis=0)
    class_token = graph.constant(class_token.reshape(1, 1, WIDTH), "class_token")
    class_token = graph.add("Expand", class_token, shape)
    coverage = graph.add("AveragePool", graph.reshape("masks", 0, 1, SIDE, SIDE), **strides)
    human = graph.add("MatMul", graph.reshape(coverage, 0, 1, PATCHES), "positions")
    x = graph.add("Concat", class_token, patches, human, axis=1)
    x = graph.norm(x, f"{visual}.ln_pre")
    for layer in range(LAYERS):
        x = graph.block(x, f"{visual}.transformer.resblocks.{layer}", WIDTH, HEADS)
    first = graph.add("Gather", x, graph.constant(numpy.array(0, dtype=numpy.int64)), axis=1)
    graph.add("MatMul", graph.norm(first, f"{visual}.ln_post"), graph.weight(f"{visual}.proj"))
    inputs = {
        "frames": (TensorProto.FLOAT, ["count", 3, SIDE, SIDE]),
        "masks": (TensorProto.FLOAT, ["count", SIDE, SIDE]),
    }
    graph.save(path, inputs, "features")


def write_texts(path: Path, weights: Weights) -> None:
    graph = Graph(weights)
    x = graph.add("Gather", graph.weight("backbone.token_embedding.weight"), "texts", axis=0)
    x = graph.add("Add", x, graph.weight("backbone.positional_embedding"))
    causal = numpy.triu(numpy.full((CONTEXT, CONTEXT), -1e9, dtype=numpy.float32), 1)
    causal = graph.constant(causal, "causal")
    for layer in range(TEXT_LAYERS):
        name = f"backbone.transformer.resblocks.{layer}"
        x = graph.block(x, name, TEXT_WIDTH, TEXT_HEADS, causal)
    x = graph.norm(x, "backbone.ln_final")
    # Read at the end of the text, the largest id.
    place = graph.add("ArgMax", "texts", axis=1, keepdims=1)
    place = graph.add("Unsqueeze", place, graph.constant([2]))
    count = graph.add("Shape", "texts", start=0, end=1)
    shape = graph.add("Concat", count, graph.constant([1, TEXT_WIDTH]), axis=0)
    last = graph.add("GatherElements", x, graph.add("Expand", place, shape), axis=1)
    last = graph.reshape(last, 0, TEXT_WIDTH)
    graph.add("MatMul", last, graph.weight("backbone.text_projection"))
    graph.save(path, {"texts": (TensorProto.INT32, ["count", CONTEXT])}, "features")


def write_inputs(folder: Path) -> None:
    generator = numpy.random.default_rng(6)
    frames = generator.standard_normal((FRAMES, 3, SIDE, SIDE), dtype=numpy.float32)
    frames.tofile(folder / "frames.f32")
    masks = numpy.zeros((FRAMES, SIDE, SIDE), dtype=numpy.float32)
    for frame in range(FRAMES):
        masks[frame, 30 + 5 * frame : 180, 40 : 150 + 7 * frame] = 1
    masks.tofile(folder / "masks.f32")
    texts = numpy.zeros((7, CONTEXT), dtype=numpy.int32)
    for row, text in enumerate(texts):
        length = 4 + row
        text[0] = END_OF_TEXT - 1
        text[1:length] = generator.integers(300, 40_000, length - 1)
        text[length] = END_OF_TEXT
    texts.tofile(folder / "texts.i32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    weights = draw_weights()
    write_safetensors(folder / "weights.safetensors", weights)
    write_inputs(folder)
    write_texts(folder / "texts.onnx", weights)
    write_frames(folder / "frames.onnx", weights)


if __name__ == "__main__":
    main()
