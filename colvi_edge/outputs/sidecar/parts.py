"""What a record says beside the result: the image, what judged it, and what was found about it."""

from typing import Literal

from pydantic import Field

from colvi_edge.outputs.sidecar.values import (
    MAX_WORD,
    Count,
    FileName,
    Label,
    Number,
    Sha256,
    SidecarPart,
    Text,
    Word,
)


class QualityFlag(SidecarPart):
    """One finding about the image itself."""

    name: Word
    severity: Literal["warn", "reject"]
    value: Number | None = Field(default=None, description="What was measured; absent when unknown.")
    limit: Number | None = Field(default=None, description="What it was compared with.")
    words: Text = Field(description="The finding as a sentence.")


class FamiliarityMeasure(SidecarPart):
    """One number by which the image was compared with those that the network learnt from."""

    name: Word
    value: Number
    low: Number = Field(description="What lies below is unfamiliar, and rejected;")
    typical: Number = Field(description="of the training images;")
    high: Number = Field(description="what lies above is, too. For an image of this size.")


class OutputFile(SidecarPart):
    """A file written together with this sidecar, in the same folder."""

    name: FileName
    sha256: Sha256


class Image(SidecarPart):
    """The raw image. No free text of the file is copied: it may hold names of patients."""

    name: Label = Field(description="File name without folders.")
    key: Label = Field(default="", description="Which image of a file that holds several; else empty.")
    bytes: Count | None = None
    sha256: Sha256 | None = Field(default=None, description="Of the raw file; absent if it was unreadable.")
    axes: Word | None = Field(default=None, description="Axes as stored, e.g. ZCYX.")
    shape: list[Count] | None = Field(default=None, max_length=MAX_WORD, description="Lengths of `axes`.")
    dtype: Word | None = None
    planes: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Planes summed (Z).")
    pixel_size_um: Number | None = Field(
        default=None, gt=0, le=1e6, description="Absent when neither the file nor the operator says it."
    )
    channels: list[Word] | None = Field(
        default=None, max_length=2**16, description="Role of each channel, in file order."
    )
    mtime_ns: int | None = Field(
        default=None,
        ge=-(2**63),
        le=2**63 - 1,
        description="When the raw file was last changed, ns since 1970; since sidecar 2.",
    )


def size_px(image: Image) -> tuple[int, int]:
    """Return the rows and columns of an image.

    Raises:
        ValueError: the record does not say them.
    """
    if image.axes is None or image.shape is None or not {"Y", "X"} <= set(image.axes[: len(image.shape)]):
        raise ValueError(f"the sidecar of {image.name} states no axes and shape")
    return image.shape[image.axes.index("Y")], image.shape[image.axes.index("X")]


class Model(SidecarPart):
    """The bundle that judged."""

    name: Text
    version: Text
    sha256: Sha256 = Field(description="Of the bundle's SHA256SUMS, which covers every file of it.")

    @property
    def label(self) -> str:
        """Name and version, as people are told of it."""
        return f"{self.name} {self.version}"


class EngineRecord(SidecarPart):
    """What ran the model."""

    runtime: Text
    version: Text
    precision: Text
    device: Text
    reason: Text = Field(description="Why this engine and precision were taken.")


class Software(SidecarPart):
    """What wrote this file."""

    name: Literal["colvi-edge"] = "colvi-edge"
    version: Word

    @property
    def label(self) -> str:
        """Name and version, as people are told of it."""
        return f"{self.name} {self.version}"
