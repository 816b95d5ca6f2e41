"""The answers to windows, joined to the field of the image, of which only what is kept is ever held."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.engines.base import Keep
from colvi_edge.windows import Plan, Span


class Kept:
    """What is kept of the field; its dtype and what follows its rows and columns are the first part's."""

    def __init__(self, rows: int, cols: int, keep: Keep) -> None:
        """Begin with nothing.

        Args:
            rows: of the field.
            cols: of the field.
            keep: is asked for each part.
        """
        self._shape = rows, cols
        self._keep = keep
        self._field: NDArray[Any] | None = None

    def put(self, top: int, left: int, part: NDArray[np.float32]) -> None:
        """Keep a part (h, w, K) of the field; what lies beyond its end is padding."""
        rows, cols = self._shape
        kept = self._keep(part[: rows - top, : cols - left])
        if self._field is None:
            self._field = np.empty((rows, cols, *kept.shape[2:]), kept.dtype)
        height, width = kept.shape[:2]
        self._field[top : top + height, left : left + width] = kept

    @property
    def field(self) -> NDArray[Any]:
        """All of it, (rows, cols, ...), once every part was put."""
        if self._field is None:
            raise ValueError("no part of the field was put")
        return self._field


class Joint(Protocol):
    """Takes the answers, row by row of the plan."""

    def put(self, row: Span, col: Span, answer: NDArray[np.float32]) -> None:
        """Join an answer (K, h, w) to those before it."""
        ...


class Cropped:
    """Cores side by side."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def put(self, row: Span, col: Span, answer: NDArray[np.float32]) -> None:
        """See `Joint.put`."""
        self._kept.put(row.first, col.first, _core(row, col, answer).transpose(1, 2, 0))


class Blended:
    """Cores that overlap, and their mean by weight; a band of rows is held, and no more.

    The weight is the distance to the nearest inner edge of the core; see `windows`.
    """

    def __init__(self, plan: Plan, kept: Kept) -> None:
        self._plan, self._kept = plan, kept
        self._top = 0
        rows = max(span.stop - span.first for span in plan.rows.spans)
        self._weights = np.zeros((rows, plan.cols.padded), np.float32)
        self._sums = np.zeros((0, *self._weights.shape), np.float32)

    def put(self, row: Span, col: Span, answer: NDArray[np.float32]) -> None:
        """See `Joint.put`."""
        if not len(self._sums):
            self._sums = np.zeros((len(answer), *self._weights.shape), np.float32)
        rows, cols = self._plan.rows, self._plan.cols
        weights = np.minimum.outer(rows.weights(row), cols.weights(col)).astype(np.float32)
        here, along = slice(row.first - self._top, row.stop - self._top), slice(col.first, col.stop)
        self._weights[here, along] += weights
        self._sums[:, here, along] += weights * _core(row, col, answer)
        if col is cols.spans[-1]:
            number = rows.spans.index(row) + 1
            self._finish(rows.spans[number].first if number < len(rows.spans) else row.stop)

    def _finish(self, until: int) -> None:
        """Keep the rows to which no later window adds, and go on below them."""
        done = until - self._top
        self._kept.put(self._top, 0, (self._sums[:, :done] / self._weights[:done]).transpose(1, 2, 0))
        for band in (self._sums, self._weights[np.newaxis]):
            rest = band.shape[1] - done
            band[:, :rest] = band[:, done:]
            band[:, rest:] = 0
        self._top = until


def _core(row: Span, col: Span, answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the core of an answer (K, h, w)."""
    return answer[
        :, row.first - row.start : row.stop - row.start, col.first - col.start : col.stop - col.start
    ]
