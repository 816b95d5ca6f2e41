"""The command line as pages: one a command, read from the commands themselves, as their `--help` is."""

from collections.abc import Iterator
from inspect import cleandoc
from itertools import groupby
from typing import Any

import typer

from colvi_edge.cli import app
from colvi_edge.cli.line import help as told
from generated.markdown import code, escaped, spoken, table

FOLDER = "reference/commands"


def program() -> Any:
    """Return the program as typer makes it: a group of commands."""
    return typer.main.get_command(app)


def commands() -> dict[str, Any]:
    """Return every command by its name, in the order of `--help`."""
    return dict(program().commands)


def options_of_the_program() -> str:
    """Return the options that stand before a command."""
    rows = [(code(told.named(one)), spoken(told.sentence(one))) for one in _options(program(), "colvi-edge")]
    return table(("option", "what it does"), rows)


def paths() -> list[str]:
    """Return the pages, in the order of `--help`."""
    return [f"{FOLDER}/{name}.md" for name in commands()]


def index() -> str:
    """Return the list of commands, by where they are used."""
    parts = []
    for panel, group in groupby(commands().items(), lambda item: item[1].rich_help_panel):
        rows = [
            (f"[`{name}`]({name}.md)", escaped(command.get_short_help_str(200))) for name, command in group
        ]
        parts.append(f"## {panel}\n\n{table(('command', 'what it does'), rows)}")
    return "\n".join(parts)


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and Markdown of the page of each command."""
    for name, command in commands().items():
        yield f"{FOLDER}/{name}.md", page(name, command)


def page(name: str, command: Any) -> str:
    """Return the page of a command."""
    usage = " ".join(["colvi-edge", name, *command.collect_usage_pieces(None)])
    parts = [f"# colvi-edge {name}", *paragraphs(command), f"```text\n{usage}\n```"]
    arguments = told.parameters_of(command, "argument")
    options = _options(command, name)
    for heading, parameters in (("Arguments", arguments), ("Options", options)):
        if parameters:
            parts += [f"## {heading}", *map(_parameter, parameters)]
    if words := told.variables(told.parameters_of(command, "option")):
        parts += ["## Variables", f"{escaped(words)} [All variables](../variables.md)."]
    parts += ["## How it ends", "With one of the [exit codes](../exit-codes.md)."]
    return "\n\n".join(parts) + "\n"


def paragraphs(command: Any) -> list[str]:
    """Return what the help of a command says before it names arguments and options."""
    return [escaped(words) for words in cleandoc(command.help or "").split("\n\n")]


def _options(command: Any, name: str) -> list[Any]:
    """Return the options that `--help` shows, itself among them."""
    context = typer.Context(command, info_name=name, help_option_names=["-h", "--help"])
    return [*told.parameters_of(command, "option"), command.get_help_option(context)]


def anchor_of(name: str) -> str:
    """Return where on its command's page an option, or an argument, stands."""
    return name.lstrip("-").lower().replace("_", "-")


def _parameter(parameter: Any) -> str:
    name, words = told.named(parameter), escaped(str(parameter.help))
    anchor = anchor_of(max(parameter.opts, key=len))
    known = "required" if parameter.required else told.default_of(parameter.default)
    facts = [f"[{escaped(known)}]"] if known else []
    variable = getattr(parameter, "envvar", None)
    rest = f"\n\n{code(str(variable))}\n{{ .variable }}" if variable else ""
    return f"### {code(name)} {{ #{anchor} }}\n\n{'  '.join([words, *facts])}{rest}"
