"""The plan of the house, held to the code itself: floors, rooms, sizes, and who prints."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FACE = ""
FLOORS = (
    {
        "",
        "arguments",
        "bands",
        "choices",
        "errors",
        "pages",
        "patches",
        "printable",
        "raw_files",
        "stopwatch",
        "terminal",
        "windows",
    },
    {"bundle", "kernels", "onnx", "system"},
    {"tasks"},
    {"acquisition", "engines", "outputs", "simulate"},
    {"quality", "report"},
    {"pipeline"},
    {"api", "bench", "cleaning", "doctor", "export", "result", "watch"},
    {"__main__", "cli"},
)
"""Rooms and modules at the top of the package the lowest first; nothing imports upwards."""

MOST_MODULES, MOST_LINES = 14, 350
PRINTERS = ("cli", "terminal", "__main__", "kernels.__main__", "watch.supervisor.telling.journal")
"""Where something may be printed: the command line, the helpers that it prints with, scripts, and the log."""


def sources() -> dict[str, Path]:
    """Return each module's file by its name, without the package's; a package is named as its folder."""
    found = {}
    for folder, prefix in (("colvi_edge", ()), ("export", ("export",)), ("kernels", ("kernels",))):
        for path in (ROOT / folder).rglob("*.py"):  # follows no link
            parts = (*prefix, *path.relative_to(ROOT / folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}


def imported(name: str) -> Iterator[str]:
    """Yield every module of ours that a module imports, wherever in it, also for its types alone."""
    package = f"colvi_edge.{name}".rstrip(".").split(".")
    if SOURCES[name].name != "__init__.py":
        package.pop()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            full = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in full:
            if target.split(".")[0] != "colvi_edge":
                continue
            inside = target.removeprefix("colvi_edge").removeprefix(".")
            yield inside if inside in SOURCES else inside.rpartition(".")[0]


IMPORTS = {name: set(imported(name)) - {name} for name in SOURCES}


def floor(name: str) -> int:
    """Return the floor that a module stands on, 0 the lowest."""
    (number,) = (n for n, rooms in enumerate(FLOORS) if name.split(".")[0] in rooms)
    return number


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return a circle of names that import each other; none: []."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room(name: str) -> str:
    """Return the folder that a module stands in; one at the top of the package stands for itself."""
    return name.rpartition(".")[0] if SOURCES[name].name != "__init__.py" and "." in name else name


def test_the_imports_are_found() -> None:
    """Absolute, relative, below a function, of a module and of a name in one: nothing of it is missed."""
    assert {"errors", "cli"} <= {room(target) for target in IMPORTS["__main__"]}
    assert "kernels.variant" in IMPORTS["kernels.compile"]
    assert "export.reading" in {room(target) for target in IMPORTS["export.converting.package"]}
    assert len(SOURCES) > 200


def test_every_room_stands_on_one_floor() -> None:
    """A new room is put on a floor here before anything can import it."""
    tops = {name.split(".")[0] for name in SOURCES}

    assert sorted(tops) == sorted(set().union(*FLOORS))


def test_nothing_imports_upwards() -> None:
    """What stands below does not know what stands above it."""
    upwards = {
        f"{name} -> {target}"
        for name, targets in IMPORTS.items()
        for target in targets
        if floor(target) > floor(name)
    }

    assert not upwards


def test_no_module_is_in_a_circle() -> None:
    """Neither at import nor later, in a function."""
    faces = {name for name, path in SOURCES.items() if path.name == "__init__.py"}
    arrows = {name: targets - faces for name, targets in IMPORTS.items()}

    assert circle(arrows) == []
    assert circle(IMPORTS) == []


def test_no_room_is_in_a_circle() -> None:
    """Rooms at the top, and the rooms within each of them."""
    tops: dict[str, set[str]] = {}
    for name, targets in IMPORTS.items():
        own = name.split(".")[0]
        tops.setdefault(own, set()).update({target.split(".")[0] for target in targets} - {own})

    assert circle(tops) == []


@pytest.mark.parametrize("top", sorted({name.split(".")[0] for name in SOURCES if name.count(".") > 1}))
def test_no_room_within_a_room_is_in_a_circle(top: str) -> None:
    """A folder that holds folders does not count as one of them: its own modules stand for themselves."""
    inside = [name for name in SOURCES if name.startswith(f"{top}.")]
    parents = {
        room(name)
        for name in inside
        if any(
            other.startswith(f"{room(name)}.") and "." in other.removeprefix(f"{room(name)}.")
            for other in inside
        )
    }

    def node(name: str) -> str:
        return name if room(name) in parents else room(name)

    arrows: dict[str, set[str]] = {}
    for name in inside:
        if SOURCES[name].name != "__init__.py":
            targets = {node(target) for target in IMPORTS[name] if target.startswith(f"{top}.")}
            arrows.setdefault(node(name), set()).update(targets - {node(name)})

    assert circle(arrows) == []


def test_no_folder_is_crowded() -> None:
    """Past fourteen modules a folder has rooms of its own."""
    folders: dict[Path, int] = {}
    for path in SOURCES.values():
        if path.name not in ("__init__.py", "__main__.py"):
            folders[path.parent] = folders.get(path.parent, 0) + 1

    assert {str(folder): count for folder, count in folders.items() if count > MOST_MODULES} == {}


def test_no_module_is_long() -> None:
    """Three hundred and fifty lines are one job."""
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in SOURCES.items()}

    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_faces_hold_no_code() -> None:
    """A package's `__init__` says what it is, and names what others use of it."""
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    with_code = {
        name
        for name, path in SOURCES.items()
        if path.name == "__init__.py" and name != FACE  # which keeps a library from calling home
        for statement in TREES[name].body
        if not isinstance(statement, allowed)
        and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    }

    assert not with_code


def prints(tree: ast.AST) -> bool:
    """Return whether a module prints: by `print`, typer, a console, or one of the standard streams."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "typer.echo", "typer.secho", "click.echo", "rich.print"):
                return True
            if called.startswith(("sys.stdout.", "sys.stderr.")) and called.endswith("write"):
                return True
            if called.endswith(".print"):
                return True
    return False


def test_only_the_command_line_prints() -> None:
    """All others return what they found, or tell it to whoever asked."""
    printing = {name for name, tree in TREES.items() if prints(tree)}

    assert "cli.command_line" in printing
    assert {
        name for name in printing if not f"{name}.".startswith(tuple(f"{top}." for top in PRINTERS))
    } == set()
