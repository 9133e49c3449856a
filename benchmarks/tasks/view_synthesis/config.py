"""Settings of the radiance fields and of their rendering. Published values live in `conf/architecture/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from benchmarks.settings.limits import COUNT, NOT_NEGATIVE, at_least, at_most, first_problem, limited
from benchmarks.settings.schema import ModelConfig, TaskConfig

#: Of a ray, for a distribution to be drawn from.
SAMPLES = at_least(3)


@dataclass
class ViewSynthesisConfig(TaskConfig):
    """Learning one scene. What the image sizes and test views depend on decides which PSNRs may be compared."""

    domain: str = "view_synthesis"
    suite: str = "view_synthesis"
    name: str = "${.dataset}"
    metric: str = "psnr"
    rays: int = limited(COUNT, 1024)  # a step
    coarse_samples: int = limited(SAMPLES, 64)  # a ray
    fine_samples: int = limited(COUNT, 128)  # a ray, besides the coarse ones
    density_noise: float = limited(NOT_NEGATIVE, 0.0)  # standard deviation, in training
    downscale: int = limited(COUNT, 1)  # width and height are divided by it
    longest_side: Optional[int] = limited(COUNT, None)  # noqa: UP045  and by more, if needed for no side to be longer
    every_test_view: int = limited(COUNT, 1)  # only every n-th test view is scored
    holdout: int = limited(at_least(2), 8)  # LLFF and captures: every n-th view is a test view
    llff_factor: int = limited(COUNT, 8)  # LLFF: which folder of images, 4 is images_4
    valid_views: int = limited(COUNT, 2)  # rendered at an evaluation during training
    chunk: int = limited(COUNT, 4096)  # rays rendered at once, outside training

    def min_activations(self) -> int:
        return self.rays * (2 * self.coarse_samples + self.fine_samples) * self.model.depth * self.model.width


@dataclass
class NeRFConfig(ModelConfig):
    """A radiance field: as published by default.

    depth 4, width 128 and feature_relu are what the paper's released checkpoints hold (84,548 parameters a field); such
    a field is too shallow for the skip connection. NeRF's own field has no ReLU behind its feature layer, and the
    number of parameters does not tell the two apart.

    A field whose raw densities are all negative is empty and has no gradient, in any method. With PyTorch's initial
    values a density hardly varies in space, and a third of all seeds start like that; a density_bias of 0.5 avoids
    it, as density noise does.
    """

    depth: int = 8  # layers on the position
    width: int = limited(at_least(2), 256)  # of each; the layer that sees the direction has half of it
    skip: int = limited(
        NOT_NEGATIVE, 4
    )  # the position enters again after this layer, counted from 0, unless that is the last one
    #: Frequencies double. In fp32, the sine of a larger angle says nothing, and that of 2**128 is not a number.
    position_frequencies: int = limited(at_most(24), 10)
    direction_frequencies: int = limited(at_most(24), 4)
    density_bias: float = 0.0  # added to PyTorch's initial value
    feature_relu: bool = False  # a ReLU between the feature layer and its feedback point

    def min_parameters(self) -> int:
        return self.width * ((self.depth - 1) * self.width + 6 * self.position_frequencies)

    def min_modules(self) -> int:
        return self.depth + self.position_frequencies + self.direction_frequencies

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 2:
            raise ValueError(f"task.model.width={self.width}: must be even, the direction's layer has half of it")


@dataclass(frozen=True)
class RenderOptions:
    """How a ray becomes a colour.

    near, far: bounds of t along a ray (`Scene`). coarse_samples, fine_samples: a ray; the fine field sees both.
    density_noise: standard deviation of what is added to the raw density in training. background: the grey behind
    the scene, 1 is white, 0 black.
    """

    near: float
    far: float
    coarse_samples: int = limited(SAMPLES, 64)
    fine_samples: int = limited(COUNT, 128)
    density_noise: float = limited(NOT_NEGATIVE, 0.0)
    background: float = 1.0

    def __post_init__(self) -> None:
        if not self.near < self.far:
            raise ValueError(f"near={self.near}, far={self.far}: near must be less than far")
        if found := first_problem(RenderOptions, vars(self)):
            raise ValueError(found)
