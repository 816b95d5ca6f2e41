"""`--once`: what is there is diagnosed, what came of it is told, and then the daemon ends."""

import contextlib
import os
import select
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools.terminal import read_terminal
from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import AWAY, HERE, SCANNED, Daemon


def test_once_ends_with_a_folder_that_may_not_be_written_to(start: Callable[..., Daemon]) -> None:
    """What waits for another file's try does not wait for ever."""
    daemon = start(once=True, timings={"once_patience_s": 1.0})
    (daemon.here / "closed").touch()
    daemon.scanner(HERE)
    daemon.ready(*(f"f/closed{number}.tif" for number in range(9)), "ok.tif")
    daemon.scanner(SCANNED)

    assert daemon.process.wait(60) == 1
    assert "1 file answered, 0 errors; 9 left; folder not writable: " in daemon.stderr()


def test_once_does_not_wait_for_a_daemon(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """From cron, waiting processes would pile up."""
    once = start(once=True)

    assert once.process.wait(20) == 2
    assert f"process {daemon.process.pid} watches /nowhere/data/scope already" in once.stderr()


@pytest.mark.parametrize(
    ("paths", "settling", "exit_code", "words"),
    [
        ([], 0, 0, "0 files answered, 0 errors; 0 left"),
        ([], 1, 1, "0 files answered, 0 errors; 1 left"),
        (["ok1.tif", "ok2.tif"], 0, 0, "2 files answered, 0 errors; 0 left"),
        (["ok1.tif", "bad.tif"], 0, 1, "2 files answered, 1 error; 0 left"),
        (["ok1.tif", "crash.tif"], 0, 1, "2 files answered, 1 error; 0 left"),
        (["cut.tif", "ok1.tif"], 0, 1, "1 file answered, 0 errors; 1 left"),
    ],
)
def test_once_drains_and_tells(
    start: Callable[..., Daemon], paths: list[str], settling: int, exit_code: int, words: str
) -> None:
    """The exit code is 1 if a file failed or was left."""
    daemon = start(once=True, timings={"once_patience_s": 1.0})
    daemon.scanner(HERE)
    daemon.ready(*paths)
    scans = 0
    while daemon.process.poll() is None:
        if [note["say"] for note in daemon.log("scanner")].count("Rescan") >= scans:
            daemon.scanner({**SCANNED, "settling": settling})
            scans += 1
        time.sleep(0.02)

    assert daemon.process.wait(60) == exit_code
    assert words in daemon.stderr()


def test_once_waits_for_what_is_settling(start: Callable[..., Daemon]) -> None:
    """It asks for another look until all is at rest."""
    daemon = start(once=True)
    daemon.scanner(HERE, {**SCANNED, "settling": 1})
    wait_until(lambda: "Rescan" in [note["say"] for note in daemon.log("scanner")])
    assert daemon.process.poll() is None
    daemon.ready("ok.tif")
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.in_state("ok.tif"))
    wait_until(lambda: len([note for note in daemon.log("scanner") if note["say"] == "Rescan"]) >= 2)
    daemon.scanner(SCANNED)

    assert daemon.process.wait(20) == 0


def test_once_shows_a_bar_to_who_looks_on(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """In place of a log, and it grows with what comes meanwhile; what came of it is said at the end."""
    terminal, end = os.openpty()
    daemon = start(once=True, stderr=end)
    os.close(end)
    daemon.scanner(HERE)
    daemon.ready("soon.tif", "later.tif")
    daemon.scanner(SCANNED)
    shown, until = b"", time.monotonic() + 20
    for drawn, comes in (
        (b"1/2", "ok.tif"),
        (b"/3", ""),
    ):  # some times a second; the second file waits for it
        while drawn not in shown:
            assert time.monotonic() < until
            assert select.select([terminal], [], [], 20)[0]
            shown += os.read(terminal, 4096)
        daemon.ready(*filter(None, [comes]))
    (tmp_path / "go").touch()
    wait_until(lambda: daemon.in_state("soon.tif", "later.tif", "ok.tif"))
    daemon.scanner(SCANNED)
    with contextlib.suppress(OSError):  # EIO: the other side ended
        while True:
            shown += os.read(terminal, 4096)
    os.close(terminal)

    assert daemon.process.wait(20) == 0
    lines = [line for line in shown.decode().splitlines() if "INFO" in line]
    assert [line.partition("INFO ")[2] for line in lines] == ["3 files answered, 0 errors; 0 left"]
    assert "Diagnosing" in shown.decode()
    assert b"3/2" not in shown


def test_a_terminal_is_told_of_other_models_when_the_bar_is_gone(start: Callable[..., Daemon]) -> None:
    """With the command that has their results judged again; where there is no bar, as soon as it is known."""
    first = start(once=True)
    first.scanner(HERE)
    first.ready("ok.tif")
    first.scanner(SCANNED)
    while first.process.poll() is None:
        first.scanner(SCANNED)
        time.sleep(0.1)
    with closing(sqlite3.connect(first.state / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE entries SET model = ?", ("cd" * 32,))
        ledger.execute("INSERT INTO models VALUES (?, 'old', '1.0')", ("cd" * 32,))
    told = (
        "1 result is of old 1.0 and stays; colvi-edge retry /nowhere/data/scope --stale judges it with first"
    )
    for terminal in (True, False):
        (first.here / "scanner.in").write_text("")  # what it said is not to be said again
        with read_terminal() as (end, seen):
            daemon = start(once=True, stderr=end if terminal else None)
            while daemon.process.poll() is None:
                daemon.scanner(HERE, SCANNED)
                time.sleep(0.1)
        log = b"".join(seen).decode() if terminal else daemon.stderr()
        assert log.count(told) == 1
        assert daemon.process.wait(20) == 0


def test_once_on_a_share_that_is_away_fails(start: Callable[..., Daemon]) -> None:
    """At once, and says why."""
    daemon = start(once=True)
    daemon.scanner(AWAY)

    assert daemon.process.wait(20) == 1
    assert "share away: /data is not mounted" in daemon.stderr()


def test_once_with_a_worker_that_always_dies_fails(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """It does not try for ever."""
    (tmp_path / "bundle").write_text("crash")
    daemon = start(once=True)
    daemon.scanner(HERE)
    daemon.ready("ok.tif")
    daemon.scanner(SCANNED)

    assert daemon.process.wait(30) == 1
    assert "no worker can be started: it died of SIGSEGV" in daemon.stderr()
