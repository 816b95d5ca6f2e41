"""What every view says of a sidecar: its cells one by one, and the result in a few words."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from colvi_edge.outputs.sidecar import BandName, Cells, Image, Patches, Sidecar, Votes, rule_of
from colvi_edge.tasks.classify import CLASSES, MAJORITY, Rule, score_of


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


def size_px(image: Image) -> tuple[int, int]:
    """Return the rows and columns of an image.

    Raises:
        ValueError: the record does not say them.
    """
    if image.axes is None or image.shape is None or not {"Y", "X"} <= set(image.axes[: len(image.shape)]):
        raise ValueError(f"the sidecar of {image.name} states no axes and shape")
    return image.shape[image.axes.index("Y")], image.shape[image.axes.index("X")]


def headline(sidecar: Sidecar) -> str:
    """Return the result in a few words, fit to stand alone: `patient, score 10.5 (research use only)`."""
    if sidecar.score is None:
        return "rejected, not judged (research use only)"
    return f"{sidecar.diagnosis}, score {sidecar.score:.1f} (research use only)"
