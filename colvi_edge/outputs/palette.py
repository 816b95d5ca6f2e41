"""The colours of what is drawn and marked, in one place for every viewer."""

from colvi_edge.bands import BANDS

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
