"""What a checkpoint file of ours says, as one validated model: nothing in it is taken unread or ignored.

There are two forms. That of the networks of the paper and its code says channels, classes, normalisation
and patch_px; any other says input, windows and task, in the words of a bundle's manifest, and with which
parameters its network is built.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import Tensor, int64, strided

from colvi_edge.bundle.arrays import STRUCTURE
from colvi_edge.bundle.expected import Familiarity
from colvi_edge.bundle.input import Input
from colvi_edge.bundle.manifest import ChannelSlot, Evaluation
from colvi_edge.bundle.parts import PixelSize
from colvi_edge.bundle.task import TaskPart
from colvi_edge.bundle.window import Windows
from colvi_edge.errors import UsageError
from colvi_edge.export.networks.known import shapes_of
from colvi_edge.export.networks.patch_cnn import PATCH_PX, Activation
from colvi_edge.patches import Normalisation
from colvi_edge.printable import printable_name
from colvi_edge.tasks.classify import CLASSES

_OTHER_ORDER = (
    "; a network of that order is exported from its state_dict alone, with --classes patient,control"
)

Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]
Words = Annotated[str, Field(max_length=1000)]


class _Part(BaseModel):
    """A part of the file: closed, so that no word of it goes unread."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class FamiliarityContent(_Part):
    """What the training images measured, as `familiarity.Fitted.as_plain` writes it."""

    limits: Familiarity
    references: list[Annotated[list[Number], Field(min_length=STRUCTURE, max_length=STRUCTURE)]] = Field(
        min_length=1, max_length=100_000
    )


class TrainingContent(_Part):
    """Where a network comes from; each part may be missing, none is of another kind.

    Attributes:
        identity: hash of all that the training depended on.
        settings: of the training.
        images: that it learnt from.
        epochs: losses and accuracies of each.
        data: what kind of images, in words.
        split: images of training, validation and test.
        seen: hash of each picture that it learnt from.
        pixel_size_um: of these.
        test: how it did on images that it had not seen.
        familiarity: what the images measured.
    """

    identity: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    settings: dict[Words, float | int | bool] = Field(default={}, max_length=100)
    images: Count = 0
    epochs: list[Annotated[dict[Words, float | int], Field(max_length=100)]] = Field(
        default=[], max_length=100_000
    )
    data: Words = ""
    split: dict[Words, Count] = Field(default={}, max_length=100)
    seen: list[Annotated[str, Field(pattern="^[0-9a-f]{16}$")]] = Field(default=[], max_length=1_000_000)
    pixel_size_um: PixelSize | None = None
    test: Evaluation | None = None
    familiarity: FamiliarityContent | None = None


class CheckpointContent(_Part):
    """The whole file; see `checkpoint.save_checkpoint`."""

    network: Literal["paper", "published"]
    channels: list[ChannelSlot] = Field(min_length=2, max_length=8)
    classes: list[Literal["control", "patient"]]
    activation: Activation
    temperature: Annotated[Number, Field(ge=1e-3, le=1e3)]
    normalisation: Normalisation
    patch_px: Annotated[int, Field(strict=True)]
    training: TrainingContent
    state_dict: dict[str, Tensor]

    @field_validator("classes")
    @classmethod
    def _in_our_order(cls, classes: list[str]) -> list[str]:
        if tuple(classes) != CLASSES:
            remedy = _OTHER_ORDER if tuple(classes) == CLASSES[::-1] else ""
            raise ValueError(f"found {', '.join(classes[:3])}, expected {', '.join(CLASSES)}{remedy}")
        return classes

    @field_validator("patch_px")
    @classmethod
    def _of_our_size(cls, patch_px: int) -> int:
        if patch_px != PATCH_PX:
            raise ValueError(f"found {_short(patch_px)}, expected {PATCH_PX}")
        return patch_px

    @model_validator(mode="after")
    def _fits_together(self) -> "CheckpointContent":
        channels = len(self.channels)
        if self.channels.count("collagen") != 1 or self.channels.count("nuclei") != 1:
            raise ValueError("channels must name collagen and nuclei once each, and otherwise empty")
        if self.normalisation.mean and len(self.normalisation.mean) != channels:
            raise ValueError(f"normalisation 'fixed' needs a mean and a std for each of {channels} channels")
        if self.activation == "none" and self.temperature != 1:
            raise ValueError("probabilities have no temperature; it must be 1 with activation none")
        if why := _unfit(self.state_dict, shapes_of(self.network, channels)):
            raise ValueError(why)
        return self


class TaskCheckpointContent(_Part):
    """The whole file of a network that is built in sizes, for any task; see `checkpoint.save_checkpoint`."""

    network: Literal["unet"]
    parameters: dict[Words, Annotated[int, Field(strict=True)] | Words] = Field(max_length=20)
    input: Input
    windows: Windows
    task: TaskPart
    activation: Activation
    temperature: Annotated[Number, Field(ge=1e-3, le=1e3)]
    training: TrainingContent
    state_dict: dict[str, Tensor]

    @model_validator(mode="after")
    def _fits_together(self) -> "TaskCheckpointContent":
        if self.task.kind != "segment":
            raise ValueError(f"the network {self.network} answers for each pixel, and the task is another")
        if self.activation == "none" and self.temperature != 1:
            raise ValueError("probabilities have no temperature; it must be 1 with activation none")
        classes, outputs = len(self.task.classes), self.parameters.get("outputs")
        if outputs != classes and (outputs, classes, self.activation) != (1, 2, "sigmoid"):
            raise ValueError(
                f"parameters.outputs: found {_short(outputs)}, expected {classes}, one a class, or of two "
                "classes 1 with activation sigmoid"
            )
        try:
            wanted = shapes_of(self.network, len(self.input.channels), self.parameters)
        except UsageError as error:
            raise ValueError(str(error)) from error
        if why := _unfit(self.state_dict, wanted):
            raise ValueError(why)
        return self


def parse(content: Any) -> CheckpointContent | TaskCheckpointContent:
    """Return what a file says, checked.

    Raises:
        ValueError: something in it cannot be used; the text names the first such place, in one line.
    """
    has_task = isinstance(content, dict) and "task" in content
    try:
        return (TaskCheckpointContent if has_task else CheckpointContent).model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(_short(part) for part in first["loc"]) or "state_dict"
        words = first["msg"].removeprefix("Value error, ")
        raise ValueError(printable_name(f"{place}: {words}"[:400])) from error


def _unfit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """Return why tensors are not the weights of a network; shapes are compared before any number is read."""
    if off := sorted({*found} ^ {*wanted}):
        return f"state_dict: {_short(off[0])} is {'not of that network' if off[0] in found else 'missing'}"
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            shapes = (" x ".join(map(str, one.shape)) for one in (tensor, wanted[name]))
            return "state_dict: {} is {}, expected {}".format(name, *shapes)
        floats = tensor.dtype.is_floating_point or tensor.dtype == wanted[name].dtype == int64
        if tensor.layout != strided or tensor.device.type != "cpu" or not floats:
            return f"state_dict: {name} holds {tensor.dtype}, expected plain floating-point numbers"
        if not tensor.float().isfinite().all():
            return f"state_dict: {name} holds NaN or infinity"
    return None


def _short(value: object) -> str:
    """Return a word or number from a file so that it fits into a sentence."""
    return str(value)[:60] if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
