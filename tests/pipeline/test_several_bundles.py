"""Several bundles on one folder: each judges as it does alone, and an image is read once for all of them."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tifffile

from colvi_edge.acquisition import Acquisition
from colvi_edge.bundle import Bundle, demo_path, open_bundle
from colvi_edge.bundle.manifest import parse
from colvi_edge.bundle.opening import MANIFEST
from colvi_edge.choices import OverlayChoice, Replace
from colvi_edge.engines import Engine, open_engine
from colvi_edge.errors import AcquisitionError
from colvi_edge.outputs.intact import is_intact, read_result
from colvi_edge.outputs.names import slots_of
from colvi_edge.outputs.sidecar import Index, Sidecar
from colvi_edge.pipeline import Diagnoser, Outcome, process
from colvi_edge.pipeline.inputs import InputFile, find_inputs
from colvi_edge.pipeline.raw_file import End, JudgedImage
from colvi_edge.pipeline.runner import images_of
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.system.writing import hold_folder
from tests.tools.bundles import edit_task_config, rename, renormalise
from tests.tools.leica import Series, container

Run = Callable[..., tuple[int, str, str]]
DIFFER = {"slot", "created", "timings_ms", "outputs"}
"""Keys by which a further bundle's record is another than that of the same bundle alone."""


@dataclass(frozen=True)
class Counted(InputFile):
    """A raw file that counts how often it is opened."""

    opened: list[str] = field(default_factory=list, compare=False)

    def open(self) -> int:
        """Open it, and count."""
        self.opened.append(self.name)
        return super().open()


@pytest.fixture(scope="module")
def other_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle called `nuclei`, which decides otherwise than the demo."""
    bundle = Path(shutil.copytree(demo_path(), tmp_path_factory.mktemp("other") / "nuclei.colvi"))
    renormalise(bundle, "uint16", kind="scale", divisor=4095.0, dtype="uint16")
    rename(bundle, "nuclei", "1.0")
    return bundle


@pytest.fixture(scope="module")
def engines(demo_bundle: Bundle, other_path: Path) -> Iterator[dict[str, tuple[Bundle, Engine]]]:
    """Return both bundles with their engines, by slot."""
    with ExitStack() as opened:
        bundles = [demo_bundle, open_bundle(other_path)]
        yield {
            slot: (bundle, opened.enter_context(closing(open_engine(bundle))))
            for slot, bundle in zip(slots_of([bundle.name for bundle in bundles]), bundles, strict=True)
        }


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of an image, a container of three, one of them none of the assay, and a broken file."""
    folder = tmp_path_factory.mktemp("images")
    control, patient = (simulate_projection(label, 3, size_px=256) for label in ("control", "patient"))
    write_imagej(folder / "a.tif", control)
    series = (
        Series(control, axes="CYX", name="culture", luts=("Blue", "Green")),
        Series(patient, axes="CYX", name="culture", luts=("Blue", "Green")),
        Series(control[:1], axes="CYX", name="overview"),
    )
    (folder / "b.lif").write_bytes(container(*series).data)
    (folder / "c.tif").write_bytes(b"no image\n" * 20)
    return folder


@pytest.fixture
def folder(images: Path, tmp_path: Path) -> Path:
    """Give a copy of that folder."""
    return Path(shutil.copytree(images, tmp_path / "data"))


def diagnosers(engines: dict[str, tuple[Bundle, Engine]], replace: Replace = Replace.OWN) -> list[Diagnoser]:
    """Return who judges, in the order of the slots."""
    return [
        Diagnoser(bundle, engine, None, None, OverlayChoice.PNG, replace, None, slot)
        for slot, (bundle, engine) in engines.items()
    ]


def files_in(folder: Path) -> list[Counted]:
    """Return the raw files of a folder."""
    return [Counted(file.raw, file.folder, file.place) for file in find_inputs([folder])]


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every record of a folder by its name."""
    return {path.name: json.loads(path.read_bytes()) for path in folder.glob("*.json")}


def words_of(outcomes: list[Outcome[Any]]) -> list[tuple[str, str, str, str]]:
    """Return of each outcome its file, image, slot, and what it is."""
    return [(one.file.name, one.image_key, one.slot, type(one.result).__name__) for one in outcomes]


class Told(Diagnoser):
    """A diagnoser that tells how many images it judged."""

    judged = 0

    def judge(self, acquisition: Acquisition) -> JudgedImage:
        """Judge, and count."""
        found = super().judge(acquisition)
        self.judged += 1
        return found


def nuclei_only(bundle: Path) -> Bundle:
    """Make a bundle one that asks for nuclei alone, in images of any kind."""
    return asking_for(bundle, "empty", "nuclei")


def asking_for(bundle: Path, *roles: str) -> Bundle:
    """Make a bundle one that asks for two channels, in images of any kind."""
    channels = [{"role": role} for role in roles]
    config = parse((bundle / MANIFEST).read_bytes())[1]
    asked = config.input.model_dump(mode="json", exclude_none=True) | {"channels": channels}
    edit_task_config(bundle, input=asked, quality="general", familiarity=None)
    rename(bundle, "counting", "1.0")
    return open_bundle(bundle)


def test_each_judges_as_it_does_alone(folder: Path, engines: dict[str, tuple[Bundle, Engine]]) -> None:
    """Key for key but for the slot; and none of them notices the other."""
    alone: dict[str, dict[str, dict[str, Any]]] = {}
    for slot, (bundle, engine) in engines.items():
        place = Path(shutil.copytree(folder, folder.parent / f"alone{slot}"))
        assert len(list(process(Diagnoser(bundle, engine), files_in(place)))) == 6
        alone[slot] = records(place)

    outcomes = list(process(diagnosers(engines), files_in(folder)))

    assert len(outcomes) == 12
    found = records(folder)
    assert len(found) == sum(map(len, alone.values())) == 12
    for name, record in alone[""].items():
        assert {key for key in record if record[key] != found[name][key]} <= {
            "created",
            "timings_ms",
            "images",
        }
        assert "slot" not in found[name]
    for name, record in alone["nuclei"].items():
        mine = found[name.replace(".colvi.", ".nuclei.colvi.")]
        assert mine.pop("slot") == "nuclei"
        if "images" in mine:
            assert [one["key"] for one in mine["images"]] == [one["key"] for one in record["images"]]
            assert all(".nuclei.colvi." in one["name"] for one in mine["images"])
            continue
        assert mine.keys() == record.keys()
        assert {key for key in record if record[key] != mine[key]} <= DIFFER
    tables = [folder / f"a.tif{slot}.colvi.csv" for slot in ("", ".nuclei")]
    assert tables[0].read_bytes() != tables[1].read_bytes()


def test_a_raw_file_is_read_once_for_all(folder: Path, engines: dict[str, tuple[Bundle, Engine]]) -> None:
    """Opened as often as for one bundle, in every round: at first, when all is kept, and anew."""
    for replace in (Replace.OWN, Replace.STALE, Replace.ALL):
        opened = []
        for judging in (diagnosers(engines, replace)[:1], diagnosers(engines, replace)):
            place = folder.parent / f"{len(judging)}"
            shutil.copytree(folder, place, dirs_exist_ok=True)
            files = files_in(place)
            assert len(list(process(judging, files))) == 6 * len(judging)
            opened.append([name for file in files for name in file.opened])
        assert opened[0] == opened[1]
        assert opened[0]


def test_what_stands_is_kept_by_each_for_itself(
    folder: Path, engines: dict[str, tuple[Bundle, Engine]], tmp_path: Path
) -> None:
    """A new version of the second bundle: `--stale` judges its results anew, and leaves the first's."""
    list(process(diagnosers(engines), files_in(folder)))
    newer = Path(shutil.copytree(engines["nuclei"][0].path, tmp_path / "newer.colvi"))
    rename(newer, "nuclei", "2.0")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with closing(open_engine(bundle := open_bundle(newer))) as engine:
        renewed = {"": engines[""], "nuclei": (bundle, engine)}
        kept = list(process(diagnosers(renewed, Replace.OWN), [files_in(folder)[0]]))
        # A model's own result gives way, another one's does not; what is kept comes before what is judged.
        assert words_of(kept) == [("a.tif", "", "nuclei", "Kept"), ("a.tif", "", "", "Sidecar")]
        stale = list(process(diagnosers(renewed, Replace.STALE), [files_in(folder)[0]]))

    assert words_of(stale) == [("a.tif", "", "", "Kept"), ("a.tif", "", "nuclei", "Sidecar")]
    assert stale[1].replaced
    assert isinstance(stale[1].result, Sidecar)
    assert stale[1].result.model.version == "2.0"
    assert json.loads((folder / "a.tif.nuclei.colvi.prev.json").read_bytes())["model"]["version"] == "1.0"
    changed = {name for name in before if (folder / name).read_bytes() != before[name]}
    assert all(".nuclei.colvi." in name or name == "a.tif.colvi.json" for name in changed)


def test_it_goes_on_where_it_was_stopped(folder: Path, engines: dict[str, tuple[Bundle, Engine]]) -> None:
    """Between the two judgements of one image: only the second one is missing, and is made up for."""
    told = [Told(*one, slot=slot) for slot, one in engines.items()]
    with pytest.raises(KeyboardInterrupt):
        list(process(told, files_in(folder), lambda: told[0].judged > 0))
    assert [one.judged for one in told] == [1, 0]
    assert (folder / "a.tif.colvi.json").exists()
    assert not (folder / "a.tif.nuclei.colvi.json").exists()

    gone_on = list(process(diagnosers(engines, Replace.STALE), files_in(folder)))

    assert words_of(gone_on)[:2] == [("a.tif", "", "", "Kept"), ("a.tif", "", "nuclei", "Sidecar")]
    with hold_folder(folder, "results") as folder_fd:
        for raw in ("a.tif", "b.lif"):
            for slot in engines:
                result = read_result(folder_fd, raw, slot)
                assert result is not None
                assert is_intact(folder_fd, raw, result)


def test_a_container_has_an_index_of_each(folder: Path, engines: dict[str, tuple[Bundle, Engine]]) -> None:
    """Of the images that each judged; one whose result stands is kept though the other's does not."""
    list(process(diagnosers(engines), files_in(folder)))
    with hold_folder(folder, "results") as folder_fd:
        indexes = [read_result(folder_fd, "b.lif", slot) for slot in ("", "nuclei")]
        for index in indexes:
            assert isinstance(index, Index)
            assert [entry.status for entry in index.images] == ["ok", "ok", "error"]
            assert is_intact(folder_fd, "b.lif", index)
    (folder / "b.lif.0001-culture.nuclei.colvi.json").unlink()

    lif = [file for file in files_in(folder) if file.name == "b.lif"]
    outcomes = list(process(diagnosers(engines, Replace.STALE), lif))

    did = {(key, slot): kind for _, key, slot, kind in words_of(outcomes)}
    assert did["0001-culture", "nuclei"] == "Sidecar"
    assert did["0001-culture", ""] == did["0000-culture", "nuclei"] == "Kept"


def test_a_file_that_got_well_loses_both_errors(
    folder: Path, engines: dict[str, tuple[Bundle, Engine]]
) -> None:
    """And one that cannot be read has an error of each, as neither has a result."""
    list(process(diagnosers(engines), files_in(folder)))
    errors = {"c.tif.colvi.error.json", "c.tif.nuclei.colvi.error.json"}
    assert {path.name for path in folder.glob("c.tif.*")} == errors

    shutil.copy(folder / "a.tif", folder / "c.tif")
    list(process(diagnosers(engines), files_in(folder)))

    left = records(folder)
    assert not errors & left.keys()
    assert {"c.tif.colvi.json", "c.tif.nuclei.colvi.json"} <= left.keys()


def test_who_needs_less_reads_what_the_other_cannot(tmp_path: Path, demo_bundle: Bundle) -> None:
    """An image of nuclei alone: collagen is missing for one bundle, and the other one judges it."""
    of_nuclei = nuclei_only(Path(shutil.copytree(demo_path(), tmp_path / "counting.colvi")))
    write_imagej(tmp_path / "both.tif", simulate_projection("control", 3, size_px=256))
    one = simulate_projection("control", 3, size_px=256)[:1]
    tifffile.imwrite(tmp_path / "one.tif", one, imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI"]})
    several = [Diagnoser(demo_bundle, None), Diagnoser(of_nuclei, None, slot="counting")]
    series = (
        Series(one, axes="CYX", name="one", luts=("Blue",)),
        Series(
            simulate_projection("control", 3, size_px=256), axes="CYX", name="both", luts=("Blue", "Green")
        ),
    )
    (tmp_path / "z.lif").write_bytes(container(*series).data)

    found = [
        (file.name, who.slot, getattr(image, "image_key", ""), type(image).__name__)
        for file in files_in(tmp_path)
        for who, image in images_of(several, file)
    ]

    assert found == [
        ("both.tif", "", "", "Acquisition"),
        ("both.tif", "counting", "", "Acquisition"),
        ("one.tif", "", "", "ChannelError"),
        ("one.tif", "counting", "", "Acquisition"),
        ("z.lif", "", "0001-both", "Acquisition"),
        ("z.lif", "counting", "0001-both", "Acquisition"),
        ("z.lif", "", "0000-one", "Refused"),
        ("z.lif", "counting", "0000-one", "Acquisition"),
        ("z.lif", "", "", "End"),
        ("z.lif", "counting", "", "End"),
    ]


def seen(who: list[Diagnoser], file: InputFile) -> dict[str, object]:
    """Return by slot where each finds the channels that it asks for, and what is assumed; or its refusal."""
    found: dict[str, object] = {}
    for one, image in images_of(who, file):
        if isinstance(image, Acquisition):
            roles = [role for role in one.bundle.config.channels if role != "empty"]
            places = {role: image.channels.index(role) for role in roles}
            found[one.slot] = places, image.channels_assumed, image.colours_disagree
        else:
            found[one.slot] = str(image)
    return found


@pytest.mark.parametrize(
    "labels",
    [
        ["", "", ""],
        ["DAPI", "x", "y"],
        ["Collagen VI", "DAPI", "x"],
        ["Collagen VI", "DAPI", "", ""],
        ["Collagen IV", "DAPI", "x"],
        ["", ""],
        ["DAPI", "Collagen VI"],
    ],
)
@pytest.mark.parametrize("roles", [("empty", "muscle"), ("muscle", "fat"), ("empty", "nuclei")])
@pytest.mark.parametrize("turned", [False, True])
def test_no_bundle_changes_which_channels_another_one_sees(
    tmp_path: Path, demo_bundle: Bundle, labels: list[str], roles: tuple[str, str], turned: bool
) -> None:
    """Each finds its channels where it finds them alone, as sure as alone, or is refused as alone."""
    other = asking_for(Path(shutil.copytree(demo_path(), tmp_path / "other.colvi")), *roles)
    planes = simulate_projection("control", 3, size_px=256)[[0] * len(labels)]
    raw = tmp_path / "x.tif"
    tifffile.imwrite(raw, planes, imagej=True, metadata={"axes": "CYX", "Labels": labels})
    file = InputFile(raw, tmp_path, raw.name)
    several = [Diagnoser(demo_bundle, None), Diagnoser(other, None, slot="other")]

    alone = seen(several[:1], file) | seen(several[1:], file)

    assert seen(several[::-1] if turned else several, file) == alone


def test_the_operator_names_the_channels_of_all(tmp_path: Path, demo_bundle: Bundle) -> None:
    """With the words of every bundle that judges."""
    muscle = asking_for(Path(shutil.copytree(demo_path(), tmp_path / "other.colvi")), "empty", "muscle")
    planes = simulate_projection("control", 3, size_px=256)[[0, 1, 0]]
    write_imagej(tmp_path / "x.tif", planes)
    said = ["muscle", "nuclei", "collagen"]
    several = [Diagnoser(demo_bundle, None, said), Diagnoser(muscle, None, said, slot="other")]

    found = seen(several, InputFile(tmp_path / "x.tif", tmp_path, "x.tif"))

    assert found == {"": ({"nuclei": 1, "collagen": 2}, False, False), "other": ({"muscle": 0}, False, False)}


@dataclass(frozen=True)
class Failing(Counted):
    """A raw file that cannot be opened once, as on a share that went away for a moment."""

    fails_at: int = 0

    def open(self) -> int:
        """Open it, or fail where its turn has come."""
        handle = super().open()
        if len(self.opened) == self.fails_at:
            os.close(handle)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return handle


@pytest.fixture
def partly_of_nuclei(tmp_path: Path) -> Path:
    """Return a container of an image of nuclei alone, and one of both channels."""
    both = simulate_projection("control", 3, size_px=256)
    series = (
        Series(both[:1], axes="CYX", name="one", luts=("Blue",)),
        Series(both, axes="CYX", name="both", luts=("Blue", "Green")),
    )
    (tmp_path / "z.lif").write_bytes(container(*series).data)
    return tmp_path / "z.lif"


def test_what_fails_for_one_bundle_fails_for_it_alone(
    tmp_path: Path, demo_bundle: Bundle, partly_of_nuclei: Path
) -> None:
    """Where each reads for itself; whatever opening of the file fails, each comes to one end."""
    of_nuclei = nuclei_only(Path(shutil.copytree(demo_path(), tmp_path / "counting.colvi")))
    several = [Diagnoser(demo_bundle, None), Diagnoser(of_nuclei, None, slot="counting")]
    raw = partly_of_nuclei
    whole = Counted(raw, raw.parent, raw.name)
    assert list(images_of(several, whole))
    ends = []
    for number in range(1, len(whole.opened) + 1):
        file = Failing(raw, raw.parent, raw.name, fails_at=number)
        told = [(who.slot, image) for who, image in images_of(several, file)]
        assert file.opened
        ends.append(
            {
                slot: [type(image).__name__ for own, image in told if own == slot and is_end(image)]
                for slot in ("", "counting")
            }
        )
    assert all(len(found) == 1 for end in ends for found in end.values())
    assert {"": ["End"], "counting": ["AcquisitionError"]} in ends
    assert {"": ["AcquisitionError"], "counting": ["End"]} in ends


def is_end(image: object) -> bool:
    """Return whether this is of a whole file."""
    return isinstance(image, End | AcquisitionError)


def test_an_index_is_in_the_order_of_the_container(
    tmp_path: Path, engines: dict[str, tuple[Bundle, Engine]], partly_of_nuclei: Path
) -> None:
    """Also where some of its images were read by each bundle for itself, after the others."""
    of_nuclei = nuclei_only(Path(shutil.copytree(demo_path(), tmp_path / "counting.colvi")))
    with closing(open_engine(of_nuclei)) as engine:
        judging = [Diagnoser(*engines[""]), Diagnoser(of_nuclei, engine, slot="counting")]
        list(process(judging, files_in(tmp_path)))

    for slot in ("", ".counting"):
        index = json.loads((tmp_path / f"z.lif{slot}.colvi.json").read_bytes())
        assert [entry["key"] for entry in index["images"]] == ["0000-one", "0001-both"]
