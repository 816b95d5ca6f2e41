"""The variables of the options, and who reads each, read from the commands themselves."""

from colvi_edge.cli.line import help as told
from generated.commands import anchor_of, commands
from generated.markdown import code, table


def readers() -> dict[str, dict[str, str]]:
    """Return the commands that read each variable, and the option that it sets there."""
    found: dict[str, dict[str, str]] = {}
    for name, command in commands().items():
        for option in told.parameters_of(command, "option"):
            if option.envvar:
                found.setdefault(str(option.envvar), {})[name] = max(option.opts, key=len)
    return dict(sorted(found.items()))


def by_name() -> str:
    """Return the table of variables."""
    rows = []
    for variable, commands_of in readers().items():
        options = ", ".join(map(code, sorted(set(commands_of.values()))))
        links = ", ".join(
            f"[{name}](commands/{name}.md#{anchor_of(option)})" for name, option in commands_of.items()
        )
        rows.append((code(variable), options, links))
    return table(("variable", "option", "read by"), rows)


def without() -> str:
    """Return the options that no variable sets."""
    rows = [
        (code(max(option.opts, key=len)), f"[{name}](commands/{name}.md)")
        for name, command in commands().items()
        for option in told.parameters_of(command, "option")
        if not option.envvar
    ]
    return table(("option", "command"), rows)
