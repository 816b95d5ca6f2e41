"""`watch --report`: a page that is kept current, whatever becomes of the process that writes it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tifffile

from colvi_edge.errors import UsageError
from colvi_edge.simulate import simulate_projection
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.ipc.settings import Judging, PublisherSettings
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.supervisor.children import publisher as publishers
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.children.publisher import PublisherKeeper
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.timings import Timings
from tests.tools.services import install, make_root
from tests.tools.watching import told, wait_until

DRIVER = """
import json, sys
from pathlib import Path
from colvi_edge.errors import ColviEdgeError
from colvi_edge.watch.ipc.typed import made
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.supervisor.start import COMMANDS, watch
from colvi_edge.watch.timings import Timings
told = json.loads(sys.argv[1])
publisher = told.pop("publisher", None)
commands = {**COMMANDS, **({"publisher": [sys.executable, "-c", publisher]} if publisher else {})}
sys.exit(watch(made(WatchSettings, told), commands, Timings(publisher_pause_s=0.2)))
"""
SLOW = """
import time
from colvi_edge.watch.publisher import process as publisher
really = publisher.write_atomically
publisher.write_atomically = lambda *what: (time.sleep(1), really(*what))
publisher.main()
"""
MOUNT = Mount(point="/", kind="ext4", source="/dev/sda1", inside="/")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small projection as the microscope stores it."""
    path = tmp_path_factory.mktemp("image") / "image.tif"
    planes = simulate_projection("control", 7, size_px=256)
    tifffile.imwrite(path, planes, imagej=True, metadata={"axes": "CYX"})
    return path


@pytest.fixture
def watch(tmp_path: Path) -> "Iterator[Callable[..., subprocess.Popen[bytes]]]":
    """Return a function that starts the real daemon."""
    started = []

    def start(root: Path, report: Path, **changes: Any) -> "subprocess.Popen[bytes]":
        with (tmp_path / "log").open("ab") as log:
            settings = told(root=str(root), bundle="demo", precision="fp32", report=str(report), **changes)
            process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, json.dumps(settings)],
                env={**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")},
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def shown(page: Path) -> list[str]:
    """Return the names of the images that a page shows."""
    if not page.exists():
        return []
    text = page.read_text().partition('id="data">')[2].partition("</script>")[0]
    return sorted(one["name"] for one in json.loads(text)["images"])


def children_of(pid: int) -> dict[str, int]:
    """Return the children of a process by their role."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in listed}
    return {
        command.partition("colvi_edge.watch.")[2].partition("\0")[0]: child
        for child, command in commands.items()
    }


def test_the_page_follows_the_results(
    watch: "Callable[..., subprocess.Popen[bytes]]", tmp_path: Path, image: Path
) -> None:
    """It is there before the first result, inside the watched folder, and current after each.

    A publisher that is killed is replaced; a page that cannot be written, or would take the place of somebody
    else's, is said once, and nothing else suffers from any of it.
    """
    root = tmp_path / "scope"
    root.mkdir()
    page = root / "report.html"
    daemon = watch(root, page)
    wait_until(page.exists)
    assert shown(page) == []
    shutil.copy(image, root / "P1.tif")
    wait_until(lambda: shown(page) == ["P1.tif"])
    publisher = children_of(daemon.pid)["publisher"]
    assert os.getpriority(os.PRIO_PROCESS, publisher) == 19
    os.kill(publisher, signal.SIGKILL)
    shutil.copy(image, root / "P2.tif")
    wait_until(lambda: shown(page) == ["P1.tif", "P2.tif"])
    page.unlink()
    page.mkdir()
    shutil.copy(image, root / "P3.tif")
    unwritten = f"the report is not written: cannot write the report into {root}: Is a directory"
    log = tmp_path / "log"
    wait_until(lambda: unwritten in log.read_text())
    page.rmdir()
    wait_until(lambda: shown(page) == ["P1.tif", "P2.tif", "P3.tif"])
    page.write_text("<title>Somebody's own page</title>")
    shutil.copy(image, root / "P4.tif")
    foreign = "the report is not written: report.html is no report of colvi-edge and would be overwritten"
    wait_until(lambda: foreign in log.read_text())
    assert page.read_text() == "<title>Somebody's own page</title>"
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0
    said = log.read_text()
    assert said.count("the report is not written: the publisher ended: it died of SIGKILL") == 1
    assert said.count(unwritten) == 1
    assert said.count("the worker ended") == said.count("Traceback") == 0
    assert not list(root.glob(".colvi-*.tmp"))
    assert not list(root.glob("report.html?*"))  # it was never taken for a raw file


def test_once_ends_with_a_page_of_everything(
    watch: "Callable[..., subprocess.Popen[bytes]]", tmp_path: Path, image: Path
) -> None:
    """The last results are on it, too, however slow it is; results apart are found where they are."""
    root = tmp_path / "scope"
    root.mkdir()
    names = [f"P{number}_x.tif" for number in range(3)]
    for name in names:
        shutil.copy(image, root / name)
        (root / f"{name}.done").touch()  # else they would have to be at rest for some seconds
    page = tmp_path / "elsewhere" / "day.html"
    daemon = watch(
        root,
        page,
        once=True,
        marker=".done",
        output_dir=str(tmp_path / "results"),
        sample="(?P<sample>P.)_(?P<date>x)",
        publisher=SLOW,
    )

    assert daemon.wait(60) == 0
    assert shown(page) == names
    assert b'"overlay":"./../results/P0_x.tif.colvi.png"' in page.read_bytes()
    assert "ended" not in (tmp_path / "log").read_text()  # the worker, while the page was waited for


@pytest.mark.parametrize(
    ("change", "found"),
    [({"report": Path("X.tif")}, "expected a name that ends in .html"), ({"sample": "P."}, "no group named")],
)
def test_what_cannot_be_a_report_is_refused_at_once(
    change: dict[str, Any], found: str, tmp_path: Path
) -> None:
    """Not by a process that nobody sees, and before a raw file has a page in its place."""
    plain = WatchSettings(FolderPaths(tmp_path), Judging("demo"), report=tmp_path / "r.html")
    with pytest.raises(UsageError, match=found):
        replace(plain, **change).validated()


@pytest.mark.systemd
def test_a_service_may_write_the_report_that_its_operator_names(tmp_path: Path) -> None:
    """After install-service was called again, as for everything else that lies elsewhere."""
    folder = Path("/srv/scope")
    root = make_root(tmp_path / "image", folder)
    install(folder, root)
    (settings,) = root.rglob("*.env")
    settings.write_text(settings.read_text() + "COLVI_EDGE_REPORT=/srv/www/today.html\n")
    install(folder, root)
    (written,) = root.rglob("folder.conf")

    assert "ReadWritePaths=-/srv/www\n" in written.read_text()


CHILD = """
import sys, time
from colvi_edge.watch.ipc.child import join_supervisor
from colvi_edge.watch.ipc.messages import Publish, Published
line = join_supervisor().channel
for message in line:
    if isinstance(message, Publish):
        BEHAVE
"""
GOOD = 'line.send(Published("", 2.0))'


class Bench:
    """A keeper with real children that do as they are told, and a clock in the test's hands."""

    def __init__(self, behave: str, timings: Timings) -> None:
        """Prepare; the first child starts with the first page."""
        self.behave = behave
        self.timings = timings
        self.children: list[Child] = []
        self.conditions = Conditions()
        self.part = PublisherKeeper(self.start, self.conditions, timings)

    def start(self) -> Child:
        """Start a child."""
        settings = PublisherSettings(FolderPaths(Path("/")), Path("/report.html"), None, 1.0)
        command = [sys.executable, "-c", CHILD.replace("BEHAVE", self.behave)]
        self.children.append(Child("publisher", command, settings, self.timings))
        return self.children[-1]

    def answer(self, now: float) -> None:
        """Wait for the child's answer, and pass it on."""
        (child,) = self.part
        said: list[Any] = []
        while not said:
            said = child.receive() or []
        self.part.said(said[0], now)

    def end(self, now: float) -> None:
        """Wait for the child's end, and pass it on."""
        (child,) = self.part
        wait_until(child.reap)
        self.part.ended(now)


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    """Return a function that makes a bench."""
    made: list[Bench] = []

    def make(behave: str, **timings: float) -> Bench:
        made.append(Bench(behave, Timings(**timings)))
        return made[-1]

    yield make
    for child in (child for one in made for child in one.children):
        child.kill("the test ends")
        wait_until(child.reap)
        child.close()


def test_results_that_come_together_get_one_page(bench: Callable[..., Bench]) -> None:
    """And the next page waits ten times as long as this one took, unless the daemon is to end."""
    one = bench(GOOD)
    one.part.tick(0, MOUNT, 100.0)
    for answers in range(1, 50):
        one.part.tick(answers, MOUNT, 100.0)
    assert one.part.is_behind
    one.answer(102.0)
    one.part.tick(49, MOUNT, 121.9)  # 2 s and ten times that are not over
    (child,) = one.part
    time.sleep(0.2)  # it would answer within that
    assert child.receive() == []
    one.part.tick(49, MOUNT, 122.1)
    one.answer(123.0)
    one.part.tick(50, MOUNT, 123.1)
    one.part.publish_now()
    one.part.tick(50, MOUNT, 123.2)
    one.answer(124.0)
    assert list(one.conditions) == []
    assert len(one.children) == 1


def test_without_news_the_page_still_is_written_now_and_then(bench: Callable[..., Bench]) -> None:
    """So that one that is older tells by itself that nobody watches."""
    one = bench(GOOD)
    one.part.tick(0, MOUNT, 1000.0)
    one.answer(1000.0)
    one.part.tick(0, MOUNT, 1599.0)
    assert not one.part.is_behind
    one.part.tick(0, MOUNT, 1601.0)
    one.answer(1602.0)


def test_a_publisher_that_ends_while_it_rests_is_followed_after_its_own_pause(
    bench: Callable[..., Bench],
) -> None:
    """Not only when the ten times longer rest after a slow page is over."""
    one = bench("print(line.send(Published('', 60.0)) or '') or sys.exit(3)")
    one.part.tick(1, MOUNT, 100.0)
    one.answer(160.0)
    one.end(161.0)
    one.behave = GOOD
    one.part.tick(2, MOUNT, 175.0)
    one.answer(176.0)
    assert len(one.children) == 2
    assert list(one.conditions) == []


def test_a_late_publisher_that_has_just_ended_ends_nobody_else(bench: Callable[..., Bench]) -> None:
    """Once it is killed there is no process any more whose memory could be asked for."""
    one = bench("sys.exit(3)", publisher_limit_s=5.0)
    one.part.tick(1, MOUNT, 100.0)
    (child,) = one.part
    wait_until(lambda: child.receive() is None)  # its end of the line is gone, and it is not waited for yet
    wait_until(lambda: ") Z " in Path(f"/proc/{child.pid}/stat").read_text())  # it has ended, too
    one.part.tick(1, MOUNT, time.monotonic() + 200.0)
    assert child.is_killed


def test_nothing_is_asked_while_the_share_is_away(bench: Callable[..., Bench]) -> None:
    """Nor waited for."""
    one = bench(GOOD)
    one.part.tick(3, None, 100.0)

    assert one.children == []
    assert not one.part.is_behind


@pytest.mark.parametrize(
    ("behave", "limit_s", "memory_bytes", "why"),
    [
        ("time.sleep(99)", 5.0, 2 << 30, "the time limit of 5 s ran out"),
        ("time.sleep(99)", 120.0, 1, "the memory limit of 0 GiB was passed"),
        ("sys.exit(3)", 120.0, 2 << 30, "it exited with code 3"),
    ],
)
def test_a_publisher_that_fails_is_ended_told_once_and_followed(
    bench: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    behave: str,
    limit_s: float,
    memory_bytes: int,
    why: str,
) -> None:
    """After a pause; until then nothing waits for it."""
    one = bench(behave, publisher_limit_s=limit_s)
    monkeypatch.setattr(publishers, "MEMORY_LIMIT_BYTES", memory_bytes)
    now = time.monotonic()
    one.part.tick(1, MOUNT, now)
    one.part.tick(1, MOUNT, now + 5.1)
    one.end(now + 6)
    assert [(state.name, state.why) for state in one.conditions] == [
        ("degraded", f"the report is not written: the publisher ended: {why}")
    ]
    one.part.tick(1, MOUNT, now + 6)
    assert len(one.children) == 1
    assert not one.part.is_behind
    one.behave = GOOD
    monkeypatch.undo()
    one.part.tick(1, MOUNT, now + 3600)
    one.answer(now + 3601)
    assert list(one.conditions) == []


def test_a_publisher_that_is_slow_is_given_more_time(bench: Callable[..., Bench]) -> None:
    """A page of many results would never be written if each one had the same limit."""
    one = bench("time.sleep(99)", publisher_limit_s=100.0)
    now = time.monotonic()
    for limit_s in (100.0, 200.0, 400.0):
        one.part.tick(1, MOUNT, now)
        (child,) = one.part
        one.part.tick(1, MOUNT, now + limit_s - 1)
        assert child.ended_for == ""
        one.part.tick(1, MOUNT, now + limit_s + 1)
        assert child.ended_for == f"the time limit of {limit_s:g} s ran out"
        one.end(now + limit_s + 1)
        now += 1000.0


def test_no_report_no_process() -> None:
    """Who wants no page gets no publisher."""
    part = PublisherKeeper(None, Conditions(), Timings())
    part.tick(1, MOUNT, 100.0)

    assert list(part) == []
    assert not part.is_behind
