"""The supervisor's life: it starts, gets ready, waits for its turn, stops, and is alive all night."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import AWAY, HERE, SCANNED, Daemon, is_alive


def test_it_loads_nothing_heavy() -> None:
    """No image library and no engine: they cost memory, start threads, and crash."""
    code = (
        "import sys, colvi_edge.watch.supervisor.start\nprint(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    heavy = {
        "numpy",
        "tifffile",
        "imagecodecs",
        "openvino",
        "onnxruntime",
        "PIL",
        "pydantic",
        "regex",
        "rich",
        "watchdog",
    }
    assert heavy & set(loaded.split()) == set()


def test_ready_comes_after_the_self_test_and_the_first_scan(start: Callable[..., Daemon]) -> None:
    """Not after one of them."""
    daemon = start()
    daemon.scanner(HERE)
    wait_until(lambda: daemon.status().get("model"))
    daemon.rounds()
    assert not daemon.is_ready()
    daemon.scanner(SCANNED)
    wait_until(daemon.is_ready)


def test_ready_waits_for_a_worker_that_starts_slowly(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """As one does that builds an engine first; systemd is asked for the time."""
    (tmp_path / "bundle").write_text("slow")
    daemon = start()
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: len(daemon.log("worker")) == 1)
    daemon.rounds()
    assert not daemon.is_ready()
    assert any(text.startswith("EXTEND_TIMEOUT_USEC=") for text in daemon.heard())
    wait_until(daemon.is_ready)


def test_a_share_that_is_absent_at_boot_is_no_failure(start: Callable[..., Daemon]) -> None:
    """READY, with a STATUS that says so; nothing is given before it is there."""
    daemon = start()
    daemon.scanner(AWAY)
    wait_until(daemon.is_ready)
    wait_until(lambda: any(text.startswith("STATUS=share away: /data is not") for text in daemon.heard()))
    daemon.ready("a.tif")
    wait_until(lambda: daemon.status()["pending"] == 1)
    daemon.rounds()
    assert daemon.given() == []
    assert daemon.ails() == ["share away"]
    daemon.scanner(HERE)
    wait_until(lambda: daemon.in_state("a.tif"))
    wait_until(lambda: daemon.ails() == [])


def test_no_work_while_the_share_is_away(daemon: Daemon) -> None:
    """Nor while another machine has the folder; and what was in the queue is done when it is back."""
    for state in ("share away", "taken"):
        daemon.scanner({**AWAY, "state": state})
        wait_until(lambda: daemon.ails() == [state])  # noqa: B023 # called at once
        daemon.ready(f"{state}.tif")
        wait_until(lambda: daemon.status()["pending"] == 1)
        daemon.rounds()
        assert not daemon.given(f"{state}.tif")
        daemon.scanner(HERE)
        wait_until(lambda: daemon.in_state(f"{state}.tif"))  # noqa: B023 # called at once


def test_sigterm_lets_the_file_in_hand_be_finished(daemon: Daemon) -> None:
    """Its answer is kept; what was not begun is not begun."""
    daemon.ready("slow1.tif", "slow2.tif", "ok3.tif", "ok4.tif")
    wait_until(lambda: daemon.given("slow1.tif"))
    assert daemon.end() == 0

    assert daemon.in_state("slow1.tif", "slow2.tif")
    assert set(daemon.rows()) == {"slow1.tif", "slow2.tif"}
    assert "STOPPING=1" in "\n".join(daemon.heard())
    assert daemon.log("worker")[-1]["say"] == "Finish"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_hands_back_what_cannot_be_finished(
    start: Callable[..., Daemon], number: signal.Signals
) -> None:
    """In time, without blame, and with no process left; the next daemon has it again."""
    daemon = start(timings={"stop_limit_s": 0.5})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("hang.tif", "ok.tif")
    wait_until(lambda: daemon.given("hang.tif"))
    pids = [*daemon.children("worker"), *daemon.children("scanner")]
    begun = time.monotonic()
    assert daemon.end(number) == 0

    assert time.monotonic() - begun < 5
    assert [(row["state"], row["attempts"]) for row in daemon.rows().values()] == [("pending", 0)] * 2
    assert not any(map(is_alive, pids))


def test_the_children_end_with_their_supervisor(daemon: Daemon) -> None:
    """Also with one that is killed, and could not tell them; the attempt that it made is counted."""
    daemon.ready("hang.tif")
    wait_until(lambda: daemon.given("hang.tif"))
    pids = [*daemon.children("worker"), *daemon.children("scanner")]
    assert len(pids) == 2
    daemon.end(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, pids)))
    assert daemon.rows()["hang.tif"]["attempts"] == 1


def test_a_bundle_that_is_refused_at_the_start_ends_the_daemon(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    """With the exit code and the sentence that `run` would have had, and not ready."""
    (tmp_path / "bundle").write_text("bad")
    daemon = start()

    assert daemon.process.wait(20) == 4
    assert "colvi-edge: error: SHA256SUMS is missing; export the bundle again" in daemon.stderr()
    assert not daemon.is_ready()
    assert daemon.status()["refused"]["why"] == "SHA256SUMS is missing; export the bundle again"


def test_a_start_that_fails_leaves_what_the_daemon_before_said(
    daemon: Daemon, start: Callable[..., Daemon]
) -> None:
    """Its end and its model stay, and the reason is added; a start that succeeds takes that away."""
    assert daemon.end() == 0
    before = daemon.status()
    assert (before["end"], before["refused"]) == ("stopped", None)
    daemon.bundle.write_text("bad")
    for _ in range(2):
        assert start().process.wait(20) == 4
        refused = daemon.status()["refused"]
        assert refused["why"] == "SHA256SUMS is missing; export the bundle again"
        assert daemon.status() == {**before, "refused": refused}
    daemon.bundle.write_text("second")
    again = start()
    wait_until(again.is_ready)
    wait_until(lambda: again.status()["ready"] and again.status()["refused"] is None)


def test_a_second_daemon_waits_and_takes_over(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """It says who is working, is ready for systemd, and touches nothing before it is its turn."""
    second = start()
    wait_until(second.is_ready)
    assert f"process {daemon.process.pid} watches" in "\n".join(second.heard())
    assert second.children("worker") == []
    assert daemon.end() == 0
    wait_until(lambda: second.children("worker"))
    second.ready("ok.tif")
    second.scanner(HERE, SCANNED)
    wait_until(lambda: second.in_state("ok.tif"))


def test_a_second_daemon_that_waits_can_be_ended(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """It has nothing to finish."""
    second = start()
    wait_until(second.is_ready)

    assert second.end() == 0
    assert daemon.process.poll() is None


def test_an_idle_night_is_alive(daemon: Daemon) -> None:
    """WATCHDOG comes within half of what systemd wants, though nothing happens."""
    began, before = time.monotonic(), daemon.heard().count("WATCHDOG=1")
    wait_until(lambda: daemon.heard().count("WATCHDOG=1") >= before + 4)

    assert time.monotonic() - began < 1.6  # WatchdogSec is 0.4 s here
    assert len(daemon.children("worker")) == len(daemon.children("scanner")) == 1
    assert len(daemon.log("worker")) == 1


def test_an_early_result_is_checked(daemon: Daemon) -> None:
    """The same work comes once more when the quiet time is over, and not before."""
    daemon.ready("ok.tif", early=True)
    wait_until(lambda: len(daemon.given()) == 2)
    first, check = daemon.given()

    assert check["path"] == "ok.tif"
    assert 0.4 < check["at"] - first["at"] < 5
    wait_until(lambda: daemon.rows()["ok.tif"]["recheck_s"] is None)


def test_a_folder_that_comes_late_into_a_sandbox_restarts_the_service(start: Callable[..., Daemon]) -> None:
    """It is read-only in there until systemd makes the sandbox anew; without that, it is only shown."""
    daemon = start()
    daemon.scanner(AWAY)
    wait_until(daemon.is_ready)
    daemon.scanner(HERE, SCANNED)
    daemon.ready("readonly.tif")

    assert daemon.process.wait(20) == 75


def test_a_read_only_folder_is_shown(daemon: Daemon) -> None:
    """It was there from the start: to start again would help nothing."""
    daemon.ready("readonly.tif")
    wait_until(lambda: "read-only" in daemon.ails())

    assert daemon.process.poll() is None


def test_retry_is_noticed_by_the_running_daemon(daemon: Daemon) -> None:
    """The file that the command leaves is taken up within a second or so, and removed."""
    daemon.ready("bad.tif")
    wait_until(lambda: daemon.in_state("bad.tif", state="failed"))
    (daemon.state / "retry").touch()
    wait_until(lambda: len(daemon.given("bad.tif")) == 2)

    wait_until(lambda: not (daemon.state / "retry").exists())


def test_a_damaged_ledger_is_said(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """And the daemon works on."""
    assert daemon.end() == 0
    (daemon.state / "ledger.sqlite").write_bytes(b"rust" * 5000)
    second = start()
    wait_until(lambda: "was damaged, is now" in second.stderr())
    second.ready("ok.tif")
    wait_until(lambda: second.in_state("ok.tif"))


def test_litter_of_a_killed_daemon_is_swept(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """Half a status that a kill left has no other end."""
    assert daemon.end() == 0
    litter = daemon.state / ".colvi-123-00ff.tmp"
    litter.touch()
    second = start()
    wait_until(lambda: not litter.exists())
    assert second.process.poll() is None
