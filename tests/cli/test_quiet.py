"""-q says nothing where all is well, and what is not; -v says why, and where the time went."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from colvi_edge.cli import app
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.tasks.classify import ClassName
from tests.tools.bundles import rename
from tests.tools.terminal import read_terminal

Run = Callable[..., tuple[int, str, str]]
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined] # it is a group
LEAVE_FILES = {
    "bench",
    "build",
    "evaluate",
    "explain",
    "export",
    "report",
    "run",
    "simulate",
    "table",
    "train",
}


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    """Return a folder with an image of each class."""
    labels: tuple[ClassName, ...] = ("control", "patient")
    for number, label in enumerate(labels):
        write_imagej(tmp_path / "scope" / f"{label}.tif", simulate_projection(label, number, size_px=512))
    return tmp_path / "scope"


def test_commands_that_leave_files_can_be_quiet() -> None:
    """Those that are there to tell something cannot, but run alone can tell more."""
    having = {
        flag: {name for name, one in COMMANDS.items() if any(flag in option.opts for option in one.params)}
        for flag in ("-q", "--quiet", "-v", "--verbose")
    }

    assert having == {"-q": LEAVE_FILES, "--quiet": LEAVE_FILES, "-v": {"run"}, "--verbose": {"run"}}


def test_a_quiet_run_is_silent_where_all_is_well(
    scope: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that it writes, again on what it judged before, and by a variable, as in a crontab."""
    extra = ("--report", scope / "r.html", "--result-csv", scope / "r.csv", "--omero-csv", scope / "o.csv")
    assert run("run", scope, "--bundle", "demo", "-q", *extra) == (0, "", "")
    assert run("run", *scope.iterdir(), "--bundle", "demo", "-q", "--stale") == (0, "", "")
    assert run("run", scope, "--bundle", "demo", "--quiet", "--again") == (0, "", "")
    monkeypatch.setenv("COLVI_EDGE_QUIET", "1")
    monkeypatch.setenv("COLVI_EDGE_BUNDLE", "demo")
    assert run("run", scope) == (0, "", "")
    assert run("report", scope) == (0, "", "")
    assert run("table", scope, "-o", scope / "t.csv") == (0, "", "")

    assert {path.name for path in scope.iterdir()} >= {"r.html", "r.csv", "o.csv", "report.html", "t.csv"}
    assert len(list(scope.glob("*.colvi.json"))) == 2


def test_no_bar_is_drawn_on_a_terminal(scope: Path) -> None:
    """Where a run that is not quiet draws one."""
    command = [sys.executable, "-m", "colvi_edge", "run", str(scope), "--bundle", "demo", "--again"]
    drawn = []
    for quiet in ([], ["-q"]):
        with read_terminal() as (end, seen):
            subprocess.run([*command, *quiet], stderr=end, stdout=end, check=True)
        drawn.append(b"".join(seen))

    assert b"Diagnosing" in drawn[0]
    assert drawn[1] == b""


def test_a_quiet_run_tells_what_was_not_judged(scope: Path, run: Run) -> None:
    """On standard error: an error each time, what was rejected when it is; the exit code is as ever."""
    (scope / "bad.tif").write_text("no image")
    write_imagej(scope / "swapped.tif", simulate_projection("control", 1, size_px=512)[::-1].copy())

    code, out, err = run("run", scope, "--bundle", "demo", "-q")
    again = run("run", scope, "--bundle", "demo", "-q", "--stale")
    data = run("run", scope, "--bundle", "demo", "-q", "--json", "--again")

    error = "error: bad.tif: is not a TIFF file, whatever its name says; export the image as TIFF"
    assert (code, out) == (1, "")
    first, second = sorted(err.splitlines())
    assert first == error
    assert second.startswith("rejected: swapped.tif: ")
    assert again == (1, "", f"{error}\n")
    assert (data[0], data[2]) == (1, "")
    assert [json.loads(line)["status"] for line in data[1].splitlines()] == ["error", "ok", "ok", "rejected"]


def test_a_quiet_run_warns_of_another_models_results(scope: Path, run: Run, copied_bundle: Path) -> None:
    """They are not what was asked for, and stay."""
    rename(copied_bundle, "another", "2.0.0")
    assert run("run", scope, "--bundle", copied_bundle, "-q")[0] == 0

    code, out, err = run("run", scope, "--bundle", "demo", "-q")

    assert (code, out) == (0, "")
    assert re.fullmatch(r"2 results are of model another 2.0.0 and were kept; --stale judges them .*\n", err)


def test_a_rehearsal_is_told_though_quiet(scope: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what --dry-run asks for; a table on standard output, too."""
    usual = run("run", scope, "--bundle", "demo", "--dry-run")
    run("run", scope, "--bundle", "demo", "-q")
    _, table, _ = run("table", scope)
    monkeypatch.setenv("COLVI_EDGE_QUIET", "1")

    assert "2 images would be: 2 judged" in usual[1]
    assert "2 images would be: 2 judged" in run("run", scope, "--bundle", "demo", "--dry-run")[1]
    assert run("table", scope) == (0, table, "")
    assert len(list(csv.reader(table.splitlines()))) == 3


def test_a_verbose_run_tells_why_and_how_long(scope: Path, run: Run) -> None:
    """Each in its line on standard error; what is on standard output is as ever."""
    (scope / "bad.tif").write_text("no image")
    _, usual, _ = run("run", scope, "--bundle", "demo", "--json", "--engine", "onnxruntime")
    code, out, err = run(
        "run", scope, "--bundle", "demo", "-v", "--json", "--engine", "onnxruntime", "--limit", "pages=7"
    )

    assert code == 1
    assert [json.loads(line)["path"] for line in out.splitlines()] == [
        json.loads(line)["path"] for line in usual.splitlines()
    ]
    model, engine, limits, *images = err.splitlines()
    record = json.loads((scope / "control.tif.colvi.json").read_text())
    assert model.startswith("model: colvi-edge synthetic demo model 1.0.0, /")
    assert model.endswith(f", SHA-256 {record['model']['sha256']}")
    assert engine.startswith(f"engine: onnxruntime {record['engine']['version']}, ")
    assert engine.endswith(f": {record['engine']['reason']}")
    assert "pages=7, " in limits
    stages = ", ".join(f"{stage} {took:.1f}" for stage, took in record["timings_ms"].items())
    assert images[:2] == ["bad.tif: error, not_an_image", f"control.tif: {stages} ms"]
    assert images[2].startswith("patient.tif: quality ")


def test_quiet_and_verbose_exclude_each_other(scope: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever was typed; a variable is named."""
    asked = ("run", scope, "--bundle", "demo", "-v")
    assert run(*asked, "-q")[::2] == (
        2,
        "colvi-edge: error: --quiet and --verbose: expected one of them\n",
    )
    monkeypatch.setenv("COLVI_EDGE_QUIET", "1")

    assert run(*asked)[2].endswith("expected one of them (--quiet is from COLVI_EDGE_QUIET)\n")
    assert not list(scope.glob("*.colvi.json"))


def test_a_quiet_bench_tells_a_missed_budget_alone(tmp_path: Path, run: Run) -> None:
    """With the exit code and the record as ever."""
    write_imagej(tmp_path / "x.tif", simulate_projection("control", 1, size_px=256))
    asked = ("bench", tmp_path / "x.tif", "--bundle", "demo", "--rounds", 1, "--idle", 0, "-q")

    code, out, err = run(*asked, "--json", tmp_path / "b.json", "--budget-ms", 0.001)

    assert (code, out) == (6, "")
    assert "0.001" in err.splitlines()[-1]
    assert json.loads((tmp_path / "b.json").read_text())["schema"].startswith("colvi-edge.bench/")


def test_a_quiet_simulation_and_evaluation_tell_nothing(tmp_path: Path, run: Run) -> None:
    """But JSON where it is asked for, and that so few images show nothing."""
    assert run("simulate", tmp_path / "test", "--images", 2, "-q") == (0, "", "")
    pytest.importorskip("torch")
    code, out, err = run("evaluate", "demo", tmp_path / "test", "-q")
    _, data, _ = run("evaluate", "demo", tmp_path / "test", "-q", "--json")

    assert (code, out) == (0, "")
    assert err.startswith("1 control and 1 patient image are too few to tell ")
    assert len(err.splitlines()) == 1
    assert json.loads(data)["schema"].startswith("colvi-edge.evaluation/")


def test_python_m_calls_itself_by_the_commands_name(tmp_path: Path) -> None:
    """In help, usage and errors, from any folder."""
    said = {}
    for words in ("--help", "run --help", "run x --frob", "runn"):
        command = [sys.executable, "-m", "colvi_edge", *words.split()]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ
        )
        said[words] = done.stdout + done.stderr

    assert said["--help"].startswith("Usage: colvi-edge [OPTIONS] COMMAND")
    assert said["run --help"].startswith("Usage: colvi-edge run [OPTIONS] IMAGES...")
    assert said["run x --frob"].endswith("Try 'colvi-edge run --help' for help.\n")
    assert said["runn"].endswith("Try 'colvi-edge --help' for help.\n")
    assert not any("python" in words for words in said.values())
