"""The kinds of error, and the exit code that each ends a command with, read from the code."""

from colvi_edge import errors
from colvi_edge.errors import ColviEdgeError
from generated.markdown import code, spoken, table


def kinds(of: type[ColviEdgeError] = ColviEdgeError) -> list[type[ColviEdgeError]]:
    """Return the kinds of error of the package's `errors`, a kind before those below it."""
    below = [kind for kind in of.__subclasses__() if kind.__module__ == errors.__name__]
    return [of, *(one for kind in below for one in kinds(kind))]


def by_kind() -> str:
    """Return the table of kinds: the word in error records, its exit code, its class, and what it means."""
    rows = [
        (code(kind.kind), str(kind.exit_code), code(kind.__name__), spoken(kind.__doc__)) for kind in kinds()
    ]
    return table(("kind", "exit code", "class", "meaning"), rows)


def by_code() -> str:
    """Return the table of exit codes that an error ends with, and the kinds that do."""
    found: dict[int, list[str]] = {}
    for kind in kinds():
        found.setdefault(kind.exit_code, []).append(code(kind.kind))
    rows = [(str(number), ", ".join(words)) for number, words in sorted(found.items())]
    return table(("exit code", "kinds of error"), rows)
