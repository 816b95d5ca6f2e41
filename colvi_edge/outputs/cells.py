"""What every view says of a sidecar: its cells one by one, and the result in a few words."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from colvi_edge.outputs.sidecar import (
    BandName,
    Cells,
    ObjectsRecord,
    Patches,
    RegionRecord,
    Sidecar,
    Votes,
    rule_of,
    size_px,
)
from colvi_edge.printable import counted
from colvi_edge.tasks.classify import CLASSES, MAJORITY, Rule, score_of

_MOST_TOLD = 4  # classes
_PLURALS = {"nucleus": "nuclei"}


class Cell(NamedTuple):
    """What has one vote, as a sidecar records it: a patch, a whole image, or a plane of a stack.

    Attributes:
        name: in other programs, such as r02_c01, from 100 rows on one digit longer; "image"; s003 of plane 2.
        row, col: of its grid.
        x, y: its top left pixel, origin top left.
        width, height: pixels.
        probabilities: of each class.
        vote: a class, or a tie.
        band: where the bundle has bands.
        plane: of a stack, counted from 0; None where all are judged as one.
    """

    name: str
    row: int
    col: int
    x: int
    y: int
    width: int
    height: int
    probabilities: Mapping[str, float]
    vote: str
    band: BandName | None = None
    plane: int | None = None


def cells(sidecar: Sidecar) -> Iterator[Cell]:
    """Yield the cells of a judged image, row-major.

    Raises:
        ValueError: the image was rejected and has none, or the sidecar does not say how large it is.
    """
    grid = sidecar.patches
    if grid is None:
        raise ValueError(f"{sidecar.image.name} was rejected: it has no patches")
    size = grid.size_px
    height, width = (size, size) if size else size_px(sidecar.image)
    grids = grids_of(grid)
    bands = chain.from_iterable(grid.band) if isinstance(grid, Patches) else None
    values = zip(*(chain.from_iterable(one) for one in grids.values()), strict=True)
    for number, (outputs, vote) in enumerate(zip(values, chain.from_iterable(grid.vote), strict=True)):
        row, col = divmod(number, grid.cols)
        probabilities = dict(zip(grids, outputs, strict=True))
        if size:
            name, x, y = f"r{row:02}_c{col:02}", col * width, row * height
            band = next(bands) if bands else None
            yield Cell(name, row, col, x, y, width, height, probabilities, vote, band)
        else:
            plane = row if isinstance(grid, Cells) and grid.of == "slice" else None
            name = "image" if plane is None else f"s{row + 1:03}"
            yield Cell(name, row, col, 0, 0, width, height, probabilities, vote, plane=plane)


def grids_of(grid: Patches | Cells) -> Mapping[str, list[list[float]]]:
    """Return the probabilities of each class, [row][col]."""
    if isinstance(grid, Cells):
        return grid.probabilities
    return dict(zip(CLASSES, (grid.p_control, grid.p_patient), strict=True))


def classes_of(sidecar: Sidecar) -> tuple[str, ...]:
    """Return what was told apart, in the order of the network's outputs."""
    return CLASSES if sidecar.task is None else tuple(sidecar.task.classes)


def scored(sidecar: Sidecar) -> str:
    """Return what a score of 100 means in this result, such as `100 = control`."""
    return score_of(classes_of(sidecar), decided_by(sidecar))


def decided_by(sidecar: Sidecar) -> Rule:
    """Return the rule of a classification."""
    return MAJORITY if sidecar.task is None else rule_of(sidecar.task)


def counts_of(sidecar: Sidecar) -> Mapping[str, int]:
    """Return how many cells vote for each class and, last, for nobody; empty of a rejected image."""
    return dict(sidecar.votes) if isinstance(sidecar.votes, Votes) else sidecar.votes or {}


def headline(sidecar: Sidecar) -> str:
    """Return the result in a few words, fit to stand alone: `patient, score 10.5 (research use only)`."""
    return f"{answer(sidecar)} (research use only)"


def answer(sidecar: Sidecar) -> str:
    """Return the result in a few words that others are put to: `57 nuclei, 6.5 % of the image`."""
    if sidecar.status == "rejected":
        return "rejected, not judged"
    if sidecar.regions is not None:
        return regions_answer(sidecar.regions, sidecar.objects)
    return "measured" if sidecar.diagnosis is None else f"{sidecar.diagnosis}, score {sidecar.score:.1f}"


def regions_answer(regions: Sequence[RegionRecord], objects: ObjectsRecord | None) -> str:
    """Return how many objects there are and how much of the image is of their class.

    Of one class `412 nuclei, 11.3 % of the image`; of several `12 glands, 3 vessels`, or, without objects,
    `QF 10.1 %, SA 2.3 % of the image`; of many those that cover most.
    """
    told = sorted(regions, key=lambda region: -region.pixels)[:_MOST_TOLD]
    more = f", and {len(regions) - len(told)} more" if len(regions) > len(told) else ""
    if objects is None:
        return ", ".join(f"{one.name} {percent(one.share)}" for one in told) + f" of the image{more}"
    counts = ", ".join(counted_objects(objects.by_class[one.name], one.name) for one in told)
    return f"{counts}{more}" if len(regions) > 1 else f"{counts}, {percent(told[0].share)} of the image"


def counted_objects(count: int, class_name: str) -> str:
    """Return how many objects of a class there are, in words: `1 vesicle`, `412 nuclei`."""
    return counted(count, class_name, _PLURALS.get(class_name, "") or _plural(class_name))


def percent(share: float) -> str:
    """Return a share in words: `11.3 %`."""
    return f"{100 * share:.1f} %"


def _plural(name: str) -> str:
    is_word = name.isalpha() and name.islower() and name[-1] not in "sia"
    return f"{name}s" if is_word else name  # an abbreviation, or a plural as it is
