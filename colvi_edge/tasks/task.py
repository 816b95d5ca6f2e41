"""The task of a bundle: what of a field is kept, and what is decided from it.

An engine turns planes into a field and knows no task; a task turns the field into a result and knows no
engine. Nothing else asks which task it is.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.task import Classify, TaskPart
from colvi_edge.tasks.classify import Diagnosis, diagnose, rule_of

Result = Diagnosis


class Task(Protocol):
    """What a bundle answers."""

    @property
    def keep(self) -> Callable[[NDArray[np.float32]], NDArray[Any]] | None:
        """The pixelwise half of the decision: (h, w, K) float32 to (h, w, ...); None to keep the field."""
        ...

    def decide(self, kept: NDArray[Any], pixel_size_um: float | None) -> Result:
        """Return the result for one image.

        Args:
            kept: (Z, rows, cols, ...), what `keep` left of the field of each plane that was judged by itself;
                Z = 1 where the planes were summed.
            pixel_size_um: edge of a square as large as a pixel; None where nobody says it.
        """
        ...


class Classification:
    """A class for every cell, and one for the image."""

    keep = None

    def __init__(self, task: Classify) -> None:
        """Keep the classes and the rule of a bundle."""
        self._classes, self._rule = task.classes, rule_of(task.decision)

    def decide(self, kept: NDArray[Any], pixel_size_um: float | None) -> Diagnosis:
        """See `Task.decide`; the cells of all planes vote together, a plane below the other."""
        planes, rows, cols, classes = kept.shape
        return diagnose(kept.reshape(planes * rows, cols, classes), self._classes, self._rule)


def task_of(task: TaskPart) -> Task:
    """Return what a bundle answers."""
    if isinstance(task, Classify):
        return Classification(task)
    raise NotImplementedError(task.kind)
