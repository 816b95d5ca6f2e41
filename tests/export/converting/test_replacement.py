"""What an export may put in the place of a bundle: the very model, and nothing is lost unsaid."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from colvi_edge.bundle import Precision, open_bundle
from colvi_edge.errors import UsageError
from colvi_edge.export.converting.replacement import refuse_loss
from colvi_edge.export.networks.patch_cnn import Turned
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, Checkpoint
from colvi_edge.export.reading.model_file import read_model
from colvi_edge.patches import Normalisation

Command = Callable[..., tuple[int, str, str]]

EVERY: tuple[Precision, ...] = ("fp32", "fp16", "int8-trt", "int8-cpu")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demo's weights alone, which may be told anything."""
    path = tmp_path_factory.mktemp("bare") / "bare.pt"
    torch.save(torch.load(DEMO_CHECKPOINT, weights_only=True)["state_dict"], path)
    return path


@pytest.fixture(scope="module")
def demo() -> Checkpoint:
    """Return the checkpoint of the shipped bundle."""
    return read_model(DEMO_CHECKPOINT)


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        (
            lambda demo: {"network": Turned(demo.network), "temperature": 1.0},
            "its outputs in the other order (--classes), which gives the opposite diagnosis;",
        ),
        (lambda demo: {"activation": "sigmoid"}, "other probabilities made of its outputs (--outputs, or"),
        (lambda demo: {"temperature": 1.0}, "other probabilities made of its outputs (--outputs, or"),
        (lambda demo: {"normalisation": Normalisation("patch-channel")}, "another normalisation;"),
        (
            lambda demo: {"channels": ("nuclei", "collagen")},
            "channels collagen, nuclei (now nuclei, collagen);",
        ),
    ],
)
def test_the_same_weights_may_be_another_model(
    change: Callable[[Checkpoint], dict[str, Any]], differing: str, copied_bundle: Path, demo: Checkpoint
) -> None:
    """Whatever makes another diagnosis, or another score, of the same images is told by its name."""
    with pytest.raises(UsageError) as refused:
        refuse_loss(copied_bundle, replace(demo, **change(demo)), EVERY, calibrated=True)

    assert f"with the same weights but {differing}" in str(refused.value)
    assert refused.value.options == ("--force",)


def test_the_very_model_is_replaced(copied_bundle: Path, demo: Checkpoint) -> None:
    """Whole, or where there is nothing."""
    refuse_loss(copied_bundle, demo, EVERY, calibrated=True)
    refuse_loss(copied_bundle, demo, EVERY, calibrated=False)
    refuse_loss(copied_bundle.with_name("none.colvi"), demo, EVERY, calibrated=False)


@pytest.mark.usefixtures("without_kernels")
def test_swapped_classes_do_not_replace_a_bundle(run: Command, bare: Path, few: Path, tmp_path: Path) -> None:
    """As a user meets it: both exports of one file, the second one refused until it is forced."""
    bundle, unlabelled = tmp_path / "ts.colvi", tmp_path / "images"
    unlabelled.mkdir()
    for image in few.rglob("*.tif"):
        (unlabelled / image.name).write_bytes(image.read_bytes())
    told = ("--network", "paper", "--outputs", "softmax-logits", "--precision", "fp32", "--classes")
    order = ("export", bare, "-o", bundle, "--calibration", unlabelled, *told)
    assert run(*order, "control,patient")[0] == 0
    before = open_bundle(bundle).sha256
    code, _, err = run(*order, "patient,control")

    assert code == 2
    assert "the opposite diagnosis; name another folder with -o, or replace it by --force:" in err
    assert open_bundle(bundle).sha256 == before
    assert run(*order, "patient,control", "--force")[0] == 0
    assert open_bundle(bundle).sha256 != before


@pytest.mark.usefixtures("without_kernels")
def test_good_int8_is_not_lost_unsaid(run: Command, copied_bundle: Path, few: Path) -> None:
    """Without calibration images nothing passed goes; with --force it does."""
    before = open_bundle(copied_bundle).sha256
    code, _, err = run("export", DEMO_CHECKPOINT, "-o", copied_bundle)
    sentence, command = err.splitlines()

    assert code == 2
    assert "holds int8-cpu and int8-trt, measured and passed, which would be lost" in sentence
    assert "give them with --calibration DIR" in sentence
    assert command.endswith(" --force")
    assert open_bundle(copied_bundle).sha256 == before
    less = ("--precision", "fp32", "--calibration", few, "--force")
    assert run("export", DEMO_CHECKPOINT, "-o", copied_bundle, *less)[0] == 0
    assert [*open_bundle(copied_bundle).config.precisions] == ["fp32"]


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (
            "int8",
            "--precision int8: INT8 is calibrated on images, and none are given; give projections with ",
        ),
        ("fp32,int8", "--precision fp32,int8: INT8 is calibrated on images"),
        (
            "fp32,int8-cpu",
            "--precision fp32,int8-cpu: expected some of fp32, fp16, int8; int8 makes both, int8-cpu ",
        ),
    ],
)
def test_int8_that_is_asked_for_is_made_or_refused(
    precision: str, said: str, run: Command, tmp_path: Path
) -> None:
    """Never left out with exit code 0."""
    code, _, err = run("export", DEMO_CHECKPOINT, "-o", tmp_path / "net.colvi", "--precision", precision)

    assert code == 2
    assert err.startswith(f"colvi-edge: error: {said}")
    assert list(tmp_path.iterdir()) == []
