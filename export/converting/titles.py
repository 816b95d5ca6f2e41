"""The name of a bundle, as the model zoo takes it. Apart, so that it is checked before anything is loaded."""

import re

from colvi_edge.errors import UsageError

TITLE = re.compile(r"[A-Za-z0-9_+() -]{5,128}")


def refuse_title(name: str | None) -> None:
    """Refuse a name that the model zoo does not take."""
    if name is not None and not TITLE.fullmatch(name):
        raise UsageError(
            f"--name {name}: expected 5 to 128 ASCII letters (a to z, no accents), digits, spaces and any of "
            "_ + - ( )"
        )
