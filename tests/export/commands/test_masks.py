"""`train` and `evaluate` on images with masks, as a user calls them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import tifffile
from scipy import ndimage

from colvi_edge.bundle import demo_path, open_bundle
from colvi_edge.choices import DEMO_NUCLEI, EngineName, PrecisionChoice
from colvi_edge.export.evaluation.outlining import open_outliner
from colvi_edge.export.reading.checkpoint import NUCLEI_CHECKPOINT, load_checkpoint
from colvi_edge.pipeline.sizing import Size
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.simulate.images import PIXEL_SIZE_UM
from tests.tools.bundles import edit_task_config
from tests.tools.masks import put_blobs
from tests.tools.outlining_bundles import outlining_bundle

Run = Callable[..., tuple[int, str, str]]

WORDS = ("--input", "nuclei", "--classes", "background,blob", "--learning-rate", "0.02")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train a small network on small windows: a step of the real ones takes a second."""
    monkeypatch.setattr("colvi_edge.export.training.segment.WINDOW_PX", 32)
    parameters = {"depth": 1, "base": 4, "norm": "batch", "up": "nearest"}
    monkeypatch.setattr("colvi_edge.export.commands.train_masks.PARAMETERS", parameters)
    monkeypatch.setattr("colvi_edge.export.commands.train_masks.BATCH", 4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images."""
    return put_blobs(tmp_path_factory.mktemp("blobs"), range(10))


@pytest.fixture
def trained(dataset: Path, tmp_path: Path, run: Run) -> tuple[Path, dict[str, Any], str]:
    """A model, what was printed as JSON, and what was told."""
    model = tmp_path / "m.pt"
    code, out, err = run("train", dataset, "-o", model, *WORDS, "--epochs", 4, "--json")
    assert code == 0
    return model, orjson.loads(out), err


def test_a_network_is_trained_and_tested_on_others(
    trained: tuple[Path, dict[str, Any], str], dataset: Path, run: Run, tmp_path: Path
) -> None:
    """It finds blobs, and it is told which images were for what; `evaluate` counts only those not seen."""
    model, record, told = trained
    (blob,) = record["regions"]
    (division,) = record["divisions"]

    assert blob["name"] == "blob"
    assert blob["pooled"]["dice"] > 0.9
    assert record["objects"]["pooled"]["there"] == sum(
        int(tifffile.imread(dataset / "masks" / Path(name).name).max()) for name in division["test"]
    )
    assert [len(division[part]) for part in ("training", "validation", "test")] == [7, 1, 2]
    assert [image["name"] for image in record["images"]] == division["test"]
    assert "7 images to learn from, 1 to choose the epoch, 2 to test on" in told
    assert "epoch 4 of 4: loss " in told
    assert " and Dice 0." in told
    assert load_checkpoint(model).training["split"] == {"training": 7, "validation": 1, "test": 2}

    page = tmp_path / "page.html"
    code, out, err = run("evaluate", model, dataset, "--json", "--html", page)
    again = orjson.loads(out)
    assert code == 0
    assert "8 of 10 images are not judged: the model has learnt from them" in err
    assert again["regions"] == record["regions"]
    assert again["objects"] == record["objects"]
    assert f"{blob['pooled']['dice']:.3f}" in page.read_text()

    code, out, _ = run("evaluate", model, dataset)
    assert code == 0
    assert f"{blob['pooled']['dice']:.3f}" in out
    assert "m, fp32, torch" in out


def test_the_same_command_does_not_train_twice(
    trained: tuple[Path, dict[str, Any], str], dataset: Path, run: Run
) -> None:
    """It tests again; other settings are told and nothing is lost."""
    model, record, _ = trained
    before = model.read_bytes()

    code, out, err = run("train", dataset, "-o", model, *WORDS, "--epochs", 4, "--json")
    assert code == 0
    assert "already trained" in err
    assert orjson.loads(out)["regions"] == record["regions"]
    code, _, err = run("train", dataset, "-o", model, *WORDS, "--epochs", 5)
    assert code == 2
    assert "epochs 4 then, 5 now" in err
    assert model.read_bytes() == before


def test_all_folds_together_test_each_image_once(dataset: Path, run: Run, tmp_path: Path) -> None:
    """Three networks, one record."""
    words = (*WORDS, "--epochs", 1, "--folds", 3, "--json")
    code, out, _ = run("train", dataset, "-o", tmp_path / "m.pt", *words)
    record = orjson.loads(out)

    assert code == 0
    assert sorted(image["name"] for image in record["images"]) == [f"images/{k:02}.tif" for k in range(10)]
    assert len(record["divisions"]) == 3
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["m.fold-2.pt", "m.fold-3.pt", "m.pt"]


def test_channels_of_any_role_are_learnt_from_and_judged(dataset: Path, run: Run, tmp_path: Path) -> None:
    """Images of one channel, which is what the network asks for; a checkpoint, and a bundle by its names."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, planes, labels in ((one, slice(1), {}), (two, slice(2), {"Labels": ["WGA", "Cy5"]})):
        shutil.copytree(dataset / "masks", folder / "masks")
        (folder / "images").mkdir()
        for path in (dataset / "images").iterdir():
            pixels = tifffile.imread(path)[planes]
            tifffile.imwrite(
                folder / "images" / path.name, pixels, imagej=True, metadata={"axes": "CYX", **labels}
            )
    words = ("--input", "membrane", "--learning-rate", "0.02", "--epochs", 1)

    code, out, err = run("train", one, "-o", tmp_path / "m.pt", *words, "--json")

    assert code == 0, err
    assert len(orjson.loads(out)["images"]) == 2
    assert load_checkpoint(tmp_path / "m.pt").channels == ("membrane",)
    code, out, err = run("evaluate", tmp_path / "m.pt", one, "--json")
    assert code == 0, err
    assert len(orjson.loads(out)["images"]) == 2

    bundle = outlining_bundle(tmp_path / "bright.colvi")
    asked = open_bundle(bundle).config.input.model_dump(mode="json", exclude_none=True)
    channels = [{"role": "actin", "names": ["Cy5"]}, {"role": "membrane", "names": ["WGA"]}]
    edit_task_config(bundle, input=asked | {"channels": channels})
    code, out, err = run("evaluate", bundle, two, "--json")
    assert code == 0, err
    assert len(orjson.loads(out)["images"]) == 10


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--baselines",), "--baselines judge patches with labels"),
        (("--classes", "background,a,b"), "found 2 classes in the masks"),
        (("--folds", "11"), "found 10 files, too few for 11 folds; expected 11: add 1, "),
    ],
)
def test_what_does_not_fit_masks_is_said(
    dataset: Path, run: Run, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    """Before anything is trained."""
    code, _, err = run("train", dataset, "-o", tmp_path / "m.pt", *words)

    assert code == 2
    assert why in err
    assert not list(tmp_path.glob("m.pt*"))


def test_images_are_brought_to_the_size_that_a_bundle_asks_for(run: Run, tmp_path: Path) -> None:
    """What is held against the mask is what `run` outlines, at the pixels of the image."""
    rng = np.random.default_rng(5)
    pixels = ndimage.gaussian_filter(rng.uniform(0, 600, (2, 96, 128)), (0, 1, 1)).astype(np.uint16)
    truth = ndimage.label(pixels[1] > 310)[0].astype(np.uint16)
    write_imagej(tmp_path / "set/images/a.tif", pixels[::-1])
    (tmp_path / "set/masks").mkdir()
    tifffile.imwrite(tmp_path / "set/masks/a.tif", truth, photometric="minisblack")
    dices = []
    for name, size_um in (("own", None), ("large", 2 * PIXEL_SIZE_UM)):
        bundle = outlining_bundle(tmp_path / f"{name}.colvi")
        if size_um:
            asked = open_bundle(bundle).config.input.model_dump(mode="json", exclude_none=True)
            edit_task_config(bundle, input=asked | {"pixel_size_um": size_um})
        code, _, err = run(
            "run", tmp_path / "set/images", "--bundle", bundle, "--output-dir", tmp_path / name
        )
        assert code == 0, err
        found = tifffile.imread(tmp_path / name / "a.tif.colvi.labels.tif") > 0

        code, out, err = run("evaluate", bundle, tmp_path / "set", "--json")

        assert code == 0, err
        dices.append(orjson.loads(out)["regions"][0]["pooled"]["dice"])
        both = np.count_nonzero(found) + np.count_nonzero(truth)
        assert dices[-1] == pytest.approx(2 * np.count_nonzero(found & (truth > 0)) / both)
    assert dices[1] < dices[0] - 0.01


def test_a_checkpoint_brings_images_to_its_size_as_its_bundle_does(tmp_path: Path) -> None:
    """The network of nuclei on one whose pixels are as large as two: alike but for rounding."""
    planes = simulate_projection("control", 7, size_px=256)[np.newaxis, :1]
    size = Size(512, 512)
    with open_outliner(DEMO_NUCLEI, EngineName.AUTO, PrecisionChoice.FP32) as outliner:
        of_bundle = outliner.outline(planes, size).labels
    with open_outliner(str(NUCLEI_CHECKPOINT), EngineName.AUTO, PrecisionChoice.AUTO) as outliner:
        found, as_it_is = (outliner.outline(planes, asked).labels for asked in (size, None))

    assert found.shape == (1, 256, 256)
    assert (found == of_bundle).mean() > 0.9999
    assert (as_it_is == of_bundle).mean() < 0.999


@pytest.mark.parametrize("has_masks", [False, True])
def test_a_bundle_that_sees_only_the_regions_of_another_is_refused(
    dataset: Path, run: Run, tmp_path: Path, has_masks: bool
) -> None:
    """Alone it would judge what lies outside, too; with labels and with masks alike."""
    bundle = tmp_path / "inner.colvi"
    if has_masks:
        outlining_bundle(bundle)
    else:
        shutil.copytree(demo_path(), bundle)
    asked = open_bundle(bundle).config.input.model_dump(mode="json", exclude_none=True)
    edit_task_config(bundle, input=asked | {"mask": {"bundle": "muscles", "sha256": "5" * 64}})

    code, out, err = run("evaluate", bundle, dataset if has_masks else tmp_path)

    assert (code, out) == (2, "")
    assert "sees only the regions of muscles (SHA-256 555555555555...), and is evaluated alone" in err


def test_models_and_truths_of_two_kinds_do_not_mix(
    trained: tuple[Path, dict[str, Any], str], dataset: Path, run: Run, tmp_path: Path
) -> None:
    """A classifier on masks, an outliner on labels, words of masks on labels."""
    model, _, _ = trained
    labelled = tmp_path / "labelled"
    for name in ("control", "patient"):
        (labelled / name).mkdir(parents=True)
        (labelled / name / f"{name}.tif").write_bytes((dataset / "images/00.tif").read_bytes())

    for words, why in (
        (("evaluate", "demo", dataset), "demo classifies, and masks are no truth for it"),
        (("evaluate", model, labelled), "outlines regions"),
        (("train", labelled, "-o", tmp_path / "x.pt", "--input", "nuclei"), "the dataset has none"),
        (("evaluate", model, dataset, "--network", "paper"), "leave --network"),
        (("evaluate", model, dataset, "--precision", "int8"), "torch judges it in fp32"),
    ):
        code, _, err = run(*words)
        assert code == 2, words
        assert why in err
