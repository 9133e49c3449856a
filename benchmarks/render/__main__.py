"""Render a turn-around of the scene that a run of view synthesis learned, as a GIF.

    python -m benchmarks.render results/records/…/seed0-0123456789ab.json --scale 0.5

The camera goes around the scene, or along a spiral in front of a forward-facing one. The weights lie beside the
record, where the run left them; the data are those that it learned. A GIF's time counts in hundredths of a second.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.records.record import artefact_path, write_atomically
from benchmarks.render.recorded import load_recorded
from benchmarks.render.turn_around import as_gif, at_scale, render_frames
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.progress_bar import progress_bar
from benchmarks.training import machine

_FASTEST = 50  # frames per second; viewers slow down a GIF that asks for more
_LARGEST = 4.0  # times the size of the scene's images


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (2 for bad input, 130 if interrupted)."""
    chosen = _parser().parse_args(arguments)
    if not chosen.record.name:  # as an empty variable of the shell gives it
        guard.fail(f"'{chosen.record}' is no record; name the .json file of a run")
    out = chosen.out or artefact_path(chosen.record, "turn_around.gif")
    try:
        _check(chosen, out)
        _render(chosen, out)
    except ValueError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; {out} was not written\n")
        return 130
    return 0


def _check(chosen: argparse.Namespace, out: Path) -> None:
    """The checks that would else fail when everything is rendered."""
    if not 1 <= chosen.fps <= _FASTEST:
        raise ValueError(f"--fps {chosen.fps:g}: must lie between 1 and {_FASTEST}")
    if not 0 < chosen.scale <= _LARGEST:
        raise ValueError(f"--scale {chosen.scale:g}: must be greater than 0, and {_LARGEST:g} at most")
    if out.suffix.lower() != ".gif" or out.is_dir():
        raise ValueError(f"--out {out}: must name a file that ends in .gif")
    if chosen.out and not os.access(out.parent, os.W_OK | os.X_OK):
        raise ValueError(f"--out {out}: {out.parent} is not a folder that can be written to; make it, or name another")


def _render(chosen: argparse.Namespace, out: Path) -> None:
    device = machine.torch_device(chosen.device)
    machine.keep_freed_memory()
    recorded = at_scale(load_recorded(chosen.record), chosen.scale)
    camera = recorded.scene.intrinsics
    with progress_bar("frames", chosen.frames * camera.height * camera.width, shown=True) as advance:
        frames = list(render_frames(recorded, chosen.frames, device, advance))
    content = as_gif(frames, 10 * round(100 / chosen.fps))
    write_atomically(out, content)
    size = f"{camera.width}×{camera.height} pixels, {len(content):,} bytes"
    sys.stdout.write(f"{out}: {chosen.frames} frames, {size}\n")


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.render",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("record", type=Path, help="the record's JSON file, below results/records")
    parser.add_argument("--frames", type=positive, default=60, help="default: 60")
    parser.add_argument("--fps", type=float, default=20.0, help=f"frames per second, {_FASTEST} at most (default: 20)")
    parser.add_argument("--scale", type=float, default=1.0, help="size, as a multiple of the scene's images'")
    parser.add_argument("--out", type=Path, help="the GIF (default: RECORD with .turn_around.gif for .json)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


if __name__ == "__main__":
    sys.exit(main())
