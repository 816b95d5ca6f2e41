"""What status, log, terminal, systemd and Prometheus are told, and which names they are not."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.terminal import read_terminal
from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import HERE, QUICKER, SCANNED, Daemon


def test_formats_that_are_not_read_are_told_once(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """One line of the log for each suffix, however many scans see its files; the status has the counts."""
    daemon = start(metrics=str(tmp_path / "scope.prom"))
    daemon.scanner(HERE, SCANNED, {**SCANNED, "not_read": {".nd2": 1}})
    wait_until(lambda: daemon.status().get("not_read") == {".nd2": 1})
    daemon.scanner({**SCANNED, "not_read": {".nd2": 3, ".czi": 2}})
    wait_until(lambda: daemon.status()["not_read"] == {".nd2": 3, ".czi": 2})
    line = 'colvi_edge_not_read_files{folder="/nowhere/data/scope",suffix=".nd2"} 3'
    wait_until(lambda: line in (tmp_path / "scope.prom").read_text())
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.status()["not_read"] == {})
    daemon.scanner({**SCANNED, "not_read": {".nd2": 4}})
    wait_until(lambda: daemon.status()["not_read"] == {".nd2": 4})

    told = [line.partition("WARNING ")[2] for line in daemon.stderr().splitlines() if "not read" in line]
    assert told == [
        "1 .nd2 file is not read here; export it as TIFF",
        "2 .czi files are not read here; export them as TIFF",
    ]
    assert daemon.ails() == []


def test_folders_that_may_not_be_listed_are_states(start: Callable[..., Daemon]) -> None:
    """Each by the hash of its path, as files are; the path itself is in the status alone."""
    daemon = start(log_names=False)
    daemon.scanner(HERE, {**SCANNED, "barred": ["Meier", "Huber/day 2"]})
    wait_until(lambda: daemon.ails() == ["folder not readable"] * 2)
    wait_until(lambda: any("folder not readable: " in text for text in daemon.heard()))
    states = {state["folder"]: state["why"] for state in daemon.status()["states"]}
    hashes = {path: hashlib.sha256(path.encode()).hexdigest()[:12] for path in ("Meier", "Huber/day 2")}
    for path, name in hashes.items():
        assert states[path].startswith(f"folder {name} is closed to the user of this daemon; ")
    daemon.ready("ok.tif")
    wait_until(lambda: daemon.in_state("ok.tif"))
    daemon.scanner({**SCANNED, "barred": ["Meier"]})
    wait_until(lambda: [state["folder"] for state in daemon.status()["states"]] == ["Meier"])
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.ails() == [])

    told = daemon.stderr() + "".join(daemon.heard()) + "".join(states.values())
    for path, name in hashes.items():
        assert daemon.stderr().count(f"WARNING folder not readable: folder {name} ") == 1
        assert daemon.stderr().count(f"INFO over: folder not readable: folder {name}") == 1
        assert path not in told


def test_a_folder_that_may_not_be_written_to_is_a_state(start: Callable[..., Daemon]) -> None:
    """While one of its files tries, all others go on; when that could be written, so do the rest."""
    daemon = start(log_names=False)
    daemon.scanner(HERE, SCANNED)
    (daemon.here / "closed").touch()
    names = [f"Meier/closed{number}.tif" for number in range(20)]
    daemon.ready(*names, "ok1.tif", "Huber/ok2.tif")
    wait_until(lambda: daemon.in_state("ok1.tif", "Huber/ok2.tif"))
    wait_until(lambda: daemon.ails() == ["folder not writable"])
    (state,) = daemon.status()["states"]
    name = hashlib.sha256(b"Meier").hexdigest()[:12]
    assert (state["folder"], f"folder {name} is closed" in state["why"]) == ("Meier", True)
    wait_until(lambda: len(daemon.given(*names)) >= 4)
    assert len({note["path"] for note in daemon.given(*names)}) <= 2
    assert daemon.ails() == ["folder not writable"]
    (daemon.here / "closed").unlink()
    wait_until(lambda: daemon.in_state(*names))
    wait_until(lambda: daemon.ails() == [])

    assert daemon.stderr().count("WARNING folder not writable: ") == 1
    assert "Meier" not in daemon.stderr() + "".join(daemon.heard())


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_who_sits_before_a_terminal_reads_names(
    start: Callable[..., Daemon], once: bool, terminal: bool
) -> None:
    """And what went wrong, from --once too; a file that the log goes to has hashes, whoever reads it."""
    with read_terminal() as (end, seen):
        daemon = start(once=once, log_names=False, stderr=end if terminal else None)
        daemon.scanner(HERE)
        daemon.ready("P01/Meier.tif", "P01/bad.tif")
        daemon.scanner(SCANNED)
        wait_until(
            lambda: daemon.in_state("P01/Meier.tif") and daemon.in_state("P01/bad.tif", state="failed")
        )
        while once and daemon.process.poll() is None:
            daemon.scanner(SCANNED)
            time.sleep(0.1)
        daemon.process.terminate()
        daemon.process.wait(20)
    log = b"".join(seen).decode() if terminal else daemon.stderr()

    names = ["P01/bad.tif: no axes (axes)"]
    if not once:
        names += ["P01/Meier.tif: control, score 90.0 (ok)"]
    hashes = [hashlib.sha256(name.partition(":")[0].encode()).hexdigest()[:12] for name in names]
    assert [name in log for name in names] == [terminal] * len(names)
    assert [mark in log for mark in hashes] == [not terminal] * len(names)
    assert ("Meier" in log) == (terminal and not once)


def test_a_full_disk_is_shown_and_ends_by_itself(daemon: Daemon) -> None:
    """One file at a time tries; when there is room, all are done."""
    (daemon.here / "full").touch()
    names = [f"full{number}.tif" for number in range(20)]
    began = time.monotonic()
    daemon.ready(*names)
    wait_until(lambda: "disk full" in daemon.ails())
    wait_until(lambda: any("STATUS=disk full: No space left on device" in text for text in daemon.heard()))
    wait_until(lambda: len(daemon.given()) >= 5)
    tries = (time.monotonic() - began) / (0.8 * QUICKER["longest_backoff_s"])
    assert len(daemon.given()) <= min(3 + tries, len(names) - 1)
    (daemon.here / "full").unlink()
    wait_until(lambda: daemon.in_state(*names))
    wait_until(lambda: daemon.ails() == [])


def test_numbers_are_written_for_prometheus(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """And a folder for them that is missing is shown, and no reason to end."""
    daemon = start(metrics=str(tmp_path / "textfile" / "scope.prom"))
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: "degraded" in daemon.ails())
    (tmp_path / "textfile").mkdir()
    daemon.ready("ok.tif")
    written = tmp_path / "textfile" / "scope.prom"
    wait_until(lambda: written.exists() and 'outcome="ok"} 1' in written.read_text())


def test_metrics_in_the_watched_folder_are_refused(start: Callable[..., Daemon]) -> None:
    """The supervisor opens nothing there."""
    daemon = start(metrics="/nowhere/data/scope/scope.prom")

    assert daemon.process.wait(20) == 2
    assert "put it elsewhere" in daemon.stderr()
