"""What a program gets from the API is what `colvi-edge run` writes: the same bits, of a file or an array."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import colvi_edge
from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.tasks.classify import CLASSES

Run = Callable[..., tuple[int, str, str]]
IMAGES = {"control.tif": ("control", 1), "patient.tif": ("patient", 1), "stack.tif": ("patient", 10)}
OF_THE_FILE = ("bytes", "sha256", "axes", "shape", "mtime_ns")


@pytest.fixture(scope="module")
def scope(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's kinds of images: a control, a patient, a Z-stack of ten planes."""
    folder = tmp_path_factory.mktemp("scope")
    for seed, (name, (label, planes)) in enumerate(IMAGES.items()):
        assert label in CLASSES
        write_imagej(folder / name, simulate_planes(label, seed, planes=planes))
    return folder


@pytest.fixture(scope="module", params=["demo", "demo-nuclei"])
def diagnoser(request: pytest.FixtureRequest) -> Iterator[colvi_edge.Diagnoser]:
    """Both shipped bundles, open."""
    with colvi_edge.Diagnoser.open(request.param) as opened:
        yield opened


def told(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what is another in each run: times."""
    return {key: value for key, value in record.items() if key not in ("created", "timings_ms")}


def planes_of(file: Path) -> NDArray[np.uint16]:
    """Return the pixels of one of the images, (Z, C, H, W)."""
    label, planes = IMAGES[file.name]
    made: NDArray[np.uint16] = simulate_planes(label, [*IMAGES].index(file.name), planes=planes)  # type: ignore[arg-type]
    return made


def test_every_file_is_the_one_that_run_writes(
    tmp_path: Path, scope: Path, diagnoser: colvi_edge.Diagnoser, run: Run
) -> None:
    """Byte for byte; of the record all but the times."""
    word = "demo" if diagnoser.bundle.config.task.kind == "classify" else "demo-nuclei"
    code, _, _ = run("run", scope, "--bundle", word, "--output-dir", tmp_path / "run")
    assert code == 0

    for name in IMAGES:
        record = diagnoser.diagnose(scope / name).save(tmp_path / "api")
        assert record == tmp_path / "api" / f"{name}.colvi.json"

    names = sorted(file.name for file in (tmp_path / "run").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "api").iterdir())
    assert len(names) >= 5 * len(IMAGES)
    for name in names:
        ours, theirs = (tmp_path / "api" / name).read_bytes(), (tmp_path / "run" / name).read_bytes()
        if name.endswith(".json"):
            assert told(json.loads(ours)) == told(json.loads(theirs))
        else:
            assert ours == theirs, name


@pytest.mark.parametrize("name", IMAGES)
def test_an_array_gives_what_its_file_gives(scope: Path, diagnoser: colvi_edge.Diagnoser, name: str) -> None:
    """Bit for bit, but for what is said of the file."""
    of_file = diagnoser.diagnose(scope / name)
    pixel_size_um = of_file.to_dict()["image"]["pixel_size_um"]
    of_array = diagnoser.diagnose_array(
        planes_of(scope / name),
        "ZCYX",
        channels=["nuclei", "collagen"],
        pixel_size_um=pixel_size_um,
        name=name,
    )

    ours, theirs = told(of_array.to_dict()), told(of_file.to_dict())
    assert ours["image"].pop("dtype") == "uint16"
    for key in OF_THE_FILE:
        ours["image"].pop(key, None), theirs["image"].pop(key)
    theirs["image"].pop("dtype")
    for key in ("result_id", "settings_sha256"):
        assert ours.pop(key)
        theirs.pop(key)
    assert ours == theirs
    assert np.array_equal(of_array.overlay(), of_file.overlay())
    for of in ("probabilities", "labels"):
        mine, other = getattr(of_array, of), getattr(of_file, of)
        assert (mine is None) == (other is None)
        assert mine is None or np.array_equal(mine, other)


def test_its_values_are_those_of_the_record(tmp_path: Path, scope: Path) -> None:
    """Of a diagnosis: against the JSON, the table and the picture that were written."""
    with colvi_edge.Diagnoser.open("demo") as diagnoser:
        result = diagnoser.diagnose(str(scope / "patient.tif"))
    record = json.loads(result.save(tmp_path).read_bytes())

    assert (result.task, result.status, result.error) == ("classify", "ok", None)
    assert (result.diagnosis, result.score, result.votes) == ("patient", record["score"], record["votes"])
    assert result.p_control is not None
    assert result.p_patient is not None
    assert result.p_control.dtype == np.float32
    assert np.array_equal(result.p_control, np.float32(record["patches"]["p_control"]))
    rows = list(csv.DictReader((tmp_path / "patient.tif.colvi.csv").read_text().splitlines()))
    assert np.array_equal(
        result.p_patient.ravel(), np.array([row["prob_patient"] for row in rows], np.float32)
    )
    assert (result.labels, result.regions, result.objects) == (None, None, None)
    assert [flag.name for flag in result.flags] == [flag["name"] for flag in record["quality"]]
    with Image.open(tmp_path / "patient.tif.colvi.png") as picture:
        assert np.array_equal(result.overlay(), np.asarray(picture.convert("RGB")))
    assert {**result.to_dict(), "outputs": record["outputs"]} | {"timings_ms": {}} == record | {
        "timings_ms": {}
    }


def test_regions_and_objects_are_those_of_the_record(tmp_path: Path, scope: Path) -> None:
    """And nothing of a diagnosis."""
    with colvi_edge.Diagnoser.open("demo-nuclei") as diagnoser:
        result = diagnoser.diagnose(scope / "control.tif")
    record = json.loads(result.save(tmp_path).read_bytes())

    assert (result.task, result.classes) == ("segment", ("background", "nucleus"))
    assert (result.diagnosis, result.score, result.votes, result.p_control) == (None,) * 4
    assert result.labels is not None
    assert result.objects is not None
    assert result.regions is not None
    assert result.labels.shape == (1, 1024, 1024)
    assert result.regions[0].pixels == record["regions"][0]["pixels"] == int((result.labels == 1).sum())
    assert len(result.objects.rows) == record["objects"]["count"] == result.objects.labels.max()
