"""Is this an image that can be judged at all? Flags, each with value, limit and words.

A rule must never turn away the sick: little, broken or no collagen *is* the disease. So nearly
everything is judged on the nuclei, which both classes have alike. The collagen is asked only whether
it was recorded at all (a constant was not, nor was a copy of the nuclei channel: `copies`), whether its
detector was saturated, whether it holds what the nuclei channel lacks: nuclei, and whether its structure
is one that the training, or the disease, could have left (`familiarity`).

Each limit stands beside what was measured: good images are 200 simulated controls and 200 patients of
each severity 0.2, 0.5, 0.8 and 1; of each defect 15 to 24 were looked at when the limits were chosen.
docs/evidence/quality.md tells what the rules make of more.
"""

from colvi_edge.acquisition.model import Acquisition, Role
from colvi_edge.bundle.expected import Expected
from colvi_edge.quality.copies import copied, shares_explained
from colvi_edge.quality.familiarity import WORDS, Familiar, Measure, Measured, measure, unfamiliar
from colvi_edge.quality.flags import Assessment, Flag
from colvi_edge.quality.measures import COARSE_PX, ChannelStatistics, binned, channel_statistics, halved
from colvi_edge.quality.nuclei import UNEVEN, holds_nuclei, nuclei_flags
from colvi_edge.quality.recording import constant_flags, recording_flags, saturation_flags


def assess(
    acquisition: Acquisition, expected: Expected, patch_px: int | None, familiar: Familiar | None
) -> Assessment:
    """Return what is wrong with an image, and how it compares with those that the network learnt from.

    Args:
        acquisition: with a collagen and a nuclei channel.
        expected: what the bundle's training images were like.
        patch_px: edge of the bundle's patches; None where the network sees no patches.
        familiar: how they measured; None if the bundle does not know.
    """
    flags = saturation_flags(acquisition)
    clipped = any(flag.name == "saturated_nuclei" for flag in flags)
    measures: list[Measure] = []
    if unrecorded := constant_flags(acquisition):
        flags += unrecorded
    elif min(acquisition.planes.shape[2:]) >= 2 * COARSE_PX:  # no cell is as small as that
        content, measured = _content(acquisition, expected, clipped=clipped)
        flags += content
        if measured is not None:
            measures = familiar.compare(measured) if familiar else []
            if not any(flag.severity == "reject" for flag in flags):  # those say more
                flags += _familiar(measures) if familiar else [_familiarity_unknown()]
    flags += recording_flags(acquisition, expected, patch_px)
    return Assessment(sorted(flags, key=lambda flag: flag.severity != "reject"), measures)


def _one_recording() -> Flag:
    words = (
        "The collagen and the nuclei channel are one recording that was saved twice (as it is, scaled or "
        "blurred): one has no noise of its own; export both channels as they were acquired."
    )
    return Flag("one_recording", "reject", None, None, words)


def _content(
    acquisition: Acquisition, expected: Expected, *, clipped: bool
) -> tuple[list[Flag], Measured | None]:
    channel = acquisition.channel("collagen")
    nuclei, fine = channel_statistics(acquisition.channel("nuclei")), binned(channel)
    shares = shares_explained(halved(fine), nuclei.coarse)
    if copied(channel, acquisition.channel("nuclei"), shares):
        return [_one_recording()], None
    flags: list[Flag] = []
    in_order = holds_nuclei(nuclei)
    if not in_order or acquisition.channels_assumed:
        collagen = channel_statistics(channel)
        if nuclei.unevenness > UNEVEN and holds_nuclei(collagen):
            return [_swapped(acquisition, nuclei)], None
        if acquisition.channels_assumed and not (in_order and collagen.unevenness > UNEVEN):
            flags = [_assumed(acquisition)]
    flags += nuclei_flags(nuclei, acquisition, expected, clipped=clipped)
    return flags, measure(nuclei, fine, shares[0])


def _familiar(measures: list[Measure]) -> list[Flag]:
    if not (outside := unfamiliar(measures)):
        return []
    worst = outside[0]
    too_low = worst.value < worst.low
    said = WORDS[worst.name].too_low if too_low else WORDS[worst.name].too_high
    limit, bound = (worst.low, "from") if too_low else (worst.high, "up to")
    words = (
        f"Unlike the images that the network learnt from: {said} ({worst.name} {worst.value:.3g}, familiar "
        f"{bound} {limit:.3g}). Check the stains, the magnification, and that this is the image as it was "
        "acquired; colvi-edge doctor --image shows all measures."
    )
    return [Flag("unfamiliar", "reject", worst.value, limit, words)]


def _familiarity_unknown() -> Flag:
    words = (
        "The bundle does not know what its training images were like, so anything may be judged that looks "
        "like nuclei: export it again with --calibration, or train again."
    )
    return Flag("familiarity_unknown", "warn", None, None, words)


def _swapped(acquisition: Acquisition, nuclei: ChannelStatistics) -> Flag:
    other: dict[Role, Role] = {"nuclei": "collagen", "collagen": "nuclei", "other": "other"}
    order = ",".join(other[role] for role in acquisition.channels)
    words = (
        "The nuclei channel holds no nuclei, but the collagen channel looks like nuclei: if they are "
        f"swapped, run it alone again with --channels {order}."
    )
    return Flag("channels_swapped", "reject", nuclei.unevenness, UNEVEN, words)


def _assumed(acquisition: Acquisition) -> Flag:
    words = (
        "The file names no channels, and they do not tell themselves: taken as "
        f"{', '.join(acquisition.channels)}; if they lie the other way round, say so with --channels."
    )
    return Flag("channels_assumed", "warn", None, None, words)
