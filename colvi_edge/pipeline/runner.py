"""Every image of every raw file: the next one is read and the last one written while one is judged.

Of a file that holds several images, each goes its own way, and the index comes last. Where several bundles
judge, an image is read once, and each of them judges it in turn.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from colvi_edge.acquisition import Acquisition, Provenance, Refused
from colvi_edge.errors import AcquisitionError, ChannelError, ColviEdgeError, OutputError
from colvi_edge.outputs.sidecar import Index
from colvi_edge.pipeline.diagnoser import Diagnoser
from colvi_edge.pipeline.raw_file import Done, End, File, Kept, Outcome, RawFile
from colvi_edge.pipeline.standing import Content
from colvi_edge.pipeline.writing import FileWriter

Found = Acquisition | Refused | Kept | Index | End | ColviEdgeError
"""What is found of an image before it is judged; or of a whole file: the index kept, its end, or an error."""

_STOP_SEEN_S = 0.2


def process(
    diagnosers: Diagnoser | Sequence[Diagnoser],
    files: Iterable[File],
    is_stopped: Callable[[], bool] | None = None,
) -> Iterator[Outcome[File]]:
    """Diagnose every image of every file, in order; one that fails stops none of the others.

    The next image is read and the last one written while this one is judged. Of each step one
    image is held in memory at a time. An outcome is given as soon as it is written, also while the
    next file is still being waited for.

    Whoever owns the process calls `gc.freeze` before, once the engine is open: what is loaded by then stays,
    and looking for garbage in it cost every thirtieth image 14 ms.

    Args:
        diagnosers: who does it; or several, of one folder and set of options, each with a slot of its own.
        files: the raw files.
        is_stopped: asked between images whether no other is to be judged.

    Raises:
        KeyboardInterrupt: it was stopped; the outcome of every image that was judged was given before.
    """
    several = [diagnosers] if isinstance(diagnosers, Diagnoser) else diagnosers
    reading = ThreadPoolExecutor(1, "read")
    try:
        with ThreadPoolExecutor(1, "write") as writing:
            images = _ahead(several, files)
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
                diagnoser, writer, found = image
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


def images_of(diagnosers: Sequence[Diagnoser], file: RawFile) -> Iterator[tuple[Diagnoser, Found]]:
    """Yield what is found of every image of a raw file before any is judged, and who is to judge it."""
    judging = []
    content = Content(file)
    for diagnoser in diagnosers:
        kept = False
        try:
            for result in diagnoser.kept(file, content):
                kept = True
                yield diagnoser, result
        except OutputError as error:
            yield diagnoser, error
        if not kept:
            judging.append(diagnoser)
    if judging:
        yield from _read(judging, file)


def _read(diagnosers: Sequence[Diagnoser], file: RawFile) -> Iterator[tuple[Diagnoser, Found]]:
    """Yield the images of a raw file, each once for every bundle.

    Where not all of them find their channels, or not the same ones, each reads for itself: nuclei are counted
    where there is no collagen.
    """
    asking = list(dict.fromkeys(diagnoser.asking for diagnoser in diagnosers))
    differ = len(asking) > 1
    source: Provenance | None = None
    apart: set[str] = set()
    begun = False
    try:
        for image in diagnosers[0].read(file, asking):
            begun, source = True, image.provenance if image.image_key else None
            if differ and isinstance(image, Refused) and isinstance(image.error, ChannelError):
                apart.add(image.image_key)
            else:
                for diagnoser in diagnosers:
                    yield diagnoser, diagnoser.kept_of(file, image) or image
            del image  # or it would be held while the next one is read
    except AcquisitionError as error:
        for diagnoser in diagnosers:
            if differ and isinstance(error, ChannelError) and not begun:
                yield from _read([diagnoser], file)
            else:
                yield diagnoser, error
        return
    ends: list[tuple[Diagnoser, Found]] = []
    for diagnoser in diagnosers:
        try:
            for image in diagnoser.read(file) if apart else ():
                if image.image_key in apart:
                    yield diagnoser, diagnoser.kept_of(file, image) or image
                del image
        except AcquisitionError as error:
            ends.append((diagnoser, error))
        else:
            if source is not None:
                ends.append((diagnoser, End(source)))
    yield from ends


def _ahead(
    diagnosers: Sequence[Diagnoser], files: Iterable[File]
) -> Iterator[tuple[Diagnoser, FileWriter[File], Found]]:
    """Yield what is found of every image of every file, with who judges it and the writer of its file."""
    for file in files:
        writers = {one: FileWriter(file, one.overlay, one.slot) for one in diagnosers}
        for diagnoser, found in images_of(diagnosers, file):
            yield diagnoser, writers[diagnoser], found
            del found  # or it would be held while the next one is read


def _judge(diagnoser: Diagnoser, found: Found) -> Done:
    if not isinstance(found, Acquisition):
        return found
    try:
        return diagnoser.judge(found)
    except AcquisitionError as error:
        return Refused(found.name, found.image_key, error, found.provenance)
