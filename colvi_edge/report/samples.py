"""Which sample an image shows, and of which day: read from its name.

Nothing else tells it: a file's own date is when it was copied, a result's when it was judged.
"""

from datetime import date
from typing import NamedTuple

import regex

from colvi_edge.errors import UsageError
from colvi_edge.printable import printable_name

DEFAULT_PATTERN = r"\A(?P<sample>.+?)(?<!\d)(?P<date>(?:19|20)\d\d(?P<dash>-?)\d\d(?P=dash)\d\d)(?!\d)"
"""Whatever stands before 2026-11-20 or 20261120."""

EXAMPLE = "P03_2026-11-20_2.tif"
"""A name that this is found in, to be shown to people, who read no such pattern."""

LIMIT_S = 0.5  # for one name: a sane pattern takes some microseconds
_DATE = regex.compile(r"(\d{4})[-_. ]?(\d\d)[-_. ]?(\d\d)")


class Visit(NamedTuple):
    """A sample on a day."""

    sample: str
    day: date


class NamePattern:
    """A regular expression that finds sample and date in the names of images.

    Attributes:
        text: of it.
        example: a name that it understands; None if that is not known, of one that somebody gave.
    """

    def __init__(self, pattern: str | None = None) -> None:
        """Compile a pattern.

        Args:
            pattern: with the named groups `sample` and `date`; None takes the default.

        Raises:
            UsageError: it is no regular expression, or lacks a group.
        """
        self.text = pattern or DEFAULT_PATTERN
        self.example = None if pattern else EXAMPLE
        try:
            self._pattern = regex.compile(self.text)
        except (regex.error, OverflowError, RecursionError) as error:
            raise UsageError(
                f"--sample {printable_name(self.text)}: no regular expression: {error}; {_EXPECTED}"
            ) from error
        missing = {"sample", "date"} - set(self._pattern.groupindex)
        if missing:
            names = " and ".join(sorted(missing))
            raise UsageError(
                f"--sample {printable_name(self.text)}: found no group named {names}; {_EXPECTED}"
            )

    def visit(self, folder: str, name: str) -> Visit | None:
        """Return what a name tells; None if it is not both.

        A pattern with a slash in it is searched for in the path, any other in the name alone.

        Args:
            folder: of the image, relative to the one reported on; "" is that itself.
            name: of the image.

        Raises:
            UsageError: the pattern did not come to an end on this name.
        """
        where = f"{folder}/{name}" if "/" in self.text else name
        try:
            found = self._pattern.search(where, timeout=LIMIT_S)
        except TimeoutError as error:  # (a+)+$ takes 2^40 steps for 40 letters; the name may be a patient's
            raise UsageError(
                f"--sample {printable_name(self.text)} does not come to an end on a name of {len(where)} "
                "characters; avoid repeats within repeats, such as (a+)+"
            ) from error
        if not found:
            return None
        sample, day = (found["sample"] or "").strip(" _.-"), _day(found["date"] or "")
        return Visit(sample, day) if sample and day else None


_EXPECTED = (
    r"expected the groups sample and date, such as '(?P<sample>[^_]+)_(?P<date>\d{8})', "
    "with dates as 20261120 or 2026-11-20"
)


def _day(text: str) -> date | None:
    found = _DATE.fullmatch(text.strip())
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:  # the 31st of February
        return None
