"""The six networks as wholes: sizes, output, feedback points, and what trains without feedback."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.settings.compose import compose
from benchmarks.tasks.citation.classification import NodeClassification
from benchmarks.tasks.citation.config import GAEConfig, GATConfig, GCNConfig
from benchmarks.tasks.citation.gae import GAE
from benchmarks.tasks.citation.gat import GAT
from benchmarks.tasks.citation.gcn import GCN
from benchmarks.tasks.citation.graph import Graph
from dfa_core import make_method
from tests.helpers.citation_samples import adjacency, normalized_adjacency, randomize, sample_data, sample_graph
from tests.helpers.networks import networks_of
from tests.helpers.runs import build

NETWORKS = networks_of("citation")

GRAPHS = {"cora": (1433, 7), "citeseer": (3703, 6), "pubmed": (500, 3)}  # features, classes of the real graphs

# Summed by hand, layer by layer; features are F, classes C. Cora's GCN and GAT are numbers known from elsewhere.
PARAMETERS = {
    "gcn": (23_063, 59_366, 8_067),  # 16F + 16,  16C + C
    "cheb": (46_103, 118_710, 16_115),  # 2·16F + 16,  2·16C + C
    "spline": (69_143, 178_054, 24_163),  # (2 + 1)·16F + 16,  (2 + 1)·16C + C
    "gat": (92_373, 237_586, 32_393),  # 64F + 2·64 + 64,  64C + 2C + C
    "dna": (201_735, 492_166, 81_795),  # 128F + 128,  5 · 3 · (16·8² + 128),  128C + C
    "gae": (46_416, 119_056, 16_560),  # 32F + 32,  32·16 + 16
}

ABOVE_THE_POINT = {  # what `shallow` trains
    "gcn": {"conv2.lin.weight", "conv2.bias"},
    "cheb": {"conv2.lins.0.weight", "conv2.lins.1.weight", "conv2.bias"},
    "spline": {"conv2.weight", "conv2.lin.weight", "conv2.bias"},
    "gat": {"conv2.lin.weight", "conv2.att_src", "conv2.att_dst", "conv2.bias"},
    "dna": {"lin2.weight", "lin2.bias"},
    "gae": {"conv2.lin.weight", "conv2.bias"},
}


def published(architecture: str, features: int, classes: int, method: str = "dfa") -> nn.Module:
    """The network with the settings in `conf/`."""
    config = compose([f"task=citation/{architecture}_cora", f"method={method}", "profile=paper"])
    settings = OmegaConf.to_container(config.task.model)
    if architecture == "gae":
        return GAE(GAEConfig(**settings), features)
    network, model_config = NETWORKS[architecture]
    return network(model_config(**settings), features, classes)


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_parameter_counts_are_the_published_ones(architecture):
    """Without it a bias too many, or a projection that is kept beside its replacement, would go unseen."""
    counts = tuple(sum(p.numel() for p in published(architecture, *sizes).parameters()) for sizes in GRAPHS.values())
    assert counts == PARAMETERS[architecture]


@pytest.mark.parametrize("architecture", PARAMETERS)
@pytest.mark.parametrize("method", ["bp", "shallow"])
def test_methods_train_the_same_parameters(architecture, method):
    """Without it a setting by method could change the network itself, and the comparison with it."""
    ours, dfas = (published(architecture, 20, 3, name).state_dict() for name in (method, "dfa"))
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in dfas.items()}


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_error_is_read_at_the_output(architecture):
    """Without it the autoencoder's error could be read at the links, and its feedback have another width."""
    layout = make_method("dfa", published(architecture, 20, 3)).layout
    assert {name: tap.width for name, tap in layout.taps.items()} == {"tap": 16 if architecture == "gae" else 3}


ACTIVATIONS = {"gcn": F.relu, "cheb": F.relu, "spline": F.elu, "gat": F.elu, "dna": F.relu, "gae": F.relu}


@pytest.mark.parametrize("architecture", [name for name in PARAMETERS if name != "dna"])
def test_point_holds_the_activation_before_dropout(architecture):
    """Without it the signal would not pass the activation's derivative, or would be dropped where dropout falls."""
    graph = sample_graph()
    model = published(architecture, graph.x.width, graph.classes).train()
    seen = {}
    model.conv1.register_forward_hook(lambda module, inputs, out: seen.update(below=out))
    model.point.register_forward_hook(lambda module, inputs, out: seen.update(point=out))
    model(graph)
    assert torch.equal(seen["point"], ACTIVATIONS[architecture](seen["below"]))


def test_dna_points_hold_each_layers_output():
    """Without it a convolution could hand its true gradient down through the stack of earlier layers."""
    graph = sample_graph()
    model = published("dna", graph.x.width, graph.classes).train()
    below, points = [], []
    for module in [model.lin1, *model.convs]:
        module.register_forward_hook(lambda module, inputs, out: below.append(out))
    for module in [model.point_in, *model.points]:
        module.register_forward_hook(lambda module, inputs, out: points.append(out))
    model(graph)
    for layer, point in zip(below, points, strict=True):
        assert torch.equal(point, F.relu(layer))


@pytest.mark.parametrize("architecture", ABOVE_THE_POINT)
def test_shallow_trains_the_last_layer_alone(architecture):
    """Without it the control could learn by some path around the cuts, and DFA's lead over it would mean little."""
    graph = sample_graph()
    model = published(architecture, graph.x.width, graph.classes, "shallow")
    method = make_method("shallow", model)
    out = model(graph)
    method.backward(out.square().mean())
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == ABOVE_THE_POINT[architecture]
    assert set(method.untrained_parameters()) == {name for name, _ in model.named_parameters()} - trained


@pytest.mark.parametrize("architecture", ABOVE_THE_POINT)
def test_a_signal_trains_its_own_layer_alone(architecture):
    """Without it a layer could reach below its cut, DNA's through the stack of earlier layers, as backprop does."""
    graph = sample_graph()
    model = published(architecture, graph.x.width, graph.classes)
    method = make_method("dfa", model)
    signals = method.signals
    for point in method.layout.points:
        method.signals = lambda forward_pass, point=point: {point: signals(forward_pass)[point]}
        model.zero_grad(set_to_none=True)
        method.backward(model(graph).square().mean())
        trained = {name for name, p in model.named_parameters() if p.grad is not None} - ABOVE_THE_POINT[architecture]
        own = {"point": ("project", "conv1"), "point_in": ("lin1",)}.get(point, (point.replace("points", "convs"),))
        assert trained == {name for name, _ in model.named_parameters() if name.startswith(own)}


def dense_gcn(model: GCN, graph: Graph, x: Tensor) -> Tensor:
    a = normalized_adjacency(graph)
    hidden = torch.relu(a @ (x @ model.project.weight.T) + model.conv1.bias)
    return a @ (hidden @ model.conv2.lin.weight.T) + model.conv2.bias


def dense_attention(h: Tensor, source: Tensor, target: Tensor, neighbours: Tensor) -> Tensor:
    """One head: row i is the mean of h over i's neighbours, weighted by softmax(leaky_relu(a_src·h_j + a_dst·h_i))."""
    scores = F.leaky_relu((h @ target).unsqueeze(1) + (h @ source).unsqueeze(0), 0.2)
    return scores.masked_fill(neighbours == 0, -torch.inf).softmax(1) @ h


def dense_gat(model: GAT, graph: Graph, x: Tensor) -> Tensor:
    neighbours, first, second = adjacency(graph), model.conv1, model.conv2
    heads = (x @ model.project.weight.T).unflatten(1, (first.heads, -1)).unbind(1)
    attended = [dense_attention(h, first.att_src[0, i], first.att_dst[0, i], neighbours) for i, h in enumerate(heads)]
    hidden = F.elu(torch.cat(attended, 1) + first.bias)
    h = hidden @ second.lin.weight.T
    return dense_attention(h, second.att_src[0, 0], second.att_dst[0, 0], neighbours) + second.bias


DENSE = {
    "gcn": (lambda features, classes: GCN(GCNConfig(), features, classes), dense_gcn),
    "gat": (lambda features, classes: GAT(GATConfig(hidden=5, heads=3), features, classes), dense_gat),
}


@pytest.mark.parametrize("architecture", DENSE)
def test_whole_network_is_the_dense_one(architecture):
    """Without it right layers could be put together wrongly: an activation missing, heads flattened out of order."""
    graph = sample_graph()
    make, dense = DENSE[architecture]
    model = make(graph.x.width, graph.classes).eval()
    randomize(model)
    torch.testing.assert_close(model(graph), dense(model, graph, sample_data().x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_dropout_is_for_training_only(architecture):
    """Without it evaluation could run with dropout, or training without."""
    graph = sample_graph()
    model = published(architecture, graph.x.width, graph.classes, "bp")
    with torch.no_grad():
        same = torch.equal(model.eval()(graph), model(graph))
        training = torch.equal(model.train()(graph), model(graph))
    assert same
    assert training == (architecture == "gae")  # published without dropout


def error_at_tap(tap: str) -> tuple[NodeClassification, Tensor, float]:
    """The task, the error of its first step, and the loss."""
    built = build("citation/dna_cora", "dfa", f"task.model.tap={tap}")
    errors = []
    built.method.signals = lambda forward_pass: errors.append(forward_pass.error) or {}
    loss = built.task.loss(None)
    built.method.backward(loss)
    return built.task, errors[0], loss.item()


@pytest.mark.usefixtures("folder")
def test_log_softmax_tap_reads_a_constant():
    """Without it the trap of the released DNA could slip into the default, or its option could do nothing.

    After log-softmax the gradient of the loss is −onehot/n, whatever the network says: not an error.
    """
    task, default, default_loss = error_at_tap("scores")
    _, trapped, trapped_loss = error_at_tap("log_softmax")
    assert trapped_loss == pytest.approx(default_loss)
    one_hot, on_train = F.one_hot(task.graph.y, 7).float(), torch.zeros(task.graph.nodes, 1)
    on_train[task.train] = 1
    n = task.train.numel()
    torch.testing.assert_close(trapped, -on_train * one_hot / n)
    probabilities = task.model(task.graph).softmax(1)  # dropout is off in DNA's published setting for dfa
    torch.testing.assert_close(default, on_train * (probabilities - one_hot) / n)


def test_unknown_tap_is_refused():
    """Without it a typo would run the default under another name."""
    network, config = NETWORKS["dna"]
    with pytest.raises(ValueError, match=r"task\.model\.tap=logits: choose scores or log_softmax"):
        network(config(tap="logits"), 10, 3)
