"""Every image of every raw file: the next one is read and the last one written while one is judged.

Of a file that holds several images, each goes its own way, and the index comes last.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from colvi_edge.acquisition import Acquisition, Provenance, Refused
from colvi_edge.errors import AcquisitionError, ColviEdgeError, OutputError
from colvi_edge.outputs.sidecar import Image, Index
from colvi_edge.pipeline.diagnoser import Diagnoser
from colvi_edge.pipeline.raw_file import Done, End, File, Kept, Outcome, RawFile
from colvi_edge.pipeline.writing import FileWriter

Found = Acquisition | Refused | Kept | Index | End | ColviEdgeError
"""What is found of an image before it is judged; or of a whole file: the index kept, its end, or an error."""

_STOP_SEEN_S = 0.2


def process(
    diagnoser: Diagnoser, files: Iterable[File], is_stopped: Callable[[], bool] | None = None
) -> Iterator[Outcome[File]]:
    """Diagnose every image of every file, in order; one that fails stops none of the others.

    The next image is read and the last one written while this one is judged. Of each step one
    image is held in memory at a time. An outcome is given as soon as it is written, also while the
    next file is still being waited for.

    Whoever owns the process calls `gc.freeze` before, once the engine is open: what is loaded by then stays,
    and looking for garbage in it cost every thirtieth image 14 ms.

    Args:
        diagnoser: does it.
        files: the raw files.
        is_stopped: asked between images whether no other is to be judged.

    Raises:
        KeyboardInterrupt: it was stopped; the outcome of every image that was judged was given before.
    """
    reading = ThreadPoolExecutor(1, "read")
    try:
        with ThreadPoolExecutor(1, "write") as writing:
            images = _ahead(diagnoser, files)
            ahead = reading.submit(next, images, None)
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
                ahead = reading.submit(next, images, None)
                writer, found = image
                judged = _judge(diagnoser, found)
                if behind is not None:
                    yield behind.result()
                behind = writing.submit(writer.write, judged)
            if behind is not None:
                yield behind.result()
            if is_stopped and is_stopped():
                raise KeyboardInterrupt
    finally:
        reading.shutdown(wait=False)  # it may wait for a file that never comes; a failure must not wait


def images_of(diagnoser: Diagnoser, file: RawFile) -> Iterator[Found]:
    """Yield what is found of every image of a raw file before any is judged."""
    kept = False
    try:
        for result in diagnoser.kept(file):
            kept = True
            yield result
    except OutputError as error:
        yield error
    if not kept:
        yield from _read(diagnoser, file)


def _read(diagnoser: Diagnoser, file: RawFile) -> Iterator[Found]:
    source: Provenance | Image | None = None
    try:
        for image in diagnoser.found(file):
            if isinstance(image, Kept):
                source = image.sidecar.image
            else:
                source = image.provenance if image.image_key else None
            yield image
            del image  # or it would be held while the next one is read
    except AcquisitionError as error:
        yield error
    else:
        if source is not None:
            yield End(source)


def _ahead(diagnoser: Diagnoser, files: Iterable[File]) -> Iterator[tuple[FileWriter[File], Found]]:
    """Yield what is found of every image of every file, with the writer of its file."""
    for file in files:
        writer = FileWriter(file, diagnoser.overlay)
        for found in images_of(diagnoser, file):
            yield writer, found
            del found  # or it would be held while the next one is read


def _judge(diagnoser: Diagnoser, found: Found) -> Done:
    if not isinstance(found, Acquisition):
        return found
    try:
        return diagnoser.judge(found)
    except AcquisitionError as error:
        return Refused(found.name, found.image_key, error, found.provenance)
