"""The commands about the results that stand in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from colvi_edge.cli.options import option
from colvi_edge.printable import counted, printable_lines, printable_name

ResultsArgument = Annotated[
    Path, typer.Argument(help="Holds results, in it and below it; links are not followed.", file_okay=False)
]


def table(
    folder: ResultsArgument,
    output: Annotated[
        Path | None,
        option("--output", "-o", of="table", metavar="CSV", dir_okay=False, help="Write it here."),
    ] = None,
) -> None:
    """Put all results of a folder into one table.

    A CSV row for each image, errors included: path, status, diagnosis, score (100 = control), votes,
    p_control_mean, coverage, quality and remarks, model with its version and SHA-256, runtime and precision,
    result_id, created, raw_sha256, error_kind and error_message.
    """
    from colvi_edge.outputs.folder import write_file
    from colvi_edge.report.listing import list_results

    found = list_results(folder)
    if output:
        write_file(output, found.table)
        typer.echo(printable_name(f"{counted(found.images, 'image')}: {output}"))
    else:
        typer.echo(printable_lines(found.table.decode()), nl=False)
    if found.unread:
        words = (
            f"{counted(found.unread, 'record')} or folders are left out of the table: damaged, of "
            "another version, or closed to you"
        )
        typer.echo(printable_name(words), err=True)
