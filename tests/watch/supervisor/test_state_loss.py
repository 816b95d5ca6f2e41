"""What the daemon keeps is deleted, replaced or cut while it runs: it says so, and begins anew, once."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.state_folder import StateFolder, is_held
from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import HERE, SCANNED, Daemon

TOLD_S = 1.5
QUICK = {"state_every_s": 0.2, "loss_told_s": TOLD_S}
SAID_WITHIN_S = 30.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Return a function that starts a daemon, which looks at its state folder more often than usual."""
    started: list[Daemon] = []

    def start(**timings: float) -> Daemon:
        daemon = Daemon(tmp_path, timings={**QUICK, **timings})
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.close()


@pytest.fixture
def daemon(start: Callable[..., Daemon]) -> Daemon:
    """Return a daemon that is ready, and has judged a file."""
    return begun(start())


def begun(daemon: Daemon) -> Daemon:
    """Return a daemon once it is ready, and has judged a file."""
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("before.tif")
    wait_until(lambda: daemon.in_state("before.tif"))
    wait_until(lambda: daemon.ails() == [])
    return daemon


def remove(folder: Path) -> None:
    """As `rm -r` does, once more if the daemon wrote into it meanwhile."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def deleted(state: StateFolder) -> None:
    """All that is kept of the watched folder."""
    remove(state.path)


def deleted_with_all_states(state: StateFolder) -> None:
    """Also that of other folders."""
    remove(state.path.parents[1])


def moved(state: StateFolder) -> None:
    """It is elsewhere; nothing is in its place."""
    state.path.rename(state.path.parents[2] / "moved")


def replaced(state: StateFolder) -> None:
    """An empty one is in its place."""
    moved(state)
    state.path.mkdir()


def restored(state: StateFolder) -> None:
    """A backup of some moment is in its place."""
    shutil.copytree(state.path, state.path.parents[2] / "backup")
    moved(state)
    (state.path.parents[2] / "backup").rename(state.path)


def ledger_deleted(state: StateFolder) -> None:
    """Alone; what SQLite keeps beside it stays."""
    state.ledger.unlink()


def ledger_replaced(state: StateFolder) -> None:
    """Another sound one has its name."""
    other = state.path / "other"
    Ledger(other).close()
    other.rename(state.ledger)


def ledger_emptied(state: StateFolder) -> None:
    """As by `> ledger.sqlite`."""
    os.truncate(state.ledger, 0)


def ledger_cut(state: StateFolder) -> None:
    """It is shorter than it was."""
    os.truncate(state.ledger, 1000)


def log_deleted(state: StateFolder) -> None:
    """What was written last goes where nobody can see it."""
    state.ledger.with_name("ledger.sqlite-wal").unlink()


def index_deleted(state: StateFolder) -> None:
    """Another reader would make another."""
    state.ledger.with_name("ledger.sqlite-shm").unlink()


def lock_deleted(state: StateFolder) -> None:
    """Another daemon could take the folder."""
    state.lock.unlink()


def lock_replaced(state: StateFolder) -> None:
    """Likewise."""
    state.lock.unlink()
    state.lock.touch()


LOSSES = [
    deleted,
    deleted_with_all_states,
    moved,
    replaced,
    restored,
    ledger_deleted,
    ledger_replaced,
    ledger_emptied,
    ledger_cut,
    log_deleted,
    index_deleted,
    lock_deleted,
    lock_replaced,
]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_what_is_lost_is_said_and_begun_anew(daemon: Daemon, lose: Callable[[StateFolder], None]) -> None:
    """In the log, in the status and to systemd; then all is as after a start, in the same process."""
    state = StateFolder(daemon.state)
    lose(state)

    wait_until(lambda: "it begins anew" in daemon.stderr(), SAID_WITHIN_S)
    wait_until(lambda: {"ledger", "degraded"} & set(daemon.ails()), SAID_WITHIN_S)
    wait_until(lambda: any("all is made anew" in said["why"] for said in daemon.status()["states"]))
    wait_until(lambda: any("all is made anew" in text for text in daemon.heard()))
    daemon.ready("after.tif")
    wait_until(lambda: daemon.in_state("before.tif", "after.tif"))
    assert is_held(state.lock)
    wait_until(lambda: daemon.ails() == [])
    daemon.rounds(5)
    assert daemon.stderr().count("it begins anew") == 1
    assert "Traceback" not in daemon.stderr()
    assert daemon.end() == 0
    with sqlite3.connect(state.ledger) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_work_in_hand_is_finished_before(daemon: Daemon) -> None:
    """It is not judged twice, nor blamed for the end of its worker."""
    daemon.ready("slow.tif")
    wait_until(lambda: daemon.given("slow.tif"))
    remove(daemon.state)
    wait_until(lambda: "it begins anew" in daemon.stderr())
    wait_until(lambda: daemon.in_state("slow.tif"))

    assert "the worker ended" not in daemon.stderr()
    done = [note for note in daemon.log("worker") if note["say"] == "done" and note["path"] == "slow.tif"]
    assert done


def test_who_deletes_it_again_and_again_makes_no_loop(start: Callable[..., Daemon]) -> None:
    """Each time it waits longer; files are judged meanwhile."""
    daemon = start(longest_backoff_s=60.0)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    state = StateFolder(daemon.state)
    until = time.monotonic() + 6
    over = threading.Event()

    def delete() -> None:
        while time.monotonic() < until:
            state.lock.unlink(missing_ok=True)
            time.sleep(0.02)
        over.set()

    threading.Thread(target=delete).start()
    daemon.ready("meanwhile.tif")
    wait_until(lambda: daemon.given("meanwhile.tif"))
    wait_until(over.is_set)
    assert daemon.stderr().count("it begins anew") <= 4
    wait_until(lambda: state.lock.exists() and is_held(state.lock))
    wait_until(lambda: daemon.ails() == [])

    assert daemon.process.poll() is None


def test_a_folder_that_cannot_be_made_again_stops_no_work(daemon: Daemon) -> None:
    """It is tried until it can be made; what the daemon holds open serves until then."""
    state = StateFolder(daemon.state)
    remove(state.path.parent)
    state.path.parent.write_text("in the way")
    wait_until(lambda: any("cannot be made again" in text for text in daemon.heard()), SAID_WITHIN_S)
    daemon.ready("meanwhile.tif")
    wait_until(lambda: any(note["path"] == "meanwhile.tif" for note in daemon.given()))
    daemon.rounds(10)
    assert "it begins anew" not in daemon.stderr()

    state.path.parent.unlink()
    wait_until(lambda: daemon.in_state("before.tif", "meanwhile.tif"))
    wait_until(lambda: daemon.ails() == [])
    assert daemon.stderr().count("it begins anew") == 1
    assert daemon.process.poll() is None


def test_a_state_directory_that_systemd_has_to_make_ends_the_service_once(
    daemon: Daemon, start: Callable[..., Daemon], tmp_path: Path
) -> None:
    """The next one waits until it can be made, and ends at a signal; no systemd starts it again and again."""
    remove(tmp_path / "state")
    (tmp_path / "state").symlink_to("nowhere/at/all")
    assert daemon.process.wait(SAID_WITHIN_S) == 75

    waiting = start()
    wait_until(
        lambda: any(
            text.startswith("STATUS=waiting: ") or "\nSTATUS=waiting: " in text for text in waiting.heard()
        )
    )
    time.sleep(2.5)
    assert waiting.process.poll() is None
    assert waiting.stderr().count("it is tried until that succeeds") == 1
    (tmp_path / "state").unlink()
    wait_until(lambda: waiting.in_state("before.tif"))
    assert waiting.end() == 0

    (tmp_path / "state").rename(tmp_path / "old")
    (tmp_path / "state").symlink_to("nowhere/at/all")
    ended = start()
    wait_until(lambda: any("STATUS=waiting: " in text for text in ended.heard()))
    assert ended.end() == 0


def test_a_status_that_is_deleted_or_in_the_way_of_the_next(start: Callable[..., Daemon]) -> None:
    """It is written again; nothing else begins anew."""
    daemon = begun(start(status_every_s=1.0))
    state = StateFolder(daemon.state)
    state.status.unlink()
    wait_until(state.status.exists, SAID_WITHIN_S)
    state.status.unlink()
    state.status.mkdir()
    wait_until(lambda: any("status.json cannot be written" in text for text in daemon.heard()), SAID_WITHIN_S)
    daemon.ready("after.tif")
    wait_until(lambda: daemon.in_state("after.tif"))
    state.status.rmdir()
    wait_until(lambda: state.status.exists() and daemon.ails() == [], SAID_WITHIN_S)

    assert "it begins anew" not in daemon.stderr()


def test_a_folder_named_retry_is_no_word_of_the_operator(daemon: Daemon) -> None:
    """Else failed files would be judged again in each round."""
    daemon.ready("bad.tif")
    wait_until(lambda: daemon.in_state("bad.tif", state="failed"))
    (daemon.state / "retry").mkdir()
    daemon.rounds(10)

    assert len(daemon.given("bad.tif")) == 1
    assert daemon.ails() == []


def test_another_daemon_that_took_the_lost_folder_keeps_it(
    daemon: Daemon, start: Callable[..., Daemon]
) -> None:
    """The first waits until that ends."""
    state = StateFolder(daemon.state)
    os.kill(daemon.process.pid, signal.SIGSTOP)  # so that the other one is quicker for certain
    state.lock.unlink()
    other = start()
    wait_until(lambda: state.lock.exists() and is_held(state.lock))
    os.kill(daemon.process.pid, signal.SIGCONT)
    wait_until(lambda: "waiting: process" in daemon.stderr())
    assert other.process.poll() is None
    assert f"{other.process.pid}" == state.lock.read_text().splitlines()[0]
    assert other.end() == 0
    wait_until(lambda: state.lock.read_text().split("\n")[0] == f"{daemon.process.pid}")


COMMAND = [sys.executable, "-c", "from colvi_edge.cli import main; main()"]


def test_the_real_daemon_rebuilds_from_its_results(tmp_path: Path, image_file: Path) -> None:
    """No result is written again, and at no moment it is said that the folder was never watched."""
    root, log = tmp_path / "scope", tmp_path / "log"
    root.mkdir()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    for name in ("STATE_DIRECTORY", "NOTIFY_SOCKET"):
        environment.pop(name, None)
    command = [*COMMAND, "watch", str(root), "--bundle", "demo", "--marker", ".done"]

    def arrive(name: str) -> None:
        shutil.copy(image_file, root / name)
        (root / f"{name}.done").touch()

    def status() -> "subprocess.CompletedProcess[str]":
        ask = [*COMMAND, "status", str(root), "--json"]
        return subprocess.run(ask, env=environment, capture_output=True, text=True, check=False)

    with log.open("ab") as stderr, subprocess.Popen(command, env=environment, stderr=stderr) as process:
        try:
            arrive("one.tif")
            arrive("two.tif")
            results = [root / f"{name}.tif.colvi.json" for name in ("one", "two")]
            wait_until(lambda: all(path.exists() for path in results))
            wait_until(lambda: json.loads(status().stdout or "{}").get("files", {}).get("done") == 2)
            before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in results]
            (folder,) = (tmp_path / "state" / "colvi-edge" / "watch").iterdir()
            remove(folder)
            lost = time.monotonic()
            said: list[str] = []
            while not any("is gone" in why for why in said):
                asked = status()
                assert "never watched" not in asked.stderr
                said = [state["why"] for state in json.loads(asked.stdout or "{}").get("states", [])]
                assert time.monotonic() < lost + SAID_WITHIN_S
            arrive("three.tif")
            wait_until(lambda: json.loads(status().stdout or "{}").get("files", {}).get("done") == 3)
        finally:
            process.terminate()

    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in results] == before
    assert process.returncode == 0
    assert log.read_text().count("it begins anew") == 1
    assert "Traceback" not in log.read_text()


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """Return a projection as the microscope stores it."""
    subprocess.run([*COMMAND, "simulate", str(tmp_path / "sim"), "--images", "2", "--seed", "5"], check=True)
    return sorted((tmp_path / "sim").rglob("*.tif"))[0]
