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
EMPTY: Colour = (48, 50, 58)
"""Of the rest of a bar."""
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

_OKABE_ITO: tuple[Colour, ...] = (
    (240, 228, 66),  # yellow
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
    (0, 200, 140),  # bluish green, lighter than theirs: it is drawn on black
    (225, 140, 185),  # reddish purple, likewise
    (235, 95, 20),  # vermilion
    (60, 130, 255),  # blue
    (170, 230, 60),
    (185, 110, 255),
    (255, 60, 115),
)
"""Okabe & Ito, "Color universal design", 2008; blue, which is hard to see on a black picture, comes late, and
three more after it."""
_GOLDEN_ANGLE = 0.618034


def class_colours(classes: Sequence[str]) -> dict[str, Colour]:
    """Return the colour of each class, and of what is of none: a tie, and a diagnosis that is unsure."""
    if tuple(classes) == CLASSES:
        return {**DIAGNOSES, TIE: GREY}
    return {
        **{name: class_colour(number) for number, name in enumerate(classes, 1)},
        TIE: GREY,
        UNSURE: WHITE,
    }


def class_colour(index: int) -> Colour:
    """Return the colour of a class by its index, 1 or more; of regions 0 is the background, and has none."""
    return _OKABE_ITO[index - 1] if index <= len(_OKABE_ITO) else further_colour(index)


def further_colour(index: int) -> Colour:
    """Return a colour that is not like those of the indices before it and after it."""
    value, saturation = ((1.0, 0.55), (0.85, 0.9), (1.0, 0.85))[index % 3]
    red, green, blue = hsv_to_rgb(index * _GOLDEN_ANGLE % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


_OF_ROLES: dict[str, Colour] = {"collagen": (0, 255, 0), "nuclei": (0, 0, 255)}
_ONE_BY_ONE: tuple[Colour, ...] = ((255, 0, 255), (0, 255, 0), (0, 128, 255), (255, 128, 0))
"""Magenta and green first: no eyes take them for each other, and together they are white."""


def channel_colours(roles: Sequence[str]) -> dict[str, Colour]:
    """Return in which colour each channel is shown: one alone in grey, several in colours of their own.

    Args:
        roles: of the channels that a bundle asks for; "empty" is none of them.
    """
    shown = [role for role in roles if role != "empty"]
    if len(shown) == 1:
        return {shown[0]: (255, 255, 255)}
    if set(shown) <= set(_OF_ROLES):
        return {role: _OF_ROLES[role] for role in shown}
    return {role: _ONE_BY_ONE[number % len(_ONE_BY_ONE)] for number, role in enumerate(shown)}
