"""File events: what is made of them, and what is said when there are none."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.scanner.events import EventStream, FileEvent
from colvi_edge.watch.timings import Timings

# What kills watchdog's thread in a test is a line in the log in earnest.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")

UNSHARED = ["unshare", "--user", "--map-root-user"]  # limits of its own, which end with the command
can_unshare = pytest.mark.skipif(
    subprocess.run([*UNSHARED, "true"], capture_output=True).returncode != 0,
    reason="needs a kernel that lets this user make user namespaces",
)


class Listener:
    """An event stream of a folder, and what it brought."""

    def __init__(self, root: PinnedFolder, marker: str | None = None) -> None:
        self.rung = threading.Event()
        self.stream = EventStream(root, marker, Timings(), self.rung.set)
        self.heard: list[FileEvent] = []
        self.until(lambda: self.stream.started)

    def until(self, reached: Callable[[], bool]) -> None:
        """Collect until something holds; ten seconds at most."""
        end = time.monotonic() + 10
        while not reached() and self.rung.wait(end - time.monotonic()):
            self.rung.clear()
            while self.stream.events:
                self.heard.append(self.stream.events.popleft())
        assert reached(), self.heard

    def hears(self, *expected: tuple[str, bool]) -> None:
        """Wait until all of these (path, closed) were heard."""
        self.until(lambda: {(event.path, event.closed) for event in self.heard} >= set(expected))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[PinnedFolder]:
    """Return a folder to listen to."""
    (tmp_path / "root").mkdir()
    with PinnedFolder(tmp_path / "root") as pinned:
        yield pinned


@pytest.fixture
def listen(root: PinnedFolder) -> Iterator[Callable[..., Listener]]:
    """Return a function that starts to listen to the folder."""
    listeners = []
    before = threading.active_count()

    def start(marker: str | None = None) -> Listener:
        listeners.append(Listener(root, marker))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.stream.stop()
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before, threading.enumerate()


def test_a_written_file_is_heard_of(root: PinnedFolder, listen: Callable[..., Listener]) -> None:
    """At its close, at once; other names are not."""
    heard = listen()
    (root.path / "notes.txt").write_text("x")
    (root.path / ".hidden.tif").write_text("x")
    (root.path / "a.tif.colvi.json").write_text("x")
    (root.path / "a.tif").write_text("x")
    closed_at = time.monotonic()
    heard.hears(("a.tif", True))

    assert {event.path for event in heard.heard} == {"a.tif"}
    assert -1 < heard.heard[-1].at - closed_at < 1


def test_a_renamed_file_is_heard_of(root: PinnedFolder, listen: Callable[..., Listener]) -> None:
    """By its new name; from outside it only appears, as a linked one does."""
    (root.path.parent / "outside.tif").write_text("x")
    (root.path / "a.part").write_text("x")
    heard = listen()
    (root.path / "a.part").rename(root.path / "a.tif")
    os.link(root.path / "a.tif", root.path / "b.tif")
    (root.path.parent / "outside.tif").rename(root.path / "c.tif")
    heard.hears(("a.tif", True), ("b.tif", False), ("c.tif", False))


def test_new_folders_are_heard_of(root: PinnedFolder, listen: Callable[..., Listener]) -> None:
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


def test_a_marker_is_heard_of(root: PinnedFolder, listen: Callable[..., Listener]) -> None:
    """As the close of the file that it is for."""
    heard = listen(".done")
    (root.path / "a.txt.done").touch()
    (root.path / "a.tif.done").touch()
    heard.hears(("a.tif", True))

    assert {event.path for event in heard.heard} == {"a.tif"}


def test_a_root_behind_a_link_is_heard(root: PinnedFolder) -> None:
    """The library itself would listen to the link."""
    link = root.path.parent / "link"
    link.symlink_to(root.path)
    with PinnedFolder(link) as linked:
        heard = Listener(linked)
        (root.path / os.fsdecode(b"\xff\n.tif")).write_text("x")
        heard.hears((os.fsdecode(b"\xff\n.tif"), True))
        heard.stream.stop()


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
        "from colvi_edge.watch.scanner.events import EventStream\n"
        "from colvi_edge.watch.folder.pinned import PinnedFolder\n"
        "from colvi_edge.watch.timings import Timings\n"
        "pathlib.Path('/proc/sys/user', sys.argv[1]).write_text('0')\n"
        "rung = threading.Event()\n"
        "stream = EventStream(PinnedFolder(pathlib.Path(sys.argv[2])), None, Timings(), rung.set)\n"
        "rung.wait(10); print(json.dumps([stream.started, stream.failure]))"
    )
    command = [*UNSHARED, sys.executable, "-c", script, limit, str(tmp_path)]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    assert said == [True, words]
