"""A bundle that sees only the regions of another one: what lies outside of them counts for nothing.

The oracle is the same network without a mask, on an image that was blackened here: the outlining network
says where there is more than 500 of collagen, so that nobody needs it to know its regions.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from torch import nn

from colvi_edge.acquisition import Acquisition, Provenance
from colvi_edge.bundle import Bundle, demo_path, open_bundle
from colvi_edge.bundle.input import Mask
from colvi_edge.choices import EngineName
from colvi_edge.engines import Engine
from colvi_edge.engines.opening import open_exactly
from colvi_edge.errors import NoRegionError, UsageError
from colvi_edge.pipeline import Diagnoser
from colvi_edge.pipeline.bundles import lenders
from colvi_edge.pipeline.cascade import diagnosers_of
from colvi_edge.tasks.classify import Diagnosis
from colvi_edge.tasks.segment import Segmentation
from tests.tools.bundles import edit_task_config, on_disk
from tests.tools.unets import to_onnx
from tests.tools.windowed_bundles import windowed_bundle

Run = Callable[..., tuple[int, str, str]]
LIMIT = 500
SHAPE = (3, 2, 96, 80)


class Outlining(nn.Module):
    """A muscle is where there is more than LIMIT of the first channel."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return (N, 2, h, w) of (N, C, h, w) in thousands of counts."""
        p = torch.sigmoid((windows[:, :1] - LIMIT / 1000 - 0.0005) * 1e5)
        return torch.cat([1 - p, p], 1)


class Weighing(nn.Module):
    """How probable the second class is grows with the mean of what it sees."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return (N, 2) of (N, C, h, w)."""
        p = torch.sigmoid(windows.mean((1, 2, 3)) * 4 - 3)[:, None]
        return torch.cat([1 - p, p], 1)


@pytest.fixture(scope="module", params=["sum", "each"])
def planes_of(request: pytest.FixtureRequest) -> str:
    """Return whether planes are summed."""
    return str(request.param)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, planes_of: str) -> dict[str, Bundle]:
    """Return what outlines, and what weighs its regions; and the latter without a mask."""
    folder = tmp_path_factory.mktemp("bundles")
    scale = {"kind": "scale", "divisor": 1000.0, "dtype": "uint16"}
    muscles = windowed_bundle(
        folder / "muscles",
        {"fp32": to_onnx(Outlining(), 2, 64)},
        {"px": 64, "halo_px": 8, "step_px": 8},
        scale,
        classes=("background", "muscle"),
    )
    weighing = windowed_bundle(
        folder / "slices",
        {"fp32": to_onnx(Weighing(), 2, 64)},
        {"px": "whole"},
        scale,
        classes=("healthy", "ill"),
        resize_px=(64, 64),
    )
    muscles, plain = (with_input(one, planes=planes_of) for one in (muscles, weighing))
    muscles = replace(muscles, name="muscles")
    mask = Mask(bundle="muscles", sha256=muscles.sha256)
    masked = replace(with_input(plain, mask=mask), name="slices", sha256="5" * 64)
    return {"": muscles, "slices": masked, "plain": plain}


def with_input(bundle: Bundle, **changes: Any) -> Bundle:
    """Return a bundle that asks for another input."""
    asked = bundle.config.input.model_copy(update=changes)
    return replace(bundle, config=bundle.config.model_copy(update={"input": asked}))


@pytest.fixture(scope="module")
def engines(bundles: dict[str, Bundle]) -> Iterator[dict[str, Engine]]:
    """Return an engine of each."""
    with ExitStack() as opened:
        yield {
            slot: opened.enter_context(closing(open_exactly(EngineName.ONNXRUNTIME, bundle, "fp32", "tests")))
            for slot, bundle in bundles.items()
        }


def acquisition(planes: NDArray[np.uint16]) -> Acquisition:
    """Return an image of (collagen, nuclei)."""
    return Acquisition(
        name="x.tif",
        image_key="",
        planes=planes,
        channels=("collagen", "nuclei"),
        pixel_size_um=0.3,
        plane_spacing_um=None,
        planes_planned=None,
        provenance=Provenance(1, "ab" * 32, "ZCYX", planes.shape),
    )


def background() -> NDArray[np.uint16]:
    """Return planes of noise without collagen."""
    return np.random.default_rng(1).integers(50, 150, SHAPE, dtype=np.uint16)


@pytest.fixture
def stack() -> NDArray[np.uint16]:
    """Return planes of blobs of collagen, in each plane other ones, and bright nuclei everywhere."""
    planes = background()
    planes[:, 1] += 300
    for z in range(len(planes)):
        planes[z, 0, 10 + 20 * z : 40 + 20 * z, 20:70] = 900
    return planes


def judged(which: dict[str, Bundle], engines: dict[str, Engine], image: Acquisition) -> list[Any]:
    """Return the result of each bundle for an image."""
    return [one.judge(image).result for one in diagnosers_of(which, engines)]


@pytest.mark.parametrize("first", ["muscles", "slices"])
def test_what_lies_outside_of_the_regions_is_black(
    bundles: dict[str, Bundle],
    engines: dict[str, Engine],
    stack: NDArray[np.uint16],
    planes_of: str,
    first: str,
) -> None:
    """As the same network judges the image that was blackened by hand; whichever bundle is given first."""
    regions = stack[:, 0] > LIMIT if planes_of == "each" else stack[:, 0].sum(0, keepdims=True) > LIMIT
    assert 0.1 < regions.mean() < 0.9
    blackened = np.where(regions[:, np.newaxis], stack, 0).astype(np.uint16)
    slots = ["", "slices"] if first == "muscles" else ["slices", ""]

    found = dict(
        zip(slots, judged({slot: bundles[slot] for slot in slots}, engines, acquisition(stack)), strict=True)
    )

    outlined, masked = found[""], found["slices"]
    assert isinstance(outlined, Segmentation)
    assert isinstance(masked, Diagnosis)
    assert np.array_equal(outlined.labels > 0, regions)
    plain, of_blackened = (
        judged({"plain": bundles["plain"]}, engines, acquisition(planes))[0] for planes in (stack, blackened)
    )
    assert np.array_equal(masked.probabilities, of_blackened.probabilities)
    assert np.abs(masked.probabilities - plain.probabilities).max() > 0.05


def test_regions_are_found_once_an_image(
    bundles: dict[str, Bundle], engines: dict[str, Engine], stack: NDArray[np.uint16]
) -> None:
    """By who lends them; and anew for another image, or where its own result was kept."""
    asked: list[int] = []

    class Told(Diagnoser):
        def laid_out(self, image: Acquisition) -> NDArray[Any]:
            asked.append(len(image.planes))
            return super().laid_out(image)

    lender = Told(bundles[""], engines[""])
    sees = Diagnoser(bundles["slices"], engines["slices"], slot="slices", lender=lender)
    one = acquisition(stack)
    other = replace(acquisition(stack[:2]), provenance=Provenance(1, "cd" * 32, "ZCYX", (2, *SHAPE[1:])))

    lender.judge(one)
    sees.judge(one)
    assert asked == [3]
    sees.judge(replace(one, image_key="0001-b"))
    assert asked == [3, 3]
    sees.judge(other)
    assert asked == [3, 3, 2]


def test_an_image_without_regions_is_refused(bundles: dict[str, Bundle], engines: dict[str, Engine]) -> None:
    """Black pixels would be judged as if they had been seen."""
    diagnosers = diagnosers_of({slot: bundles[slot] for slot in ("", "slices")}, engines)
    image = acquisition(background())
    diagnosers[0].judge(image)

    with pytest.raises(
        NoRegionError, match=r"^x\.tif: only regions of muscles 0\.0\.0 are judged, and that finds none"
    ):
        diagnosers[1].judge(image)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ["slices"],
            r"regions of muscles \(SHA-256 [0-9a-f]{12}\.\.\.\), found slices 0\.0\.0; give that bundle",
        ),
        (
            ["slices", "of slices"],
            r"regions of slices 0\.0\.0, which finds no regions; expected a bundle that segm",
        ),
        (["muscles", "inner", "of inner"], r"regions of inner 0\.0\.0, which is seen through regions itself"),
    ],
)
def test_what_cannot_see_is_refused(bundles: dict[str, Bundle], given: list[str], words: str) -> None:
    """Before anything is judged: found, expected, remedy."""
    muscles, slices = bundles[""], bundles["slices"]
    asks = Mask(bundle="muscles", sha256=muscles.sha256)
    inner = replace(with_input(muscles, mask=asks), name="inner", sha256="6" * 64)
    if "slices" in given and "of slices" in given:
        slices = replace(bundles["plain"], name="slices")
    named = {
        "muscles": muscles,
        "slices": slices,
        "inner": inner,
        "of slices": replace(
            with_input(slices, mask=Mask(bundle="slices", sha256=slices.sha256)),
            name="of slices",
            sha256="7" * 64,
        ),
        "of inner": replace(
            with_input(slices, mask=Mask(bundle="inner", sha256=inner.sha256)),
            name="of inner",
            sha256="8" * 64,
        ),
    }
    with pytest.raises(UsageError, match=words):
        lenders({name: named[name] for name in given})
    assert lenders({"": muscles, "inner": inner}) == {"inner": ""}


def test_alone_it_is_refused(tmp_path: Path, run: Run) -> None:
    """By every command that judges, in one sentence and with exit code 2."""
    bundle = Path(shutil.copytree(demo_path(), tmp_path / "slices.colvi"))
    asked = open_bundle(bundle).config.input.model_dump(mode="json", exclude_none=True)
    edit_task_config(bundle, input=asked | {"mask": {"bundle": "muscles", "sha256": "5" * 64}})
    (tmp_path / "x.tif").touch()

    code, _, err = run("run", tmp_path / "x.tif", "--bundle", bundle)

    assert code == 2
    assert "sees only the regions of muscles (SHA-256 555555555555...), found " in err
    assert err.endswith("give that bundle, too\n")


def run_and_watch(
    tmp_path: Path, stack: NDArray[np.uint16], labels: list[str], both: list[Any], run: Run
) -> list[dict[str, dict[str, Any]]]:
    """Judge one image with `run` and with `watch`; return the records of each by their names."""
    for name in ("run", "watch"):
        (tmp_path / name).mkdir()
        raw = tmp_path / name / "x.tif"
        tifffile.imwrite(raw, stack, imagej=True, metadata={"axes": "ZCYX", "Labels": labels * len(stack)})
        (tmp_path / name / "x.tif.done").touch()

    run_code, _, err = run("run", tmp_path / "run", *both)
    assert run_code == 0, err
    command = [sys.executable, "-c", "from colvi_edge.cli import main; main()", "watch", tmp_path / "watch"]
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
    once = [*command, "--once", "--marker", ".done", *both]
    watched = subprocess.run(
        list(map(str, once)), env=environment, capture_output=True, text=True, timeout=120
    )
    assert watched.returncode == 0, watched.stderr
    return [
        {path.name: json.loads(path.read_bytes()) for path in (tmp_path / name).glob("*.json")}
        for name in ("run", "watch")
    ]


@pytest.mark.parametrize("planes_of", ["each"], indirect=True)
def test_who_lends_may_ask_for_another_channel(
    tmp_path: Path, bundles: dict[str, Bundle], stack: NDArray[np.uint16], run: Run
) -> None:
    """Muscles are outlined in a stain of their own; by `watch`, and where the outlines were kept, too."""
    scale = {"kind": "scale", "divisor": 1000.0, "dtype": "uint16"}
    outlining = windowed_bundle(
        tmp_path / "muscles.colvi",
        {"fp32": to_onnx(Outlining(), 1, 64)},
        {"px": 64, "halo_px": 8, "step_px": 8},
        scale,
        channels=[{"role": "muscle", "names": ["laminin"]}],
        classes=("background", "muscle"),
    )
    muscles = on_disk(with_input(outlining, planes="each"), "muscles")
    place = Path(shutil.copytree(bundles["slices"].path, tmp_path / "slices.colvi"))
    mask = Mask(bundle=muscles.name, sha256=muscles.sha256)
    on_disk(replace(with_input(bundles["slices"], mask=mask), path=place), "slices")
    both = ["--bundle", place, "--bundle", muscles.path]
    planes = stack[:, [0, 0, 1]]

    records = run_and_watch(tmp_path, planes, ["laminin", "Collagen VI", "DAPI"], both, run)
    for record in records:
        assert {name: one["status"] for name, one in record.items()} == {
            "x.tif.colvi.json": "ok",
            "x.tif.muscles.colvi.json": "ok",
        }
    votes = [record["x.tif.colvi.json"]["votes"] for record in records]
    assert votes[0] == votes[1]

    (tmp_path / "run" / "x.tif.colvi.json").unlink()
    assert run("run", tmp_path / "run", "--stale", *both)[0] == 0
    again = json.loads((tmp_path / "run" / "x.tif.colvi.json").read_bytes())
    assert again["votes"] == votes[0]


@pytest.mark.parametrize("planes_of", ["each"], indirect=True)
def test_run_and_watch_lend_regions_alike(
    tmp_path: Path, bundles: dict[str, Bundle], stack: NDArray[np.uint16], run: Run
) -> None:
    """Both results of an image beside it; that of the masked bundle is of what was outlined."""
    places = {
        slot: Path(shutil.copytree(bundles[slot].path, tmp_path / f"{slot}.colvi")) for slot in ("", "slices")
    }
    muscles = on_disk(replace(bundles[""], path=places[""]), "muscles")
    mask = Mask(bundle=muscles.name, sha256=muscles.sha256)
    on_disk(replace(with_input(bundles["slices"], mask=mask), path=places["slices"]), "slices")
    both = [word for place in places.values() for word in ("--bundle", place)]
    records = run_and_watch(tmp_path, stack, ["Collagen VI", "DAPI"], both, run)
    assert records[0].keys() == records[1].keys() == {"x.tif.colvi.json", "x.tif.slices.colvi.json"}
    for name, record in records[0].items():
        of_watch = records[1][name]
        same = record.keys() - {"created", "timings_ms", "outputs", "image", "engine"}
        assert {key: record[key] for key in same} == {key: of_watch[key] for key in same}
    (region,) = records[0]["x.tif.colvi.json"]["regions"]
    assert region["pixels"] == np.count_nonzero(stack[:, 0] > LIMIT)
    assert records[0]["x.tif.slices.colvi.json"]["slot"] == "slices"
