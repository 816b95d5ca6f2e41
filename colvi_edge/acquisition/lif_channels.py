"""What a Leica container says of an image's channels: dye, emission band, colour.

The dye stands with the channel (LAS X 3.7 and later), or with the detector of an older confocal. Which
detector recorded which channel is not said there: the active ones over all sequences, in order, are
taken for it where there are as many, and only where the channel's colour does not contradict.
"""

from itertools import chain
from xml.etree.ElementTree import Element

from colvi_edge.acquisition.channels import ChannelHint, role_of

_COLOURLESS = ("", "gray", "grey")
_UNKNOWN = ChannelHint("contradictory")
_SETTING = "ATLConfocalSettingDefinition"


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
    lut = channel.get("LUTName", "")
    colour = ChannelHint("" if lut.lower() in _COLOURLESS else lut)
    if role_of(dye):
        return dye
    spoken = {role for hint in (detector, colour) if (role := role_of(hint))}
    if len(spoken) > 1:
        return _UNKNOWN
    said = [hint for hint in (detector, colour) if role_of(hint)] or [
        hint for hint in (dye, detector, colour) if not hint.is_empty
    ]
    return said[0] if said else ChannelHint()


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
    try:
        centre_nm = (float(band.get("LeftWorld", "")) + float(band.get("RightWorld", ""))) / 2
    except ValueError:
        return ChannelHint(_plain(band.get("DyeName", "")))
    return ChannelHint(_plain(band.get("DyeName", "")), centre_nm)


def _plain(dye: str) -> str:
    return dye.removeprefix("Leica/")
