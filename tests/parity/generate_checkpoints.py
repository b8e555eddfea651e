"""Writes goldens/checkpoints/: small checkpoints exactly as PyTorch, OpenCLIP and transformers save them.

Every file is made by the library whose format it stands for; beside it lies what it must read as, in
the release's keys, as safetensors. The models are tiny and random. Damaged and hostile archives that
are easier to write from Python than from Rust are made here too; nothing in them does harm when read
by the reader under test, and no test hands them to Python's own unpickler.

    OMP_NUM_THREADS=1 python tests/parity/generate_checkpoints.py
"""

import argparse
import io
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, convert_weights_to_lp
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel

OUT = Path(__file__).parent / "goldens" / "checkpoints"
WIDTH, HEADS, LAYERS, EMBED, VOCAB, CONTEXT = 8, 2, 2, 6, 16, 8
IMAGE, PATCH, FRAMES = 8, 4, 4


def randomise(module: nn.Module, seed: int) -> None:
    """Gives every parameter its own values, gains and biases included, so that no mix-up can hide."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


def clip(quick_gelu: bool = False) -> CLIP:
    model = CLIP(
        embed_dim=EMBED,
        vision_cfg=dict(
            layers=LAYERS, width=WIDTH, head_width=WIDTH // HEADS, patch_size=PATCH, image_size=IMAGE
        ),
        text_cfg=dict(
            context_length=CONTEXT, vocab_size=VOCAB, width=WIDTH, heads=HEADS, layers=LAYERS
        ),
        quick_gelu=quick_gelu,
    )
    randomise(model, 7)
    return model.eval()


class VisualHead(nn.Module):
    """The temporal encoder's parameters under the release's names (MODEL.md 1.8)."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            EMBED, nhead=2, dim_feedforward=10, activation="gelu", batch_first=True
        )
        self.fusion_layer = nn.TransformerEncoder(
            layer, num_layers=2, norm=nn.LayerNorm(EMBED), enable_nested_tensor=False
        )
        self.frame_position_embedding = nn.Embedding(FRAMES, EMBED)
        self.register_buffer("position_ids", torch.arange(FRAMES))


class ReleaseModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = clip()
        self.visual_head = VisualHead()
        randomise(self.visual_head, 8)
        self.logit_scale = self.backbone.logit_scale


def contiguous(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone().contiguous() for key, value in state.items()}


def with_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An OpenCLIP state dict under the release's keys."""
    renamed = {f"backbone.{key}": value for key, value in state.items()}
    renamed["logit_scale"] = state["logit_scale"]
    return contiguous(renamed)


def release() -> None:
    """The release's training checkpoint, after one optimiser step under AMP and a scheduler."""
    model = ReleaseModel()
    gains = [p for p in model.parameters() if p.ndim < 2]
    rest = [p for p in model.parameters() if p.ndim >= 2]
    optimizer = torch.optim.AdamW(
        [dict(params=gains, lr=5e-5, weight_decay=0.0), dict(params=rest, lr=1e-8)], eps=1e-6
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=25, eta_min=1e-10)
    sum((p**2).sum() for p in model.parameters()).backward()
    optimizer.step()
    scheduler.step()
    saved = {
        "args": {
            "exp_id": "golden",
            "debug_mode": False,
            "seed": 2022,
            "lr_min": 1e-10,
            "slurm_job_id": None,
            "sizes": [1, (2, 300, 70_000, 2**40)],
            "precision": "amp",
        },
        "epoch": 3,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "grad_scaler": torch.amp.GradScaler("cpu").state_dict(),
        # As the release's warm-up wrapper keeps it: the live parameter groups, not their indices.
        "lr_scheduler": {
            "by_epoch": True,
            "warmup_mode": "auto",
            "param_groups": optimizer.param_groups,
            "regular_lrs_per_t": [[5e-5, 1e-8], [4e-5, 1e-8]],
            "wrapped_scheduler": scheduler.state_dict(),
        },
    }
    torch.save(saved, OUT / "release.pt")
    save_file(contiguous(model.state_dict()), OUT / "release.expected.safetensors")

    model_only = {"model": {f"module.{k}": v for k, v in model.state_dict().items()}}
    torch.save(model_only, OUT / "release_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(model_only, OUT / "release_protocol4.pt", pickle_protocol=4)


def open_clip_files() -> None:
    model = clip()
    state = model.state_dict()
    save_file(with_prefix(state), OUT / "backbone.expected.safetensors")
    optimizer = torch.optim.AdamW(model.parameters())
    torch.save(
        {
            "epoch": 16,
            "name": "golden",
            "state_dict": {f"module.{key}": value for key, value in state.items()},
            "optimizer": optimizer.state_dict(),
        },
        OUT / "open_clip.pt",
    )
    torch.save(state, OUT / "open_clip_pytorch_model.bin")


def openai() -> None:
    """A traced archive in half precision, as OpenAI publishes its weights."""
    model = clip(quick_gelu=True)
    convert_weights_to_lp(model, dtype=torch.float16)

    class Traced(nn.Module):
        """Every weight below the names OpenAI uses; the traced arithmetic does not matter here."""

        def __init__(self) -> None:
            super().__init__()
            for name, child in model.named_children():
                setattr(self, name, child)
            for name in ["positional_embedding", "text_projection", "logit_scale"]:
                setattr(self, name, getattr(model, name))
            self.register_buffer("input_resolution", torch.tensor(IMAGE))
            self.register_buffer("context_length", torch.tensor(CONTEXT))
            self.register_buffer("vocab_size", torch.tensor(VOCAB))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return sum(p.float().sum() for p in self.parameters()) + x + self.input_resolution

    traced = torch.jit.trace(Traced().eval(), torch.zeros(1))
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer)
    strip_debug_files(buffer, OUT / "openai_jit.pt")

    state = traced.state_dict()
    kept = {
        k: v for k, v in state.items() if k not in ("input_resolution", "context_length", "vocab_size")
    }
    torch.save(contiguous(state), OUT / "openai_state_dict.pt")
    save_file(
        {key: value.float() for key, value in with_prefix(kept).items()},
        OUT / "openai.expected.safetensors",
    )


def strip_debug_files(archive: io.BytesIO, target: Path) -> None:
    """Copies an archive without its source maps, which are most of a small one's bytes. The code stays
    compressed, as `torch.jit.save` leaves it."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as kept:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                copy = zipfile.ZipInfo(entry.filename)
                copy.compress_type = entry.compress_type
                kept.writestr(copy, source.read(entry))


def hugging_face() -> None:
    """The same weights in transformers' CLIPModel, whose outputs prove that they are the same."""
    source = clip()
    config = CLIPConfig(
        projection_dim=EMBED,
        text_config=dict(
            vocab_size=VOCAB,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=CONTEXT,
            hidden_act="gelu",
            bos_token_id=VOCAB - 2,
            eos_token_id=VOCAB - 1,
            pad_token_id=0,
        ),
        vision_config=dict(
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            image_size=IMAGE,
            patch_size=PATCH,
            hidden_act="gelu",
        ),
    )
    model = CLIPModel(config).eval()

    def copy_blocks(blocks: nn.ModuleList, layers: nn.ModuleList) -> None:
        for block, layer in zip(blocks, layers):
            weights = block.attn.in_proj_weight.chunk(3)
            biases = block.attn.in_proj_bias.chunk(3)
            attention = layer.self_attn
            for name, weight, bias in zip(["q_proj", "k_proj", "v_proj"], weights, biases):
                getattr(attention, name).weight.copy_(weight)
                getattr(attention, name).bias.copy_(bias)
            for ours, theirs in [
                (block.attn.out_proj, attention.out_proj),
                (block.ln_1, layer.layer_norm1),
                (block.ln_2, layer.layer_norm2),
                (block.mlp.c_fc, layer.mlp.fc1),
                (block.mlp.c_proj, layer.mlp.fc2),
            ]:
                theirs.weight.copy_(ours.weight)
                theirs.bias.copy_(ours.bias)

    with torch.no_grad():
        visual, vision, text = source.visual, model.vision_model, model.text_model
        copy_blocks(visual.transformer.resblocks, vision.encoder.layers)
        copy_blocks(source.transformer.resblocks, text.encoder.layers)
        vision.embeddings.class_embedding.copy_(visual.class_embedding)
        vision.embeddings.patch_embedding.weight.copy_(visual.conv1.weight)
        vision.embeddings.position_embedding.weight.copy_(visual.positional_embedding)
        text.embeddings.token_embedding.weight.copy_(source.token_embedding.weight)
        text.embeddings.position_embedding.weight.copy_(source.positional_embedding)
        for ours, theirs in [
            (visual.ln_pre, vision.pre_layrnorm),
            (visual.ln_post, vision.post_layernorm),
            (source.ln_final, text.final_layer_norm),
        ]:
            theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.bias)
        model.visual_projection.weight.copy_(visual.proj.T)
        model.text_projection.weight.copy_(source.text_projection.T)
        model.logit_scale.copy_(source.logit_scale)

        image = torch.randn(2, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(1))
        tokens = torch.tensor([[VOCAB - 2, 3, 4, VOCAB - 1, 0, 0, 0, 0]])
        ours = [source.encode_image(image), source.encode_text(tokens)]
        result = model(input_ids=tokens, pixel_values=image)
        theirs = [result.image_embeds, result.text_embeds]
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(nn.functional.normalize(a, dim=-1), b)

    folder = OUT / "hugging_face"
    model.save_pretrained(folder)
    shutil.copy(folder / "model.safetensors", OUT / "hugging_face.safetensors")
    shutil.copy(folder / "config.json", OUT / "hugging_face.config.json")
    shutil.rmtree(folder)


def views() -> None:
    """Tensors that do not own their whole storage, and every element type."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "transposed": base.T,
        "columns": base[:, 1:4],
        "rows": base[2:],
        "strided": base[::2, ::3],
        "shared": base,
        "shared_flat": base.flatten(),
        "permuted": torch.arange(24, dtype=torch.int64).reshape(2, 3, 4).permute(2, 0, 1),
        "expanded_row": torch.arange(5).expand((1, -1)),
        "scalar": torch.tensor(2.6592),
        "empty": torch.empty(0, 3),
        "parameter": nn.Parameter(base.clone()),
        "f64": torch.tensor([1.5, -2.25], dtype=torch.float64),
        "f16": torch.tensor([1.5, -2.25, 6e-8], dtype=torch.float16),
        "bf16": torch.tensor([1.5, -2.25, 3e38], dtype=torch.bfloat16),
        "i64": torch.tensor([-(2**40), 7]),
        "i32": torch.tensor([-70_000, 7], dtype=torch.int32),
        "i16": torch.tensor([-300, 7], dtype=torch.int16),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
    }
    torch.save(tensors, OUT / "views.pt")
    torch.save(tensors, OUT / "views_legacy.pt", _use_new_zipfile_serialization=False)
    save_file(contiguous(tensors), OUT / "views.expected.safetensors")
    torch.save({"repeated": torch.ones(1).expand(1000, 1000)}, OUT / "repeated.pt")


def positions() -> None:
    """Bicubic resizing of a table of positional embeddings, the class token kept aside."""
    table = torch.randn(1 + 9, 4, generator=torch.Generator().manual_seed(5))
    tensors = {"table": table}
    image = table[1:].reshape(1, 3, 3, 4).permute(0, 3, 1, 2)
    for grid in [1, 2, 3, 4, 7]:
        resized = nn.functional.interpolate(
            image, size=(grid, grid), mode="bicubic", align_corners=True
        )
        resized = resized.permute(0, 2, 3, 1).reshape(grid * grid, 4)
        tensors[f"grid_{grid}"] = torch.cat([table[:1], resized])
    save_file(contiguous(tensors), OUT / "positions.safetensors")


class RunsACommand:
    def __reduce__(self):
        import os

        return (os.system, ("exit 1",))


def archive(name: str, entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(OUT / name, "w", method) as target:
        for entry, content in entries:
            info = zipfile.ZipInfo(entry)
            info.compress_type = method
            target.writestr(info, content)


def hostile() -> None:
    torch.save({"model": RunsACommand()}, OUT / "os_system.pt")
    (OUT / "os_system.pkl").write_bytes(pickle.dumps(RunsACommand(), protocol=2))
    torch.save({"args": argparse.Namespace(seed=1), "model": {}}, OUT / "namespace.pt")
    torch.save({"model": {}, "best": np.float64(1.0)}, OUT / "numpy_scalar.pt")
    torch.save({"epoch": 3, "notes": ["no weights"]}, OUT / "no_tensors.pt")

    state = {"w": torch.arange(3.0)}
    torch.save(state, buffer := io.BytesIO())
    with zipfile.ZipFile(buffer) as source:
        entries = [(entry.filename, source.read(entry)) for entry in source.infolist()]
    archive("traversal.pt", [("../" + name, content) for name, content in entries])
    archive("absolute.pt", [("/" + name, content) for name, content in entries])
    archive("duplicate_entry.pt", entries + entries[:1])
    archive("compressed.pt", entries, zipfile.ZIP_DEFLATED)
    archive("bomb.pt", [("archive/data.pkl", bytes(1 << 22))], zipfile.ZIP_DEFLATED)
    archive("missing_storage.pt", [e for e in entries if not e[0].endswith("data/0")])
    archive("short_storage.pt", [(n, c[:-4] if n.endswith("data/0") else c) for n, c in entries])
    big = [(n, b"big" if n.endswith("byteorder") else c) for n, c in entries]
    archive("big_endian.pt", big)


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    torch.manual_seed(0)
    release()
    open_clip_files()
    openai()
    hugging_face()
    views()
    positions()
    hostile()
    total = sum(path.stat().st_size for path in OUT.iterdir())
    print(f"{total} bytes in {OUT}, made with torch {torch.__version__}, open_clip {open_clip.__version__}")


if __name__ == "__main__":
    main()
