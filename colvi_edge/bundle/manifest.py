"""The manifest of a bundle, as far as colvi-edge reads it: `config.colvi_edge`, one closed model.

A manifest may come from anyone, so that every number and text has a bound, far beyond what an export
writes; and a text is printed and stored wherever the bundle is named, so that it is without control
characters.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from colvi_edge.bands import BANDS
from colvi_edge.bundle import plain_yaml
from colvi_edge.bundle.expected import Expected, Familiarity
from colvi_edge.bundle.input import Channel, Input
from colvi_edge.bundle.parity import Parity, SegmentParity
from colvi_edge.bundle.parts import MOST, Count, Counted, FileName, Part, Text
from colvi_edge.bundle.plain_yaml import YamlError
from colvi_edge.bundle.task import MOST_CLASSES, AtLeast, Classify, Majority, TaskPart
from colvi_edge.bundle.window import Windows
from colvi_edge.patches import (
    LARGEST_PATCH_PX,
    MOST_CHANNELS,
    OF_IMAGES,
    OF_PATCHES,
    SMALLEST_PATCH_PX,
    Normalisation,
)
from colvi_edge.printable import printable_name

MOST_BYTES = 2**20
"""Of the manifest. The demo's has 13 kB; each picture that a network learnt from adds 21 bytes."""

ChannelSlot = Literal["collagen", "nuclei", "empty"]
Precision = Literal["fp32", "fp16", "int8-trt", "int8-cpu"]


class PrecisionFile(Part):
    """One form of the network: (N, C, h, w) normalised in, (N, K) or (N, K, h, w) float32 probabilities out.

    The input is float32, but for fp16, whose input is float16.
    """

    file: FileName
    purpose: Text
    parity: tuple[Parity | SegmentParity, ...] = Field(default=(), max_length=100)

    def passed(self, runtime: str) -> bool:
        """Return whether the export measured this precision on a runtime and found no fault."""
        return any(not row.faults for row in self.parity if row.runtime == runtime)

    def failed_on(self, runtime: str) -> list[str]:
        """Return the runtimes on which the export measured a fault that concerns this one.

        Only its own, if it was measured; of one that was not, such as TensorRT, all that were.
        """
        rows = [row for row in self.parity if row.runtime == runtime] or self.parity
        return [row.runtime for row in rows if row.faults]


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
    probabilities: FileName = Field(description="(N, K) float32, .npy.")


class VerificationRegion(Part):
    """A raw region and what the FP32 network in torch said of it, to try engines with."""

    region: FileName = Field(description="(Z, C, H, W) raw counts, .npy.")
    field: FileName = Field(description="(rows, cols, K) float32 or float16, .npy.")


class Evaluation(Part):
    """How the network did on images that its training never saw."""

    dataset: Text
    images: Count
    image_accuracy: float = Field(ge=0, le=1)
    patch_accuracy: float = Field(
        ge=0, le=1, description="Of what votes: patches, or whole images, or slices."
    )
    confusion: tuple[tuple[Counted, ...], ...] = Field(
        min_length=2,
        max_length=MOST_CLASSES,
        description="Of what votes, [true class][class voted], in the order of the network's outputs.",
    )
    expected_calibration_error: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _is_square(self) -> "Evaluation":
        if {len(row) for row in self.confusion} != {len(self.confusion)}:
            raise ValueError("confusion needs as many rows as columns, one for each class")
        return self


class _Common(Part):
    """What both forms of `config.colvi_edge` hold."""

    schema_version: Literal[1, 2] = 2
    expected: Expected = Expected()
    familiarity: Familiarity | None = Field(default=None, description="In schema 2.")
    precisions: dict[Precision, PrecisionFile]
    kernels: tuple[KernelFile, ...] = Field(
        default=(), max_length=100, description="One a target; none without NVRTC."
    )
    evaluation: Evaluation | None = None
    seen: tuple[Text, ...] = Field(
        default=(),
        max_length=MOST,
        description="Hash of each picture that the network learnt from: none may evaluate it.",
    )

    @field_validator("precisions")
    @classmethod
    def _has_a_reference(cls, precisions: dict[Precision, PrecisionFile]) -> dict[Precision, PrecisionFile]:
        if "fp32" not in precisions:
            raise ValueError("precisions must hold fp32, which every other one is measured against")
        return precisions


class FlatConfig(_Common):
    """`config.colvi_edge` as it was written before there were tasks: patches of control and patient."""

    patch_px: int = Field(ge=SMALLEST_PATCH_PX, le=LARGEST_PATCH_PX)
    channels: tuple[ChannelSlot, ...] = Field(min_length=1, max_length=MOST_CHANNELS)
    classes: tuple[Literal["control"], Literal["patient"]] = ("control", "patient")
    normalisation: Normalisation
    decision: Literal["majority of the larger outputs"] = "majority of the larger outputs"
    bands: dict[str, float] = Field(default_factory=lambda: {band.name: band.at_least for band in BANDS})
    verification: Verification | None = None

    @model_validator(mode="after")
    def _keys_of_the_schema(self) -> "FlatConfig":
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
    def _channels_and_normalisation_fit(self) -> "FlatConfig":
        if self.channels.count("collagen") != 1 or self.channels.count("nuclei") != 1:
            raise ValueError("channels must name collagen and nuclei once each")
        if self.normalisation.mean and len(self.normalisation.mean) != len(self.channels):
            raise ValueError("normalisation 'fixed' needs one mean and std per channel")
        return self

    def with_task(self) -> "Config":
        """Return the same as it is written today."""
        same = {*_Common.model_fields, "verification"} - {"schema_version"}
        common = {name: getattr(self, name) for name in same}
        return Config(
            **common,
            input=Input(
                channels=tuple(Channel(role=role) for role in self.channels), normalisation=self.normalisation
            ),
            windows=Windows(px=self.patch_px, cell_px=self.patch_px),
            task=Classify(
                kind="classify",
                classes=self.classes,
                decision=Majority(rule="majority"),
                bands=self.bands,
            ),
            quality="fibroblast",
        )


class Config(_Common):
    """`config.colvi_edge` of the manifest."""

    input: Input
    windows: Windows
    task: TaskPart
    quality: Literal["fibroblast", "general"] = Field(
        description="By which rules an image may be judged: those of cultured fibroblasts, or any image's."
    )
    verification: Verification | VerificationRegion | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The role of each channel of the network's input."""
        return tuple(channel.role for channel in self.input.channels)

    @property
    def normalisation(self) -> Normalisation:
        """How the network's input is normalised."""
        return self.input.normalisation

    @property
    def patch_px(self) -> int:
        """Edge of the patches.

        Raises:
            ValueError: the network sees no patches.
        """
        if self.windows.cell_px is None:
            raise ValueError("the network sees no patches")
        return self.windows.cell_px

    @property
    def has_patches(self) -> bool:
        """Whether the network gives one answer for each patch."""
        return self.windows.cell_px is not None

    @property
    def is_dense(self) -> bool:
        """Whether the network gives an answer for each pixel."""
        return self.task.kind == "segment"

    @model_validator(mode="after")
    def _parts_fit(self) -> "Config":
        if self.schema_version == 1:
            raise ValueError("schema 1 has no task; it came with schema 2")
        whole = self.windows.px == "whole"
        if self.is_dense:
            if self.has_patches or self.input.resize_px:
                raise ValueError("a segmentation answers for each pixel: it has neither cells nor a size")
            if self.normalisation.kind in OF_PATCHES:
                raise ValueError(
                    f"normalisation {self.normalisation.kind!r} is that of a patch; a segmentation takes "
                    "image, image-range, fixed or scale"
                )
        elif self.has_patches and self.normalisation.kind in OF_IMAGES:
            raise ValueError(
                f"normalisation {self.normalisation.kind!r} is that of an image; patches take patch, "
                "patch-channel, fixed or scale"
            )
        elif self.has_patches and self.input.resize_px:
            raise ValueError("patches are cut from the image as it is; resize_px is the size of a whole one")
        elif self.has_patches and self.input.planes == "each":
            raise ValueError("planes are classified one by one as whole images; patches are of their sum")
        elif not self.has_patches and not whole:
            raise ValueError("a classification is of patches (windows.cell_px) or of the whole image")
        elif whole and isinstance(self.task, Classify) and self.task.bands:
            raise ValueError("bands are the colours of patches of control and patient, by majority")
        elif whole and not self.input.resize_px:
            raise ValueError("the classification of a whole image needs the size that it is brought to")
        if isinstance(self.task, Classify) and isinstance(self.task.decision, AtLeast) and not whole:
            raise ValueError("the rule threshold decides on whole images; patches take majority or share")
        if self.verification is not None and isinstance(self.verification, Verification) != self.has_patches:
            raise ValueError("verification is by patches where the network sees patches, else by a region")
        if self.evaluation and self.is_dense:
            raise ValueError("evaluation counts votes, and a segmentation has none")
        if self.evaluation and len(self.evaluation.confusion) != len(self.task.classes):
            raise ValueError("evaluation.confusion needs a row for each class of the task")
        if self.familiarity and self.quality != "fibroblast":
            raise ValueError("familiarity is measured on fibroblasts")
        if self.quality == "fibroblast" and not {"collagen", "nuclei"} <= set(self.channels):
            raise ValueError("the quality of fibroblasts is judged on collagen and nuclei")
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
        config = manifest.config.get("colvi_edge")
        if isinstance(config, dict) and "task" in config:
            return manifest, Config.model_validate(config)
        return manifest, FlatConfig.model_validate(config).with_task()
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
