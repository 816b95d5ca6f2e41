"""What the name of a channel says: stains, dyes, wavelengths, colours, and what it merely calls a channel.

A name is free text. It is taken apart into statements; what they amount to is decided in
`channel_hints`, where those that all channels of an image share are left out: they are of its title.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from colvi_edge.acquisition.stains import dyes_in, whole

MAX_CHARACTERS = 1000
"""Of a name are read; longer ones are descriptions."""

Kind = Literal[
    "nuclei", "collagen VI", "collagen", "other collagen", "other stain",
    "dye", "excitation", "emission", "colour",
]  # fmt: skip


class Statement(NamedTuple):
    """One thing that a name says: which kind of thing and, of dyes, wavelengths and colours, which."""

    kind: Kind
    what: str = ""


class Name(NamedTuple):
    """A name, taken apart.

    Attributes:
        statements: each as often as it occurs.
        words: all, likewise.
        is_bare: besides its statements it only calls something a channel.
    """

    statements: Counter[Statement]
    words: Counter[str]
    is_bare: bool


_SAYS_NOTHING = re.compile(r"(channel|chan|ch|c|track|t|image|img|slice|z|[\W\d_])*", re.IGNORECASE)
"""Names such as "", "Channel 1", "ch00", "Ch1-T2", "c:1/2 z:3/10"."""

_ONES = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
TYPES = {ten * "x" + one: 10 * ten + i for ten in range(3) for i, one in enumerate(_ONES)}
del TYPES[""], TYPES["xxix"]
"""The collagens of man, in Roman numerals: I to XXVIII."""

_SPACE = r"(?:[^\w|]|_){0,2}"
_ROMAN = rf"(?:{'|'.join(sorted(TYPES, key=len, reverse=True))})(?!(?!a\d)[a-z]|\d{{1,2}}(?!\d))"
# "1:200" and "1/500" are dilutions, "20x" is an objective, "3D" and "5 um" are no types either.
_ARABIC = (
    r"(?:2[0-8]|1\d|[1-9])(?!\d|\s?:|[.,]\d|\s?%|/\d\d|(?:x|d|s|h|st|nd|rd|th)(?![a-z\d])|"
    r"\s?(?:nm|[uµμ]m|mm|ms|min|hrs?|hours?|days?|weeks?|[uµμ]g|mg|ml)(?![a-z\d]))"
)
_CHAIN = r"a\d{1,2}(?!\d)"
_AND = r"(?:\s?[/+&,]\s?|\s(?:and|und|et)\s)"
_ROMANS = rf"{_ROMAN}(?:(?:{_AND}|[-\u2013]){_ROMAN})*"
_COLLAGEN = re.compile(
    r"(?<![a-z])(?!(?-i:[Cc]oli)(?![a-z]))"  # not Escherichia coli
    r"(?P<pro>pro[\s_-]?)?(?:anti|[a\u03b1mhr])?(?:(?P<word>[ck]oll?[aá]g[eéè]n[eos]?s?)|coll?)"
    # Before the type there may be the word, or a chain, "alpha-3(VI)"; after it, "COL6A1".
    rf"(?:(?:{_SPACE}(?:types?|typ|(?:alpha|\u03b1|a){_SPACE}\d{{1,2}}(?=\s?\()))?"
    rf"(?:(?:{_SPACE}|\s-\s)(?P<roman>{_ROMANS})"
    rf"|{_SPACE}(?P<arabic>(?P<first>{_ARABIC})(?:(?P<chain>{_CHAIN})|(?:{_AND}(?:{_ARABIC}|{_ROMAN}))*)))"
    r"|(?![a-z]))",
    re.IGNORECASE,
)
_TYPE_BEFORE = re.compile(  # "type IV collagen", "I/III collagen"
    rf"(?:(?<![a-z\d])(?P<roman>{_ROMANS})|(?<![a-z])typ[es]{{0,2}}[\s_-]?(?P<arabic>\d{{1,2}}))"
    r"[\s_.-]{1,2}(?:types?[\s_-])?(?:anti[\s_-]?)?$",
    re.IGNORECASE,
)
_STAINS: tuple[tuple[Kind, str], ...] = (
    ("nuclei", r"nucle(?:us|i|ar)|nucs?|zellkerne?|kerne|noyaux?|dna|h2b|histones?"),
    ("other stain", r"laminin\w*|merosin|fibronectin|perlecan|vimentin|desmin|dystrophin|elastin|fibrillin|"
     r"decorin|biglycan|tubulin|f?[\s_-]?actin|phalloidin|wga|\w*collagen\w*"),
)  # fmt: skip
_ALL_STAINS = [(kind, re.compile(whole(pattern), re.IGNORECASE)) for kind, pattern in _STAINS]
_WAVELENGTH = re.compile(
    r"(?<![a-z])(?P<kind>ex|em)(?:citation|ission)?[\W_]{0,2}(?P<nm>\d{3})(?!\d)"
    r"|(?<!\d)(?P<line>355|364|405|488)(?!\d)|(?<!\d)(?P<peak>461|519)(?!\d)",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"(?<![a-z])(blue|green)(?![a-z])", re.IGNORECASE)


def read(name: str) -> Name:
    """Return a name taken apart."""
    text = unicodedata.normalize("NFKC", name[:MAX_CHARACTERS])
    words = Counter(word.casefold() for word in re.findall(r"[^\W_]+", text))
    said: Counter[Statement] = Counter()
    for find in (_collagens, _dyes, _stains, _wavelengths, _colours):
        # What was understood is taken out: the 488 of a dye's name is no laser line beside it.
        found = list(find(text))
        said.update(statement for statement, _ in found)
        for _, where in found:
            text = f"{text[: where.start]}{'|' * (where.stop - where.start)}{text[where.stop :]}"
    return Name(said, words, is_bare=_SAYS_NOTHING.fullmatch(text) is not None)


def says_nothing(name: Name) -> bool:
    """Return whether a name has no statement, and its words only call something a channel."""
    return not name.statements and _SAYS_NOTHING.fullmatch(" ".join(name.words)) is not None


def _collagens(text: str) -> Iterator[tuple[Statement, slice]]:
    for match in _COLLAGEN.finditer(text):
        types = _types(match)
        if not types and (before := _TYPE_BEFORE.search(text, max(0, match.start() - 40), match.start())):
            types = _types(before)
        if not types and not match["word"]:
            continue  # "col" alone is a column as well
        if types and types != {6}:
            kind: Kind = "other collagen"
        elif types:
            kind = "collagen VI"
        else:
            kind = "other collagen" if match["pro"] else "collagen"
        yield Statement(kind), slice(*match.span())


def _types(match: re.Match[str]) -> set[int]:
    """Return the types of collagen that were matched."""
    named = match.groupdict()
    listed = named.get("first") if named.get("chain") else named["roman"] or named["arabic"]
    found = re.findall(r"\d+|[ivx]+", (listed or "").lower())
    return {int(word) if word.isdigit() else TYPES[word] for word in found}


def _dyes(text: str) -> Iterator[tuple[Statement, slice]]:
    for dye, where in dyes_in(text):
        yield Statement("dye", dye.name), where


def _stains(text: str) -> Iterator[tuple[Statement, slice]]:
    for kind, pattern in _ALL_STAINS:
        for match in pattern.finditer(text):
            yield Statement(kind), slice(*match.span())


def _wavelengths(text: str) -> Iterator[tuple[Statement, slice]]:
    for match in _WAVELENGTH.finditer(text):
        if match["line"] or (match["kind"] or "").lower() == "ex":
            yield Statement("excitation", match["line"] or match["nm"]), slice(*match.span())
        else:
            yield Statement("emission", match["peak"] or match["nm"]), slice(*match.span())


def _colours(text: str) -> Iterator[tuple[Statement, slice]]:
    for match in _COLOUR.finditer(text):
        yield Statement("colour", match[1].lower()), slice(*match.span())
