"""The view-synthesis task: which pixel belongs to which ray, what is scored, and what a run leaves behind."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

from benchmarks.records.record import artefact_path
from benchmarks.tasks.view_synthesis.quality import psnr, ssim
from benchmarks.tasks.view_synthesis.rays import view_rays
from benchmarks.tasks.view_synthesis.rendering import Picture
from benchmarks.training.execute import execute
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.randomness import seed_everything
from benchmarks.training.run import Run
from datasets.scenes.cameras import pixel_rays
from datasets.scenes.load import composite
from tests.helpers.runs import build

pytestmark = pytest.mark.usefixtures("folder")
SCENES = ("nerf_synthetic/lego", "llff_real/fern")


def overrides(task="nerf_synthetic/lego", method="dfa", steps=6, **settings):
    settings = {"task.steps": steps, "task.eval_every": 2} | settings
    given = [f"{key}={value}" for key, value in settings.items()]
    return [f"task={task}", f"method={method}", "profile=smoke", *given]


def test_psnr_of_a_known_error():
    """Every channel off by .1 is 20 dB; a mistake in the formula would shift every table."""
    truth = torch.rand(5, 7, 3) * 0.5
    assert math.isclose(psnr(truth + 0.1, truth), 20, abs_tol=1e-4)
    assert psnr(truth, truth) == math.inf


def test_ssim_is_the_published_formula():
    """Another window or constant would still give numbers between 0 and 1, and not those of other papers."""
    rng = np.random.default_rng(0)
    a = gaussian_filter(rng.random((40, 50, 3)), (2, 2, 0))
    b = np.clip(a + 0.05 * rng.standard_normal(a.shape), 0, 1)

    def blurred(x):
        return gaussian_filter(x, (1.5, 1.5, 0), truncate=3.5, mode="mirror")  # 11 pixels wide

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    terms = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    found = ssim(torch.from_numpy(b), torch.from_numpy(a))
    assert math.isclose(found, terms.mean(), abs_tol=1e-4) and found < 0.95
    assert math.isclose(ssim(torch.from_numpy(a), torch.from_numpy(a)), 1, abs_tol=1e-6)


def test_images_too_small_to_be_scored_are_refused_before_the_training():
    """SSIM's padding failed with a traceback behind the last step, and again at every further try."""
    assert math.isfinite(ssim(torch.rand(6, 9, 3), torch.rand(6, 9, 3)))
    assert build("nerf_synthetic/lego", "dfa", "task.downscale=5").task.scene.intrinsics.width == 6
    with pytest.raises(ValueError, match=r"^task\.downscale=6, task\.longest_side=64: .* 5×5 pixels .* SSIM needs 6"):
        build("nerf_synthetic/lego", "dfa", "task.downscale=6")


class Recording(nn.Module):
    """Stands in for the network: keeps the rays it is given, and renders them black."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(()))

    def forward(self, rays, options, random=False):
        self.rays = rays
        n = len(rays.origins)
        black = Picture(torch.zeros(n, 3) * self.anchor, torch.zeros(n), torch.zeros(n))
        return black, black


@pytest.mark.parametrize("task", [*SCENES, "capture/own"])
def test_a_training_pixel_has_the_ray_of_its_place(task):
    """A row taken for a column or a pose of the next view would train towards a blur."""
    reconstruction = build(task).task
    reconstruction.model = Recording()
    views = reconstruction.scene.train
    count, height, width, _ = views.images.shape
    for view, row, column in [(0, 0, 0), (1, 3, width - 1), (count - 1, height - 1, 5)]:
        loss = reconstruction.loss(torch.tensor([(view * height + row) * width + column]))
        colour = composite(views.images[view, row, column], reconstruction.options.background)
        assert math.isclose(loss.item(), 2 * (colour**2).mean().item(), abs_tol=1e-6)
        place = row * width + column
        expected = view_rays(reconstruction.scene, views.poses[view]).part(slice(place, place + 1))
        for ours, theirs in zip(reconstruction.model.rays, expected, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)


def test_rays_in_ndc_keep_the_worlds_directions():
    """The colour would depend on a direction that is skewed with the depth."""
    scene = build("llff_real/fern").task.scene
    pose = scene.train.poses[0]
    rays = view_rays(scene, pose)
    corner = torch.tensor([0, 0])
    world = pixel_rays(scene.intrinsics, pose, corner[None])[1][0]
    assert torch.allclose(rays.views[0], world / world.norm(), atol=1e-6)
    assert not torch.allclose(rays.directions[0], world, atol=1e-3) and torch.allclose(
        rays.origins[:, 2], -torch.ones(())
    )


def test_batches_go_on_where_they_stopped_and_follow_seed_and_epoch():
    """A resumed run would see other rays; or all seeds the same."""
    task = build("nerf_synthetic/lego", "dfa", "seed=1").task
    batches = list(task.batches(2))
    assert len(batches) == math.ceil(12 * 32 * 32 / 256) and all(len(batch) == 256 for batch in batches)
    assert all(torch.equal(a, b) for a, b in zip(task.batches(2, start=5), batches[5:], strict=True))
    other_seed = build("nerf_synthetic/lego", "dfa", "seed=2").task
    for other in (next(task.batches(3)), batches[1], next(other_seed.batches(2))):
        assert not torch.equal(other, batches[0])
    numbers = torch.cat(batches)
    assert numbers.min() < 256 and numbers.max() >= 12 * 32 * 32 - 256  # first and last view are among them


def test_scores_are_means_over_views():
    """PSNR of the mean error is another number, up to decibels lower."""
    task = build("nerf_synthetic/lego").task
    task.model = Recording()
    with torch.no_grad():
        found = task.test()
    truths = [composite(image, 1.0) for image in task.scene.test.images]
    assert math.isclose(found["psnr"], sum(-10 * math.log10((t**2).mean().item()) for t in truths) / 4, abs_tol=1e-4)
    assert math.isclose(found["ssim"], sum(ssim(torch.zeros_like(t), t) for t in truths) / 4, abs_tol=1e-6)


def test_the_last_weights_are_tested():
    """Best-on-validation would be another protocol than the field's, and flatter noisy methods."""
    run = build("nerf_synthetic/lego", "bp", "task.steps=4", "task.eval_every=2")
    scores = iter([30.0, 10.0])
    run.task.validate = lambda: {"valid_psnr": next(scores)}
    loop = run.loop()
    loop.run()
    last = {name: value.clone() for name, value in run.task.model.state_dict().items()}
    loop.load_best()
    assert loop.progress.best_metrics == {"valid_psnr": 10.0}
    assert all(torch.equal(value, last[name]) for name, value in run.task.model.state_dict().items())


def final(record):
    return record.metrics["psnr"], record.metrics["ssim"], record.alignment["points"]


@pytest.mark.parametrize("task", SCENES)
def test_an_interrupted_run_ends_with_the_same_numbers(task):
    """Jitter and pixels are drawn anew after a restart if a generator is forgotten: same quality, other bits."""
    whole = execute(Run.plan(overrides(task, results="whole")))
    run = Run.plan(overrides(task, results="parts"))
    for _ in range(2):
        polled = iter([False, True])
        with pytest.raises(Interrupted):
            execute(run, stop_requested=lambda polled=polled: next(polled))
        seed_everything(99)
    assert final(execute(run)) == final(whole)


def test_watching_the_alignment_changes_nothing():
    """A measurement that drew from the run's generator would be part of the method."""
    watched = execute(Run.plan(overrides(results="watched")))
    plain = execute(Run.plan(overrides(results="plain", **{"task.alignment_every": 0})))
    assert final(watched) == final(plain)
    history = next((Path("watched") / "records").rglob("*.csv")).read_text().splitlines()
    points = [column for column in history[0].split(",") if column.startswith("alignment_cosine_mean/")]
    assert [point.split("/")[1] for point in points] == list(watched.alignment["points"]) and len(history) == 4


def test_artefacts_hold_the_trained_network():
    """A rendering from a run would be one of other weights."""
    run = Run.plan(overrides())
    record = execute(run)
    path = run.records / f"{run.id}.json"
    assert sorted(record.artefacts) == ["sheet.png", "weights.pt"] == sorted(json.loads(path.read_text())["artefacts"])
    task = build("nerf_synthetic/lego", "bp").task
    task.model.load_state_dict(torch.load(artefact_path(path, "weights.pt"), weights_only=True))
    task.model.eval()
    with torch.no_grad():
        assert math.isclose(task.test()["psnr"], record.metrics["psnr"], rel_tol=1e-5)
    assert Image.open(artefact_path(path, "sheet.png")).width > 4 * 160


def test_the_record_says_what_was_scored():
    """PSNR at 32×32 pixels next to one at 800×800 would look like a comparison."""
    record = execute(Run.plan(overrides(steps=2, **{"task.longest_side": 16, "task.every_test_view": 2})))
    assert record.data["about"] == "16×16 pixels, 12 training and 2 test views"


def test_a_real_scene_as_large_as_life_is_reduced_to_what_a_profile_can_train():
    """`make bench-all` would take hours where the real scenes are there."""
    scene = build("nerf_synthetic/lego", "bp", "task.longest_side=20").task.scene
    assert (scene.intrinsics.width, scene.train.images.shape[1:3]) == (16, (16, 16))


@pytest.mark.parametrize(
    ("task", "config_hash"),
    [("nerf_synthetic/lego_8x256", "74537fb67456"), ("llff_real/fern_8x256", "5bd7c24cdcc2")],
)
def test_the_setting_of_the_feature_layer_keeps_the_hash_of_nerf_s_own_network(task, config_hash):
    """Else runs of a network that is what it was would be repeated; and 4×128 runs without the ReLU would count."""
    plan = ["method=dfa", "profile=paper", "data=standin"]
    assert Run.plan([f"task={task}", *plan]).config_hash == config_hash
    lego = Run.plan(["task=nerf_synthetic/lego", *plan])
    before = Run.plan(["task=nerf_synthetic/lego", *plan, "task.model.feature_relu=false"])
    assert before.config_hash == "9b11b33afd96" != lego.config_hash
    assert before.variant == "task.model.feature_relu=False"
