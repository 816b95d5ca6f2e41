"""What `colvi-edge export` says when it is done: what failed, what helps, where the bundle is, what next."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from colvi_edge.export.converting.calibration import ENOUGH
from colvi_edge.export.converting.package import Report
from colvi_edge.printable import counted, printable_name

_FEW = 3
"""Measured images below which a verdict is not to be trusted."""


@dataclass(frozen=True)
class Command:
    """Words of a command that stands on a line of its own."""

    words: Sequence[str]


Said = str | Command


def say(console: Console, said: Said) -> None:
    """Print a sentence, on a terminal word by word, or a command, which is never broken."""
    if isinstance(said, str):
        console.print(printable_name(said), markup=False, soft_wrap=not console.is_terminal)
    else:
        console.print(f"  {printable_name(shlex.join(said.words))}", markup=False, soft_wrap=True)


def calibrated_on(used: int, held_out: int) -> str:
    """Return how many images the verdicts rest on, and how many more would make them firm."""
    on = "1 other" if held_out == 1 else f"{held_out} others"
    words = f"Calibrated on {counted(used, 'image')}, measured on {on}"
    lacking = ENOUGH - used - held_out
    if lacking <= 0:
        return f"{words}."
    why = "too few to trust these verdicts" if held_out < _FEW else "not enough for firm ranges and verdicts"
    return f"{words}: {why}; of {ENOUGH} images or more they are firm, {lacking} more."


def what_helps(report: Report, given: int, place: Path, again: Sequence[str]) -> Iterator[Said]:
    """Yield what to do about precisions that do not decide as the trained network does.

    Args:
        report: of the export.
        given: calibration images that could be used, the held-out ones included.
        place: the bundle.
        again: the command that was given, but for its precisions.
    """
    failed = list(dict.fromkeys(row.precision for row in report.failed))
    if not failed:
        return
    yield (
        f"{' and '.join(failed)} {'does' if len(failed) == 1 else 'do'} not decide as the trained network: "
        "kept in the bundle, never taken unasked. What helps:"
    )
    if any(precision.startswith("int8") for precision in failed):
        if given < ENOUGH:
            yield (
                f"- more calibration images, of both classes and as the microscope sends them: {given} were "
                f"given, {ENOUGH} or more are recommended, {ENOUGH - given} more"
            )
        else:
            yield (
                f"- other calibration images: {given} were given, which are enough if both classes and all "
                "that the microscope sends are among them"
            )
    for worst in report.worst:
        yield f"- a look at the patches that moved most: {place / worst}"
    left = [
        kind
        for kind in ("fp32", "fp16", "int8")
        if any(row.precision.startswith(kind) for row in report.rows)
        and not any(precision.startswith(kind) for precision in failed)
    ]
    if left:
        yield "- a bundle without:"
        yield Command([*again, "--precision", ",".join(left)])


def what_is_next(place: Path) -> Iterator[Said]:
    """Yield what a bundle is for."""
    yield "Next, on images of the microscope, and on images whose class is known:"
    yield Command(["colvi-edge", "run", "--bundle", str(place), "IMAGES"])
    yield Command(["colvi-edge", "evaluate", str(place), "DATASET"])
