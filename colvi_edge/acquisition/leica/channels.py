"""What a Leica container says of an image's channels: dye, emission band, colour.

A dye goes before the band of its detector, and both before the colour.

The dye stands with the channel (LAS X 3.7 and later), or with the detector of an older confocal. Which
detector recorded which channel is not said there: the active ones over all sequences, in order, are
taken for it where there are as many, and only where the channel's colour does not contradict.
"""

from itertools import chain
from xml.etree.ElementTree import Element

from colvi_edge.acquisition.bounds import positive
from colvi_edge.acquisition.channel_hints import SHOWN, ChannelHint, Colour, Verdict, judge

_COLOURS: dict[str, Colour] = {"red": "red", "green": "green", "blue": "blue"}
_SETTING = "ATLConfocalSettingDefinition"
_WIDEST_NM = 150
"""A detector that is open further records more than one dye: the middle of its band says nothing."""


def channel_hints(image: Element, channels: list[Element]) -> list[ChannelHint]:
    """Return what is said of each channel.

    Args:
        image: the `Image` element.
        channels: its `ChannelDescription` elements, in the order of the channels.
    """
    detectors = _active_detectors(image)
    if len(detectors) != len(channels):
        detectors = [ChannelHint()] * len(channels)
    return [_hint(channel, detector) for channel, detector in zip(channels, detectors, strict=True)]


def _hint(channel: Element, detector: ChannelHint) -> ChannelHint:
    properties = {p.findtext("Key"): p.findtext("Value") or "" for p in channel.findall("ChannelProperty")}
    dye = ChannelHint(_plain(properties.get("DyeName", "")))
    colour = _COLOURS.get(channel.get("LUTName", "").strip().lower(), "")
    named, detected = judge(dye), judge(detector)
    if _speaks(named):
        return dye._replace(colour=colour)
    if _speaks(detected):
        shown = SHOWN.get(colour)
        return detector._replace(
            colour=colour, contradictory=None not in (detected.role, shown) and detected.role != shown
        )
    return (detector if named == Verdict(None) else dye)._replace(colour=colour)


def _speaks(verdict: Verdict) -> bool:
    """Return whether something was understood, be it a reason to refuse the channel."""
    return verdict.role is not None or verdict.finding not in ("", "not recognised")


def _active_detectors(image: Element) -> list[ChannelHint]:
    hardware = next((a for a in image.findall("Attachment") if a.get("Name") == "HardwareSetting"), None)
    if hardware is None:
        return []
    settings = hardware.findall(f".//LDM_Block_Sequential_List/{_SETTING}")
    return list(chain.from_iterable(map(_detectors, settings or hardware.findall(_SETTING))))


def _detectors(setting: Element) -> list[ChannelHint]:
    bands = {band.get("Channel"): band for band in setting.findall("Spectro/MultiBand")}
    return [
        _band_hint(bands.get(detector.get("Channel")))
        for detector in setting.findall("DetectorList/Detector")
        if detector.get("IsActive") == "1"
    ]


def _band_hint(band: Element | None) -> ChannelHint:
    if band is None:
        return ChannelHint()
    dye = _plain(band.get("DyeName", ""))
    low_nm, high_nm = (positive(band.get(end), 1.0) for end in ("LeftWorld", "RightWorld"))
    if low_nm is None or high_nm is None or high_nm - low_nm > _WIDEST_NM:
        return ChannelHint(dye)
    return ChannelHint(dye, (low_nm + high_nm) / 2)


def _plain(dye: str) -> str:
    return dye.removeprefix("Leica/")
