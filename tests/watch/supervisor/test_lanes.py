"""Several bundles in one daemon, with obedient children: what befalls one is nothing to the others."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import HERE, SCANNED, Daemon

Start = Callable[..., Daemon]
Key = tuple[str, str]


@pytest.fixture
def two(start: Start, tmp_path: Path) -> Callable[..., Daemon]:
    """Return a function that starts a daemon with a second bundle that behaves as a word says."""

    def start_two(word: str, **settings: object) -> Daemon:
        (tmp_path / "nuclei").write_text(word)
        further = [{"slot": "nuclei", "bundle": str(tmp_path / "nuclei")}]
        daemon = start(further=further, **settings)
        daemon.scanner(HERE, SCANNED)
        wait_until(daemon.is_ready)
        return daemon

    return start_two


def states(daemon: Daemon) -> dict[Key, str]:
    """Return what the ledger says of each file by each bundle."""
    with closing(sqlite3.connect(f"file:{daemon.state / 'ledger.sqlite'}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT path, slot, state FROM entries").fetchall()
    return {(os.fsdecode(path), slot): state for path, slot, state in rows}


def given(daemon: Daemon) -> list[Key]:
    """Return which files were given to the workers of which bundle."""
    return sorted((note["path"], note["by"]) for note in daemon.given())


def test_each_bundle_judges_each_file_once(two: Callable[..., Daemon], tmp_path: Path) -> None:
    """A file counts when both have; numbers, log and status say whose an answer is."""
    daemon = two("second", metrics=str(tmp_path / "numbers.prom"))
    daemon.ready("a.tif", "bad.tif")
    wait_until(lambda: set(states(daemon).values()) == {"done", "failed"} and len(states(daemon)) == 4)
    wait_until(lambda: daemon.status().get("answered") == 2)

    assert given(daemon) == [("a.tif", ""), ("a.tif", "nuclei"), ("bad.tif", ""), ("bad.tif", "nuclei")]
    assert [(one["slot"], one["model"]["model"]) for one in daemon.status()["bundles"]] == [
        ("", "first"),
        ("nuclei", "second"),
    ]
    assert "a.tif: control, score 90.0 (ok)" in daemon.stderr()
    assert "a.tif by nuclei: control, score 90.0 (ok)" in daemon.stderr()
    numbers = tmp_path / "numbers.prom"
    wait_until(lambda: 'bundle="nuclei",outcome="error"} 1' in numbers.read_text())
    assert 'files_total{folder="/nowhere/data/scope",outcome="ok"} 1' in numbers.read_text()
    assert daemon.end() == 0


def test_one_bundle_that_fails_keeps_no_other_from_its_result(two: Callable[..., Daemon]) -> None:
    """Its error record is its own."""
    daemon = two("refuses")
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon) == {("a.tif", ""): "done", ("a.tif", "nuclei"): "failed"})


def test_one_bundle_that_crashes_is_quarantined_alone(two: Callable[..., Daemon]) -> None:
    """The worker of the other is the one that it was."""
    daemon = two("fragile")
    (other,) = {pid for pid in daemon.children("worker") if pid in started(daemon, "bundle")}
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon) == {("a.tif", ""): "done", ("a.tif", "nuclei"): "quarantined"})

    assert given(daemon).count(("a.tif", "")) == 1
    assert other in daemon.children("worker")
    assert "a.tif by nuclei is quarantined: 3 attempts" in daemon.stderr()
    assert "the worker of nuclei ended: it died of SIGSEGV" in daemon.stderr()


def started(daemon: Daemon, bundle: str) -> set[int]:
    """Return the workers that were started on a bundle."""
    notes = daemon.log("worker")
    return {note["pid"] for note in notes if note["say"] == "start" and Path(note["bundle"]).name == bundle}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_death_between_two_results_leaves_the_second_to_be_made(
    two: Callable[..., Daemon], number: signal.Signals
) -> None:
    """Once, and the first is not made again: whether the worker dies, or the whole daemon."""
    daemon = two("waits")
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon).get(("a.tif", "")) == "done" and ("a.tif", "nuclei") in given(daemon))
    assert states(daemon)["a.tif", "nuclei"] == "pending"
    if number is signal.SIGKILL:
        (worker,) = started(daemon, "nuclei")
        os.kill(worker, number)
    else:
        daemon.process.kill()
        daemon.process.wait()
        daemon = two("waits")  # whose scanner says once more that the file is there
    (daemon.here / "go").touch()
    wait_until(lambda: states(daemon).get(("a.tif", "nuclei")) == "done")

    assert given(daemon) == [("a.tif", ""), ("a.tif", "nuclei"), ("a.tif", "nuclei")]


def test_a_bundle_that_is_added_judges_what_it_has_not(two: Callable[..., Daemon], start: Start) -> None:
    """The first one's results stay; and so do those of one that is taken away, which nobody asks for."""
    alone = start()
    alone.scanner(HERE, SCANNED)
    wait_until(alone.is_ready)
    alone.ready("a.tif")
    wait_until(lambda: states(alone) == {("a.tif", ""): "done"})
    assert alone.end() == 0

    both = two("second")  # whose scanner says again that the file is there, as not all have answered
    wait_until(lambda: states(both).get(("a.tif", "nuclei")) == "done")
    assert given(both) == [("a.tif", ""), ("a.tif", "nuclei")]
    assert both.end() == 0

    again = start()
    again.scanner(HERE, SCANNED)
    wait_until(again.is_ready)
    again.ready("b.tif")
    wait_until(lambda: states(again).get(("b.tif", "")) == "done")
    assert states(again)["a.tif", "nuclei"] == "done"
    assert "bundles" not in again.status()
    wait_until(lambda: again.status()["answered"] == 2)


def test_each_bundle_is_replaced_by_itself(two: Callable[..., Daemon], tmp_path: Path) -> None:
    """A reload with one that is no good takes the other, and says whose the old one goes on."""
    daemon = two("second")
    daemon.bundle.write_text("third")
    (tmp_path / "nuclei").write_text("bad")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.heard().count("READY=1") == 2)
    wait_until(lambda: daemon.ails() == ["reload failed"] and daemon.status()["model"]["model"] == "third")

    (state,) = daemon.status()["states"]
    assert state["why"].startswith("nuclei: the bundle before it stays in use; SHA256SUMS is missing")
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon) == {("a.tif", ""): "done", ("a.tif", "nuclei"): "done"})
    assert [one["model"]["model"] for one in daemon.status()["bundles"]] == ["third", "second"]


def test_a_file_that_all_have_answered_is_looked_at_by_each(two: Callable[..., Daemon]) -> None:
    """It was closed once more, and nothing of it is lost: each worker sees whether its result is of that."""
    daemon = two("second")
    daemon.ready("a.tif")
    wait_until(lambda: list(states(daemon).values()) == ["done", "done"])
    daemon.ready("a.tif")
    wait_until(
        lambda: given(daemon) == [("a.tif", ""), ("a.tif", ""), ("a.tif", "nuclei"), ("a.tif", "nuclei")]
    )


def test_what_was_lost_of_one_is_made_while_another_has_no_answer(two: Callable[..., Daemon]) -> None:
    """And is not asked of who lost nothing."""
    daemon = two("waits")
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon).get(("a.tif", "")) == "done" and ("a.tif", "nuclei") in given(daemon))
    daemon.ready("a.tif", lost=[""])
    wait_until(lambda: given(daemon) == [("a.tif", ""), ("a.tif", ""), ("a.tif", "nuclei")], 10)
    (daemon.here / "go").touch()
    wait_until(lambda: list(states(daemon).values()) == ["done", "done"])
    daemon.ready("a.tif", lost=["nuclei"])
    wait_until(lambda: given(daemon).count(("a.tif", "nuclei")) == 2)
    assert given(daemon).count(("a.tif", "")) == 2


def test_a_stop_hands_back_the_work_of_both(two: Callable[..., Daemon]) -> None:
    """Without blame on the files, and with no process left."""
    daemon = two("second", timings={"stop_limit_s": 0.5})
    daemon.ready("hang.tif")
    wait_until(lambda: len(daemon.given("hang.tif")) == 2)
    assert daemon.end() == 0

    with closing(sqlite3.connect(daemon.state / "ledger.sqlite")) as connection:
        rows = connection.execute("SELECT state, attempts FROM entries").fetchall()
    assert rows == [("pending", 0)] * 2
    assert "2 files are handed back" in daemon.stderr()


def test_a_bundle_that_is_refused_at_the_start_ends_the_daemon(start: Start, tmp_path: Path) -> None:
    """Whichever it is."""
    (tmp_path / "nuclei").write_text("bad")
    daemon = start(further=[{"slot": "nuclei", "bundle": str(tmp_path / "nuclei")}])

    assert daemon.process.wait(20) == 4
    assert "SHA256SUMS is missing" in daemon.stderr()


@pytest.fixture
def beside(start: Start, tmp_path: Path) -> Callable[..., Daemon]:
    """Return a function that starts a daemon whose second bundle's workers die before they judge."""

    def start_beside(**settings: object) -> Daemon:
        (tmp_path / "nuclei").write_text("crash")
        daemon = start(further=[{"slot": "nuclei", "bundle": str(tmp_path / "nuclei")}], **settings)
        daemon.scanner(HERE)
        wait_until(lambda: tries(daemon))  # by then there is a ledger
        return daemon

    return start_beside


def tries(daemon: Daemon) -> int:
    """Return how many workers of the second bundle were started."""
    return len(started(daemon, "nuclei"))


def test_a_daemon_is_ready_without_a_bundle_that_does_not_start(beside: Callable[..., Daemon]) -> None:
    """What is wrong with it is said, and who waits for READY waits for one that judges."""
    daemon = beside()
    daemon.scanner(SCANNED)
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon).get(("a.tif", "")) == "done" and daemon.is_ready(), 20)
    wait_until(lambda: daemon.ails() == ["degraded"])
    assert "nuclei: no worker can be started: it died of SIGSEGV" in daemon.status()["states"][0]["why"]
    assert daemon.end() == 0


def test_a_bundle_that_is_refused_later_ends_no_other(beside: Callable[..., Daemon], tmp_path: Path) -> None:
    """It is tried again, and judges when it is good."""
    daemon = beside()
    daemon.scanner(SCANNED)
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon).get(("a.tif", "")) == "done" and tries(daemon) > 1)
    (tmp_path / "nuclei").write_text("bad")
    refused = "degraded: nuclei: no worker can be started: SHA256SUMS is missing"
    wait_until(lambda: any(refused in said for said in daemon.heard()) or daemon.process.poll() is not None)
    assert daemon.process.poll() is None
    daemon.ready("b.tif")
    wait_until(lambda: states(daemon).get(("b.tif", "")) == "done")

    (tmp_path / "nuclei").write_text("second")
    wait_until(lambda: list(states(daemon).values()) == ["done"] * 4 and not daemon.ails())
    assert daemon.end() == 0


def test_once_ends_when_the_others_are_done(beside: Callable[..., Daemon]) -> None:
    """The files of a bundle whose workers all die are left; no other bundle's are."""
    daemon = beside(once=True, timings={"stop_limit_s": 0.3})
    daemon.ready("later1.tif", "later2.tif", "later3.tif")
    daemon.scanner(SCANNED)
    wait_until(lambda: tries(daemon) > 4 or daemon.process.poll() is not None)
    (daemon.here / "go").touch()
    wait_until(lambda: list(states(daemon).values()).count("done") == 3 or daemon.process.poll() is not None)
    daemon.scanner(SCANNED)

    assert daemon.process.wait(20) == 1
    assert {key for key, state in states(daemon).items() if state == "done"} == {
        ("later1.tif", ""),
        ("later2.tif", ""),
        ("later3.tif", ""),
    }
    assert "3 answers, 0 errors; 3 left; degraded: nuclei: no worker can be started" in daemon.stderr()


def test_once_ends_where_no_bundle_starts(beside: Callable[..., Daemon], tmp_path: Path) -> None:
    """There is nothing to wait for."""
    (tmp_path / "bundle").write_text("crash")
    daemon = beside(once=True)
    daemon.ready("a.tif")
    daemon.scanner(SCANNED)

    assert daemon.process.wait(30) == 1
    assert "0 answers, 0 errors; 1 left" in daemon.stderr()


def test_a_retry_waits_for_the_bundle_that_has_not_started_alone(
    beside: Callable[..., Daemon], tmp_path: Path
) -> None:
    """Each takes it up once."""
    daemon = beside()
    daemon.scanner(SCANNED)
    daemon.ready("a.tif")
    wait_until(lambda: states(daemon).get(("a.tif", "")) == "done")
    request = daemon.state / "retry"
    request.write_text("stale\n")
    wait_until(lambda: given(daemon) == [("a.tif", ""), ("a.tif", "")], 10)
    daemon.rounds()
    assert request.exists()

    (tmp_path / "nuclei").write_text("second")
    wait_until(lambda: not request.exists() and states(daemon).get(("a.tif", "nuclei")) == "done")
    assert "retry of nuclei: " in daemon.stderr()
    assert [key for key in given(daemon) if not key[1]] == [("a.tif", "")] * 2


def test_copies_of_a_bundle_that_is_given_no_more_are_dropped(
    two: Callable[..., Daemon], start: Start
) -> None:
    """When a daemon starts without it; those of the others stay."""
    both = two("second")
    folders = [both.state / name for name in ("bundle", "bundle.nuclei", "bundle.other")]
    for folder in folders:
        (folder / "copy").mkdir(parents=True)
    assert both.end() == 0
    assert two("second").end() == 0
    assert [folder.exists() for folder in folders] == [True, True, False]
    alone = start()
    wait_until(lambda: not folders[1].exists(), 10)
    assert alone.end() == 0
    assert (folders[0] / "copy").exists()
