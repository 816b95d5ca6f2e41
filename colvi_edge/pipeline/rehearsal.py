"""What `run` would do: every file is read as it would be, no engine is opened, and nothing is written."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from colvi_edge.acquisition import Acquisition, Refused
from colvi_edge.errors import AcquisitionError, ColviEdgeError, OutputError
from colvi_edge.outputs.read_back import standing_record
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar
from colvi_edge.pipeline.diagnoser import Diagnoser
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.pipeline.raw_file import End, Kept
from colvi_edge.pipeline.runner import images_of
from colvi_edge.pipeline.standing import Content, stands
from colvi_edge.system.atomic import open_folder
from colvi_edge.system.writing import explained


class Planned(NamedTuple):
    """What would become of an image.

    Attributes:
        file: its raw file.
        image_key: which image of a file that holds several; else "".
        does: judge it; keep the result that stands; or refuse it, so that there is an error.
        why: in words, without the file's name.
        subject: what an error names before them; "" if nothing.
        slot: of the bundle that would judge.
    """

    file: InputFile
    image_key: str
    does: Literal["judge", "keep", "refuse"]
    why: str
    subject: str = ""
    slot: str = ""


def rehearse(diagnosers: Sequence[Diagnoser], files: Iterable[InputFile]) -> Iterator[Planned]:
    """Yield what would become of every image of every file, in order.

    Only the gate and the reader are asked: what they let through may still be rejected for its quality.

    Args:
        diagnosers: with the options of the run; they need no engine.
        files: the raw files.
    """
    for named in files:
        file = _Looked(named.raw, named.folder, named.place)
        for diagnoser, found in images_of(diagnosers, file):
            slot = diagnoser.slot
            if isinstance(found, Kept):
                model = found.sidecar.model.label if found.is_other_model else "this model"
                why = f"the result of {model} stands"
                yield Planned(file, found.sidecar.image.key, "keep", why, slot=slot)
            elif isinstance(found, Acquisition):
                yield _of_image(diagnoser, file, found)
            elif isinstance(found, Refused):
                yield _refused(file, found.image_key, found.error, found.provenance.sha256, slot)
            elif isinstance(found, ColviEdgeError):
                yield _refused(file, "", found, None, slot)
            else:
                _: Index | End = found  # its images were told of
            del found  # or it would be held while the next one is read


def closed_folders(files: Iterable[InputFile]) -> list[Path]:
    """Return the folders for results that cannot be written to, or not be made."""
    return [folder for folder in dict.fromkeys(file.folder for file in files) if not _is_open(folder)]


@dataclass(frozen=True)
class _Looked(InputFile):
    """A raw file whose folder of results is not made."""

    def results(self) -> AbstractContextManager[int]:
        return _existing(self.folder)


@contextmanager
def _existing(folder: Path) -> Iterator[int]:
    with explained(str(folder), "results"), open_folder(folder) as folder_fd:
        yield folder_fd


def _of_image(diagnoser: Diagnoser, file: InputFile, image: Acquisition) -> Planned:
    try:
        diagnoser.laid_out(image)
    except AcquisitionError as error:
        return _refused(file, image.image_key, error, image.provenance.sha256, diagnoser.slot)
    why = _why_judged(diagnoser, file, image.image_key, image.provenance.sha256)
    return Planned(file, image.image_key, "judge", why, slot=diagnoser.slot)


def _why_judged(diagnoser: Diagnoser, file: InputFile, key: str, raw_sha256: str) -> str:
    try:
        with file.results() as folder_fd:
            sidecar = standing_record(Sidecar, folder_fd, file.name, key, diagnoser.slot)
            error = standing_record(ErrorRecord, folder_fd, file.name, key, diagnoser.slot)
    except OutputError:  # there is no folder yet
        sidecar = error = None
    if sidecar is not None and sidecar.image.sha256 != raw_sha256:
        return "again: the file has changed since its result"
    if sidecar is not None and sidecar.model.sha256 == diagnoser.bundle.sha256:
        return "again: the result of this model gives way"
    if sidecar is not None:
        return f"anew: the result of {sidecar.model.label} gives way"
    return "again: it failed before" if error is not None else "for the first time"


def _refused(file: InputFile, key: str, error: ColviEdgeError, raw_sha256: str | None, slot: str) -> Planned:
    try:
        with file.results() as folder_fd:
            result = stands(folder_fd, file.name, key, Content(file, raw_sha256), slot)
    except OutputError:
        result = None
    why = f"{error.words}{'; its result stays' if result else ''}"
    return Planned(file, key, "refuse", why, error.subject, slot)


def _is_open(folder: Path) -> bool:
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - links are followed by the system
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK | os.X_OK)
