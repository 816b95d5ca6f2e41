"""The bundle on disk: a folder `NAME.colvi/` that is opened only if every byte is the one exported.

A bundle is a BioImage.IO model package (spec 0.5): `bioimageio.yaml` names the FP32 network and
its test tensors, `config.colvi_edge` holds what the model zoo has no words for, and
`SHA256SUMS` covers every other file. The sums detect corruption, not malice: whoever can
write the folder can write new sums.
"""

import hashlib
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from colvi_edge.diagnosis import BANDS
from colvi_edge.errors import BundleError
from colvi_edge.patches import Normalisation, NormalisationKind

MANIFEST = "bioimageio.yaml"
SUMS = "SHA256SUMS"
DEMO = "demo"
"""The word that stands for the shipped bundle wherever a bundle is asked for."""

Precision = Literal["fp32", "fp16", "int8-trt", "int8-cpu"]
ChannelSlot = Literal["collagen", "nuclei", "empty"]

_MAX_FILE_BYTES = 2**28
_SUMS_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)\n")


class Part(BaseModel):
    """A part of `config.colvi_edge`: closed and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NormalisationConfig(Part):
    """Kind and parameters of the normalisation; `patches` holds the formulas."""

    kind: NormalisationKind = "patch"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    divisor: float = 0.0
    dtype: str = ""

    @model_validator(mode="after")
    def _parameters_fit_the_kind(self) -> "NormalisationConfig":
        self.build()
        return self

    def build(self) -> Normalisation:
        """Return the normalisation that `patches` and the engines take."""
        return Normalisation(self.kind, self.mean, self.std, self.divisor, self.dtype)


class Expected(Part):
    """What the training images were like; other images are flagged, never changed."""

    pixel_size_um: float | None = Field(default=None, gt=0)
    planes: int | None = Field(default=None, ge=1)
    patches_at_least: int = Field(
        default=16, ge=1, description="A majority of fewer is that of a corner of the culture; in schema 2."
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
    """Between what a measure of an image of the assay lies, in the measure's own unit."""

    low: float = Field(allow_inf_nan=False)
    typical: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> "FamiliarityLimits":
        if not self.low <= self.typical <= self.high:
            raise ValueError(
                f"expected low <= typical <= high, found {self.low}, {self.typical}, {self.high}"
            )
        return self


class Familiarity(Part):
    """What the training images measured, and how far from it an image may be; see `quality.familiarity`."""

    images: int = Field(ge=4, description="Those with collagen outside the cells; fewer give wider limits.")
    pixels: int = Field(ge=1, description="Of a typical one; in smaller images the limits are wider.")
    coverage: float = Field(
        gt=0, lt=1, description="Share of images of the assay within the tolerance limits"
    )
    confidence: float = Field(gt=0, lt=1, description="that is met with this probability (normal tail).")
    stretched: float = Field(
        ge=1, description="How much wider the limits are than those, for other days and other cultures;"
    )
    structure_stretched: float = Field(ge=1, description="the same of collagen_structure.")
    rejected_left_out: int = Field(
        ge=0, description="Training images that limits made without them would reject (cross-validation)."
    )
    limits: dict[MeasureName, FamiliarityLimits]
    references: str = Field(
        description="(M, 10) float32, .npy: the collagen's structure in the training images, and after them "
        "in what the disease could have made of some of them."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Familiarity":
        if missing := sorted(set(get_args(MeasureName)) - set(self.limits)):
            raise ValueError(f"limits lack {', '.join(missing)}")
        return self


class Parity(Part):
    """How far one precision on one runtime was from torch in FP32, on images of the export."""

    runtime: str
    version: str
    images: int = Field(ge=1)
    patches: int = Field(ge=1)
    broken: int = Field(default=0, ge=0, description="Patches whose outputs are no probabilities.")
    agreement: float = Field(ge=0, le=1, description="Share of patches with the same vote.")
    band_flips: float = Field(ge=0, le=1, description="Share of patches with another band.")
    diagnosis_flips: int = Field(ge=0)
    largest_dp: float
    p99_dp: float
    largest_dscore: float
    faults: tuple[str, ...] = Field(description="What was beyond tolerance; empty for a pass.")


class PrecisionFile(Part):
    """One form of the network: (N, C, P, P) normalised in, (N, 2) float32 probabilities out.

    The input is float32, but for fp16, whose input is float16.
    """

    file: str
    purpose: str
    parity: tuple[Parity, ...] = ()

    def passed(self, runtime: str) -> bool:
        """Return whether the export measured this precision on a runtime and found no fault."""
        return any(not row.faults for row in self.parity if row.runtime == runtime)


class KernelFile(Part):
    """The CUDA kernels of the bundle, compiled for one kind of GPU."""

    file: str = Field(
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

    patches: str = Field(description="(N, C, P, P) raw counts, .npy.")
    probabilities: str = Field(description="(N, 2) float32, .npy.")


class Evaluation(Part):
    """How the network did on images that its training never saw."""

    dataset: str
    images: int = Field(gt=0)
    image_accuracy: float = Field(ge=0, le=1)
    patch_accuracy: float = Field(ge=0, le=1)
    confusion: tuple[tuple[int, int], tuple[int, int]] = Field(
        description="Patches, [true class][class voted], classes in the order control, patient."
    )
    expected_calibration_error: float = Field(ge=0, le=1)


class Config(Part):
    """`config.colvi_edge` of the manifest."""

    schema_version: Literal[1, 2] = 2
    patch_px: int = Field(ge=8, le=1024)
    channels: tuple[ChannelSlot, ...] = Field(min_length=1, max_length=8)
    classes: tuple[Literal["control"], Literal["patient"]] = ("control", "patient")
    normalisation: NormalisationConfig
    decision: Literal["majority of the larger outputs"] = "majority of the larger outputs"
    bands: dict[str, float] = Field(default_factory=lambda: {band.name: band.at_least for band in BANDS})
    expected: Expected = Expected()
    familiarity: Familiarity | None = Field(default=None, description="In schema 2.")
    precisions: dict[Precision, PrecisionFile]
    kernels: tuple[KernelFile, ...] = Field(default=(), description="One a target; none without NVRTC.")
    verification: Verification | None = None
    evaluation: Evaluation | None = None
    seen: tuple[str, ...] = Field(
        default=(), description="Hash of each picture that the network learnt from: none may evaluate it."
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


class _Manifest(BaseModel):
    """What is read of `bioimageio.yaml`; the rest is the zoo's."""

    type: Literal["model"]
    name: str = Field(min_length=1, max_length=200)
    version: str = Field(min_length=1, max_length=50)
    config: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: verified when it was opened, and again wherever a file of it is read.

    Attributes:
        path: the folder.
        name, version: from the manifest, for people.
        sha256: hash of SHA256SUMS, hence of everything.
        config: what colvi-edge needs to know.
    """

    path: Path
    name: str
    version: str
    sha256: str
    config: Config
    _sums: Mapping[str, str]

    def network(self, precision: Precision) -> bytes:
        """Return the ONNX file of a precision that `config.precisions` holds."""
        return self.read(self.config.precisions[precision].file)

    def kernel(self, kernel: KernelFile) -> bytes:
        """Return what `cuModuleLoadData` takes of one of `config.kernels`."""
        import lzma  # a Python that was built without liblzma can still run networks on a CPU

        return lzma.decompress(self.read(kernel.file))

    def read(self, name: str) -> bytes:
        """Return a file of the bundle.

        Raises:
            BundleError: the file is not the one that was exported.
        """
        return _read_verified(self.path, name, self._sums[name])


def open_bundle(where: str | Path) -> Bundle:
    """Open and verify a bundle.

    Args:
        where: its folder, or the word "demo" for the synthetic demo model that is shipped.

    Raises:
        BundleError: it is no bundle, or a file is missing, changed or not listed.
    """
    path = demo_path() if str(where) == DEMO else Path(where)
    if not path.is_dir():
        raise BundleError(f"{path} is not a folder; give a bundle NAME.colvi/ or the word '{DEMO}'")
    sums, sha256 = _read_sums(path)
    _refuse_strays(path, sums)
    contents = {name: _read_verified(path, name, expected) for name, expected in sums.items()}
    manifest, config = _parse_manifest(path, contents[MANIFEST])
    named = [kernel.file for kernel in config.kernels]
    named += [precision.file for precision in config.precisions.values()]
    if config.familiarity:
        named.append(config.familiarity.references)
    if config.verification:
        named += [config.verification.patches, config.verification.probabilities]
    missing = sorted(set(named) - set(sums))
    if missing:
        raise BundleError(
            f"{path}: {MANIFEST} names {missing[0]}, which is not there; export the bundle again"
        )
    return Bundle(path, manifest.name, manifest.version, sha256, config, sums)


def demo_path() -> Path:
    """Return the folder of the shipped bundle."""
    return Path(str(files("colvi_edge"))) / "demo.colvi"


def _read_sums(path: Path) -> tuple[dict[str, str], str]:
    try:
        data = _read_bounded(path / SUMS)
        text = data.decode("ascii")
    except FileNotFoundError:
        raise BundleError(f"{path} holds no {SUMS}, so it is not a bundle; export the model again") from None
    except UnicodeDecodeError:
        text = ""
    lines = [_SUMS_LINE.fullmatch(line) for line in text.splitlines(keepends=True)]
    sums = {line["name"]: line["sha256"] for line in lines if line}
    if not sums or len(sums) != len(lines) or MANIFEST not in sums:
        raise BundleError(f"{path / SUMS} is damaged; copy or export the bundle again")
    return sums, hashlib.sha256(data).hexdigest()


def _refuse_strays(path: Path, sums: Mapping[str, str]) -> None:
    strays = sorted(entry.name for entry in path.iterdir() if entry.name not in (*sums, SUMS))
    if strays:
        raise BundleError(f"{path / strays[0]} is not listed in {SUMS}; remove it or export the bundle again")


def _read_verified(path: Path, name: str, expected: str) -> bytes:
    try:
        data = _read_bounded(path / name)
    except FileNotFoundError:
        raise BundleError(f"{path / name} is missing; copy or export the bundle again") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise BundleError(f"{path / name} was changed since the export; copy or export the bundle again")
    return data


def _read_bounded(file: Path) -> bytes:
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_FILE_BYTES:
        raise BundleError(f"{file} is not a plain file of at most {_MAX_FILE_BYTES >> 20} MiB; export again")
    return file.read_bytes()


def _parse_manifest(path: Path, data: bytes) -> tuple[_Manifest, Config]:
    try:
        manifest = _Manifest.model_validate(yaml.safe_load(data))
        return manifest, Config.model_validate(manifest.config.get("colvi_edge"))
    except yaml.YAMLError as error:
        raise BundleError(f"{path / MANIFEST} is no YAML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'top'}: {e['msg']}" for e in error.errors())
        raise BundleError(f"{path / MANIFEST} is not a manifest of this version: {faults}") from error
