"""What the daemon tells to whoever reads logs: of a folder full of names, no part of any.

Real daemons watch a folder in which files, folders, images and channels are called MARK..., and in which all
goes wrong that can: what is looked for is that word, in everything but the state folder and the results.
"""

import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile

from colvi_edge.simulate import simulate_planes, simulate_projection
from colvi_edge.watch.supervisor.telling.journal import shown
from tests.tools.leica import Series, container
from tests.tools.terminal import read_terminal
from tests.watch.fakes.daemon import CHECKOUT

MARK = "mark"
DYES = ("Leica/DAPI", "Leica/FITC")


class Told(NamedTuple):
    """What a daemon told.

    Attributes:
        stderr: its and its children's.
        journal: entries, raw.
        systemd: what it said to NOTIFY_SOCKET.
        metrics: the file.
        status: status.json, which names files, as the folder that it lies in is its user's alone.
    """

    stderr: str
    journal: str
    systemd: str
    metrics: str
    status: str

    @property
    def all(self) -> str:
        """All but the status."""
        return "\n".join(self[:-1])


def tiff(**settings: Any) -> bytes:
    """Return a small projection."""
    file = io.BytesIO()
    pixels = simulate_projection("control", 7, size_px=256)
    tifffile.imwrite(file, pixels, **{"imagej": True, "metadata": {"axes": "CYX"}, **settings})
    return file.getvalue()


@pytest.fixture(scope="module")
def names() -> dict[str, bytes]:
    """Return every path with its content, by what shall befall it."""
    whole = tiff()
    channels = {"axes": "CYX", "Channel": {"Name": ["MARKchannel one", "MARKchannel two"]}}
    series = [
        Series(simulate_planes("control", seed, planes=2, size_px=256), name=name, dyes=DYES)
        for seed, name in enumerate(("MARKimage one", "MARKimage two"))
    ]
    cut = container(*series).data[:-100]
    odd = container(Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "MARKimage overview")).data
    faults = ("ok", "segv", "bug", "acces", "stale", "busy", "hostdown", "full", "way")
    return {
        **{f"MARKfolder Meier/MARKfile {fault}.tif": whole for fault in faults},
        "MARKfile channels.ome.tif": tiff(imagej=False, ome=True, metadata=channels),
        "MARKfile cut.tif": whole[:-1000],
        "MARKfile text.tif": b"this is no image, whatever its name says. " * 10,
        "MARKfile unfinished.lif": cut,
        "MARKfile tiles.lif": odd,
        "MARKfolder closed/MARKfile.tif": whole,
        "MARKfile.nd2": b"not opened",
    }


class Listener:
    """Hears datagrams, as journald and systemd do."""

    def __init__(self, address: Path) -> None:
        """Begin to listen."""
        self.address = str(address)
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def text(self) -> str:
        """Stop, and return all that was heard."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()
        return "\n".join(self.heard)

    def _listen(self) -> None:
        while datagram := self._socket.recv(1 << 20):
            self.heard.append(datagram.decode(errors="backslashreplace"))


Watch = Callable[..., Told]


@pytest.fixture
def watch(tmp_path: Path, names: dict[str, bytes]) -> Iterator[Watch]:
    """Return a function that lets a daemon drain the folder, and returns what it told."""
    root = tmp_path / "scope"
    for name, data in names.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        Path(f"{path}.done").touch()
    (root / "MARKfolder Meier/MARKfile way.tif.colvi.json/inside").mkdir(parents=True)
    listeners = [Listener(tmp_path / name) for name in ("journal", "systemd")]

    def drained(*options: str, to: int | None = None, journal: bool = False, crash: bool = False) -> Told:
        if not crash:  # three times each takes long
            (root / "MARKfolder Meier/MARKfile segv.tif").unlink()
        metrics = tmp_path / "metrics.prom"
        loud = (sys.executable, "-m", "tests.watch.fakes.loud_supervisor", str(tmp_path))
        command = (*loud, "watch", str(root))
        places = ("--metrics", str(metrics), "--report", str(tmp_path / "page.html"))
        with (tmp_path / "stderr").open("wb") as log:
            done = subprocess.run(
                [*command, "--bundle", "demo", "--once", "--marker", ".done", "--poll", *places, *options],
                env=os.environ
                | {"STATE_DIRECTORY": str(tmp_path / "state"), "NOTIFY_SOCKET": listeners[1].address}
                | {"PYTHONPATH": str(CHECKOUT)}
                | ({"JOURNAL": listeners[0].address} if journal else {}),
                stdout=to or log,
                stderr=to or log,
                check=False,
                timeout=120,
            )
        assert done.returncode == 1
        (status,) = (tmp_path / "state" / "watch").glob("*/status.json")
        stderr = (tmp_path / "stderr").read_text()
        journalled, systemd = map(Listener.text, listeners)
        return Told(stderr, journalled, systemd, metrics.read_text(), status.read_text())

    yield drained
    for listener in listeners:
        if listener._thread.is_alive():
            listener.text()


@pytest.mark.parametrize("journal", [False, True])
def test_no_name_is_told(watch: Watch, names: dict[str, bytes], tmp_path: Path, journal: bool) -> None:
    """Whatever befalls the files, and whichever way the log goes."""
    told = watch(journal=journal, crash=True)
    log = told.journal if journal else told.stderr

    assert MARK not in told.all.lower()
    # All of it took place, and is told.
    hashes = {fault: shown(name) for name in names for fault in (Path(name).stem.split()[-1],)}
    assert f"{hashes['ok']}: control, score" in log
    assert f"{hashes['text']}: see: colvi-edge status (not_an_image)" in log
    assert f"{hashes['unfinished']} has to wait: incomplete: see: colvi-edge status" in log
    assert f"{hashes['tiles']}: see: colvi-edge status (nothing_judged)" in log
    for fault in ("segv", "bug"):
        assert f"{hashes[fault]} is quarantined: 3 attempts" in log
    for fault in ("acces", "stale", "busy", "hostdown", "full", "cut"):
        assert f"{hashes[fault]} has to wait: " in log, fault
    assert f"{hashes['way']}" in log
    assert "disk full: see: colvi-edge status" in log
    assert "the scanner ended: it exited with code 1" in log
    assert "folder not readable: folder " in log
    # What went wrong is told in lines of code, by whom it ended.
    assert told.stderr.count("Fatal Python error: Segmentation fault") == 3
    assert told.stderr.count("\nOSError: (its words are left out") == 3
    assert told.stderr.count("\nRuntimeError: (its words are left out") >= 5  # worker 3, scanner 1, publisher
    assert "STATUS=" in told.systemd
    assert "colvi_edge_files_total" in told.metrics
    # The state folder names them, so it is its user's alone.
    assert MARK in told.status.lower()
    (folder,) = (tmp_path / "state" / "watch").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_names_are_told_where_they_are_asked_for(watch: Watch) -> None:
    """By all of it, so that the test before this one would have seen each of them."""
    told = watch("--log-names")

    for words in (
        "MARKfolder Meier/MARKfile ok.tif: control, score",
        "MARKfile unfinished.lif.0001-MARKimage two",
        "odd: MARKfile ok.tif",
        "damaged: MARKfile ok.tif",
        "reading MARKfile ok.tif",
        "KeyError: 'MARKfile ok.tif'",
        "RuntimeError: in MARKfile bug.tif",
        "OSError: [Errno 5] Input/output error: 'MARKfile bug.tif'",
        "RuntimeError: MARKfolder",
        "RuntimeError: MARKfile.tif.colvi.json",
    ):
        assert words in told.stderr, words
    assert MARK not in told.metrics.lower()


def test_a_terminal_shows_names_and_systemd_none(watch: Watch) -> None:
    """It is read by who sits before it; whoever asks systemd for the status need not be the same."""
    with read_terminal() as (theirs, seen):
        told = watch(to=theirs)

    terminal = b"".join(seen).decode(errors="replace")
    assert "MARKfolder Meier/MARKfile text.tif" in terminal or "MARKfile text.tif: is no" in terminal
    assert "RuntimeError: in MARKfile bug.tif" in terminal
    assert MARK not in f"{told.systemd}{told.metrics}".lower()


def test_a_bug_of_the_supervisor_names_nobody(tmp_path: Path) -> None:
    """What nobody catches is logged by line and class of exception, as long as names are not asked for."""
    code = (
        "import sys\n"
        "from colvi_edge.watch.supervisor.loop import Supervisor\n"
        "def fail(self):\n"
        "    try:\n"
        "        open(sys.argv[2] + '/MARK' + 'file')\n"
        "    except OSError as error:\n"
        "        raise RuntimeError('MARK' + 'folder') from error\n"
        "Supervisor._round = fail\n"
        "from colvi_edge.cli import main\n"
        "main()"
    )
    (tmp_path / "scope").mkdir()
    command = (sys.executable, "-c", code, "watch", str(tmp_path / "scope"), "--bundle", "demo")
    environment = os.environ | {"STATE_DIRECTORY": str(tmp_path / "state")}
    bare, full = (
        subprocess.run([*command, *names], env=environment, capture_output=True, text=True, check=False)
        for names in ((), ("--log-names",))
    )

    for done in (bare, full):
        assert done.returncode == 1
        assert "CRITICAL a bug ends this process\n    Traceback (most recent call last):\n" in done.stderr
        assert done.stderr.count("Traceback") == 2
    assert "MARKfolder" in full.stderr
    assert "MARKfile" in full.stderr
    assert "MARKf" not in bare.stderr


def test_no_process_leaves_a_core_dump(tmp_path: Path) -> None:
    """Neither by its limit, nor, where a program takes dumps whatever the limit, with memory in them."""
    (tmp_path / "scope").mkdir()
    code = (
        "import json, resource, subprocess, sys\n"
        "from colvi_edge.watch.supervisor.loop import Supervisor\n"
        "really = Supervisor._round\n"
        "def look(self):\n"
        "    really(self)\n"
        "    pids = {child.role: child.pid for child in self._children()}\n"
        "    if len(pids) == 3 and self._lanes.bundles[0].model:\n"
        "        print(json.dumps({'supervisor': 'self', **pids}), flush=True)\n"
        "        sys.stdin.readline()\n"
        "        self._exit_code = 0\n"
        "Supervisor._round = look\n"
        "from colvi_edge.cli import main\n"
        "main()"
    )
    unlimited = ("bash", "-c", 'ulimit -S -c $(ulimit -H -c); exec "$@"', "-")
    settings = ("--bundle", "demo", "--report", str(tmp_path / "page.html"))
    with subprocess.Popen(
        [*unlimited, sys.executable, "-c", code, "watch", str(tmp_path / "scope"), *settings],
        env=os.environ | {"STATE_DIRECTORY": str(tmp_path / "state")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as daemon:
        assert daemon.stdout
        pids = json.loads(daemon.stdout.readline()) | {"supervisor": daemon.pid}
        limits = {role: Path(f"/proc/{pid}/limits").read_text() for role, pid in pids.items()}
        filters = {role: Path(f"/proc/{pid}/coredump_filter").read_text() for role, pid in pids.items()}
        daemon.communicate(b"\n", timeout=30)

    assert set(pids) == {"supervisor", "scanner", "worker", "publisher"}
    for role, text in limits.items():
        (line,) = (line for line in text.splitlines() if line.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"], role
    assert {int(text, 16) for text in filters.values()} == {0}
