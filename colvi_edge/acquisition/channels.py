"""Which channel is collagen VI and which is nuclei: as told, by name, by wavelength, by colour, by rule.

The rules, first that applies:

1. what the operator says (`--channels`);
2. an RGB picture is as seen: green is collagen, blue is nuclei, red is neither;
3. what the file says of the stain: by name, dye, excitation and emission, which must agree;
4. the colours that channels are shown in, where nothing else is said: green and blue;
5. two channels of which the file says nothing are (nuclei, collagen), the order that the
   published code reads.

What all channels share is said of none of them: it is the title of the image.

Anything else is refused: a swapped pair of channels gives a diagnosis that looks like any other, and so
does another collagen than VI.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast, get_args

from colvi_edge.acquisition.bounds import MAX_CHANNELS, listed
from colvi_edge.acquisition.channel_hints import (
    SHOWN,
    ChannelHint,
    Colour,
    Verdict,
    glows_as_shown,
    judge_all,
)
from colvi_edge.acquisition.model import AssayRole, Role
from colvi_edge.errors import ChannelError

UNTOUCHED: tuple[Colour, ...] = ("red", "green", "blue")
"""The colours that ImageJ and Bio-Formats give to the channels of any image: nobody chose them."""


class Assigned(NamedTuple):
    """The role of each channel.

    Attributes:
        roles: of each channel; what is needed occurs exactly once.
        assumed: nobody said which channel is which, or no more than one clear colour did.
        colours_disagree: the channels are shown in each other's colours.
        overruled: what the file says instead of what the operator said; empty if it says the same or nothing.
    """

    roles: tuple[Role, ...]
    assumed: bool = False
    colours_disagree: bool = False
    overruled: tuple[Role, ...] = ()


def assign_roles(
    count: int, hints: Sequence[ChannelHint], *, rgb: bool, asked: Sequence[str] | None = None
) -> Assigned:
    """Return the role of each channel.

    Args:
        count: channels of the image.
        hints: one for each channel, or none at all.
        rgb: the channels are red, green and blue of a picture.
        asked: what the operator said: "nuclei", "collagen" or "other" for each channel.

    Raises:
        ChannelError: too few channels or too many, or none or several for one role.
    """
    refuse_too_many(count)
    if count < 2:
        raise ChannelError(
            "holds one channel, but collagen and nuclei are needed; save both channels into one file"
        )
    if asked is not None:
        if len(asked) != count:
            raise ChannelError(
                f"holds {count} channels, but --channels names {len(asked)} ({listed(asked, ',')}); "
                "name each channel once, with 'other' for those that do not matter"
            )
        roles = _each_once([Verdict(role_named(word)) for word in asked])
        told = () if rgb else _told(count, hints)  # a picture's colours are no words
        return Assigned(roles, overruled=told if told != roles else ())
    if rgb:
        return Assigned(_each_once([Verdict("other"), Verdict("collagen"), Verdict("nuclei")]))
    hints = hints if len(hints) == count else [ChannelHint()] * count
    verdicts = judge_all(hints)
    if any(verdict != Verdict(None) for verdict in verdicts):
        verdicts = [
            Verdict(SHOWN.get(hint.colour)) if verdict == Verdict(None) else verdict
            for hint, verdict in zip(_chosen(hints), verdicts, strict=True)
        ]
        roles = _each_once(_exact(verdicts))
        return Assigned(roles, colours_disagree=_colours_disagree(roles, _chosen(hints)))
    shown = [SHOWN.get(hint.colour) for hint in _chosen(hints)]
    if count > 2 or len({*shown} - {None}) == 2:
        return Assigned(_each_once([Verdict(role) for role in shown]))
    swapped = shown in (["collagen", None], [None, "nuclei"])
    return Assigned(("collagen", "nuclei") if swapped else ("nuclei", "collagen"), assumed=True)


def _told(count: int, hints: Sequence[ChannelHint]) -> tuple[Role, ...]:
    """Return the order that the file itself tells; empty where it tells none."""
    try:
        found = assign_roles(count, hints, rgb=False)
    except ChannelError:
        return ()
    return () if found.assumed else found.roles


def refuse_too_many(count: int) -> None:
    """Refuse an image of more channels than are read.

    Raises:
        ChannelError: it has more.
    """
    if count > MAX_CHANNELS:
        raise ChannelError(
            f"holds {count:,} channels, but at most {MAX_CHANNELS} are read; save nuclei and collagen VI "
            "into one file"
        )


def role_named(word: str) -> AssayRole:
    """Return the role that the operator names.

    Raises:
        ChannelError: it is none.
    """
    for role in get_args(AssayRole):
        if word == role:
            return cast(AssayRole, role)
    raise ChannelError(
        f"--channels holds {word!r}; each channel is one of nuclei, collagen, other, "
        "e.g. --channels nuclei,collagen"
    )


def _exact(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts; the one channel that is named collagen VI is it, whatever else is stained green.

    Raises:
        ChannelError: what is said of a channel disagrees, or another collagen stands beside one
            that nobody calls VI.
    """
    findings = [verdict.finding for verdict in verdicts]
    if "contradictory" in findings:
        raise _refusal(verdicts)
    if findings.count("collagen VI") == 1:
        return [
            Verdict("other") if role == "collagen" and finding != "collagen VI" else Verdict(role, finding)
            for role, finding in verdicts
        ]
    if "another collagen" in findings:
        raise _refusal(verdicts)
    return list(verdicts)


def _each_once(verdicts: Sequence[Verdict]) -> tuple[AssayRole, ...]:
    roles = [verdict.role for verdict in verdicts]
    if roles.count("collagen") != 1 or roles.count("nuclei") != 1:
        raise _refusal(verdicts)
    return tuple(role or "other" for role in roles)


def _refusal(verdicts: Sequence[Verdict]) -> ChannelError:
    """Return why the channels are not clear; the file's own words may hold the name of a patient."""
    found = listed([verdict.role or verdict.finding or "not recognised" for verdict in verdicts])
    findings = {verdict.finding for verdict in verdicts}
    why = ""
    if "contradictory" in findings:
        why = "name, dye, excitation and emission of a channel do not agree: check the stain, and "
    elif "another collagen" in findings:
        why = "the file names another collagen than VI: only if it is VI nevertheless, "
    return ChannelError(
        f"holds {len(verdicts)} channels ({found}), but exactly one of collagen VI and one of nuclei are "
        f"needed; {why}name them in the file's order with --channels, e.g. --channels {_example(verdicts)}"
    )


def _example(verdicts: Sequence[Verdict]) -> str:
    """Return how to name the channels; one that was recognised keeps its role."""
    roles: list[str] = ["other"] * len(verdicts)
    free = list(range(len(verdicts)))
    missing = []
    for role in ("nuclei", "collagen"):
        found = [i for i, verdict in enumerate(verdicts) if verdict.role == role]
        if len(found) == 1:
            roles[found[0]] = role
            free.remove(found[0])
        else:
            missing.append(role)
    for role, i in zip(missing, free, strict=False):
        roles[i] = role
    return listed(roles, ",")


def _chosen(hints: Sequence[ChannelHint]) -> list[ChannelHint]:
    """Return the hints without colours where those are as nobody chose them."""
    if all(hint.colour == colour for hint, colour in zip(hints, UNTOUCHED, strict=False)):
        return [hint._replace(colour="") for hint in hints]
    return list(hints)


def _colours_disagree(roles: Sequence[AssayRole], hints: Sequence[ChannelHint]) -> bool:
    """Return whether one of the two is shown in the other's colour, and neither in its own."""
    others: dict[AssayRole, AssayRole] = {"collagen": "nuclei", "nuclei": "collagen"}
    shown = [(role, SHOWN.get(hint.colour), hint) for role, hint in zip(roles, hints, strict=True)]
    own = any(role == colour for role, colour, _ in shown)
    return not own and any(
        colour is not None and others.get(role) == colour and not glows_as_shown(hint)
        for role, colour, hint in shown
    )
