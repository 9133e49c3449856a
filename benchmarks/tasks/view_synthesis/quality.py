"""How good a rendering is: PSNR and SSIM of one view."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

#: Of an image, in pixels: SSIM's window reaches five beyond an edge, and mirrors those that lie behind the outermost.
MIN_SIDE = 6


def psnr(rendering: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two images with values in [0, 1], of one shape; higher is better.

    The mean over views is taken of this number, as the field does, and not of the squared error.
    """
    error = F.mse_loss(rendering.double(), truth.double()).item()
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(rendering: Tensor, truth: Tensor) -> float:
    """Structural similarity (Wang et al. 2004; Gaussian window of 11 pixels, σ 1.5) of two images (height, width, 3).

    They are mirrored at their edges, so that every pixel counts; no side may be shorter than `MIN_SIDE`.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure  # imports for a second

    first, second = (image.float().permute(2, 0, 1).unsqueeze(0) for image in (rendering, truth))
    found = structural_similarity_index_measure(first, second, data_range=1.0)
    assert isinstance(found, Tensor)  # without further outputs asked for
    return found.item()
