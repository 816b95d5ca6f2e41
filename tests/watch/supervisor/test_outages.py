"""A share that goes away or hangs: one state from begin to end, and no file's fault."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import AWAY, HERE, MOUNT, SCANNED, Daemon, Samples


def test_a_share_that_hangs_is_no_files_fault(start: Callable[..., Daemon]) -> None:
    """A worker that waits in the kernel is ended, but its file is not blamed, however often; it is shown."""
    daemon = start(timings={"work_limit_s": 0.2})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("share.tif")
    wait_until(lambda: len(daemon.given("share.tif")) >= 4)
    wait_until(lambda: "stuck" in daemon.ails())

    assert daemon.rows()["share.tif"]["state"] == "pending"
    assert daemon.rows()["share.tif"]["attempts"] <= 1
    assert daemon.end() == 0
    assert daemon.rows()["share.tif"]["attempts"] == 0


def test_a_file_is_not_blamed_while_the_scanner_hangs_too(start: Callable[..., Daemon]) -> None:
    """Not every share that hangs can be told by the kernel's word for it; that both hang is no chance."""
    silence = {"scanner_silent_s": 0.3, "scanner_silence_s": 60.0}
    daemon = start(timings={"work_limit_s": 1.0, **silence})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (old,) = daemon.children("worker")
    daemon.ready("hang.tif")
    wait_until(lambda: daemon.given("hang.tif"))
    (daemon.here / "silence").touch()
    wait_until(lambda: daemon.children("worker") not in ([], [old]))

    assert daemon.rows()["hang.tif"]["attempts"] == 0


def test_a_silent_scanner_stops_work_and_is_replaced(start: Callable[..., Daemon]) -> None:
    """A share that hangs is shown as stuck, nothing more is given, and systemd hears that all is well."""
    daemon = start(timings={"scanner_silent_s": 0.4, "scanner_silence_s": 1.6})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (first,) = daemon.children("scanner")
    names = [f"slow{number}.tif" for number in range(6)]
    daemon.ready(*names, then="be silent")
    wait_until(lambda: "stuck" in daemon.ails())
    pings = daemon.heard().count("WATCHDOG=1")
    wait_until(lambda: daemon.in_state(*names[:2]))
    wait_until(lambda: daemon.children("scanner") not in ([], [first]))
    wait_until(lambda: daemon.heard().count("WATCHDOG=1") > pings)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    daemon.rounds(5)  # the new scanner says that it is alive, and not yet that the folder is there
    assert daemon.ails() == ["stuck"]
    assert len(daemon.given()) == 2
    daemon.scanner(HERE)
    wait_until(lambda: daemon.in_state(*names))
    wait_until(lambda: daemon.ails() == [])
    assert repr(MOUNT["source"]) in daemon.log("scanner")[-1]["mount"]


# Some thirtieth of the real times: a scanner is ended once it was silent for long, or as soon as may be.
HURRIED = {"scanner_silent_s": 0.6, "scanner_silence_s": 1.8}
KILLED_OFTEN = {"scanner_silent_s": 0.6, "scanner_silence_s": 1.0}


@pytest.mark.parametrize("limits", [HURRIED, KILLED_OFTEN])
def test_an_outage_is_one_state(start: Callable[..., Daemon], limits: dict[str, float]) -> None:
    """Whoever looks at the status sees it from its begin to its end, and the log tells of it once.

    Scanners that are started meanwhile say that they are alive, and then hang as the one before them.
    """
    daemon = start(timings=limits)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    samples = Samples(daemon)
    wait_until(lambda: samples.seen)
    daemon.ready("ok.tif", then="be silent")
    wait_until(lambda: len(daemon.log("scanner")) >= 3)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.ails() == [])

    assert samples.runs() == [[], ["stuck"], []]
    assert daemon.stderr().count("WARNING stuck: ") == daemon.stderr().count("over: stuck") == 1
    daemon.ready("ok2.tif")
    wait_until(lambda: daemon.in_state("ok.tif", "ok2.tif"))


def test_a_share_that_is_away_stays_so_while_the_scanner_is_silent(start: Callable[..., Daemon]) -> None:
    """The reason is known and told; that the next question is not answered either is no other state."""
    daemon = start(timings=KILLED_OFTEN)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    samples = Samples(daemon)
    wait_until(lambda: samples.seen)
    daemon.scanner(AWAY, "be silent")
    wait_until(lambda: len(daemon.log("scanner")) >= 3)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    daemon.rounds(5)
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.ails() == [])

    assert samples.runs() == [[], ["share away"], []]


@pytest.mark.parametrize("state", ["share away", "stuck"])
def test_worker_and_scanner_tell_of_one_outage(start: Callable[..., Daemon], state: str) -> None:
    """What a file suffers from is no second state beside what the scanner says, and ends with that."""
    daemon = start(timings={"scanner_silent_s": 1.0, "scanner_silence_s": 60.0})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (daemon.here / "away").touch()
    daemon.ready("away1.tif", "away2.tif")
    wait_until(lambda: daemon.ails() == ["share away"])
    assert daemon.status()["states"][0]["why"] == "/data is not there"
    daemon.scanner(AWAY if state == "share away" else "be silent")
    wait_until(lambda: [held["name"] for held in daemon.status()["states"]] == [state])
    wait_until(lambda: daemon.status()["states"][0]["why"] != "/data is not there")
    (daemon.here / "away").unlink()
    (daemon.here / "silence").unlink(missing_ok=True)
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.in_state("away1.tif", "away2.tif"))
    wait_until(lambda: daemon.ails() == [])


def test_an_outage_may_come_to_be_understood(start: Callable[..., Daemon]) -> None:
    """First the folder does not answer, then the scanner knows why; at no time all seems well."""
    daemon = start(timings=KILLED_OFTEN)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    samples = Samples(daemon)
    wait_until(lambda: samples.seen)
    daemon.scanner("be silent")
    wait_until(lambda: len(daemon.log("scanner")) >= 2)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    daemon.scanner(AWAY)
    wait_until(lambda: daemon.ails() == ["share away"])
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.ails() == [])

    assert samples.runs() == [[], ["stuck"], ["share away"], []]


def test_a_scanner_that_was_held_up_goes_on(start: Callable[..., Daemon]) -> None:
    """It has nothing new to say of the root; that it has seen the whole folder ends the silence."""
    daemon = start(timings={"scanner_silent_s": 1.0, "scanner_silence_s": 60.0})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.scanner("be silent")
    wait_until(lambda: daemon.ails() == ["stuck"])
    (daemon.here / "silence").unlink()
    daemon.ready("ok.tif")
    wait_until(lambda: daemon.status()["pending"] == 1)
    daemon.rounds()
    assert daemon.ails() == ["stuck"]
    assert daemon.given() == []
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.in_state("ok.tif"))
    wait_until(lambda: daemon.ails() == [])
    assert len(daemon.log("scanner")) == 1


def test_a_slow_machine_gives_the_scanner_more_time(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """One that has not begun is ended and told, and is not taken for a folder that does not answer."""
    (tmp_path / "slow").write_text("1.5")
    silence = {"scanner_silent_s": 1.0, "scanner_silence_s": 9.0, "scanner_start_s": 0.5}
    daemon = start(timings=silence)
    samples = Samples(daemon)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    wait_until(lambda: daemon.ails() == [])

    assert {name for names in samples.runs() for name in names} == {"degraded"}
    limits = re.findall(r"ERROR the scanner ended: it did not begin within ([0-9.]+) s", daemon.stderr())
    assert limits[:2] == ["0.5", "1"]
    assert [float(limit) for limit in limits] == [0.5 * 2**number for number in range(len(limits))]


def test_a_scanner_that_ends_again_and_again_is_told_throughout(start: Callable[..., Daemon]) -> None:
    """Not taken back each time that another one begins, but when a whole scan has come to its end."""
    daemon = start()
    daemon.scanner("exit")
    ended = "ERROR the scanner ended: it exited with code 5"
    wait_until(lambda: daemon.stderr().count(ended) >= 2)
    daemon.rounds()  # until then the status may be that of the first end, which was taken back
    samples = Samples(daemon)
    wait_until(lambda: samples.seen)
    before = daemon.stderr().count(ended)
    wait_until(lambda: daemon.stderr().count(ended) >= before + 2)
    assert samples.runs() == [["degraded"]]
    assert daemon.stderr().count("over: degraded") <= 1
    (daemon.here / "scanner.in").write_text("")
    daemon.scanner(HERE)
    daemon.rounds(5)
    assert daemon.ails() == ["degraded"]
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.ails() == [])
