"""Which images INT8 is set with and which it is judged on; the two never meet."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from colvi_edge.errors import UsageError
from colvi_edge.export.converting.calibration import (
    AT_MOST,
    Images,
    _divided,
    read_calibration,
    simulated_calibration,
)
from colvi_edge.patches import Normalisation

LAYOUT = ("collagen", "nuclei")
EIGHT_BITS = Normalisation("scale", divisor=255.0, dtype="uint8")


def write(path: Path, number: int, size_px: int = 64, dtype: str = "uint16") -> None:
    """Write a tiny projection whose nuclei and collagen counts tell its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.stack([np.full((size_px, size_px), number), np.full((size_px, size_px), 100 + number)])
    tifffile.imwrite(path, image.astype(dtype), imagej=True, metadata={"axes": "CYX"})


def numbers(images: Images) -> list[int]:
    """Return the numbers of images that `write` made."""
    return [int(planes[0, 1, 0, 0]) for planes in images.planes]


def refuse(text: str) -> None:
    """Fail where no warning is expected."""
    pytest.fail(text)


def test_one_image_in_four_is_kept_for_the_gate(tmp_path: Path) -> None:
    """Every image is in one of the two heaps, and in the bundle's layout."""
    for k in range(10):
        write(tmp_path / f"{k}.tif", k)

    read = read_calibration(tmp_path, LAYOUT, Normalisation(), refuse)

    assert numbers(read.held_out) == [2, 6]
    assert numbers(read.calibrating) == [0, 1, 3, 4, 5, 7, 8, 9]
    assert read.held_out.names == ["2.tif", "6.tif"]
    assert read.held_out.labels == ["", ""]
    assert read.held_out.planes[0].shape == (1, 2, 64, 64)
    assert read.held_out.planes[0][0, 0].max() == 102  # collagen first


@given(count=st.integers(4, 200))
def test_no_image_is_in_both_heaps(count: int) -> None:
    """However many there are; and neither heap is empty."""
    names = [str(k) for k in range(count)]
    images = Images(names, [np.zeros((1, 2, 1, 1))] * count, [""] * count)

    read = _divided(images)

    assert sorted(read.calibrating.names + read.held_out.names) == sorted(names)
    assert not set(read.calibrating.names) & set(read.held_out.names)
    assert 1 <= len(read.held_out.names) <= len(read.calibrating.names)


def test_folders_tell_the_labels(tmp_path: Path) -> None:
    """`control` and `patient`, and both are among the images kept for the gate."""
    for k in range(4):
        for label in ("control", "patient"):
            write(tmp_path / label / f"{k}.tif", k)

    read = read_calibration(tmp_path, LAYOUT, Normalisation(), refuse)

    assert read.held_out.labels == ["control", "patient"]
    assert sorted(read.calibrating.labels) == ["control"] * 3 + ["patient"] * 3


def test_own_outputs_are_passed_over(tmp_path: Path) -> None:
    """A folder that was judged before still holds the same images."""
    for k in range(4):
        write(tmp_path / f"{k}.tif", k)
        write(tmp_path / f"{k}.tif.colvi.tif", 50)
        (tmp_path / f"{k}.tif.colvi.json").write_text("{}")
    write(tmp_path / ".hidden.tif", 60)

    read = read_calibration(tmp_path, LAYOUT, Normalisation(), refuse)

    assert sorted(numbers(read.calibrating) + numbers(read.held_out)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("size_px", "dtype", "content", "said"),
    [
        (63, "uint8", None, "left out: odd.tif: is 63 x 63 pixels, smaller than one patch of 64"),
        (64, "uint16", None, "left out: odd.tif is uint16, and normalisation 'scale' was made for uint8"),
        (64, "uint8", b"II*\0", "left out: "),
    ],
)
def test_what_cannot_be_used_is_left_out_aloud(
    tmp_path: Path, size_px: int, dtype: str, content: bytes | None, said: str
) -> None:
    """One odd file among many is a sentence, not the end of the export."""
    for k in range(4):
        write(tmp_path / f"{k}.tif", k, dtype="uint8")
    write(tmp_path / "odd.tif", 9, size_px, dtype)
    if content:
        (tmp_path / "odd.tif").write_bytes(content)
    told: list[str] = []

    read = read_calibration(tmp_path, LAYOUT, EIGHT_BITS, told.append)

    assert sorted(numbers(read.calibrating) + numbers(read.held_out)) == [0, 1, 2, 3]
    assert len(told) == 1
    assert told[0].startswith(said)


def test_three_images_are_too_few(tmp_path: Path) -> None:
    """None could be kept for the gate without missing in the calibration."""
    for k in range(3):
        write(tmp_path / f"{k}.tif", k)

    with pytest.raises(UsageError, match=r"found 3 usable images in .*, expected at least 4, better 40"):
        read_calibration(tmp_path, LAYOUT, Normalisation(), refuse)


def test_a_large_folder_is_sampled_from_end_to_end(tmp_path: Path) -> None:
    """Memory and time stay bounded; first and last image are among those read."""
    for k in range(AT_MOST + 36):
        write(tmp_path / f"{k:03}.tif", k)

    read = read_calibration(tmp_path, LAYOUT, Normalisation(), refuse)
    found = sorted(numbers(read.calibrating) + numbers(read.held_out))

    assert len(found) == len(set(found)) == AT_MOST
    assert (found[0], found[-1]) == (0, AT_MOST + 35)
    assert np.diff(found).max() == 2


@pytest.mark.parametrize(
    ("normalisation", "dtype"),
    [
        (Normalisation(), "uint16"),
        (EIGHT_BITS, "uint8"),
        (Normalisation("scale", divisor=1.0, dtype="float32"), "float32"),
    ],
)
def test_simulated_images_fit_the_bundle(normalisation: Normalisation, dtype: str) -> None:
    """In its dtype and layout, an empty channel empty; and of a series that `simulate` never draws."""
    calibration = simulated_calibration(("empty", "collagen", "nuclei"), normalisation)

    assert calibration.calibrating.names == []
    assert calibration.held_out.labels == ["", ""]
    for planes in calibration.held_out.planes:
        assert planes.shape == (1, 3, 1024, 1024)
        assert planes.dtype == dtype
        assert not planes[0, 0].any()
        if dtype == "uint8":  # stretched, not wrapped round: the cultures are mostly dark
            assert planes.max() == 255
            assert planes[0, 1:].mean() < 100
