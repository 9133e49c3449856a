"""Small recommenders with random weights, and the same networks sample by sample, as the papers write them."""

from __future__ import annotations

import itertools
import math

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from benchmarks.settings.compose import compose
from benchmarks.tasks.criteo.fields import Fields
from tests.helpers.networks import networks_of

NETWORKS = networks_of("recommendation")

N, F = 30, 5  # embedding rows and fields of the samples here
SIZES = {  # small, and different wherever the formulas tell them apart
    "fm": {"embedding": 4},
    "deepfm": {"embedding": 4, "hidden": 7, "layers": 3, "dropout": 0.0},
    "dcn": {"embedding": 4, "cross_layers": 3, "hidden": 7, "layers": 2},
    "autoint": {"embedding": 4, "attention": 6, "heads": 2, "attention_layers": 3, "hidden": 7, "layers": 3},
    "afn": {"embedding": 4, "neurons": 6, "hidden": 7, "layers": 3},
}
HYBRIDS = [name for name in SIZES if name != "fm"]


def small(architecture: str, **settings: object) -> nn.Module:
    """A small network with random weights everywhere: norms and biases too, which start at 0 and 1."""
    torch.manual_seed(0)
    network, config = NETWORKS[architecture]
    model = network(config(**{**SIZES[architecture], **settings}), Fields(F, N))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm1d)):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return model


def sample(batch: int = 8) -> Tensor:
    """Rows as the loader gives them: each field's values in a range of its own."""
    own = torch.randint(N // F, (batch, F), generator=torch.Generator().manual_seed(1))
    return (own + N // F * torch.arange(F)).int()


def published(architecture: str, method: str = "dfa") -> dict[str, object]:
    config = compose([f"task=criteo/{architecture}", f"method={method}", "profile=paper", "data=standin"])
    return OmegaConf.to_container(config.task.model)


def linear(model: nn.Module, x: Tensor) -> Tensor:
    return sum(model.linear.table.weight[i, 0] for i in x) + model.linear.bias[0]


def mlp(model: nn.Module, x: Tensor) -> Tensor:
    """In evaluation mode."""
    for layer, norm in zip(model.mlp.linears, model.mlp.norms, strict=True):
        x = (layer.weight @ x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        x = x.clamp(min=0)
    return x


def head(layer: nn.Linear, x: Tensor) -> Tensor:
    return (layer.weight[0] * x).sum() + layer.bias[0]


def pairs(e: Tensor) -> Tensor:
    return sum(e[f] @ e[g] for f, g in itertools.combinations(range(len(e)), 2))


def fm(model: nn.Module, x: Tensor, e: Tensor) -> Tensor:
    return linear(model, x) + pairs(e)


def deepfm(model: nn.Module, x: Tensor, e: Tensor) -> Tensor:
    return linear(model, x) + pairs(e) + head(model.head, mlp(model, e.flatten()))


def dcn(model: nn.Module, x: Tensor, e: Tensor) -> Tensor:
    x0 = crossed = e.flatten()
    for layer in model.cross:
        crossed = x0 * (layer.weight.weight[0] @ crossed) + layer.bias + crossed
    return head(model.head, torch.cat([crossed, mlp(model, x0)]))


def attend(layer: nn.MultiheadAttention, x: Tensor) -> Tensor:
    width = x.size(1)
    query, key, value = (x @ layer.in_proj_weight.T + layer.in_proj_bias).split(width, dim=1)
    heads = []
    for part in torch.arange(width).split(width // layer.num_heads):
        scores = query[:, part] @ key[:, part].T / math.sqrt(len(part))
        heads.append(scores.softmax(1) @ value[:, part])
    return torch.cat(heads, 1) @ layer.out_proj.weight.T + layer.out_proj.bias


def autoint(model: nn.Module, x: Tensor, e: Tensor) -> Tensor:
    fields = e @ model.project.weight.T + model.project.bias
    for layer in model.attention:
        fields = attend(layer, fields)
    fields = (fields + e @ model.residual.weight.T + model.residual.bias).clamp(min=0)
    return linear(model, x) + head(model.cross_head, fields.flatten()) + head(model.head, mlp(model, e.flatten()))


def afn(model: nn.Module, x: Tensor, e: Tensor) -> Tensor:
    powers = (1 + e.abs()).T.unsqueeze(1) ** model.logarithmic.weight  # (width, neurons, fields)
    products = (powers.prod(2) - 1).clamp(min=0)
    return linear(model, x) + head(model.head, mlp(model, products.flatten()))


BY_HAND = {"fm": fm, "deepfm": deepfm, "dcn": dcn, "autoint": autoint, "afn": afn}
