"""The manifest of a bundle, as far as colvi-edge reads it: `config.colvi_edge`, one closed model.

A manifest may come from anyone, so that every number and text has a bound, far beyond what an export
writes; and a text is printed and stored wherever the bundle is named, so that it is without control
characters.
"""

import unicodedata
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from colvi_edge.bands import BANDS
from colvi_edge.bundle import plain_yaml
from colvi_edge.bundle.plain_yaml import YamlError
from colvi_edge.patches import LARGEST_PATCH_PX, MOST_CHANNELS, SMALLEST_PATCH_PX, Normalisation
from colvi_edge.printable import printable_name

MOST_BYTES = 2**20
"""Of the manifest. The demo's has 13 kB; each picture that a network learnt from adds 21 bytes."""

MOST = 10**9

Precision = Literal["fp32", "fp16", "int8-trt", "int8-cpu"]
ChannelSlot = Literal["collagen", "nuclei", "empty"]


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
PixelSize = Annotated[float, Field(gt=0, le=1000)]
"""Edge of a pixel, micrometres."""


class Part(BaseModel):
    """A part of `config.colvi_edge`: closed and immutable, without infinite numbers and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Expected(Part):
    """What the training images were like; other images are flagged, never changed."""

    pixel_size_um: PixelSize | None = None
    planes: Count | None = None
    patches_at_least: Count = Field(
        default=16, description="A majority of fewer is that of a corner of the culture; in schema 2."
    )


MeasureName = Literal[
    "nuclei_background",
    "nuclei_size",
    "nuclei_speckle",
    "straight_lines",
    "collagen_structure",
]
"""What images are compared by with those of the training; see `quality.familiarity`."""


class FamiliarityLimits(Part):
    """Between what a measure of an image of the assay lies, in the measure's own unit.

    The measures are positive; `low` of a wide spread is below what any image has.
    """

    low: Measured
    typical: Measured
    high: Measured

    @model_validator(mode="after")
    def _in_order(self) -> "FamiliarityLimits":
        if not self.low <= self.typical <= self.high:
            raise ValueError(
                f"expected low <= typical <= high, found {self.low}, {self.typical}, {self.high}"
            )
        return self


class Familiarity(Part):
    """What the training images measured, and how far from it an image may be; see `quality.familiarity`."""

    images: int = Field(
        ge=4, le=MOST, description="Those with collagen outside the cells; fewer give wider limits."
    )
    pixels: int = Field(
        ge=1, le=2**32, description="Of a typical one; in smaller images the limits are wider."
    )
    coverage: float = Field(
        gt=0, lt=1, description="Share of images of the assay within the tolerance limits"
    )
    confidence: float = Field(gt=0, lt=1, description="that is met with this probability (normal tail).")
    stretched: float = Field(
        ge=1,
        le=1000,
        description="How much wider the limits are than those, for other days and other cultures;",
    )
    structure_stretched: float = Field(ge=1, le=1000, description="the same of collagen_structure.")
    rejected_left_out: int = Field(
        ge=0,
        le=MOST,
        description="Training images that limits made without them would reject (cross-validation).",
    )
    limits: dict[MeasureName, FamiliarityLimits]
    references: FileName = Field(
        description="(M, 10) float32, .npy: the collagen's structure in the training images, and after them "
        "in what the disease could have made of some of them."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Familiarity":
        if missing := sorted(set(get_args(MeasureName)) - set(self.limits)):
            raise ValueError(f"limits lack {', '.join(missing)}")
        return self


class Comparison(Part):
    """How a network's probabilities differ from the reference's, over some images: |delta| of p and score."""

    patches: Count
    broken: int = Field(default=0, ge=0, le=MOST, description="Patches whose outputs are no probabilities.")
    agreement: float = Field(ge=0, le=1, description="Share of patches with the same vote.")
    band_flips: float = Field(ge=0, le=1, description="Share of patches with another band.")
    diagnosis_flips: int = Field(
        ge=0, le=MOST, description="Images with another diagnosis, the undecided ones aside."
    )
    largest_dp: float = Field(ge=0, le=1000, description="Over both classes.")
    p99_dp: float = Field(ge=0, le=1000)
    largest_dscore: float = Field(ge=0, le=1000, description="Over the images, points.")


class _Measured(Part):
    """What was compared."""

    runtime: Text
    version: Text
    images: Count


class Parity(Comparison, _Measured):
    """How far one precision on one runtime was from torch in FP32, on images of the export."""

    faults: tuple[Text, ...] = Field(
        max_length=100, description="What was beyond tolerance; empty for a pass."
    )


class PrecisionFile(Part):
    """One form of the network: (N, C, P, P) normalised in, (N, 2) float32 probabilities out.

    The input is float32, but for fp16, whose input is float16.
    """

    file: FileName
    purpose: Text
    parity: tuple[Parity, ...] = Field(default=(), max_length=100)

    def passed(self, runtime: str) -> bool:
        """Return whether the export measured this precision on a runtime and found no fault."""
        return any(not row.faults for row in self.parity if row.runtime == runtime)


class KernelFile(Part):
    """The CUDA kernels of the bundle, compiled for one kind of GPU."""

    file: FileName = Field(
        description="Compressed by xz: machine code repeats itself, and is there for every GPU."
    )
    target: str = Field(
        pattern=r"^(sm|compute)_[1-9][0-9]{1,2}$",
        description="In CUDA's words: sm_87 is machine code (a cubin) for compute capability 8.7, "
        "compute_75 PTX, which the driver of any GPU of 7.5 or more compiles for it.",
    )

    @property
    def is_ptx(self) -> bool:
        """Whether the driver has to compile it."""
        return self.target.startswith("compute_")

    @property
    def compute_capability(self) -> tuple[int, int]:
        """The one it was compiled for, such as (8, 7)."""
        return divmod(int(self.target.partition("_")[2]), 10)


class Verification(Part):
    """Raw patches and what the FP32 network in torch said of them, to try engines with."""

    patches: FileName = Field(description="(N, C, P, P) raw counts, .npy.")
    probabilities: FileName = Field(description="(N, 2) float32, .npy.")


class Evaluation(Part):
    """How the network did on images that its training never saw."""

    dataset: Text
    images: Count
    image_accuracy: float = Field(ge=0, le=1)
    patch_accuracy: float = Field(ge=0, le=1)
    confusion: tuple[tuple[Counted, Counted], tuple[Counted, Counted]] = Field(
        description="Patches, [true class][class voted], classes in the order control, patient."
    )
    expected_calibration_error: float = Field(ge=0, le=1)


class Config(Part):
    """`config.colvi_edge` of the manifest."""

    schema_version: Literal[1, 2] = 2
    patch_px: int = Field(ge=SMALLEST_PATCH_PX, le=LARGEST_PATCH_PX)
    channels: tuple[ChannelSlot, ...] = Field(min_length=1, max_length=MOST_CHANNELS)
    classes: tuple[Literal["control"], Literal["patient"]] = ("control", "patient")
    normalisation: Normalisation
    decision: Literal["majority of the larger outputs"] = "majority of the larger outputs"
    bands: dict[str, float] = Field(default_factory=lambda: {band.name: band.at_least for band in BANDS})
    expected: Expected = Expected()
    familiarity: Familiarity | None = Field(default=None, description="In schema 2.")
    precisions: dict[Precision, PrecisionFile]
    kernels: tuple[KernelFile, ...] = Field(
        default=(), max_length=100, description="One a target; none without NVRTC."
    )
    verification: Verification | None = None
    evaluation: Evaluation | None = None
    seen: tuple[Text, ...] = Field(
        default=(),
        max_length=MOST,
        description="Hash of each picture that the network learnt from: none may evaluate it.",
    )

    @model_validator(mode="after")
    def _keys_of_the_schema(self) -> "Config":
        later = [
            *(["familiarity"] if self.familiarity else []),
            *(["expected.patches_at_least"] if "patches_at_least" in self.expected.model_fields_set else []),
        ]
        if self.schema_version == 1 and later:
            raise ValueError(f"schema 1 has no {later[0]}; it came with schema 2")
        return self

    @field_validator("bands")
    @classmethod
    def _bands_of_the_paper(cls, bands: dict[str, float]) -> dict[str, float]:
        known = {band.name: band.at_least for band in BANDS}
        if bands != known:
            raise ValueError(f"found bands {bands}, this version draws {known}")
        return bands

    @model_validator(mode="after")
    def _channels_and_normalisation_fit(self) -> "Config":
        if self.channels.count("collagen") != 1 or self.channels.count("nuclei") != 1:
            raise ValueError("channels must name collagen and nuclei once each")
        if self.normalisation.mean and len(self.normalisation.mean) != len(self.channels):
            raise ValueError("normalisation 'fixed' needs one mean and std per channel")
        if "fp32" not in self.precisions:
            raise ValueError("precisions must hold fp32, which every other one is measured against")
        return self


class Manifest(BaseModel):
    """What is read of `bioimageio.yaml`; the rest is the zoo's."""

    type: Literal["model"]
    name: Text = Field(min_length=1, max_length=200)
    version: Text = Field(min_length=1, max_length=50)
    config: dict[str, Any]


def parse(data: bytes) -> tuple[Manifest, Config]:
    """Return what a manifest says.

    Raises:
        ValueError: it is none of this version; says why, in one line.
    """
    try:
        manifest = Manifest.model_validate(plain_yaml.load(data))
        return manifest, Config.model_validate(manifest.config.get("colvi_edge"))
    except YamlError as error:
        raise ValueError(f"is no YAML of a manifest: {error}") from error
    except ValidationError as error:
        raise ValueError(f"is not a manifest of this version: {_faults(error)}") from error


_MOST_FAULTS = 3
_MOST_OF_A_FAULT = 300


def _faults(error: ValidationError) -> str:
    """Return the first faults of a manifest; places and values are the file's words."""
    faults = [
        f"{printable_name('.'.join(map(str, fault['loc'])))[:100] or 'top'}: {printable_name(fault['msg'])}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    more = len(faults) - _MOST_FAULTS
    shown = "; ".join(fault[:_MOST_OF_A_FAULT] for fault in faults[:_MOST_FAULTS])
    return shown + (f"; and {more} more" if more > 0 else "")
