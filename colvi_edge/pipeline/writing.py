"""The last step: writes what became of each image, and the index of a file that holds several.

An error that ends here is recorded beside the raw file only where no result of the same content stands: what
was found out once is not lost to a wrong option, a full disk or a share that went away.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple

from colvi_edge.acquisition import Provenance, Refused
from colvi_edge.choices import OverlayChoice
from colvi_edge.errors import BlockedOutputError, BlockedRecordError, ColviEdgeError, OutputError
from colvi_edge.outputs import result
from colvi_edge.outputs.intact import index_entry, read_result, standing_entry
from colvi_edge.outputs.read_back import standing_record
from colvi_edge.outputs.sidecar import ErrorRecord, Image, Index, IndexEntry, Sidecar, to_json
from colvi_edge.pipeline.raw_file import Done, End, File, JudgedImage, Kept, Outcome, RawFile
from colvi_edge.pipeline.records import error_record, index_record
from colvi_edge.pipeline.standing import Content, stands


def write_result(judged: JudgedImage, file: RawFile, overlay: OverlayChoice) -> result.Written:
    """Write the files of a result, the sidecar last.

    Raises:
        BlockedOutputError: a folder has the name of one of them; nothing was touched.
        OutputError: a file cannot be written; the older ones are as they were.
    """
    with file.results() as folder_fd:
        return result.write_result(
            folder_fd,
            file.name,
            judged.sidecar,
            judged.shown,
            file.confirm,
            overlay,
            file.note,
            judged.result,
        )


class Recorded(NamedTuple):
    """What stands after an error.

    Attributes:
        record: of the error; or the result of the same content, of which no file was touched.
        gone: how many results of other content stood there.
    """

    record: Sidecar | Index | ErrorRecord
    gone: int = 0


def write_error(
    error: ColviEdgeError,
    file: RawFile,
    key: str = "",
    source: Provenance | Image | None = None,
    slot: str = "",
) -> Recorded:
    """Write why a raw file, or one image of it, has no result, unless one of the same content stands.

    Args:
        error: what went wrong.
        file: the raw file.
        key: of the image; "" for the file itself.
        source: the raw file as it was read; None where it was not.
        slot: of the bundle whose result is missing.

    Raises:
        BlockedRecordError: a folder has the name of the record.
        OutputError: the record cannot be written.
    """
    file.confirm()
    content = Content(file, source.sha256 if source else None)
    with file.results() as folder_fd:
        left = stands(folder_fd, file.name, key, content, slot)
        if left is not None:
            return Recorded(left)
        record = error_record(file.name, error, key, source, slot)
        told = standing_record(ErrorRecord, folder_fd, file.name, key, slot)
    if key and told is not None and (told.error, told.image) == (record.error, record.image):
        return Recorded(told)  # so that the index above it stays, too
    gone = _record(record, file, lambda image: image.status != "error" and content.may_be_of(image.image))
    return Recorded(record, gone)


def _record(record: ErrorRecord, file: RawFile, stays: Callable[[Sidecar | ErrorRecord], bool]) -> int:
    try:
        with file.results() as folder_fd:
            return result.write_error(folder_fd, file.name, record, file.confirm, stays)
    except BlockedOutputError as error:
        raise BlockedRecordError(error.words, subject=error.subject) from error


class FileWriter(Generic[File]):
    """Writes what a bundle made of one raw file: image after image, and at last the index, if it has one."""

    def __init__(self, file: File, overlay: OverlayChoice, slot: str = "") -> None:
        """Begin with nothing written.

        Args:
            file: the raw file.
            overlay: how it is written.
            slot: of the bundle.
        """
        self._file, self._overlay, self._slot = file, overlay, slot
        self._entries: dict[str, IndexEntry | None] = {}  # None where the record that stands counts
        self._trouble: ColviEdgeError | None = None
        self._before: Index | None = None  # of the same content, when the first image's turn came

    def write(self, done: Done) -> Outcome[File]:
        """Write what became of an image, or of the whole file, which comes last; return it."""
        return replace(self._written(done), slot=self._slot)

    def _written(self, done: Done) -> Outcome[File]:
        key, source = _image_of(done)
        if key:
            if not self._entries:
                self._before = self._index_of(source)
            self._entries[key] = None
        if isinstance(done, JudgedImage):
            return self._judged(done)
        if isinstance(done, Kept):
            return Outcome(self._file, done, key)
        if isinstance(done, Refused):
            if key or self._file.is_final(done.error):
                return self._failed(done.error, key, done.provenance)
            return Outcome(self._file, done.error)
        if isinstance(done, End):
            return self._index(done.source)
        if isinstance(done, Index) or not self._file.is_final(done):
            return Outcome(self._file, done)
        return self._rebuilt(done) or self._failed(done, "", None)

    def _judged(self, judged: JudgedImage) -> Outcome[File]:
        image = judged.sidecar.image
        try:
            written = write_result(judged, self._file, self._overlay)
        except BlockedOutputError as error:
            outcome = self._failed(error, image.key, image)
            self._trouble = self._trouble or error
            return outcome
        except ColviEdgeError as error:
            self._trouble = error
            left = self._what_stands(image) if isinstance(error, OutputError) else None
            return Outcome(self._file, error, image.key, stands=left)
        if image.key:
            sidecar = written.sidecar
            self._entries[image.key] = index_entry(self._file.name, sidecar, to_json(sidecar))
        return Outcome(self._file, written.sidecar, image.key, replaced=written.replaced)

    def _failed(self, error: ColviEdgeError, key: str, source: Provenance | Image | None) -> Outcome[File]:
        try:
            left, gone = write_error(error, self._file, key, source, self._slot)
        except ColviEdgeError as worse:
            if key:
                self._trouble = worse
            return Outcome(self._file, worse, key)
        stands = None if isinstance(left, ErrorRecord) else left
        return Outcome(self._file, error, key, stands=stands, gone=gone)

    def _index(self, source: Provenance | Image) -> Outcome[File]:
        """Write the index of a file all of whose images were seen, if it can be true."""
        trouble = self._trouble
        try:
            # Those that each bundle read for itself came after the others.
            entries = self._complete(sorted(self._entries, key=_place), source.sha256 or "")
            if entries and (trouble is None or self._before is not None):
                try:
                    index = self._write_index(source, entries)
                except BlockedOutputError as error:
                    trouble = trouble or error
                else:
                    return Outcome(self._file, trouble or index, stands=index if trouble else None)
            if trouble is None:
                trouble = OutputError(
                    "a result of it went away meanwhile; diagnose it again", subject=self._file.name
                )
            if isinstance(trouble, BlockedOutputError) and not isinstance(trouble, BlockedRecordError):
                record = error_record(self._file.name, trouble, "", source, self._slot)
                _record(record, self._file, lambda image: image.image.key in self._entries)
        except ColviEdgeError as error:
            return Outcome(self._file, error)
        return Outcome(self._file, trouble)

    def _rebuilt(self, error: ColviEdgeError) -> Outcome[File] | None:
        """Write the index anew that went when the first image was written, if the file failed after that.

        Returns:
            None where there was none, or it is of other content.
        """
        before = self._before
        if before is None or before.status == "error" or self._index_of(before.image) is not None:
            return None
        if not Content(self._file).may_be_of(before.image):
            return None
        keys = dict.fromkeys([*(entry.key for entry in before.images), *self._entries])
        try:
            self._file.confirm()
            entries = self._complete(list(keys), before.image.sha256 or "")
            if not entries:
                return None
            return Outcome(self._file, error, stands=self._write_index(before.image, entries))
        except ColviEdgeError as worse:
            return Outcome(self._file, worse)

    def _complete(self, keys: Sequence[str], raw_sha256: str) -> list[IndexEntry]:
        """Return the line of each image, of what was written or stands; none at all if one has neither."""
        with self._file.results() as folder_fd:
            found = [
                self._entries.get(key)
                or standing_entry(folder_fd, self._file.name, key, raw_sha256, self._slot)
                for key in keys
            ]
        entries = [entry for entry in found if entry is not None]
        return entries if len(entries) == len(keys) else []

    def _index_of(self, source: Provenance | Image | None) -> Index | None:
        """Return the index that stands above an image, if it is of the same content."""
        try:
            with self._file.results() as folder_fd:
                index = read_result(folder_fd, self._file.name, self._slot)
        except ColviEdgeError:
            return None
        if not isinstance(index, Index) or source is None or index.image.sha256 != source.sha256:
            return None
        return index

    def _what_stands(self, image: Image) -> Sidecar | Index | None:
        content = Content(self._file, image.sha256)
        try:
            with self._file.results() as folder_fd:
                return stands(folder_fd, self._file.name, image.key, content, self._slot)
        except ColviEdgeError:
            return None

    def _write_index(self, source: Provenance | Image, entries: Sequence[IndexEntry]) -> Index:
        """Write an index, unless it stands there already."""
        index = index_record(self._file.name, source, entries, self._slot)
        with self._file.results() as folder_fd:
            before = read_result(folder_fd, self._file.name, self._slot)
            if isinstance(before, Index) and (before.images, before.image) == (index.images, index.image):
                return before
            result.write_index(folder_fd, self._file.name, index, self._file.confirm)
        return index


def _place(key: str) -> tuple[int, str]:
    """Return what keys are sorted by: their number, of at least four digits, and then the name."""
    return len(key.partition("-")[0]), key


def _image_of(done: Done) -> tuple[str, Provenance | Image | None]:
    """Return the key of the image that this is about, and the file as it was read; nothing of a whole one."""
    if isinstance(done, JudgedImage | Kept):
        return done.sidecar.image.key, done.sidecar.image
    return (done.image_key, done.provenance) if isinstance(done, Refused) else ("", None)
