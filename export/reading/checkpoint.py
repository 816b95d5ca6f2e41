"""A trained network as a file of ours: plain tensors, numbers and words."""

import io
import pickle
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from colvi_edge.bands import BANDS
from colvi_edge.bundle.input import Channel, Input
from colvi_edge.bundle.task import Classify, Majority, TaskPart
from colvi_edge.bundle.window import Windows
from colvi_edge.errors import UsageError
from colvi_edge.export.networks.known import Parameters, build_known
from colvi_edge.export.networks.patch_cnn import PATCH_PX, Activation, Probabilities
from colvi_edge.patches import Normalisation
from colvi_edge.system.writing import write_file
from colvi_edge.tasks.classify import CLASSES

from .checkpoint_content import CheckpointContent, parse

DAMAGED = (
    *(OSError, EOFError, pickle.UnpicklingError, RuntimeError, struct.error),
    *(AttributeError, LookupError, TypeError, ValueError),
)
"""What torch trips over in a file that is not what it should be."""

DEMO_CHECKPOINT = Path(__file__).parents[1] / "demo.pt"
"""The checkpoint of the shipped model; it lies in the repository and is not installed."""

NUCLEI_CHECKPOINT = DEMO_CHECKPOINT.with_name("demo-nuclei.pt")
"""The same of the shipped model that outlines nuclei."""


CONTROL_OR_PATIENT = Classify(
    kind="classify",
    classes=CLASSES,
    decision=Majority(rule="majority"),
    bands={band.name: band.at_least for band in BANDS},
)
"""What the networks of the paper and of its published code are asked."""

PATCHES = Windows(px=PATCH_PX, cell_px=PATCH_PX)


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with all that is needed to use it; see `save_checkpoint` for the file.

    Attributes:
        network: in evaluation mode, without its activation.
        name: of a network of ours, or what kind of file it was read from.
        channels: role of each channel of its input.
        activation, temperature: see `Probabilities`.
        normalisation: of its input.
        training: where it comes from; see `checkpoint_content.TrainingContent`.
        told: a sentence on how it was read; stands in the bundle.
        parameters: what a network that comes in sizes is built with; see `networks.known.build_known`.
        task: what it is asked.
        windows: what it sees at once; px of a dense one as it was trained. The export measures halo and step.
        details: of the input, where more is to be said than channels and normalisation; these included.
    """

    network: nn.Module
    name: str
    channels: tuple[str, ...]
    activation: Activation
    temperature: float
    normalisation: Normalisation
    training: dict[str, Any]
    told: str = ""
    parameters: Parameters = field(default_factory=dict)
    task: TaskPart = CONTROL_OR_PATIENT
    windows: Windows = PATCHES
    details: Input | None = None

    @property
    def input(self) -> Input:
        """What the network is given, in the words of a manifest."""
        return self.details or Input(
            channels=tuple(Channel(role=role) for role in self.channels), normalisation=self.normalisation
        )

    @property
    def is_dense(self) -> bool:
        """Whether it answers for each pixel."""
        return self.task.kind == "segment"

    def unfit(self, dtype: np.dtype[Any]) -> str | None:
        """Return why pixels of a dtype cannot be judged; None if they can."""
        if self.normalisation.takes(dtype):
            return None
        return (
            f"its pixels are {dtype}, but the network was trained on {self.normalisation.dtype}; export the "
            "image as those were, or train on images such as this"
        )

    def probabilities(self) -> Probabilities:
        """Return the network with its activation, ready to judge."""
        from_one = self.parameters.get("outputs") == 1
        return Probabilities(self.network, self.activation, self.temperature, from_one=from_one).eval()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as one plain dictionary of tensors, numbers and words, atomically.

    `torch.load(path, weights_only=True)` reads it; its keys are those of `Checkpoint`, with
    "state_dict" in place of the network, "classes" and "patch_px", or "input"; see `checkpoint_content`.

    Raises:
        ValueError: `load_checkpoint` would refuse it.
    """
    content = {
        "state_dict": {**checkpoint.network.state_dict()},
        "network": checkpoint.name,
        "activation": checkpoint.activation,
        "temperature": checkpoint.temperature,
        "training": checkpoint.training,
        **(_asked(checkpoint) if checkpoint.parameters else _of_patches(checkpoint)),
    }
    parse(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_file(path, buffer.getvalue())


def _of_patches(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "channels": list(checkpoint.channels),
        "classes": list(CLASSES),
        "normalisation": asdict(checkpoint.normalisation),
        "patch_px": PATCH_PX,
    }


def _asked(checkpoint: Checkpoint) -> dict[str, Any]:
    parts = {"input": checkpoint.input, "windows": checkpoint.windows, "task": checkpoint.task}
    said = {name: part.model_dump(mode="json", exclude_none=True) for name, part in parts.items()}
    return {"parameters": dict(checkpoint.parameters), **said}


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote; the file can run no code.

    Raises:
        UsageError: the file is not such a checkpoint, or says what cannot be done.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        raise UsageError(
            f"{path} is not a checkpoint of colvi-edge, or a damaged one; make one with colvi-edge train"
        ) from error
    return checkpoint_from(content, path)


def checkpoint_from(content: Any, path: Path) -> Checkpoint:
    """Return what `save_checkpoint` wrote, from what torch read.

    Args:
        content: of the file.
        path: for words.

    Raises:
        UsageError: it is not such a checkpoint, or says what cannot be done.
    """
    try:
        known = parse(content)
    except ValueError as error:
        raise UsageError(
            f"{path} is not a checkpoint of colvi-edge that this version can use ({error}); make one with "
            "colvi-edge train"
        ) from error
    if isinstance(known, CheckpointContent):
        channels: tuple[str, ...] = tuple(known.channels)
        parameters: Parameters = {}
        asked: dict[str, Any] = {"normalisation": known.normalisation}
    else:
        channels = tuple(channel.role for channel in known.input.channels)
        parameters = known.parameters
        asked = {
            "normalisation": known.input.normalisation,
            "parameters": parameters,
            "task": known.task,
            "windows": known.windows,
            "details": known.input,
        }
    network = build_known(known.network, len(channels), parameters)
    network.load_state_dict(known.state_dict)
    return Checkpoint(
        network=network.eval(),
        name=known.network,
        channels=channels,
        activation=known.activation,
        temperature=known.temperature,
        training=content["training"],
        **asked,
    )
