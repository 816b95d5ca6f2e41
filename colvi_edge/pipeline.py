"""The one way from a raw file to a diagnosis and to the files beside it: read, judge, write.

    raw file -> read -> Acquisition -> judge -> Judged -> write -> X.tif.colvi.*

`Diagnoser` walks it for one image; `process` overlaps the steps of successive images. Of a file that
holds several, each image goes its own way, and the index comes last.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Limits, Provenance, Refused, acquire_opened
from colvi_edge.bundle import Bundle
from colvi_edge.choices import OverlayChoice, Replace
from colvi_edge.clock import Clock
from colvi_edge.diagnosis import diagnose
from colvi_edge.engines import Engine
from colvi_edge.errors import (
    AcquisitionError,
    BlockedOutputError,
    BlockedRecordError,
    ColviEdgeError,
    ImageTooLargeError,
)
from colvi_edge.outputs import folder
from colvi_edge.outputs.sidecar import MAX_PATCHES, ErrorRecord, Index, Sidecar
from colvi_edge.patches import grid_shape, project
from colvi_edge.quality import assess
from colvi_edge.quality.familiarity import Familiar
from colvi_edge.records import error_record, index_record, result_record


@dataclass(frozen=True)
class Judged:
    """An image with its result, not yet written.

    Attributes:
        sidecar: complete but for its outputs.
        collagen, nuclei: (H, W) projections for the overlay.
        pixel_height_um: for it, too; None when the file does not say.
    """

    sidecar: Sidecar
    collagen: NDArray[Any]
    nuclei: NDArray[Any]
    pixel_height_um: float | None


class RawFile(Protocol):
    """A raw file, and where its results go: `jobs.Job`, or the daemon's, which trusts no path."""

    @property
    def name(self) -> str:
        """Name of the raw file, without folders."""
        ...

    def open(self) -> int:
        """Return a new descriptor of it, opened with `acquisition.OPEN_FLAGS`."""
        ...

    def results(self) -> AbstractContextManager[int]:
        """Hold the folder for its results open; an OSError in there becomes an OutputError."""
        ...

    def confirm(self) -> None:
        """Raise a ColviEdgeError if nothing may be written any more; asked before each change."""
        ...

    def is_final(self, error: ColviEdgeError) -> bool:
        """Return whether an error is to be recorded, or the file will be tried again."""
        ...

    def note(self, words: str) -> None:
        """Take what is to be told beside the result."""
        ...


File = TypeVar("File", bound=RawFile)


@dataclass(frozen=True)
class Kept:
    """A result of the same content that stood and was kept: its image was not judged.

    Attributes:
        sidecar: as it stands.
        is_other_model: it is of another model than the one that judges; else of this very one.
    """

    sidecar: Sidecar
    is_other_model: bool


@dataclass(frozen=True)
class Outcome(Generic[File]):
    """What became of an image: a sidecar as it was written or kept, or why there is none.

    Of a file that holds several images there is one for each, with its key, and then one for the file
    itself: its index.

    Attributes:
        job: of the raw file.
        result: what was written or kept, or went wrong.
        image_key: which image of a file that holds several; else "".
        stands: the result of the same content that an error left as it was.
        replaced: what stood before was another result; its sidecar is now `X.colvi.prev.json`.
    """

    job: File
    result: Sidecar | Index | Kept | ColviEdgeError
    image_key: str = ""
    stands: Sidecar | Index | None = None
    replaced: bool = False


@dataclass(frozen=True)
class End:
    """All images of a file that holds several were read."""

    provenance: Provenance


Found = Acquisition | Refused | End | ColviEdgeError
Done = Judged | Refused | End | ColviEdgeError


class Diagnoser:
    """Reads, judges and writes with one bundle on one engine.

    The three steps may run in three threads; `judge` in one only, as the engine does.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        channels: Sequence[str] | None = None,
        limits: Limits | None = None,
        overlay: OverlayChoice = OverlayChoice.PNG,
        replace: Replace = Replace.OWN,
    ) -> None:
        """Keep what every image needs.

        Args:
            bundle: what judges.
            engine: the same bundle, opened.
            channels: role of each channel of the raw files, where they do not say it themselves.
            limits: what a raw file may ask for.
            overlay: how it is written.
            replace: what is judged where a result of the same content stands.

        Raises:
            BundleError: what the bundle knows of its training images cannot be read.
        """
        self._bundle = bundle
        self._familiar = Familiar.of(bundle)
        self._engine = engine
        self._channels = channels
        self._limits = limits or Limits()
        self._overlay = overlay
        self._replace = replace

    def read(self, job: RawFile) -> Iterator[Acquisition | Refused]:
        """Yield the images of a raw file.

        Raises:
            AcquisitionError: the file cannot be read as an image of the assay.
        """
        yield from acquire_opened(
            job.open, job.name, channels=self._channels, limits=self._limits, may_lack=job.is_final
        )

    def judge(self, acquisition: Acquisition) -> Judged:
        """Return the result for an image: its diagnosis, or why it was rejected.

        Raises:
            AcquisitionError: a channel that the bundle needs is missing, no patch fits, or too many do.
        """
        config = self._bundle.config
        _refuse_too_many(acquisition.name, acquisition.planes, config.patch_px)
        planes = acquisition.laid_out(config.channels)
        clock = Clock()
        with clock.lap("quality"):
            assessment = assess(acquisition, config.expected, config.patch_px, self._familiar)
        diagnosis = None
        if not assessment.is_rejected:
            with clock.lap("engine"):
                probabilities = self._engine.probabilities(planes)
            with clock.lap("decide"):
                diagnosis = diagnose(probabilities)
        with clock.lap("overlay projection"):
            shown = planes[0] if len(planes) == 1 else project(planes)  # one plane is its own sum
        collagen, nuclei = (shown[config.channels.index(role)] for role in ("collagen", "nuclei"))
        record = result_record(
            acquisition, self._bundle, self._engine.info, assessment, diagnosis, clock.laps_ms
        )
        return Judged(record, collagen, nuclei, acquisition.pixel_height_um)

    def write(self, judged: Judged, job: RawFile) -> Sidecar:
        """Write the files of a result, the sidecar last; return the sidecar as written.

        Raises:
            BlockedOutputError: a folder has the name of one of them; nothing was touched.
            OutputError: a file cannot be written.
        """
        with job.results() as folder_fd:
            return folder.write_result(
                folder_fd,
                job.name,
                judged.sidecar,
                judged.collagen,
                judged.nuclei,
                job.confirm,
                self._overlay,
                judged.pixel_height_um,
                job.note,
            )

    def write_error(self, error: ColviEdgeError, job: RawFile, refused: Refused | None = None) -> ErrorRecord:
        """Write why a raw file, or one image of it, has no result; return the record.

        Raises:
            BlockedRecordError: a folder has its name.
            OutputError: the record cannot be written.
        """
        key, source = (refused.image_key, refused.provenance) if refused else ("", None)
        return self._record(error_record(job.name, error, key, source), job)

    def write_blocked(self, error: BlockedOutputError, judged: Judged, job: RawFile) -> Sidecar | ErrorRecord:
        """Write that a folder is in the way of a result; return the record that now is there.

        It is no error record where a whole result of this very content stands, which it would end.

        Raises:
            BlockedRecordError: a folder has its name, too.
            OutputError: the record cannot be written.
        """
        image = judged.sidecar.image
        with job.results() as folder_fd:
            before = folder.intact_sidecar(folder_fd, job.name, image.key)
        if before and before.image.sha256 == image.sha256:
            return before
        return self._record(error_record(job.name, error, image.key, image), job)

    def write_blocked_index(
        self,
        error: BlockedOutputError,
        records: Sequence[Sidecar | ErrorRecord],
        provenance: Provenance,
        job: RawFile,
    ) -> ErrorRecord:
        """Write that a folder is in the way of an index, or of what it would list; return the record.

        What became of each image stays.

        Raises:
            BlockedRecordError: a folder has its name, too.
            OutputError: the record cannot be written.
        """
        keys = {record.image.key for record in records}
        return self._record(error_record(job.name, error, "", provenance), job, keys)

    def _record(self, record: ErrorRecord, job: RawFile, keep: Set[str] = frozenset()) -> ErrorRecord:
        try:
            with job.results() as folder_fd:
                folder.write_error(folder_fd, job.name, record, job.confirm, keep)
        except BlockedOutputError as error:
            raise BlockedRecordError(str(error)) from error
        return record

    def write_index(
        self, records: Sequence[Sidecar | ErrorRecord], provenance: Provenance, job: RawFile
    ) -> Index:
        """Write what became of the images of a file that holds several; return the index.

        Raises:
            OutputError: it cannot be written.
        """
        index = index_record(job.name, provenance, records)
        with job.results() as folder_fd:
            folder.write_index(folder_fd, job.name, index, job.confirm)
        return index


def process(diagnoser: Diagnoser, jobs: Iterable[File]) -> Iterator[Outcome[File]]:
    """Diagnose every image of every job, in order; one that fails stops none of the others.

    The next image is read and the last one written while this one is judged. Of each step one
    image is held in memory at a time. An outcome is given as soon as it is written, also while the
    next job is still being waited for.
    """
    gc.freeze()  # what is loaded by now stays; looking for garbage in it cost every thirtieth image 14 ms
    reader = ThreadPoolExecutor(1, "read")
    try:
        with ThreadPoolExecutor(1, "write") as writer:
            write: _Writing[File] = _Writing(diagnoser)
            images = _images(diagnoser, jobs)
            ahead = reader.submit(next, images, None)
            behind: Future[Outcome[File]] | None = None
            while True:
                if behind is not None:
                    pending: tuple[Future[Any], ...] = (ahead, behind)
                    wait(pending, return_when=FIRST_COMPLETED)
                    if behind.done():
                        yield behind.result()
                        behind = None
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
    finally:
        reader.shutdown(wait=False)  # it may wait for a job that never comes; a failure must not wait for it


def _images(diagnoser: Diagnoser, jobs: Iterable[File]) -> Iterator[tuple[File, Found]]:
    for job in jobs:
        source: Provenance | None = None
        try:
            for image in diagnoser.read(job):
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
        if found.image_key:
            return Refused(found.name, found.image_key, error, found.provenance)
        return error


def _refuse_too_many(name: str, planes: NDArray[Any], patch_px: int) -> None:
    height, width = planes.shape[2:]
    rows, cols = grid_shape(height, width, patch_px)
    if rows * cols > MAX_PATCHES:
        raise ImageTooLargeError(
            f"{name}: holds {rows * cols:,} patches of {patch_px} x {patch_px} pixels, but at most "
            f"{MAX_PATCHES:,} are recorded; crop the image"
        )


class _Writing(Generic[File]):
    """The last step; remembers what was written of a file that holds several images, for its index."""

    def __init__(self, diagnoser: Diagnoser) -> None:
        self._diagnoser = diagnoser
        self._records: list[Sidecar | ErrorRecord] = []
        self._trouble: ColviEdgeError | None = None

    def __call__(self, job: File, done: Done) -> Outcome[File]:
        if isinstance(done, Judged | Refused):
            return self._image(job, done)
        records, trouble = self._records, self._trouble
        self._records, self._trouble = [], None
        try:
            if isinstance(done, End):
                return Outcome(job, self._index(trouble, records, done.provenance, job))
            if job.is_final(done):
                self._diagnoser.write_error(done, job)
        except ColviEdgeError as error:
            return Outcome(job, error)
        return Outcome(job, done)

    def _index(
        self,
        trouble: ColviEdgeError | None,
        records: Sequence[Sidecar | ErrorRecord],
        provenance: Provenance,
        job: File,
    ) -> Index | ColviEdgeError:
        if trouble is None:
            try:
                return self._diagnoser.write_index(records, provenance, job)
            except BlockedOutputError as error:
                trouble = error
        if isinstance(trouble, BlockedOutputError) and not isinstance(trouble, BlockedRecordError):
            self._diagnoser.write_blocked_index(trouble, records, provenance, job)
        return trouble

    def _image(self, job: File, done: Judged | Refused) -> Outcome[File]:
        result: Sidecar | ColviEdgeError
        try:
            if isinstance(done, Refused):
                key, result = done.image_key, done.error
                self._records.append(self._diagnoser.write_error(result, job, done))
            else:
                key = done.sidecar.image.key
                record: Sidecar | ErrorRecord
                try:
                    record = result = self._diagnoser.write(done, job)
                except BlockedOutputError as error:
                    record, result = self._diagnoser.write_blocked(error, done, job), error
                    self._trouble = error if key else None
                if key:
                    self._records.append(record)
        except ColviEdgeError as error:
            result = error
            if key:
                self._trouble = error
        return Outcome(job, result, key)
