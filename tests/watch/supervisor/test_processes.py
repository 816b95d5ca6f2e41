"""A child is started with its line, heard, measured and ended, and nothing of that waits for it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colvi_edge.watch.ipc.messages import Alive, Finish, Message
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.timings import Timings
from tests.tools.watching import wait_until

LINE = "import socket, sys, os, time; line = socket.socket(fileno=int(sys.argv[1])); "


@pytest.fixture
def start() -> Iterator[Callable[[str], Child]]:
    """Return a function that starts a child that runs some code; `line` is its socket."""
    started: list[Child] = []

    def start(code: str) -> Child:
        child = Child("worker", [sys.executable, "-c", LINE + code], Finish(), Timings(stuck_after_s=0.2))
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill("the test is over")
        wait_until(child.reap)
        child.close()


def heard(child: Child) -> list[Message]:
    """Return all that a child says until its line ends."""
    messages: list[Message] = []
    until = time.monotonic() + 20
    while (more := child.receive()) is not None:
        assert time.monotonic() < until
        messages += more
        time.sleep(0.01)
    return messages


def test_a_child_gets_its_line_its_parent_and_its_settings(start: Callable[[str], Child]) -> None:
    """Beside them it has standard descriptors, and one for the listing of them; its folder is /."""
    child = start(
        "told = line.recv(1000); fds = os.listdir('/proc/self/fd');"
        'assert told == b\'{"say": "Finish"}\\n\' and int(sys.argv[2]) == os.getppid(), told;'
        "assert len(fds) == 5 and os.getcwd() == '/', fds;"
        'line.sendall(b\'{"say": "Alive"}\\n\' * 3)'
    )

    assert heard(child) == [Alive()] * 3
    wait_until(child.reap)
    assert child.end == "it exited with code 0"


def test_a_module_in_the_working_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write into the watched folder cannot run code by a file named json.py."""
    (tmp_path / "json.py").write_text("raise SystemExit(77)")
    monkeypatch.chdir(tmp_path)
    child = Child("worker", [sys.executable, "-m", "colvi_edge.watch.ipc.child"], Finish(), Timings())
    wait_until(child.reap)
    child.close()

    assert child.end == "it exited with code 0"


def test_what_ended_a_child_is_said(start: Callable[[str], Child]) -> None:
    """A crash by its signal, an exit by its code, a kill by its reason."""
    crashed, failed, killed = (
        start("os.kill(os.getpid(), 11)"),
        start("sys.exit(3)"),
        start("time.sleep(99)"),
    )
    killed.kill("the time limit of 30 s ran out")
    killed.kill("another reason")
    for child in (crashed, failed, killed):
        wait_until(child.reap)

    assert crashed.end == "it died of SIGSEGV"
    assert failed.end == "it exited with code 3"
    assert killed.end == "the time limit of 30 s ran out"


def test_the_last_words_of_a_dead_child_are_heard(start: Callable[[str], Child]) -> None:
    """An answer that was sent before a crash counts."""
    child = start('line.sendall(b\'{"say": "Alive"}\\n\'); os.kill(os.getpid(), 9)')
    wait_until(child.reap)

    assert heard(child) == [Alive()]


def test_the_end_of_a_child_is_nothing_that_it_said(start: Callable[[str], Child]) -> None:
    """A silent scanner that is killed does not vouch for its folder by that, while it still counts."""
    child = start('line.recv(1000); line.sendall(b\'{"say": "Alive"}\\n\'); time.sleep(99)')
    wait_until(child.receive)
    before = child.heard_at
    child.kill("it said nothing")

    assert heard(child) == []
    assert child.heard_at == before


@pytest.mark.parametrize(
    ("nonsense", "why"),
    [
        (b"not json\n", "it is no JSON"),
        (b"\xff\n", "it is no JSON"),
        (b"[" * 200_000 + b"\n", "it is no JSON"),
        (b'{"say": "Unknown"}\n', "it is of no known kind"),
        (b'{"say": []}\n', "it is of no known kind"),
        (b'{"say": "Work"}\n', "Work has not the fields that it should have"),
        (b"[]\n", "it is of no known kind"),
        (b'{"say": "Degraded", "why": null}\n', "Degraded.why is not a bounded str"),
        (b"x" * (3 << 20), "it has no end"),
    ],
    ids=range(9),
)
def test_nonsense_ends_a_child(start: Callable[[str], Child], nonsense: bytes, why: str) -> None:
    """A reader that a file has taken over may say anything."""
    repeated = f"{nonsense[:1]!r} * {len(nonsense) - 1} + {nonsense[-1:]!r}"
    said = repr(nonsense) if len(nonsense) < 100 else repeated
    child = start(f"line.sendall({said}); time.sleep(99)")

    assert heard(child) == []
    wait_until(child.reap)
    assert child.end == f"it sent what is no message: {why}"


def test_a_child_that_reads_nothing_holds_up_nobody(start: Callable[[str], Child]) -> None:
    """When the buffer of the line is full, the child is ended; sending never waits."""
    child = start("time.sleep(99)")
    begun = time.monotonic()
    for _ in range(100_000):
        child.send(Finish())
        if child.is_killed:
            break

    assert child.is_killed
    assert time.monotonic() - begun < 10
    wait_until(child.reap)
    assert child.end == "it took no message any more"


def test_memory_is_what_is_resident(start: Callable[[str], Child]) -> None:
    """300 MB that were touched count, 3 GB that were only reserved do not."""
    child = start(
        "import mmap; reserved = mmap.mmap(-1, 3 << 30); taken = bytearray(os.urandom(1 << 20)) * 300;"
        'line.sendall(b\'{"say": "Alive"}\\n\'); time.sleep(99)'
    )
    wait_until(child.receive)

    status = Path(f"/proc/{child.pid}/status").read_text()
    expected = int(status.split("VmRSS:")[1].split()[0]) * 1024
    assert abs(child.resident_bytes() - expected) < 20e6
    assert 300e6 < child.resident_bytes() < 600e6


def test_a_child_that_will_not_end_is_stuck(
    start: Callable[[str], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, but there: a process on a dead share; it is not taken for gone before it is."""
    child = start("time.sleep(99)")
    monkeypatch.setattr(subprocess.Popen, "kill", lambda self: os.kill(self.pid, signal.SIGSTOP))
    child.kill("it said nothing")
    assert not child.is_stuck
    wait_until(lambda: child.is_stuck)

    assert not child.reap()
    os.kill(child.pid, signal.SIGKILL)
    wait_until(child.reap)


def test_waiting_in_the_kernel_is_told_from_running(start: Callable[[str], Child]) -> None:
    """`vfork` keeps the parent in state D until its child ends, as a share does until it answers."""
    running = start('line.sendall(b\'{"say": "Alive"}\\n\')\nwhile True: pass')
    waiting = start(
        'import ctypes; line.sendall(b\'{"say": "Alive"}\\n\');'
        "ctypes.CDLL(None).vfork() or (time.sleep(3), os._exit(0))"
    )
    for child in (running, waiting):
        wait_until(child.receive)

    assert not running.waits_for_disk()
    wait_until(waiting.waits_for_disk)


def test_what_cannot_be_started_leaves_nothing_open() -> None:
    """It is told as OSError, for a later try."""
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(OSError, match="No such file"):
        Child("worker", ["/nowhere/python"], Finish(), Timings())

    assert set(Path("/proc/self/fd").iterdir()) == before
