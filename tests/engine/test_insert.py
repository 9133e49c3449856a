"""Marks inserted behind submodules: the same as marks in the model's source."""

from __future__ import annotations

import copy
import io
from collections import namedtuple

import pytest
import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, insert_marks, make_method
from tests.helpers.engine_nets import assert_same, batch, gradients, mse

Two = namedtuple("Two", "count hidden")
POINTS = {"layers.0": 7, "layers.1": 6}


class Layer(nn.Module):
    """A layer of a foreign model; ``kind`` is what its output is packed in."""

    def __init__(self, inputs: int, outputs: int, kind: type | None = None, point: str = "") -> None:
        super().__init__()
        self.linear, self.kind = nn.Linear(inputs, outputs), kind
        self.point = FeedbackPoint(outputs, name=point) if point else nn.Identity()

    def forward(self, x: Tensor) -> Tensor | tuple | list:
        h = self.point(torch.tanh(self.linear(x)))
        if self.kind is Two:
            return Two(len(x), h)
        return h if self.kind is None else self.kind([h, torch.zeros(1)])


class Foreign(nn.Module):
    """A model without marks; with ``marked`` the same one with marks in its source, named as inserted ones are."""

    def __init__(self, kind: type | None = None, marked: bool = False) -> None:
        super().__init__()
        names = list(POINTS) if marked else ["", ""]
        self.layers = nn.ModuleList([Layer(5, 7, kind, names[0]), Layer(7, 6, kind, names[1])])
        self.out = nn.Linear(6, 3)
        self.tap = ErrorTap(3, name="out") if marked else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            output = layer(x)
            x = output if isinstance(output, Tensor) else next(o for o in output if isinstance(o, Tensor))
        return self.tap(self.out(x))


def foreign(*args: object, **options: object) -> Foreign:
    torch.manual_seed(0)
    return Foreign(*args, **options)  # type: ignore[arg-type]


def with_source(kind: type | None = None, name: str = "dfa") -> dict[str, Tensor | None]:
    """The gradients of the model with marks in its source."""
    model = foreign(kind, marked=True)
    make_method(name, model).backward(mse(model, batch(9, 5, 3)))
    return gradients(model)


@pytest.mark.parametrize("name", ["dfa", "shallow", "bp"])
@pytest.mark.parametrize("kind", [None, tuple, list, Two])
def test_inserted_marks_equal_marks_in_the_source(name, kind):
    """Without it a model that one cannot edit would be cut elsewhere, or get other feedback than its twin."""
    model = foreign(kind)
    before = list(model.state_dict())
    insert_marks(model, points=POINTS, tap={"out": 3})
    assert list(model.state_dict()) == before
    make_method(name, model).backward(mse(model, batch(9, 5, 3)))
    assert_same(gradients(model), with_source(kind, name))


def test_a_tuple_keeps_its_type_and_its_other_entries():
    """Without it a layer's cache or attention weights would be lost, or a named tuple turned into another."""
    x = torch.randn(4, 5)
    for kind in (tuple, list, Two):
        model = foreign(kind)
        insert_marks(model, points=POINTS, tap={"out": 3})
        make_method("dfa", model)
        output = model.layers[0](x)
        assert type(output) is kind and output[0 if kind is Two else 1] == (4 if kind is Two else 0)
    make_method("bp", model)


@pytest.mark.parametrize("copied", ["deepcopy", "pickle"])
def test_copies_keep_their_marks(copied):
    """Without it a best checkpoint would lose its cuts, or its marks would report to the original's step."""
    model = foreign()
    insert_marks(model, points=POINTS, tap={"out": 3})
    make_method("dfa", model)
    if copied == "deepcopy":
        twin = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    mse(twin, batch(9, 5, 3)).backward()  # unattached: plain backprop
    assert_same(gradients(twin), with_source(name="bp"))
    twin.zero_grad()
    make_method("dfa", twin).backward(mse(twin, batch(9, 5, 3)))
    assert_same(gradients(twin), with_source())


def test_removed_marks_leave_the_model_as_it_was():
    """Without it an experiment would leave hooks in a model that others go on using."""
    model = foreign()
    inserted = insert_marks(model, points=POINTS, tap={"out": 3})
    method = make_method("dfa", model)
    inserted.remove()
    assert [path for path, _ in model.named_modules()] == [path for path, _ in foreign().named_modules()]
    assert not any(module._forward_hooks for module in model.modules())
    mse(model, batch(9, 5, 3)).backward()
    assert_same(gradients(model), with_source(name="bp"))
    with pytest.raises(FeedbackError, match="was taken out of the model after its method was made"):
        method.backward(mse(model, batch(9, 5, 3)))
    insert_marks(model, points=POINTS, tap={"out": 3})


def test_wrong_places_are_named_and_nothing_is_inserted():
    """Without it a typing error would leave a model half marked, or end in an AttributeError."""
    model = foreign()
    for points, message in (
        ({"layers.0": 7, "layer.1": 6}, r"no submodule 'layer.1': did you mean 'layers.1'"),
        ({"layers": 7}, r"'layers' is a ModuleList, which computes nothing"),
        ({"layers.0": 7, "out": 3}, r"a mark behind 'out' already"),
    ):
        with pytest.raises(FeedbackError, match=message):
            insert_marks(model, points=points, tap={"out": 3})
    insert_marks(model, points=POINTS, tap={"out": 3})
    with pytest.raises(FeedbackError, match=r"a mark behind 'layers.0' already: remove\(\) it first"):
        insert_marks(model, points={"layers.0": 7})
    with pytest.raises(FeedbackError, match="'out' got a tensor of shape"):
        model = foreign()
        insert_marks(model, points=POINTS, tap={"out": 4})
        make_method("dfa", model)
        model(torch.randn(4, 5))


def test_an_output_without_a_tensor_is_refused():
    """Without it the mark would be skipped, and what lies below it trained by backprop."""

    class Counts(nn.Module):
        def forward(self, x: Tensor) -> tuple[int]:
            return (len(x),)

    counts = Counts()
    insert_marks(counts, points={"": 3})
    with pytest.raises(FeedbackError, match="Counts returned a tuple without a tensor"):
        counts(torch.randn(2, 2))


def test_a_mark_that_never_runs_is_reported(caplog):
    """Without it a point behind a layer whose weights another module reads would cut nothing, and nobody would know."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.out = nn.MultiheadAttention(6, 2), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.attention(x, x, x)[0])

    for path in ("attention.out_proj", "attention"):
        model = Attention()
        insert_marks(model, points={path: 6}, tap={"out": 3})
        method = make_method("dfa", model)
        caplog.clear()
        for _ in range(2):
            method.backward(mse(model, (torch.randn(4, 6), torch.randn(4, 3))))
        reported = [record.getMessage() for record in caplog.records]
        assert reported == (
            ["DFA trains through feedback points that did not run in the first step: attention.out_proj"]
            if path == "attention.out_proj"
            else []
        )


def test_sequences_and_the_model_itself():
    """Without it a mark in a Sequential would run as one more of its layers, and once more by the hook."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(nn.Linear(5, 7), nn.Tanh()), nn.Sequential(nn.Linear(7, 3)))
    marked = nn.Sequential(copy.deepcopy(model[0]), FeedbackPoint(7, name="0.1"), copy.deepcopy(model[1]), ErrorTap(3))
    marked[3].given_name = "1.0"
    make_method("dfa", marked).backward(mse(marked, batch(9, 5, 3)))
    insert_marks(model, points={"0": 7}, tap={"1": 3})
    assert [len(model), len(model[0])] == [2, 2]
    method = make_method("dfa", model)
    assert method.layout.tap_of == {"0.1": "1.0"}
    method.backward(mse(model, batch(9, 5, 3)))
    assert_same(
        dict(enumerate(gradients(model).values())),  # type: ignore[arg-type]
        dict(enumerate(gradients(marked).values())),  # type: ignore[arg-type]
    )
    whole = foreign()
    insert_marks(whole, points=POINTS, tap={"": 3})
    assert set(make_method("dfa", whole).layout.taps) == {"output"}


def test_two_taps_serve_the_points_beside_them():
    """Without it a coarse and a fine network would both need taps in their source."""
    pair = nn.ModuleDict({"coarse": foreign(), "fine": foreign()})
    paths = [f"{part}.{path}" for part in pair for path in POINTS]
    insert_marks(
        pair, points={path: POINTS[path.split(".", 1)[1]] for path in paths}, tap={f"{p}.out": 3 for p in pair}
    )
    method = make_method("dfa", pair)
    assert method.layout.tap_of == {path: f"{path.split('.')[0]}.out" for path in paths}


def test_inserted_marks_in_a_compiled_model():
    """Without it compilation would pass by the hook, and the model would train by backprop."""
    torch.compiler.reset()
    model = foreign(tuple)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    insert_marks(compiled, points=POINTS, tap={"out": 3})
    method = make_method("dfa", compiled)
    for _ in range(2):
        model.zero_grad()
        method.backward(mse(compiled, batch(9, 5, 3)))
        assert_same(gradients(model), with_source(tuple), rtol=1e-5, atol=1e-6)
