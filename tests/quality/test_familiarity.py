"""What is unlike the training is rejected; the sick, and other days, are not.

The limits are those of the shipped bundle; `benchmarks/` draws other things, and tries more of them.
"""

import importlib
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from scipy.stats import skew

from colvi_edge.acquisition import Acquisition
from colvi_edge.bundle import DEMO, Bundle, open_bundle
from colvi_edge.bundle.expected import Expected, Familiarity, FamiliarityLimits, MeasureName
from colvi_edge.bundle.opening import MANIFEST
from colvi_edge.errors import BundleError
from colvi_edge.quality import assess
from colvi_edge.quality.familiarity import (
    FLOOR,
    STRUCTURE,
    WORDS,
    Familiar,
    Measure,
    distances,
    remoteness,
    speckle,
    straight_lines,
    structure,
    unfamiliar,
    whitening,
)
from colvi_edge.quality.measures import binned, channel_statistics, halved
from colvi_edge.simulate import simulate_planes, simulate_projection
from tests.tools.bundles import edit_config

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EXPECTED = Expected(pixel_size_um=0.3, planes=10)
FAMILIAR = Familiar.of(open_bundle(DEMO))
NAMES: tuple[MeasureName, ...] = get_args(MeasureName)


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    """The scripts in `benchmarks/` that draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        found = {name: importlib.import_module(name) for name in ("defects", "fluorescence", "strangers")}
        # Of one seed all kinds have the same nuclei.
        patch.setattr(found["fluorescence"], "simulate_projection", cache(simulate_projection))
        yield found


@pytest.fixture(scope="module")
def acquired(modules: dict[str, ModuleType]) -> Callable[..., Acquisition]:
    """Makes an acquisition of planes (Z, 2, H, W), channels (nuclei, collagen)."""
    made: Callable[..., Acquisition] = modules["defects"].acquired
    return made


@pytest.fixture(scope="module")
def cultures() -> dict[str, NDArray[np.uint16]]:
    """Projections: a control, a mild, a severe and a most severe patient, easy and difficult."""
    return {
        "control": simulate_projection("control", 21, difficulty=0.0),
        "difficult control": simulate_projection("control", 22, difficulty=1.0),
        "mild": simulate_projection("patient", 23, severity=0.2),
        "severe": simulate_projection("patient", 24, severity=0.8),
        "most severe": simulate_projection("patient", 25, severity=1.0, difficulty=0.0),
    }


def rejections(image: Acquisition, familiar: Familiar | None = FAMILIAR) -> dict[str, str]:
    """Why an image is rejected: words by the flag's name."""
    flags = assess(image, EXPECTED, 64, familiar).flags
    return {flag.name: flag.words for flag in flags if flag.severity == "reject"}


# --- Other days, and the sick ---------------------------------------------------------------------


@pytest.mark.parametrize("size_px", [256, 384, 512, 1024])
def test_a_part_of_a_field_is_familiar(
    cultures: dict[str, NDArray[np.uint16]], acquired: Callable[..., Acquisition], size_px: int
) -> None:
    """In which everything varies more: there are fewer nuclei to take the mean of."""
    for planes in cultures.values():
        for top, left in {(0, 0), (1024 - size_px, 300 * (size_px < 512)), (1024 - size_px,) * 2}:
            image = acquired(planes[np.newaxis, :, top : top + size_px, left : left + size_px])
            assert "unfamiliar" not in rejections(image)


def test_four_fields_side_by_side_are_familiar(acquired: Callable[..., Acquisition]) -> None:
    """A larger field is no other culture."""
    planes = simulate_projection("patient", 3, size_px=2048)

    assert rejections(acquired(planes[np.newaxis])) == {}


def test_a_stack_measures_as_its_sum(acquired: Callable[..., Acquisition]) -> None:
    """To the last digits of floats."""
    stack = simulate_planes("patient", 4)
    images = acquired(stack), acquired(stack.sum(axis=0, keepdims=True, dtype=np.uint16))

    measures = [assess(image, EXPECTED, 64, FAMILIAR).measures for image in images]

    assert [one.value for one in measures[0]] == pytest.approx([one.value for one in measures[1]], rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_a_bare_half_is_not_unfamiliar(
    cultures: dict[str, NDArray[np.uint16]],
    acquired: Callable[..., Acquisition],
    modules: dict[str, ModuleType],
    seed: int,
) -> None:
    """Cells may let go of the glass because they are ill; bare glass has a structure of its own."""
    (bare,) = (each for each in modules["defects"].DEFECTS if each.name == "half-empty field" and each.strong)

    for number, planes in enumerate(cultures.values()):
        half = bare.spoil(acquired(planes[np.newaxis]), np.random.default_rng([seed, number]))
        assert rejections(half) == {}


@pytest.mark.parametrize("name", ["control", "difficult control", "mild", "severe", "most severe"])
@settings(max_examples=12, deadline=None)
@given(
    kept=st.floats(0, 1),
    bled=st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.4]),
    in_cells=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    around_px=st.floats(6, 30),
    counts_per_photon=st.sampled_from([4.0, 1.0, 0.25]),
    seed=st.integers(0, 2**32),
)
def test_the_disease_is_never_unfamiliar(
    cultures: dict[str, NDArray[np.uint16]],
    acquired: Callable[..., Acquisition],
    name: str,
    kept: float,
    bled: float,
    in_cells: float,
    around_px: float,
    counts_per_photon: float,
    seed: int,
) -> None:
    """Less of the network, light of the nuclei in it, collagen kept in and around the cells, or nothing."""
    nuclei, collagen = cultures[name].astype(np.float64)
    bright = (nuclei - np.median(nuclei)).clip(0)
    light = kept * collagen + bled * bright + in_cells * gaussian_filter(bright, around_px)
    recorded = np.random.default_rng(seed).poisson(light / counts_per_photon + 30) * counts_per_photon
    planes = np.stack([nuclei, recorded])[np.newaxis].clip(0, 65535).astype(np.uint16)

    assert rejections(acquired(planes)) == {}


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(["control", "difficult control", "mild", "severe", "most severe"]),
    gain=st.tuples(st.floats(0.3, 1.5), st.floats(0.3, 1.5)),
    offset=st.tuples(st.floats(0, 3000), st.floats(0, 3000)),
    turn=st.integers(0, 3),
    mirrored=st.booleans(),
)
def test_gain_offset_and_orientation_change_nothing(
    cultures: dict[str, NDArray[np.uint16]],
    acquired: Callable[..., Acquisition],
    name: str,
    gain: tuple[float, float],
    offset: tuple[float, float],
    turn: int,
    mirrored: bool,
) -> None:
    """Of no measure more than the rounding to whole counts does."""
    planes = cultures[name].astype(np.float64)
    changed = planes * np.reshape(gain, (2, 1, 1)) + np.reshape(offset, (2, 1, 1))
    changed = np.rot90(changed[..., ::-1] if mirrored else changed, turn, axes=(1, 2))

    one, other = (
        assess(acquired(np.ascontiguousarray(image)[np.newaxis]), EXPECTED, 64, FAMILIAR).measures
        for image in (planes, np.rint(changed))
    )

    assert [measure.value for measure in one] == pytest.approx([measure.value for measure in other], rel=0.05)


# --- What is not the assay ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["lysosomes", "Golgi", "membranes", "foci in nuclei", "tissue", "bacteria", "beads", "neurons"],
)
def test_other_fluorescence_is_rejected(
    modules: dict[str, ModuleType], acquired: Callable[..., Acquisition], kind: str
) -> None:
    """Also where the nuclei are as they should be."""
    for seed in (100, 101):  # others than those that limits were chosen on
        picture = modules["fluorescence"].DRAWN[kind](np.random.default_rng(seed))
        planes = np.ascontiguousarray(picture[..., [2, 1]].transpose(2, 0, 1))[np.newaxis]
        assert set(rejections(acquired(planes))) == {"unfamiliar"}
        assert set(rejections(acquired(planes.astype(np.uint16) * 257))) == {"unfamiliar"}


def _ruled(planes: NDArray[Any]) -> None:
    planes[:, 500:508] = 8000  # in both channels, as a line between two panels


def _smaller(planes: NDArray[Any]) -> None:
    planes[0] = np.tile(planes[0, ::2, ::2], (2, 2))


def _uneven(planes: NDArray[Any]) -> None:
    planes[0] = planes[0] * np.linspace(0.2, 3, 1024)


def _flat(planes: NDArray[Any]) -> None:
    planes[0] = np.where(planes[0] > 4000, 12000, planes[0])


def _dotted(planes: NDArray[Any]) -> None:
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 1024, (2, 3000))
    planes[1] = rng.poisson(100, planes[1].shape)
    planes[1, y, x] = 30000


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_ruled, "straight lines run along rows or columns"),
        (_smaller, "nuclei, or what passes for them, are smaller"),
        (_uneven, "between the nuclei it is not evenly dark"),
        (_flat, "what passes for nuclei is too evenly bright"),
        (_dotted, "what the collagen channel shows is structured otherwise"),
    ],
)
def test_the_words_say_what_is_off(
    cultures: dict[str, NDArray[np.uint16]],
    acquired: Callable[..., Acquisition],
    spoil: Callable[[NDArray[Any]], None],
    words: str,
) -> None:
    """With the measure, its limit and what to look at."""
    planes = cultures["control"].copy()
    spoil(planes)

    told = rejections(acquired(planes[np.newaxis]))["unfamiliar"]

    assert words in told
    assert "familiar up to" in told or "familiar from" in told
    assert "doctor --image" in told


def test_without_a_measure_of_the_training_there_is_a_warning(
    cultures: dict[str, NDArray[np.uint16]], acquired: Callable[..., Acquisition]
) -> None:
    """Old bundles judge as they did, and say what they do not know; what is rejected anyway is only that."""
    found = assess(acquired(cultures["mild"][np.newaxis]), EXPECTED, 64, None)
    dark = assess(acquired(np.ones((1, 2, 256, 256), np.uint16)), EXPECTED, 64, None)

    assert [(flag.name, flag.severity) for flag in found.flags] == [("familiarity_unknown", "warn")]
    assert "--calibration" in found.flags[0].words
    assert found.measures == dark.measures == []
    assert {flag.name for flag in dark.flags} == {"nuclei_constant", "collagen_constant"}


# --- What is measured -----------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(height=st.integers(16, 70), width=st.integers(16, 70), seed=st.integers(0, 2**32))
def test_the_structure_is_that_of_means_of_blocks(height: int, width: int, seed: int) -> None:
    """Shares of the variance between means of blocks of one size and of twice that; skewness; correlation."""
    rng = np.random.default_rng(seed)
    fine = rng.gamma(1, 100, (64 * 4, 64 * 6))[: 4 * (height // 4), : 4 * (width // 4)]
    nuclei = rng.gamma(1, 100, halved(fine).shape)

    found = structure(nuclei, fine)

    def blocks(size: int) -> NDArray[Any]:
        h, w = (length // size for length in fine.shape)
        return fine[: h * size, : w * size].reshape(h, size, w, size).mean(axis=(1, 3)) - fine.mean()

    means = [blocks(2**k) for k in range(7) if min(fine.shape) >= 2**k]
    power = [float(np.mean(mean**2)) for mean in means] + [0.0] * (7 - len(means))
    shares = -np.diff(power)[:5] / (power[0] - power[6])
    assert found[:5] == pytest.approx(np.log(np.maximum(shares, FLOOR)), abs=1e-6)
    for k in (1, 2, 3):
        about_the_mean = means[k] if k < len(means) else None
        third = 0.0 if about_the_mean is None else float(np.mean(about_the_mean**3)) / power[k] ** 1.5
        assert found[4 + k] == pytest.approx(third, abs=1e-6)
    if not {0, 1} & {height % 8 // 4, width % 8 // 4} - {0}:  # whole blocks: their mean is the field's
        assert found[5] == pytest.approx(skew(means[1], axis=None), abs=1e-6)
        assert found[-1] == pytest.approx(np.corrcoef(nuclei.ravel(), means[1].ravel())[0, 1], abs=1e-6)


@pytest.mark.parametrize("planes", [np.zeros((1, 64, 64), np.uint16), np.full((1, 256, 64), 7.5, np.float32)])
def test_a_constant_has_a_structure_all_the_same(planes: NDArray[Any]) -> None:
    """Finite numbers, for whoever measures training images."""
    fine = binned(planes)

    assert np.isfinite(structure(halved(fine), fine)).all()
    assert speckle(channel_statistics(planes)) == 0
    assert straight_lines(channel_statistics(planes)) == 1


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 60), seed=st.integers(0, 2**32))
def test_distances_are_those_of_mahalanobis(n: int, seed: int) -> None:
    """Over the root of the dimensions; of few images, covariances are believed little."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 1, (n, STRUCTURE)) @ rng.normal(0, 1, (STRUCTURE, STRUCTURE))
    others = rng.normal(0, 3, (7, STRUCTURE))

    found = distances(others, images, whitening(images))

    covariance = np.cov(images.T)
    believed = n / (n + STRUCTURE)
    mixed = believed * covariance + (1 - believed) * np.diag(np.diag(covariance))
    wanted = cdist(others, images, "mahalanobis", VI=np.linalg.inv(mixed)) / STRUCTURE**0.5
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("width_px", [4, 8, 60])
def test_a_white_line_across_the_field_is_seen(
    cultures: dict[str, NDArray[np.uint16]], axis: int, width_px: int
) -> None:
    """Along rows or columns, thin or thick; the light of a dead cell is not."""
    nuclei = cultures["control"][:1]
    usual = straight_lines(channel_statistics(nuclei))
    ruled, dead = nuclei.copy(), nuclei.copy()
    np.moveaxis(ruled, axis + 1, 0)[400 : 400 + width_px] = 40000
    dead[:, 300:364, 300:364] = 40000

    assert straight_lines(channel_statistics(ruled)) > 3 * usual
    assert straight_lines(channel_statistics(dead)) < 2.6 * usual


def test_remoteness_is_one_at_the_limits() -> None:
    """0 at the typical value; beyond a limit unfamiliar, the farther the more, whatever the scale."""
    assert FAMILIAR is not None
    for name in NAMES:
        limits = FAMILIAR.limits[name]

        def at(value: float, name: MeasureName = name, limits: FamiliarityLimits = limits) -> Measure:
            return Measure(name, value, limits.low, limits.typical, limits.high)

        assert remoteness(at(limits.typical)) == pytest.approx(0, abs=1e-9)
        assert remoteness(at(limits.high)) == pytest.approx(1)
        assert remoteness(at(limits.low)) == pytest.approx(1)
        assert 1 < remoteness(at(limits.high * 1.01)) < remoteness(at(limits.high * 2))
        assert [one.value for one in unfamiliar([at(limits.high), at(limits.high * 1.01)])] == [
            limits.high * 1.01
        ]
    far, farther = (Measure(NAMES[k], 10.0 + k, 1.0, 2.0, 3.0) for k in (0, 1))
    assert unfamiliar([far, farther])[0] is max((far, farther), key=remoteness)


def test_every_measure_has_words() -> None:
    """For people, on either side on which it can lie outside."""
    assert FAMILIAR is not None
    assert set(WORDS) == set(NAMES) == set(FAMILIAR.limits)
    for name, said in WORDS.items():
        assert said.what
        assert said.too_high
        assert said.too_low or FAMILIAR.limits[name].low == 0  # nothing is less than 0


# --- In a bundle ----------------------------------------------------------------------------------


def changed(bundle: Path, references: bytes | None = None, **config: Any) -> Bundle:
    """The bundle with other references or another manifest, sealed again."""
    if references is not None:
        (bundle / "familiarity.npy").write_bytes(references)
    edit_config(bundle, **config)
    return open_bundle(bundle)


def npy(array: NDArray[Any]) -> bytes:
    """The array as a file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "references",
    [
        b"",
        b"no array",
        npy(np.zeros((168, STRUCTURE), np.float32))[:-4],
        npy(np.zeros((167, STRUCTURE), np.float32)),
        npy(np.zeros((168, STRUCTURE + 1), np.float32)),
        npy(np.zeros((168, STRUCTURE), np.float64)),
        npy(np.zeros(168 * STRUCTURE, np.float32)),
        npy(np.full((168, STRUCTURE), np.nan, np.float32)),
        npy(np.array([{}], object)),
    ],
    ids=["empty", "text", "short", "few", "wide", "float64", "flat", "nan", "pickle"],
)
def test_references_that_no_export_writes_are_refused(copied_bundle: Path, references: bytes) -> None:
    """By name; nothing of them is run."""
    with pytest.raises(BundleError, match=r"familiarity\.npy.*export again"):
        Familiar.of(changed(copied_bundle, references))


def test_a_bundle_of_schema_1_has_none(copied_bundle: Path) -> None:
    """It is read as ever; with a key of schema 2 it is no bundle."""
    manifest = yaml.safe_load((copied_bundle / MANIFEST).read_text())
    limits = manifest["config"]["colvi_edge"]["familiarity"]
    old = changed(copied_bundle, schema_version=1, expected={"pixel_size_um": 0.3}, familiarity=None)

    assert Familiar.of(old) is None
    assert old.config.expected.patches_at_least == 16
    for keys in ({"familiarity": limits}, {"familiarity": None, "expected": {"patches_at_least": 4}}):
        with pytest.raises(BundleError, match="schema 1 has no"):
            changed(copied_bundle, **keys)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda plain: plain["limits"].pop("nuclei_size"), "limits lack nuclei_size"),
        (lambda plain: plain["limits"]["nuclei_size"].update(low=99), "low <= typical <= high"),
        (lambda plain: plain["limits"]["nuclei_size"].update(high=float("inf")), "finite"),
        (lambda plain: plain.update(images=3), "images"),
        (lambda plain: plain.update(pixels=0), "pixels"),
        (lambda plain: plain.update(task="segment"), "task"),
    ],
)
def test_limits_that_make_no_sense_are_refused(spoil: Callable[[dict[str, Any]], Any], words: str) -> None:
    """Before an image is compared with them."""
    carried = open_bundle(DEMO).config.familiarity
    assert carried is not None
    plain = carried.model_dump()
    spoil(plain)

    with pytest.raises(ValueError, match=words):
        Familiarity.model_validate(plain)


def test_few_patches_are_those_of_the_bundle(
    cultures: dict[str, NDArray[np.uint16]], acquired: Callable[..., Acquisition]
) -> None:
    """How many a majority needs is the bundle's to say."""
    image = acquired(cultures["control"][np.newaxis, :, :320, :320])

    def told(at_least: int) -> set[str]:
        expected = replace_expected(patches_at_least=at_least)
        return {flag.name for flag in assess(image, expected, 64, FAMILIAR).flags}

    assert "few_patches" not in told(25)
    assert "few_patches" in told(26)


def replace_expected(**changes: Any) -> Expected:
    """EXPECTED, with changes."""
    return EXPECTED.model_copy(update=changes)


def test_the_channel_order_does_not_matter(
    cultures: dict[str, NDArray[np.uint16]], acquired: Callable[..., Acquisition]
) -> None:
    """Roles decide, not places."""
    image = acquired(cultures["mild"][np.newaxis])
    turned = replace(image, planes=image.planes[:, ::-1], channels=("collagen", "nuclei"))

    assert assess(image, EXPECTED, 64, FAMILIAR) == assess(turned, EXPECTED, 64, FAMILIAR)
