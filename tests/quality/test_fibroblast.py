"""Quality flags: bad images are found, and the sick are never turned away.

The defects are those of benchmarks/quality.py, which tries them on many more images.
"""

import re
import runpy
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition
from colvi_edge.acquisition.model import Role
from colvi_edge.bundle import DEMO, open_bundle
from colvi_edge.bundle.expected import Expected
from colvi_edge.quality import Flag, assess
from colvi_edge.quality.familiarity import Familiar
from colvi_edge.quality.measures import (
    channel_statistics,
    chord_px,
    emptier_half,
    noise_at_nuclei,
    quantiles,
    relief,
    saturated_share,
    sharpness,
)
from colvi_edge.simulate import simulate_planes, simulate_projection

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "defects.py"))
DEFECTS = BENCHMARK["DEFECTS"]
acquired: Callable[..., Acquisition] = BENCHMARK["acquired"]
as_rgb: Callable[[Acquisition], Acquisition] = BENCHMARK["as_rgb"]
blurred: Callable[[NDArray[Any], float], NDArray[np.float64]] = BENCHMARK["blurred"]
resized: Callable[[NDArray[Any], float], NDArray[Any]] = BENCHMARK["resized"]

EXPECTED = Expected(pixel_size_um=0.3, planes=10)
PATCH_PX = 64
FAMILIAR = Familiar.of(open_bundle(DEMO))
SEVERITIES = (None, None, None, None, None, None, 0.0, 0.2, 0.5, 0.8, 1.0, 1.0)
SPOILT = (0, 7, 9, 11)  # of these: a control, a mild, a severe and a most severe patient


@pytest.fixture(scope="module")
def good() -> list[Acquisition]:
    """Six controls and six patients, mild to most severe."""
    return [
        acquired(
            simulate_projection("control" if severity is None else "patient", seed, severity=severity)[
                np.newaxis
            ]
        )
        for seed, severity in enumerate(SEVERITIES)
    ]


@pytest.fixture(scope="module")
def stack() -> Acquisition:
    """Ten planes of a most severe patient."""
    return acquired(simulate_planes("patient", 5, severity=1.0))


@pytest.fixture(scope="module")
def culture(good: list[Acquisition]) -> Acquisition:
    """A most severe patient."""
    return good[-1]


def found(
    acquisition: Acquisition, expected: Expected = EXPECTED, familiar: Familiar | None = FAMILIAR
) -> dict[str, Flag]:
    """The flags by name; without that which an old bundle raises on every image."""
    flags = {flag.name: flag for flag in assess(acquisition, expected, PATCH_PX, familiar).flags}
    if familiar is None:
        flags.pop("familiarity_unknown", None)
    return flags


def with_channel(acquisition: Acquisition, channel: int, pixels: NDArray[Any]) -> Acquisition:
    """The image with other pixels in one channel."""
    planes = acquisition.planes.copy()
    planes[0, channel] = pixels
    return replace(acquisition, planes=planes)


def discs(radius_px: float) -> NDArray[np.float64]:
    """Six times six discs of height 1, their rims smoothed over a pixel, everywhere in a bin."""
    y, x = np.mgrid[:546, :546] % 91 - 45
    return (radius_px + 0.5 - np.hypot(y, x)).clip(0, 1)


# --- The sick are not turned away -----------------------------------------------------------------


@pytest.mark.parametrize("image", range(len(SEVERITIES)))
def test_a_good_image_has_no_flag(good: list[Acquisition], image: int) -> None:
    """Control or patient, in 16 bits, as floats, as an 8-bit picture: nothing is said."""
    floats = replace(good[image], planes=good[image].planes.astype(np.float32) / 10)

    assert [found(form) for form in (good[image], as_rgb(good[image]), floats)] == [{}, {}, {}]


@pytest.mark.parametrize("role", ["unnamed", "named"])
@pytest.mark.parametrize(
    "collagen",
    [
        lambda nuclei, rng: rng.poisson(30, nuclei.shape),
        lambda nuclei, rng: rng.poisson(1000 + 8000 * (nuclei > 3000)),
        lambda nuclei, rng: rng.poisson(nuclei / 4),
        lambda nuclei, rng: rng.poisson(blurred(nuclei, 12).clip(0)),
        lambda nuclei, rng: rng.poisson(blurred(nuclei, 40).clip(0)),
    ],
    ids=["noise", "in the nuclei", "bleeds through", "in the cells", "around the cells"],
)
def test_no_collagen_is_no_reason_to_reject(culture: Acquisition, collagen: Any, role: str) -> None:
    """None at all, or all of it kept in the cells, where it looks like nuclei: that is the disease."""
    nuclei = culture.planes[0, 0]
    image = with_channel(culture, 1, collagen(nuclei, np.random.default_rng(0)))

    flags = found(replace(image, channels_assumed=role == "unnamed"))

    assert set(flags) <= ({"channels_assumed"} if role == "unnamed" else set())


@pytest.mark.parametrize("image", SPOILT)
@pytest.mark.parametrize("counts_per_photon", [4.0, 1.0, 0.25])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
def test_light_that_bleeds_through_is_judged(
    good: list[Acquisition], image: int, share: float, counts_per_photon: float
) -> None:
    """With few photons or many, in 16 bits and as an 8-bit picture: it has noise of its own."""
    light = good[image].planes[0, 0] * share / counts_per_photon
    bled = np.random.default_rng(image).poisson(light) * counts_per_photon
    recorded = with_channel(good[image], 1, np.rint(bled).astype(np.uint16))

    assert [found(form) for form in (recorded, as_rgb(recorded))] == [{}, {}]


# --- Two roles are two recordings -----------------------------------------------------------------


@pytest.mark.parametrize("role", ["collagen", "nuclei"])
@pytest.mark.parametrize("value", [0, 1, 1000, 65535])
def test_a_channel_of_one_value_was_not_recorded(culture: Acquisition, role: str, value: int) -> None:
    """Shutter closed, detector off, channel left empty by an export: said by name, whatever its level."""
    planes = culture.planes.copy()
    planes[:, culture.channels.index(role)] = value

    flags = found(replace(culture, planes=planes))

    assert set(flags) == {f"{role}_constant"}
    assert flags[f"{role}_constant"].severity == "reject"
    assert (
        f"Every pixel of the {role} channel holds the same value, {value},"
        in next(iter(flags.values())).words
    )


def test_each_plane_of_a_stack_may_have_a_value_of_its_own(stack: Acquisition) -> None:
    """It is not a recording all the same; one plane that is, makes it one."""
    planes = stack.planes.copy()
    planes[:, 1] = np.arange(len(planes), dtype=np.uint16)[:, np.newaxis, np.newaxis]
    constant = replace(stack, planes=planes)
    planes_of_one = planes.copy()
    planes_of_one[3, 1] = stack.planes[3, 1]

    assert "collagen_constant" in found(constant)
    assert "collagen_constant" not in found(replace(stack, planes=planes_of_one))


def test_a_pixel_is_enough_to_be_no_constant(culture: Acquisition) -> None:
    """The sample does not decide alone."""
    pixels = np.zeros((1024, 1024), np.uint16)
    pixels[1, 1] = 1

    assert "collagen_constant" not in found(with_channel(culture, 1, pixels))


def copy_blurred_by(sigma_px: float, nuclei: NDArray[Any]) -> NDArray[Any]:
    """The nuclei, blurred and rounded."""
    return np.rint(blurred(nuclei, sigma_px).clip(0))


COPIES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "equal": lambda nuclei: nuclei,
    "a quarter": lambda nuclei: nuclei // 4,
    "a twentieth": lambda nuclei: np.rint(nuclei * 0.05),
    "brighter": lambda nuclei: np.rint(nuclei * 1.37),
    "offset": lambda nuclei: nuclei + 117,
    "scaled and offset": lambda nuclei: np.rint(nuclei * 0.6 + 300),
    "inverted": lambda nuclei: nuclei.max() - nuclei,
    **{
        f"blurred by {sigma}": partial(copy_blurred_by, sigma)
        for sigma in (0.5, 0.8, 1, 1.5, 2, 3, 5, 8, 12, 25, 40, 60)
    },
}


@pytest.mark.parametrize("image", [0, 11])
@pytest.mark.parametrize("of", ["collagen", "nuclei"])
@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_not_a_second_recording(good: list[Acquisition], image: int, of: str, name: str) -> None:
    """Whichever channel was made from the other, in 16 bits and as an 8-bit picture of both."""
    planes = good[image].planes
    made = COPIES[name](planes[0, 0]).astype(np.uint16)
    copy = good[image], planes[0, 0], made
    scale = 255 / max(planes[0, 0].max(), made.max())
    eight = good[image], *(np.rint(pixels * scale).clip(0, 255).astype(np.uint8) for pixels in copy[1:])
    told = np.ptp(np.quantile(made, (0.01, 0.98))) * scale > 16  # in fewer grey levels nothing can be told
    for original, nuclei, second in [copy, eight] if told else [copy]:
        pair = [nuclei, second] if of == "collagen" else [second, nuclei]
        flags = found(replace(original, planes=np.stack(pair)[np.newaxis]))
        assert list(flags) == ["one_recording"]
        assert flags["one_recording"].severity == "reject"


def test_a_copy_plane_by_plane_or_of_the_sum_is_found(stack: Acquisition) -> None:
    """A stack is looked at as the network sees it: summed."""
    copied = stack.planes.copy()
    copied[:, 1] = copied[:, 0]
    shuffled = stack.planes.copy()
    shuffled[:, 1] = shuffled[::-1, 0]

    assert set(found(replace(stack, planes=copied))) == {"one_recording"}
    assert set(found(replace(stack, planes=shuffled))) == {"one_recording"}


@pytest.mark.parametrize("image", SPOILT)
def test_grey_and_cyan_pictures_hold_one_recording(good: list[Acquisition], image: int) -> None:
    """R = G = B, or G = B: of the nuclei, and of the collagen, whose patches would be diagnosed."""
    picture = as_rgb(good[image])
    for source in (1, 2):
        grey = picture.planes[:, [source] * 3]
        cyan = grey.copy()
        cyan[:, 0] = 0
        for planes in (grey, cyan):
            assert set(found(replace(picture, planes=planes))) == {"one_recording"}


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_a_copy_in_floats_is_found(culture: Acquisition, dtype: str) -> None:
    """Of floats, whose smallest step is no rounding to speak of."""
    nuclei = culture.planes[0, 0].astype(np.float32) / 7
    planes = np.stack([nuclei, nuclei * np.float32(0.3) + 2])[np.newaxis].astype(dtype)

    assert set(found(replace(culture, planes=planes))) == {"one_recording"}


@pytest.mark.parametrize("size_px", [200, 512])
def test_copies_of_crops_are_found(culture: Acquisition, size_px: int) -> None:
    """With fewer pixels to ask."""
    nuclei = culture.planes[0, 0]
    row, col = np.unravel_index(np.argmax(blurred(nuclei, 60)), nuclei.shape)
    top, left = (int(np.clip(at - size_px // 2, 0, 1024 - size_px)) for at in (row, col))
    crop = nuclei[top : top + size_px, left : left + size_px]

    assert "one_recording" in found(replace(culture, planes=np.stack([crop, crop // 3])[np.newaxis]))


# --- Few patches ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "cols", "warned"), [(1, 1, True), (2, 2, True), (3, 5, True), (4, 4, False)]
)
def test_few_patches_warn(culture: Acquisition, rows: int, cols: int, warned: bool) -> None:
    """A majority of four says little; the number is that of whole patches."""
    crop = culture.planes[..., : rows * PATCH_PX + 63, : cols * PATCH_PX + 63]

    flags = found(replace(culture, planes=crop))

    assert ("few_patches" in flags) is warned
    if warned:
        assert f"Only {rows * cols} patches of 64 x 64 pixels" in flags["few_patches"].words
        assert (flags["few_patches"].severity, flags["few_patches"].value) == ("warn", rows * cols)


# --- Forms of an image ----------------------------------------------------------------------------


def test_a_stack_of_planes_is_as_good_as_its_projection(stack: Acquisition) -> None:
    """Single planes are noisier; the rules look at what the network looks at, the sum."""
    summed = replace(stack, planes=stack.planes.sum(axis=0, keepdims=True, dtype=np.uint16))

    assert found(stack) == found(summed) == {}
    for channel in (0, 1):
        channels = [channel_statistics(image.planes[:, channel]) for image in (stack, summed)]
        noises = [
            noise_at_nuclei(i.planes[:, channel], k) for i, k in zip((stack, summed), channels, strict=True)
        ]
        assert channels[0].unevenness == pytest.approx(channels[1].unevenness)
        assert noises[0] == pytest.approx(noises[1])


def test_a_bare_half_is_no_reason_to_reject(good: list[Acquisition]) -> None:
    """That fewer cells hold on to the glass may be the disease, too."""
    (bare,) = (d for d in DEFECTS if d.name == "half-empty field" and d.strong)

    assert found(bare.spoil(good[11], np.random.default_rng(0)))["half_empty"].severity == "warn"


# --- Defects are found ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "defect", [d for d in DEFECTS if d.strong], ids=[f"{d.name} {d.level}" for d in DEFECTS if d.strong]
)
def test_every_strong_defect_is_found(good: list[Acquisition], stack: Acquisition, defect: Any) -> None:
    """In controls and in patients of every severity, as acquired and as an 8-bit picture."""
    for image in [stack] if defect.of_stack else [good[number] for number in SPOILT]:
        spoilt = defect.spoil(image, np.random.default_rng(0))
        for shown in (spoilt, as_rgb(spoilt)):
            assert set(defect.flags) & set(found(shown))


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("empty field", "reject"),
        ("defocus", "reject"),
        ("channels swapped", "reject"),
        ("a single plane", "warn"),
        ("too little light", "warn"),
        ("gain too low", "warn"),
        ("another magnification than the file says", "warn"),
    ],
)
def test_only_what_cannot_be_judged_is_rejected(
    culture: Acquisition, stack: Acquisition, name: str, severity: str
) -> None:
    """Doubts are told, and the image is judged."""
    for defect in (d for d in DEFECTS if d.name == name and d.strong):
        image = defect.spoil(stack if defect.of_stack else culture, np.random.default_rng(0))
        assert [flag.severity for flag in found(image, familiar=None).values()] == [severity]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("image", SPOILT)
def test_swapped_channels_are_rejected_with_the_remedy(
    good: list[Acquisition], image: int, named: bool
) -> None:
    """The order to give with --channels is the one that brings the image back."""
    planes = np.ascontiguousarray(good[image].planes[:, ::-1])
    swapped = replace(good[image], planes=planes, channels_assumed=not named)

    flags = found(swapped)

    assert list(flags) == ["channels_swapped"]
    assert "run it alone again with --channels collagen,nuclei." in flags["channels_swapped"].words
    assert found(replace(swapped, channels=("collagen", "nuclei"), channels_assumed=False)) == {}


def test_the_remedy_names_every_channel_of_a_picture(culture: Acquisition) -> None:
    """Blue collagen and green nuclei, in a picture whose red channel is neither."""
    picture = as_rgb(replace(culture, channels=("collagen", "nuclei")))

    assert "--channels other,nuclei,collagen." in found(picture)["channels_swapped"].words


def test_an_order_that_can_be_seen_needs_no_warning(good: list[Acquisition], culture: Acquisition) -> None:
    """Nuclei where they are assumed, and no nuclei in the other channel; else the warning stays."""
    same = with_channel(culture, 1, np.random.default_rng(0).poisson(culture.planes[0, 0]))

    assert all(found(replace(image, channels_assumed=True)) == {} for image in good)
    assert list(found(replace(same, channels_assumed=True))) == ["channels_assumed"]
    assert found(same) == {}


def test_collagen_in_place_of_nuclei_is_not_swapped_if_nuclei_are_nowhere(good: list[Acquisition]) -> None:
    """The wrong remedy would make a second bad image; dense collagen is no cells, sparse is unclear."""
    others = [*good[1:], good[0]]
    collagen = [with_channel(image, 0, other.planes[0, 1]) for image, other in zip(good, others, strict=True)]

    def told(familiar: Familiar | None) -> set[tuple[str, str]]:
        flags = [flag for image in collagen for flag in found(image, familiar=familiar).values()]
        return {(flag.name, flag.severity) for flag in flags}

    assert told(None) == {("no_cells", "reject"), ("nuclei_unclear", "warn")}
    assert told(FAMILIAR) == told(None) | {("unfamiliar", "reject")}


def test_colours_against_names_are_a_warning(good: list[Acquisition]) -> None:
    """The image is judged by its names; the flag says how they were taken."""
    flags = found(replace(good[0], colours_disagree=True))

    assert list(flags) == ["colours_disagree"]
    assert flags["colours_disagree"].severity == "warn"
    assert "speak against their names or wavelengths" in flags["colours_disagree"].words
    assert "(nuclei, collagen)" in flags["colours_disagree"].words
    assert "--channels" in flags["colours_disagree"].words


def test_channels_against_the_files_own_words_are_a_warning(good: list[Acquisition]) -> None:
    """As a pixel size is; what the operator said counts."""
    flags = found(replace(good[0], channels_overruled=("collagen", "nuclei")))

    assert list(flags) == ["channels_overruled"]
    assert flags["channels_overruled"].severity == "warn"
    assert flags["channels_overruled"].words == (
        "The file says collagen, nuclei; --channels says nuclei, collagen, which counts: leave the option "
        "out if the file is right."
    )


def test_an_assumed_order_is_told_as_it_was_taken(good: list[Acquisition]) -> None:
    """One clear colour may have put collagen first."""
    both = np.stack([good[0].planes[0, 0], np.random.default_rng(0).poisson(good[0].planes[0, 0])])
    order: tuple[Role, Role] = ("collagen", "nuclei")
    flags = found(replace(good[0], planes=both[np.newaxis], channels=order, channels_assumed=True))

    assert "taken as collagen, nuclei;" in flags["channels_assumed"].words


@pytest.mark.parametrize("sigma_px", [0, 2, 12, 16, 30])
def test_focus_is_judged_on_the_nuclei(culture: Acquisition, sigma_px: float) -> None:
    """Nuclei blurred beyond recognition reject the image; a slight blur does not."""
    nuclei = culture.planes[0, 0]
    flags = found(with_channel(culture, 0, blurred(nuclei, sigma_px) if sigma_px else nuclei))

    assert [(f.name, f.severity) for f in flags.values()] == [("out_of_focus", "reject")] * (sigma_px > 10)


def test_a_soft_focus_is_a_warning(culture: Acquisition) -> None:
    """Between sharp and useless the image is judged and the doubt is told."""
    flags = found(with_channel(culture, 0, blurred(culture.planes[0, 0], 5)))

    assert [(f.name, f.severity) for f in flags.values()] == [("out_of_focus", "warn")]


def test_twice_the_magnification_is_not_out_of_focus(culture: Acquisition) -> None:
    """Edges are twice as soft there, and nuclei twice as large; stated in the file, that is one warning."""
    larger = replace(culture, planes=resized(culture.planes[0], 2)[np.newaxis], pixel_size_um=0.15)

    assert list(found(larger, familiar=None)) == ["pixel_size_off"]
    assert set(found(larger)) == {"unfamiliar", "pixel_size_off"}


@pytest.mark.parametrize("light", [0.001, 0.01, 3, 400, 20000])
def test_a_field_without_cells_is_rejected(culture: Acquisition, light: float) -> None:
    """Noise under uneven light is no culture, dark or bright."""
    y, x = np.mgrid[-1:1:1024j, -1:1:1024j]
    noise = np.random.default_rng(1).poisson(light * (1 - 0.2 * (x**2 + y**2)))

    flags = found(with_channel(culture, 0, noise))

    assert [(f.name, f.severity) for f in flags.values()] == [("no_cells", "reject")]


@pytest.mark.parametrize("brightness", [20_000, 60_000])
def test_a_dead_cell_does_not_hide_the_others(culture: Acquisition, brightness: int) -> None:
    """However bright it is: neither focus nor the nuclei's number, size or noise is judged by it."""
    nuclei = culture.planes[0, 0].copy()
    nuclei[500:560, 500:560] = brightness

    assert found(with_channel(culture, 0, nuclei)) == {}


def test_a_network_of_single_planes_takes_their_noise_for_granted(stack: Acquisition) -> None:
    """Noise is part of the picture; it is a fault only where the training images had less."""
    plane = replace(stack, planes=stack.planes[5:6])

    assert list(found(plane)) == ["noisy"]
    assert found(plane, Expected(pixel_size_um=0.3, planes=1)) == {}


# --- Saturation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_ceiling", "severity"), [(0.001, None), (0.05, "warn"), (0.5, "reject")])
@pytest.mark.parametrize("ceiling", [255, 4095, 40950])
def test_saturation_is_found_whatever_the_detectors_ceiling_is(
    culture: Acquisition, at_ceiling: float, severity: str | None, ceiling: int
) -> None:
    """8 or 12 bits in a 16-bit file, or their sum over ten planes: the pile at the top tells."""
    collagen = culture.planes[0, 1].astype(np.float64)
    clipped = np.minimum(collagen / np.quantile(collagen, 1 - at_ceiling) * ceiling, ceiling)

    flags = found(with_channel(culture, 1, clipped))

    assert [flag.severity for flag in flags.values()] == ([severity] if severity else [])
    if severity:
        assert flags["saturated_collagen"].value == pytest.approx(at_ceiling, rel=0.1)


def test_saturation_is_judged_on_single_planes(stack: Acquisition) -> None:
    """Two of ten planes at the ceiling are a fifth of the pixels, and cannot be seen in the sum."""
    planes = stack.planes.copy()
    planes[4:6, 1] = 4095

    assert found(replace(stack, planes=planes))["saturated_collagen"].value == pytest.approx(0.2, abs=0.001)


def test_saturation_is_blamed_for_nothing_else(good: list[Acquisition]) -> None:
    """It makes nuclei larger and cuts their noise off: that is no other magnification, and no other noise."""
    (overexposed,) = (d for d in DEFECTS if d.name == "gain too high" and d.strong)
    spoilt = [overexposed.spoil(good[k], np.random.default_rng(0)) for k in SPOILT]
    names = {name for image in spoilt for name in found(image, familiar=None)}

    assert names == {"saturated_collagen", "saturated_nuclei"}


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(1, 200, 300), (3, 128, 128), (1, 1024, 256)]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    pattern=st.sampled_from(["chance", "rows", "columns", "block"]),
    share=st.floats(0, 0.6),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_a_sample_calls_unsaturated_is_so(
    shape: tuple[int, int, int], dtype: str, pattern: str, share: float, seed: int
) -> None:
    """Wherever the pile lies, a share that matters is counted exactly; 0 is said of less alone."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(100, 10, shape).clip(0, 180).astype(dtype)
    frame = rng.permutation(shape[1] * shape[2]).reshape(shape[1:])
    if pattern != "chance":
        y, x = np.indices(shape[1:])
        frame = {"rows": y * shape[2] + x, "columns": x * shape[1] + y, "block": np.maximum(y, x)}[pattern]
    pixels[:, frame <= np.quantile(frame, share)] = 200
    exact = np.count_nonzero(pixels == 200) / pixels.size

    told = saturated_share(pixels, of_interest=0.01)

    assert told == exact or (told == 0 and exact < 0.01)


@pytest.mark.parametrize("mean", [0, 0.1, 2, 30])
def test_a_dark_channel_is_not_saturated(mean: float) -> None:
    """Few counts have few values, and the highest of them is not a ceiling."""
    assert saturated_share(np.random.default_rng(0).poisson(mean, (1, 256, 256)).astype(np.uint8)) == 0


# --- What the file says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixel_size_um", "names"),
    [
        (0.3, set()),
        (0.25, set()),
        (0.36, set()),
        (0.15, {"pixel_size_off", "nuclei_size_off"}),
        (0.6, {"pixel_size_off", "nuclei_size_off"}),
    ],
)
def test_a_wrong_pixel_size_warns(culture: Acquisition, pixel_size_um: float, names: set[str]) -> None:
    """The network has not learnt it, and the nuclei contradict it; the image is judged all the same."""
    flags = found(replace(culture, pixel_size_um=pixel_size_um))

    assert set(flags) == names
    assert all(flag.severity == "warn" for flag in flags.values())


def test_a_missing_pixel_size_warns(culture: Acquisition) -> None:
    """Unknown is said, not assumed to be right; a bundle that expects none asks for none."""
    flag = found(replace(culture, pixel_size_um=None))["pixel_size_unknown"]

    assert (flag.severity, flag.value) == ("warn", None)
    assert found(replace(culture, pixel_size_um=None), Expected(planes=10)) == {}


@pytest.mark.parametrize(
    ("edges_um", "words"),
    [
        ((0.3, 0.3), ""),
        ((0.3, 0.3015), ""),
        ((0.3, 0.2985), ""),
        ((0.3, None), ""),
        ((0.3, 0.306), "0.3 um wide and 0.306 um high.*1.02 times in width"),
        ((0.3, 0.375), "0.3 um wide and 0.375 um high.*1.25 times in width"),
        ((0.3, 0.24), "0.3 um wide and 0.24 um high.*1.25 times in height"),
    ],
)
def test_pixels_that_are_not_square_warn(
    culture: Acquisition, edges_um: tuple[float, float | None], words: str
) -> None:
    """Beyond 1 %, either way; resolutions are rounded, and where one edge is not told nothing is known."""
    width_um, height_um = edges_um
    flag = found(replace(culture, pixel_size_um=width_um, pixel_height_um=height_um)).get("pixels_not_square")

    assert (flag is not None) is bool(words)
    if flag:
        assert flag.severity == "warn"
        assert flag.value == pytest.approx((height_um or 0) / width_um)
        assert flag.limit == pytest.approx(1.01 ** (1 if "width" in flag.words.split("times")[1] else -1))
        assert re.search(words, flag.words)


def test_the_size_of_nuclei_is_that_of_both_edges(culture: Acquisition) -> None:
    """Seen with every other row left out, they are as large as before."""
    flags = found(replace(culture, planes=culture.planes[:, :, ::2], pixel_height_um=0.6))

    assert "nuclei_size_off" not in flags
    assert "pixels_not_square" in flags


def test_no_pixel_size_no_shape(culture: Acquisition) -> None:
    """A height alone is no shape."""
    flags = found(replace(culture, pixel_size_um=None, pixel_height_um=0.3))

    assert set(flags) == {"pixel_size_unknown"}


@pytest.mark.parametrize(("planes", "planned", "flagged"), [(8, 10, True), (10, 10, False), (1, 10, False)])
def test_an_interrupted_stack_warns(stack: Acquisition, planes: int, planned: int, flagged: bool) -> None:
    """Fewer planes than were planned make a darker sum; a ready projection has one by right."""
    cut = replace(stack, planes=stack.planes[:planes], planes_planned=planned)

    assert ("planes_missing" in found(cut)) is flagged


def test_a_black_last_plane_warns(stack: Acquisition) -> None:
    """What the other planes hold is judged."""
    planes = stack.planes.copy()
    planes[-1, 1] = 0

    flags = found(replace(stack, planes=planes, last_plane_black=True))

    assert {name: flag.severity for name, flag in flags.items()} == {"last_plane_black": "warn"}
    assert "ended early" in flags["last_plane_black"].words


def test_a_black_channel_is_still_rejected(culture: Acquisition) -> None:
    """A single plane that is black is a channel that was not recorded."""
    flags = found(replace(with_channel(culture, 1, np.uint16(0)), last_plane_black=True))

    assert {name: flag.severity for name, flag in flags.items()} == {
        "collagen_constant": "reject",
        "last_plane_black": "warn",
    }


def test_the_worst_comes_first(culture: Acquisition) -> None:
    """What decides stands on top."""
    flags = assess(
        replace(with_channel(culture, 0, np.uint16(0)), pixel_size_um=None), EXPECTED, PATCH_PX, None
    ).flags

    assert [flag.severity for flag in flags] == ["reject", "warn"]


# --- What is measured -----------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(1, 40_000),
    kind=st.sampled_from(["normal", "counts", "constant", "ordered", "tailed", "periodic"]),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_order_statistics_are_exact(size: int, kind: str, share: float, seed: int) -> None:
    """Also where a sample misleads about what lies near."""
    rng = np.random.default_rng(seed)
    draw: dict[str, Callable[[], NDArray[Any]]] = {
        "normal": lambda: rng.normal(0, 1, size),
        "counts": lambda: rng.poisson(2, size),
        "constant": lambda: np.ones(size),
        "ordered": lambda: np.sort(rng.normal(0, 1, size)),
        "tailed": lambda: rng.exponential(1, size) ** 4,
        "periodic": lambda: np.arange(size) % max(1, size // 512),  # the sample sees one value
    }
    values = draw[kind]().astype(np.float32)

    assert quantiles(values, share) == [np.sort(values)[min(int(share * size), size - 1)]]


@pytest.mark.parametrize("radius_px", [8, 16, 30])
def test_the_chord_of_a_disc(radius_px: float) -> None:
    """A disc's mean chord is pi / 2 radii."""
    found = channel_statistics(discs(radius_px)[np.newaxis])

    assert chord_px(found.bright) == pytest.approx(np.pi / 2 * radius_px, rel=0.06)


@pytest.mark.parametrize("planes", [1, 10])
@pytest.mark.parametrize("noise_counts", [40.0, 200.0])
def test_the_noise_is_what_was_added(noise_counts: float, planes: int) -> None:
    """On bright discs; noise far from them does not count."""
    nearby = discs(32) > 0
    noise = np.random.default_rng(0).normal(0, noise_counts, (planes, *nearby.shape))
    image = 1000 + 2000 * blurred(discs(24), 3) + noise * np.where(nearby, 1, 4)

    assert noise_at_nuclei(image, channel_statistics(image)) == pytest.approx(
        noise_counts * planes**0.5, rel=0.1
    )


@settings(deadline=None)
@given(turn=st.floats(0, 2 * np.pi), border=st.floats(-0.6, 0.6))
def test_the_emptier_half_lies_in_any_direction(turn: float, border: float) -> None:
    """Measured against the area beyond a straight border; full fields are balanced."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    full = np.hypot(y, x) < 1
    across = x * np.cos(turn) + y * np.sin(turn)
    kept = full & (across > border)
    expected = min(np.count_nonzero(kept & (across < 0)), np.count_nonzero(kept & (across >= 0))) / kept.sum()

    assert emptier_half(full) == pytest.approx(0.5, abs=0.01)
    assert emptier_half(kept) == pytest.approx(expected, abs=0.04)


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.05, 5), offset=st.floats(0, 2000))
def test_gain_and_offset_change_nothing(culture: Acquisition, gain: float, offset: float) -> None:
    """What decides about an image does not depend on how the detector was set."""
    nuclei = culture.planes[:, 0]
    plain, changed = channel_statistics(nuclei), channel_statistics(nuclei * gain + offset)

    assert np.mean(plain.bright != changed.bright) < 1e-3
    for measure in (relief, sharpness, lambda channel: channel.unevenness):
        assert measure(changed) == pytest.approx(measure(plain), rel=0.01)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 140),
    width=st.integers(1, 140),
    planes=st.integers(1, 3),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    mean=st.sampled_from([0.0, 0.01, 1.0, 100.0]),
    scale=st.sampled_from([1e-40, 1.0, 1e30]),
    offset=st.sampled_from([0.0, 1e7]),
    blob=st.booleans(),
    assumed=st.booleans(),
)
def test_any_image_can_be_assessed(
    height: int,
    width: int,
    planes: int,
    dtype: str,
    mean: float,
    scale: float,
    offset: float,
    blob: bool,
    assumed: bool,
) -> None:
    """Of any size and type, however dark or empty; what is measured is finite, as JSON demands."""
    pixels = np.random.default_rng(0).poisson(mean, (planes, 2, height, width)).astype(dtype)
    if blob:
        pixels[:, :, height // 3 : height // 2, width // 3 : width // 2] = 200
    if dtype == "float32":
        pixels = ((pixels + offset) * scale).astype(dtype)

    flags = assess(acquired(pixels, channels_assumed=assumed), EXPECTED, PATCH_PX, FAMILIAR).flags

    assert all(flag.value is None or np.isfinite(flag.value) for flag in flags)


def test_no_copy_of_the_image_is_made(culture: Acquisition) -> None:
    """Bins and samples are enough: copies in full resolution took two thirds of the time."""
    tracemalloc.start()
    assess(culture, EXPECTED, PATCH_PX, FAMILIAR)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < culture.planes.nbytes / 2
