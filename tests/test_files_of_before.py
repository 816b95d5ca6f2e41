"""What earlier versions wrote is still read, gone on with, and started.

In `written_before/` lies what they left of a folder /srv/scope: `released` is of the ledger of 0.1.0,
`unreleased` of the second version of its tables. Each has the state folder of a `watch --once` with the demo
bundle, and what `install-service --prefix` and pip put into a system. The folder itself lies in `unreleased`:
control.tif has its result, broken.tif its error record, and patient.tif came after.
"""

import csv
import hashlib
import importlib.util
import io
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from colvi_edge.bundle import demo_path
from colvi_edge.cli import app
from colvi_edge.cli.line.variables import options_of
from colvi_edge.watch.service.unit_files import read_environment, variables_of
from colvi_edge.watch.state_folder import StateFolder
from tests.tools.services import make_root

BEFORE = Path(__file__).with_name("written_before")
FOLDER = BEFORE / "unreleased/scope"
UNIT, ENVIRONMENT = "etc/systemd/system/colvi-edge@.service", "etc/colvi-edge/srv/scope.env"
VERSIONS = ("released", "unreleased")


@dataclass
class Watched:
    """A watched folder with what an earlier version left of it.

    Attributes:
        folder: with raw files and results.
        state: its state folder.
        image: root of the system into which that version was installed.
    """

    folder: Path
    state: StateFolder
    image: Path

    def call(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run today's command for its operator."""
        return _run([sys.executable, "-m", "colvi_edge", *words], self.state, variables)

    def start(self) -> "subprocess.CompletedProcess[str]":
        """Start its service by the unit, settings and script of that version, to its end."""
        (command,) = (
            line.removeprefix("ExecStart=:")
            for line in (self.image / UNIT).read_text().splitlines()
            if line.startswith("ExecStart=")
        )
        program, *words = (word.replace("%f", str(self.folder)) for word in shlex.split(command))
        settings = read_environment((self.image / ENVIRONMENT).read_text())
        ours = {"COLVI_EDGE_ONCE": "1", "COLVI_EDGE_ENGINE": "onnxruntime", "COLVI_EDGE_LOG_NAMES": "1"}
        return _run([sys.executable, str(self.image / program[1:]), *words], self.state, {**settings, **ours})


@pytest.fixture(params=VERSIONS)
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Watched:
    """Return a folder that each version has watched, as if it had always lain where it lies now."""
    folder = tmp_path / "scope"
    before = BEFORE / request.param
    state = StateFolder.within(tmp_path / "state", folder)
    shutil.copytree(FOLDER, folder)
    (left,) = (before / "state/watch").iterdir()
    shutil.copytree(left, state.path)
    state.path.chmod(0o700)
    with closing(sqlite3.connect(state.ledger)) as connection, connection:
        # A copy has other inodes, and lies on another mount.
        connection.execute("DELETE FROM meta WHERE name = 'mount'")
        for raw in (folder / "control.tif", folder / "broken.tif"):
            found = raw.stat()
            signature = f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
            connection.execute(
                "UPDATE entries SET signature = ? WHERE path = ?", (signature, os.fsencode(raw.name))
            )
    return Watched(folder, state, before / "image")


def _run(
    command: list[str], state: StateFolder, variables: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    mine = {name: value for name, value in os.environ.items() if not name.startswith("COLVI_EDGE_")}
    environment = {**mine, "STATE_DIRECTORY": str(state.path.parents[1]), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def _version(ledger: Path) -> int:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro&immutable=1", uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def test_they_are_of_the_versions_that_they_are_said_to_be() -> None:
    """Else the tests below would try today's twice."""
    ledgers = {version: next((BEFORE / version).rglob("ledger.sqlite")) for version in VERSIONS}

    assert {version: _version(ledger) for version, ledger in ledgers.items()} == {
        "released": 1,
        "unreleased": 2,
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_state_folder_is_called_as_before(version: str) -> None:
    """Or a daemon of today would begin a second one beside it."""
    (left,) = (BEFORE / version / "state/watch").iterdir()

    assert StateFolder.within(Path("/var/lib/colvi-edge"), Path("/srv/scope")).path.name == left.name


def test_status_tells_what_the_daemon_of_before_left(watched: Watched) -> None:
    """Right after an update, before a daemon of today has run: nothing is written."""
    before = _content(watched.state.path)
    done = watched.call("status", str(watched.folder), "--json")
    told = json.loads(done.stdout)

    assert told["files"] == {"done": 1, "failed": 1, "quarantined": 0, "pending": 0, "settling": 0}
    assert [(entry["path"], entry["kind"]) for entry in told["failed"]] == [("broken.tif", "not_an_image")]
    assert told["last"]["path"] == "control.tif"
    assert told["model"]["model"] == "colvi-edge synthetic demo model"
    assert sum(model["results"] for model in told["models"]) == 1
    text = watched.call("status", str(watched.folder)).stdout
    assert "1 done, 1 error\n" in text
    after = _content(watched.state.path)
    assert {name: after[name] for name in before} == before


def test_a_daemon_of_today_goes_on(watched: Watched) -> None:
    """By the unit, settings and script of before: what has its result keeps it, what is new gets one."""
    kept = watched.folder / "control.tif.colvi.json"
    before = (kept.read_bytes(), kept.stat().st_mtime_ns)
    retried = watched.call("retry", str(watched.folder))
    assert retried.stdout == "1 error: diagnosed again when the daemon runs again\n"
    done = watched.start()

    assert done.returncode == 1, done.stderr
    assert "retry: 1 file is offered again" in done.stderr
    answered = {line.split()[2] for line in done.stderr.splitlines() if ".tif: " in line}
    assert answered == {"broken.tif:", "patient.tif:"}
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before
    assert (watched.folder / "patient.tif.colvi.json").is_file()
    assert not list(watched.state.path.glob("*damaged*"))
    assert _version(watched.state.ledger) == 4
    told = json.loads(watched.call("status", str(watched.folder), "--json").stdout)
    assert told["files"] == {"done": 2, "failed": 1, "quarantined": 0, "pending": 0, "settling": 0}


def test_results_of_before_are_reported() -> None:
    """In the page and in the table, each with the model that its sidecar names."""
    sidecar = json.loads((FOLDER / "control.tif.colvi.json").read_bytes())
    command = [sys.executable, "-m", "colvi_edge"]
    done = subprocess.run([*command, "table", str(FOLDER)], check=True, capture_output=True, text=True)
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(done.stdout))}

    assert set(rows) == {"control.tif", "broken.tif"}
    assert rows["control.tif"]["diagnosis"] == sidecar["diagnosis"] == "control"
    assert rows["control.tif"]["model_sha256"] == sidecar["model"]["sha256"]
    assert rows["broken.tif"]["error_kind"] == "not_an_image"


def test_a_page_of_results_of_before(tmp_path: Path) -> None:
    """With their pictures."""
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "colvi_edge", "report", str(FOLDER), "--output", str(page)]
    subprocess.run(command, check=True, capture_output=True)
    text = page.read_text()

    assert text.count("data:image/") >= 1
    for name in ("control.tif", "broken.tif"):
        assert name in text


def test_the_demo_bundle_is_the_one_of_before() -> None:
    """Byte for byte, as by its hash a result is known."""
    hashed = hashlib.sha256((demo_path() / "SHA256SUMS").read_bytes()).hexdigest()

    assert json.loads((FOLDER / "control.tif.colvi.json").read_bytes())["model"]["sha256"] == hashed
    for version in VERSIONS:
        (status,) = (BEFORE / version).rglob("status.json")
        assert json.loads(status.read_bytes())["model"]["model_sha256"] == hashed


@pytest.fixture(params=VERSIONS)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return the root of a system in which each version had installed a service."""
    root = make_root(tmp_path / "root", Path("/srv/scope"))
    shutil.copytree(BEFORE / request.param / "image/etc", root / "etc", dirs_exist_ok=True)
    yield root
    assert (root / ENVIRONMENT).read_bytes() == (BEFORE / request.param / "image" / ENVIRONMENT).read_bytes()


def test_a_service_of_before_is_installed_again(system: Path) -> None:
    """After an update: first it is said what changes, then the unit is renewed; the settings stay."""
    command = [sys.executable, "-m", "colvi_edge", "install-service", "/srv/scope", "--bundle", "demo"]
    before = (system / UNIT).read_bytes()
    tried = subprocess.run(
        [*command, "--prefix", str(system), "--dry-run"], check=True, capture_output=True, text=True
    )
    assert "Nothing was written: --dry-run." in tried.stdout
    assert "  new " not in tried.stdout
    assert (system / UNIT).read_bytes() == before
    done = subprocess.run([*command, "--prefix", str(system)], check=True, capture_output=True, text=True)
    states = {line.split()[-1]: line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}

    assert states[str(system / UNIT)] == (
        "unchanged" if (system / UNIT).read_bytes() == before else "updated"
    )
    (start,) = (line for line in (system / UNIT).read_text().splitlines() if line.startswith("ExecStart="))
    assert start == "ExecStart=:/opt/colvi-edge/bin/colvi-edge watch %f"


@pytest.mark.parametrize("version", VERSIONS)
def test_settings_of_before_are_read(version: str) -> None:
    """Each variable that their file sets or explains is one that `watch` still reads."""
    text = (BEFORE / version / "image" / ENVIRONMENT).read_text()
    watch = get_command(app).commands["watch"]  # type: ignore[attr-defined] # a group of commands

    assert read_environment(text)["COLVI_EDGE_BUNDLE"] == "demo"
    assert set(variables_of(text)) <= options_of(watch)


@pytest.mark.parametrize("role", ["scanner", "worker", "publisher"])
def test_the_processes_have_the_names_of_before(role: str) -> None:
    """They are modules that Python runs, for who looks for them in the list of processes."""
    assert importlib.util.find_spec(f"colvi_edge.watch.{role}.__main__")
    done = subprocess.run(
        [sys.executable, "-m", f"colvi_edge.watch.{role}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "in join_supervisor" in done.stderr  # as nobody started it
