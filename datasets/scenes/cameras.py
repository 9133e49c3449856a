"""Pinhole cameras: their pixels' rays, and normalised device coordinates.

A pose is a camera-to-world matrix (3, 4), a rotation and a position, with OpenGL's axes: x points right, y up, and
the camera looks along −z. Pixels are (row, column), counted from the upper left, and the ray of a pixel passes
through its centre, half a pixel from its corner. (NeRF's released code took the corner. With centres an image and its
downsized copy show the same rays, and a pixel lies where a renderer or COLMAP put it.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Intrinsics:
    """Lens and sensor of a camera, in pixels.

    fx, fy: focal lengths. cx, cy: where the view axis meets the image, from its left and upper edge.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    height: int
    width: int

    def downscaled(self, factor: int) -> Intrinsics:
        """The intrinsics of images whose blocks of factor × factor pixels became one.

        Columns and rows that do not fill a block are cut off on the right and at the bottom, so the centre is exact.
        """
        return replace(
            self,
            fx=self.fx / factor,
            fy=self.fy / factor,
            cx=self.cx / factor,
            cy=self.cy / factor,
            height=self.height // factor,
            width=self.width // factor,
        )


def pixel_rays(intrinsics: Intrinsics, poses: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The rays of some pixels, made when they are needed: those of a whole scene would not fit into memory.

    poses: (3, 4), one camera for all pixels, or (n, 3, 4), a camera for each. pixels: (n, 2) row and column, of any
    number type; fractions are points inside a pixel's row and column. Returns origins and directions, (n, 3) of the
    poses' type, on their device. A direction has length 1 along the view axis: origin + t · direction is at depth t.
    """
    rows, columns = pixels.to(poses.dtype).unbind(-1)
    x = (columns + (0.5 - intrinsics.cx)) / intrinsics.fx
    y = ((intrinsics.cy - 0.5) - rows) / intrinsics.fy
    right, up, back, origins = poses.unbind(-1)
    directions = x[:, None] * right + y[:, None] * up - back
    return origins.expand_as(directions), directions


def to_ndc(origins: Tensor, directions: Tensor, intrinsics: Intrinsics, near: float = 1.0) -> tuple[Tensor, Tensor]:
    """Map rays to normalised device coordinates, for forward-facing scenes (NeRF, appendix C).

    The part of the viewing frustum of a camera at the origin with z ≤ −near becomes the cube [−1, 1]³, in which the
    rays stay straight: t = 0 is on the near plane, t = 1 at infinity. origins, directions: (…, 3); a direction must
    point into the scene (z < 0), or the result is not finite. Returns the same shapes.
    """
    # Origins are moved to the near plane first, so that the mapped ones lie on the face z = −1 of the cube.
    start = origins - ((near + origins[..., 2:]) / directions[..., 2:]) * directions
    x, y, z = start.unbind(-1)
    dx, dy, dz = directions.unbind(-1)
    scale_x, scale_y = 2 * intrinsics.fx / intrinsics.width, 2 * intrinsics.fy / intrinsics.height
    mapped = torch.stack([-scale_x * x / z, -scale_y * y / z, 1 + 2 * near / z], dim=-1)
    towards = torch.stack([-scale_x * (dx / dz - x / z), -scale_y * (dy / dz - y / z), -2 * near / z], dim=-1)
    return mapped, towards
