"""Tab in real shells: commands, options, words, bundles and files; nothing is written unasked."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from colvi_edge.cli.line.completion import bundles, lists, words

Pressed = Callable[[str], str]
"""Takes a line of which the last word is begun, and returns that word after Tab."""

LINES = {
    "rep": "report",
    "run --prec": "--precision",
    "run x.tif --engine on": "onnxruntime",
    "bench --precision fp32,in": "fp32,int8",
    "run x.tif --bundle demo-": "demo-nuclei",
    "run x.tif --bundle mi": "mine.colvi",
    "run x.tif --bundle models/th": "models/theirs.colvi",
    "run cul": "culture_07.tif",
    "report sc": "scope/",
}
HOSTILE = (
    "$(touch owned).colvi",
    r"\$(touch owned).colvi",
    "`touch owned`.colvi",
    "'; touch owned; '.colvi",
    "a b.colvi",
)
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
SHELLS = ["bash", *(pytest.param(shell, marks=getattr(pytest.mark, shell)) for shell in ("fish", "zsh"))]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of a microscope's, with an empty home and the command beside it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "colvi-edge"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m colvi_edge "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    folder = tmp_path / "place"
    for below in ("mine.colvi", "models/theirs.colvi", "scope"):
        (folder / below).mkdir(parents=True)
    (folder / "culture_07.tif").touch()
    monkeypatch.chdir(folder)
    return folder


def script_for(shell: str) -> str:
    """Return what --show-completion prints in a shell."""
    command = [shell, "-c", "colvi-edge --show-completion; true"]  # more than one, or the shell is gone
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def pressed_in(shell: str, line: str, script: Path) -> str:
    """Type a line and Tab into a shell; return the last word then."""
    if shell == "fish":
        told = f"source {script}; complete -C 'colvi-edge {line}'"
        done = subprocess.run(["fish", "-c", told], capture_output=True, text=True, check=True)
        (only,) = done.stdout.splitlines()
        return only.partition("\t")[0]
    before = "autoload -Uz compinit; compinit -u -D; " if shell == "zsh" else ""
    # The line is put behind a printf before it is entered, so that its words are printed and nothing runs.
    typed = f"{before}source {script}; PS1=; echo rea''dy\n"
    keys = f"colvi-edge {line}\t\x01printf '<%s>' \x05; echo don''e\n"
    return re.findall(r"<([^>]*)>", _typed(START[shell], typed, keys))[-1]


def _typed(command: list[str], before: str, keys: str) -> str:
    """Type into a terminal with a shell, the keys when it is ready; return what is on it when it is done."""
    process, terminal = pty.fork()
    if not process:
        os.environ["TERM"] = "dumb"
        os.execvp(command[0], command)  # noqa: S606 - a shell
    seen = b""
    try:
        os.write(terminal, before.encode())
        ends = time.monotonic() + 60
        for mark in (b"ready\r\n", b"done\r\n"):
            while mark not in seen:
                assert time.monotonic() < ends, seen
                if select.select([terminal], [], [], 0.2)[0]:
                    seen += os.read(terminal, 1 << 16)
            if mark.startswith(b"ready"):
                os.write(terminal, keys.encode())
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)
    return seen.decode(errors="replace")


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes(shell: str, place: Path) -> None:
    """By the script that the command prints for the shell; printing it leaves nothing in the home."""
    script = place.parent / "script"
    script.write_text(script_for(shell))

    slash = "" if shell == "zsh" else "/"  # which zsh takes away where the line goes on
    wanted = {line: word.removesuffix("/") + slash * word.endswith("/") for line, word in LINES.items()}
    assert {line: pressed_in(shell, line, script) for line in LINES} == wanted
    assert not list(Path.home().rglob("*colvi*"))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_name_is_never_run(shell: str, place: Path) -> None:
    """Zsh evaluates what is offered; a folder may be called anything."""
    for name in HOSTILE:
        (place / name).mkdir()
    script = place.parent / "script"
    script.write_text(script_for(shell))

    assert pressed_in(shell, "run x.tif --bundle mi", script) == "mine.colvi"
    assert {*bundles("")} == {"demo", "demo-nuclei", "mine.colvi"}
    assert not any(bundles(begun) for begun in ("$", "\\", "`", "'", "a"))
    assert not (place / "owned").exists()


@pytest.mark.parametrize("shell", ["bash", pytest.param("fish", marks=pytest.mark.fish)])
def test_it_is_installed_when_asked_for(shell: str, place: Path) -> None:
    """Into the home alone; the next shell has it."""
    told = subprocess.run(
        [shell, "-c", "colvi-edge --install-completion; true"], capture_output=True, text=True, check=True
    )

    assert f"{shell} completion installed in {Path.home()}" in told.stdout
    if shell == "fish":
        next_one = ["fish", "-c", "complete -C 'colvi-edge rep'"]
    else:
        next_one = ["bash", "-c", "source ~/.bashrc; complete -p colvi-edge"]
    found = subprocess.run(next_one, capture_output=True, text=True, check=True).stdout
    assert found.startswith(
        "report\t" if shell == "fish" else "complete -o default -F _colvi_edge_completion"
    )


def test_a_variable_that_is_empty_asks_nothing(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is run as ever."""
    monkeypatch.setenv("_COLVI_" + "EDGE_COMPLETE", "")

    code, _, err = run("run", "/nowhere", "--bundle", "demo")

    assert (code, err.startswith("colvi-edge: error: /nowhere is not there")) == (2, True)


def test_words_and_lists() -> None:
    """What begins as it was typed; in a list a further word, each once."""
    assert words("fp32", "fp16", "int8")("f") == ["fp32", "fp16"]
    assert lists("fp32", "fp16")("") == ["fp32", "fp16"]
    assert lists("fp32", "fp16")("fp32,") == ["fp32,fp16"]
    assert lists("fp32", "fp16")("fp32,x") == []


def test_a_folder_that_is_not_there_offers_nothing(place: Path) -> None:
    """Then the shell completes names of files."""
    assert bundles("nowhere/") == []
    assert bundles("models/") == ["models/theirs.colvi"]
