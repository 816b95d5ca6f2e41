"""A scan sees every raw file that is to be judged, and nothing else; bounded, and whatever the names are."""

import os
import shutil
import socket
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.raw_files import MAX_DEPTH
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.scanner.claimed_folders import ClaimedFolders
from colvi_edge.watch.scanner.result_files import ResultFiles, lacks_files
from colvi_edge.watch.scanner.walk import FoundFile, Leftover, TreeWalk
from tests.tools.results import USUAL, files_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty folder to be watched."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def make(root: Path, *paths: str) -> None:
    """Create files, with the folders that they need."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def scan(
    root: Path,
    known: dict[str, Signature] | None = None,
    output_dir: Path | None = None,
    marker: str | None = None,
    ome_tiff: bool = False,
) -> tuple[TreeWalk, list[FoundFile], list[Leftover]]:
    """Walk once; return the scan, and what it found."""
    folders = ClaimedFolders(FolderPaths(root, output_dir), None, None)
    try:
        walk = TreeWalk(folders, known or {}, marker, ome_tiff)
        items = list(walk)
    finally:
        folders.close()
    found = [item for item in items if isinstance(item, FoundFile)]
    return walk, found, [item for item in items if isinstance(item, Leftover)]


def make_results(root: Path, *raws: str) -> None:
    """Create all files that a result usually has, and the one before it."""
    for raw in raws:
        make(root, *files_of(raw, "prev.json"))


def states(root: Path) -> dict[str, Signature]:
    """Return the state of each raw file, as lstat gives it."""
    paths = [path for path in root.rglob("*") if path.suffix == ".tif" and not path.is_dir()]
    return {str(path.relative_to(root)): Signature.of(path.lstat()) for path in paths}


def test_raw_files_are_found_with_their_state(root: Path) -> None:
    """In all folders; hidden, temporary and our own files and hidden folders are passed over."""
    wanted = ["a.tif", "b.TIFF", "deep/er/c.tif", "x.tif.d/e.tif"]
    make(root, *wanted, "a.tif.colvi.json", ".h.tif", "~$a.tif", "a.tif.part", "notes.txt", ".git/f.tif")
    make(root, "lost+found/g.tif", "$RECYCLE.BIN/h.tif", "System Volume Information/i.tif")
    walk, found, _ = scan(root)

    assert {one.path: one.signature for one in found} == {
        path: Signature.of((root / path).stat()) for path in wanted
    }
    assert walk.files == 4
    assert not walk.unread


def test_other_formats_are_counted_and_not_opened(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By suffix, in all folders that are walked; not folders called so, hidden files and our own."""
    make(root, "a.nd2", "deep/er/b.ND2", "c.czi", "brain.nii.gz", "a.tif", "notes.txt", "x.oir/d.png")
    make(root, "a.tif.colvi.png", "a.tif.colvi.saliency.png", ".h.nd2", "~$a.nd2", ".git/e.nd2", "f.nd2.part")
    make(root, "lost+found/g.nd2", "out/h.nd2")
    os.mkfifo(root / "pipe.lsm")  # to open it would hang
    (root / "dangling.vsi").symlink_to("nowhere")
    opened: list[str] = []
    real = os.open

    def watched(path: str, *arguments: int, **more: int) -> int:
        opened.append(str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", watched)
    walk, found, _ = scan(root, output_dir=root / "out")

    assert walk.not_read == {".nd2": 2, ".czi": 1, ".nii.gz": 1, ".png": 1, ".lsm": 1, ".vsi": 1}
    assert [one.path for one in found] == ["a.tif"]
    assert not [path for path in opened if path.lower().endswith((".nd2", ".czi", ".gz", ".lsm", ".vsi"))]


def test_links_lead_nowhere_but_are_seen(root: Path) -> None:
    """A link with a raw name is a mistake that gets an error record; a linked folder is not entered."""
    make(root.parent, "outside/secret.tif")
    (root / "link.tif").symlink_to("../outside/secret.tif")
    (root / "dangling.tif").symlink_to("nowhere")
    (root / "folder").symlink_to("../outside")
    (root / "loop").symlink_to(".")
    _, found, _ = scan(root)

    assert {one.path: one.signature for one in found} == {
        name: Signature.of((root / name).lstat()) for name in ("link.tif", "dangling.tif")
    }


def test_what_is_no_file_is_seen_and_not_opened(root: Path) -> None:
    """Pipes and sockets get their error record too."""
    os.mkfifo(root / "pipe.tif")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(root / "socket.tif"))
        _, found, _ = scan(root)

    assert {one.path for one in found} == {"pipe.tif", "socket.tif"}


def test_known_files_are_passed_over(root: Path) -> None:
    """In their known state and with a result; any change of that state is told."""
    make(root, *(f"{number}.tif" for number in range(8)))
    known = states(root)
    make_results(root, *(f"{number}.tif" for number in range(6)))
    make(root, "6.tif.colvi.error.json")
    time.sleep(0.01)
    (root / "0.tif").write_text("longer than before")
    (root / "1.tif").write_text("1.tif")
    (root / "2.tif").chmod(0o600)
    os.link(root / "3.tif", root / "other")
    (root / "4.tif").unlink()
    make(root, "4.tif")
    walk, found, _ = scan(root, known)

    assert {one.path for one in found} == {"0.tif", "1.tif", "2.tif", "3.tif", "4.tif"}
    assert {one.path: one.files for one in walk.partial} == {"6.tif": 1, "7.tif": 0}
    assert walk.files == 8


LEFT = [OutputKind(f".colvi.{end}") for end in (*USUAL, "ome.tif")]


@pytest.mark.parametrize("name", ["a.tif", "long" * 60 + ".tif", "\u00e4" * 60 + ".tif"])
@pytest.mark.parametrize("gone", [None, *LEFT])
def test_files_of_results_are_known_by_their_names(root: Path, name: str, gone: OutputKind | None) -> None:
    """Also where a long raw name had to be shortened; what stands beside them counts for nothing."""
    kinds = [kind for kind in (*LEFT, OutputKind.PREVIOUS) if kind is not gone]
    make(root, f"x/{name}", *(f"x/{output_name(name, kind)}" for kind in kinds))
    make(root, f"x/{output_name(name[1:], OutputKind.ERROR)}", f"x/{name[:100]}.colvi.saliency.png")
    walk, found, _ = scan(root, states(root))
    with_data, _, _ = scan(root, states(root), ome_tiff=True)

    assert not found
    is_long, is_usual = len(name) > 200, gone in (None, OutputKind.OME_TIFF)
    count = len(LEFT) - (gone in LEFT)
    assert [one.files for one in walk.partial] == ([] if is_usual and not is_long else [count])
    assert [one.files for one in with_data.partial] == ([] if count == len(LEFT) and not is_long else [count])


def test_where_regions_are_found_labels_belong_to_a_result(root: Path) -> None:
    """A result without its labels is looked at, where others have theirs; elsewhere nobody misses any."""
    for folder, raw in (("nuclei", "a.tif"), ("nuclei", "b.tif"), ("nuclei", "c.tif"), ("colvi", "a.tif")):
        make(root, f"{folder}/{raw}")
        make_results(root, f"{folder}/{raw}")
    make(root, "nuclei/a.tif.colvi.labels.tif", "nuclei/c.tif.colvi.labels.tif")
    (root / "nuclei/c.tif.colvi.rois.zip").unlink()

    walk, found, _ = scan(root, states(root))

    assert not found
    count = len(USUAL)
    assert {one.path: one.files for one in walk.partial} == {"nuclei/b.tif": count, "nuclei/c.tif": count}


def test_a_result_that_no_ledger_counted_is_held_to_the_files_of_its_version() -> None:
    """Of 0.1.0, rejected, judged, or with an OME-TIFF: whatever kinds came since, it is not judged again."""
    whole = {count for count in range(20) if not lacks_files(count, of=0, raw="x.tif", failed=False)}

    assert whole == {2, 5, 6}


def test_files_of_several_images(root: Path) -> None:
    """Each image's record and what it lists, and the index; not those of a file named alike."""
    names = ["X.lif.0000-a.colvi.json", "X.lif.0000-a.colvi.png", "X.lif.0001-b.colvi.error.json"]
    names += ["X.lif.0002-c.lif.1.colvi.json", "X.lif.0000-a.colvi.prev.json", "X.lif.colvi.json"]
    make(root, "X.lif", "lif.X.lif", "Y.LIF", "Y.LIF.colvi.json", "X.lif.1.lif", "X.lif.notes.txt", *names)
    known = {
        path.name: Signature.of(path.lstat()) for path in root.iterdir() if path.suffix.lower() == ".lif"
    }
    walk, found, _ = scan(root, known)

    assert not found
    assert {one.path: one.files for one in walk.partial} == {
        "X.lif": 5,
        "lif.X.lif": 0,
        "Y.LIF": 1,
        "X.lif.1.lif": 0,
    }


def test_an_image_that_is_called_as_a_slot() -> None:
    """Its files count as the first bundle's, as soon as the other has judged it, too."""
    ends = (".colvi.json", ".colvi.png")
    names = {f"x.lif.0003-A.nuclei{end}" for end in ends}
    names |= {f"x.lif.0004-B{slot}{end}" for end in ends for slot in ("", ".nuclei")}
    both = names | {f"x.lif.0003-A.nuclei.nuclei{end}" for end in ends}
    assert ResultFiles(both, ["x.lif"], slots=["", "nuclei"]).counts("x.lif") == (4, 4)
    assert ResultFiles(names, ["x.lif"], slots=["", "nuclei"]).counts("x.lif") == (2, 4)


def test_results_in_a_folder_of_their_own(root: Path, tmp_path: Path) -> None:
    """They are looked for there and only there, folder by folder."""
    results = tmp_path / "results"
    make(root, "a/1.tif", "a/2.tif", "b/3.tif", "a/2.tif.colvi.json")
    make_results(root, "b/3.tif")
    make_results(results, "a/1.tif")
    walk, _, _ = scan(root, states(root), results)

    assert sorted(one.path for one in walk.partial) == ["a/2.tif", "b/3.tif"]


@pytest.mark.parametrize("linked", [False, True])
def test_the_folder_of_the_results_is_not_watched(root: Path, linked: bool) -> None:
    """When it lies within the root, whether it is named so or through a link; its neighbour is."""
    make(root, "out/put/a.tif", "out/putting/b.tif", "c.tif")
    output_dir = root / "out/put"
    if linked:
        output_dir = root.parent / "link"
        output_dir.symlink_to(root / "out/put")
    _, found, _ = scan(root, output_dir=output_dir)

    assert {one.path for one in found} == {"out/putting/b.tif", "c.tif"}


def test_the_root_as_folder_of_its_results(root: Path) -> None:
    """Named twice, it still is one folder."""
    make(root, "a.tif", "b.tif")
    make_results(root, "a.tif")
    walk, _, _ = scan(root, states(root), root)

    assert [one.path for one in walk.partial] == ["b.tif"]


def test_markers(root: Path) -> None:
    """Of the same folder, by their whole name."""
    make(root, "a.tif", "a.tif.done", "b.tif", "c/b.tif.done", "d.tif", "d.done")
    _, found, _ = scan(root, marker=".done")

    assert {one.path: one.marked for one in found} == {"a.tif": True, "b.tif": False, "d.tif": False}


def test_leftovers(root: Path, tmp_path: Path) -> None:
    """Temporary files of ours, where the results go; what only looks alike is left alone."""
    results = tmp_path / "results"
    temporary = ".colvi-123-0123456789abcdef.tmp"
    make(root, "a/x.tif", f"a/{temporary}", "a/.colvi-edge.lock", "a/.other.tmp")
    make(results, f"a/{temporary}")
    (root / "a/.colvi-1-2.tmp").mkdir()
    (root / "a/.colvi-3-4.tmp").symlink_to("x.tif")
    beside = scan(root)[2]
    apart = scan(root, output_dir=results)[2]

    assert beside == [Leftover(f"a/{temporary}", Signature.of((root / "a" / temporary).stat()))]
    assert apart == [Leftover(f"a/{temporary}", Signature.of((results / "a" / temporary).stat()))]


@pytest.mark.parametrize("mode", [0, 0o444])
@pytest.mark.parametrize("apart", [False, True])
def test_a_folder_that_may_not_be_looked_into(root: Path, tmp_path: Path, mode: int, apart: bool) -> None:
    """Neither listed nor entered, the raw files' or the results': it is told, and the others are searched."""
    make(root, "a/1.tif", "b/2.tif")
    results = tmp_path / "results" if apart else root
    (results / "a").mkdir(parents=True, exist_ok=True)
    (results / "a/.colvi-1-0123456789abcdef.tmp").touch()
    (results / "a").chmod(mode)
    folders = ClaimedFolders(FolderPaths(root, results), None, None)
    walk = TreeWalk(folders, {}, None)
    user = os.geteuid()
    if user == 0:  # who may list every folder
        os.seteuid(65534)
    try:
        found = [item.path for item in walk if isinstance(item, FoundFile)]
    finally:
        os.seteuid(user)
    (results / "a").chmod(0o755)
    folders.close()

    assert sorted(found) == (["a/1.tif", "b/2.tif"] if apart else ["b/2.tif"])
    assert walk.barred == {"a"}
    assert not walk.unread


def test_depth_is_bounded(root: Path) -> None:
    """A tree whose paths are too long for the kernel is searched to a limit, and that is told."""
    folder = os.open(root, os.O_RDONLY)
    for _ in range(3 * MAX_DEPTH):
        os.close(os.open("x.tif", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        os.mkdir("d" * 100, dir_fd=folder)
        deeper = os.open("d" * 100, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    walk, found, _ = scan(root)
    shutil.rmtree(root)

    assert len(found) == MAX_DEPTH + 1
    assert walk.unread == [f"deeper than {MAX_DEPTH} folders"]


def test_what_vanishes_meanwhile_does_not_matter(root: Path) -> None:
    """Files and folders are removed between their listing and their turn."""
    make(root, *(f"{folder}/{number}.tif" for folder in "abcdef" for number in range(200)))
    folders = ClaimedFolders(FolderPaths(root), None, None)
    walk = TreeWalk(folders, {}, None)
    seen = 0
    for item in walk:
        if isinstance(item, FoundFile):
            seen += 1
            if seen == 300:
                for folder in root.iterdir():
                    if folder.is_dir():
                        shutil.rmtree(folder)
    folders.close()

    assert 300 <= seen < 1200
    assert not walk.unread


def test_the_walk_comes_up_for_air(root: Path) -> None:
    """After each few entries, also in a single large folder, known or not, of raw files or of others."""
    make(root, *(f"{number}.tif" for number in range(1000)), *(f"{number}.txt" for number in range(1000)))
    for known in ({}, states(root)):
        folders = ClaimedFolders(FolderPaths(root), None, None)
        steps = [item is None for item in TreeWalk(folders, known, None)]
        folders.close()

        assert sum(steps) >= 2000 / 64 + 1000 / 64


def test_nothing_stays_open(root: Path) -> None:
    """Neither after a walk nor after one that was given up."""
    make(root, "a/b/c.tif", "d.tif")
    folders = ClaimedFolders(FolderPaths(root), None, None)
    before = len(list(Path("/proc/self/fd").iterdir()))
    list(TreeWalk(folders, {}, None))
    given_up = iter(TreeWalk(folders, {}, None))
    next(given_up)
    del given_up

    assert len(list(Path("/proc/self/fd").iterdir())) == before
    folders.close()


names = st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name)


@given(raw=st.sets(names, max_size=8), folder=names.filter(lambda name: not name.startswith(b".")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_name(root: Path, raw: set[bytes], folder: bytes) -> None:
    """Whatever bytes a name is made of, it is found by them."""
    shutil.rmtree(root)
    (root / os.fsdecode(folder)).mkdir(parents=True)
    for name in raw:
        os.mknod(os.fsencode(root) + b"/" + folder + b"/" + name + b".tif")
    expected = {
        os.fsdecode(folder + b"/" + name + b".tif") for name in raw if not name.startswith((b".", b"~$"))
    }

    assert {one.path for one in scan(root)[1]} == {path for path in expected if ".colvi." not in path.lower()}
