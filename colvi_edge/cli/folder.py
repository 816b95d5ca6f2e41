"""The commands about the results that stand in a folder."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colvi_edge.cli.line.options import DryRunOption, consent, option
from colvi_edge.cli.line.readings import refuse_place
from colvi_edge.cli.line.telling import QuietOption
from colvi_edge.errors import UsageError
from colvi_edge.printable import counted, printable_lines, printable_name

if TYPE_CHECKING:
    from colvi_edge.cleaning import OurFiles

ResultsArgument = Annotated[
    Path, typer.Argument(help="Holds results, in it and below it; links are not followed.", file_okay=False)
]


def table(
    folder: ResultsArgument,
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            of="table",
            metavar="FILE",
            dir_okay=False,
            help="Where to write it; without it to standard output. What is no table is not overwritten.",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Put all results of a folder into one table.

    A CSV row for each image, errors included: path, status, diagnosis, score (100 = control), votes,
    p_control_mean, coverage, quality and remarks, model with its version and SHA-256, runtime and precision,
    result_id, created, raw_sha256, error_kind and error_message; then of other classes, regions and objects
    columns such as votes_CLASS, share_CLASS, objects_CLASS and diameter_um_median.
    """
    from colvi_edge.outputs.named import Named
    from colvi_edge.report.listing import list_results
    from colvi_edge.system.writing import write_file

    refuse_place("--output", Named.TABLE, output)
    found = list_results(folder)
    if output:
        write_file(output, found.table)
        if not quiet:
            typer.echo(printable_name(f"{counted(found.images, 'image')}: {output}"))
    else:
        typer.echo(printable_lines(found.table.decode()), nl=False)
    if found.bereft:
        others = ", ..." if len(found.bereft) > 1 else ""
        words = (
            f"in the table, though the raw file is gone: {counted(len(found.bereft), 'image')} "
            f"({found.bereft[0]}{others})"
        )
        typer.echo(printable_name(words), err=True)
    if found.unread:
        words = (
            f"left out of the table: {counted(found.unread, 'record')}, damaged, of another version, or in "
            "a folder that is closed to you"
        )
        typer.echo(printable_name(words), err=True)


def clean(
    folder: ResultsArgument,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, consent("--yes", "-y", help="Remove them without a question.")] = False,
) -> None:
    """Remove what colvi-edge left in a folder.

    Results, error records, pictures of explain, unfinished files and the daemon's lock, in it and below it.
    They are told by their names: X.colvi.json, X.colvi.png and so on, for any X; an OME-TIFF must also say
    that colvi-edge made it. Raw files, links, reports, tables and bundles stay.
    """
    from colvi_edge.cleaning import find_ours, no_daemon, remove_ours

    found = find_ours(folder)
    for line in _listed(folder, found):
        typer.echo(printable_name(line))
    if not found.names:
        return
    with no_daemon(folder, found):
        done = "Nothing was removed."
        if dry_run:
            done = "Nothing was removed: --dry-run."
        elif yes or _agreed():
            done = f"Removed {counted(remove_ours(folder, found), 'file')}."
    typer.echo(printable_name(done))


def _listed(folder: Path, found: "OurFiles") -> Iterator[str]:
    if found.names:
        files, size = counted(found.counts.total(), "file"), _size(found.bytes.total())
        yield f"Below {folder}, {files} of colvi-edge, {size}:"
        for kind, count in sorted(found.counts.items()):
            yield f"  {count:>7,}  {kind:<20}  {_size(found.bytes[kind]):>8}"
    else:
        yield f"Below {folder} there is no file of colvi-edge."
    if found.others:
        yield (
            f"{counted(found.others, 'other')} of such names stay: links, folders, or images that do not say "
            "that colvi-edge made them."
        )


def _size(number: int) -> str:
    """Return a number of bytes in few digits."""
    if number < 1000:
        return f"{number} B"
    power = min(int(math.log10(number)) // 3, 4)
    return f"{number / 1000**power:.1f} {' kMGT'[power]}B"


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "standard input is no terminal, so that nobody can be asked; to remove these files say --yes"
        )
    typer.echo(printable_name("Remove them? [y/N] "), nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
