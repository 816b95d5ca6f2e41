"""Hostile names through each command that prints: nothing that a terminal would obey comes out of it."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import tifffile

from colvi_edge.bundle import demo_path
from colvi_edge.cli import main
from colvi_edge.simulate import simulate_projection
from colvi_edge.watch.ipc.messages import WorkerReady
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.state_folder import StateFolder
from colvi_edge.watch.status_file import Condition, Status, Waiting, write_status
from tests.tools.terminal import read_terminal

COMMAND = [sys.executable, "-c", "from colvi_edge.cli import main; main()"]
HOSTILE = {
    "title": "\x1b]0;OWNED\x07",
    "csi": "\x1b[2J\x1b[1;1H",
    "return": "a\rforged",
    "line": "a\nforged line",
    "bidi": "\u202egnp.fit\u2066",
    "separators": "a\u2028forged\u2029b",
    "c1": "\x9b31m\x9d0;OWNED\x9c\x85",
    "bytes": "\udcff\udc9b",
    "markup": "[red]x [link=file:x]y \\[ [bold",
    "tab": "a\tb\x7f\x08",
    "emoji": ":warning:",
    "formula": "=cmd|' !A0",
}
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def check(*outputs: bytes, own: str = "\n") -> str:
    """Assert that outputs hold nothing but printable text and line feeds of ours; return them."""
    text = b"\n".join(outputs).decode()
    odd = {repr(c) for c in text if c not in own and not c.isprintable()}
    assert not odd, odd
    assert not re.search(r"(?m)^\s*forged", text)
    return text


def check_printed(*outputs: bytes) -> str:
    """Assert the same of what a command printed into a pipe, where tabs of ours part the cells of a row."""
    text = check(*outputs, own="\n\t")
    assert HOSTILE["tab"][:3] not in text
    for tabbed, lines in groupby(text.split("\n"), lambda line: "\t" in line):
        if tabbed:
            assert len({line.count("\t") for line in lines}) == 1
    return text


@pytest.fixture(scope="module")
def image() -> bytes:
    """Return a small projection."""
    file = io.BytesIO()
    tifffile.imwrite(
        file, simulate_projection("control", 7, size_px=256), imagej=True, metadata={"axes": "CYX"}
    )
    return file.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs a command, and checks what it prints."""

    def called(*words: "str | Path", rc: int | None = 0) -> "subprocess.CompletedProcess[bytes]":
        environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
        done = subprocess.run(
            [*COMMAND, *map(str, words)], env=environment, capture_output=True, check=False, timeout=120
        )
        check_printed(done.stdout, done.stderr)
        assert rc is None or done.returncode == rc, done.stderr.decode()
        return done

    return called


@pytest.fixture
def run_here(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Return a function that does so in this process, for commands that start no other."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    def called(*words: "str | Path", rc: int | None = 0) -> "subprocess.CompletedProcess[bytes]":
        monkeypatch.setattr(sys, "argv", ["colvi-edge", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsysbinary.readouterr()
        check_printed(printed.out, printed.err)
        done = subprocess.CompletedProcess(words, int(end.value.code or 0), printed.out, printed.err)
        assert rc is None or done.returncode == rc, done.stderr.decode()
        return done

    return called


@pytest.fixture
def scope(tmp_path: Path, image: bytes) -> Path:
    """Return a folder of files and folders with hostile names, half of them images."""
    folder = tmp_path / "scope"
    for number, name in enumerate(HOSTILE.values()):
        path = folder / (name if number % 3 else "plain[") / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image if number % 2 else b"no image")
    (folder / "[").mkdir()
    (folder / "[" / "]x.tif").write_bytes(image)  # whose path reads as rich's word for the end of a tag
    return folder


def test_run_report_and_their_tables(run: Run, scope: Path, tmp_path: Path) -> None:
    """Table and JSON, both CSVs and the page; each image is still told apart."""
    tables = ("--result-csv", tmp_path / "r.csv", "--omero-csv", tmp_path / "o.csv")
    table = check_printed(run("run", scope, "--bundle", "demo", *tables, rc=1).stdout)
    lines = run("run", scope, "--bundle", "demo", "--json", rc=1).stdout
    run("report", scope, "-o", tmp_path / "page.html")

    for told in (r"[red]x [link=file:x]y \\[ [bold", ":warning:", r"a\nforged line", r"\u202egnp", "[/]x"):
        assert told in table
    paths = {json.loads(line)["path"] for line in lines.splitlines()}
    assert len(paths) == len(HOSTILE) + 1
    for name in ("r.csv", "o.csv"):
        text = check((tmp_path / name).read_bytes())
        assert len({tuple(row) for row in csv.reader(io.StringIO(text))}) > len(HOSTILE) / 2
    check((tmp_path / "page.html").read_bytes())
    for patches in scope.rglob("*.colvi.csv"):
        check(patches.read_bytes())


def test_the_daemon_and_what_asks_after_it(run: Run, scope: Path) -> None:
    """Its log with names and without, status as table and JSON, retry."""
    for raw in list(scope.rglob("*.tif")):
        Path(f"{raw}.done").touch()
    for options in ((), ("--log-names", "--poll")):
        run("watch", scope, "--bundle", "demo", "--once", "--marker", ".done", *options, rc=None)
    table = check_printed(run("status", scope, rc=None).stdout)
    plain = json.loads(run("status", scope, "--json", rc=None).stdout)
    run("retry", scope)

    assert r"[red]x [link=file:x]y \\[ [bold" in table
    assert len(plain["failed"]) == len(HOSTILE) / 2


def test_a_status_of_hostile_words(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model, runtime, states and times, whatever the file says."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    root = tmp_path / "scope"
    folder = StateFolder.of(root)
    folder.lock.touch()
    Ledger(folder.ledger).close()
    every = "".join(HOSTILE.values())
    started = WorkerReady("b", every, "ab" * 32, every, every, every, every)
    said = "2026-01-01T00:00:00+00:00"
    state = Condition("degraded", every, said)
    waiting = [Waiting(every, every, every)]
    status = Status("x", said, said, 0.0, True, [state], 0, 0, waiting, None, started, {".nd2": 1})
    for changed in (status, replace(status, said=every, states=[replace(state, since=every)])):
        write_status(folder.status, changed)
        assert "OWNED" in check_printed(run("status", root, rc=None).stdout)
        run("status", root, "--json", rc=None)


@pytest.mark.parametrize("keys", ["title csi return c1 markup", "line bidi tab bytes"])
def test_usage_errors_and_sentences(run_here: Run, tmp_path: Path, keys: str) -> None:
    """What the operator's shell made of a name; a bundle, a stray file in one, an image, a page."""
    name = "".join(map(HOSTILE.__getitem__, keys.split()))
    raw, bundle, stray = tmp_path / f"{name}.tif", tmp_path / f"{name}.colvi", tmp_path / "stray.colvi"
    raw.write_bytes(b"no image")
    shutil.copytree(demo_path(), stray)
    (stray / name).write_text("")
    (tmp_path / f"d{name}.csv").write_bytes(
        b"path,label\n" + os.fsencode(f'"{name}","{name}"').replace(b"\n", b" ") + b"\n"
    )
    bundle.mkdir()
    (bundle / "bioimageio.yaml").write_bytes(os.fsencode(f"name: [{name}\n  - {{"))
    for words in (
        ("run", raw, "--bundle", bundle),
        ("run", raw, "--bundle", stray),
        ("run", tmp_path / f"no {name}", "--bundle", "demo"),
        ("run", raw, "--bundle", "demo", f"--{name}"),
        ("run", raw, "--bundle", "demo", "--engine", name),
        ("run", raw, "--bundle", "demo", "--channels", name),
        ("run", raw, "--bundle", "demo", "--limit", f"{name}=1"),
        ("run", raw, "--bundle", "demo", "--limit", name),
        ("doctor", "--image", raw),
        ("doctor", "--image", tmp_path / f"no {name}"),
        ("status", tmp_path / f"no {name}"),
        ("report", tmp_path / f"no {name}", "-o", tmp_path / name / "no.html"),
        ("evaluate", "demo", tmp_path / f"d{name}.csv"),
        ("export", tmp_path / f"{name}.tif", "-o", tmp_path / f"out{name}"),
        (name,),
    ):
        done = run_here(*words, rc=None)
        assert done.returncode not in (0, None), words
        assert b"Traceback" not in done.stderr, words


def test_what_is_made_anew(run_here: Run, tmp_path: Path, image: bytes) -> None:
    """Simulate and demo into, evaluate and doctor of, hostile names."""
    name = "".join(HOSTILE[key] for key in ("title", "c1", "line", "tab", "bidi", "markup", "emoji"))
    raw = tmp_path / f"{name}.tif"
    raw.write_bytes(image)
    run_here("simulate", tmp_path / f"s{name}", "--images", "2")
    run_here("demo", tmp_path / f"d{name}")
    run_here("doctor", "--image", raw, rc=None)
    for seed, label in enumerate(("control", "patient") * 2):
        path = tmp_path / "set" / label / f"{seed}{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, simulate_projection("control", seed, size_px=256), imagej=True)
        path.with_name(f"{seed}bad{name}.tif").write_bytes(b"no image")
    page = tmp_path / "page.html"
    told = check_printed(run_here("evaluate", "demo", tmp_path / "set", "--html", page, rc=1).stderr)
    assert "OWNED" in told
    json.loads(run_here("evaluate", "demo", tmp_path / "set", "--json", rc=1).stdout)
    check(page.read_bytes())


def test_a_terminal(scope: Path, tmp_path: Path) -> None:
    """There our own colours are, and nothing else of that kind."""
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), "TERM": "xterm-256color"}
    watch = ("watch", scope, "--bundle", "demo", "--once", "--marker", ".tif", "--poll")
    with read_terminal() as (theirs, seen):
        for words in (
            ("run", scope, "--bundle", "demo"),
            watch,
            ("status", scope),
            ("run", "--\x1b]0;OWNED\x07"),
        ):
            subprocess.run(
                [*COMMAND, *map(str, words)],
                env=environment,
                stdout=theirs,
                stderr=theirs,
                check=False,
                timeout=120,
            )

    # Colours, and what a progress bar moves and hides; as the terminal writes a line's end.
    text = re.sub(rb"\x1b\[(\d[\d;]*m|\d*A|2K|\?25[lh])", b"", b"".join(seen)).replace(b"\r", b"")
    assert b"\x1b[1;1H" not in text
    assert b"Diagnosing" in text
    assert rb"\x1b[2KDiagnosing" not in text  # our own are not escaped
    told = check(text)
    assert r"\x1b]0;OWNED\x07" in told
    assert "[red]x" in told
