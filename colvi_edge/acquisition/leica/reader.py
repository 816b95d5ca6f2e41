"""The images of a Leica container, one after the other."""

from collections.abc import Iterator

from colvi_edge.acquisition.formats import Request
from colvi_edge.acquisition.leica.container import LifContainer, ListedImage
from colvi_edge.acquisition.model import Acquisition, Provenance, Refused
from colvi_edge.acquisition.refusals import say_of
from colvi_edge.acquisition.source import Source
from colvi_edge.errors import AcquisitionError, IncompleteFileError


def read(source: Source, request: Request) -> Iterator[Acquisition | Refused]:
    """Return the images of a container that are of the assay, and why the others are not.

    Args:
        source: the container, open.
        request: what is asked of it.

    Raises:
        AcquisitionError: nothing in it can be used; or, of an image, it may still be written.
    """
    return _images(LifContainer(source, request.channels, request.limits, request.asking), source, request)


def _images(container: LifContainer, source: Source, request: Request) -> Iterator[Acquisition | Refused]:
    for listed in container.images:  # before any is read: a container that lacks one may be growing
        if isinstance(listed.layout, AcquisitionError):
            _refused(container, listed, listed.layout, request)
    for listed in container.images:
        image = container.read(listed, request.is_final)
        if isinstance(image, AcquisitionError):
            yield _refused(container, listed, image, request)
            continue
        layout = image.layout
        yield Acquisition(
            name=request.shown,
            image_key=listed.key,
            planes=image.planes,
            channels=image.assigned.roles,
            pixel_size_um=layout.pixel_size_um,
            plane_spacing_um=layout.plane_spacing_um,
            planes_planned=None,
            channels_assumed=image.assigned.assumed,
            colours_disagree=image.assigned.colours_disagree,
            channels_overruled=image.assigned.overruled,
            pixel_height_um=layout.pixel_height_um,
            last_plane_black=image.last_plane_black,
            provenance=Provenance(
                container.bytes, container.sha256, layout.axes, layout.shape, source.mtime_ns
            ),
        )
        del image  # or it would be held while the next one is read


def _refused(
    container: LifContainer, listed: ListedImage, error: AcquisitionError, request: Request
) -> Refused:
    """Return an image that is refused; raise the error if the whole container may still be written."""
    say_of(f"{request.shown}.{listed.key}", error)
    if isinstance(error, IncompleteFileError) and not request.is_final(error):
        raise error
    return Refused(request.shown, listed.key, error, Provenance(container.bytes, container.sha256, "", ()))
