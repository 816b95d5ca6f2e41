"""The task of a bundle: what of a field is kept, and what is decided from it.

An engine turns planes into a field and knows no task; a task turns the field into a result and knows no
engine. Nothing else asks which task it is.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.compared import SegmentComparison
from colvi_edge.bundle.parity import Comparison
from colvi_edge.bundle.task import Classify, Segment, TaskPart
from colvi_edge.tasks.classify import Diagnosis, diagnose, rule_of
from colvi_edge.tasks.classify.comparison import Tolerance, compare
from colvi_edge.tasks.segment import Segmentation, keeping, segmentation
from colvi_edge.tasks.segment.comparison import SegmentTolerance
from colvi_edge.tasks.segment.comparison import compare as compare_segmentations

Answer = Diagnosis | Segmentation
Compared = Comparison | SegmentComparison


class Task(Protocol):
    """What a bundle answers."""

    @property
    def keep(self) -> Callable[[NDArray[np.float32]], NDArray[Any]] | None:
        """The pixelwise half of the decision: (h, w, K) float32 to (h, w, ...); None to keep the field."""
        ...

    def decide(self, kept: NDArray[Any], pixel_size_um: float | None) -> Answer:
        """Return the result for one image.

        Args:
            kept: (Z, rows, cols, ...), what `keep` left of the field of each plane that was judged by itself;
                Z = 1 where the planes were summed.
            pixel_size_um: edge of a square as large as a pixel; None where nobody says it.
        """
        ...

    def compare(self, reference: Sequence[NDArray[Any]], found: Sequence[NDArray[Any] | None]) -> Compared:
        """Compare what was kept of images, as `decide` takes it, with what it was in FP32.

        Args:
            reference: of FP32.
            found: of the same images; None where `keep` was given no probabilities.
        """
        ...

    def faults(self, compared: Compared) -> list[str]:
        """Return what of a comparison is beyond tolerance, in words; none is a pass."""
        ...


class Classification:
    """A class for every cell, and one for the image."""

    keep = None

    def __init__(self, task: Classify, tolerance: Tolerance | None = None) -> None:
        """Keep the classes and the rule of a bundle.

        Args:
            task: of the bundle.
            tolerance: of its gate, where it is not the usual one.
        """
        self.tolerance = tolerance or Tolerance()
        self._classes, self._rule = task.classes, rule_of(task.decision)

    def decide(self, kept: NDArray[Any], pixel_size_um: float | None) -> Diagnosis:
        """See `Task.decide`; the cells of all planes vote together, a plane below the other."""
        return diagnose(_cells(kept), self._classes, self._rule)

    def compare(self, reference: Sequence[NDArray[Any]], found: Sequence[NDArray[Any] | None]) -> Compared:
        """See `Task.compare`."""
        wanted = [_cells(kept) for kept in reference]
        given = [
            np.full_like(one, np.nan) if kept is None else _cells(kept)
            for one, kept in zip(wanted, found, strict=True)
        ]
        return compare(wanted, given, self.tolerance, self._classes, self._rule)

    def faults(self, compared: Compared) -> list[str]:
        """See `Task.faults`."""
        assert isinstance(compared, Comparison)  # noqa: S101 - its own
        return self.tolerance.faults(compared)


def _cells(kept: NDArray[Any]) -> NDArray[Any]:
    """Return the cells of all planes, (Z * rows, cols, K)."""
    planes, rows, cols, classes = kept.shape
    return kept.reshape(planes * rows, cols, classes)


class Segmenting:
    """A class for every pixel: regions, and the objects in them."""

    def __init__(self, task: Segment) -> None:
        """Keep the classes and the decision of a bundle."""
        self.tolerance = SegmentTolerance()
        self._task = task
        self.keep = keeping(task)

    def decide(self, kept: NDArray[Any], pixel_size_um: float | None) -> Segmentation:
        """See `Task.decide`; the planes are taken one by one."""
        return segmentation(self._task, kept, pixel_size_um)

    def compare(self, reference: Sequence[NDArray[Any]], found: Sequence[NDArray[Any] | None]) -> Compared:
        """See `Task.compare`; areas and diameters are compared in pixels."""
        wanted = [self.decide(kept, None) for kept in reference]
        given = [None if kept is None else self.decide(kept, None) for kept in found]
        return compare_segmentations(wanted, given)

    def faults(self, compared: Compared) -> list[str]:
        """See `Task.faults`."""
        assert isinstance(compared, SegmentComparison)  # noqa: S101 - its own
        return self.tolerance.faults(compared)


def task_of(task: TaskPart) -> Task:
    """Return what a bundle answers."""
    match task:
        case Classify():
            return Classification(task)
        case Segment():
            return Segmenting(task)
