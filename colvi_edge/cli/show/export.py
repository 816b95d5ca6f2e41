"""What `export` prints: each precision beside torch, what failed, what helps, and what to do next."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from colvi_edge.bundle.compared import SegmentComparison
from colvi_edge.bundle.parity import Comparison
from colvi_edge.engines.precisions import INT8
from colvi_edge.errors import EXIT_DONE, EXIT_PARITY
from colvi_edge.export.commands.export import Exported, export_model
from colvi_edge.export.converting.calibration import ENOUGH, calibrated_on
from colvi_edge.export.converting.dense.halo import told_of
from colvi_edge.export.converting.familiarity import AT_LEAST as LIMITS_AT_LEAST
from colvi_edge.export.converting.familiarity import ENOUGH as LIMITS_ENOUGH
from colvi_edge.export.converting.familiarity import Fitted
from colvi_edge.export.converting.package import Report
from colvi_edge.export.converting.parity import NEVER_ON_TENSORRT, WINDOWS_NEVER_ON_TENSORRT, Row
from colvi_edge.export.reading.questions import outputs_of
from colvi_edge.printable import printable_name
from colvi_edge.terminal.console import error_console, print_note, wide_console

_AGAIN = (
    "calibration",
    "network",
    "classes",
    "outputs",
    "normalisation",
    "channels",
    "pixel_size_um",
    "name",
    "task",
    "rule",
    "threshold",
    "resize",
    "window",
    "halo",
)
"""Options that are said again where an export is advised."""


@dataclass(frozen=True)
class Command:
    """Words of a command that stands on a line of its own."""

    words: Sequence[str]


def show_export(
    model: Path, bundle: Path, *, place: Path | None = None, quiet: bool = False, **options: Any
) -> int:
    """Export a model and print what was found.

    Args:
        model: as for `export_model`, as are bundle, place and options.
        bundle: the same.
        place: the same.
        quiet: print only what is wrong, on standard error.
        options: the same, all but force are given.

    Returns:
        The exit code: 0, or 5 where a precision failed the gate.

    Raises:
        ColviEdgeError: an option, the model or the calibration images cannot be used.
    """
    with nullcontext() if quiet else error_console().status("Reading the model") as status:
        step = status.update if status else lambda _: None
        exported = export_model(model, bundle, place=place, **options, tell=print_note, step=step)
    code = EXIT_PARITY if exported.report.failed else EXIT_DONE
    if quiet:
        for words in _faults(exported.report.rows):
            print_note(words)
        return code
    console = wide_console()
    if options["calibration"] is None and options["precisions"] is None:
        console.print("No INT8: it is calibrated on images; give projections with --calibration DIR.")
    console.print(parity_table(exported.report.rows))
    for said in _said(exported, place or bundle, _command(model, place or bundle, options)):
        if isinstance(said, str):
            console.print(printable_name(said), markup=False, soft_wrap=not console.is_terminal)
        else:
            console.print(f"  {printable_name(shlex.join(said.words))}", markup=False, soft_wrap=True)
    return code


def _said(exported: Exported, place: Path, again: Sequence[str]) -> Iterator[str | Command]:
    """Yield what stands below the table."""
    report = exported.report
    yield from _sentences(report.rows)
    yield from report.left_out
    yield from _measured_on(exported)
    if exported.told:
        yield exported.told
    if exported.windows:
        yield told_of(exported.windows)
    else:
        yield familiarity_told(exported.familiarity, of_training=exported.of_training)
    yield from _what_helps(report, exported.calibrated_on + exported.measured_on, place, again)
    yield f"{place}: {', '.join(dict.fromkeys(row.precision for row in report.rows))}"
    yield from _what_is_next(place)


def parity_table(rows: Sequence[Row]) -> Table:
    """Return the verdicts as a table that fits a terminal of 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("precision", "runtime"):
        table.add_column(heading, no_wrap=True)
    of_regions = any(isinstance(row.comparison, SegmentComparison) for row in rows)
    for heading in _REGION_HEADINGS if of_regions else _VOTE_HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        c = row.comparison
        figures = _region_figures(c) if isinstance(c, SegmentComparison) else _vote_figures(c)
        verdict = "[red]failed[/]" if row.faults else "[green]passed[/]"
        table.add_row(row.precision, row.runtime, *figures, verdict)
    return table


_VOTE_HEADINGS = ("votes\nagree", "bands\ndiffer", "flips", "max\ndp", "p99\ndp", "max\ndscore")
_REGION_HEADINGS = ("median\nDice", "worst\nDice", "share\nmoves", "edge\npx", "object\nF1", "joins\nflip")


def _vote_figures(c: Comparison) -> tuple[str, ...]:
    return (
        f"{c.agreement:.2%}",
        f"{c.band_flips:.2%}",
        str(c.diagnosis_flips),
        f"{c.largest_dp:.4f}",
        f"{c.p99_dp:.4f}",
        f"{c.largest_dscore:.2f}",
    )


def _region_figures(c: SegmentComparison) -> tuple[str, ...]:
    """Return the worst of the classes in each figure; "-" for what is not asked."""
    joins = "-" if c.joins is None or c.joins.flips is None else str(c.joins.flips)
    return (
        f"{min(region.median_dice for region in c.regions):.4f}",
        f"{min(region.worst_dice for region in c.regions):.4f}",
        f"{max(region.largest_dshare for region in c.regions):.2f}",
        f"{max(region.boundary_p95_px for region in c.regions):.1f}",
        f"{c.objects.f1:.4f}" if c.objects else "-",
        joins,
    )


def _sentences(rows: Sequence[Row]) -> list[str]:
    """Return what the table leaves out: the versions of the runtimes, each fault, what int8 means."""
    runtimes = dict.fromkeys(f"{row.runtime} {row.version}" for row in rows)
    sentences = [f"Compared with torch {torch.__version__}: {', '.join(runtimes)}."]
    if any(row.precision.startswith("int8") for row in rows):
        sentences.append(INT8)
    if tried := {row.runtime for row in rows if row.precision == "int8-trt"}:
        sentences.append(NEVER_ON_TENSORRT if len(tried) > 1 else WINDOWS_NEVER_ON_TENSORRT)
    return [*sentences, *_faults(rows)]


def _faults(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each fault, with what has it."""
    faults: dict[str, list[str]] = {}
    for row in rows:
        if row.faults:
            faults.setdefault("; ".join(row.faults), []).append(f"{row.precision} on {row.runtime}")
    return [f"{', '.join(whose)} failed: {words}." for words, whose in faults.items()]


def _measured_on(exported: Exported) -> Iterator[str]:
    if not exported.measured_on:
        yield "Measured on two simulated images; --calibration DIR measures on yours."
        return
    yield calibrated_on(exported.calibrated_on, exported.measured_on)
    if exported.report.labels.told:
        yield exported.report.labels.told


def familiarity_told(fitted: Fitted | None, *, of_training: bool) -> str:
    """Return which images will be rejected, and by whose limits: the training's, or the calibration's."""
    if fitted is None:
        return (
            "The bundle does not know what its training images were like, and will judge whatever looks like "
            f"nuclei: give {LIMITS_AT_LEAST} of them or more with --calibration DIR, better {LIMITS_ENOUGH}."
        )
    images, left_out = fitted.familiarity.images, fitted.familiarity.rejected_left_out
    were = "was" if left_out == 1 else "were"
    whose = f"{images} training images" if of_training else f"the {images} images of --calibration"
    words = (
        f"An image that is unlike {whose} will be rejected as unfamiliar. Tried on these "
        f"themselves, each by the limits that others set: {left_out} of {images} {were} rejected."
    )
    if images < LIMITS_ENOUGH:
        words += f" Of {LIMITS_ENOUGH} images or more these limits would be narrower."
    return words


def _what_helps(report: Report, given: int, place: Path, again: Sequence[str]) -> Iterator[str | Command]:
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
    of_regions = [row.comparison for row in report.failed if isinstance(row.comparison, SegmentComparison)]
    if any(compared.joins and compared.joins.flips for compared in of_regions):
        yield "- windows whose joins do not show: leave --halo out, and it is as wide as the network looks"
    if any(precision.startswith("int8") for precision in failed):
        whose = "" if of_regions else "of both classes and "
        if given < ENOUGH:
            yield (
                f"- more calibration images, {whose}as the microscope sends them: {given} were "
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


def _what_is_next(place: Path) -> Iterator[str | Command]:
    """Yield what a bundle is for."""
    yield "Next, on images of the microscope, and on images whose class is known:"
    yield Command(["colvi-edge", "run", "--bundle", str(place), "IMAGES"])
    yield Command(["colvi-edge", "evaluate", str(place), "DATASET"])


def _command(model: Path, place: Path, options: Mapping[str, Any]) -> list[str]:
    """Return the command that exports a model, with the options that are given, but for its precisions."""
    given = {**options, "outputs": outputs_of(options["activation"])}
    words = ["colvi-edge", "export", str(model), "-o", str(place)]
    for name in _AGAIN:
        if (value := given[name]) is not None:
            text = ",".join(value) if isinstance(value, list | tuple) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    words += ["--join", "blend"] if given["join"] == "blend" else []
    return [*words, "--freeze-norm"] if given["freeze_norm"] else words
