"""File events: what is made of them, and what is thought of them when they fail."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colvi_edge.watch.folder.pinned import PinnedRoot
from colvi_edge.watch.scanner.events import Hint, Observation, Trust

# What kills watchdog's thread in a test is a line in the log in earnest.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")

UNSHARED = ["unshare", "--user", "--map-root-user"]  # limits of its own, which end with the command
can_unshare = pytest.mark.skipif(
    subprocess.run([*UNSHARED, "true"], capture_output=True).returncode != 0,
    reason="needs a kernel that lets this user make user namespaces",
)


class Listener:
    """An observation of a folder that collects what it hears."""

    def __init__(self, root: PinnedRoot, marker: str | None = None) -> None:
        self.rung = threading.Event()
        self.observation = Observation(root, marker, self.rung.set)
        self.heard: list[Hint] = []
        self.until(lambda: self.observation.started)

    def until(self, reached: Callable[[], bool]) -> None:
        """Collect until something holds; ten seconds at most."""
        end = time.monotonic() + 10
        while not reached() and self.rung.wait(end - time.monotonic()):
            self.rung.clear()
            while self.observation.hints:
                self.heard.append(self.observation.hints.popleft())
        assert reached(), self.heard

    def hears(self, *expected: tuple[str, bool]) -> None:
        """Wait until all of these (path, closed) were heard."""
        self.until(lambda: {(hint.path, hint.closed) for hint in self.heard} >= set(expected))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[PinnedRoot]:
    """Return a folder to listen to."""
    (tmp_path / "root").mkdir()
    with PinnedRoot(tmp_path / "root") as pinned:
        yield pinned


@pytest.fixture
def listen(root: PinnedRoot) -> Iterator[Callable[..., Listener]]:
    """Return a function that starts to listen to the folder."""
    listeners = []
    before = threading.active_count()

    def start(marker: str | None = None) -> Listener:
        listeners.append(Listener(root, marker))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.observation.stop()
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before, threading.enumerate()


def test_a_written_file_is_heard_of(root: PinnedRoot, listen: Callable[..., Listener]) -> None:
    """At its close, at once; other names are not."""
    heard = listen()
    (root.path / "notes.txt").write_text("x")
    (root.path / ".hidden.tif").write_text("x")
    (root.path / "a.tif.colvi.json").write_text("x")
    (root.path / "a.tif").write_text("x")
    closed_at = time.monotonic()
    heard.hears(("a.tif", True))

    assert {hint.path for hint in heard.heard} == {"a.tif"}
    assert -1 < heard.heard[-1].at - closed_at < 1


def test_a_renamed_file_is_heard_of(root: PinnedRoot, listen: Callable[..., Listener]) -> None:
    """By its new name; from outside it only appears, as a linked one does."""
    (root.path.parent / "outside.tif").write_text("x")
    (root.path / "a.part").write_text("x")
    heard = listen()
    (root.path / "a.part").rename(root.path / "a.tif")
    os.link(root.path / "a.tif", root.path / "b.tif")
    (root.path.parent / "outside.tif").rename(root.path / "c.tif")
    heard.hears(("a.tif", True), ("b.tif", False), ("c.tif", False))


def test_new_folders_are_heard_of(root: PinnedRoot, listen: Callable[..., Listener]) -> None:
    """With what is in them already and what comes later, also under the name that they get then."""
    heard = listen()
    (root.path / "x/y").mkdir(parents=True)
    (root.path / "x/y/a.tif").write_text("x")
    heard.hears(("x/y/a.tif", False))
    (root.path / "x/y/b.tif").write_text("x")
    heard.hears(("x/y/b.tif", True))
    (root.path / "x").rename(root.path / "z")
    heard.hears(("z/y/a.tif", True), ("z/y/b.tif", True))
    (root.path / "z/y/c.tif").write_text("x")
    heard.hears(("z/y/c.tif", True))


def test_a_marker_is_heard_of(root: PinnedRoot, listen: Callable[..., Listener]) -> None:
    """As the close of the file that it is for."""
    heard = listen(".done")
    (root.path / "a.txt.done").touch()
    (root.path / "a.tif.done").touch()
    heard.hears(("a.tif", True))

    assert {hint.path for hint in heard.heard} == {"a.tif"}


def test_a_root_behind_a_link_is_heard(root: PinnedRoot) -> None:
    """The library itself would listen to the link."""
    link = root.path.parent / "link"
    link.symlink_to(root.path)
    with PinnedRoot(link) as linked:
        heard = Listener(linked)
        (root.path / os.fsdecode(b"\xff\n.tif")).write_text("x")
        heard.hears((os.fsdecode(b"\xff\n.tif"), True))
        heard.observation.stop()


@can_unshare
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (
            "max_inotify_watches",
            "no file events: inotify watch limit reached; raise fs.inotify.max_user_watches",
        ),
        (
            "max_inotify_instances",
            "no file events: inotify instance limit reached; raise fs.inotify.max_user_instances",
        ),
    ],
)
def test_limits_are_named(limit: str, words: str, tmp_path: Path) -> None:
    """With the setting that helps."""
    script = (
        "import sys, threading, pathlib, json\n"
        "from colvi_edge.watch.scanner.events import Observation\n"
        "from colvi_edge.watch.folder.pinned import PinnedRoot\n"
        "pathlib.Path('/proc/sys/user', sys.argv[1]).write_text('0')\n"
        "rung = threading.Event()\n"
        "observation = Observation(PinnedRoot(pathlib.Path(sys.argv[2])), None, rung.set)\n"
        "rung.wait(10); print(json.dumps([observation.started, observation.failure]))"
    )
    command = [*UNSHARED, sys.executable, "-c", script, limit, str(tmp_path)]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    assert said == [True, words]


# --- Trust, on a made-up clock.


def test_one_overflow_is_no_reason_for_distrust() -> None:
    """A scan makes up for it; so do two, and many that are far apart."""
    trust = Trust()
    for number in range(20):
        trust.overflowed(number * 5.1)

    assert trust.listen
    assert not trust.why


def test_many_overflows_end_the_listening() -> None:
    """For a minute, then twice as long each time; once it goes well for a minute, all is forgotten."""
    trust = Trust()
    now = 1000.0
    for rest_s in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        for _ in range(3):
            trust.overflowed(now)
        assert not trust.listen
        assert "max_queued_events" in trust.why
        listens = []
        for at in (now + rest_s - 0.1, now + rest_s):
            trust.reconsider(at)
            listens.append(trust.listen)
        assert listens == [False, True]
        assert trust.why
        now += rest_s + 1
    trust.reconsider(now + 60)
    assert not trust.why
    trust.failed(now + 61, "why")
    trust.reconsider(now + 61 + 60)
    assert trust.listen


def test_missed_files_ask_for_a_new_observer_now_and_then() -> None:
    """At once, but not again and again; meanwhile that is told, and after a good while no longer."""
    trust = Trust()
    renewals = []
    for number in range(600):
        now = 1000.0 + 5 * number
        if trust.missed(now):
            renewals.append(now - 1000)
        trust.reconsider(now + 1)
        assert "--poll" in trust.why
        assert trust.listen

    assert renewals == [0, 60, 180, 420, 900, 1860]
    trust.reconsider(now + 3600)
    assert not trust.why
