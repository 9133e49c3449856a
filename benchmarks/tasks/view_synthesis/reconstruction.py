"""View synthesis: learn a scene from photographs, and render it from where no photograph was taken."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks.task import Task
from benchmarks.tasks.view_synthesis.config import NeRFConfig, RenderOptions, ViewSynthesisConfig
from benchmarks.tasks.view_synthesis.quality import MIN_SIDE, psnr, ssim
from benchmarks.tasks.view_synthesis.rays import scene_rays, view_rays
from benchmarks.tasks.view_synthesis.rendering import NeRF, Picture, integrate, render_in_chunks
from benchmarks.tasks.view_synthesis.sheet import SheetRow, contact_sheet
from benchmarks.terminal.progress_bar import progress_bar
from datasets.core.source import Source
from datasets.scenes.load import Scene, SceneOptions, Views, composite, load_scene
from dfa_core import Supervision

ALIGNMENT_RAYS = 256  # up to 49,152 samples: enough for a mean cosine, and as quick as a quarter of a step
WEIGHTS = "weights.pt"  # the artefact
SHEET_VIEWS = 3  # on a contact sheet
VALIDATION_PIXELS = 10_000  # of a view, at most about

load_once = lru_cache(maxsize=1)(load_scene)  # a worker trains several methods and seeds on the same scene


def build(config: ViewSynthesisConfig, source: Source, seed: int) -> Reconstruction:
    """The task on the scene of ``source``."""
    task = Reconstruction(config, load_once(source, scene_options(config)), seed)
    if source.kind == "real" and source.folder.name != source.name.rpartition("/")[2]:
        task.about_data += f", from {source.folder.name}"  # a copy in another size than the published one
    return task


def scene_options(config: ViewSynthesisConfig) -> SceneOptions:
    """How a task's settings want the scene to be loaded."""
    return SceneOptions(
        config.downscale, config.every_test_view, config.holdout, config.llff_factor, config.longest_side
    )


def render_options(config: ViewSynthesisConfig, scene: Scene) -> RenderOptions:
    """How a task's settings want rays of this scene to be rendered."""
    return RenderOptions(
        scene.near,
        scene.far,
        config.coarse_samples,
        config.fine_samples,
        config.density_noise,
        background=float(scene.white_background),
    )


class Reconstruction(Task):
    """Squared error of the coarse and the fine rendering on random rays; PSNR and SSIM on views that are held out.

    Training rays are drawn with replacement from the pixels of all training views. The last weights are tested, not
    the best on validation, as the field does.

    Raises:
        ValueError: images that are too small to be scored.
    """

    model: NeRF
    selection = "valid_psnr"
    keeps_last = True

    def __init__(self, config: ViewSynthesisConfig, scene: Scene, seed: int) -> None:
        self.config, self.scene, self.seed = config, scene, seed
        self._check()
        self.options = render_options(config, scene)
        self.model = NeRF(NeRFConfig(**config.model))
        self._train = _Pixels(scene.train)
        self._valid = _evenly_spaced(scene.valid, config.valid_views)
        self._sheet: list[SheetRow] = []
        camera = scene.intrinsics
        self.about_data = (
            f"{camera.width}×{camera.height} pixels, {len(scene.train)} training and {len(scene.test)} test views"
        )

    def batches(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Numbers of training pixels ``(rays,)``; an epoch has as many as there are pixels."""
        for number in range(start, -(-self._train.count // self.config.rays)):
            state = np.random.SeedSequence([self.seed, epoch, number]).generate_state(1)[0]
            generator = torch.Generator().manual_seed(int(state))
            yield torch.randint(self._train.count, (self.config.rays,), generator=generator)

    def loss(self, batch: Tensor) -> Tensor:
        images, poses, pixels = self._train.on(self._device).look_up(batch)
        colours = composite(images, self.options.background)
        coarse, fine = self.model(scene_rays(self.scene, poses, pixels), self.options, random=True)
        return F.mse_loss(coarse.rgb, colours) + F.mse_loss(fine.rgb, colours)

    def compile(self) -> None:
        for field in (self.model.coarse, self.model.fine):  # the renderer lies above their taps
            field.compile(fullgraph=True)

    def supervision(self, batch: Tensor) -> Supervision:
        """The squared error of one rendering of raw values, at the distances where the field is asked in this step."""
        images, poses, pixels = self._train.on(self._device).look_up(batch)
        colours, rays = composite(images, self.options.background), scene_rays(self.scene, poses, pixels)

        def head(tap: str, raw: Tensor) -> Tensor:
            rendered = integrate(raw, self.model.sampled[tap], rays.directions, self.options.background)
            return F.mse_loss(rendered.rgb, colours)

        # A decoder's density starts where the field's does: one that is negative everywhere would never learn.
        bias = torch.tensor([0.0, 0.0, 0.0, float(self.config.model["density_bias"])], device=self._device)
        return Supervision(head=head, offset=lambda tap: bias)

    def samples(self, batch: Tensor) -> int:
        return len(batch)

    def validate(self) -> dict[str, float]:
        """On some pixels of a few validation views, evenly spaced: a curve to watch, not the number to report."""
        camera = self.scene.intrinsics
        every = math.ceil(math.sqrt(camera.height * camera.width / VALIDATION_PIXELS))
        rendered = self._rendered(self._valid, "validation", every)
        scores = [psnr(picture.rgb, truth) for _, picture, truth in rendered]
        return {"valid_psnr": statistics.fmean(scores)}

    def test(self) -> dict[str, float]:
        views = self.scene.test
        shown = set(_evenly_spaced(views, SHEET_VIEWS).names)
        self._sheet, similarities, scores = [], [], []
        for name, picture, truth in self._rendered(views, "test"):
            scores.append(psnr(picture.rgb, truth))
            similarities.append(ssim(picture.rgb, truth))
            if name in shown:
                depth = picture.depth_with_background(self.scene.far)
                self._sheet.append(SheetRow(name, truth.cpu(), picture.rgb.cpu(), depth.cpu(), scores[-1]))
        return {"psnr": statistics.fmean(scores), "ssim": statistics.fmean(similarities)}

    def artefacts(self) -> dict[str, bytes]:
        """The weights, from which other views can be rendered, and a contact sheet of some test views."""
        weights, sheet = io.BytesIO(), io.BytesIO()
        torch.save({name: value.cpu() for name, value in self.model.state_dict().items()}, weights)
        contact_sheet(self._sheet, self.scene.near, self.scene.far).save(sheet, "PNG", optimize=True)
        return {WEIGHTS: weights.getvalue(), "sheet.png": sheet.getvalue()}

    def alignment_batch(self) -> Tensor:
        return next(self.batches(0))[:ALIGNMENT_RAYS]

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _check(self) -> None:
        config, camera = self.config, self.scene.intrinsics
        if min(camera.height, camera.width) < MIN_SIDE:
            raise ValueError(
                f"task.downscale={config.downscale}, task.longest_side={config.longest_side}: the images have "
                f"{camera.width}×{camera.height} pixels then, and SSIM needs {MIN_SIDE} a side; take larger ones"
            )

    def _rendered(self, views: Views, what: str, every: int = 1) -> Iterator[tuple[str, Picture, Tensor]]:
        """Name, rendering and truth (height, width, 3) of each view, one at a time; every n-th row and column."""
        images = views.images[:, ::every, ::every]
        with progress_bar(f"{what} views", images[..., 0].numel(), self.shows_progress) as advance:
            for name, image, pose in zip(views.names, images, views.poses, strict=True):
                rays = view_rays(self.scene, pose.to(self._device), every)
                picture = render_in_chunks(self.model, rays, self.options, self.config.chunk, advance)
                yield name, picture.as_image(len(image)), composite(image, self.options.background).to(self._device)


class _Pixels:
    """All pixels of some views, looked up by number; on the device of the model, so that a step moves numbers only."""

    def __init__(self, views: Views) -> None:
        count, self.height, self.width, channels = views.images.shape
        self.count = count * self.height * self.width
        self._colours, self._poses = views.images.reshape(-1, channels), views.poses

    def on(self, device: torch.device) -> _Pixels:
        """These pixels on the device; they are moved once."""
        self._colours, self._poses = self._colours.to(device), self._poses.to(device)
        return self

    def look_up(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Colours (n, channels) uint8, poses (n, 3, 4) and places (n, 2) of the pixels with these numbers (n,)."""
        numbers = numbers.to(self._poses.device, non_blocking=True)
        view, place = numbers // (self.height * self.width), numbers % (self.height * self.width)
        return self._colours[numbers], self._poses[view], torch.stack([place // self.width, place % self.width], -1)


def _evenly_spaced(views: Views, count: int) -> Views:
    """``count`` of the views, or all if there are fewer."""
    chosen = torch.linspace(0, len(views) - 1, min(count, len(views))).round().long()
    return Views(views.images[chosen], views.poses[chosen], tuple(views.names[i] for i in chosen))
