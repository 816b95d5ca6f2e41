"""The commands about the daemon that watches a folder: run it, ask how it does, have it try again."""

from pathlib import Path
from typing import Annotated

import typer

from colvi_edge.choices import EngineName, OverlayChoice, PrecisionChoice
from colvi_edge.cli.line.options import (
    AgainOption,
    BundlesOption,
    ChannelsOption,
    EngineOption,
    FolderArgument,
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
from colvi_edge.cli.line.readings import numbers_of, replace_of, roles_of
from colvi_edge.cli.line.variables import tell_variables
from colvi_edge.errors import EXIT_AILING, EXIT_DONE


def watch(
    context: typer.Context,
    folder: FolderArgument,
    bundle: BundlesOption,
    output_dir: OutputDirOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    channels: ChannelsOption = None,
    pixel_size_um: PixelSizeOption = None,
    limit: LimitOption = None,
    overlay: OverlayOption = OverlayChoice.PNG,
    once: Annotated[bool, option("--once", help="Diagnose what is there, then exit.")] = False,
    poll: Annotated[
        bool, option("--poll", help="Only look, at intervals; shares are polled without being told.")
    ] = False,
    interval: Annotated[
        float | None,
        option(
            "--interval", min=0.1, metavar="SECONDS", help="Between looks; 15 on a local disk, 5 on others."
        ),
    ] = None,
    marker: Annotated[
        str | None,
        option(
            "--marker",
            metavar="SUFFIX",
            help="X.tif is finished when X.tif.done appears, if this is .done; not by time.",
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        option("--metrics", dir_okay=False, help="Keep numbers for Prometheus' textfile collector here."),
    ] = None,
    report: Annotated[
        Path | None,
        option(
            "--report",
            dir_okay=False,
            help="Keep a page of all results here; it may lie in the folder, too.",
        ),
    ] = None,
    sample: SampleOption = None,
    log_names: Annotated[
        bool,
        option(
            "--log-names",
            help="Name files in the log also where that is no terminal; without it by a hash, as names may "
            "be patients'.",
        ),
    ] = False,
    stale: StaleOption = False,
    again: AgainOption = False,
) -> None:
    """Diagnose each new raw file of a folder.

    Goes on until it is ended. Raw files are only read, unfinished ones not at all. Usually systemd
    runs this: see install-service.

    Results of another model stay, and are counted by status. With --stale they are judged again, at
    each start those that are left; --again goes with --once only. A daemon that runs is told by retry.

    Several bundles judge each file, each in a process of its own; that of one is nothing to another.
    """
    from colvi_edge.watch.folder.paths import FolderPaths
    from colvi_edge.watch.ipc.settings import Further, Judging, Scanning
    from colvi_edge.watch.settings import WatchSettings
    from colvi_edge.watch.supervisor.start import watch as supervise
    from colvi_edge.watch.worker.slots import slots_of_bundles

    tell_variables(context)
    roles, limits = roles_of(channels), numbers_of(limit)
    first, *others = map(str, bundle)
    (_, lender), *further = slots_of_bundles([first, *others])
    settings = WatchSettings(
        FolderPaths(folder, output_dir),
        Judging(first, engine, precision, roles, limits, overlay, pixel_size_um, lender=lender),
        Scanning(poll, interval, marker),
        metrics=metrics,
        report=report,
        sample=sample,
        log_names=log_names,
        once=once,
        force=replace_of(stale, again),
        further=[Further(slot, one, lent) for (slot, lent), one in zip(further, others, strict=True)],
    )
    raise typer.Exit(supervise(settings))


def status(folder: FolderArgument, json: JsonOption = False) -> None:
    """Tell how the watching goes.

    What is done, waiting or wrong in a folder, of which model the results are, and what ails its daemon. Ends
    with 7 if none runs, or something ails it, and with 0 also after a --once that finished.
    """
    from colvi_edge.cli.show.status import show_status
    from colvi_edge.watch.service.status import gather_status

    found = gather_status(folder)
    show_status(found, as_json=json)
    raise typer.Exit(EXIT_DONE if found.is_well else EXIT_AILING)


def retry(folder: FolderArgument, stale: StaleOption = False, again: AgainOption = False) -> None:
    """Diagnose what failed once more.

    Files with an error, or in quarantine, are offered to the daemon again, at once or when it starts; with
    --stale also those that another model judged, with --again all. A result is replaced by another one only.
    """
    from colvi_edge.cli.show.status import show_retried
    from colvi_edge.watch.service.retry import retry as leave_request

    show_retried(leave_request(folder, replace_of(stale, again)))
