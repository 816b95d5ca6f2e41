"""The image that is measured is the lab's, whatever it is saved as."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import acquire
from colvi_edge.acquisition.wanted import Wanted
from colvi_edge.bench.measuring.inputs import AS_IT_IS, prepare
from tests.tools.leica import Series, container

SAVED = {"uncompressed": 1, "LZW": 5, "deflate": 8, "zstd": 50000}
"""TIFF's numbers of the compressions."""


def written(path: Path, image: NDArray[Any], axes: str, **metadata: Any) -> Path:
    """Write an OME-TIFF."""
    tifffile.imwrite(path, image, ome=True, metadata={"axes": axes, **metadata}, photometric="minisblack")
    return path


def test_every_file_holds_the_same_image(tmp_path: Path) -> None:
    """Pixels, channels, pixel size and spacing are those of the given file, in each compression."""
    image = np.random.default_rng(0).poisson(300, (3, 3, 96, 130)).astype(np.uint16)
    given = written(
        tmp_path / "given.ome.tif",
        image,
        "ZCYX",
        Channel={"Name": ["Actin", "COL6", "Hoechst"]},
        PhysicalSizeX=0.25,
        PhysicalSizeY=0.5,
        PhysicalSizeZ=1.5,
    )
    before = given.read_bytes()
    (tmp_path / "work").mkdir()

    inputs = prepare(given, tmp_path / "work", ["other", "collagen", "nuclei"])

    assert list(inputs.files) == [AS_IT_IS, *SAVED]
    assert inputs.files[AS_IT_IS] == given
    assert not inputs.is_simulated
    for name, number in SAVED.items():
        [found] = acquire(inputs.files[name])
        np.testing.assert_array_equal(found.planes, image)
        assert found.planes.dtype == np.uint16
        assert found.channels == ("other", "collagen", "nuclei")
        assert (found.pixel_size_um, found.pixel_height_um, found.plane_spacing_um) == (0.25, 0.5, 1.5)
        with tifffile.TiffFile(inputs.files[name]) as file:
            assert file.pages.first.compression == number
    assert given.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.name != "work"] == ["given.ome.tif"]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_an_image_without_metadata_keeps_what_was_assumed(tmp_path: Path, dtype: str) -> None:
    """Two channels of which nothing is said are nuclei, collagen; saved again they say so."""
    image = np.random.default_rng(1).poisson(60, (2, 128, 64)).astype(dtype)
    given = tmp_path / "given.tif"
    tifffile.imwrite(given, image, imagej=True, metadata={"axes": "CYX"})

    inputs = prepare(given, tmp_path)

    assert inputs.acquisition.channels_assumed
    for name in SAVED:
        [found] = acquire(inputs.files[name])
        np.testing.assert_array_equal(found.planes[0], image)
        assert found.planes.dtype == dtype
        assert found.channels == ("nuclei", "collagen")
        assert not found.channels_assumed


def test_of_a_container_the_first_image_is_taken(tmp_path: Path) -> None:
    """Bursts and new processes would do all of its images, so the container itself is no input."""
    pixels = np.random.default_rng(2).poisson(200, (2, 2, 1, 64, 64)).astype(np.uint16)
    given = tmp_path / "day.lif"
    dyes = ("Leica/DAPI", "Leica/ALEXA 488")
    given.write_bytes(container(*(Series(one, "CZYX", "culture", dyes=dyes) for one in pixels)).data)

    inputs = prepare(given, tmp_path)

    assert list(inputs.files) == list(SAVED)
    [found] = acquire(inputs.files["LZW"])
    np.testing.assert_array_equal(found.planes[0], pixels[0, :, 0])
    assert found.channels == ("nuclei", "collagen")


def test_without_an_image_the_same_one_is_simulated_each_time(tmp_path: Path) -> None:
    """Records of two days are of one image."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one, two = (prepare(None, tmp_path / folder) for folder in ("one", "two"))

    assert one.is_simulated
    assert list(one.files) == list(SAVED)
    assert one.acquisition.planes.shape == (1, 2, 1024, 1024)
    assert one.acquisition.planes.dtype == np.uint16
    assert one.acquisition.provenance.sha256 == two.acquisition.provenance.sha256


@pytest.mark.parametrize("asked", [None, ["vesicle", "other", "actin"]])
def test_channels_of_any_role_stay_in_their_place(tmp_path: Path, asked: list[str] | None) -> None:
    """Roles that a bundle knows by names of its own, or by none: no file that is saved swaps or loses one."""
    wanted = (Wanted("actin"), Wanted("vesicle", ("CD63", "CD81")))
    image = np.random.default_rng(3).poisson(300, (1, 3, 64, 80)).astype(np.uint16)
    names = ["CD81", "DAPI", "unknown"]
    given = written(tmp_path / "given.ome.tif", image, "ZCYX", Channel={"Name": names})
    (tmp_path / "work").mkdir()

    inputs = prepare(given, tmp_path / "work", asked, wanted)

    assert list(inputs.files) == [AS_IT_IS, *SAVED]
    for file in inputs.files.values():
        [found] = acquire(file, channels=inputs.channels, wanted=wanted)
        np.testing.assert_array_equal(found.planes, image)
        assert found.channels == tuple(asked or ("vesicle", "nuclei", "actin"))
    with tifffile.TiffFile(inputs.files["LZW"]) as file:
        assert str(file.ome_metadata).count('Name="CD63"') == 1


@pytest.mark.parametrize("asked", [None, ["nuclei", "collagen"]])
def test_files_of_the_assay_are_read_as_the_labs_are(tmp_path: Path, asked: list[str] | None) -> None:
    """By what they say, unless the operator says it."""
    given = tmp_path / "given.tif"
    tifffile.imwrite(given, np.ones((2, 64, 64), np.uint16), imagej=True, metadata={"axes": "CYX"})

    assert prepare(given, tmp_path, asked).channels == asked
