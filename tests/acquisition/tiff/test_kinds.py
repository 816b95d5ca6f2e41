"""Every kind of TIFF comes back exactly as it was written, whoever wrote it."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from colvi_edge.acquisition import Acquisition, acquire


def test_reads_what_was_written(kind: Any, read: Callable[..., Acquisition]) -> None:
    """Pixels, shape, dtype and native byte order are those of the array that was written."""
    acquisition = read(kind.data)

    assert acquisition.planes.dtype == kind.planes.dtype.newbyteorder("=")
    assert acquisition.planes.dtype.isnative
    assert acquisition.planes.flags.c_contiguous
    assert np.array_equal(acquisition.planes, kind.planes)
    assert len(acquisition.channels) == kind.planes.shape[1]


@pytest.mark.libtiff
@pytest.mark.parametrize(
    "options",
    [
        "-c none",
        "-c none -B",
        "-c none -8",
        "-c none -r 5",
        "-c lzw",
        "-c lzw:2 -r 16",
        "-c zip:2 -L",
        "-c zip:2 -B -t -w 32 -l 48",
        "-c zstd:2",
        "-c packbits",
        "-t -w 64 -l 16",
    ],
)
@pytest.mark.parametrize("source", ["ImageJ uint16", "OME stack CZYX", "float32", "RGB"])
def test_reads_what_libtiff_writes(kinds: dict[str, Any], source: str, options: str, tmp_path: Path) -> None:
    """However libtiff stores the same pixels , they are read alike."""
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    first.write_bytes(kinds[source].data)
    subprocess.run(["tiffcp", *options.split(), first, second], check=True, capture_output=True)

    (acquisition,) = acquire(second)

    assert np.array_equal(acquisition.planes, kinds[source].planes)


@pytest.mark.libtiff
def test_reads_planes_that_libtiff_separates(kinds: dict[str, Any], tmp_path: Path) -> None:
    """A planar RGB picture is the interleaved one."""
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    first.write_bytes(kinds["RGB"].data)
    subprocess.run(["tiffcp", "-p", "separate", "-c", "lzw", first, second], check=True, capture_output=True)

    (acquisition,) = acquire(second)

    assert np.array_equal(acquisition.planes, kinds["RGB"].planes)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
def test_reads_what_pillow_writes(
    kinds: dict[str, Any], compression: str | None, read: Callable[..., Acquisition]
) -> None:
    """A picture saved by Pillow comes back as it was."""
    planes = kinds["RGB"].planes
    file = io.BytesIO()
    Image.fromarray(planes[0].transpose(1, 2, 0)).save(file, "TIFF", compression=compression)

    assert np.array_equal(read(file.getvalue()).planes, planes)


def test_provenance_names_axes_and_bytes_as_stored(
    kinds: dict[str, Any], read: Callable[..., Acquisition]
) -> None:
    """Axes and shape are the file's, size and hash those of its bytes (hash by coreutils)."""
    data = kinds["OME stack CZYX"].data
    acquisition = read(data)
    hashed = subprocess.run(["sha256sum"], input=data, check=True, capture_output=True).stdout.decode()

    provenance = acquisition.provenance
    assert (provenance.axes, provenance.shape) == ("CZYX", (2, 3, 96, 80))
    assert (provenance.bytes, provenance.sha256) == (len(data), hashed.split()[0])
    assert (acquisition.name, acquisition.image_key) == ("x.tif", "")


def test_reads_what_was_written_by_page(read: Callable[..., Acquisition], kinds: dict[str, Any]) -> None:
    """OME-XML says which page is which plane: here they are stored in the opposite order."""
    planes = kinds["OME"].planes[0]
    tables = "".join(f'<TiffData IFD="{1 - c}" FirstC="{c}" PlaneCount="1"/>' for c in (0, 1))
    xml = (
        '<OME><Image><Pixels DimensionOrder="XYCZT" SizeX="80" SizeY="96" SizeC="2" SizeZ="1" SizeT="1" '
        f'Type="uint16">{tables}</Pixels></Image></OME>'
    )
    file = io.BytesIO()
    tifffile.imwrite(file, planes[::-1], description=xml, metadata=None)

    assert np.array_equal(read(file.getvalue()).planes[0], planes)
