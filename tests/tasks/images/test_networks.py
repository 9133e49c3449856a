"""The image networks: published parameter counts, what they are made of, and the maps of structural feedback."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.tasks.images.cnn import CNN
from benchmarks.tasks.images.config import CNNConfig, PerceptronConfig, ResNetConfig, ViTConfig
from benchmarks.tasks.images.layers import DenseMap, LocallyConnected, MaskedLinear
from benchmarks.tasks.images.mlp import MLP
from benchmarks.tasks.images.resnet import ResNet
from benchmarks.tasks.images.vit import ViT
from dfa_core import DFA, FeedbackPoint

CIFAR, MNIST = (3, 32, 32), (1, 28, 28)


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("model", "count"),
    [
        # 3072 · 800 + 2 · 800² + 800 · 10, and the biases
        (lambda: MLP(PerceptronConfig(), CIFAR, 10, 128), 2_457_600 + 1_280_000 + 8_000 + 2_410),
        # 196-64-64-10 without biases: arXiv:2011.12428 with its images shrunk to 14 × 14
        (lambda: MLP(PerceptronConfig(width=64, layers=2, bias=False), (1, 14, 14), 10, 32), 12_544 + 4_096 + 640),
        # 5×5: 3-32-64-64, then 576-128-10
        (lambda: CNN(CNNConfig(), CIFAR, 10, 128), 2_432 + 51_264 + 102_464 + 73_856 + 1_290),
        # ResNet-20 with shortcuts of option A
        (lambda: ResNet(ResNetConfig(blocks=3), CIFAR, 10, 128), 269_722),
    ],
)
def test_the_number_of_parameters_is_the_published_one(model, count):
    assert parameters(model()) == count


NETWORKS = {
    "mlp": lambda shape: MLP(PerceptronConfig(width=32), shape, 10, 8),
    "cnn": lambda shape: CNN(CNNConfig(channels=[4, 6], hidden=16), shape, 10, 8),
    "resnet": lambda shape: ResNet(ResNetConfig(width=4), shape, 10, 8),
    "vit": lambda shape: ViT(ViTConfig(width=16, layers=2, heads=2, hidden=16), shape, 10, 8),
}


@pytest.mark.parametrize("shape", [MNIST, CIFAR, (1, 16, 16)])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_every_image(name, shape):
    model = NETWORKS[name](shape)
    assert model(torch.randn(3, *shape)).shape == (3, 10)


def test_the_bottleneck_is_narrow_or_masked_in_the_middle_layer():
    """Two different experiments: a layer that is narrow, and a wide one of which little learns."""
    narrow = MLP(PerceptronConfig(width=20, bottleneck=3), MNIST, 10, 8)
    assert [layer.linear.out_features for layer in narrow.hidden] == [20, 3, 20]
    masked = MLP(PerceptronConfig(width=20, kept_gradient=0.25), MNIST, 10, 8)
    assert [isinstance(layer.linear, MaskedLinear) for layer in masked.hidden] == [False, True, False]
    assert [point.width for point in masked.modules() if isinstance(point, FeedbackPoint)] == [20] * 3


@pytest.mark.parametrize("kept", [0.25, 1.0])
@pytest.mark.parametrize("feedback_below_middle", [True, False])
def test_the_layer_below_the_middle_learns_from_its_feedback_or_from_what_comes_down(kept, feedback_below_middle):
    """The released bottleneck has no feedback there: its signal is that of the layer above, through masked weights."""
    torch.manual_seed(0)
    config = PerceptronConfig(width=20, kept_gradient=kept, feedback_below_middle=feedback_below_middle)
    model = MLP(config, MNIST, 10, 8).double()
    method = DFA(model).double()
    x, labels = torch.randn(8, *MNIST, dtype=torch.float64), torch.randint(10, (8,))
    method.backward(nn.functional.cross_entropy(model(x), labels))
    below, middle = model.hidden[:2]
    with method.detached():
        error = torch.softmax(model(x), 1).sub(nn.functional.one_hot(labels, 10)) / 8
    h = torch.tanh(below.linear(x.flatten(1)))
    if feedback_below_middle:
        signal = error @ method.matrix("hidden.0.point")
    else:
        sent = error @ method.matrix("hidden.1.point") * (1 - torch.tanh(middle.linear(h)) ** 2)
        signal = sent @ middle.linear.weight * (below.mask.mask if kept < 1 else 1)
    assert torch.allclose(below.linear.weight.grad, (signal * (1 - h**2)).T @ x.flatten(1))


@pytest.mark.parametrize("kept", [0.25, 1.0])
def test_backprops_gradient_is_the_same_wherever_feedback_enters(kept):
    gradients = []
    for feedback_below_middle in (True, False):
        torch.manual_seed(0)
        config = PerceptronConfig(width=20, kept_gradient=kept, feedback_below_middle=feedback_below_middle)
        model = MLP(config, MNIST, 10, 8)
        nn.functional.cross_entropy(model(torch.randn(8, *MNIST)), torch.arange(8)).backward()
        gradients.append(model.hidden[0].linear.weight.grad)
    assert torch.equal(*gradients)


def test_a_layer_is_a_map_then_dropout_then_the_activation_then_the_norm():
    """The released order of arXiv:1906.04554; behind the norm there is the feedback."""
    layer = MLP(PerceptronConfig(width=5, batch_norm=True, dropout=0.5), MNIST, 10, 8).hidden[0]
    assert [type(module).__name__ for module in layer] == ["Linear", "Dropout", "Tanh", "BatchNorm1d", "FeedbackPoint"]
    block = CNN(CNNConfig(batch_norm=True), CIFAR, 10, 8).blocks[0]
    kinds = ["Conv2d", "Dropout2d", "Tanh", "BatchNorm2d", "MaxPool2d", "FeedbackPoint"]
    assert [type(module).__name__ for module in block] == kinds


def test_feedback_of_the_published_cnn_enters_where_it_is_published():
    model = CNN(CNNConfig(), CIFAR, 10, 8)
    assert [p.width for p in model.modules() if isinstance(p, FeedbackPoint)] == [7200, 3136, 576, 128]


def test_zero_weights_are_zero():
    model = MLP(PerceptronConfig(width=5, initial="zeros", bias=False), MNIST, 10, 8)
    assert not any(p.any() for p in model.parameters())


@pytest.mark.parametrize(("sharing", "kind"), [("local", LocallyConnected), ("dense", DenseMap)])
def test_the_equivalents_have_the_same_shapes(sharing, kind):
    """Else their comparison would be one of widths."""
    small = {"channels": [3, 4], "kernel": 4, "padding": 0, "pool": 0, "hidden": 0}
    conv, other = (CNN(CNNConfig(**small, sharing=name), (1, 14, 14), 10, 8) for name in ("conv", sharing))
    shapes = [[p.features for p in net.modules() if isinstance(p, FeedbackPoint)] for net in (conv, other)]
    assert shapes[0] == shapes[1] == [(3, 11, 11), (4, 8, 8)]
    assert all(isinstance(block.linear, kind) for block in other.blocks)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CNN(CNNConfig(channels=[4] * 6), MNIST, 10, 8), "nothing is left of the image"),
        (lambda: ViT(ViTConfig(patch=5), MNIST, 10, 8), "must divide the images' side of 28"),
        (lambda: ViTConfig(width=10, heads=4), "multiple of heads"),
        (lambda: PerceptronConfig(kept_gradient=1.5), "must be 1 or less"),
        (lambda: PerceptronConfig(layers=1, bottleneck=5), "needs two hidden layers"),
    ],
)
def test_sizes_that_do_not_go_together_are_one_line(make, said):
    with pytest.raises(ValueError, match=said):
        make()


# Structural feedback ---------------------------------------------------------------------------------------------


def without_branches(name: str, shape):
    """The network, whose residual branches and last norm do nothing, in fp64; and the read-out of its stream."""
    torch.manual_seed(0)
    model = NETWORKS[name](shape).double().eval()
    with torch.no_grad():
        for block in model.blocks:
            branches = [block.conv2] if name == "resnet" else [block.merge, block.leave]
            for p in (p for branch in branches for p in branch.parameters()):
                p.zero_()
    return model


@pytest.mark.parametrize("shape", [MNIST, CIFAR])
@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_the_map_of_structural_feedback_is_the_streams_transpose(name, shape):
    """Sᵀ against autograd: the gradient of a sum over what the output layer reads, at every point."""
    model = without_branches(name, shape)
    points = [block.point for block in model.blocks]
    seen: list[torch.Tensor] = []
    handles = [point.register_forward_hook(lambda module, inputs, output: seen.append(output)) for point in points]
    read: list[torch.Tensor] = []
    last = model.norm.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    model(torch.randn(2, *shape, dtype=torch.float64))
    pooled = read[0].mean((2, 3)) if name == "resnet" else read[0].mean(1)
    error = torch.randn_like(pooled)
    expected = torch.autograd.grad((pooled * error).sum(), seen)
    for handle in (*handles, last):
        handle.remove()
    for point, gradient in zip(points, expected, strict=True):
        assert point.structure.width == pooled.shape[1]
        assert torch.allclose(point.structure.adjoint(error), gradient)
