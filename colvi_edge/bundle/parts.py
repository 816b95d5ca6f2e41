"""What the parts of a manifest are made of: closed and immutable, every number and text bounded."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from colvi_edge.printable import printable_name

MOST = 10**9


def _without_control(text: str) -> str:
    """Return a text that is fit to be printed; raise ValueError for another."""
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text):
        raise ValueError(f"found control characters in '{printable_name(text)}'")
    return text


Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_without_control)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
Count = Annotated[int, Field(ge=1, le=MOST)]
Counted = Annotated[int, Field(ge=0, le=MOST)]
Measured = Annotated[float, Field(ge=-1e6, le=1e6)]
Probability = Annotated[float, Field(ge=0, le=1)]
PixelSize = Annotated[float, Field(gt=0, le=1000)]
"""Edge of a pixel, micrometres."""
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
"""What a channel shows, such as nuclei; "empty" is a channel of zeros, and "other" none that is asked for."""


class Part(BaseModel):
    """A part of `config.colvi_edge`: closed and immutable, without infinite numbers and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
