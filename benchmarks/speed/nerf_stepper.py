"""NeRF's training step in parts that can be timed: all of it, and the radiance fields alone on the same work."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.stepper import Stepper
from benchmarks.tasks.view_synthesis.network import RadianceField
from benchmarks.tasks.view_synthesis.reconstruction import Reconstruction
from benchmarks.tasks.view_synthesis.rendering import NeRF
from datasets.scenes.cameras import Intrinsics
from datasets.scenes.types import Scene, Views

#: The tasks that have the two published sizes of a field.
SIZES = {"4×128": "nerf_synthetic/lego", "8×256": "nerf_synthetic/lego_8x256"}
METHODS = ("bp", "dfa", "shallow")

_VIEWS, _SIDE, _FOCAL = 20, 100, 139.0  # the field of view of NeRF-Synthetic
_DISTANCE = 4.0  # of the cameras from the origin


@dataclass
class FieldCall:
    """A field's input in a step, and the gradient that came back: ``(rays, samples, 4)``."""

    field: RadianceField
    positions: Tensor
    directions: Tensor
    gradient: Tensor | None = None


class InjectGradient(torch.autograd.Function):
    """A loss of 0 whose gradient with respect to ``output`` is ``gradient``.

    A backward pass begins with it where it would arrive from the renderer, for every method and without work.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return output.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient, None


class NeRFStepper(Stepper[Reconstruction]):
    """One size of field under one method, step by step.

    options: rays, coarse, fine, precision, device, compile; see `nerf_step`.
    """

    def __init__(self, size: str, method: str, options: argparse.Namespace) -> None:
        samples = {"rays": options.rays, "coarse_samples": options.coarse, "fine_samples": options.fine}
        super().__init__(
            [f"task={SIZES[size]}", f"method={method}", *(f"task.{key}={value}" for key, value in samples.items())],
            lambda settings: Reconstruction(settings, scene(), seed=0),
            HardwareConfig(device=options.device, precision=options.precision),
        )
        self._compiled = False
        self.calls = self._recorded_step()  # before compilation, into which hooks do not reach
        if options.compile:
            compile_in_parts(self.task.model)
            self._compiled = True

    def parts(self) -> dict[str, Callable[[], None]]:
        """The timed parts, by name. Compiled fields have no encoding that could be told from the rest."""
        parts = {"step": self.step, "fields": self.fields}
        return parts if self._compiled else {**parts, "encoding": self.encoding}

    def step(self) -> None:
        """From the next batch to the update of the weights."""
        self._begin()
        super().step()

    def fields(self) -> None:
        """Forward and backward of both fields, encodings included: a step without sampling, rendering and update."""
        self._begin()
        self.loop.optimizer.zero_grad(set_to_none=True)
        with self.loop.forward_context():
            losses = [
                InjectGradient.apply(call.field(call.positions, call.directions), call.gradient) for call in self.calls
            ]
        self.loop.method.backward(sum(losses))

    def encoding(self) -> None:
        """The encodings of both fields' inputs; nothing flows back through them."""
        with self.loop.forward_context():
            for call in self.calls:
                call.field.encode_position(call.positions)
                call.field.encode_direction(call.directions)

    def _recorded_step(self) -> list[FieldCall]:
        """The calls of the fields in one step."""
        calls: list[FieldCall] = []

        def keep(field: Any, inputs: tuple[Tensor, Tensor], raw: Tensor) -> None:
            call = FieldCall(field, *inputs)
            raw.register_hook(lambda gradient: setattr(call, "gradient", gradient.clone()))
            calls.append(call)

        model = self.task.model
        handles = [field.register_forward_hook(keep) for field in (model.coarse, model.fine)]
        self.step()
        for handle in handles:
            handle.remove()
        return calls

    def _begin(self) -> None:
        if self._compiled:
            torch.compiler.cudagraph_mark_step_begin()  # what the last step computed may be overwritten


def compile_in_parts(model: NeRF) -> None:
    """Compile each field, and what lies around them, in place; as CUDA graphs on a GPU.

    Apart, because an error tap has to close its compiled region. Backprop could do with one region, but gets the same
    parts, so that methods compare. The loss stays outside: what a CUDA graph returns is overwritten by the next step.
    """
    for field in (model.coarse, model.fine):
        # Disabled for the outer compilation, which would inline the field and its tap, and compiled by itself.
        compiled = torch.compile(field.forward, mode="reduce-overhead", fullgraph=True)
        field.forward = torch.compiler.disable(compiled)  # type: ignore[method-assign]
    model.compile(mode="reduce-overhead")


def scene() -> Scene:
    """Views of noise, all from one camera that looks at the origin: a step takes as long as with photographs."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (_VIEWS, _SIDE, _SIDE, 4), generator=generator, dtype=torch.uint8)
    pose = torch.eye(3, 4)
    pose[2, 3] = _DISTANCE
    views = Views(images, pose.expand(_VIEWS, 3, 4).clone(), tuple(map(str, range(_VIEWS))))
    centre = _SIDE / 2
    camera = Intrinsics(_FOCAL, _FOCAL, centre, centre, _SIDE, _SIDE)
    bounds = (_DISTANCE - 2, _DISTANCE + 2)
    return Scene(views, views, views, camera, *bounds, ndc=False, white_background=True, depths=bounds)
