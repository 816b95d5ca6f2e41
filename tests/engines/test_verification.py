"""An engine that does not decide as the trained network does is refused, and what "as" means is counted."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.bundle.manifest import Verification
from colvi_edge.bundle.opening import MANIFEST
from colvi_edge.bundle.parity import Comparison
from colvi_edge.cli import main
from colvi_edge.engines import open_engine
from colvi_edge.errors import ParityError
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.tasks.classify.comparison import Tolerance, compare
from tests.tools.bundles import reseal
from tests.tools.engines import ENGINES

FAULTLESS = Comparison(
    patches=1000,
    broken=0,
    agreement=1.0,
    band_flips=0.0,
    diagnosis_flips=0,
    largest_dp=0.0,
    p99_dp=0.0,
    largest_dscore=0.0,
)


def probabilities(*p_control: float) -> NDArray[np.float32]:
    """Return (1, N, 2) of a softmax."""
    one = np.array(p_control, np.float32)
    return np.stack([one, 1 - one], axis=-1)[np.newaxis]


@pytest.fixture
def swapped(copied_bundle: Path, make_bundle: Callable[..., tuple[Bundle, Any]]) -> Path:
    """The demo bundle with the INT8 network of another, untrained model in place of its own."""
    stranger, _ = make_bundle(seed=5)
    (copied_bundle / "int8-cpu.onnx").write_bytes(stranger.network("fp32"))
    reseal(copied_bundle)
    return copied_bundle


def test_differences_are_counted_as_by_hand() -> None:
    """Three images of four patches; every number was worked out on paper."""
    reference = [
        probabilities(0.95, 0.8, 0.6, 0.2),  # 3 of 4 control
        probabilities(0.6, 0.6, 0.4, 0.4),  # 2 of 4: undecided
        probabilities(0.1, 0.1, 0.1, 0.1),  # none
    ]
    found = [
        probabilities(0.85, 0.8, 0.6, 0.2),  # another band, the same vote
        probabilities(0.6, 0.4, 0.4, 0.4),  # one vote: score 50 -> 25, unsure -> patient
        probabilities(0.6, 0.6, 0.6, 0.1),  # three votes: score 0 -> 75, patient -> control
    ]

    counted = compare(reference, found, Tolerance())

    assert counted.patches == 12
    assert counted.broken == 0
    assert counted.agreement == pytest.approx(8 / 12)
    assert counted.band_flips == pytest.approx(5 / 12)
    assert counted.diagnosis_flips == 1  # of the third image: the second was undecided
    assert counted.largest_dscore == 75
    assert counted.largest_dp == pytest.approx(0.5)
    # Of 24 differences six are 0.5 (three patches, two classes), which is more than 1 %.
    assert counted.p99_dp == pytest.approx(0.5)


def test_the_99th_percentile_leaves_out_the_rarest() -> None:
    """One patch of 200 that moves far is in the maximum alone."""
    reference = probabilities(*[0.9] * 200)
    found = reference.copy()
    found[0, 0] = 0.6, 0.4

    counted = compare([reference], [found], Tolerance())

    assert counted.largest_dp == pytest.approx(0.3)
    assert counted.p99_dp == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("controls", "flips"),
    [(48, 0), (49, 0), (50, 0), (51, 0), (52, 0), (47, 1), (53, 1)],
)
def test_only_decided_images_flip(controls: int, flips: int) -> None:
    """Within 2 points of 50 a diagnosis may change, the margin's end included; beyond it may not."""
    reference = probabilities(*[0.9] * controls, *[0.1] * (100 - controls))
    found = probabilities(*([0.1] * 100 if controls >= 50 else [0.9] * 100))

    assert compare([reference], [found], Tolerance()).diagnosis_flips == flips


@pytest.mark.parametrize("outputs", [(np.nan, 0.5), (np.inf, 0.0), (1.5, 0.5), (0.5, -0.5)])
def test_what_is_no_probability_is_a_fault_of_its_own(outputs: tuple[float, float]) -> None:
    """FP16 overflows to NaN; one such patch of a thousand must not pass among the others."""
    reference = probabilities(*[0.9] * 1000)
    found = reference.copy()
    found[0, 7] = outputs

    counted = compare([reference], [found], Tolerance())

    assert counted.broken == 1
    assert np.isfinite([counted.largest_dp, counted.p99_dp]).all()
    assert Tolerance().faults(counted) == ["1 patches get no probabilities, none may"]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"agreement": 0.9849}, "98.49% of votes agree, at least 98.50% must"),
        ({"largest_dscore": 2.1}, "a score moves by 2.1 points, at most 2 may"),
        ({"diagnosis_flips": 1}, "1 diagnoses flip, none may"),
        ({"broken": 2}, "2 patches get no probabilities, none may"),
    ],
)
def test_each_limit_stands_alone(spoilt: dict[str, float], said: str) -> None:
    """Whatever is beyond its limit is a fault, though all else is perfect."""
    assert Tolerance().faults(FAULTLESS.model_copy(update=spoilt)) == [said]


@pytest.mark.parametrize(
    "fine", [{"agreement": 0.985}, {"largest_dscore": 2.0}, {"band_flips": 0.5, "largest_dp": 0.9}]
)
def test_what_is_at_its_limit_passes(fine: dict[str, float]) -> None:
    """The limits are included, and bands and probabilities are told, not judged."""
    assert Tolerance().faults(FAULTLESS.model_copy(update=fine)) == []


@pytest.mark.parametrize("runtime", ENGINES)
def test_a_wrong_network_is_refused_by_name(swapped: Path, runtime: str) -> None:
    """Asked for INT8 it is an error that says which precision on which runtime."""
    with pytest.raises(
        ParityError, match=f"^int8-cpu on {runtime} [0-9.]+ does not decide .*--precision fp32"
    ):
        open_engine(open_bundle(swapped), runtime, "int8")


@pytest.mark.parametrize("runtime", [*ENGINES, "auto"])
def test_without_a_wish_fp32_takes_over_and_says_why(
    swapped: Path, demo_bundle: Bundle, runtime: str
) -> None:
    """The daemon starts all the same, and every sidecar tells why it is slower."""
    right = open_engine(demo_bundle, runtime)
    engine = open_engine(open_bundle(swapped), runtime)

    assert right.info.precision == "int8-cpu"
    assert engine.info.precision == "fp32"
    assert "fp32, because int8-cpu on" in engine.info.reason
    assert "votes agree, at least 98.50% must" in engine.info.reason


def test_there_is_nothing_to_fall_back_to_from_fp32(
    copied_bundle: Path, make_bundle: Callable[..., tuple[Bundle, Any]]
) -> None:
    """A bundle whose every network is wrong opens on no wish at all."""
    stranger, _ = make_bundle(seed=5)
    for name in ("fp32.onnx", "int8-cpu.onnx"):
        (copied_bundle / name).write_bytes(stranger.network("fp32"))
    reseal(copied_bundle)

    with pytest.raises(ParityError, match=r"^fp32 on openvino"):
        open_engine(open_bundle(copied_bundle))


def test_the_command_line_ends_with_5(
    swapped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, the exit code of parity, and nothing beside the image."""
    image = tmp_path / "images" / "a.tif"
    image.parent.mkdir()
    write_imagej(image, simulate_projection("control", 1, size_px=128))
    arguments = ["run", str(image), "--bundle", str(swapped), "--precision", "int8"]
    monkeypatch.setattr(sys, "argv", ["colvi-edge", *arguments])

    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == 5
    assert capsys.readouterr().err.startswith("colvi-edge: error: int8-cpu on openvino")
    assert [p.name for p in image.parent.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("runtime", ENGINES)
def test_a_bundle_without_a_verification_set_opens(copied_bundle: Path, runtime: str) -> None:
    """No image of an export may have had a clear vote; that alone is no reason to refuse the bundle."""
    manifest = yaml.safe_load((copied_bundle / MANIFEST).read_text())
    del manifest["config"]["colvi_edge"]["verification"]
    (copied_bundle / MANIFEST).write_text(yaml.safe_dump(manifest))
    reseal(copied_bundle)

    assert open_engine(open_bundle(copied_bundle), runtime).info.precision == "int8-cpu"


def test_verification_patches_have_clear_votes(demo_bundle: Bundle) -> None:
    """Rounding moves no vote of theirs: each class has p >= 0.75, and both are there."""
    verification = demo_bundle.config.verification
    assert isinstance(verification, Verification)
    expected = np.load(io.BytesIO(demo_bundle.read(verification.probabilities)))
    patches = np.load(io.BytesIO(demo_bundle.read(verification.patches)))

    assert expected.max(axis=1).min() >= 0.75
    assert np.bincount(expected.argmax(axis=1)).tolist() == [32, 32]
    assert patches.shape == (64, 2, 64, 64)
    assert patches.dtype == np.uint16
