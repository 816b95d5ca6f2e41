"""The cells of a judged image whose classes, rule or cells are not the paper's: what voted, and how."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from colvi_edge.bundle.task import MOST_CLASSES, RESERVED, ClassWord
from colvi_edge.outputs.sidecar.parts import Image, size_px
from colvi_edge.outputs.sidecar.regions import TaskRecord
from colvi_edge.outputs.sidecar.values import MAX_PATCHES, Grid, Probability, SidecarPart
from colvi_edge.tasks.classify import TIE, Rule, diagnose

_MAX_VALUES = 2**20
_MAX_LINES = 2**18

Tally = dict[ClassWord, Annotated[int, Field(ge=0, le=MAX_PATCHES)]]
"""Cells by what they vote for: the classes in their order, and then a tie."""


class Cells(SidecarPart):
    """The grid of cells, row-major from the top left; every grid is [row][col]."""

    of: Literal["patch", "image", "slice"] = Field(
        default="patch", description="What a cell is: a patch, the whole image, or one plane, a plane a row."
    )
    size_px: int | None = Field(
        default=None, gt=0, le=2**31 - 1, description="Edge of one square patch, pixels; of patches alone."
    )
    rows: int = Field(gt=0, le=MAX_PATCHES)
    cols: int = Field(gt=0, le=MAX_PATCHES)
    probabilities: dict[ClassWord, Grid[Probability]] = Field(
        min_length=2, max_length=MOST_CLASSES, description="A grid for each class, in their order."
    )
    vote: Grid[ClassWord] = Field(description="A class, or tie.")

    @model_validator(mode="after")
    def _agree(self) -> "Cells":
        """Refuse grids of other shapes than the record says."""
        if not recordable(self.rows, self.cols, len(self.probabilities)):
            raise ValueError("expected fewer cells, or classes")
        if (self.size_px is None) == (self.of == "patch"):
            raise ValueError("expected a size of patches, and of nothing else")
        if (self.of != "patch" and self.cols > 1) or (self.of == "image" and self.rows > 1):
            raise ValueError("expected one cell an image, or one in each row a slice")
        grids: list[list[list[float]] | list[list[str]]] = [*self.probabilities.values(), self.vote]
        for grid in grids:
            if len(grid) != self.rows or any(len(row) != self.cols for row in grid):
                raise ValueError(f"expected {self.rows} x {self.cols} cells in every grid")
        return self


def recordable(rows: int, cols: int, classes: int) -> bool:
    """Return whether so many cells have room in a record, and in what is read back of one."""
    return rows * cols <= most_cells(classes) and rows * (classes + 1) <= _MAX_LINES


def most_cells(classes: int) -> int:
    """Return how many cells are recorded of so many classes: of two as many as patches, of more fewer."""
    return min(MAX_PATCHES, _MAX_VALUES // (classes + 2))  # a vote in words takes as much room as two numbers


def rule_of(task: TaskRecord) -> Rule:
    """Return the rule by which a record's diagnosis was made.

    Raises:
        ValueError: it is none, or lacks what it needs.
    """
    known = {"threshold": task.at_least, "share": task.above}
    if task.rule == "majority":
        return Rule()
    at = known.get(task.rule)
    if at is None or task.of not in task.classes or len(task.classes) != 2:
        raise ValueError("expected the rule majority, or threshold or share of one of two classes")
    return Rule("threshold" if task.rule == "threshold" else "share", task.of, at)


def check_place(cells: Cells, image: Image) -> None:
    """Refuse cells of whole planes of an image whose size or number of planes is another, or is not told.

    Raises:
        ValueError: they are such.
    """
    if cells.size_px is None:
        size_px(image)
        if cells.of == "slice" and image.planes != cells.rows:
            raise ValueError("expected a row for each plane")


def check_cells(task: TaskRecord, cells: Cells, votes: Tally, diagnosis: str, score: float) -> None:
    """Refuse votes and a diagnosis that do not follow from the probabilities by the rule.

    Raises:
        ValueError: they do not.
    """
    if list(cells.probabilities) != task.classes or RESERVED & set(task.classes):
        raise ValueError("expected probabilities of the classes in their order")
    probabilities = np.array([cells.probabilities[name] for name in task.classes], np.float32)
    found = diagnose(np.moveaxis(probabilities, 0, -1), task.classes, rule_of(task))
    if np.array(found.votes)[found.vote].tolist() != cells.vote:
        raise ValueError("expected the votes of the probabilities")
    if list(votes.items()) != list(zip((*task.classes, TIE), found.counts, strict=True)):
        raise ValueError("expected as many votes for each class as there are")
    if diagnosis != found.name or abs(score - found.score) > 1e-6:
        raise ValueError("expected the diagnosis and the score of the votes")
