"""A line of the command line held against the commands themselves, wherever its files are."""

import copy
import io
import os
from contextlib import redirect_stdout
from typing import Any
from unittest.mock import patch

import typer

from colvi_edge.cli import app
from colvi_edge.errors import ColviEdgeError
from tests.tools.shell_lines import Call


def complaint(call: Call) -> str:
    """Return what is wrong with a line: a command, option, choice or number; "" for nothing."""
    program: Any = typer.main.get_command(app)
    try:
        with (
            patch.dict(os.environ, call.variables),
            redirect_stdout(io.StringIO()),
            program.make_context("colvi-edge", list(call.words)) as context,
        ):
            rest = [*context._protected_args, *context.args]
            if not rest:
                return ""
            name, command, arguments = program.resolve_command(context, rest)
            if not arguments or {"-h", "--help"} & set(arguments):
                return ""  # which shows its help
            _forget_files(command).make_context(name, arguments, parent=context)
    except typer.Exit:
        return ""  # after --help or --version
    except ColviEdgeError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - of typer's private copy of click
        return str(getattr(error, "message", "") or error)
    return ""


def _forget_files(command: Any) -> Any:
    """Return a command that takes paths that are not there, and looks at none."""
    other = copy.copy(command)
    other.params = [copy.copy(parameter) for parameter in command.params]
    for parameter in other.params:
        if parameter.callback is not None:
            parameter.callback = None
        descriptor = copy.copy(parameter.type_descriptor)
        information = copy.copy(descriptor.parameter_info)
        information.exists = False
        object.__setattr__(descriptor, "parameter_info", information)
        parameter.type_descriptor = descriptor
        parameter._runtime_param = None
    return other
