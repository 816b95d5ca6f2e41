"""The variables that mean something to us: the options', read off the commands themselves, and a few others'.

A variable whose name has a slip of the finger sets nothing, and nothing else would say so: the default is
taken, and the exit code is 0. So whatever begins with COLVI_EDGE_ and is not known is told. Values are not:
they may be private.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import typer

from colvi_edge.choices import bundles_in
from colvi_edge.cli.line.sources import FromVariable
from colvi_edge.errors import UsageError
from colvi_edge.printable import printable_name

PREFIX = "COLVI_EDGE_"
OTHERS = frozenset(
    {
        "COLVI_EDGE_FAKE_CUDA_FOLDER",
        "COLVI_EDGE_FAKE_CUDA_REPORTS",
        "COLVI_EDGE_FAKE_CUDA_RUNTIME",
        "COLVI_EDGE_GPU_RESULTS",
        "COLVI_EDGE_NAPARI",
        "COLVI_EDGE_REQUIRE",
    }
)
"""Those that are no options: all of them the tests'."""


def options_of(command: Any) -> frozenset[str]:
    """Return the variables of a command's options; of a group, those of all its commands."""
    own = {parameter.envvar for parameter in command.params if parameter.envvar}
    return frozenset(own).union(*map(options_of, getattr(command, "commands", {}).values()))


def unknown(names: Iterable[str], options: Collection[str], reader: str) -> Iterator[str]:
    """Yield a sentence for each variable that looks like one of ours and is none.

    Args:
        names: of the variables that are set.
        options: the variables that are read.
        reader: who reads them, in words.
    """
    from difflib import get_close_matches

    for name in sorted(names):
        if not name.upper().startswith(PREFIX) or name in options or name in OTHERS:
            continue
        ends = {option.removeprefix(PREFIX): option for option in options}
        near = get_close_matches(name.upper().removeprefix(PREFIX), ends, n=1)
        remedy = f"did you mean {ends[near[0]]}?" if near else "unset it, or look for its name in the --help"
        yield f"found the variable {name}, which {reader} does not read; {remedy}"


def variables_of(context: Any) -> list[FromVariable]:
    """Return the options of a command that came from variables."""
    came = [one for one in context.command.params if _came_from(context, one) == "ENVIRONMENT"]
    return [
        FromVariable(_flag(one), str(one.envvar), list(map(str, _each(context.params.get(one.name, "")))))
        for one in came
    ]


def given(context: Any, *names: str) -> list[str]:
    """Return those of some options that stand on the command line, to be typed again."""
    words = []
    for option in context.command.params:
        if option.name in names and _came_from(context, option) == "COMMANDLINE":
            for one in _each(context.params[option.name]):
                words += [_flag(option), str(getattr(one, "value", one))]
    return words


def whole_bundles(context: typer.Context, given: list[str]) -> list[str]:
    """Return the bundles of a variable by what is there: a name may have a colon in it, and none is empty."""
    source = context.get_parameter_source("bundle")
    if source is None or source.name != "ENVIRONMENT":
        return given
    setting = os.pathsep.join(given)
    if not (bundles := bundles_in(setting)):
        raise UsageError(
            f"--bundle: found '{setting}', which names no bundle; expected paths of bundles with "
            f"'{os.pathsep}' between them, or 'demo'"
        )
    return bundles


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def tell_variables(context: Any) -> None:
    """Print on standard error which options came from variables; not in a service, whose do by design.

    Their values are not told: they may be private.
    """
    from colvi_edge.watch.supervisor.telling.journal import stderr_is_journal

    came = [f"{one.flag} ({one.variable})" for one in variables_of(context)]
    if came and not stderr_is_journal():
        typer.echo(printable_name(f"From the environment: {', '.join(came)}"), err=True)


def _came_from(context: Any, option: Any) -> str:
    source = context.get_parameter_source(option.name)
    return source.name if source else ""


def _flag(option: Any) -> str:
    return next((name for name in option.opts if name.startswith("--")), "")


def warn_of_environment(commands: Any) -> None:
    """Print on standard error, a line each, which variables of this process look like ours and are none.

    Args:
        commands: all of them, as typer made them.
    """
    ours = [name for name in os.environ if name.upper().startswith(PREFIX)]
    if not ours:
        return
    for words in unknown(ours, options_of(commands), "colvi-edge"):
        warn(words)


def warn(words: str) -> None:
    """Print a warning as a line on standard error; in systemd's journal it is one, too."""
    from colvi_edge.watch.supervisor.telling.journal import stderr_is_journal

    level = "<4>" if stderr_is_journal() else ""
    typer.echo(printable_name(f"{level}colvi-edge: warning: {words}"), err=True)
