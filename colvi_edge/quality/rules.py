"""Which rules an image is assessed by: those that the bundle names, never a guess."""

from colvi_edge.acquisition.model import Acquisition
from colvi_edge.bundle.manifest import Config
from colvi_edge.quality.familiarity import Familiar
from colvi_edge.quality.fibroblast import assess
from colvi_edge.quality.flags import Assessment, Flag
from colvi_edge.quality.general import assess_any
from colvi_edge.quality.recording import PIXEL_ASPECT


def assess_for(config: Config, acquisition: Acquisition, familiar: Familiar | None) -> Assessment:
    """Return what is wrong with an image, by the rules of a bundle.

    Args:
        config: of the bundle.
        acquisition: the image.
        familiar: how the training images measured; None if the bundle does not know.
    """
    if config.quality == "fibroblast":
        patch_px = config.patch_px if config.has_patches else None
        found = assess(acquisition, config.expected, patch_px, familiar)
    else:
        found = assess_any(acquisition, config)
    return found._replace(flags=[*found.flags, *_aspect(config, acquisition)])


def _aspect(config: Config, acquisition: Acquisition) -> list[Flag]:
    if config.input.resize_px is None:
        return []
    (height, width), (rows, cols) = acquisition.planes.shape[2:], config.input.resize_px
    stretched = (width / height) / (cols / rows)
    if 1 / PIXEL_ASPECT <= stretched <= PIXEL_ASPECT:
        return []
    words = (
        f"The image is {width} x {height} pixels, and the network sees it as {cols} x {rows}: structures "
        f"come out {max(stretched, 1 / stretched):.3g} times narrower one way; crop it to that shape."
    )
    return [Flag("aspect_changed", "warn", stretched, PIXEL_ASPECT, words)]
