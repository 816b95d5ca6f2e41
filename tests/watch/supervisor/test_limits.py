"""What a child may do at its worst: crash, hang, eat memory, say what is no message, end again and again."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import HERE, SCANNED, Daemon


def test_a_crash_costs_the_file_and_nothing_else(daemon: Daemon) -> None:
    """Three workers die of it, alone with it; every other file is done; it gets its error record."""
    daemon.ready("slow.tif", "crash.tif", "ok1.tif", "ok2.tif", "ok3.tif")
    wait_until(lambda: daemon.in_state("crash.tif", state="quarantined"))
    wait_until(lambda: daemon.in_state("slow.tif", "ok1.tif", "ok2.tif", "ok3.tif"))
    wait_until(lambda: daemon.given("crash.tif")[-1]["say"] == "RecordFailure")

    deaths = daemon.given("crash.tif")
    assert [note["say"] for note in deaths] == ["Work"] * 3 + ["RecordFailure"]
    assert len({note["pid"] for note in deaths[:3]}) == 3
    for death in deaths[1:3]:  # from the second time on, it was the only thing that the worker had
        unanswered = [note["path"] for note in daemon.given() if note["pid"] == death["pid"]]
        done = [
            note["path"]
            for note in daemon.log("worker")
            if (note["say"], note["pid"]) == ("done", death["pid"])
        ]
        assert set(unanswered) - set(done) == {"crash.tif"}
    assert "SIGSEGV" in daemon.rows()["crash.tif"]["words"]


LIES: tuple[dict[str, Any], ...] = (
    {"outcome": "nonsense"},
    {"outcome": None},
    {"sha256": []},
    {"sha256": "\ud83d"},
    {"revision": 2**63},
    {"revision": 2**64 - 1},
    {"revision": -1},
    {"revision": 1e300},
    {"revision": True},
    {"words": None},
    {"words": "\ud83d"},
    {"words": "x" * 70_000},
    {"kind": {}},
    {"kind": "\udce4"},
    {"took_ms": float("nan")},
    {"took_ms": float("inf")},
    {"took_ms": 10**400},
    {"number": 2**64},
    {"number": "1"},
)


def test_a_worker_may_say_anything(daemon: Daemon) -> None:
    """Whoever sends values of wrong types or beyond all bounds is ended; the supervisor goes on."""
    answer = {"say": "WorkDone", "number": 1, "outcome": "ok", "sha256": "", "revision": 1}
    answer |= {"words": "", "kind": "", "took_ms": 1.0}
    lies = [json.dumps({**answer, **lie}) for lie in LIES] + ["[" * 200_000, '{"say": {}}', "{", "9" * 5000]
    names = [f"lie{number}.tif" for number in range(len(lies))]
    for name, lie in zip(names, lies, strict=True):
        (daemon.here / name).write_text(lie)
    daemon.ready(*names, "good.tif")
    wait_until(lambda: daemon.in_state("good.tif", *names), 120)

    assert daemon.stderr().count("the worker ended: it sent what is no message") >= len(lies)
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.stderr()


def test_a_scanner_may_say_anything(daemon: Daemon) -> None:
    """It is started again each time, and what it finds then is judged."""
    ready = {"say": "FileReady", "path": "a.tif", "closed_at": 1.0, "early": False, "quiet_s": 0.6}
    ready["signature"] = {"inode": 1, "bytes": 1, "mtime_ns": 1, "ctime_ns": 1}
    lies = [
        {**ready, "path": None},
        {**ready, "path": "\ud83d.tif"},
        {**ready, "closed_at": float("inf")},
        {**ready, "signature": {**ready["signature"], "inode": 2**64}},  # type: ignore[dict-item]
        {**ready, "signature": {**ready["signature"], "inode": [1]}},  # type: ignore[dict-item]
        {**ready, "signature": "1:1:1:1"},
        {**ready, "more": 1},
        {**HERE, "state": "elsewhere"},
        {**HERE, "mount": {"point": "/data"}},
        {**SCANNED, "files": 2**63},
        {**SCANNED, "seconds": "long"},
        {**SCANNED, "not_read": {".nd2": None}},
        {**SCANNED, "not_read": [1]},
        {"say": "FileReady"},
    ]
    for number, lie in enumerate(lies):
        daemon.scanner(f"raw {json.dumps(lie)}")
        wait_until(lambda: daemon.stderr().count("ERROR the scanner ended: it sent what") > number)  # noqa: B023
        (daemon.here / "scanner.in").write_text("")
        daemon.scanner(HERE, SCANNED)
        daemon.ready(f"good{number}.tif")
        wait_until(lambda: daemon.in_state(f"good{number}.tif"))  # noqa: B023

    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.stderr()


def test_a_line_without_an_end_ends_its_child(daemon: Daemon) -> None:
    """The process that must not fall keeps no more of it than a mebibyte."""
    before = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    daemon.ready("endless.tif")
    wait_until(lambda: daemon.in_state("endless.tif", state="quarantined"))
    daemon.ready("a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))

    assert "it sent what is no message: it has no end" in daemon.stderr()
    after = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    assert (after - before) * os.sysconf("SC_PAGE_SIZE") < 16 << 20


def test_a_hang_ends_at_the_time_limit(start: Callable[..., Daemon]) -> None:
    """A file that loops for ever is ended, three times; the next one is diagnosed."""
    daemon = start(timings={"work_limit_s": 0.5})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("hang.tif", "ok.tif")
    wait_until(lambda: daemon.in_state("hang.tif", state="quarantined") and daemon.in_state("ok.tif"))

    assert "the time limit of 0.5 s ran out" in daemon.rows()["hang.tif"]["words"]


def test_a_memory_bomb_ends_at_the_limit(start: Callable[..., Daemon]) -> None:
    """The worker is ended long before the machine is."""
    daemon = start(workers={"MEMORY_LIMIT_BYTES": 200 << 20})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("eat.tif", "ok.tif")
    wait_until(lambda: daemon.in_state("eat.tif", state="quarantined") and daemon.in_state("ok.tif"))

    assert "the memory limit of" in daemon.rows()["eat.tif"]["words"]


def test_an_answer_before_the_crash_counts(daemon: Daemon) -> None:
    """What was answered is done; a worker that dies afterwards has no file to blame."""
    daemon.ready("late1.tif", "late2.tif", "late3.tif")
    wait_until(lambda: daemon.in_state("late1.tif", "late2.tif", "late3.tif"))

    assert len(daemon.given()) == len({note["path"] for note in daemon.given()}) == 3


def test_a_worker_is_recycled(start: Callable[..., Daemon]) -> None:
    """After a number of answers another one takes its place; each file is given once."""
    daemon = start(workers={"RECYCLE_AFTER": 3})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (first,) = daemon.children("worker")
    for number in range(3):
        daemon.ready(f"ok{number}.tif")
        wait_until(lambda: daemon.in_state(f"ok{number}.tif"))  # noqa: B023 # called at once
    wait_until(lambda: (now := daemon.children("worker")) and first not in now)
    daemon.ready("ok3.tif")
    wait_until(lambda: daemon.in_state("ok3.tif"))

    assert len(daemon.given()) == 4
    assert len({note["pid"] for note in daemon.given()}) >= 2
    wait_until(lambda: len(daemon.children("worker")) == 1)
    assert daemon.ails() == []


@pytest.mark.parametrize(
    ("bundle", "limit", "why"),
    [
        ("slow", {"worker_start_s": 0.4}, "no worker can be started: it was not ready within 0.4 s"),
        ("mute", {"worker_silence_s": 0.4}, "the worker ended: it said nothing for 0.4 s"),
    ],
)
def test_a_worker_that_hangs_without_work_is_ended(
    start: Callable[..., Daemon], tmp_path: Path, bundle: str, limit: dict[str, float], why: str
) -> None:
    """It is shown, and another one started."""
    (tmp_path / "bundle").write_text(bundle)
    daemon = start(timings=limit)
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: why in daemon.stderr())
    (tmp_path / "bundle").write_text("first")
    daemon.ready("ok.tif")
    wait_until(lambda: daemon.in_state("ok.tif"))
    wait_until(lambda: daemon.ails() == [])


def test_a_worker_that_does_not_leave_is_ended(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """Its follower has the work; the two do not stay side by side."""
    (tmp_path / "bundle").write_text("stay")
    daemon = start(timings={"worker_end_s": 0.4})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (old,) = daemon.children("worker")
    daemon.bundle.write_text("second")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.children("worker") not in ([], [old]) and old not in daemon.children("worker"))


def test_a_worker_that_is_slow_to_start_is_given_more_time(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    """It would never be ready if each had the same limit."""
    (tmp_path / "bundle").write_text("slow")
    daemon = start(timings={"worker_start_s": 0.4})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)

    assert "it was not ready within 0.4 s" in daemon.stderr()
    assert daemon.bundle.read_text() == "slow"


def test_a_scanner_that_ends_is_started_again(daemon: Daemon) -> None:
    """And that is said."""
    daemon.scanner("exit")
    wait_until(lambda: "degraded" in daemon.ails())
    (daemon.here / "scanner.in").write_text("")
    wait_until(lambda: daemon.children("scanner"))
    wait_until(lambda: daemon.ails() == [])

    assert "it exited with code 5" in daemon.stderr()


def test_a_pause_of_the_supervisor_blames_nobody(start: Callable[..., Daemon]) -> None:
    """A machine that was suspended finds its clocks far ahead; no limit was passed by anybody."""
    daemon = start(timings={"paused_after_s": 0.8, "work_limit_s": 1.2, "scanner_silence_s": 1.2})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("slow.tif")
    wait_until(lambda: daemon.given("slow.tif"))
    pids = [daemon.process.pid, *daemon.children("worker"), *daemon.children("scanner")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: daemon.in_state("slow.tif"))

    assert len(daemon.given()) == 1
    assert [*daemon.children("worker"), *daemon.children("scanner")] == pids[1:]
