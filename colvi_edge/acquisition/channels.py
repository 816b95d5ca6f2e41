"""Which channel is collagen and which is nuclei: by name, by emission wavelength, by rule, or as told.

The rules, first that applies:

1. what the operator says (`--channels`);
2. an RGB picture is as seen: green is collagen, blue is nuclei, red is neither;
3. the stain's name, else the dye's or its laser line, else the emission wavelength;
4. two channels of which the file says nothing are (nuclei, collagen), the order that the
   published code reads.

Anything else is refused: a swapped pair of channels gives a diagnosis that looks like any other.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, cast, get_args

from colvi_edge.acquisition.model import Role
from colvi_edge.errors import ChannelError

# Letters may not adjoin a word, nor digits a number; the other way round they may: "Hoechst33342"
# and "AF488" are found, "cDNA" and "4880" are not.
STAINED: tuple[tuple[Role, str], ...] = (
    ("nuclei", r"(?<![a-z])(nuclei|nucleus|nuclear|dapi|hoechst|dna)(?![a-z])"),
    ("collagen", r"(?<![a-z])((collagen|col)[\W_]?(vi|6(a\d)?)|collagen)(?![a-z])"),
)
DYES: tuple[tuple[Role, str], ...] = (
    ("nuclei", r"(?<![a-z])blue(?![a-z])|(?<!\d)(405|461)(?!\d)"),
    ("collagen", r"(?<![a-z])(fitc|e?gfp|green)(?![a-z])|(?<!\d)(488|519)(?!\d)"),
)
EMISSION_NM: tuple[tuple[Role, float, float], ...] = (("nuclei", 400, 480), ("collagen", 490, 560))

SAYS_NOTHING = re.compile(r"(channel|chan|ch|c|track|t|image|img|[\W\d_])*", re.IGNORECASE)
"""Names such as "", "Channel 1", "ch00", "Ch1-T2"."""


class ChannelHint(NamedTuple):
    """What the file says of one channel: its name, "" for none, and its emission wavelength."""

    name: str = ""
    emission_nm: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return self.emission_nm is None and SAYS_NOTHING.fullmatch(self.name) is not None


def role_of(hint: ChannelHint) -> Role | None:
    """Return the one role that the hint speaks for; None when it speaks for none or for both."""
    for words in (STAINED, DYES):
        found = [role for role, pattern in words if re.search(pattern, hint.name, re.IGNORECASE)]
        if found:
            return found[0] if len(found) == 1 else None
    if hint.emission_nm is not None:
        for role, low, high in EMISSION_NM:
            if low <= hint.emission_nm <= high:
                return role
    return None


def assign_roles(
    count: int, hints: Sequence[ChannelHint], *, rgb: bool, asked: Sequence[str] | None = None
) -> tuple[Role, ...]:
    """Return the role of each channel; collagen and nuclei occur exactly once.

    Args:
        count: channels of the image.
        hints: one for each channel, or none at all.
        rgb: the channels are red, green and blue of a picture.
        asked: what the operator said: "nuclei", "collagen" or "other" for each channel.

    Raises:
        ChannelError: too few channels, or none or several for one role.
    """
    if count < 2:
        raise ChannelError(
            "holds one channel, but collagen and nuclei are needed; save both channels into one file"
        )
    roles: list[Role | None]
    if asked is not None:
        if len(asked) != count:
            raise ChannelError(
                f"holds {count} channels, but --channels names {len(asked)} ({','.join(asked)}); "
                "name each channel once, with 'other' for those that do not matter"
            )
        roles = [role_named(word) for word in asked]
    elif rgb:
        roles = ["other", "collagen", "nuclei"]
    else:
        hints = hints if len(hints) == count else [ChannelHint()] * count
        roles = [role_of(hint) for hint in hints]
        if count == 2 and all(hint.is_empty for hint in hints):
            roles = ["nuclei", "collagen"]
    if roles.count("collagen") != 1 or roles.count("nuclei") != 1:
        # Only roles are named: the file's own words may hold the name of a patient.
        found = ", ".join(role or "not recognised" for role in roles)
        example = ",".join(["nuclei", "collagen", *["other"] * (count - 2)])
        raise ChannelError(
            f"holds {count} channels ({found}), but exactly one of collagen and one of nuclei are needed; "
            f"name them in the file's order with --channels, e.g. --channels {example}"
        )
    return tuple(role or "other" for role in roles)


def is_assumed(count: int, hints: Sequence[ChannelHint], *, rgb: bool, asked: Sequence[str] | None) -> bool:
    """Return whether the roles follow from rule 4 alone: nobody said which channel is which."""
    said = len(hints) == count and not all(hint.is_empty for hint in hints)
    return asked is None and not rgb and not said


def role_named(word: str) -> Role:
    """Return the role that the operator names.

    Raises:
        ChannelError: it is none.
    """
    for role in get_args(Role):
        if word == role:
            return cast(Role, role)
    raise ChannelError(
        f"--channels holds {word!r}; each channel is one of nuclei, collagen, other, "
        "e.g. --channels nuclei,collagen"
    )
