"""Reads one image from the bytes of a TIFF file: gated, whole, exact, or refused with a sentence.

tifffile decodes; the gate and the file's own description decide beforehand what it may do, and
nothing that it finds odd on the way is accepted.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPageSeries

from colvi_edge.acquisition.channels import Assigned
from colvi_edge.acquisition.formats import Request
from colvi_edge.acquisition.model import Acquisition, Limits, Provenance, Refused, exact_pixels
from colvi_edge.acquisition.refusals import DAMAGED, refuse_too_large
from colvi_edge.acquisition.source import Source
from colvi_edge.acquisition.tiff.axes import axis_order
from colvi_edge.acquisition.tiff.descriptions import TiffDescription, describe
from colvi_edge.acquisition.tiff.gate import EACH_SERIES, PHOTOMETRIC_RGB, Page, inspect
from colvi_edge.acquisition.tiff.strict import GatedTiff, let_other_metadata_pass, strictly
from colvi_edge.acquisition.unwritten import ends_black, refuse_unfinished
from colvi_edge.acquisition.wanted import Asking, assign_together
from colvi_edge.errors import AxesError, IncompleteFileError

DECODERS = 2
"""Threads; more of them would take the cores of the runner that reads ahead."""


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
    description: TiffDescription
    last_plane_black: bool


def read(source: Source, request: Request) -> Iterator[Acquisition | Refused]:
    """Return the one image of a TIFF file.

    Args:
        source: the file, open; it is read whole.
        request: what is asked of it.

    Raises:
        AcquisitionError: it is too large, or changed meanwhile; once the image is taken, as from `read_tiff`.
    """
    return _images(source.whole(request.limits), source.is_at_rest(0, source.end), source.mtime_ns, request)


def _images(data: bytes, at_rest: bool, mtime_ns: int, request: Request) -> Iterator[Acquisition]:
    image = read_tiff(data, request.name, request.channels, request.limits, request.asking)
    if image.last_plane_black:
        refuse_unfinished(at_rest, request.is_final)
    description, assigned = image.description, image.assigned
    yield Acquisition(
        name=request.shown,
        image_key="",
        planes=image.planes,
        channels=assigned.roles,
        pixel_size_um=description.pixel_size_um,
        plane_spacing_um=description.plane_spacing_um,
        planes_planned=description.planes_planned,
        channels_assumed=assigned.assumed,
        colours_disagree=assigned.colours_disagree,
        channels_overruled=assigned.overruled,
        pixel_height_um=description.pixel_height_um,
        last_plane_black=image.last_plane_black,
        provenance=Provenance(len(data), hashlib.sha256(data).hexdigest(), image.axes, image.shape, mtime_ns),
    )


def read_tiff(
    data: bytes,
    name: str,
    channels: Sequence[str] | None,
    limits: Limits,
    asking: Sequence[Asking] = (Asking(),),
) -> TiffImage:
    """Return the one image that the file holds.

    Args:
        data: the whole file.
        name: its name; an OME-TIFF may refer to itself by it.
        channels: role of each channel as the operator names it; None to find out.
        limits: what the file may ask for.
        asking: what each of those who judge asks for.

    Returns:
        planes: (Z, C, H, W) uint8, uint16 or float32 (finite), native byte order, contiguous; other
            types of counts are read into these, to the same values.

    Raises:
        AcquisitionError: the image cannot be read exactly; the sentence lacks the file's name.
    """
    pages = inspect(data, limits)
    with strictly(), GatedTiff(BytesIO(data), name=name, _multifile=False) as tif:
        description = describe(tif, pages, name)
        tif.checked_xml = description.reader_xml
        if description.dialect != "imagej":
            let_other_metadata_pass()
        _refuse_missing_planes(description.planes, pages, len(data), limits)
        series = _only_series(tif, description.dialect)
        places = _plane_offsets(series, description.planes or len(pages), pages)
        axes, shape = series.axes, series.shape
        order = axis_order(axes, shape)
        rgb = pages[0].photometric == PHOTOMETRIC_RGB and order.channels in (3, 4)
        count = order.channels - (rgb and order.channels == 4)  # the fourth of RGB is opacity
        assigned = assign_together(count, description.channels, asking, rgb=rgb, asked=channels)
        stored = _decode(data, tif, series, places, pages)
        black = ends_black(_last_plane(stored, int(np.argmax(places)), pages[0]), pages[0].tile_px)
    planes = stored.transpose(order.axes).reshape(order.planes, order.channels, *order.frame)
    planes = exact_pixels(np.ascontiguousarray(planes[:, :count]))
    return TiffImage(planes, assigned, axes, shape, description, black)


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
