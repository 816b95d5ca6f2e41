"""The commands that need no culture: a demonstration and simulated images."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from colvi_edge.cli.line.options import (
    DifficultyOption,
    ImagesOption,
    MasksOption,
    SeedOption,
    SeverityOption,
)
from colvi_edge.cli.line.telling import QuietOption
from colvi_edge.printable import printable_name


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to play.", file_okay=False)] = Path("colvi-edge-demo"),
    seed: SeedOption = 12,
) -> None:
    """Try it on simulated images.

    A short acquisition is simulated and diagnosed with the demo model.
    """
    from colvi_edge.cli.demo import run_demo

    raise typer.Exit(run_demo(folder, seed, gc.freeze))  # see `pipeline.process`


def simulate(
    out: Annotated[Path, typer.Argument(help="Gets control/ and patient/.", file_okay=False)],
    images: ImagesOption = 20,
    difficulty: DifficultyOption = 0.5,
    severity: SeverityOption = None,
    seed: SeedOption = 0,
    masks: MasksOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw synthetic projections of cultures."""
    from colvi_edge.simulate.folder import MASKS, simulate_folder
    from colvi_edge.terminal.progress import progress

    with progress("Drawing", images, quiet=quiet) as advance:
        simulate_folder(
            out,
            images,
            difficulty=difficulty,
            severity=severity,
            seed=seed,
            masks=masks,
            progress=lambda _: advance(),
        )
    folders = f"{out / 'control'} and {out / 'patient'}"
    if masks:
        folders += f", the masks of their nuclei in {out / MASKS}"
    if not quiet:
        typer.echo(printable_name(f"{images} projections in {folders}"))
