"""Raw files of every kind that is read, each with the planes that were written into it."""

import io
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire


class Kind(NamedTuple):
    """A file's bytes and the (Z, C, H, W) planes that they hold."""

    data: bytes
    planes: NDArray[Any]


def camera(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Pixels as of a camera: a black level, shot noise, a gradient along the rows; never zero."""
    mean = 40 + np.indices(shape)[-1]
    return np.clip(np.random.default_rng(7).poisson(mean, shape) + 20, 1, 250).astype(dtype)


def written(array: NDArray[Any], **options: Any) -> bytes:
    """The bytes of a TIFF file that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def one_directory(data: bytes) -> bytes:
    """A classic little-endian file without its second and later directories."""
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    end = first + 2 + 12 * tags
    return data[:end] + bytes(4) + data[end + 4 :]


def pyramid(planes: NDArray[Any]) -> bytes:
    """An OME-TIFF of CYX planes that keeps a half-size copy of each in a sub-directory."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, ome=True) as tif:
        tif.write(planes, subifds=1, metadata={"axes": "CYX"})
        tif.write(planes[:, ::2, ::2], subfiletype=1)
    return file.getvalue()


def every_kind() -> dict[str, Kind]:
    """Write them all; 96 x 80 pixels are whole multiples of neither patch nor tile."""
    uint16, uint8, float32 = (camera((2, 96, 80), dtype) for dtype in ("uint16", "uint8", "float32"))
    stack = camera((3, 2, 96, 80), "uint16")
    picture = camera((96, 80, 3), "uint8")
    cyx: dict[str, Any] = {"metadata": {"axes": "CYX"}}
    zcyx: dict[str, Any] = {"metadata": {"axes": "ZCYX"}}
    two: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
        "shaped": (uint16, cyx),
        "shaped T=1": (uint16[np.newaxis], {"metadata": {"axes": "TCYX"}}),
        "big-endian": (uint16, {"byteorder": ">", **cyx}),
        "BigTIFF": (uint16, {"bigtiff": True, **cyx}),
        "strips of 7 rows": (uint16, {"rowsperstrip": 7, **cyx}),
        "tiles": (uint16, {"tile": (32, 64), **cyx}),
        "tiles deflate": (uint16, {"tile": (32, 32), "compression": "zlib", **cyx}),
        "tiles LZW": (uint16, {"tile": (64, 64), "compression": "lzw", **cyx}),
        "LZW": (uint16, {"compression": "lzw", **cyx}),
        "LZW predictor": (uint16, {"compression": "lzw", "predictor": True, "rowsperstrip": 20, **cyx}),
        "deflate predictor big-endian": (
            uint16,
            {"compression": "zlib", "predictor": True, "byteorder": ">", **cyx},
        ),
        "Zstandard": (uint16, {"compression": "zstd", "rowsperstrip": 9, **cyx}),
        "Zstandard predictor": (uint8, {"compression": "zstd", "predictor": True, **cyx}),
        "PackBits": (uint8, {"compression": "packbits", **cyx}),
        "float32": (float32, cyx),
        "float32 big-endian": (float32, {"byteorder": ">", **cyx}),
        "float32 predictor": (float32, {"compression": "zstd", "predictor": True, **cyx}),
        "ImageJ uint8": (uint8, {"imagej": True, **cyx}),
        "ImageJ uint16": (uint16, {"imagej": True, **cyx}),
        "ImageJ float32": (float32, {"imagej": True, **cyx}),
        "OME": (uint16, {"ome": True, **cyx}),
        "OME BigTIFF LZW": (uint16, {"ome": True, "bigtiff": True, "compression": "lzw", **cyx}),
    }
    kinds = {
        name: Kind(written(array, **how), array.reshape(1, 2, 96, 80)) for name, (array, how) in two.items()
    }
    hyperstack = written(stack, imagej=True, **zcyx)
    kinds |= {
        "ImageJ stack": Kind(hyperstack, stack),
        "ImageJ stack of one directory": Kind(one_directory(hyperstack), stack),
        "OME stack": Kind(written(stack, ome=True, **zcyx), stack),
        "OME stack CZYX": Kind(
            written(stack.swapaxes(0, 1), ome=True, compression="zlib", metadata={"axes": "CZYX"}), stack
        ),
        "OME pyramid": Kind(pyramid(uint16), uint16[np.newaxis]),
    }
    rgb: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
        "RGB": (picture, {"metadata": None}),
        "RGB shaped": (picture, {}),
        "RGB LZW predictor": (picture, {"compression": "lzw", "predictor": True}),
        "RGB uint16": (picture.astype("uint16"), {"metadata": None}),
        "RGB ImageJ": (picture, {"imagej": True}),
        "RGB OME": (picture, {"ome": True}),
    }
    seen = picture.transpose(2, 0, 1)[np.newaxis]
    kinds |= {
        name: Kind(written(array, photometric="rgb", **how), seen.astype(array.dtype))
        for name, (array, how) in rgb.items()
    }
    pictures = camera((3, 96, 80, 3), "uint8")
    opaque = np.concatenate([picture, np.full((96, 80, 1), 255, np.uint8)], axis=2)
    kinds |= {
        "RGB planar": Kind(written(seen[0], photometric="rgb", planarconfig="separate"), seen),
        "RGB planar tiles": Kind(
            written(seen[0], photometric="rgb", planarconfig="separate", tile=(32, 32), compression="lzw"),
            seen,
        ),
        "RGBA": Kind(written(opaque, photometric="rgb", extrasamples=["unassalpha"]), seen),
        "RGB stack": Kind(
            written(pictures, photometric="rgb", metadata={"axes": "ZYXS"}), pictures.transpose(0, 3, 1, 2)
        ),
    }
    return kinds


KINDS = every_kind()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind in turn."""
    return KINDS[request.param]


@pytest.fixture(scope="session")
def kinds() -> dict[str, Kind]:
    """All kinds, by name."""
    return KINDS


@pytest.fixture(autouse=True)
def _never_for_ever() -> Iterator[None]:
    """Fail a test that waits for a pipe, follows a loop or decodes a bomb, after a generous time."""

    def stop(*_: object) -> None:
        pytest.fail("it did not end within 60 s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Acquisition]:
    """Return a function that reads bytes as the one image of the file `x.tif`."""

    def from_bytes(data: bytes, **options: Any) -> Acquisition:
        path = tmp_path / "x.tif"
        path.write_bytes(data)
        (acquisition,) = acquire(path, **options)
        return acquisition

    return from_bytes
