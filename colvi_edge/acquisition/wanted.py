"""Which channel shows what a bundle asks for, where that is not collagen VI and nuclei together.

The rules, first that applies to a channel:

1. what the operator says (`--channels`);
2. the names that the bundle knows it by, whole words of the channel's own, and the light that it glows in;
3. for collagen and nuclei what `channel_hints` makes of name, dye and light; of a picture in colours green
   and blue;
4. what is left over is what is missing, where there is as much of both, in the bundle's order; of two
   channels of which nothing is said the first shows nuclei, the second collagen, as in `channels`.

What all channels share is said of none of them: it is the title of the image.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from colvi_edge.acquisition.bounds import listed
from colvi_edge.acquisition.channel_hints import SHOWN, ChannelHint, judge_all
from colvi_edge.acquisition.channel_names import MAX_CHARACTERS
from colvi_edge.acquisition.channels import Assigned, assign_roles, refuse_too_many
from colvi_edge.bundle import Config
from colvi_edge.bundle.input import Input
from colvi_edge.errors import ChannelError

_OF_THE_ASSAY = ("nuclei", "collagen")
"""In the order that the published code reads."""

_AS_SEEN = ("other", "collagen", "nuclei")
"""Red, green and blue."""


class Wanted(NamedTuple):
    """What a bundle asks for.

    Attributes:
        role: what the channel shows.
        names: what files call it.
        emission_nm: between which wavelengths its stain glows; None where that does not tell.
    """

    role: str
    names: tuple[str, ...] = ()
    emission_nm: tuple[float, float] | None = None


ASSAY = (Wanted("collagen"), Wanted("nuclei"))
"""Of a bundle that tells control from patient."""


class Asking(NamedTuple):
    """What one of those who judge an image asks for.

    Attributes:
        wanted: by its bundle.
        lender: by the bundle whose regions are all that it sees; nothing where it sees everything.
    """

    wanted: tuple[Wanted, ...] = ASSAY
    lender: tuple[Wanted, ...] = ()


def wanted_by(config: Config) -> tuple[Wanted, ...]:
    """Return what a bundle asks for."""
    return wanted_of(config.input)


def wanted_of(asked: Input) -> tuple[Wanted, ...]:
    """Return what a network of an input asks for."""
    return _each_once(
        Wanted(channel.role, channel.names, channel.emission_nm)
        for channel in asked.channels
        if channel.role != "empty"
    )


def assign_together(
    count: int,
    hints: Sequence[ChannelHint],
    asking: Sequence[Asking],
    *,
    rgb: bool,
    asked: Sequence[str] | None = None,
) -> Assigned:
    """Return the role of each channel for all who judge an image: for each as it is found for it alone.

    What is left over for one bundle may not be taken because another one asks for something, too.

    Args:
        count: channels of the image.
        hints: one for each channel, or none at all.
        asking: who judges.
        rgb: the channels are red, green and blue of a picture.
        asked: what the operator said each channel shows.

    Raises:
        ChannelError: as from `assign_wanted`, for one of them; or they do not find the same, or are not
            equally sure of it.
    """
    everything = _each_once(one for who in asking for one in (*who.wanted, *who.lender))
    if asked is not None or (len(asking) == 1 and not asking[0].lender):
        return assign_wanted(count, hints, everything, rgb=rgb, asked=asked)
    places: dict[str, int] = {}
    found: list[Assigned] = []
    for who in asking:
        each = [(wanted, assign_wanted(count, hints, wanted, rgb=rgb)) for wanted in filter(None, who)]
        for wanted, assigned in each:
            for role, _, _ in wanted:
                here = assigned.roles.index(role)
                if places.setdefault(role, here) != here:
                    raise _disagree(count, everything)
        found.append(
            Assigned(
                each[0][1].roles,
                assumed=any(assigned.assumed for _, assigned in each),
                colours_disagree=any(assigned.colours_disagree for _, assigned in each),
            )
        )
    first, *others = found
    if len({*places.values()}) < len(places) or any(other[1:] != first[1:] for other in others):
        raise _disagree(count, everything)
    roles = ["other" if role in places else role for role in first.roles]
    for role, here in places.items():
        roles[here] = role
    return first._replace(roles=tuple(roles))


def _each_once(wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """Return each role once, as who asks for it first knows it."""
    roles: dict[str, Wanted] = {}
    for one in wanted:
        roles.setdefault(one.role, one)
    return tuple(roles.values())


def _disagree(count: int, wanted: Sequence[Wanted]) -> ChannelError:
    roles = [one.role for one in wanted]
    example = ",".join([*roles, "other"][:count])
    return ChannelError(
        f"holds {count} channels, in which two bundles do not find {' and '.join(roles)} alike; name the "
        f"channels in the file's order with --channels, e.g. --channels {example}"
    )


def assign_wanted(
    count: int,
    hints: Sequence[ChannelHint],
    wanted: Sequence[Wanted] = ASSAY,
    *,
    rgb: bool,
    asked: Sequence[str] | None = None,
) -> Assigned:
    """Return the role of each channel; "other" for what nobody asks for.

    Args:
        count: channels of the image.
        hints: one for each channel, or none at all.
        wanted: what is asked for.
        rgb: the channels are red, green and blue of a picture.
        asked: what the operator said each channel shows.

    Raises:
        ChannelError: too few channels or too many, or none or several for one role.
    """
    roles = [one.role for one in wanted]
    if set(roles) == set(_OF_THE_ASSAY):
        return assign_roles(count, hints, rgb=rgb, asked=asked)
    refuse_too_many(count)
    if asked is None:
        return _found(count, hints if len(hints) == count else [ChannelHint()] * count, wanted, rgb=rgb)
    said = _asked(count, roles, asked)
    try:
        told = _found(count, hints, wanted, rgb=rgb) if len(hints) == count and not rgb else None
    except ChannelError:
        told = None
    differs = told is not None and not told.assumed and told.roles != said
    return Assigned(said, overruled=told.roles if told is not None and differs else ())


def _asked(count: int, roles: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    known = dict.fromkeys([*roles, *_OF_THE_ASSAY, "other"])
    if unknown := [word for word in asked if word not in known]:
        raise ChannelError(f"--channels holds {unknown[0]!r}; each channel is one of {', '.join(known)}")
    if len(asked) != count or any(asked.count(role) != 1 for role in roles):
        raise ChannelError(
            f"holds {count} channels, and --channels names {len(asked)} ({listed(asked, ',')}); name each in "
            f"the file's order, {' and '.join(roles)} once and 'other' for those that do not matter"
        )
    return tuple(asked)


def _found(count: int, hints: Sequence[ChannelHint], wanted: Sequence[Wanted], *, rgb: bool) -> Assigned:
    roles = [one.role for one in wanted]
    if rgb and set(roles) <= set(_OF_THE_ASSAY):
        return Assigned(_AS_SEEN)
    said = _said(hints, wanted)
    missing = [role for role in roles if role not in said]
    silent = [index for index, role in enumerate(said) if role is None]
    assumed = False
    if missing and not any(said) and count == len(_OF_THE_ASSAY) and set(roles) <= set(_OF_THE_ASSAY):
        said, assumed = list(_OF_THE_ASSAY), True
    elif missing and len(missing) == len(silent):
        for index, role in zip(silent, missing, strict=True):
            said[index] = role
        assumed = len(missing) > 1
    if any(said.count(role) != 1 for role in roles):
        found = listed([role or "not recognised" for role in said])
        raise ChannelError(
            f"holds {count} channel{'s' if count > 1 else ''} ({found}), but exactly one of "
            f"{' and one of '.join(roles)} {'is' if len(roles) == 1 else 'are'} needed; name the channels in "
            f"the file's order with --channels, e.g. --channels {','.join([*roles, 'other'][:count])}"
        )
    return Assigned(tuple(role or "other" for role in said), assumed=assumed)


def _said(hints: Sequence[ChannelHint], wanted: Sequence[Wanted]) -> list[str | None]:
    """Return what is said of each channel, "other" of one that is something else; None where nothing is."""
    roles = {one.role for one in wanted}
    of_assay = judge_all(hints)
    words = [_words(hint.name) for hint in hints]
    shared = frozenset.intersection(*words) if len(hints) > 1 else frozenset()
    found: list[str | None] = []
    for hint, own, verdict in zip(hints, words, of_assay, strict=True):
        named = {one.role for one in wanted if any(_is_name(name, own, shared) for name in one.names)}
        if not named and hint.emission_nm is not None:
            named = {one.role for one in wanted if _glows(one, hint.emission_nm)}
        if not named and verdict.role is None and not verdict.finding and hint.colour:
            named = {str(SHOWN.get(hint.colour))} & roles
        if not named and verdict.role is not None:
            named = {verdict.role}
        if len(named) > 1:
            raise ChannelError(
                f"holds a channel that is {' as well as '.join(sorted(named))} by its name or its light; "
                "name the channels in the file's order with --channels"
            )
        silent = None if not verdict.finding or verdict.finding == "not recognised" else "other"
        found.append(named.pop() if named else silent)
    return found


def _glows(one: Wanted, emission_nm: float) -> bool:
    return one.emission_nm is not None and one.emission_nm[0] <= emission_nm <= one.emission_nm[1]


def _is_name(name: str, own: frozenset[str], shared: frozenset[str]) -> bool:
    words = _words(name)
    return words <= own and bool(words - shared)


def _words(name: str) -> frozenset[str]:
    text = unicodedata.normalize("NFKC", name[:MAX_CHARACTERS]).casefold()
    return frozenset(re.findall(r"[^\W_]+", text))
