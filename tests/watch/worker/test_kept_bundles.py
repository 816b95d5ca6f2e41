"""A kept copy of a bundle is whole or made again, whatever a power cut left of it; tried on real workers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from colvi_edge.bundle import open_bundle
from colvi_edge.bundle.opening import SUMS
from colvi_edge.system.atomic import is_temporary_name
from colvi_edge.watch.ipc.messages import StartRefused, WorkerReady
from colvi_edge.watch.state_folder import StateFolder
from colvi_edge.watch.worker.kept_bundles import kept_bundle
from tests.tools.bundles import rename
from tests.watch.worker.test_worker import Supervised, settings_for


@pytest.fixture
def keep(tmp_path: Path) -> Path:
    """Return the folder of the copies, not made yet."""
    return tmp_path / "state" / "bundle"


def started(root: Path, bundle: Path, keep: Path) -> WorkerReady:
    """Return what a worker says of its start."""
    with Supervised(settings_for(root, bundle=str(bundle), keep=keep)) as worker:
        answer: WorkerReady = worker.answer(WorkerReady)
        return answer


def empty_network(copy: Path) -> None:
    """As a power cut leaves what was not synced."""
    (copy / "fp32.onnx").write_bytes(b"")


def missing_file(copy: Path) -> None:
    """As a killed copy leaves it."""
    (copy / "familiarity.npy").unlink()


def cut_sums(copy: Path) -> None:
    """The list itself is cut."""
    sums = (copy / SUMS).read_bytes()
    (copy / SUMS).write_bytes(sums[: len(sums) // 2])


def cut_sums_at_a_line(copy: Path) -> None:
    """It is cut where its lines end, so that the rest is a list, too."""
    lines = (copy / SUMS).read_text().splitlines(keepends=True)
    (copy / SUMS).write_text("".join(lines[: len(lines) // 2]))


def stray(copy: Path) -> None:
    """A file that is not listed."""
    (copy / "fp32.onnx.part").write_bytes(b"x")


def empty_folder(copy: Path) -> None:
    """Nothing but the name."""
    shutil.rmtree(copy)
    copy.mkdir()


def no_folder(copy: Path) -> None:
    """A file has the copy's name."""
    shutil.rmtree(copy)
    copy.write_bytes(b"")


def dangling_link(copy: Path) -> None:
    """A link has the copy's name, and leads nowhere."""
    shutil.rmtree(copy)
    copy.symlink_to("nowhere")


def another_bundle(copy: Path) -> None:
    """A bundle that is whole, but not this one."""
    manifest = copy / "bioimageio.yaml"
    manifest.write_text(manifest.read_text() + "\n# another\n")
    sums = [line for line in (copy / SUMS).read_text().splitlines() if "bioimageio" not in line]
    digest = subprocess.run(["sha256sum", manifest], capture_output=True, text=True, check=True).stdout[:64]
    (copy / SUMS).write_text("".join(f"{line}\n" for line in [*sums, f"{digest}  bioimageio.yaml"]))
    open_bundle(copy)


TORN = [
    empty_network,
    missing_file,
    cut_sums,
    cut_sums_at_a_line,
    stray,
    empty_folder,
    no_folder,
    dangling_link,
    another_bundle,
]


def test_copies_of_one_bundle_drop_none_of_another(tmp_path: Path, copied_bundle: Path) -> None:
    """Where several judge, each has three of its own, however often one of them is replaced."""
    state = StateFolder(tmp_path / "state")
    other = Path(kept_bundle(str(copied_bundle), state.bundles_of("nuclei")).bundle.path)
    for version in range(4):
        rename(copied_bundle, "mine", f"{version}.0")
        kept_bundle(str(copied_bundle), state.bundles_of(""))

    assert open_bundle(other).name
    assert len(list(state.bundles.iterdir())) == 3


@pytest.mark.parametrize("tear", TORN, ids=lambda tear: tear.__name__)
def test_a_torn_copy_is_made_again(
    tmp_path: Path, keep: Path, copied_bundle: Path, tear: Callable[[Path], None]
) -> None:
    """The worker starts on a copy that is whole, and nothing is left of the torn one."""
    sound = open_bundle(copied_bundle)
    copy = Path(kept_bundle(str(copied_bundle), keep).bundle.path)
    tear(copy)

    answer = started(tmp_path, copied_bundle, keep)

    assert (answer.bundle, answer.model_sha256, answer.not_kept) == (str(copy), sound.sha256, "")
    assert open_bundle(copy).sha256 == sound.sha256
    assert [path.name for path in keep.iterdir()] == [copy.name]


def test_a_sound_copy_is_left_alone(keep: Path, copied_bundle: Path) -> None:
    """It is not written again, so that no power cut can tear it."""
    copy = Path(kept_bundle(str(copied_bundle), keep).bundle.path)
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in copy.iterdir()}

    assert kept_bundle(str(copied_bundle), keep).bundle.path == copy
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in copy.iterdir()} == before


def test_what_killed_workers_drafted_is_removed(keep: Path, copied_bundle: Path) -> None:
    """Drafts are of no use to anybody; of the copies the last three are kept."""
    for name in (".0123456789abcdef.4711", ".fedcba9876543210.0f0f"):
        (keep / name).mkdir(parents=True)
        (keep / name / "fp32.onnx").write_bytes(b"half")
    for number in range(4):
        old = keep / f"{number:016}"
        old.mkdir()
        os.utime(old, (number, number))

    copy = Path(kept_bundle(str(copied_bundle), keep).bundle.path)

    assert {path.name for path in keep.iterdir()} == {copy.name, f"{3:016}", f"{2:016}"}


def test_a_worker_killed_while_it_copies_leaves_no_torn_copy(
    tmp_path: Path, keep: Path, copied_bundle: Path
) -> None:
    """Wherever a kill comes, the copy is not there or whole; the next worker starts."""
    for tenths in range(2, 12, 2):
        code = (
            "import sys\n"
            "from pathlib import Path\n"
            "from colvi_edge.watch.worker.kept_bundles import kept_bundle\n"
            "kept_bundle(sys.argv[1], Path(sys.argv[2]))"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(copied_bundle), str(keep)]) as copying:
            until = time.monotonic() + 20
            while not keep.exists() and time.monotonic() < until:
                time.sleep(0.001)
            time.sleep(tenths / 1000)
            copying.send_signal(signal.SIGKILL)
        for path in keep.iterdir():
            if not path.name.startswith("."):
                open_bundle(path)
                shutil.rmtree(path)

    assert started(tmp_path, copied_bundle, keep).not_kept == ""
    assert len(list(keep.iterdir())) == 1


def test_all_of_a_copy_is_on_the_disk_before_it_has_its_name(
    keep: Path, copied_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file, the draft's folder, then the rename, then the folder above; in this order."""
    happened: list[str] = []
    synced, renamed = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        happened.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        synced(descriptor)

    def rename(self: Path, target: Path) -> Path:
        happened.append("renamed")
        return renamed(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    copy = kept_bundle(str(copied_bundle), keep).bundle.path

    files = sorted(path.name for path in copy.iterdir())
    assert sorted(happened[: len(files)]) == files
    draft, *rest = happened[len(files) :]
    assert is_temporary_name(draft)
    assert rest == ["renamed", keep.name]


@pytest.mark.parametrize("place", ["a file", "no room"])
def test_where_no_copy_can_be_kept_the_original_judges(
    tmp_path: Path, copied_bundle: Path, place: str
) -> None:
    """It is said why, and no reason to stop."""
    keep = tmp_path / "bundle"
    if place == "a file":
        keep.write_text("in the way")
        answer = started(tmp_path, copied_bundle, keep)
    else:
        keep.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(keep)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("only root may mount")
        try:
            answer = started(tmp_path, copied_bundle, keep)
            assert list(keep.iterdir()) == []
        finally:
            subprocess.run(["umount", str(keep)], check=True)

    assert answer.bundle == str(copied_bundle)
    assert answer.not_kept.startswith(f"a copy cannot be kept in {keep}: ")


def test_a_damaged_original_is_refused_all_the_same(tmp_path: Path, keep: Path, copied_bundle: Path) -> None:
    """A sound copy of what it was does not stand in for it: the operator named what is there now."""
    kept_bundle(str(copied_bundle), keep)
    empty_network(copied_bundle)

    with Supervised(settings_for(tmp_path, bundle=str(copied_bundle), keep=keep)) as worker:
        assert worker.answer(StartRefused).kind == "bundle_invalid"
