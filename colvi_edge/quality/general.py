"""Is this an image that can be judged at all? What holds for any image, whatever it shows.

What an image of one assay looks like is told by rules of its own, such as `fibroblast`; a bundle names them.
"""

from colvi_edge.acquisition.model import Acquisition
from colvi_edge.bundle.manifest import Config
from colvi_edge.quality.flags import Assessment, Flag
from colvi_edge.quality.recording import constant_flags, recording_flags, saturation_flags


def assess_any(acquisition: Acquisition, config: Config) -> Assessment:
    """Return what is wrong with an image of which no more is known than what the bundle asks for.

    Args:
        acquisition: with a channel of each role that the bundle asks for.
        config: of the bundle.
    """
    roles = [role for role in config.channels if role != "empty"]
    patch_px = config.patch_px if config.has_patches else None
    flags = [
        *saturation_flags(acquisition, roles),
        *constant_flags(acquisition, roles),
        *_channels_assumed(acquisition),
        *recording_flags(acquisition, config.expected, patch_px),
    ]
    return Assessment(sorted(flags, key=lambda flag: flag.severity != "reject"), [])


def _channels_assumed(acquisition: Acquisition) -> list[Flag]:
    if not acquisition.channels_assumed:
        return []
    words = (
        f"The file does not tell its channels: taken as {', '.join(acquisition.channels)}; if they lie in "
        "another order, say so with --channels."
    )
    return [Flag("channels_assumed", "warn", None, None, words)]
