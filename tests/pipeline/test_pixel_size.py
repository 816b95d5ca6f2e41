"""`--pixel-size-um`: what the operator says where the file says nothing, or something else."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire
from colvi_edge.simulate import simulate_projection, write_imagej

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def culture() -> NDArray[np.uint16]:
    """One projection of nuclei and collagen, 0.3 um a pixel."""
    return simulate_projection("control", 11, size_px=512)


@pytest.fixture
def silent(tmp_path: Path, culture: NDArray[np.uint16]) -> Path:
    """Give a file that does not say how large its pixels are."""
    tifffile.imwrite(tmp_path / "silent.tif", culture, imagej=True, metadata={"axes": "CYX"})
    return tmp_path / "silent.tif"


@pytest.fixture
def telling(tmp_path: Path, culture: NDArray[np.uint16]) -> Path:
    """Give a file that says that they are 0.3 um."""
    write_imagej(tmp_path / "telling.tif", culture)
    return tmp_path / "telling.tif"


@pytest.fixture
def judged(run: Run) -> Callable[..., dict[str, Any]]:
    """Return a function that judges a file with some options; it gives the sidecar."""

    def judge(raw: Path, *options: object) -> dict[str, Any]:
        code, _, err = run("run", raw, "--bundle", "demo", *options)
        assert code == 0, err
        sidecar: dict[str, Any] = json.loads(Path(f"{raw}.colvi.json").read_text())
        return sidecar

    return judge


def flags(sidecar: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the flags of a sidecar by name."""
    return {flag["name"]: flag for flag in sidecar["quality"]}


def test_a_file_that_does_not_say_its_pixel_size_is_told(
    silent: Path, judged: Callable[..., dict[str, Any]]
) -> None:
    """It is judged by the size named, which the record has; the warning that told of the option is gone."""
    without = judged(silent)
    named = judged(silent, "--pixel-size-um", "0.31")

    assert "--pixel-size-um" in flags(without)["pixel_size_unknown"]["words"]
    assert "pixel_size_um" not in without["image"]
    assert flags(named) == {}
    assert named["image"]["pixel_size_um"] == 0.31


def test_what_the_operator_says_counts_more_than_the_file(
    telling: Path, judged: Callable[..., dict[str, Any]]
) -> None:
    """Rules go by the size named, and the record tells both."""
    found = judged(telling, "--pixel-size-um", "0.6")

    overruled = flags(found)["pixel_size_overruled"]
    assert found["image"]["pixel_size_um"] == 0.6
    assert (overruled["severity"], overruled["value"]) == ("warn", 0.6)
    assert overruled["limit"] == pytest.approx(0.3, rel=1e-3)
    assert "Pixel size 0.6 um, as --pixel-size-um says; the file says 0.3 um" in overruled["words"]
    assert {"pixel_size_off", "nuclei_size_off"} <= set(flags(found))


def test_another_size_is_other_work_and_the_same_size_is_the_same(
    silent: Path, telling: Path, judged: Callable[..., dict[str, Any]]
) -> None:
    """Ids: one a size where the file is silent; the file's own size changes nothing."""
    ids = [judged(silent, *options)["result_id"] for options in ([], ["--pixel-size-um", "0.3"])]
    ids += [judged(silent, "--pixel-size-um", "0.4")["result_id"]]
    first = judged(telling)
    same = judged(telling, "--pixel-size-um", "0.3")
    other = judged(telling, "--pixel-size-um", "0.4")

    assert len(set(ids)) == 3
    assert ids[2] == judged(silent, "--pixel-size-um", "0.4")["result_id"]
    for key in ("result_id", "settings_sha256", "quality", "image"):
        assert same[key] == first[key]
    assert other["settings_sha256"] != first["settings_sha256"]
    assert other["result_id"] != first["result_id"]


def test_pixels_keep_their_shape(telling: Path) -> None:
    """A pixel that is higher than wide stays so, whatever its width is said to be."""
    (image,) = acquire(telling)

    def sized(**sizes: float | None) -> Acquisition:
        return replace(image, **sizes).with_pixel_size(0.6)  # type: ignore[arg-type] # sizes only

    assert sized(pixel_size_um=0.2, pixel_height_um=0.3).pixel_height_um == pytest.approx(0.9)
    assert sized(pixel_size_um=0.2, pixel_height_um=None).pixel_height_um is None
    assert sized(pixel_size_um=None, pixel_height_um=None).pixel_size_um == 0.6


@pytest.mark.parametrize("size", ["0", "0.0009", "1001", "-1", "nan", "wide"])
def test_a_size_beyond_reason_is_refused(silent: Path, run: Run, size: str) -> None:
    """With exit code 2, and nothing is written."""
    code, _, err = run("run", silent, "--bundle", "demo", "--pixel-size-um", size)

    assert code == 2
    assert "--pixel-size-um" in err
    assert list(silent.parent.iterdir()) == [silent]


def test_watch_takes_it_too(silent: Path) -> None:
    """The worker, a process of its own, is told."""
    script = "from colvi_edge.cli import main; main()"
    Path(f"{silent}.done").touch()  # so that no quiet time has to be waited for
    drain = ["watch", str(silent.parent), "--bundle", "demo", "--once", "--marker", ".done"]

    subprocess.run([sys.executable, "-c", script, *drain, "--pixel-size-um", "0.31"], check=True, timeout=120)

    sidecar = json.loads(Path(f"{silent}.colvi.json").read_text())
    assert sidecar["image"]["pixel_size_um"] == 0.31
    assert flags(sidecar) == {}
