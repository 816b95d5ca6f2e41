"""Networks of others for any task: what is asked of them by options, for no file says it.

    classify patches      (N, C, P, P) -> (N, K)
    classify images       (N, C, h, w) -> (N, K), each image brought to h x w
    segment               (N, C, h, w) -> (N, K, h, w), h and w free

One output is p of the second of two classes, or its logit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError
from torch import nn

from colvi_edge.bundle.input import Channel, Input
from colvi_edge.bundle.task import TaskPart
from colvi_edge.bundle.window import LARGEST_WINDOW_PX, Windows
from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.networks.patch_cnn import PATCH_PX, Activation, OfTwo
from colvi_edge.patches import OF_PATCHES, Normalisation
from colvi_edge.printable import printable_name

from .checkpoint import Checkpoint
from .foreign.exported import read_exported
from .foreign.onnx.reading import read_onnx
from .foreign.torchscript import read_torchscript
from .kinds import Kind
from .questions import lacking_facts
from .trial import channel_counts, likely_outputs, outputs_of, try_out

WINDOW_PX = 512
"""Edge of the windows of a dense network, where nobody says it; a U-Net of depth 3 computes each pixel 1.5
times."""


@dataclass(frozen=True)
class Question:
    """What a network is asked.

    Attributes:
        kind: of the task.
        rule: of its decision; "" for the usual one: the largest output.
        threshold: of a rule that has one; None for one half.
        px: edge of patches, or of windows; None for the usual one.
        resize_px: height and width that whole images are brought to; None where patches are judged.
    """

    kind: Literal["classify", "segment"]
    rule: str = ""
    threshold: float | None = None
    px: int | Literal["whole"] | None = None
    resize_px: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.kind == "segment" and self.resize_px:
            raise UsageError("--resize is of images that are judged whole; a segmentation sees windows")
        if self.kind == "classify" and self.px == "whole":
            raise UsageError("--window whole of a classification needs the size of its input: --resize H,W")
        if self.threshold is not None and self.rule not in ("threshold", "share"):
            raise UsageError("--threshold belongs to --rule threshold or share")

    def task(self, classes: Sequence[str]) -> TaskPart:
        """Return the task in the words of a manifest.

        Raises:
            UsageError: it is none.
        """
        half = 0.5 if self.threshold is None else self.threshold
        decision: dict[str, Any] = {"rule": self.rule or ("majority", "largest")[self.kind == "segment"]}
        if self.rule == "threshold":
            decision |= {"of": classes[-1], "at_least": half}
        elif self.rule == "share":
            decision |= {"of": classes[0], "above": half}
        said = {"kind": self.kind, "classes": tuple(classes), "decision": decision}
        try:
            found: TaskPart = TypeAdapter[TaskPart](TaskPart).validate_python(said)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]["msg"]
            words = printable_name(first.removeprefix("Value error, "))[:300]
            raise UsageError(f"--task {self.kind} with --classes {','.join(classes)}: {words}") from error
        return found

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network is tried with."""
        px = self.px if self.kind == "classify" and isinstance(self.px, int) else PATCH_PX
        return self.resize_px or (px, px)

    @property
    def windows(self) -> Windows:
        """What the network sees at once, before its reach is known."""
        if self.kind == "segment":
            return Windows(px=self.px or WINDOW_PX)
        return Windows(px="whole") if self.resize_px else Windows(px=self.size[0], cell_px=self.size[0])


def parse_window(text: str | None) -> int | Literal["whole"] | None:
    """Return what --window names: an edge in pixels, or the word whole.

    Raises:
        UsageError: it is neither.
    """
    if text is None or text == "whole":
        return text  # type: ignore[return-value] # the word
    if text.isascii() and text.isdigit() and 8 <= int(text) <= LARGEST_WINDOW_PX:
        return int(text)
    raise UsageError(f"--window {text}: expected 8 to {LARGEST_WINDOW_PX} pixels, or whole")


def question_of(
    task: Literal["classify", "segment"] | None,
    rule: str | None,
    threshold: float | None,
    resize: str | None,
    window: str | None,
) -> Question | None:
    """Return what options ask of a network of others; None where they leave it at patches of the assay.

    Raises:
        UsageError: they do not go together, or --task is missing.
    """
    if task is None:
        if rule or threshold is not None or resize:
            raise UsageError("--rule, --threshold and --resize need --task classify or segment")
        return None
    sides = None
    if resize is not None:
        words = resize.split(",") * (2 if "," not in resize else 1)
        if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
            raise UsageError(f"--resize {resize}: expected rows and columns, such as 256,256")
        sides = int(words[0]), int(words[1])
    return Question(task, rule or "", threshold, parse_window(window), sides)


class _Found(NamedTuple):
    """A network, how many outputs it has, what these are if that is known, and how it was read."""

    network: nn.Module
    outputs: int
    activation: Activation | None
    told: str


def read_for_task(
    path: Path,
    kind: Kind,
    question: Question,
    channels: Sequence[str] | None,
    classes: Sequence[str] | None,
    activation: str | None,
    normalisation: Normalisation | None,
) -> Checkpoint:
    """Read a network of others; see `model_file.read_model`.

    Raises:
        UsageError: something must be said, all of it named at once; or it does not go together.
        ModelError: the network does not do what is asked.
    """
    found, counts = _found(path, kind, question, channels, classes)
    activation = activation or found.activation
    lacking: dict[str, str] = {}
    if channels is None:
        words = ("nuclei",) if counts[0] == 1 else ("nuclei", "collagen", *["empty"] * (counts[0] - 2))
        lacking["--channels"] = ",".join(words)
    if classes is None:
        first = "background" if question.kind == "segment" else "a"
        lacking["--classes"] = ",".join([first, *"bcdefgh"[: max(found.outputs, 2) - 1]])
    if activation is None:
        lacking["--outputs"] = likely_outputs(found.network, counts, question.size).value
    if lacking or channels is None or classes is None:
        raise lacking_facts(path, lacking, counts, normalisation_is_said=True)
    if found.outputs not in (len(classes), 1) or (found.outputs == 1 and len(classes) != 2):
        raise UsageError(
            f"--classes names {len(classes)} and the network has {found.outputs} outputs; name one a class, "
            "or two for one output, the second of which it is"
        )
    network = found.network
    if found.outputs == 1:
        if activation == "softmax":
            raise UsageError("a softmax of one output is 1, whatever it is; name --outputs sigmoid-logits")
        network = OfTwo(network, is_probability=activation == "none").eval()
    of_patches = question.kind == "classify" and not question.resize_px
    normalisation = normalisation or Normalisation("patch" if of_patches else "image")
    if not of_patches and normalisation.kind in OF_PATCHES:
        raise UsageError(
            f"--normalisation {normalisation.kind} is that of patches; name image, image-range, fixed or "
            "scale"
        )
    try:
        details = Input(
            channels=tuple(Channel(role=role) for role in channels),
            planes="each" if question.rule == "share" else "sum",
            normalisation=normalisation,
            resize_px=question.resize_px,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise UsageError(f"--channels {','.join(channels)}: {printable_name(first)[:300]}") from error
    checkpoint = Checkpoint(
        network=network,
        name=kind,
        channels=tuple(channels),
        activation=activation,  # type: ignore[arg-type] # one of the three: read_model has looked
        temperature=1.0,
        normalisation=normalisation,
        training={},
        told=found.told,
        task=question.task(classes),
        windows=question.windows,
        details=details,
    )
    try_out(checkpoint)
    return checkpoint


def _found(
    path: Path,
    kind: Kind,
    question: Question,
    channels: Sequence[str] | None,
    classes: Sequence[str] | None,
) -> tuple[_Found, list[int]]:
    """Return the network of a file, and how many channels it takes."""
    size = question.size
    if kind == "ONNX":
        most = range(1, 65) if classes is None else {len(classes), 1}
        around = size if question.kind == "segment" else ()
        onnx = read_onnx(path, channels, size, [(outputs, *around) for outputs in most])
        network: nn.Module = onnx.network
        activation, told = onnx.outputs, onnx.told
    else:
        network = read_torchscript(path) if kind == "TorchScript" else read_exported(path)
        activation, told = None, ""
    counts = channel_counts(network, channels, size, refuse_one=False)
    found = outputs_of(network, counts[0], size)
    if (len(found) == 3) != (question.kind == "segment") or (len(found) == 3 and found[1:] != size):
        what = "a class for each pixel" if question.kind == "segment" else "a number a class"
        shape = " x ".join(map(str, found))
        raise ModelError(
            f"{path} gives {shape} for an image of {size[0]} x {size[1]}, expected {what} with --task "
            f"{question.kind}"
        )
    return _Found(network, found[0], activation, told), counts
