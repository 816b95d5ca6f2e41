"""Reads a Leica container image by image: each is judged on its own, and one that is broken loses no other.

Containers are often several gigabytes, so they are not read whole: first their structure and, once, their
hash; then the pixels of one image after the other. liffile decodes; the gate before it makes sure
that it agrees on where the pixels are.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, cast
from xml.etree.ElementTree import Element

import numpy as np
from liffile import LifFile, LifImage
from numpy.typing import NDArray

from colvi_edge.acquisition.bounds import allowing
from colvi_edge.acquisition.channels import Assigned
from colvi_edge.acquisition.leica.blocks import walk
from colvi_edge.acquisition.leica.images import Layout, images, layout_of, uses
from colvi_edge.acquisition.model import Limits
from colvi_edge.acquisition.refusals import DAMAGED, refuse_too_large, spared_memory
from colvi_edge.acquisition.source import Source
from colvi_edge.acquisition.unwritten import ends_black, refuse_unfinished
from colvi_edge.acquisition.wanted import Asking, assign_together
from colvi_edge.errors import (
    AcquisitionError,
    ImageTooLargeError,
    ImageTooSmallError,
    IncompleteFileError,
    NotAnImageError,
    PixelTypeError,
)
from colvi_edge.patches import SMALLEST_PATCH_PX
from colvi_edge.system.bounded import sha256_of

_NOT_ASSIGNED = Assigned(())


@dataclass(frozen=True)
class LifPicture:
    """One image of a container: planes (Z, C, H, W), and what the container says of it.

    Attributes:
        last_plane_black: the plane that is stored last is zeros, in a file that is finished.
    """

    planes: NDArray[Any]
    assigned: Assigned
    layout: Layout
    last_plane_black: bool


@dataclass(frozen=True)
class ListedImage:
    """An image of a container, not yet read.

    Attributes:
        key: such as "0003-Series004".
        element: its description.
        layout: how it lies; or why it is refused unread.
        assigned: the roles of its channels.
    """

    key: str
    element: Element
    layout: Layout | AcquisitionError
    assigned: Assigned = _NOT_ASSIGNED


class LifContainer:
    """A container whose structure was checked; its images are read one by one.

    Attributes:
        bytes: its length.
        sha256: of the whole file.
        images: in its order, not one of them read.
    """

    def __init__(
        self,
        source: Source,
        channels: Sequence[str] | None,
        limits: Limits,
        asking: Sequence[Asking] = (Asking(),),
    ) -> None:
        """Walk over the container, and hash it.

        Args:
            source: the file, open.
            channels: role of each channel of every image as the operator names it; None to find out.
            limits: what the file may ask for.
            asking: what each of those who judge asks for.

        Raises:
            AcquisitionError: nothing in it can be used; the sentence lacks the file's name.
        """
        self._source, self._channels, self._limits, self._asking = source, channels, limits, asking
        self.bytes = source.end
        if self.bytes > limits.container_bytes:
            raise ImageTooLargeError(
                f"is {self.bytes:,} bytes long, but at most {limits.container_bytes:,} are read "
                "(limit 'container_bytes'); save its images to several containers or allow it with "
                f"{allowing(container_bytes=self.bytes)}"
            )
        self._blocks, source.end = walk(source, self.bytes)
        source.seek(0)
        with _strictly("the description of its images"):
            self._file = LifFile(cast(IO[bytes], source))
        source.end = self.bytes
        in_file = images(self._file.xml_element)
        described = list(islice(in_file, limits.images))
        if more := sum(1 for _ in in_file):
            raise ImageTooLargeError(
                f"holds more than {limits.images:,} images (limit 'images'); save them to several "
                f"containers or allow it with {allowing(images=limits.images + more)}"
            )
        if not described:
            raise NotAnImageError("holds no image; save the images of the assay into it")
        source.seek(0)
        self.sha256 = sha256_of(source)
        used = uses([element for _, element in described])
        self.images = [self._listed(key, element, used) for key, element in described]

    def _listed(self, key: str, element: Element, used: Counter[str]) -> ListedImage:
        try:
            layout = layout_of(element, self._blocks, used)
            assigned = assign_together(
                len(layout.hints), layout.hints, self._asking, rgb=False, asked=self._channels
            )
            height, width = layout.length("Y"), layout.length("X")
            if min(height, width) < SMALLEST_PATCH_PX:
                raise ImageTooSmallError(
                    f"is {width} x {height} pixels, smaller than the smallest patch, {SMALLEST_PATCH_PX} x "
                    f"{SMALLEST_PATCH_PX}; acquire the whole field of view"
                )
            refuse_too_large(layout.block.bytes, layout.dtype.itemsize, self.bytes, self._limits)
        except AcquisitionError as error:
            return ListedImage(key, element, error)
        return ListedImage(key, element, layout, assigned)

    def read(
        self, listed: ListedImage, is_final: Callable[[AcquisitionError], bool]
    ) -> LifPicture | AcquisitionError:
        """Return an image, or why it is refused.

        Args:
            listed: one of `images`.
            is_final: asked whether no later look can help.

        Returns:
            planes: (Z, C, H, W) uint8, uint16 or float32 (finite), native byte order, contiguous.

        Raises:
            AcquisitionError: the container cannot be read any more, or changed.
        """
        if isinstance(listed.layout, AcquisitionError):
            return listed.layout
        with self._source.reading():
            try:
                with spared_memory(), _strictly("its pixels"):
                    stored = self._stored(listed.element, listed.layout)
            except AcquisitionError as error:
                return error
            block = listed.layout.block
            at_rest = self._source.is_at_rest(block.offset, block.offset + block.bytes)
        try:
            with spared_memory():
                picture = self._picture(stored, listed.layout, listed.assigned)
            if picture.last_plane_black:
                refuse_unfinished(at_rest, is_final)
            return picture
        except AcquisitionError as error:
            return error

    def _stored(self, element: Element, layout: Layout) -> NDArray[Any]:
        image = LifImage(self._file, element, "")
        block = image.memory_block
        found = (image.dims, image.shape, image.dtype, block.offset, block.size)
        if found != (tuple(layout.axes), layout.shape, layout.dtype, *layout.block):
            raise IncompleteFileError(f"its description can be read in two ways; {DAMAGED}")
        return image.asarray()

    def _picture(self, stored: NDArray[Any], layout: Layout, assigned: Assigned) -> LifPicture:
        rows = layout.axes.index("Y")
        last = stored.reshape(-1, layout.length("Y"), math.prod(layout.shape[rows + 1 :]))[-1]
        black = ends_black(last[..., np.newaxis], None)
        if stored.dtype.kind == "f" and not np.isfinite(stored).all():
            raise PixelTypeError(
                "holds pixels that are NaN or infinite; expected finite numbers; acquire it again"
            )
        ordered = stored.transpose([layout.axes.index(axis) for axis in "ZCYX" if axis in layout.axes])
        planes = ordered.reshape([layout.length(axis) for axis in "ZCYX"])
        return LifPicture(
            planes=np.ascontiguousarray(planes, dtype=layout.dtype.newbyteorder("=")),
            assigned=assigned,
            layout=layout,
            last_plane_black=black,
        )


@contextmanager
def _strictly(what: str) -> Iterator[None]:
    """Turn whatever the reader raises into an error with a sentence."""
    try:
        yield
    except (AcquisitionError, MemoryError):
        raise
    except Exception as error:  # liffile and the XML parser raise some ten types for damaged files
        if isinstance(error, OSError) and error.errno:
            raise  # of the file system
        raise IncompleteFileError(f"{what} cannot be decoded; {DAMAGED}") from error
