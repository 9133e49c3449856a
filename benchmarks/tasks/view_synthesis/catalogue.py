"""The domain of view synthesis: its radiance fields, scenes, metrics and tables."""

from __future__ import annotations

from benchmarks.catalogue.domain import Architecture, Domain, TableSpec, Task
from benchmarks.catalogue.metric import ALIGNMENT, Metric

_CONFIG = "benchmarks.tasks.view_synthesis.config"
#: Scenes by their dataset; those that are the first have tasks in every profile, in files of their own.
SCENES = {
    "nerf_synthetic": ("lego", "chair", "drums", "ficus", "hotdog", "materials", "mic", "ship"),
    "llff_real": ("fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex"),
}

DOMAIN = Domain(
    name="view_synthesis",
    title="view synthesis",
    task=f"{_CONFIG}:ViewSynthesisConfig",
    builder="benchmarks.tasks.view_synthesis.reconstruction:build",
    architectures=(
        Architecture("nerf", "NeRF", f"{_CONFIG}:NeRFConfig", representative="nerf_synthetic/lego"),
        Architecture("nerf_8x256", "NeRF 8×256", f"{_CONFIG}:NeRFConfig"),
    ),
    skip={"structural": "no fixed linear map leads from a feedback point to colour and density"},
    lacks={"targets": "a sample on a ray has no class"},
    datasets={"nerf_synthetic/*": "NeRF-Synthetic", "llff_real/*": "LLFF-Real", "capture/*": "capture"},
    measures=("psnr", "ssim", "valid_psnr"),
    metrics=(
        # colours lie between 0 and 1; beyond 200 dB the mean error would be less than a thousandth of fp32's rounding
        Metric("psnr", "PSNR", decimals=2, unit="dB", min_effect=0.1, rerun_tolerance=0.5, minimum=0.0, maximum=200.0),
        Metric("ssim", "SSIM", decimals=3, min_effect=0.005, rerun_tolerance=0.02, minimum=-1.0, maximum=1.0),
    ),
    tasks=tuple(
        Task(f"{dataset}/{scene}", "nerf", f"{dataset}/{scene}", (dataset,), {"profiles": ["long", "paper"]})
        for dataset, scenes in SCENES.items()
        for scene in scenes[1:]
    ),
    tables=(
        TableSpec(
            "table_1",
            "Table 1: view synthesis, PSNR on the test views (dB), mean over scenes",
            ("psnr",),
            scenes="mean",
        ),
        TableSpec(
            "table_a5", "Table A.5: view synthesis by scene, PSNR on the test views (dB)", ("psnr",), shown=False
        ),
        TableSpec("ssim_view_synthesis", "View synthesis by scene, SSIM on the test views", ("ssim",), shown=False),
        TableSpec(
            "alignment_view_synthesis",
            "Alignment of radiance fields, cosine at the first layer of the coarse field",
            ALIGNMENT,
            shown=False,
        ),
    ),
    quoted={"nv": "NV", "srn": "SRN", "llff": "LLFF"},
    former_names=("neural_view_synthesis",),
)
