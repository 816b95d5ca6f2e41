"""Read one image from the bytes of a TIFF file: gated, whole, exact, or refused with a sentence.

tifffile decodes; the gate and the file's own description decide beforehand what it may do, and
nothing that it finds odd on the way is accepted: a warning of tifffile's most often means that
it put zeros where pixels were missing.
"""

import logging
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TIFF, TiffFile, TiffPageSeries

from colvi_edge.acquisition.channels import Assigned, assign_roles
from colvi_edge.acquisition.model import Limits
from colvi_edge.acquisition.tiff.descriptions import Description, describe
from colvi_edge.acquisition.tiff.directories import DAMAGED
from colvi_edge.acquisition.tiff.gate import EACH_SERIES, PHOTOMETRIC_RGB, Page, inspect, refuse_too_large
from colvi_edge.acquisition.unwritten import ends_black
from colvi_edge.errors import (
    AcquisitionError,
    AxesError,
    ImageTooSmallError,
    IncompleteFileError,
    PixelTypeError,
    TimeSeriesError,
)
from colvi_edge.patches import SMALLEST_PATCH_PX

DECODERS = 2
"""Threads; more of them would take the cores of the runner that reads ahead."""


OTHER_METADATA = re.compile(r"<tifffile\.TiffPage [0-9]+ @[0-9]+> <tifffile\.imagej_metadata> raised ")
"""A warning that tags of ImageJ cannot be read: files that are not its own have them from an earlier one."""

SWAP_Z_AND_T = (
    "swap z and t in Fiji with Image > Hyperstacks > Re-order Hyperstack, or set slices and frames in "
    "Image > Properties, and save it again"
)


class GatedTiff(TiffFile):  # type: ignore[misc]  # final by decree; its keywords cannot switch all off
    """tifffile without the dialects that are not read here, some of which lead to other files."""

    checked_xml: str | None = None
    """OME-XML in place of the file's own, which tifffile never gets to see."""

    @property
    def ome_metadata(self) -> str | None:
        """What tifffile goes by."""
        return self.checked_xml

    @property
    def is_shaped(self) -> bool:
        """Whether tifffile's JSON counts: beside OME-XML it is a second description."""
        return not self.is_ome and self.pages.first.is_shaped


for _flag in TIFF.FILE_FLAGS - {"shaped", "ome", "imagej"}:
    setattr(GatedTiff, f"is_{_flag}", False)


@dataclass(frozen=True)
class TiffImage:
    """The image of a TIFF file: planes (Z, C, H, W), and what the file says of it.

    Attributes:
        last_plane_black: the plane that is stored last is zeros, which may be unwritten.
    """

    planes: NDArray[Any]
    assigned: Assigned
    axes: str
    shape: tuple[int, ...]
    description: Description
    last_plane_black: bool


def read_tiff(data: bytes, name: str, channels: Sequence[str] | None, limits: Limits) -> TiffImage:
    """Return the one image that the file holds.

    Args:
        data: the whole file.
        name: its name; an OME-TIFF may refer to itself by it.
        channels: role of each channel as the operator names it; None to find out.
        limits: what the file may ask for.

    Returns:
        planes: (Z, C, H, W) uint8, uint16 or float32 (finite), native byte order, contiguous; other
            types of counts are read into these, to the same values.

    Raises:
        AcquisitionError: the image cannot be read exactly; the sentence lacks the file's name.
    """
    pages = inspect(data, limits)
    with _strictly(), GatedTiff(BytesIO(data), name=name, _multifile=False) as tif:
        description = describe(tif, pages, name)
        tif.checked_xml = description.reader_xml
        if description.dialect != "imagej":
            _forget(OTHER_METADATA)
        _refuse_missing_planes(description.planes, pages, len(data), limits)
        series = _only_series(tif, description.dialect)
        places = _plane_offsets(series, description.planes or len(pages), pages)
        axes, shape = series.axes, series.shape
        layout = _layout(axes, shape)
        rgb = pages[0].photometric == PHOTOMETRIC_RGB and layout.channels in (3, 4)
        count = layout.channels - (rgb and layout.channels == 4)  # the fourth of RGB is opacity
        assigned = assign_roles(count, description.channels, rgb=rgb, asked=channels)
        stored = _decode(data, tif, series, places, pages)
        black = ends_black(_last_plane(stored, int(np.argmax(places)), pages[0]), pages[0].tile_px)
    planes = stored.transpose(layout.order).reshape(layout.planes, layout.channels, *layout.frame)
    planes = _counted(np.ascontiguousarray(planes[:, :count]))
    if planes.dtype.kind == "f" and not np.isfinite(planes).all():
        raise PixelTypeError(
            "holds pixels that are NaN or infinite; expected finite numbers; export it again"
        )
    return TiffImage(planes, assigned, axes, shape, description, black)


def _counted(planes: NDArray[Any]) -> NDArray[Any]:
    """Return signed and 32-bit counts in a type that holds them exactly: uint8, uint16 or float32.

    Raises:
        PixelTypeError: there is none: a value is negative, or beyond what float32 tells apart.
    """
    if planes.dtype.kind == "i":
        if (lowest := int(planes.min())) < 0:
            raise PixelTypeError(
                f"holds negative pixels (down to {lowest}), which no detector counts; expected 0 and more; "
                "undo the subtraction of the background, or add a constant"
            )
        return planes.view(f"u{planes.dtype.itemsize}")
    if planes.dtype != np.uint32:
        return planes
    highest = int(planes.max())
    if highest > 2**24:
        raise PixelTypeError(
            f"holds pixels up to {highest:,}; whole numbers are read up to {2**24:,}; convert them to 16 bits"
        )
    return planes.astype(np.uint16 if highest < 2**16 else np.float32)


@dataclass(frozen=True)
class Layout:
    """How axes become (Z, C, H, W): transpose to `order`, then reshape."""

    order: tuple[int, ...]
    planes: int
    channels: int
    frame: tuple[int, int]


def _layout(axes: str, shape: tuple[int, ...]) -> Layout:
    """Return where the axes of the file go; they are taken at their word, never by their length."""
    lengths = dict(zip(axes, shape, strict=True))
    if lengths.get("T", 1) > 1:
        remedy = "export each to its own file"
        if lengths.get("Z", 1) == 1:
            remedy += f", or, if they are the planes of a Z-stack, {SWAP_Z_AND_T}"
        raise TimeSeriesError(f"holds {lengths['T']:,} time points (axes {axes}); expected one; {remedy}")
    if lengths.get("R", 1) > 1:
        raise AxesError(
            f"holds {lengths['R']:,} positions (axes {axes}); expected one; export each to its own file"
        )
    unclear = [axis for axis, length in zip(axes, shape, strict=True) if length > 1 and axis not in "ZCYXS"]
    samples = lengths.get("S", 1)
    if (
        unclear
        or len(lengths) != len(axes)
        or not {"Y", "X"} <= set(axes)
        or samples not in (1, 3, 4)
        or (samples > 1 and lengths.get("C", 1) > 1)
    ):
        raise AxesError(
            f"has axes {axes} of lengths {' x '.join(map(str, shape))}; expected Y and X with Z and C where "
            "there are several; save it as ImageJ hyperstack or OME-TIFF"
        )
    height, width = lengths["Y"], lengths["X"]
    if min(height, width) < SMALLEST_PATCH_PX:
        raise ImageTooSmallError(
            f"is {width} x {height} pixels, smaller than the smallest patch, {SMALLEST_PATCH_PX} x "
            f"{SMALLEST_PATCH_PX}; export the whole field of view"
        )
    kept = [axis for axis in "ZCSYX" if axis in axes]
    order = (*(i for i, axis in enumerate(axes) if axis not in kept), *map(axes.index, kept))
    return Layout(order, lengths.get("Z", 1), lengths.get("C", 1) * samples, (height, width))


def _refuse_missing_planes(
    declared: int | None, pages: Sequence[Page], file_bytes: int, limits: Limits
) -> None:
    """Refuse a file whose pages are not the planes that it declares, before the reader goes by them."""
    first, present = pages[0], len(pages)
    if declared is None or declared == present:
        return
    if declared < present:
        raise AxesError(
            f"holds {present:,} pages, but describes {declared:,} of them, as when there are several images "
            f"or positions; {EACH_SERIES}"
        )
    if present == 1 and first.contiguous:
        # ImageJ and tifffile keep a stack as one page, with the other planes right behind it.
        refuse_too_large(declared * first.plane_bytes, first.dtype.itemsize, file_bytes, limits)
        missing = int(first.offsets[0]) + declared * first.plane_bytes - file_bytes
        if missing <= 0:
            return
        raise IncompleteFileError(
            f"declares {declared:,} planes, but ends {missing:,} bytes too early; {DAMAGED}"
        )
    raise IncompleteFileError(f"declares {declared:,} planes, but holds {present:,}; {DAMAGED}")


def _only_series(tif: TiffFile, dialect: str) -> TiffPageSeries:
    images = [series for series in tif.series if not series.keyframe.is_reduced]
    if len(images) != 1:
        raise AxesError(f"holds {len(images)} unrelated images; {EACH_SERIES}")
    if images[0].kind != dialect:
        raise IncompleteFileError(f"its description does not fit its pages; {DAMAGED}")
    return images[0]


def _plane_offsets(series: TiffPageSeries, planes: int, pages: Sequence[Page]) -> NDArray[Any]:
    """Return where in the file each plane of the series begins; there is one place for each."""
    first = pages[0]
    if series.kind == "ome":
        places = [page.dataoffsets[0] for page in series if page is not None]
        if not set(places) <= {int(page.offsets[0]) for page in pages}:
            raise IncompleteFileError(f"takes a reduced copy for a plane; {DAMAGED}")
    elif len(pages) == planes:
        places = [int(page.offsets[0]) for page in pages]
    else:
        places = [int(first.offsets[0]) + index * first.plane_bytes for index in range(planes)]
    if len(set(places)) != planes:
        raise IncompleteFileError(f"does not list every plane; {DAMAGED}")
    return np.array(places)


def _decode(
    data: bytes, tif: TiffFile, series: TiffPageSeries, places: NDArray[Any], pages: Sequence[Page]
) -> NDArray[Any]:
    """Return the pixels in the shape of the series, from where they are in the file."""
    in_sequence = all(page.contiguous for page in pages) and set(np.diff(places)) <= {pages[0].plane_bytes}
    if in_sequence and int(places[0]) % pages[0].dtype.itemsize == 0:
        # They lie in `data` as they are needed: tifffile's copy of them costs 1 ms in page faults.
        stored = np.frombuffer(
            data, pages[0].dtype.newbyteorder(tif.byteorder), math.prod(series.shape), int(places[0])
        )
        return stored.reshape(series.shape).astype(pages[0].dtype, copy=False)
    if in_sequence or series.dataoffset is None:
        return series.asarray(maxworkers=DECODERS)
    # tifffile takes it for granted that the planes of an ImageJ file follow each other, as
    # ImageJ writes them; in the same file saved by libtiff there are directories in between.
    if len(tif.pages) != len(places):
        raise IncompleteFileError(f"its planes do not lie where it declares them; {DAMAGED}")
    return tif.asarray(key=slice(None), maxworkers=DECODERS).reshape(series.shape)


def _last_plane(stored: NDArray[Any], last: int, page: Page) -> NDArray[Any]:
    """Return the plane (H, W, samples) that lies last in the file."""
    frame = page.height_px, page.width_px
    if page.planar:
        return stored.reshape(-1, page.samples, *frame, 1)[last, -1]
    return stored.reshape(-1, *frame, page.samples)[last]


@contextmanager
def _strictly() -> Iterator[None]:
    """Turn whatever the reader raises or warns of into an error with a sentence."""
    _RECORDS.heard = []
    _FILTER.begin()
    try:
        yield
        if _RECORDS.heard:
            # Its words may quote the file's, so they stay out of the sentence.
            raise IncompleteFileError(f"the reader finds it inconsistent; {DAMAGED}") from ReaderWarning(
                _RECORDS.heard[0]
            )
    except (AcquisitionError, MemoryError):
        raise
    except Exception as error:  # tifffile and the codecs raise some twenty types for damaged files
        raise IncompleteFileError(f"its pixels cannot be decoded; {DAMAGED}") from error
    finally:
        _FILTER.end()
        _RECORDS.heard = None


def _forget(words: re.Pattern[str]) -> None:
    """Let pass what the reader warned of so far, if it begins with these words."""
    _RECORDS.heard = [warning for warning in _RECORDS.heard if not words.match(warning)]


class ReaderWarning(Exception):  # noqa: N818 - it is one, kept as the cause of an error
    """What tifffile logged."""


_RECORDS = threading.local()


def _overhear(record: logging.LogRecord) -> bool:
    """Keep what tifffile logs while this thread reads; let pass what it logs for anybody else."""
    heard = getattr(_RECORDS, "heard", None)
    if heard is None:
        return True
    if record.levelno >= logging.WARNING:
        heard.append(record.getMessage())
    return False


class _Filter:
    """`_overhear` on tifffile's logger, there from the first thread that reads until the last one is done."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("tifffile")
        self._changing = threading.Lock()
        self._readers = 0
        self._level = logging.NOTSET  # of the logger before

    def begin(self) -> None:
        with self._changing:
            self._readers += 1
            if self._readers == 1:
                self._level = self._logger.level
                self._logger.addFilter(_overhear)
            if not self._logger.isEnabledFor(logging.WARNING):
                self._logger.setLevel(logging.WARNING)  # quiet logs must not make a damaged file look whole

    def end(self) -> None:
        with self._changing:
            self._readers -= 1
            if not self._readers:
                self._logger.removeFilter(_overhear)
                self._logger.setLevel(self._level)


_FILTER = _Filter()
