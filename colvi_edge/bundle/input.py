"""What a network is given: which channels, brought to which size, normalised how."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from colvi_edge.bundle.parts import Part, PixelSize, Role, Text
from colvi_edge.patches import LARGEST_PATCH_PX, MOST_CHANNELS, SMALLEST_PATCH_PX, Normalisation

Wavelength = Annotated[float, Field(ge=100, le=3000)]
"""In nanometres."""

Edge = Annotated[int, Field(ge=SMALLEST_PATCH_PX, le=LARGEST_PATCH_PX)]


class Channel(Part):
    """One channel of the network's input, and how a raw file's is known to be it."""

    role: Role = Field(description='What it shows; "empty" is a channel of zeros.')
    names: tuple[Text, ...] = Field(default=(), max_length=100, description="Names that a file gives it.")
    emission_nm: tuple[Wavelength, Wavelength] | None = Field(
        default=None, description="Between which wavelengths its stain glows brightest."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Channel":
        if self.role == "other":
            raise ValueError("a channel of the role 'other' is one that no network asks for")
        if self.emission_nm and self.emission_nm[0] > self.emission_nm[1]:
            raise ValueError("emission_nm goes from the shorter to the longer wavelength")
        return self


def _named(channel: Any) -> Any:
    return {"role": channel} if isinstance(channel, str) else channel


class Mask(Part):
    """Another bundle, whose regions are all that this one sees."""

    bundle: Text = Field(min_length=1, max_length=200, description="Its name.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of its SHA256SUMS.")


class Input(Part):
    """From the planes of an image to what the network is given."""

    channels: tuple[Annotated[Channel, BeforeValidator(_named)], ...] = Field(
        min_length=1, max_length=MOST_CHANNELS, description="In the network's order; a word is a role."
    )
    planes: Literal["sum", "each"] = Field(
        default="sum", description="Projected to one image, or judged one by one."
    )
    normalisation: Normalisation
    pixel_size_um: PixelSize | None = Field(
        default=None, description="Images of other pixels are brought to this size, where they say theirs."
    )
    resize_px: tuple[Edge, Edge] | None = Field(
        default=None, description="Rows and columns that a whole image is brought to."
    )
    mask: Mask | None = None

    @model_validator(mode="after")
    def _fit(self) -> "Input":
        roles = [channel.role for channel in self.channels if channel.role != "empty"]
        if not roles or len(set(roles)) < len(roles):
            raise ValueError("channels must name each role once, and at least one that is not empty")
        if self.normalisation.mean and len(self.normalisation.mean) != len(self.channels):
            raise ValueError("normalisation 'fixed' needs one mean and std per channel")
        if self.pixel_size_um and self.resize_px:
            raise ValueError("an image is brought to a pixel size or to a number of pixels, not to both")
        return self
