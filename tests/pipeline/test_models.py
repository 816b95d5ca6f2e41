"""Two models on one folder through `colvi-edge run`: which results are judged, kept, replaced, and told."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from colvi_edge.bundle import demo_path, open_bundle
from colvi_edge.outputs.sidecar import json_schema
from colvi_edge.simulate import simulate_planes, write_imagej
from tests.tools.bundles import rename
from tests.tools.leica import Series, container

Run = Callable[..., tuple[int, str, str]]
DYES = ("Leica/DAPI", "Leica/FITC")
DEMO = "colvi-edge synthetic demo model"
NAMES = ("a.tif", "b.tif", "day.lif.0001-first", "day.lif.0002-second")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of another model."""
    path = Path(shutil.copytree(demo_path(), tmp_path_factory.mktemp("bundles") / "second.colvi"))
    rename(path, "second opinion", "2.0")
    return path


@pytest.fixture(scope="module")
def raws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two images, and a container of two and one that is none of the assay."""
    folder = tmp_path_factory.mktemp("raws")
    cultures = [simulate_planes("control", seed, planes=2, size_px=256) for seed in (1, 2, 3, 4)]
    for name, planes in zip(("a.tif", "b.tif"), cultures, strict=False):
        write_imagej(folder / name, planes)
    images = [Series(cultures[2], name="first", dyes=DYES), Series(cultures[3], name="second", dyes=DYES)]
    overview = Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview")
    (folder / "day.lif").write_bytes(container(overview, *images).data)
    return folder


@pytest.fixture
def folder(raws: Path, tmp_path: Path) -> Path:
    """Return a copy, with no result yet."""
    return Path(shutil.copytree(raws, tmp_path / "folder"))


class Beside(NamedTuple):
    """What lies beside a raw file.

    Attributes:
        model: that the result is of.
        revision: of it.
        before: model of the result before it; "" if there is none.
    """

    model: str
    revision: int
    before: str


def record(path: Path) -> dict[str, Any]:
    """Return a record that fits the published schema."""
    found: dict[str, Any] = json.loads(path.read_bytes())
    Draft202012Validator(json_schema()).validate(found)
    return found


def beside(folder: Path, name: str) -> Beside:
    """Return what lies beside a raw file, or an image of one."""
    result, previous = record(folder / f"{name}.colvi.json"), folder / f"{name}.colvi.prev.json"
    before = record(previous)["model"]["name"] if previous.exists() else ""
    return Beside(result["model"]["name"], result["revision"], before)


def everything(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, but for what a refused image of the container is told by."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_own_stale_and_all(folder: Path, second: Path, run: Run) -> None:
    """Nothing of the first model is replaced unasked; what is replaced keeps its JSON, one, and says so."""
    run("run", folder, "--bundle", "demo")
    assert {beside(folder, name) for name in NAMES} == {Beside(DEMO, 1, "")}
    first = everything(folder)

    code, out, err = run("run", folder, "--bundle", second)
    assert code == 1  # the overview is none of the assay's images, each time
    assert everything(folder) == first
    assert " ".join(err.split()) == (
        f"4 results are of model {DEMO} 1.0.0 and were kept; --stale judges them anew with second opinion 2.0"
    )
    assert sum(line.split("\t")[-1].startswith("kept") for line in out.splitlines()[1:6]) == 4
    assert f"kept: 4 images. As {DEMO} 1.0.0 judged it before." in out.splitlines()

    _, out, err = run("run", folder, "--bundle", second, "--stale")
    assert {beside(folder, name) for name in NAMES} == {Beside("second opinion", 2, DEMO)}
    assert "kept" not in out + err
    assert err.strip() == "4 results were replaced; what they were lies beside them as X.colvi.prev.json"
    for name in NAMES:
        assert everything(folder)[f"{name}.colvi.prev.json"] == first[f"{name}.colvi.json"]
    stale = everything(folder)

    _, _, err = run("run", folder, "--bundle", second, "--stale")
    assert everything(folder) == stale
    assert err.strip() == "4 results are of model second opinion 2.0 and were kept; --again judges them, too"

    _, _, err = run("run", folder, "--bundle", second)  # its own are judged again, and are no other results
    assert {beside(folder, name) for name in NAMES} == {Beside("second opinion", 2, DEMO)}
    assert everything(folder)["a.tif.colvi.json"] != stale["a.tif.colvi.json"]
    assert err == ""

    run("run", folder, "--bundle", "demo", "--again")
    assert {beside(folder, name) for name in NAMES} == {Beside(DEMO, 3, "second opinion")}
    index = record(folder / "day.lif.colvi.json")
    assert [entry["status"] for entry in index["images"]] == ["error", "ok", "ok"]


def test_both_at_once_are_refused(folder: Path, run: Run) -> None:
    """One says less than the other."""
    before = everything(folder)

    code, _, err = run("run", folder, "--bundle", "demo", "--stale", "--again")

    assert code == 2
    assert "--stale and --again: expected one of them" in err
    assert everything(folder) == before


def test_what_is_new_changed_or_failed_is_judged_by_whoever_is_asked(
    folder: Path, second: Path, run: Run
) -> None:
    """Of a folder of another model's results only the rest is judged, also of a container."""
    run("run", folder, "--bundle", "demo")
    changed = simulate_planes("control", 5, planes=2, size_px=256)
    write_imagej(folder / "b.tif", changed)
    write_imagej(folder / "new.tif", changed)
    first = folder / "day.lif.0001-first.colvi.json"
    kept = (folder / "day.lif.0002-second.colvi.json").read_bytes()
    first.unlink()

    code, out, _ = run("run", folder, "--bundle", second, "--json")

    lines = [json.loads(line) for line in out.splitlines()]
    told = [(line["path"], line.get("kept", False), line.get("model", {}).get("name")) for line in lines]
    assert code == 1
    assert told == [
        ("a.tif", True, DEMO),
        ("b.tif", False, "second opinion"),
        ("day.lif", False, None),
        ("day.lif", False, "second opinion"),
        ("day.lif", True, DEMO),
        ("new.tif", False, "second opinion"),
    ]
    assert beside(folder, "b.tif") == Beside("second opinion", 2, DEMO)
    assert beside(folder, "new.tif") == Beside("second opinion", 1, "")
    assert record(folder / "b.tif.colvi.prev.json")["image"]["sha256"] != lines[1]["image"]["sha256"]
    assert (folder / "day.lif.0002-second.colvi.json").read_bytes() == kept
    index = record(folder / "day.lif.colvi.json")
    assert [entry["status"] for entry in index["images"]] == ["error", "ok", "ok"]


def test_a_result_that_is_not_whole_is_no_reason_to_keep_it(folder: Path, second: Path, run: Run) -> None:
    """A picture that was deleted is made again, whichever model is asked for it."""
    run("run", folder, "--bundle", "demo")
    (folder / "a.tif.colvi.png").unlink()
    (folder / "day.lif.0001-first.colvi.csv").write_text("spoilt")

    run("run", folder, "--bundle", second)

    assert [beside(folder, name).model for name in NAMES] == ["second opinion", DEMO, "second opinion", DEMO]


def test_nothing_of_what_is_kept_is_decoded(
    folder: Path, second: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole container, too: each raw file is hashed, and its reader never called."""
    planes = simulate_planes("control", 1, planes=2, size_px=256)
    (folder / "day.lif").write_bytes(container(Series(planes, name="only", dyes=DYES)).data)
    assert run("run", folder, "--bundle", "demo")[0] == 0

    def fail(*_: object) -> None:
        raise AssertionError("was read")

    monkeypatch.setattr("colvi_edge.acquisition.reading._reader_of", fail)
    before = everything(folder)
    code, _, err = run("run", folder, "--bundle", second)

    assert code == 0
    assert "3 results are of model" in err
    assert everything(folder) == before


def test_where_no_result_stands_nothing_is_read_twice(
    folder: Path, second: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where one of this model does; one of another is read once, to be hashed."""
    from colvi_edge.pipeline.inputs import InputFile

    opened: list[str] = []
    usual = InputFile.open

    def noted(raw: InputFile) -> int:
        opened.append(raw.name)
        return usual(raw)

    monkeypatch.setattr(InputFile, "open", noted)
    (folder / "day.lif").unlink()
    for options in (["demo"], ["demo"], [second], [second, "--stale"], [second, "--stale"]):
        run("run", folder, "--bundle", *options)
        assert opened == ["a.tif", "b.tif"]
        opened.clear()


def test_the_tables_list_what_stands(folder: Path, second: Path, tmp_path: Path, run: Run) -> None:
    """One row for each image, of whichever model; what was before is in no table and on no page."""
    run("run", folder, "--bundle", "demo")
    run("run", folder / "b.tif", "--bundle", second, "--stale")
    tables = ["--result-csv", tmp_path / "result.csv", "--omero-csv", tmp_path / "omero.csv"]

    _, _, err = run("run", folder, "--bundle", second, *tables)

    assert "left out of the table" not in err
    rows = list(csv.DictReader((tmp_path / "result.csv").read_text().splitlines()))
    assert [row["image_name"] for row in rows] == list(NAMES)
    for row in rows:
        score = record(folder / f"{row['image_name']}.colvi.json")["score"]
        assert row["probability"] == f"{score / 100:.3f}"
    assert len((tmp_path / "omero.csv").read_text().splitlines()) == 2 + 4
    code, out, _ = run("report", folder, "--output", tmp_path / "page.html")
    assert (code, out.startswith("5 images on one page: ")) == (0, True)  # with the overview's error record


def test_what_vanished_from_a_container_goes_with_what_it_was(folder: Path, second: Path, run: Run) -> None:
    """Also what it was before: nothing leads to it any more."""
    run("run", folder, "--bundle", "demo")
    run("run", folder, "--bundle", second, "--stale")
    assert (folder / "day.lif.0002-second.colvi.prev.json").exists()
    planes = simulate_planes("control", 3, planes=2, size_px=256)
    overview = Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview")
    (folder / "day.lif").write_bytes(container(overview, Series(planes, name="first", dyes=DYES)).data)

    run("run", folder, "--bundle", second)

    assert not [path.name for path in folder.iterdir() if "0002-second" in path.name]
    assert beside(folder, "day.lif.0001-first") == Beside("second opinion", 3, "second opinion")


def test_the_two_models_are_two(second: Path) -> None:
    """Or nothing here would show anything."""
    assert open_bundle(second).sha256 != open_bundle("demo").sha256


def test_the_demo_shows_its_own_model(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another version of it has been before, whose results `run` would keep."""
    monkeypatch.setattr("colvi_edge.cli.demo._DAYS", ("2026-11-03",))
    monkeypatch.setattr("colvi_edge.cli.demo._SEVERITIES", {"control": (None,), "patient": (0.5,)})
    stack = simulate_planes("patient", 1, planes=2, size_px=256)
    monkeypatch.setattr("colvi_edge.cli.demo.simulate_planes", lambda *_: stack)
    assert run("demo", tmp_path)[0] == 0
    records = list(tmp_path.rglob("*.tif.colvi.json"))  # of the first model: the other one counts nuclei
    for path in records:
        path.write_text(path.read_text().replace(open_bundle("demo").sha256, "0" * 64))

    code, out, _ = run("demo", tmp_path)

    assert code == 0
    assert "of 3 simulated cultures, the stack included" in " ".join(out.split())
    assert len(records) == 3
    for path in records:
        assert json.loads(path.read_bytes())["model"]["sha256"] == open_bundle("demo").sha256
