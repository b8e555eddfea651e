"""Makes goldens/loss.safetensors: the sentiment-guided loss and its gradients."""

import math

import torch
from torch import Tensor

import reference
from golden_file import prefixed, save
from small_models import random


def loss_inputs(generator: torch.Generator) -> dict[str, dict[str, Tensor]]:
    """Batches by name: features before normalisation, logit scale and sentiment logits."""

    def batch(size: int, sentiment: Tensor, logit_scale: float) -> dict[str, Tensor]:
        return {
            "video": random(generator, size, 8),
            "text": random(generator, size, 8),
            "sentiment": sentiment,
            "logit_scale": torch.tensor(logit_scale, dtype=torch.float32).double(),
        }

    twins = random(generator, 5, 7, std=2.0)
    twins[2], twins[3] = twins[0], twins[1]
    saturated = torch.full((5, 7), -80.0, dtype=torch.float64)
    for row, column in enumerate([0, 0, 3, 6]):
        saturated[row, column] = 80.0
    saturated[1, 2] = -20.0
    saturated[4] = 80.0
    one_row = random(generator, 1, 7, std=2.0)
    return {
        "ordinary": batch(5, random(generator, 5, 7, std=2.0), 2.0),
        "identical_rows": batch(5, twins, 2.0),
        "saturated": batch(5, saturated, math.log(100.0)),
        "all_removed": batch(4, one_row.expand(4, 7).clone(), 2.5),
        "single": batch(1, random(generator, 1, 7, std=2.0), 2.5),
    }


def write_loss(generator: torch.Generator) -> None:
    """loss.safetensors: the loss and its gradients, degenerate batches included."""
    inputs = loss_inputs(generator)
    tensors, cases = {}, []
    for name, batch in inputs.items():
        tensors |= prefixed(f"input/{name}", batch)
        for direction in ("paper", "release"):
            for beta in (0.0, 0.5, 10.0):
                leaves = {
                    key: batch[key].clone().requires_grad_()
                    for key in ("video", "text", "logit_scale")
                }
                loss = reference.sentiment_guided_loss(
                    **leaves, sentiment=batch["sentiment"], beta=beta, direction=direction
                )
                loss.backward()
                case = f"{name}.{direction}.{beta:g}"
                cases.append(
                    {"name": case, "input": name, "kl_direction": direction, "beta": beta}
                )
                tensors[f"expected/{case}/loss"] = loss
                for key, leaf in leaves.items():
                    tensors[f"grad/{case}/{key}"] = leaf.grad
    save("loss", {"cases": cases}, tensors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_loss(torch.Generator().manual_seed(2026))
