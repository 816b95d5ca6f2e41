"""Two bundles on one folder: the real command with real children, each bundle's results by themselves."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.watch.worker.slots import RefusedBundleError, slots_of_bundles
from tests.soak import promises
from tests.soak.daemon import bundles_in, copied, descendants, recorded
from tests.tools.bundles import rename
from tests.tools.watching import wait_until

COMMAND = [sys.executable, "-c", "from colvi_edge.cli import main; main()"]
SECOND = "second-opinion"

Watch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user with an own state directory."""
    return {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Return another bundle than the demo's: it decides alike, and is called otherwise."""
    return copied(tmp_path)


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    """Return a folder with two images that the microscope has finished."""
    folder = tmp_path / "scope"
    folder.mkdir()
    for number in range(2):
        add(folder / f"{number}.tif", number)
    return folder


def add(raw: Path, seed: int) -> None:
    """Let the microscope finish an image."""
    write_imagej(raw, simulate_planes("control", seed + 1, planes=1, size_px=256))
    raw.with_name(f"{raw.name}.done").touch()


class Folder:
    """The folder, its daemon and what is asked of it."""

    def __init__(self, scope: Path, second: Path, environment: dict[str, str]) -> None:
        self.scope, self.second, self.environment = scope, second, environment
        self.log = scope.with_name("log")
        self.started: list[subprocess.Popen[bytes]] = []

    def call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `colvi-edge` to its end."""
        return subprocess.run(
            [*COMMAND, *words], env=self.environment, capture_output=True, text=True, check=False
        )

    def watch(self, *words: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a daemon, and wait until it is ready."""
        options = ["watch", str(self.scope), "--marker", ".done", "--interval", "0.3", *words]
        with self.log.open("wb") as log:
            process = subprocess.Popen([*COMMAND, *options], env=self.environment | variables, stderr=log)
        self.started.append(process)
        wait_until(lambda: "INFO ready" in self.log.read_text() or process.poll() is not None)
        return process

    def status(self) -> dict[str, Any]:
        """Return the status as JSON."""
        plain: dict[str, Any] = json.loads(self.call("status", str(self.scope), "--json").stdout)
        return plain

    def states(self, pattern: str) -> dict[str, tuple[int, int]]:
        """Return inode and time of files, which a rewritten one has others of."""
        found = {path.name: path.stat() for path in self.scope.glob(pattern)}
        return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}

    def models(self, slot: str) -> list[str]:
        """Return by which model each image was judged, in the order of their names."""
        records = sorted(self.scope.glob(f"?.tif.{slot}.colvi.json" if slot else "?.tif.colvi.json"))
        return ["{name} {version}".format(**json.loads(path.read_text())["model"]) for path in records]


@pytest.fixture
def folder(scope: Path, second: Path, environment: dict[str, str]) -> Iterator[Folder]:
    """Return the folder, whose daemons end with the test."""
    made = Folder(scope, second, environment)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def test_a_second_bundle_comes_changes_and_goes(folder: Folder) -> None:
    """In each step what belongs to the other stays as it is, to the inode."""
    scope, second = folder.scope, folder.second
    once = ("watch", str(scope), "--marker", ".done", "--once", "--bundle", "demo")
    assert folder.call(*once).returncode == 0
    first = folder.states("*.tif.colvi.*")
    assert "bundles" not in folder.status()

    process = folder.watch(COLVI_EDGE_BUNDLE=f"demo:{second}")  # a bundle is added
    wait_until(lambda: folder.models(SECOND) == ["second opinion 2.0"] * 2)
    wait_until(lambda: [one["files"]["done"] for one in folder.status()["bundles"]] == [2, 2])
    assert folder.status()["files"]["done"] == 2
    assert folder.states("*.tif.colvi.*") == first
    assert "2 results are of" not in folder.log.read_text()
    add(scope / "2.tif", 2)
    wait_until(lambda: [len(folder.models(slot)) for slot in ("", SECOND)] == [3, 3])
    text = folder.call("status", str(scope)).stdout
    assert "\n3 done\n" in text
    assert f"\nmodel of {SECOND}: second opinion on openvino" in text
    first = folder.states("*.tif.colvi.*")

    lost, kept = scope / f"1.tif.{SECOND}.colvi.png", scope / f"0.tif.{SECOND}.colvi.png"
    before = kept.stat().st_ino
    lost.unlink()  # a file of one of its results is lost
    wait_until(lost.exists)
    assert kept.stat().st_ino == before
    assert folder.states("*.tif.colvi.*") == first

    rename(second, "second opinion", "2.1")  # its next version is rolled out
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "3 results are of second opinion 2.0 and stay" in folder.log.read_text())
    wait_until(lambda: "2.1" in json.dumps(folder.status()["bundles"]))  # by which retry goes
    told = folder.call("retry", str(scope), "--stale").stdout
    assert told == "3 results of second opinion 2.0: diagnosed again now\n"
    wait_until(lambda: folder.models(SECOND) == ["second opinion 2.1"] * 3)
    wait_until(lambda: (scope / f"2.tif.{SECOND}.colvi.prev.json").exists())
    assert folder.states("*.tif.colvi.*") == first

    rename(second, "another", "1.0")  # whose results would be called otherwise
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: [state["name"] for state in folder.status()["states"]] == ["reload failed"])
    assert f"for X.tif.{SECOND}.colvi.*" in folder.status()["states"][0]["why"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    report = promises.check(scope, slots=["", SECOND])
    assert report.kept, report

    left = folder.states(f"*.{SECOND}.colvi.*")  # the bundle is taken away
    (scope / f"0.tif.{SECOND}.colvi.png").unlink()
    add(scope / "3.tif", 3)
    assert folder.call(*once).returncode == 0
    assert len(folder.models("")) == 4
    assert {name: left[name] for name in left if name != f"0.tif.{SECOND}.colvi.png"} == folder.states(
        f"*.{SECOND}.colvi.*"
    )
    assert "bundles" not in folder.status()


@pytest.mark.parametrize("named", [["demo-nuclei"], ["demo", "demo-nuclei"]])
def test_what_finds_regions_is_nothing_special(folder: Folder, named: list[str]) -> None:
    """It is lost and found, killed and stopped as every other: the promises know no task."""
    scope, bundles = folder.scope, bundles_in(folder.scope.parent, named)
    process = folder.watch(*(word for path in bundles.values() for word in ("--bundle", path)))
    wait_until(lambda: all(recorded(scope / f"{n}.tif", list(bundles)) for n in range(2)))
    end = ".synthetic-demo-nuclei" if len(named) > 1 else ""
    wait_until(lambda: folder.status()["files"]["done"] == 2)
    for labels in scope.glob("*.labels.tif"):
        labels.unlink()  # all of them: no neighbour tells that there were any
    wait_until(lambda: len(list(scope.glob(f"?.tif{end}.colvi.labels.tif"))) == 2)
    wait_until(lambda: promises.check(scope, slots=list(bundles)).kept)

    workers = [pid for pid in descendants(process.pid) if "watch.worker" in cmdline(pid)]
    assert len(workers) == len(named)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    add(scope / "2.tif", 2)
    wait_until(lambda: recorded(scope / "2.tif", list(bundles)))
    wait_until(lambda: folder.status()["files"]["done"] == 3)
    lines = folder.log.read_text().splitlines()
    last = [line for line in lines if re.search(r" nucle(us|i)\b.*\(ok\)", line)]
    assert len(last) >= 3
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    report = promises.check(scope, slots=list(bundles))
    assert report.kept, report
    assert report.counts["results"] == 3 * len(named)


def test_what_one_lost_is_made_while_the_other_is_held_up(folder: Folder) -> None:
    """Whose worker computes, or hangs: its file has no answer yet."""
    scope = folder.scope
    process = folder.watch("--bundle", "demo", "--bundle", str(folder.second))
    wait_until(lambda: [len(folder.models(slot)) for slot in ("", SECOND)] == [2, 2])
    workers = [pid for pid in descendants(process.pid) if "watch.worker" in cmdline(pid)]
    (further,) = (pid for pid in workers if os.getpriority(os.PRIO_PROCESS, pid))
    os.kill(further, signal.SIGSTOP)
    add(scope / "2.tif", 2)
    lost = scope / "2.tif.colvi.png"
    wait_until(lambda: len(folder.models("")) == 3)
    (ledger,) = scope.parent.glob("state/watch/*/ledger.sqlite")
    asked = "SELECT recheck_s FROM entries WHERE path = x'322e746966' AND slot = '' AND state = 'done'"
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as rows:
        wait_until(lambda: rows.execute(asked).fetchall() == [(None,)])  # its second look is over
    lost.unlink()
    wait_until(lost.exists, 10)
    assert not (scope / f"2.tif.{SECOND}.colvi.json").exists()
    os.kill(further, signal.SIGCONT)
    wait_until(lambda: len(folder.models(SECOND)) == 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    report = promises.check(scope, slots=["", SECOND])
    assert report.kept, report


def cmdline(pid: int) -> str:
    """Return the words that a process was started with; "" of one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def test_an_error_of_both_is_told_of_both(folder: Folder) -> None:
    """And each is diagnosed again when that is asked for."""
    raw = folder.scope / "0.tif"
    raw.write_bytes(b"no image at all, but long enough for a header of any kind")
    words = ("watch", str(folder.scope), "--marker", ".done", "--bundle", "demo", "--bundle")
    done = folder.call(*words, str(folder.second), "--once")
    assert done.returncode == 1
    assert "4 answers, 2 errors; 0 left" in done.stderr

    status = folder.status()
    assert (status["files"]["done"], status["files"]["failed"]) == (1, 1)
    assert [entry.get("bundle", "") for entry in status["failed"]] == ["", SECOND]
    text = folder.call("status", str(folder.scope)).stdout
    assert "judged 2 results, 2 errors\n1 done, 1 error\n" in text
    assert f"{SECOND}: is not a TIFF file" in text
    report = promises.check(folder.scope, slots=["", SECOND])
    assert report.kept, report
    told = folder.call("retry", str(folder.scope)).stdout
    assert told == "2 errors: diagnosed again when the daemon runs again\n"


def test_bundles_that_do_not_go_together_are_refused(folder: Folder) -> None:
    """Before anything is watched, with the sentence and exit code of `run`."""
    twice = folder.call("watch", str(folder.scope), "--bundle", "demo", "--bundle", "demo")
    assert (twice.returncode, "is given twice; name each bundle once" in twice.stderr) == (2, True)
    none = folder.call("watch", str(folder.scope), "--bundle", "demo", "--bundle", str(folder.scope))
    assert none.returncode == 4


def test_slots_come_from_the_manifests(second: Path, tmp_path: Path) -> None:
    """Of one bundle nothing is opened."""
    assert slots_of_bundles([str(tmp_path / "not there")]) == [("", "")]
    assert slots_of_bundles(["demo", str(second)]) == [("", ""), (SECOND, "")]
    with pytest.raises(RefusedBundleError, match="is not a folder") as refused:
        slots_of_bundles(["demo", str(tmp_path / "not there")])
    assert refused.value.exit_code == 4


@pytest.mark.parametrize(
    ("begins", "ended"),
    [("import os; os.kill(os.getpid(), 11)", "ended with -11"), ("import os; os._exit(3)", "ended with 3")],
)
def test_bundles_whose_opening_ends_without_an_answer_are_refused(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: str, ended: str
) -> None:
    """As by a library that crashes: in a sentence."""
    (tmp_path / "sitecustomize.py").write_text(begins)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RefusedBundleError, match=ended) as refused:
        slots_of_bundles(["demo", str(second)])
    assert refused.value.exit_code == 4


def test_what_a_library_prints_is_no_answer(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names stand after it."""
    (tmp_path / "sitecustomize.py").write_text("print('Some library, version 1', flush=True)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert slots_of_bundles(["demo", str(second)]) == [("", ""), (SECOND, "")]
