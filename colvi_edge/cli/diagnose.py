"""The commands that diagnose images here and now, and show their results on one page."""

import gc
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from colvi_edge.choices import EngineName, OverlayChoice, PrecisionChoice
from colvi_edge.cli.line.options import (
    AgainOption,
    BundlesOption,
    ChannelsOption,
    DryRunOption,
    EngineOption,
    JsonOption,
    LimitOption,
    OutputDirOption,
    OverlayOption,
    PixelSizeOption,
    PrecisionOption,
    SampleOption,
    StaleOption,
    option,
)
from colvi_edge.cli.line.readings import numbers_of, refuse_place, replace_of, roles_of
from colvi_edge.cli.line.telling import QuietOption, VerboseOption, refuse_both
from colvi_edge.cli.line.variables import given, tell_variables, variables_of
from colvi_edge.errors import EXIT_DONE, EXIT_UNJUDGED, ColviEdgeError
from colvi_edge.printable import in_a_row, printable_name
from colvi_edge.raw_files import RAW_SUFFIXES

_GOES_ON = (
    "The same command with --stale goes on with the rest: it leaves what this model judged, and judges what "
    "is new, what failed, and what another model judged."
)
_JUDGING = ("bundle", "engine", "precision", "pixel_size_um", "limit", "overlay")
"""Options that an image is judged by, but for the roles of its channels."""


def run(
    context: typer.Context,
    images: Annotated[
        list[Path],
        typer.Argument(
            help=f"Raw files, or folders to search for {in_a_row(RAW_SUFFIXES, 'and')}, in capitals, too; "
            "links in them are not followed.",
            readable=False,
        ),
    ],
    bundle: BundlesOption,
    output_dir: OutputDirOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    channels: ChannelsOption = None,
    pixel_size_um: PixelSizeOption = None,
    limit: LimitOption = None,
    overlay: OverlayOption = OverlayChoice.PNG,
    result_csv: Annotated[
        Path | None,
        option(
            "--result-csv",
            dir_okay=False,
            help="Also write image_name,prediction,probability of every result in the folders; names are "
            "paths below the folder named. Of several bundles, those of the first.",
        ),
    ] = None,
    omero_csv: Annotated[
        Path | None,
        option(
            "--omero-csv",
            dir_okay=False,
            help="Also write a table that 'omero metadata populate' takes. Of several bundles, of the first.",
        ),
    ] = None,
    stale: StaleOption = False,
    again: AgainOption = False,
    report: Annotated[
        Path | None,
        option(
            "--report",
            metavar="FILE",
            dir_okay=False,
            help="Also write a page of all results in the folders, as the command report does.",
        ),
    ] = None,
    sample: SampleOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Diagnose images, here and now.

    Overlay, sidecar, table, GeoJSON and ROIs are left beside each. Images of one file are judged one by one.

    Raw files are only read. A file that cannot be judged gets X.colvi.error.json and stops none of
    the others; the exit code is then 1.

    Results of another model are kept, unless --stale or --again is given; of what is replaced the JSON stays
    as X.colvi.prev.json. A failure never touches a result of the same content.
    """
    from colvi_edge.acquisition import Limits
    from colvi_edge.cli.interruption import interruptible
    from colvi_edge.cli.opening import open_for
    from colvi_edge.cli.show.outcomes import Asked
    from colvi_edge.cli.show.reasons import show_reasons, warn_of_doubts
    from colvi_edge.cli.show.run import show_outcomes
    from colvi_edge.cli.show.standing import show_standing
    from colvi_edge.outputs.named import Named
    from colvi_edge.pipeline import process
    from colvi_edge.pipeline.bundles import open_bundles
    from colvi_edge.pipeline.cascade import diagnosers_of
    from colvi_edge.pipeline.inputs import find_inputs, folders_of, places_of, refuse_collisions
    from colvi_edge.system.writing import check_writable, clear_leftovers

    refuse_both(quiet, verbose)
    if not quiet:
        tell_variables(context)
    refuse_place("--result-csv", Named.TABLE, result_csv)
    refuse_place("--omero-csv", Named.TABLE, omero_csv)
    refuse_place("--report", Named.REPORT, report)
    limits = Limits.named(numbers_of(limit))
    options = {
        "channels": roles_of(channels),
        "limits": limits,
        "overlay": overlay,
        "replace": replace_of(stale, again),
        "pixel_size_um": pixel_size_um,
    }
    files = find_inputs(images, output_dir, (lambda _: None) if quiet else _note)
    page = None
    if report:
        from colvi_edge.report.page_of_folder import Report

        top, places = places_of(images, output_dir)
        page = Report(top, report, sample=sample, places=places)
    opened = open_bundles(bundle)
    refuse_collisions(files, list(opened))
    if dry_run:
        from colvi_edge.cli.show.rehearsal import show_rehearsal
        from colvi_edge.pipeline.rehearsal import rehearse

        diagnosers = diagnosers_of(opened, dict.fromkeys(opened), **options)
        show_rehearsal(rehearse(diagnosers, files), files, output_dir, as_json=json)
        return
    if report:
        check_writable(report)  # rather than when all is judged
    with ExitStack() as running:
        engines = {
            slot: running.enter_context(closing(open_for(one, engine, precision, quiet=quiet)))
            for slot, one in opened.items()
        }
        diagnosers = diagnosers_of(opened, engines, **options)
        warn_of_doubts(opened, engines)
        if verbose:
            show_reasons(opened, engines, limits)
        gc.freeze()  # see `pipeline.process`
        with interruptible() as is_stopped:
            outcomes = show_outcomes(
                process(diagnosers, files, is_stopped),
                len(files),
                folders_of(images, output_dir),
                as_json=json,
                quiet=quiet,
                verbose=verbose,
                with_report=page is None,
                asked=Asked(given(context, *_JUDGING), variables_of(context)),
                goes_on="" if again else _GOES_ON,
                judges={slot: one.label for slot, one in opened.items()},
            )
    for slot, one in opened.items():
        show_standing([outcome for outcome in outcomes if outcome.slot == slot], one.label, slot, quiet=quiet)
    folders = {file.place: file.folder for file in files}
    clear_leftovers(folders.values())
    _write_tables(folders, result_csv, omero_csv)
    if result_csv and opened[""].config.task.kind == "segment":
        _note(
            f"no row of {opened[''].label} in {result_csv}: it gives no diagnosis; the command table lists "
            "its regions and objects"
        )
    if page:
        page.write()
        if not quiet:
            typer.echo(printable_name(f"{page.contents.told} on one page: {report}"), err=json)
    failed = any(isinstance(outcome.result, ColviEdgeError) for outcome in outcomes)
    raise typer.Exit(EXIT_UNJUDGED if failed else EXIT_DONE)


def _write_tables(folders: Mapping[str, Path], result_csv: Path | None, omero_csv: Path | None) -> None:
    from colvi_edge.outputs import table

    unread = 0
    if result_csv:
        unread = table.write_table(result_csv, folders, table.result_csv)
    if omero_csv:
        unread = table.write_table(omero_csv, folders, table.omero_csv)
    if unread:
        _note(
            f"{unread} records are left out of the table: damaged, or none of this version; diagnose their "
            "images again"
        )


def _note(words: str) -> None:
    typer.echo(printable_name(words), err=True)


def report(
    folder: Annotated[Path, typer.Argument(help="Holds results, in it and below it.", file_okay=False)],
    page: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            of="report",
            metavar="HTML",
            dir_okay=False,
            help="The page, one file; without it FOLDER/report.html. What is no report is not overwritten.",
        ),
    ] = None,
    sample: SampleOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show the results of a folder on one page.

    Pictures, scores over time and a table, in one file that needs no network.
    """
    from colvi_edge.report.page_of_folder import Report
    from colvi_edge.report.words import closing_lines

    page = page or folder / "report.html"
    made = Report(folder, page, sample=sample)
    made.write()
    if not quiet:
        typer.echo("\n".join(map(printable_name, closing_lines(folder, page, made.contents))))
