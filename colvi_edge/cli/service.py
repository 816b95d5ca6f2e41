"""The commands that make a folder's service known to systemd, and take it away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from colvi_edge.cli.line.options import (
    BundlesOption,
    FolderArgument,
    OutputDirOption,
    consent,
    option,
)
from colvi_edge.cli.line.variables import options_of, unknown, warn
from colvi_edge.printable import printable_name

if TYPE_CHECKING:
    from colvi_edge.watch.service.checks import SeveralFaultsError

PrefixOption = Annotated[
    Path,
    option(
        "--prefix",
        metavar="ROOT",
        file_okay=False,
        help="Root of another system, such as an image: all other paths are looked for below it.",
    ),
]
DryRunOption = Annotated[bool, option("--dry-run", help="Say what would be done, and do nothing.")]


def install_service(
    context: typer.Context,
    folder: FolderArgument,
    bundle: BundlesOption,
    output_dir: OutputDirOption = None,
    user: Annotated[str, option("--user", help="System user that the services run as; made if missing.")] = (
        "colvi"
    ),
    prefix: PrefixOption = Path("/"),
    dry_run: DryRunOption = False,
) -> None:
    """Have systemd watch a folder.

    Looks at everything first, says what it will write, then writes the unit, its settings and a user. Starts
    nothing, and says how to. Call it again after an update: it says what changed, and keeps your settings.
    """
    from colvi_edge.watch.service.checks import SeveralFaultsError, joined
    from colvi_edge.watch.service.install import plan_installation

    try:
        planned = plan_installation(
            folder, bundle=joined(bundle), output_dir=output_dir, user=user, root=prefix, dry_run=dry_run
        )
    except SeveralFaultsError as error:
        _refuse(error)
    watch = context.find_root().command.commands["watch"]  # type: ignore[attr-defined] # a group of commands
    unread = unknown(planned.settings, options_of(watch), "colvi-edge watch")
    for words in [*planned.warnings, *(f"{planned.service.environment}: {words}" for words in unread)]:
        warn(words)
    _say(planned.told(contents=dry_run))
    if not dry_run:
        planned.carry_out()
        _say(["", *planned.next_steps()])
    else:
        _say(["", "Nothing was written: --dry-run."])


def uninstall_service(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The folder that the service watches; it need not be there any more.", file_okay=False
        ),
    ],
    purge: Annotated[
        bool, consent("--purge", help="Also remove your settings, and what the daemon knows.")
    ] = False,
    prefix: PrefixOption = Path("/"),
    dry_run: DryRunOption = False,
) -> None:
    """Have systemd no longer watch a folder.

    Stops the service and removes what install-service wrote, and says what stays. Raw files and results are
    never touched. May be called when half of it is gone already.
    """
    from colvi_edge.watch.service.checks import SeveralFaultsError
    from colvi_edge.watch.service.uninstall import plan_removal

    try:
        planned = plan_removal(folder, purge=purge, root=prefix, dry_run=dry_run)
    except SeveralFaultsError as error:
        _refuse(error)
    _say(planned.told(dry_run=dry_run))
    if not dry_run:
        planned.carry_out()
    else:
        _say(["", "Nothing was removed: --dry-run."])


def _refuse(error: "SeveralFaultsError") -> NoReturn:
    """Print each of several faults in a line of its own, as one alone is printed, and exit."""
    for fault in error.faults:
        typer.echo(f"colvi-edge: error: {printable_name(str(fault))}", err=True)
    raise typer.Exit(error.exit_code)


def _say(lines: list[str]) -> None:
    typer.echo("\n".join(map(printable_name, lines)))
