"""`colvi-edge run` on Leica containers, and on the TIFF exports of the same images."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from colvi_edge.outputs.sidecar import json_schema
from colvi_edge.simulate import simulate_planes, write_imagej
from tests.tools.leica import Series, container
from tests.tools.results import USUAL

Run = Callable[..., tuple[int, str, str]]
DYES = ("Leica/DAPI", "Leica/ALEXA 488")


@pytest.fixture(scope="module")
def cultures() -> dict[str, NDArray[np.uint16]]:
    """Stacks of ten planes and two channels, nuclei and collagen."""
    return {label: simulate_planes(label, 5, size_px=256) for label in ("control", "patient")}


@pytest.fixture(scope="module")
def day(cultures: dict[str, NDArray[np.uint16]]) -> bytes:
    """A day's container: two cultures, and between them what else a microscopist saves."""
    return container(
        Series(cultures["control"], name="culture 1", bits=12, dyes=DYES),
        Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview"),
        Series(np.ones((2, 64, 64), "u1"), "CZX", "depth"),
        Series(cultures["patient"].swapaxes(0, 1), "CZYX", "culture 1", bits=12, dyes=DYES),
    ).data


def record(path: Path) -> dict[str, Any]:
    """Return a record that fits the published schema."""
    found: dict[str, Any] = json.loads(path.read_bytes())
    Draft202012Validator(json_schema()).validate(found)
    return found


def test_the_same_diagnosis_as_the_tiff_export(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], day: bytes, run: Run
) -> None:
    """Every patch of both images, whatever the order in which the container keeps its planes."""
    (tmp_path / "day.lif").write_bytes(day)
    for label, planes in cultures.items():
        labels = ["DAPI", "Alexa 488"] * 10
        tifffile.imwrite(
            tmp_path / f"{label}.tif", planes, imagej=True, metadata={"axes": "ZCYX", "Labels": labels}
        )

    code, out, _ = run("run", tmp_path, "--bundle", "demo")

    assert code == 1  # the overview and the depth scan are none of the assay's images
    assert "6 images: 2 control, 2 patient, 2 errors" in " ".join(out.split())
    for key, label in (("0000-culture 1", "control"), ("0003-culture 1", "patient")):
        of_lif = record(tmp_path / f"day.lif.{key}.colvi.json")
        of_tiff = record(tmp_path / f"{label}.tif.colvi.json")
        assert of_lif["diagnosis"] == label
        for what in ("diagnosis", "score", "votes", "patches", "coverage"):
            assert of_lif[what] == of_tiff[what]
        assert of_lif["image"]["key"] == key
        assert of_lif["image"]["pixel_size_um"] == pytest.approx(0.38)


def test_index_and_error_records(tmp_path: Path, day: bytes, run: Run) -> None:
    """The index tells what became of each image; what is refused has its reason in its own record."""
    raw = tmp_path / "day.lif"
    raw.write_bytes(day)

    _, out, _ = run("run", raw, "--bundle", "demo", "--json")

    index = record(tmp_path / "day.lif.colvi.json")
    assert [(entry["key"], entry["status"]) for entry in index["images"]] == [
        ("0000-culture 1", "ok"),
        ("0001-Overview", "error"),
        ("0002-depth", "error"),
        ("0003-culture 1", "ok"),
    ]
    assert index["image"]["bytes"] == len(day)
    for entry in index["images"]:
        assert record(tmp_path / entry["name"])["image"]["key"] == entry["key"]
    refused = record(tmp_path / "day.lif.0001-Overview.colvi.error.json")
    assert refused["error"]["kind"] == "scan_mode"
    assert refused["error"]["message"].startswith("day.lif.0001-Overview: is a tile scan of 4 fields")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["image"]["key"] for line in lines] == [entry["key"] for entry in index["images"]]
    assert len(list(tmp_path.iterdir())) == 1 + 1 + 2 * len(USUAL) + 2
    assert raw.read_bytes() == day


def test_nothing_to_judge(tmp_path: Path, run: Run) -> None:
    """A container without an image of the assay has an index of errors, and the exit code says so."""
    raw = tmp_path / "trial.lif"
    raw.write_bytes(container(Series(np.ones((2, 64, 64), "u1"), "CZX", "depth")).data)

    code, out, _ = run("run", raw, "--bundle", "demo")

    assert code == 1
    assert "is an XZ scan" in out
    assert record(tmp_path / "trial.lif.colvi.json")["status"] == "error"
    assert (tmp_path / "trial.lif.0000-depth.colvi.error.json").exists()


def test_a_cut_container(tmp_path: Path, day: bytes, run: Run) -> None:
    """What is whole is judged; what is cut off is told; the whole container later replaces both."""
    raw = tmp_path / "day.lif"
    raw.write_bytes(day[:-1])

    assert run("run", raw, "--bundle", "demo")[0] == 1
    index = record(tmp_path / "day.lif.colvi.json")
    assert [entry["status"] for entry in index["images"]] == ["ok", "error", "error", "error"]
    assert record(tmp_path / index["images"][3]["name"])["error"]["kind"] == "incomplete"
    raw.write_bytes(day)
    run("run", raw, "--bundle", "demo")
    assert record(tmp_path / "day.lif.colvi.json")["images"][3]["status"] == "ok"
    assert not (tmp_path / "day.lif.0003-culture 1.colvi.error.json").exists()


def test_a_container_that_is_none(tmp_path: Path, day: bytes, run: Run) -> None:
    """One record for the file; an earlier index and the images below it are gone, but for what they were."""
    raw = tmp_path / "day.lif"
    raw.write_bytes(day)
    run("run", raw, "--bundle", "demo")
    keys = ("0000-culture 1", "0003-culture 1")
    results = [(tmp_path / f"day.lif.{key}.colvi.json").read_bytes() for key in keys]
    raw.write_bytes(day[:500])

    assert run("run", raw, "--bundle", "demo")[0] == 1
    previous = [f"day.lif.{key}.colvi.prev.json" for key in keys]
    assert [(tmp_path / name).read_bytes() for name in previous] == results
    assert {path.name for path in tmp_path.iterdir()} == {"day.lif", "day.lif.colvi.error.json", *previous}
    assert record(tmp_path / "day.lif.colvi.error.json")["error"]["kind"] == "incomplete"


def test_a_result_that_cannot_be_written_leaves_no_index(tmp_path: Path, day: bytes, run: Run) -> None:
    """The index stands for all its images; where one is missing there is none."""
    raw = tmp_path / "day.lif"
    raw.write_bytes(day)
    (tmp_path / "day.lif.0003-culture 1.colvi.csv").mkdir()

    code, out, _ = run("run", raw, "--bundle", "demo")

    assert code == 1
    assert "cannot write results" in out
    assert not (tmp_path / "day.lif.colvi.json").exists()
    assert (tmp_path / "day.lif.0000-culture 1.colvi.json").exists()


def test_an_error_that_cannot_be_recorded_is_why_there_is_no_index(
    tmp_path: Path, day: bytes, run: Run
) -> None:
    """The container tells what stands in the way of one image's record, not that something went away."""
    raw = tmp_path / "day.lif"
    raw.write_bytes(day)
    blocking = tmp_path / "day.lif.0001-Overview.colvi.error.json"
    blocking.mkdir()

    code, out, _ = run("run", raw, "--bundle", "demo", "--json")

    assert code == 1
    *_, container_line = (json.loads(line) for line in out.splitlines())
    assert container_line["status"] == "error"
    assert blocking.name in container_line["error"]["message"]
    assert not (tmp_path / "day.lif.colvi.json").exists()


def test_trouble_with_one_file_is_not_that_of_the_next(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], day: bytes, run: Run
) -> None:
    """A container has its index though a file before it could not be written about."""
    write_imagej(tmp_path / "a.tif", cultures["control"])
    (tmp_path / "a.tif.colvi.csv").mkdir()
    (tmp_path / "day.lif").write_bytes(day)

    run("run", tmp_path, "--bundle", "demo")

    assert not (tmp_path / "a.tif.colvi.json").exists()
    assert record(tmp_path / "day.lif.colvi.json")["status"] == "ok"


def test_outputs_elsewhere_and_result_csv(tmp_path: Path, day: bytes, run: Run) -> None:
    """A container's outputs are mirrored like any other's, and its images stand in the published table."""
    raws, out = tmp_path / "raws", tmp_path / "out"
    (raws / "monday").mkdir(parents=True)
    (raws / "monday" / "day.lif").write_bytes(day)
    table = tmp_path / "result.csv"

    run("run", raws, "--bundle", "demo", "--output-dir", out, "--result-csv", table)

    assert os.listdir(raws / "monday") == ["day.lif"]  # noqa: PTH208 - names
    assert (out / "monday" / "day.lif.colvi.json").exists()
    rows = table.read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [
        "monday/day.lif.0000-culture 1",
        "monday/day.lif.0003-culture 1",
    ]
