"""What a file says of a channel, and what it amounts to: stain, dye, light and colour, which must agree."""

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import Literal, NamedTuple, cast

from colvi_edge.acquisition.channel_names import Name, read, says_nothing
from colvi_edge.acquisition.model import AssayRole
from colvi_edge.acquisition.stains import DYES, Dye, Light

Colour = Literal["", "red", "green", "blue"]

LIGHT_NM: dict[Light, tuple[tuple[AssayRole, float, float], ...]] = {
    "excitation": (("nuclei", 340, 420), ("collagen", 470, 510)),
    "emission": (("nuclei", 400, 480), ("collagen", 490, 560)),
}
SHOWN: dict[str, AssayRole] = {"green": "collagen", "blue": "nuclei"}

_DYES = {dye.name: dye for dye in DYES}

Finding = Literal[
    "", "collagen VI", "another collagen", "another stain", "both at once", "contradictory", "not recognised"
]  # fmt: skip


class ChannelHint(NamedTuple):
    """What the file says of one channel.

    Attributes:
        name: of its stain, dye or the channel itself; "" for none.
        emission_nm: middle of the light that is recorded; None for unknown.
        excitation_nm: of the light source; None for unknown.
        colour: that it is shown in, "" where that is no clear one of the three.
        may_be_title: the name may be one of the image: it is, where no channel's says anything.
        contradictory: its sources disagree in what it is.
    """

    name: str = ""
    emission_nm: float | None = None
    excitation_nm: float | None = None
    colour: Colour = ""
    may_be_title: bool = False
    contradictory: bool = False


class Verdict(NamedTuple):
    """What a channel is; without a role, why it has none, "" where nothing is said of it."""

    role: AssayRole | None
    finding: Finding = ""


def colour_of(red: float, green: float, blue: float) -> Colour:
    """Return the colour in plain words; "" for grey, mixed and pale ones, which say nothing."""
    first, second, _ = sorted(((red, "red"), (green, "green"), (blue, "blue")), reverse=True)
    return cast(Colour, first[1]) if first[0] > 0 and second[0] <= first[0] / 2 else ""


def judge(hint: ChannelHint) -> Verdict:
    """Return what name and wavelengths of a single channel amount to."""
    return _judge(hint, read(hint.name))


def judge_all(hints: Sequence[ChannelHint]) -> list[Verdict]:
    """Return what each channel is by what is said of it and not of all."""
    names = [read(hint.name) for hint in hints]
    statements = reduce(and_, (name.statements for name in names))
    words = reduce(and_, (name.words for name in names))
    own = [Name(name.statements - statements, name.words - words, name.is_bare) for name in names]
    if not any(name.statements for name in own):
        if all(hint.may_be_title for hint in hints):
            own = [read("")] * len(hints)
        elif names[0].is_bare and all(name == names[0] for name in names):
            own = names  # no title, but one stain for all
    return [_judge(hint, name) for hint, name in zip(hints, own, strict=True)]


def glows_as_shown(hint: ChannelHint) -> bool:
    """Return whether the channel is shown in the colour of its own dye, as SYTOX Green is."""
    dyes = [_DYES[what] for kind, what in read(hint.name).statements if kind == "dye"]
    return any(
        low <= wavelength_nm <= high and SHOWN.get(hint.colour) == role
        for dye in dyes
        for wavelength_nm in dye.emission_nm
        for role, low, high in LIGHT_NM["emission"]
    )


def _judge(hint: ChannelHint, name: Name) -> Verdict:
    """Weigh what is said of one channel: the stain's name, then the light, which must fit it."""
    said = {statement.kind for statement in name.statements}
    dyes = [_DYES[statement.what] for statement in name.statements if statement.kind == "dye"]
    roles: set[AssayRole] = {dye.role for dye in dyes if dye.role != "other"}
    roles |= {"nuclei"} if "nuclei" in said else set()
    roles |= {"collagen"} if said & {"collagen", "collagen VI"} else set()
    if hint.contradictory:
        return Verdict(None, "contradictory")
    if "other collagen" in said:
        return Verdict(None, "another collagen")
    if len(roles) > 1:
        return Verdict(None, "both at once")
    if "other stain" in said:
        return Verdict(None, "another stain")
    if not roles and dyes:
        roles = {"other"}
    if not roles:
        roles = {SHOWN[statement.what] for statement in name.statements if statement.kind == "colour"}
    roles |= _lit(hint, name, dyes)
    if len(roles) > 1:
        return Verdict(None, "contradictory")
    if "other" in roles:
        return Verdict(None, "another stain")
    if roles:
        return Verdict(roles.pop(), "collagen VI" if "collagen VI" in said else "")
    silent = hint.emission_nm is None and hint.excitation_nm is None and says_nothing(name)
    return Verdict(None, "" if silent else "not recognised")


def _lit(hint: ChannelHint, name: Name, dyes: Sequence[Dye]) -> set[AssayRole]:
    """Return the roles that the wavelengths speak for, but for those that a named dye explains."""
    lights: list[tuple[Light, float]] = [
        (light, float(what)) for light in LIGHT_NM for kind, what in name.statements if kind == light
    ]
    lights += [("emission", hint.emission_nm)] if hint.emission_nm is not None else []
    lights += [("excitation", hint.excitation_nm)] if hint.excitation_nm is not None else []
    return {
        role
        for light, wavelength_nm in lights
        if not any(dye.fits(light, wavelength_nm) for dye in dyes)
        for role, low, high in LIGHT_NM[light]
        if low <= wavelength_nm <= high
    }
