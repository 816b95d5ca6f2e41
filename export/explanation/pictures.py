"""Draws explanations: the saliency of a projection, and what each convolution makes of one patch.

    saliency   [ saliency ][ projection, framed ]     patch   [ input    ] [ what is seen, ]
               [ colour bar                     ]             [ saliency ] [ in words      ]
               [ what is seen, in words         ]             [ activation of conv 1       ]
                                                              [ contribution of conv 1     ] ...

Pixel (x, y) of the raw image is pixel (x, y) of the saliency, as in the overlay. What shares a colour
bar shares its scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from colvi_edge import RESEARCH_USE_ONLY, __version__
from colvi_edge.bands import BANDS
from colvi_edge.outputs.palette import DIAGNOSES, GREY, WHITE, Colour
from colvi_edge.outputs.picture import png
from colvi_edge.outputs.picture.caption import MIN_WIDTH_PX, spelt_name
from colvi_edge.patches import paste
from colvi_edge.tasks.classify import Diagnosis

from .canvas import (
    BAR_PX,
    CELL_PX,
    GAP_PX,
    LABEL_PX,
    TEXT_PX,
    Picture,
    blank,
    coloured,
    column,
    indented,
    lying_bar,
    padded,
    row_of_maps,
    words,
)
from .saliency import Saliency, Stage, strongest_maps

MAPS = 8
"""Maps of each convolution that are shown."""

NOT_JUDGED: Colour = (64, 66, 72)
"""Pixels outside of every patch; no colour of the saliency is like it."""

# Colour maps of matplotlib; of contributions blue is control, red is patient.
_SALIENCY, _ACTIVATION, _CONTRIBUTION, _INTENSITY = "inferno", "viridis", "RdBu", "gray"

_SPIKES = 0.01  # share of what is not 0 that is beyond a scale: it would leave the rest too dark to see

_Lines = list[tuple[str, Colour]]


@dataclass(frozen=True)
class Explained:
    """An image with all that its pictures show.

    Attributes:
        label: how people call the image.
        model: name of the network's file.
        trained_on: what its file says of its training images, "" if nothing.
        channels: role of each of the C channels, "collagen", "nuclei" or "empty".
        projection: (C, H, W).
        patches: (rows * cols, C, P, P) float32, normalised, row-major.
        saliency: of the patches.
        diagnosis: of the patches.
        margin: what the margin is, in words.
        unit: what 1 is in the patches, in words.
        chosen: row and column of the patch that has a picture of its own.
        reason: why this one.
    """

    label: str
    model: str
    trained_on: str
    channels: tuple[str, ...]
    projection: NDArray[Any]
    patches: NDArray[np.float32]
    saliency: Saliency
    diagnosis: Diagnosis
    margin: str
    unit: str
    chosen: tuple[int, int]
    reason: str

    @property
    def chosen_index(self) -> int:
        """Index of the chosen patch among all."""
        row, col = self.chosen
        return row * self.diagnosis.vote.shape[1] + col

    @property
    def brightest(self) -> float:
        """Saliency from which on all of it has the brightest colour, in both pictures."""
        return _reach(self.saliency.strongest)


def draw_saliency(image: Explained) -> Picture:
    """Return the saliency of all patches, the projection to its right, the caption below."""
    _, height, width = image.projection.shape
    page_px = max(2 * width + GAP_PX, MIN_WIDTH_PX)
    text_px = max(TEXT_PX, page_px // 92)
    return column(
        [
            np.hstack([_saliency(image), blank(height, GAP_PX), _framed_projection(image)]),
            indented(lying_bar(image.brightest, _SALIENCY, max(width, 24 * text_px), text_px), text_px),
            indented(words(_about_saliency(image), page_px - 2 * text_px, text_px), text_px),
            blank(text_px, page_px),
        ]
    )


def draw_patch(image: Explained, stages: Sequence[Stage]) -> Picture:
    """Return the chosen patch: its channels, their saliency, the maps of each convolution.

    Args:
        image: that it is a patch of.
        stages: of the patch, from `find_stages`; none where the network keeps its layers to itself.
    """
    patch = image.patches[image.chosen_index]
    gradient = np.abs(image.saliency.gradient[image.chosen_index])
    darkest, brightest = np.quantile(patch, (_SPIKES, 1 - _SPIKES))
    page_px = LABEL_PX + MAPS * (CELL_PX + GAP_PX) + BAR_PX
    left = column(
        [
            row_of_maps("input", patch, image.channels, (darkest, brightest), _INTENSITY),
            row_of_maps("saliency", gradient, image.channels, (0, image.brightest), _SALIENCY),
        ]
    )
    right = words(_about_patch(image, stages), page_px - left.shape[1] - GAP_PX)
    head = np.hstack([padded(left, right.shape[0], 0), padded(right, left.shape[0], 0)])
    rows = [piece for number, stage in enumerate(stages, start=1) for piece in _rows(number, stage)]
    return column([blank(GAP_PX, page_px + GAP_PX), head, *rows])


def encode(picture: Picture) -> bytes:
    """Return a picture as a PNG file; equal input gives equal bytes."""
    return png.encode(picture, {"Software": f"colvi-edge {__version__}", "Description": RESEARCH_USE_ONLY})


def _saliency(image: Explained) -> Picture:
    rows, cols = image.diagnosis.vote.shape
    judged = paste(image.saliency.strongest[:, np.newaxis], rows, cols)[0]
    picture = np.empty((*image.projection.shape[1:], 3), np.uint8)
    picture[...] = NOT_JUDGED
    picture[: judged.shape[0], : judged.shape[1]] = coloured(judged, (0, image.brightest), _SALIENCY)
    return picture


def _framed_projection(image: Explained) -> Picture:
    picture = np.zeros((*image.projection.shape[1:], 3), np.uint8)
    for colour, role in ((1, "collagen"), (2, "nuclei")):
        channel = image.projection[image.channels.index(role)]
        darkest, brightest = np.quantile(channel, (0.005, 0.997))
        picture[..., colour] = coloured(channel, (darkest, brightest), _INTENSITY)[..., 0]
    page = Image.fromarray(picture)
    draw = ImageDraw.Draw(page)
    size = image.patches.shape[-1]
    for (row, col), band in np.ndenumerate(image.diagnosis.band):
        left, top = size * col, size * row
        box = (left + 1, top + 1, left + size - 2, top + size - 2)
        is_chosen = (row, col) == image.chosen
        draw.rectangle(box, outline=WHITE if is_chosen else BANDS[band].rgb, width=3 if is_chosen else 1)
    return np.asarray(page)


def _rows(number: int, stage: Stage) -> list[Picture]:
    """Return title, activations and contributions of the strongest maps of a convolution."""
    shown = strongest_maps(stage, MAPS)
    activation, contribution = stage.activation[shown], stage.contribution[shown]
    all_weight = np.abs(stage.contribution).sum(dtype=np.float64)
    share = np.abs(contribution).sum(dtype=np.float64) / (all_weight or 1)
    maps, height, width = stage.activation.shape
    title = (
        f"conv {number}: {maps} maps of {height} x {width}, of whose contributions these {len(shown)} make "
        f"{share:.0%}"
    )
    reach = _reach(np.abs(contribution))
    names = [f"map {index}" for index in shown]
    return [
        indented(words([(title, WHITE)], LABEL_PX + MAPS * CELL_PX), GAP_PX),
        row_of_maps("activation", activation, names, (0, _reach(activation)), _ACTIVATION),
        row_of_maps("contribution", contribution, names, (-reach, reach), _CONTRIBUTION),
    ]


def _about_saliency(image: Explained) -> _Lines:
    shares = np.abs(image.saliency.gradient).sum(axis=(0, 2, 3), dtype=np.float64)
    shares /= shares.sum() or 1
    by_channel = ", ".join(
        f"{name} {share:.0%}" for name, share in zip(image.channels, shares, strict=True) if name != "empty"
    )
    found, (row, col) = image.diagnosis, image.chosen
    votes = f"score {found.score:.1f}, {found.counts[0]} of {found.vote.size} patches vote control"
    return [
        (f"{spelt_name(image.label)}   saliency of the control class", WHITE),
        (f"{found.name.upper()}   {votes}", DIAGNOSES[found.name]),
        (f"Saliency by channel: {by_channel}", WHITE),
        (
            f"Left: by how much {image.margin} changes with a pixel, per {image.unit}, in the channel where "
            "that is most (magnitude of the gradient, Simonyan et al. 2013). Plain grey: in no whole patch.",
            GREY,
        ),
        (
            "Right: collagen green, nuclei blue; frames in the colours of p_control, white the patch in row "
            f"{row}, column {col}, which has a picture of its own.",
            GREY,
        ),
        *_about_all(image),
    ]


def _about_patch(image: Explained, stages: Sequence[Stage]) -> _Lines:
    (row, col), found = image.chosen, image.diagnosis
    p_control, p_patient = found.p_control[row, col], found.p_patient[row, col]
    about_maps = (
        f"Below, of each convolution: the {MAPS} maps that contribute most, strongest first, after the ReLU. "
        "Contribution is activation times gradient; blue speaks for control, red for patient."
        if stages
        else "This network came as a graph, which keeps its layers to itself: a checkpoint or a state_dict "
        "has maps to show."
    )
    return [
        (f"{spelt_name(image.label)}   patch in row {row}, column {col}", WHITE),
        (f"p_control {p_control:.3f}   p_patient {p_patient:.3f}", BANDS[found.band[row, col]].rgb),
        (f"{image.margin} = {image.saliency.margin[image.chosen_index]:.3g}", WHITE),
        (f"The image: {found.name}, score {found.score:.1f}. This patch {image.reason}.", GREY),
        (
            f"Input: 1 is one {image.unit}. Saliency: the gradient's magnitude, on the scale of the whole "
            f"projection. Of every scale, {_SPIKES:.0%} of the values lie beyond the end.",
            GREY,
        ),
        (about_maps, GREY),
        *_about_all(image),
    ]


def _about_all(image: Explained) -> _Lines:
    trained_on = f", trained on {image.trained_on}" if image.trained_on else ""
    return [
        (f"model: {spelt_name(image.model)}{trained_on}", GREY),
        ("Shown is what this network reacts to, right or wrong. No quality rule was asked.", GREY),
        (RESEARCH_USE_ONLY, WHITE),
    ]


def _reach(magnitudes: NDArray[np.float32]) -> float:
    """Return where a scale from 0 ends; 0 if all is 0."""
    seen = magnitudes[magnitudes > 0]
    return float(np.quantile(seen, 1 - _SPIKES)) if seen.size else 0.0
