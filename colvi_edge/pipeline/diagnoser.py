"""The three steps from a raw file to a diagnosis and to the files beside it, image by image.

    raw file -> read -> Acquisition -> judge -> JudgedImage -> write -> X.tif.colvi.*

`runner.process` overlaps the steps of successive images.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Limits, Refused, acquire_array, acquire_opened
from colvi_edge.acquisition.wanted import Asking, wanted_by
from colvi_edge.bundle import Bundle, Config
from colvi_edge.choices import OverlayChoice, Replace
from colvi_edge.engines import Engine
from colvi_edge.errors import ImageTooLargeError, NoRegionError, UsageError
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Index, Sidecar, most_cells, recordable
from colvi_edge.patches import grid_shape, project
from colvi_edge.pipeline.fields import inside, kept_of_field
from colvi_edge.pipeline.raw_file import JudgedImage, Kept, RawFile
from colvi_edge.pipeline.records import result_record
from colvi_edge.pipeline.sizing import size_asked
from colvi_edge.pipeline.standing import Content, keeps, kept_image, kept_result, sidecars
from colvi_edge.pipeline.writing import write_result
from colvi_edge.quality.familiarity import Familiar
from colvi_edge.quality.flags import Assessment
from colvi_edge.quality.rules import assess_for
from colvi_edge.stopwatch import Stopwatch
from colvi_edge.tasks.segment import Segmentation
from colvi_edge.tasks.task import Answer, task_of


class Diagnoser:
    """Reads, judges and writes with one bundle on one engine.

    The three steps may run in three threads; `judge` in one only, as the engine does.

    Attributes:
        bundle: what judges.
        asking: for what channels it asks.
        overlay: how it is written.
        slot: of the bundle, which its results' names tell; "" is that of plain names.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine | None,
        channels: Sequence[str] | None = None,
        limits: Limits | None = None,
        overlay: OverlayChoice = OverlayChoice.PNG,
        replace: Replace = Replace.OWN,
        pixel_size_um: float | None = None,
        slot: str = "",
        lender: "Diagnoser | None" = None,
    ) -> None:
        """Keep what every image needs.

        Args:
            bundle: what judges.
            engine: the same bundle, opened; None where nothing is judged.
            channels: role of each channel of the raw files, where they do not say it themselves.
            limits: what a raw file may ask for.
            overlay: how it is written.
            replace: what is judged where a result of the same content stands.
            pixel_size_um: of all raw files, whatever they say; None goes by what they say.
            slot: of the bundle, as `outputs.names.slots_of` gives it.
            lender: whose regions are all that the bundle sees, where its manifest says so.

        Raises:
            UsageError: nobody, or another bundle, lends the regions that are all that the bundle sees.
            BundleError: what the bundle knows of its training images cannot be read.
        """
        self.bundle: Bundle = bundle
        mask = bundle.config.input.mask
        if mask is not None and (lender is None or lender.bundle.sha256 != mask.sha256):
            found = lender.bundle.label if lender else "none"
            raise UsageError(
                f"{bundle.label} sees only the regions of {mask.bundle} (SHA-256 {mask.sha256[:12]}...), "
                f"found {found}; give both bundles to run or watch, each with --bundle"
            )
        self._familiar = Familiar.of(bundle)
        self._engine = engine
        self._task = task_of(bundle.config.task)
        self._channels = channels
        self.asking = Asking(
            wanted_by(bundle.config), wanted_by(lender.bundle.config) if lender is not None else ()
        )
        self._limits = limits or Limits()
        self.overlay = overlay
        self._replace = replace
        self._pixel_size_um = pixel_size_um
        self._is_kept = keeps(replace, bundle.sha256)
        self.slot = slot
        self._lender = lender
        self._lends = False
        self._last: tuple[tuple[str, str], Answer | None] | None = None
        if lender is not None:
            lender._lends = True

    def read(self, file: RawFile, asking: Sequence[Asking] = ()) -> Iterator[Acquisition | Refused]:
        """Yield the images of a raw file.

        Args:
            file: the raw file.
            asking: for what those ask who judge its images; nothing for this one alone.

        Raises:
            AcquisitionError: the file cannot be read as an image of the assay.
        """
        for image in acquire_opened(
            file.open,
            file.name,
            channels=self._channels,
            asking=asking or [self.asking],
            limits=self._limits,
            is_final=file.is_final,
        ):
            yield self._of_named_size(image) if isinstance(image, Acquisition) else image
            del image  # or it would be held while the next one is read

    def acquire_array(
        self,
        planes: NDArray[Any],
        axes: str,
        channels: Sequence[str] | None = None,
        pixel_size_um: float | None = None,
        name: str = "array",
    ) -> Acquisition:
        """Return an image that is in memory as one that was read; see `acquisition.acquire_array`."""
        roles = self._channels if channels is None else channels
        image = acquire_array(
            planes, axes, channels=roles, pixel_size_um=pixel_size_um, asking=[self.asking], name=name
        )
        return self._of_named_size(image)

    def _of_named_size(self, image: Acquisition) -> Acquisition:
        """Return an image with the size of pixels that was named for all, if one was."""
        return image if self._pixel_size_um is None else image.with_pixel_size(self._pixel_size_um)

    def judge(self, acquisition: Acquisition) -> JudgedImage:
        """Return the result for an image: its diagnosis, or why it was rejected.

        Raises:
            AcquisitionError: a channel that the bundle needs is missing, no patch fits, or too many do.
        """
        assert self._engine is not None  # noqa: S101 - who judges has one
        stopwatch = Stopwatch()
        planes, assessment, result = self._decided(acquisition, stopwatch)
        with stopwatch.lap("overlay projection"):
            projection = planes[0] if len(planes) == 1 else project(planes)  # one plane is its own sum
        record = result_record(
            acquisition, self.bundle, self._engine.info, assessment, result, stopwatch.laps_ms, self.slot
        )
        shown = Shown(projection, self.bundle.config.channels, acquisition.pixel_height_um)
        return JudgedImage(record, shown, result)

    def _decided(
        self, acquisition: Acquisition, stopwatch: Stopwatch
    ) -> tuple[NDArray[Any], Assessment, Answer | None]:
        """Return the planes (Z, C, H, W) as judged, how good they are, and the result unless rejected."""
        assert self._engine is not None  # noqa: S101 - who judges has one
        config = self.bundle.config
        planes = self.laid_out(acquisition)
        with stopwatch.lap("quality"):
            assessment = assess_for(config, acquisition, self._familiar)
        result = None
        if not assessment.is_rejected:
            seen = planes
            if self._lender is not None:
                with stopwatch.lap("regions"):
                    seen = inside(planes, self._lender.regions(acquisition))
            with stopwatch.lap("engine"):
                size = size_asked(config.input, acquisition)
                kept = kept_of_field(self._engine, config, self._task, seen, size)
            with stopwatch.lap("decide"):
                result = self._task.decide(kept, acquisition.square_pixel_um)
        if self._lends:
            self._last = _identity(acquisition), result
        return planes, assessment, result

    def regions(self, acquisition: Acquisition) -> NDArray[np.uint8]:
        """Return the map of an image's regions, (Z or 1, H, W), 0 outside: as just found, or found anew.

        Raises:
            NoRegionError: there is none.
            AcquisitionError: as from `judge`.
        """
        if self._last is None or self._last[0] != _identity(acquisition):
            self._decided(acquisition, Stopwatch())
        result = self._last[1] if self._last else None
        why = "rejects the image" if result is None else "finds none in it"
        if not isinstance(result, Segmentation) or not result.labels.any():
            raise NoRegionError(
                f"only regions of {self.bundle.label} are judged, and that {why}; see its own result",
                subject=acquisition.name,
            )
        return result.labels

    def laid_out(self, acquisition: Acquisition) -> NDArray[Any]:
        """Return the planes of an image as the bundle asks for them, `(Z, C, H, W)`.

        Raises:
            AcquisitionError: as from `judge`, which may find no other fault.
        """
        return laid_out(acquisition, self.bundle.config)

    def write(self, judged: JudgedImage, file: RawFile) -> Sidecar:
        """Write the files of a result, the sidecar last; return the sidecar as written.

        Raises:
            OutputError: a file cannot be written; the older ones are as they were.
        """
        return write_result(judged, file, self.overlay).sidecar

    def kept(self, file: RawFile, content: Content) -> Iterator[Kept | Index]:
        """Yield the results of a raw file if all of them are kept: nothing of it is decoded.

        They are intact, of the same content, and of a model of which that was said; none failed. Of a file
        that holds several images the index comes last.
        """
        result = None
        if self._replace is not Replace.ALL:
            result = kept_result(file, self._is_kept, failed_too=False, slot=self.slot, content=content)
        if isinstance(result, Sidecar):
            yield self._as_kept(result)
        elif result is not None:
            for sidecar in sidecars(file, result):
                yield self._as_kept(sidecar)
            yield result

    def kept_of(self, file: RawFile, image: Acquisition | Refused) -> Kept | None:
        """Return the result of one image of a file that holds several, if it is kept."""
        if isinstance(image, Refused) or not image.image_key or self._replace is Replace.ALL:
            return None
        kept = kept_image(file, image.image_key, image.provenance.sha256, self._is_kept, self.slot)
        return self._as_kept(kept) if kept else None

    def _as_kept(self, sidecar: Sidecar) -> Kept:
        return Kept(sidecar, sidecar.model.sha256 != self.bundle.sha256)


def laid_out(acquisition: Acquisition, config: Config) -> NDArray[Any]:
    """Return the planes of an image as a bundle asks for them; see `Diagnoser.laid_out`."""
    if config.has_patches:
        acquisition.check_holds_patch(config.patch_px)
    if not config.is_dense:
        _refuse_too_many(acquisition.name, acquisition.planes, config)
    size_asked(config.input, acquisition)
    return acquisition.laid_out(config.channels)


def _identity(acquisition: Acquisition) -> tuple[str, str]:
    return acquisition.provenance.sha256, acquisition.image_key


def _refuse_too_many(name: str, planes: NDArray[Any], config: Config) -> None:
    classes = len(config.task.classes)
    if not config.has_patches:
        if config.input.planes == "each" and not recordable(len(planes), 1, classes):
            raise ImageTooLargeError(
                f"holds {len(planes):,} planes, more than are recorded one by one; split the stack",
                subject=name,
            )
        return
    height, width = planes.shape[2:]
    rows, cols = grid_shape(height, width, config.patch_px)
    if not recordable(rows, cols, classes):
        raise ImageTooLargeError(
            f"holds {rows * cols:,} patches of {config.patch_px} x {config.patch_px} pixels, but at most "
            f"{most_cells(classes):,} are recorded; crop the image",
            subject=name,
        )
