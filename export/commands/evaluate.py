"""`colvi-edge evaluate`: a model on labelled images that it has not learnt from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.cli.show.results import error_console
from colvi_edge.errors import AcquisitionError, UsageError
from colvi_edge.export.data.dataset import SUBJECT, Entry, Image, read_dataset, read_images
from colvi_edge.export.evaluation.figures import Judged, evaluate, evaluation_record
from colvi_edge.export.evaluation.judging import Judge, open_judge
from colvi_edge.export.evaluation.record import Dataset
from colvi_edge.export.reading.questions import parse_normalisation
from colvi_edge.printable import counted, printable_name
from colvi_edge.simulate.images import is_simulated
from colvi_edge.system.writing import check_writable
from colvi_edge.terminal.progress import progress

from .publish import publish


def evaluate_model(
    model: str,
    dataset: Path,
    *,
    engine: EngineName,
    precision: PrecisionChoice,
    channels: Sequence[str] | None,
    as_json: bool,
    html: Path | None,
    network: str | None = None,
    classes: Sequence[str] | None = None,
    activation: str | None = None,
    normalisation: str | None = None,
) -> int:
    """Evaluate a model; see `colvi-edge evaluate --help` for the arguments.

    Returns:
        The exit code: 1 where a file could not be read, else 0.

    Raises:
        ColviEdgeError: the model or the dataset cannot be used.
    """
    said = Said()
    if html:
        check_writable(html)
    entries = read_dataset(dataset)
    facts_of_file: dict[str, Any] = {
        "network": network,
        "classes": classes,
        "activation": activation,
        "normalisation": parse_normalisation(normalisation),
    }
    with open_judge(model, engine, precision, **facts_of_file) as judge, said.told_at_the_end():
        judged, images = _judge(judge, entries, channels, said)
    evaluation = evaluate(judged, [image.name for image in images], [image.group for image in images])
    record = evaluation_record(evaluation, judge.model, facts(dataset, entries, images), said.sentences)
    publish(record, as_json=as_json, html=html)
    return said.exit_code


FEW = 8
"""So many names are said of files, or of a part of a division; more are counted."""


class Said:
    """Sentences that a reader of the figures must know; they are printed on standard error."""

    def __init__(self) -> None:
        """Nothing is said yet, and nothing left out."""
        self.sentences: list[str] = []
        self.exit_code = 0
        self._left_out: dict[str, list[str]] = {}

    def note(self, sentence: str) -> None:
        """Say something."""
        self.sentences.append(sentence)
        error_console().print(printable_name(sentence), markup=False, soft_wrap=True)

    def left_out(self, name: str, why: str) -> None:
        """Remember what could not be read; the exit code says so, too."""
        self.exit_code = 1
        self._left_out.setdefault(why, []).append(name)

    @contextmanager
    def told_at_the_end(self) -> Iterator[None]:
        """Say at the end of a block, whatever ended it, what was left out: each reason once, with files."""
        try:
            yield
        finally:
            for why, names in self._left_out.items():
                few, more = ", ".join(names[:FEW]), len(names) - FEW
                which = f"{few} and {more} more" if more > 0 else few
                self.note(f"left out: {f'{len(names)} files ({which})' if len(names) > 1 else which}: {why}")
            self._left_out.clear()


def facts(dataset: Path, entries: Sequence[Entry], images: Sequence[Image]) -> Dataset:
    """Return what the record of a dataset tells of it.

    Args:
        dataset: where it lies.
        entries: its files.
        images: those that figures are of.
    """
    groups = {image.group for image in images}
    return Dataset(
        name=dataset.resolve().name,
        is_simulated=all(is_simulated(entry.path) for entry in entries),
        subjects=len(groups) if all(group.startswith(SUBJECT) for group in groups) else None,
    )


def _judge(
    judge: Judge, entries: Sequence[Entry], channels: Sequence[str] | None, said: Said
) -> tuple[Judged, list[Image]]:
    """Return what was said of the images that the model has not learnt from, and those images."""
    seen = frozenset(judge.seen)
    found: list[tuple[Image, NDArray[np.float32]]] = []
    known: set[str] = set()
    total = 0
    with progress("Judging", len(entries)) as advance:
        for image, planes in read_images(
            entries, judge.layout, channels, said.left_out, advance, judge.patch_px
        ):
            total += 1
            if image.digest in seen:
                known.add(image.group)
            elif image.group not in known:
                try:
                    found.append((image, judge.probabilities(planes)))
                except AcquisitionError as error:
                    said.left_out(image.name, str(error).removeprefix(f"{image.name}: "))
                    total -= 1
    found = [(image, probabilities) for image, probabilities in found if image.group not in known]
    if len(found) < total:
        left, are, them, their = total - len(found), "are", "them", "their subjects"
        if left == 1:
            are, them, their = "is", "it", "its subject"
        said.note(
            f"{left} of {counted(total, 'image')} {are} not judged: the model has learnt from {them} or "
            f"chosen its epoch by {them}, or by others of {their}."
        )
    if not found:
        raise UsageError("no image is left to be judged; give images that the model has not seen")
    images = [image for image, _ in found]
    return Judged.by_image([p for _, p in found], [image.label for image in images]), images
