"""Windows over an image, so that their answers joined are the whole image's answer: arithmetic alone.

A network that gives a value a pixel sees at most `reach` pixels to each side. Of a window's answer what
lies a *halo* or more from each inner edge is kept, its core; the cores lie side by side. At the image's
own border there is nothing beyond the edge for the whole image either, so that there the core goes to it.

A network that halves the resolution d times works on a raster of step = 2^d pixels, and answers otherwise
where the image begins elsewhere on it: a window begun at row 65 instead of 64 changes 12 % of the mask
(U-Net, depth 3). So the image is padded to a multiple of the step, right and bottom only, and windows begin
on it.

Networks without a finite reach (InstanceNorm) have no such windows. Theirs overlap, and the mean of their
cores is weighted by the distance to the nearest edge of the core, after de Bel et al., "Stain-Transforming
Cycle-Consistent Generative Adversarial Networks for Improved Segmentation of Renal Histopathology", 2019,
who keep the middle half of a window and go on by a quarter of it. (Their formula grows away from the centre,
against their own picture.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from colvi_edge.errors import ImageTooLargeError

Px = int | Literal["whole"]
"""Edge of a window; "whole" is the padded image's."""

MOST_WHOLE_PX = 2**22
"""Of an image that is one window, 2048 x 2048: a U-Net of depth 3 and base 16 takes 310 bytes a pixel on
OpenVINO and 400 on ONNX Runtime (at 1536 x 1536), so that it stays below 1.7 GB."""


class Span(NamedTuple):
    """A window along one axis, in pixels of the padded image.

    Attributes:
        start: where it begins.
        first, stop: its core.
    """

    start: int
    first: int
    stop: int


@dataclass(frozen=True)
class Axis:
    """All windows along one axis.

    Attributes:
        image: length of the image.
        padded: the same with its padding, which lies at the end.
        window: length of every window.
        spans: the windows, in order.
    """

    image: int
    padded: int
    window: int
    spans: tuple[Span, ...]

    def weights(self, span: Span) -> list[float]:
        """Return how far each pixel of a core is from the nearest inner edge of it; at most the window."""
        before = (n + 0.5 if span.first else self.window for n in range(span.stop - span.first))
        after = (
            span.stop - n - 0.5 if span.stop < self.padded else self.window
            for n in range(span.first, span.stop)
        )
        return [float(min(pair)) for pair in zip(before, after, strict=True)]


@dataclass(frozen=True)
class Plan:
    """The windows of an image: every row of them crossed with every column."""

    rows: Axis
    cols: Axis

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of every window."""
        return self.rows.window, self.cols.window

    def __len__(self) -> int:
        """Return how many windows there are."""
        return len(self.rows.spans) * len(self.cols.spans)

    def __getitem__(self, number: int) -> tuple[Span, Span]:
        """Return a window, (along the rows, along the columns), counted row by row."""
        row, col = divmod(number, len(self.cols.spans))
        return self.rows.spans[row], self.cols.spans[col]

    def __iter__(self) -> Iterator[tuple[Span, Span]]:
        """Yield the windows, (along the rows, along the columns), row by row."""
        return ((row, col) for row in self.rows.spans for col in self.cols.spans)


def plan(
    height_px: int, width_px: int, px: Px, halo_px: int = 0, step_px: int = 1, stride_px: int | None = None
) -> Plan:
    """Return the windows of an image.

    An axis that is no longer than a window, padded, is one window of its own length. Where cores lie side by
    side, windows are as small as they can be without becoming more: of 1024 x 2048 pixels a third less work.

    Args:
        height_px: of the image.
        width_px: of the image.
        px: edge of a window at most, a multiple of the step.
        halo_px: what is thrown away at inner edges; rounded up to the step.
        step_px: the network's raster.
        stride_px: from window to window where cores overlap to be blended, a multiple of the step and at
            most a core; None: cores lie side by side.

    Raises:
        ImageTooLargeError: one window, and more pixels than it may have.
        ValueError: numbers that make no plan.
    """
    halo = rounded_up(halo_px, step_px)
    if px == "whole":
        padded = rounded_up(height_px, step_px), rounded_up(width_px, step_px)
        if padded[0] * padded[1] > MOST_WHOLE_PX:
            raise ImageTooLargeError(
                f"found {width_px} x {height_px} pixels, expected at most {MOST_WHOLE_PX / 1e6:.1f} million, "
                "because this network takes an image as a whole; crop it, or ask whoever made the bundle for "
                "one with windows"
            )
        rows, cols = (
            Axis(length, side, side, (Span(0, 0, side),))
            for length, side in zip((height_px, width_px), padded, strict=True)
        )
        return Plan(rows, cols)
    core = px - 2 * halo
    if px % step_px or core < 1:
        raise ValueError(f"windows of {px} pixels with a halo of {halo} do not lie on a step of {step_px}")
    if stride_px is None:
        return Plan(*(_side_by_side(length, core, halo, step_px) for length in (height_px, width_px)))
    if stride_px % step_px or not 1 <= stride_px <= core:
        raise ValueError(f"a stride of {stride_px} pixels, expected 1 to {core} in steps of {step_px}")
    return Plan(*(_overlapping(length, px, stride_px, halo, step_px) for length in (height_px, width_px)))


def _side_by_side(length: int, core: int, halo: int, step: int) -> Axis:
    """Return as few windows as there can be with cores of a length at most, and the smallest of so many."""
    padded = rounded_up(length, step)
    inner = padded - 2 * halo  # the two rims at the image's border are kept
    if inner <= core:
        return Axis(length, padded, padded, (Span(0, 0, padded),))
    core = rounded_up(-(-inner // -(-inner // core)), step)
    spans: list[Span] = []
    for start in (*range(0, inner - core, core), inner - core):
        # The last window is moved back into the image; its core is not.
        first, is_last = spans[-1].stop if spans else 0, start == inner - core
        spans.append(Span(start, first, padded if is_last else start + halo + core))
    return Axis(length, padded, core + 2 * halo, tuple(spans))


def _overlapping(length: int, px: int, stride: int, halo: int, step: int) -> Axis:
    """Return windows a stride apart, the last of them moved back into the image."""
    padded = rounded_up(length, step)
    window = min(px, padded)
    last = padded - window
    spans = [
        Span(start, start + halo if start else 0, start + window - halo if start < last else padded)
        for start in (*range(0, last, stride), last)
    ]
    return Axis(length, padded, window, tuple(spans))


def rounded_up(length: int, step: int) -> int:
    """Return a length as a whole number of steps, no shorter."""
    return -(-length // step) * step
