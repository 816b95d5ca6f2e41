"""The one way from a raw file to a diagnosis and to the files beside it: read, judge, write.

    raw file -> read -> Acquisition -> judge -> Judged -> write -> X.tif.colvi.*

`Diagnoser` walks it for one image; `process` overlaps the steps of successive images. Of a file that
holds several, each image goes its own way, and the index comes last.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Limits, Provenance, Refused, acquire_opened
from colvi_edge.bundle import Bundle
from colvi_edge.choices import OverlayChoice, Replace
from colvi_edge.diagnosis import diagnose
from colvi_edge.engines import Engine
from colvi_edge.errors import AcquisitionError, ColviEdgeError, ImageTooLargeError, OutputError
from colvi_edge.outputs.sidecar import MAX_PATCHES, Image, Index, Sidecar
from colvi_edge.patches import grid_shape, project
from colvi_edge.pipeline.raw_file import Done, End, File, Judged, Kept, Outcome, RawFile
from colvi_edge.pipeline.records import result_record
from colvi_edge.pipeline.standing import keeps, kept_image, kept_result, sidecars
from colvi_edge.pipeline.writing import Writing, write_result
from colvi_edge.quality import assess
from colvi_edge.quality.familiarity import Familiar
from colvi_edge.stopwatch import Stopwatch

__all__ = ["Diagnoser", "Judged", "Kept", "Outcome", "RawFile", "process"]

Found = Acquisition | Refused | Kept | Index | End | ColviEdgeError


class Diagnoser:
    """Reads, judges and writes with one bundle on one engine.

    The three steps may run in three threads; `judge` in one only, as the engine does.

    Attributes:
        overlay: how it is written.
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

        Raises:
            BundleError: what the bundle knows of its training images cannot be read.
        """
        self._bundle = bundle
        self._familiar = Familiar.of(bundle)
        self._engine = engine
        self._channels = channels
        self._limits = limits or Limits()
        self.overlay = overlay
        self._replace = replace
        self._pixel_size_um = pixel_size_um
        self._is_kept = keeps(replace, bundle.sha256)

    def read(self, job: RawFile) -> Iterator[Acquisition | Refused]:
        """Yield the images of a raw file.

        Raises:
            AcquisitionError: the file cannot be read as an image of the assay.
        """
        for image in acquire_opened(
            job.open, job.name, channels=self._channels, limits=self._limits, is_final=job.is_final
        ):
            if self._pixel_size_um is not None and isinstance(image, Acquisition):
                yield image.with_pixel_size(self._pixel_size_um)
            else:
                yield image
            del image  # or it would be held while the next one is read

    def judge(self, acquisition: Acquisition) -> Judged:
        """Return the result for an image: its diagnosis, or why it was rejected.

        Raises:
            AcquisitionError: a channel that the bundle needs is missing, no patch fits, or too many do.
        """
        assert self._engine is not None  # noqa: S101 - who judges has one
        config = self._bundle.config
        planes = self.laid_out(acquisition)
        stopwatch = Stopwatch()
        with stopwatch.lap("quality"):
            assessment = assess(acquisition, config.expected, config.patch_px, self._familiar)
        diagnosis = None
        if not assessment.is_rejected:
            with stopwatch.lap("engine"):
                probabilities = self._engine.probabilities(planes)
            with stopwatch.lap("decide"):
                diagnosis = diagnose(probabilities)
        with stopwatch.lap("overlay projection"):
            shown = planes[0] if len(planes) == 1 else project(planes)  # one plane is its own sum
        collagen, nuclei = (shown[config.channels.index(role)] for role in ("collagen", "nuclei"))
        record = result_record(
            acquisition, self._bundle, self._engine.info, assessment, diagnosis, stopwatch.laps_ms
        )
        return Judged(record, collagen, nuclei, acquisition.pixel_height_um)

    def laid_out(self, acquisition: Acquisition) -> NDArray[Any]:
        """Return the planes of an image as the bundle asks for them, `(Z, C, H, W)`.

        Raises:
            AcquisitionError: as from `judge`, which may find no other fault.
        """
        config = self._bundle.config
        acquisition.check_holds_patch(config.patch_px)
        _refuse_too_many(acquisition.name, acquisition.planes, config.patch_px)
        return acquisition.laid_out(config.channels)

    def write(self, judged: Judged, job: RawFile) -> Sidecar:
        """Write the files of a result, the sidecar last; return the sidecar as written.

        Raises:
            OutputError: a file cannot be written; the older ones are as they were.
        """
        return write_result(judged, job, self.overlay).sidecar

    def kept(self, job: RawFile) -> Iterator[Kept | Index]:
        """Yield the results of a raw file if all of them are kept: nothing of it is decoded.

        They are intact, of the same content, and of a model of which that was said; none failed. Of a file
        that holds several images the index comes last.
        """
        result = None if self._replace is Replace.ALL else kept_result(job, self._is_kept, failed_too=False)
        if isinstance(result, Sidecar):
            yield self._as_kept(result)
        elif result is not None:
            for sidecar in sidecars(job, result):
                yield self._as_kept(sidecar)
            yield result

    def found(self, job: RawFile) -> Iterator[Acquisition | Refused | Kept]:
        """Yield the images of a raw file as `read` does; in the place of one whose result is kept, that.

        Raises:
            AcquisitionError: as from `read`.
        """
        for image in self.read(job):
            kept = None
            if isinstance(image, Acquisition) and image.image_key and self._replace is not Replace.ALL:
                kept = kept_image(job, image.image_key, image.provenance.sha256, self._is_kept)
            yield self._as_kept(kept) if kept else image
            del image  # or it would be held while the next one is read

    def _as_kept(self, sidecar: Sidecar) -> Kept:
        return Kept(sidecar, sidecar.model.sha256 != self._bundle.sha256)


_STOP_SEEN_S = 0.2


def process(
    diagnoser: Diagnoser, jobs: Iterable[File], is_stopped: Callable[[], bool] | None = None
) -> Iterator[Outcome[File]]:
    """Diagnose every image of every job, in order; one that fails stops none of the others.

    The next image is read and the last one written while this one is judged. Of each step one
    image is held in memory at a time. An outcome is given as soon as it is written, also while the
    next job is still being waited for.

    Whoever owns the process calls `gc.freeze` before, once the engine is open: what is loaded by then stays,
    and looking for garbage in it cost every thirtieth image 14 ms.

    Args:
        diagnoser: does it.
        jobs: the raw files.
        is_stopped: asked between images whether no other is to be judged.

    Raises:
        KeyboardInterrupt: it was stopped; the outcome of every image that was judged was given before.
    """
    reader = ThreadPoolExecutor(1, "read")
    try:
        with ThreadPoolExecutor(1, "write") as writer:
            write: Writing[File] = Writing(diagnoser.overlay)
            images = images_of(diagnoser, jobs)
            ahead = reader.submit(next, images, None)
            behind: Future[Outcome[File]] | None = None
            while True:
                pending: list[Future[Any]] = [ahead, *([behind] if behind else [])]
                wait(pending, _STOP_SEEN_S if is_stopped else None, FIRST_COMPLETED)
                if behind is not None and behind.done():
                    yield behind.result()
                    behind = None
                    continue
                if is_stopped and is_stopped():
                    break
                if not ahead.done():
                    continue
                if (image := ahead.result()) is None:
                    break
                ahead = reader.submit(next, images, None)
                job, found = image
                judged = _judge(diagnoser, found)
                if behind is not None:
                    yield behind.result()
                behind = writer.submit(write, job, judged)
            if behind is not None:
                yield behind.result()
            if is_stopped and is_stopped():
                raise KeyboardInterrupt
    finally:
        reader.shutdown(wait=False)  # it may wait for a job that never comes; a failure must not wait for it


def images_of(diagnoser: Diagnoser, jobs: Iterable[File]) -> Iterator[tuple[File, Found]]:
    """Yield what is found of every image of every job before any is judged."""
    for job in jobs:
        kept = False
        try:
            for result in diagnoser.kept(job):
                kept = True
                yield job, result
        except OutputError as error:
            yield job, error
        if not kept:
            yield from _read(diagnoser, job)


def _read(diagnoser: Diagnoser, job: File) -> Iterator[tuple[File, Found]]:
    source: Provenance | Image | None = None
    try:
        for image in diagnoser.found(job):
            if isinstance(image, Kept):
                source = image.sidecar.image
            else:
                source = image.provenance if image.image_key else None
            yield job, image
            del image  # or it would be held while the next one is read
    except AcquisitionError as error:
        yield job, error
    else:
        if source is not None:
            yield job, End(source)


def _judge(diagnoser: Diagnoser, found: Found) -> Done:
    if not isinstance(found, Acquisition):
        return found
    try:
        return diagnoser.judge(found)
    except AcquisitionError as error:
        return Refused(found.name, found.image_key, error, found.provenance)


def _refuse_too_many(name: str, planes: NDArray[Any], patch_px: int) -> None:
    height, width = planes.shape[2:]
    rows, cols = grid_shape(height, width, patch_px)
    if rows * cols > MAX_PATCHES:
        raise ImageTooLargeError(
            f"holds {rows * cols:,} patches of {patch_px} x {patch_px} pixels, but at most "
            f"{MAX_PATCHES:,} are recorded; crop the image",
            subject=name,
        )
