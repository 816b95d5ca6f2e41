"""COLVI_EDGE_ variables: what is read is known, what is known is read, and what is neither is told."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from colvi_edge.cli import app
from colvi_edge.cli.line.variables import OTHERS, options_of, unknown

ROOT = Path(__file__).parents[2]
OPTIONS = options_of(get_command(app))
SLIP = f"COLVI_EDGE_{'CHANELS'}"  # in two pieces, so that it is not found in this file


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with none, but for the tests' own, that this machine may have set."""
    for name in [name for name in os.environ if name.upper().startswith("COLVI_EDGE_")]:
        if name not in OTHERS:
            monkeypatch.delenv(name)


def found_in_the_tree() -> dict[str, set[str]]:
    """Return the variables that are named anywhere in the repository, each with the files that do."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines() or [
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".git" not in path.parts
    ]
    found: dict[str, set[str]] = {}
    for name in names:
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".onnx", ".npy", ".pt", ".xz"):
            text = path.read_text(encoding="utf-8", errors="replace")
            for variable in re.findall(r"COLVI_EDGE_[A-Z0-9_]*[A-Z0-9]", text):
                found.setdefault(variable, set()).add(name)
    return found


def test_every_variable_that_is_named_is_known() -> None:
    """In code, tests, documents and examples: a name that no option has, any more, is a trap."""
    found = found_in_the_tree()

    assert len(found) > 20
    assert {name: files for name, files in found.items() if name not in OPTIONS | OTHERS} == {}


def test_every_variable_that_is_known_besides_is_used() -> None:
    """The list of those that are no options does not outlive them."""
    found = found_in_the_tree()

    for name in OTHERS:
        assert any(file.startswith("tests/") for file in found[name]), name


def test_the_nearest_name_is_the_remedy() -> None:
    """By the part that differs: all names begin alike."""

    def said(end: str) -> str:
        (words,) = unknown([f"COLVI_EDGE_{end}"], OPTIONS, "colvi-edge")
        return words

    assert said("CHANELS").endswith("did you mean COLVI_EDGE_CHANNELS?")
    assert said("ROUNDS").endswith("did you mean COLVI_EDGE_BENCH_ROUNDS?")
    assert said("XQZ").endswith("--help")
    (lower,) = unknown(["colvi_edge_bundle"], OPTIONS, "colvi-edge")
    assert lower.endswith("did you mean COLVI_EDGE_BUNDLE?")
    assert not list(unknown([*OPTIONS, *OTHERS, "PATH", f"X{SLIP}"], OPTIONS, "colvi-edge"))


@pytest.mark.parametrize(
    "arguments",
    [["demo", "--help"], ["status", "/nowhere", "--json"], ["run", "--bundle", "demo", "/nowhere"]],
)
def test_a_command_tells_of_an_unknown_variable(
    arguments: list[str], run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line on standard error, without the value; all else is as without it."""
    code, out, err = run(*arguments)
    monkeypatch.setenv(SLIP, "Huber_Anna")
    monkeypatch.setenv("COLVI_EDGE_SEED", "7")  # another command's

    warned = run(*arguments)

    line = f"colvi-edge: warning: found the variable {SLIP}, which colvi-edge does not read; did you mean "
    assert warned == (code, out, f"{line}COLVI_EDGE_CHANNELS?\n{err}")


def test_a_required_option_that_is_misspelt_is_told_before_it_is_missed(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a service's log, where 'is missing' alone is a riddle."""
    monkeypatch.setenv(f"COLVI_EDGE_{'BUNDEL'}", "/srv/my.colvi")

    code, _, err = run("watch", "/srv/scope")

    assert code == 2
    assert err.index("did you mean COLVI_EDGE_BUNDLE?") < err.index("--bundle is missing")
    assert "/srv/my.colvi" not in err


def test_in_systemds_journal_it_is_a_warning(tmp_path: Path) -> None:
    """By the mark before the line, which the journal takes away; the daemon's log begins with it."""
    command = [sys.executable, "-c", "from colvi_edge.cli import main; main()", "status", "/nowhere"]
    environment = os.environ | {SLIP: "1", "XDG_STATE_HOME": str(tmp_path)}
    log = tmp_path / "log"
    log.touch()
    for inode, mark in ((log.stat().st_ino, "<4>"), (1, "")):
        stream = f"{log.stat().st_dev}:{inode}"  # by which systemd says what it connected stderr to
        with log.open("wb") as file:
            subprocess.run(command, env=environment | {"JOURNAL_STREAM": stream}, stderr=file, check=False)
        assert log.read_text().startswith(f"{mark}colvi-edge: warning: found the variable")
