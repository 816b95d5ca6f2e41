"""The colours of what is drawn and marked, in one place for every viewer."""

from collections.abc import Sequence
from colorsys import hsv_to_rgb

from colvi_edge.bands import BANDS
from colvi_edge.tasks.classify import CLASSES, TIE, UNSURE

Colour = tuple[int, int, int]

FIELD: Colour = (224, 224, 224)
"""Of what stands for the whole image: none of the bands', and not the red of viewers that miss a colour."""

BAND_COLOURS: dict[str, Colour] = {band.name: band.rgb for band in BANDS}

PAPER: Colour = (17, 18, 22)
"""Below a picture."""
WHITE: Colour = (240, 240, 240)
GREY: Colour = (160, 164, 172)
AMBER: Colour = (255, 191, 80)
COLLAGEN: Colour = (0, 224, 0)
NUCLEI: Colour = (112, 140, 255)
"""Of words: the picture's own blue is too dark to read."""
DIAGNOSES: dict[str, Colour] = {
    "control": (0, 255, 255),
    "patient": (255, 96, 88),
    "unsure": (255, 255, 0),
}

_FIRST: tuple[Colour, ...] = (
    (0, 190, 255),
    (255, 165, 0),
    (255, 85, 170),
    (170, 255, 60),
    (175, 125, 255),
    (255, 245, 110),
    (0, 230, 185),
    (255, 90, 70),
    (190, 215, 255),
    (235, 175, 130),
)
"""Of classes, bright enough for lines on a dark picture; neighbours differ in hue and in brightness."""
_GOLDEN = 0.618034
"""Turns of the circle of hues by which those of any number of classes lie apart."""


def class_colours(classes: Sequence[str]) -> dict[str, Colour]:
    """Return the colour of each class, and of what is of none: a tie, and a diagnosis that is unsure."""
    if tuple(classes) == CLASSES:
        return {**DIAGNOSES, TIE: GREY}
    return {**{name: _class_colour(number) for number, name in enumerate(classes)}, TIE: GREY, UNSURE: WHITE}


def _class_colour(number: int) -> Colour:
    if number < len(_FIRST):
        return _FIRST[number]
    red, green, blue = hsv_to_rgb(number * _GOLDEN % 1, (0.45, 0.75, 0.6)[number % 3], 1)
    return round(255 * red), round(255 * green), round(255 * blue)
