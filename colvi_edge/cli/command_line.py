"""The command line: parse, delegate, report. Heavy imports stand inside the commands."""

import os
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from types import TracebackType
from typing import Annotated, TextIO, cast

import typer

from colvi_edge import RESEARCH_USE_ONLY, __version__
from colvi_edge.cli.daemon import retry, status, watch
from colvi_edge.cli.diagnose import report, run
from colvi_edge.cli.export import export
from colvi_edge.cli.folder import clean, table
from colvi_edge.cli.line.help import Command, Group
from colvi_edge.cli.line.usage import CommandLineError, tell
from colvi_edge.cli.line.variables import warn_of_environment
from colvi_edge.cli.machine import bench, doctor
from colvi_edge.cli.model import build, evaluate, explain, train
from colvi_edge.cli.service import install_service, uninstall_service
from colvi_edge.cli.synthetic import demo, simulate
from colvi_edge.errors import ColviEdgeError
from colvi_edge.printable import printable_name, printable_traceback
from colvi_edge.terminal.streams import ForgivingStream, PrintableStream

__all__ = ["app", "main"]

_ALONE = (demo, doctor)
"""Commands that do something without a word more; the others show their help then."""

NAME = "colvi-edge"

_COMPLETION = f"_{NAME}_COMPLETE".replace("-", "_").upper()
"""Variable by which the script for a shell asks what Tab offers."""

app = typer.Typer(
    name=NAME,
    cls=Group,
    help=f"Collagen VI diagnosis of fibroblast cultures, beside the microscope. {RESEARCH_USE_ONLY}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help starts faster, and folds paragraphs
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version, or go on to the command."""
    sys.excepthook = _bug  # set here, as typer sets its own before; the daemon sets one that names no file
    if show:
        typer.echo(f"colvi-edge {__version__}")
        raise typer.Exit
    warn_of_environment(context.command)


_COMMANDS = {
    "At the microscope": (run, watch, status, retry, report, table, clean),
    "The service": (install_service, uninstall_service),
    "Models": (train, evaluate, explain, export, build),
    "This machine": (doctor, bench),
    "Simulated images": (demo, simulate),
}

for _panel, _commands in _COMMANDS.items():
    for _command in _commands:
        app.command(cls=Command, rich_help_panel=_panel, no_args_is_help=_command not in _ALONE)(_command)


def _bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a bug."""
    typer.echo(printable_traceback(error), err=True)


def _to_copy(error: ColviEdgeError) -> str:
    """Return the command that an error asks for, fit for a shell; "" for none."""
    if error.options:
        return shlex.join([NAME, *sys.argv[1:], *error.options])
    return shlex.join(error.command)


def main() -> None:
    """Run the command line; an error that the operator can put right is one line and an exit code.

    A bug keeps its traceback. Nothing that a terminal would obey arrives there but our own colours. Whoever
    stops reading what is printed stops nothing else. However it is started, it calls itself colvi-edge.
    """
    if os.environ.get(_COMPLETION):  # a shell asks, which is answered with tabs
        app(prog_name=NAME)
    streams = (cast("TextIO", ForgivingStream(stream)) for stream in (sys.stdout, sys.stderr))
    out, err = map(PrintableStream, streams)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = app(prog_name=NAME, standalone_mode=False)
        except CommandLineError as error:
            tell(error)
            raise SystemExit(error.exit_code) from None
        except ColviEdgeError as error:
            words = " ".join(line.strip() for line in str(error).split("\n"))
            typer.echo(f"colvi-edge: error: {printable_name(words)}", err=True)
            if command := _to_copy(error):
                typer.echo(f"  {printable_name(command)}", err=True)
            raise SystemExit(error.exit_code) from None
        finally:
            out.flush()
            err.flush()
        raise SystemExit(code)
