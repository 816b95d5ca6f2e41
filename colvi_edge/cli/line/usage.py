"""What is wrong with a command line, in one sentence: found, expected, remedy.

Typer's own words are those of the library that checks types: 'Input should be a valid number'.
"""

import re
from pathlib import PurePath
from typing import Any

import typer

from colvi_edge.cli.line.sources import FromVariable
from colvi_edge.cli.line.variables import variables_of
from colvi_edge.printable import printable_name

CommandLineError: Any = typer.BadParameter.__mro__[1]
"""All that is wrong with a command line; typer has it from a copy of click that is private to it."""

_PATHS = {
    "is a file": "is a file; expected a folder, such as {parent}",
    "is a directory": "is a folder; expected the name of a file in it",
    "does not exist": "is not there; check the path",
    "is not readable": "cannot be read; check its permissions",
    "is not writable": "cannot be written to; check its permissions",
}
_PATH = re.compile(rf"\w+ ['\"](.*)['\"] ({'|'.join(_PATHS)})\.", re.DOTALL)
_CHOICES = "is not one of "


def tell(error: Any) -> None:
    """Print on standard error what is wrong with a command line, and where its help is."""
    if type(error).show is not CommandLineError.show:  # a command without a word more: its help
        error.show()
        return
    typer.echo(f"colvi-edge: error: {printable_name(sentence(error))}", err=True)
    command = error.ctx.command_path if error.ctx else "colvi-edge"
    typer.echo(printable_name(f"Try '{command} --help' for help."), err=True)


def sentence(error: Any) -> str:
    """Return what is wrong, what was expected, and which variable it came from, if from one."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        words = str(error.format_message()).removesuffix(".")
        return words[:1].lower() + words[1:]
    name = next((one for one in parameter.opts if one.startswith("--")), parameter.name.upper())
    if hasattr(error, "param_type"):  # it is missing
        expected = str(parameter.help).partition(". ")[0].removesuffix(".")
        metavar = f" {parameter.metavar}" if name.startswith("--") else ""
        return f"{name} is missing: expected {expected[:1].lower()}{expected[1:]}; add {name}{metavar}"
    came = [one for one in variables_of(error.ctx) if one.flag == name]
    return FromVariable.named(f"{name} {_wrong(error)}", came)


def _wrong(error: Any) -> str:
    """Return the value that is wrong, and what was expected."""
    if path := _PATH.fullmatch(error.message):
        return f"{path[1]} {_PATHS[path[2]].format(parent=PurePath(path[1]).parent)}"
    if not hasattr(error.__cause__, "errors"):
        return str(error.message)
    found = error.__cause__.errors()[0]
    return f"{found['input']}: expected {_expected(found)}"


def _expected(found: dict[str, Any]) -> str:
    """Return what a value should have been, from what pydantic says of it."""
    bounds = found.get("ctx", {})
    match found["type"]:
        case "float_parsing":
            comma = re.fullmatch(r"\d+,\d+", str(found["input"]))
            return f"a number such as {comma[0].replace(',', '.') if comma else '0.3'}"
        case "int_parsing" | "int_from_float":
            return "a whole number such as 3"
        case "greater_than_equal":
            return f"{bounds['ge']:g} or more"
        case "less_than_equal":
            return f"{bounds['le']:g} or less"
    message = str(found["msg"])
    choices = message.partition(_CHOICES)[2].removesuffix(".")
    return choices.replace("'", "") or f"something else: {message}"
