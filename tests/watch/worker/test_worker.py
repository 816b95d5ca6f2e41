"""The worker, as a real process on a real line: what it answers, and what is on the disk afterwards."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.bundle import demo_path, open_bundle
from colvi_edge.choices import Replace
from colvi_edge.errors import ChannelError, OutputError
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline.writing import write_error
from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.system.atomic import write_atomically
from colvi_edge.system.writing import explained
from colvi_edge.watch.folder.folders import Folders
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.channel import Channel
from colvi_edge.watch.ipc.child import SupervisorLink
from colvi_edge.watch.ipc.messages import (
    Finish,
    Message,
    RecordFailure,
    StartRefused,
    Work,
    WorkDone,
    WorkerReady,
)
from colvi_edge.watch.ipc.model import Model
from colvi_edge.watch.ipc.settings import Judging, WorkerSettings
from colvi_edge.watch.words import NOT_WRITABLE
from colvi_edge.watch.worker.process import output_kind
from colvi_edge.watch.worker.watched_file import ChangedFileError, WatchedFile
from tests.tools.bundles import rename, reseal
from tests.tools.results import USUAL, files_of


class Supervised:
    """A worker, and the other end of its line."""

    def __init__(
        self, settings: WorkerSettings, program: Sequence[str] = ("-m", "colvi_edge.watch.worker")
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, *program, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
            )
        ours.settimeout(60)
        self.line = Channel(ours)
        self.line.send(settings)
        self._numbers = iter(range(1, 1000))

    def answer(self, kind: type[Message]) -> Any:
        """Return the next message of a kind."""
        for message in self.line:
            if isinstance(message, kind):
                return message
        raise EOFError("the worker ended")

    def work(
        self,
        root: Path,
        path: str,
        *,
        last: bool = False,
        force: Replace = Replace.OWN,
        kind: str = "",
        results_mount: Mount | None = None,
    ) -> WorkDone:
        """Give a file as it is now, and return the answer."""
        state, number = signature(root / path), next(self._numbers)
        return self.do(Work(number, path, state, mount(root), last, force, kind, results_mount))

    def quarantined(self, root: Path, path: str) -> WorkDone:
        """Give a file that must not be read, and return the answer."""
        return self.do(RecordFailure(next(self._numbers), path, mount(root), "ended three workers"))

    def do(self, work: Work | RecordFailure) -> WorkDone:
        """Return the answer to a piece of work."""
        self.line.send(work)
        finished: WorkDone = self.answer(WorkDone)
        assert finished.number == work.number
        return finished

    def __enter__(self) -> "Supervised":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.line.close()


def signature(path: Path) -> Signature:
    """Return the state of a file, or of a link itself."""
    return Signature.of(path.lstat())


def mount(root: Path) -> Mount:
    """Return the mount of a folder."""
    pinned = PinnedFolder(root)
    found = pinned.mount()
    pinned.close()
    return found


def settings_for(root: Path, **changes: Any) -> WorkerSettings:
    """Return the settings of a worker on a folder."""
    keep, output_dir = (changes.pop(name, None) for name in ("keep", "output_dir"))
    return WorkerSettings(FolderPaths(root, output_dir), Judging(**{"bundle": "demo", **changes}), keep)


def outputs(folder: Path) -> set[str]:
    """Return the names of the results in a folder."""
    return {path.name for path in folder.iterdir() if ".colvi" in path.name}


@pytest.fixture(scope="module")
def culture() -> NDArray[np.uint16]:
    """Return the planes of a simulated control."""
    return simulate_planes("control", 1, planes=1, size_px=256)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the module's worker watches."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def worker(root: Path) -> Iterator[Supervised]:
    """Return a worker on that folder that has started."""
    with Supervised(settings_for(root)) as supervised:
        assert supervised.answer(WorkerReady).runtime.startswith("openvino ")
        yield supervised


def test_a_finished_file_gets_its_result(worker: Supervised, root: Path, culture: NDArray[np.uint16]) -> None:
    """The five files are beside it when the answer comes, and the answer says what stands in them."""
    write_imagej(root / "good.tif", culture)

    finished = worker.work(root, "good.tif")

    record = json.loads((root / "good.tif.colvi.json").read_bytes())
    assert finished.outcome == record["status"] == "ok"
    assert finished.sha256 == record["image"]["sha256"]
    assert finished.words == f"{record['diagnosis']}, score {record['score']:.1f}"
    assert {name for name in outputs(root) if name.startswith("good")} == files_of("good.tif")


def test_content_that_has_its_result_is_left_alone(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """A file that was touched is hashed, not judged; a damaged result is made again."""
    write_imagej(root / "twice.tif", culture)
    first = worker.work(root, "twice.tif")
    before = signature(root / "twice.tif.colvi.json")
    os.utime(root / "twice.tif")

    again = worker.work(root, "twice.tif")
    assert (again.outcome, again.sha256, again.words) == ("same", first.sha256, first.words)
    assert signature(root / "twice.tif.colvi.json") == before

    (root / "twice.tif.colvi.csv").write_text("spoilt")
    assert worker.work(root, "twice.tif").outcome == "ok"
    assert (root / "twice.tif.colvi.csv").read_text() != "spoilt"
    assert worker.work(root, "twice.tif", force=Replace.ALL).outcome == "ok"


def test_an_answer_tells_what_stands(
    tmp_path: Path, culture: NDArray[np.uint16], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of which model it is, and of how many files: those on the disk, but for the one before."""
    bundle = tmp_path_factory.mktemp("bundle") / "my.colvi"
    shutil.copytree(demo_path(), bundle)
    write_imagej(tmp_path / "good.tif", culture)
    write_imagej(tmp_path / "bad.tif", np.full_like(culture, 7))
    demo = open_bundle("demo")
    answers = {}
    for step in ("first", "renamed"):
        with Supervised(settings_for(tmp_path, bundle=str(bundle), overlay="ome-tiff")) as worker:
            assert worker.answer(WorkerReady).judge.sha256 == open_bundle(bundle).sha256
            for name in ("good.tif", "bad.tif"):
                for force in (Replace.OWN, Replace.STALE) if step == "renamed" else (Replace.OWN,):
                    answers[name, step, force] = worker.work(tmp_path, name, force=force)
        rename(bundle, "my", "2.0")

    old = Model(demo.name, demo.version, demo.sha256)
    assert {key: answer.model for key, answer in answers.items() if key[1:] != ("renamed", "stale")} == {
        ("good.tif", "first", "own"): old,
        ("bad.tif", "first", "own"): old,
        ("good.tif", "renamed", "own"): old,
        ("bad.tif", "renamed", "own"): old,
    }
    outcomes = {key: answer.outcome for key, answer in answers.items() if key[1] == "renamed"}
    assert list(outcomes.values()) == ["same", "ok", "same", "rejected"]
    for name in ("good.tif", "bad.tif"):
        new = answers[name, "renamed", Replace.STALE]
        assert new.model is not None
        assert (new.model.name, new.model.version) == ("my", "2.0")
        there = [path for path in tmp_path.glob(f"{name}.colvi.*") if "prev" not in path.name]
        assert {answer.files for key, answer in answers.items() if key[0] == name} == {len(there)}
    assert len(list(tmp_path.glob("*.prev.json"))) == 2


def test_a_worker_freezes_what_is_loaded(tmp_path: Path, culture: NDArray[np.uint16]) -> None:
    """The engine included, before the first image: it owns its process."""
    root, notes = tmp_path / "root", tmp_path / "notes"
    write_imagej(root / "a.tif", culture)
    program = (str(Path(__file__).parents[2] / "tools" / "worker_that_tells.py"), str(notes))
    with Supervised(settings_for(root), program) as worker:
        assert worker.work(root, "a.tif").outcome == "ok"

    assert notes.read_text() == "True\n"


def test_what_this_model_judged_is_not_stale(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """It is left alone, and so told; everything again is judged again."""
    write_imagej(root / "own.tif", culture)
    first = worker.work(root, "own.tif", force=Replace.STALE)
    before = signature(root / "own.tif.colvi.json")

    again = worker.work(root, "own.tif", force=Replace.STALE)
    assert (first.outcome, again.outcome, again.model, again.files) == (
        "ok",
        "same",
        first.model,
        first.files,
    )
    assert signature(root / "own.tif.colvi.json") == before
    assert worker.work(root, "own.tif", force=Replace.ALL).outcome == "ok"
    assert signature(root / "own.tif.colvi.json") != before


def test_an_error_has_no_model_unless_a_result_stands(tmp_path: Path, culture: NDArray[np.uint16]) -> None:
    """That of the result that stands is told, and its files."""
    write_imagej(tmp_path / "a.tif", culture)
    (tmp_path / "text.tif").write_text("no image " * 100)
    with Supervised(settings_for(tmp_path)) as worker:
        first = worker.work(tmp_path, "a.tif")
        failed = worker.work(tmp_path, "text.tif")
    with Supervised(settings_for(tmp_path, channels=["nuclei", "collagen", "other"])) as worker:
        kept = worker.work(tmp_path, "a.tif", force=Replace.ALL)

    assert (failed.outcome, failed.model, failed.files) == ("error", None, 0)
    assert (kept.outcome, kept.model, kept.files) == ("error", first.model, len(USUAL))


def test_changed_pixels_are_a_new_revision(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """Content decides: another image under the same name is judged, and counted."""
    write_imagej(root / "changed.tif", culture)
    assert worker.work(root, "changed.tif").revision == 1
    (root / "changed.tif").unlink()
    write_imagej(root / "changed.tif", culture[:, :, ::-1].copy())

    assert worker.work(root, "changed.tif").revision == 2


def test_only_the_announced_state_is_judged(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """A file that went on growing, or went away, is left to the scanner; nothing is written."""
    write_imagej(root / "grown.tif", culture)
    old = signature(root / "grown.tif")
    with (root / "grown.tif").open("ab") as file:
        file.write(b"more")

    grown = worker.do(Work(900, "grown.tif", old, mount(root), False, Replace.OWN))
    assert (grown.outcome, "since it was found at rest" in grown.words) == ("changed", True)
    assert worker.do(Work(901, "gone.tif", old, mount(root), True, Replace.OWN)).outcome == "changed"
    assert not [name for name in outputs(root) if name.startswith(("grown", "gone"))]


def test_patience_ends(worker: Supervised, root: Path, culture: NDArray[np.uint16]) -> None:
    """A half-written file is tried again without a trace, and gets its error record only at the last try."""
    write_imagej(root / "whole.tif", culture)
    data = (root / "whole.tif").read_bytes()
    (root / "half.tif").write_bytes(data[: len(data) // 2])

    first = worker.work(root, "half.tif")
    assert (first.outcome, first.kind) == ("again", "incomplete")
    assert not (root / "half.tif.colvi.error.json").exists()
    assert worker.work(root, "half.tif", last=True).outcome == "error"
    record = json.loads((root / "half.tif.colvi.error.json").read_bytes())
    assert record["error"]["kind"] == "incomplete"


def test_a_black_last_plane_is_believed_at_the_second_look(worker: Supervised, root: Path) -> None:
    """The same finding twice, and ten seconds without a change; until then nothing is written."""
    planes = simulate_planes("control", 1, planes=2, size_px=256)
    planes[1, 1] = 0
    raw = root / "black.tif"
    write_imagej(raw, planes)

    young = worker.work(root, "black.tif", kind="last_plane_black")
    assert (young.outcome, young.kind) == ("again", "incomplete")
    os.utime(raw, times=(0, 0))
    first = worker.work(root, "black.tif")
    assert (first.outcome, first.kind) == ("again", "last_plane_black")
    assert worker.work(root, "black.tif", kind="incomplete").kind == "last_plane_black"
    assert not [name for name in outputs(root) if name.startswith("black")]

    assert worker.work(root, "black.tif", kind="last_plane_black").outcome == "ok"
    record = json.loads((root / "black.tif.colvi.json").read_bytes())
    assert "last_plane_black" in {flag["name"] for flag in record["quality"]}


def test_nothing_outside_the_root_is_read(
    worker: Supervised, root: Path, tmp_path: Path, culture: NDArray[np.uint16]
) -> None:
    """Links, also in the middle of a path, and names that lead upwards end as an error, never as a result."""
    write_imagej(tmp_path / "secret.tif", culture)
    (root / "link.tif").symlink_to(tmp_path / "secret.tif")
    (root / "bridge").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.tif")
    upwards = os.path.relpath(tmp_path / "secret.tif", root)

    assert worker.work(root, "link.tif").outcome == "error"
    assert "link" in json.loads((root / "link.tif.colvi.error.json").read_bytes())["error"]["message"]
    assert worker.work(root, "pipe.tif").outcome == "error"
    for number, path in enumerate(("bridge/secret.tif", upwards, str(tmp_path / "secret.tif")), start=950):
        state = signature(tmp_path / "secret.tif")
        assert worker.do(Work(number, path, state, mount(root), True, Replace.OWN)).outcome in (
            "error",
            "changed",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["secret.tif"]


def test_a_root_on_another_mount_is_away(worker: Supervised, root: Path, culture: NDArray[np.uint16]) -> None:
    """What lies where the share was mounted is neither read nor written to, and is no fault of the file."""
    write_imagej(root / "away.tif", culture)
    elsewhere = replace(mount(root), source="//server/share", point="/somewhere")
    work = Work(970, "away.tif", signature(root / "away.tif"), elsewhere, True, Replace.OWN)

    finished = worker.do(work)

    assert (finished.outcome, finished.kind) == ("again", "share away")
    assert not [name for name in outputs(root) if name.startswith("away")]


def test_a_quarantined_file_gets_its_record_unread(worker: Supervised, root: Path) -> None:
    """What killed three workers is not opened a fourth time for reading, and is still accounted for."""
    (root / "killer.tif").write_bytes(b"II*\0")

    finished = worker.do(RecordFailure(980, "killer.tif", mount(root), "killer.tif: ended three workers"))

    assert finished.outcome == "error"
    record = json.loads((root / "killer.tif.colvi.error.json").read_bytes())
    assert record["error"] == {"kind": "killed", "message": "killer.tif: ended three workers"}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user with no rights to what others have."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("what", ["folder", "mirrored folder", "older result"])
def test_what_may_not_be_written_suffers_by_itself_or_with_its_folder(tmp_path: Path, what: str) -> None:
    """A closed folder is the trouble of all its files; a result that somebody holds is its own."""
    if what == "older result":  # a third user's, where all may write: as one that a viewer holds on a share
        (tmp_path / "x.json").touch()
        if os.geteuid() == 0:
            os.chown(tmp_path / "x.json", 65533, -1)
    tmp_path.chmod(0o1777 if what == "older result" else 0o555)

    def write(root: PinnedFolder) -> None:
        with explained("the folder of the results", "results"):
            if what == "mirrored folder":
                root.open_folder("day", create=True)
            write_atomically(root.fileno(), "x.json", b"{}")

    with PinnedFolder(tmp_path) as root, as_nobody(), pytest.raises(OutputError) as refused:
        write(root)

    assert output_kind(refused.value) == ("output" if what == "older result" else NOT_WRITABLE)


def test_results_go_to_their_own_tree(tmp_path: Path, culture: NDArray[np.uint16]) -> None:
    """With --output-dir folders are mirrored, and nothing appears beside the raw file."""
    raw = tmp_path / "raw"
    (raw / "a" / "b").mkdir(parents=True)
    write_imagej(raw / "a" / "b" / "x.tif", culture)

    results = tmp_path / "results"
    with Supervised(settings_for(raw, output_dir=str(results))) as supervised:
        supervised.answer(WorkerReady)
        results.mkdir()
        assert supervised.work(raw, "a/b/x.tif", results_mount=mount(results)).outcome == "ok"
        supervised.line.send(Finish())
        assert supervised.process.wait(30) == 0

    assert [path.name for path in (raw / "a" / "b").iterdir()] == ["x.tif"]
    assert (tmp_path / "results" / "a" / "b" / "x.tif.colvi.json").exists()


def test_results_go_to_the_mount_on_which_the_scanner_has_their_folder(
    tmp_path: Path, culture: NDArray[np.uint16]
) -> None:
    """Not to another one, not to one that is not known, and a missing folder is not made."""
    raw, results = tmp_path / "raw", tmp_path / "results"
    write_imagej(raw / "x.tif", culture)
    with Supervised(settings_for(raw, output_dir=str(results))) as supervised:
        supervised.answer(WorkerReady)
        share = Mount(point="/mnt/results", kind="cifs", source="//server/results", inside="/")
        for results_mount in (None, share):
            answer = supervised.work(raw, "x.tif", results_mount=results_mount)
            assert (answer.outcome, answer.kind) == ("again", "share away")
        assert not results.exists()
        results.mkdir()
        assert supervised.work(raw, "x.tif", results_mount=share).kind == "share away"
        assert list(results.iterdir()) == []
        assert supervised.work(raw, "x.tif", results_mount=mount(results)).outcome == "ok"


def test_the_bundle_is_kept(tmp_path: Path, copied_bundle: Path) -> None:
    """A bundle that is spoilt later harms no worker; a spoilt one is refused with its code."""
    root, keep = tmp_path / "root", tmp_path / "keep"
    root.mkdir()
    keep.mkdir()
    with Supervised(settings_for(root, bundle=str(copied_bundle), keep=str(keep))) as first:
        kept = first.answer(WorkerReady).bundle
    (copied_bundle / "fp32.onnx").write_bytes(b"spoilt")

    with Supervised(settings_for(root, bundle=kept)) as later:
        assert later.answer(WorkerReady).bundle == kept
    with Supervised(settings_for(root, bundle=str(copied_bundle), keep=str(keep))) as refused:
        assert refused.answer(StartRefused).exit_code == 4


def test_a_bundle_whose_training_cannot_be_read_is_refused(tmp_path: Path, copied_bundle: Path) -> None:
    """As any other bundle that is none: a sentence with its code, before the worker says that it is there."""
    (copied_bundle / "familiarity.npy").write_bytes(b"no array")
    reseal(copied_bundle)

    with Supervised(settings_for(tmp_path, bundle=str(copied_bundle))) as refused:
        answer = refused.answer(StartRefused)

    assert answer.exit_code == 4
    assert "familiarity.npy is no .npy; export again" in answer.message


def test_a_worker_ends_with_its_supervisor(tmp_path: Path) -> None:
    """However the supervisor ends, no worker is left that could still write."""
    script = (
        "import os, socket, subprocess, sys, time\n"
        "ours, theirs = socket.socketpair()\n"
        "child = subprocess.Popen([sys.executable, '-m', 'colvi_edge.watch.worker', str(theirs.fileno()),"
        " str(os.getpid())], pass_fds=[theirs.fileno()])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        deadline = time.monotonic() + 30
        while Path(f"/proc/{child}/oom_score_adj").read_text() != "500\n":  # it has joined
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(child, signal.SIGSTOP)  # as if it were stuck: it does not see that the line ends
        supervisor.send_signal(signal.SIGKILL)
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def alone() -> Iterator[Callable[..., WatchedFile]]:
    """Return a function that gives a file as a worker in this process would hold it."""
    ours, theirs = socket.socketpair()
    theirs.close()
    channel = Channel(ours)

    def watched(root: Path, path: str, supervisor: int | None = None) -> WatchedFile:
        work = Work(1, path, signature(root / path), mount(root), False, Replace.OWN)
        link = SupervisorLink(channel, os.getppid() if supervisor is None else supervisor)
        return WatchedFile(work, Folders(FolderPaths(root)), link.is_alive)

    yield watched
    channel.close()


def test_nothing_is_written_about_a_file_that_changed_meanwhile(
    tmp_path: Path, alone: Callable[..., WatchedFile]
) -> None:
    """Between inference and each rename the raw file must still be what was read."""
    (tmp_path / "x.tif").write_bytes(b"II*\0")
    file = alone(tmp_path, "x.tif")
    file.confirm()
    shutil.copy(tmp_path / "x.tif", tmp_path / "y.tif")
    (tmp_path / "y.tif").replace(tmp_path / "x.tif")

    with pytest.raises(ChangedFileError):
        file.confirm()
    (tmp_path / "x.tif").unlink()
    with pytest.raises(ChangedFileError):
        file.confirm()


def test_no_error_is_told_of_a_file_that_changed_meanwhile(
    worker: Supervised, root: Path, culture: NDArray[np.uint16], alone: Callable[..., WatchedFile]
) -> None:
    """Not even that a result outlasts it: that is of what the file was."""
    write_imagej(root / "told.tif", culture)
    worker.work(root, "told.tif")
    file = alone(root, "told.tif")
    assert isinstance(write_error(ChannelError("no collagen", subject="told.tif"), file).record, Sidecar)
    os.utime(root / "told.tif")

    with pytest.raises(ChangedFileError):
        write_error(ChannelError("no collagen", subject="told.tif"), file)
    assert not (root / "told.tif.colvi.error.json").exists()


def test_a_worker_that_was_given_up_writes_nothing(tmp_path: Path, alone: Callable[..., WatchedFile]) -> None:
    """The lease is asked for before each rename: without its supervisor a worker ends there."""
    (tmp_path / "x.tif").write_bytes(b"II*\0")
    file = alone(tmp_path, "x.tif", supervisor=os.getpid())  # nobody is the child of itself

    with pytest.raises(SystemExit):
        file.confirm()
