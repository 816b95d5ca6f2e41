"""The anchor of a heading, the same on the site as where a checkout is shown."""

import re

_LEFT_OUT = re.compile(r"[^\w\- ]")


def slug(heading: str, separator: str = "-") -> str:
    """Return the anchor of a heading's text, as GitHub makes it.

    Args:
        heading: the text without its marks.
        separator: what a space becomes.
    """
    return _LEFT_OUT.sub("", heading.strip().lower()).replace(" ", separator)
