"""How help reads: words for people instead of types, and once how options are read from the environment.

Typer's own help names Python types, `<list[Path]>`, and a variable at each option. Here an argument is
IMAGES..., an option says what is put in, and a last paragraph tells the variables.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from typer.core import TyperCommand, TyperGroup

from colvi_edge.cli.line.sources import FromVariable
from colvi_edge.cli.line.variables import variables_of
from colvi_edge.errors import ColviEdgeError

# Contexts, formatters and parameters are `Any`: typer has them from a copy of click that is private to it.


class Command(TyperCommand):
    """A command whose help, and whose errors, are written for people."""

    def invoke(self, ctx: Any) -> Any:
        """Run it; an error that speaks of an option tells the variable that it came from."""
        try:
            return super().invoke(ctx)
        except ColviEdgeError as error:
            error.args = (FromVariable.named(error.words, variables_of(ctx)),)
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands behind the command's name: IMAGES..., [FOLDER]."""
        arguments = parameters_of(self, "argument")
        return ["[OPTIONS]", *(named(one) if one.required else f"[{named(one)}]" for one in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, a name and a sentence each."""
        options = [*parameters_of(self, "option"), self.get_help_option(ctx)]
        for heading, parameters in (("Arguments", parameters_of(self, "argument")), ("Options", options)):
            rows = [(named(parameter), _told(parameter)) for parameter in parameters]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write which variables the options are read from."""
        if words := variables(parameters_of(self, "option")):
            formatter.write_paragraph()
            formatter.write_text(words)


_COMPLETION = {
    "install_completion": "Have Tab complete commands, options and files in this shell, bash, fish or zsh: "
    "writes to its settings in your home.",
    "show_completion": "Print the script of that for this shell, and write nothing.",
}
"""What typer's two options do, in our words."""


class Group(TyperGroup):
    """The list of commands, by where they are used."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, a name and a sentence each, then the commands."""
        options = [*parameters_of(self, "option"), self.get_help_option(ctx)]
        with formatter.section("Options"):
            formatter.write_dl([(named(one), sentence(one)) for one in options])
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each `rich_help_panel`."""
        every: Mapping[str, Any] = self.commands
        widest = max(map(len, every))
        for panel, commands in groupby(every.items(), lambda item: item[1].rich_help_panel):
            with formatter.section(str(panel)):
                limit = formatter.width - 4 - widest
                formatter.write_dl(
                    [(f"{name:<{widest}}", command.get_short_help_str(limit)) for name, command in commands]
                )


def variables(options: Sequence[Any]) -> str:
    """Return a sentence that tells the variable of each option; empty where there are none.

    COLVI_EDGE_<OPTION> is that of --option. An option that means another thing in another command has the
    command's name in its own.
    """
    flags = {_flag(option): str(option.envvar) for option in options if option.envvar}
    all_but = "".join(f" but {_flag(option)}" for option in options if not option.envvar)
    plain = [flag for flag, variable in flags.items() if variable == _variable("COLVI_EDGE", flag)]
    own = [flag for flag in flags if flag not in plain]
    if not own:
        return (
            f"Every option{all_but} also reads COLVI_EDGE_<OPTION>: {_example(flags, plain)}."
            if plain
            else ""
        )
    prefix = flags[own[0]].removesuffix(_variable("", own[0]))
    if not plain:
        return f"Every option{all_but} also reads {prefix}_<OPTION>: {_example(flags, own)}."
    return (
        f"Every option{all_but} also reads COLVI_EDGE_<OPTION>: {_example(flags, plain)}. "
        f"Those of this command alone read {prefix}_<OPTION>: {', '.join(own)}."
    )


def _example(flags: dict[str, str], of: Sequence[str]) -> str:
    flag = max(of, key=lambda flag: flag.count("-"))  # that shows what becomes of a hyphen
    return f"{flags[flag]} for {flag}"


def _variable(prefix: str, flag: str) -> str:
    return f"{prefix}_{flag.removeprefix('--').upper().replace('-', '_')}"


def _flag(option: Any) -> str:
    return next(name for name in option.opts if name.startswith("--"))


def parameters_of(command: Any, kind: str) -> list[Any]:
    """Return the arguments, or the options, of a command that are shown."""
    return [one for one in command.params if one.param_type_name == kind and not one.hidden]


def named(parameter: Any) -> str:
    """Return what a parameter is called: IMAGES..., or --bundle PATH."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return name if parameter.nargs == 1 else f"{name.removesuffix('...')}..."
    flags = ", ".join(sorted(parameter.opts, key=len))
    return flags if parameter.is_flag else f"{flags} {parameter.metavar}"


def sentence(option: Any) -> str:
    """Return what an option of the program does."""
    return _COMPLETION.get(option.name, str(option.help))


def _told(parameter: Any) -> str:
    """Return what a parameter is for and, in brackets, whether it is needed, or what it is without."""
    known = "required" if parameter.required else default_of(parameter.default)
    return f"{parameter.help}  [{known}]" if known else str(parameter.help)


def default_of(default: Any) -> str:
    """Return what holds without an option, in words; "" for nothing."""
    if default is None or default is False or callable(default):
        return ""
    words: Iterable[Any] = default if isinstance(default, (list, tuple)) else [default]
    return "default: " + ", ".join(str(getattr(word, "value", word)) for word in words)
