"""A trained network as a file of ours: plain tensors, numbers and words."""

import io
import pickle
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from colvi_edge.errors import UsageError
from colvi_edge.export.networks.patch_cnn import PATCH_PX, Activation, Probabilities, build_network
from colvi_edge.patches import Normalisation
from colvi_edge.system.writing import write_file
from colvi_edge.tasks.classify import CLASSES

from .checkpoint_content import parse

DAMAGED = (
    *(OSError, EOFError, pickle.UnpicklingError, RuntimeError, struct.error),
    *(AttributeError, LookupError, TypeError, ValueError),
)
"""What torch trips over in a file that is not what it should be."""

DEMO_CHECKPOINT = Path(__file__).parents[1] / "demo.pt"
"""The checkpoint of the shipped model; it lies in the repository and is not installed."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with all that is needed to use it; see `save_checkpoint` for the file."""

    network: nn.Module
    name: str
    channels: tuple[str, ...]
    activation: Activation
    temperature: float
    normalisation: Normalisation
    training: dict[str, Any]
    told: str = ""
    """A sentence on how it was read; stands in the bundle."""

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
        return Probabilities(self.network, self.activation, self.temperature).eval()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as one plain dictionary of tensors, numbers and words, atomically.

    `torch.load(path, weights_only=True)` reads it; its keys are those of `Checkpoint`, with
    "state_dict" in place of the network, "classes" and "patch_px"; see `checkpoint_content`.

    Raises:
        ValueError: `load_checkpoint` would refuse it.
    """
    content = {
        "state_dict": {**checkpoint.network.state_dict()},
        "network": checkpoint.name,
        "channels": list(checkpoint.channels),
        "classes": list(CLASSES),
        "activation": checkpoint.activation,
        "temperature": checkpoint.temperature,
        "normalisation": asdict(checkpoint.normalisation),
        "patch_px": PATCH_PX,
        "training": checkpoint.training,
    }
    parse(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_file(path, buffer.getvalue())


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
    network = build_network(known.network, len(known.channels))
    network.load_state_dict(known.state_dict)
    return Checkpoint(
        network=network.eval(),
        name=known.network,
        channels=tuple(known.channels),
        activation=known.activation,
        temperature=known.temperature,
        normalisation=known.normalisation,
        training=content["training"],
    )
