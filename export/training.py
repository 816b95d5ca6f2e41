"""Train a network on the patches of labelled projections, as in section 3 of the paper.

    projections ──▶ PatchSet ──▶ train ──▶ network, temperature ──▶ evaluate ──▶ checkpoint

Patches of one image look alike, so images, never patches, are divided between training,
validation and test. Patches are kept raw (256 of two channels: 4 MB an image at uint16) and are
normalised and turned, one of eight ways, when their batch comes.
"""

import ctypes
import pickle
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from colvi_edge.errors import UsageError
from colvi_edge.patches import Normalisation, normalise, project, tile

from .networks import PATCH_PX, Activation, Probabilities, build_network

CLASSES = ("control", "patient")
LAYOUT = ("collagen", "nuclei")


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        learning_rate: of Adam, in the first epoch; it falls to 0 along a cosine. The paper's 0.01
            learns more slowly than 0.001.
        batch: patches a step.
        epochs: most passes over the patches; the paper stayed below ten.
        patience: epochs without a better validation loss before training ends.
        seed: of weights, order, turns and dropout.
        bfloat16: compute in bfloat16; on a CPU that has it 18 steps a second in place of 4.
    """

    learning_rate: float = 1e-3
    batch: int = 32
    epochs: int = 9
    patience: int = 2
    seed: int = 0
    bfloat16: bool = True


@dataclass(frozen=True)
class PatchSet:
    """Raw patches with what is known about them.

    Attributes:
        counts: (N, C, P, P), the projection's own values.
        label: (N,) int64, index into CLASSES.
        image: (N,) int64, which image the patch is from.
    """

    counts: NDArray[Any]
    label: NDArray[np.int64]
    image: NDArray[np.int64]


class Epoch(NamedTuple):
    """What `train` reports after each pass."""

    number: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


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

    def probabilities(self) -> Probabilities:
        """Return the network with its activation, ready to judge."""
        return Probabilities(self.network, self.activation, self.temperature).eval()


def collect_patches(images: Iterable[tuple[NDArray[Any], str]], patch_px: int = PATCH_PX) -> PatchSet:
    """Cut labelled images into patches.

    Args:
        images: planes (Z, C, H, W), channels in the network's order, and a name of CLASSES.
        patch_px: edge of a patch.
    """
    counts, labels, sources = [], [], []
    for source, (planes, label) in enumerate(images):
        patches = tile(project(planes), patch_px)
        counts.append(_compact(patches))
        labels.append(np.full(len(patches), CLASSES.index(label), np.int64))
        sources.append(np.full(len(patches), source, np.int64))
    return PatchSet(np.concatenate(counts), np.concatenate(labels), np.concatenate(sources))


def train(
    training: PatchSet,
    validation: PatchSet,
    settings: Settings | None = None,
    normalisation: Normalisation | None = None,
    progress: Callable[[Epoch], None] = lambda epoch: None,
) -> Checkpoint:
    """Train the paper's network; keep the weights of its best epoch and fit a temperature to them.

    The same data, settings, machine and number of threads give the same weights.

    Args:
        training: patches to learn from.
        validation: patches of other images; they end the training and set the temperature.
        settings: how; `Settings()` if none are given.
        normalisation: what makes patches the network's input; kind "patch" if none is given.
        progress: called after each epoch.
    """
    settings = settings or Settings()
    normalisation = normalisation or Normalisation()
    rng = np.random.default_rng(settings.seed)
    truth = torch.from_numpy(validation.label)
    history: list[Epoch] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build_network("paper", training.counts.shape[1])
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        _keep_freed_blocks()
        optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate, (0.9, 0.999), 1e-8)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs)
        best = _copy_of(network)
        while len(history) < settings.epochs and _improving(history, settings.patience):
            loss = _one_epoch(network, optimiser, training, settings, normalisation, rng)
            logits = predict_logits(network, validation, normalisation, bfloat16=settings.bfloat16)
            epoch = Epoch(
                number=len(history) + 1,
                training_loss=loss,
                validation_loss=functional.cross_entropy(logits, truth).item(),
                validation_accuracy=(logits.argmax(1) == truth).float().mean().item(),
            )
            if all(epoch.validation_loss < earlier.validation_loss for earlier in history):
                best = _copy_of(network)
            history.append(epoch)
            schedule.step()
            progress(epoch)
    network.load_state_dict(best)
    network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return Checkpoint(
        network=network,
        name="paper",
        channels=LAYOUT,
        activation="softmax",
        temperature=fit_temperature(predict_logits(network, validation, normalisation), truth),
        normalisation=normalisation,
        training={
            "settings": asdict(settings),
            "images": int(np.unique(training.image).size),
            "epochs": [epoch._asdict() for epoch in history],
        },
    )


def predict_logits(
    network: nn.Module, patches: PatchSet, normalisation: Normalisation, *, bfloat16: bool = False
) -> Tensor:
    """Return the (N, 2) float32 logits of all patches, a few at a time.

    All at once, the first convolution's output alone is 2 MiB a patch.
    """
    network.eval()
    parts = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(patches.label), 64):
            batch = normalise(_wide(patches.counts[start : start + 64]), normalisation)
            parts.append(network(torch.from_numpy(batch)).float())
    return torch.cat(parts)


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """Return the temperature that makes the softmax of logits least surprised by the truth.

    The loss is convex in 1 / temperature: a golden-section search finds the one minimum.
    """

    def surprise(sharpness: float) -> float:
        return functional.cross_entropy(logits.double() * sharpness, truth).item()

    low, high = 0.05, 20.0
    golden = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if surprise(left) < surprise(right) else (left, high)
    return 2 / (low + high)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as one plain dictionary of tensors, numbers and words, atomically.

    `torch.load(path, weights_only=True)` reads it; its keys are those of `Checkpoint`, with
    "state_dict" in place of the network, "classes" and "patch_px".
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
    partial = path.with_name(f".{path.name}.part")
    torch.save(content, partial)
    partial.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote; the file can run no code.

    Raises:
        UsageError: the file is not such a checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        network = build_network(content["network"], len(content["channels"]))
        network.load_state_dict(content["state_dict"])
        given = content["normalisation"]
        normalisation = Normalisation(**given | {"mean": tuple(given["mean"]), "std": tuple(given["std"])})
        return Checkpoint(
            network=network.eval(),
            name=content["network"],
            channels=tuple(content["channels"]),
            activation=content["activation"],
            temperature=content["temperature"],
            normalisation=normalisation,
            training=content["training"],
        )
    except (
        OSError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise UsageError(
            f"{path} is not a checkpoint of colvi-edge ({error}); make one with export/training.py"
        ) from error


def _one_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    patches: PatchSet,
    settings: Settings,
    normalisation: Normalisation,
    rng: np.random.Generator,
) -> float:
    network.train()
    losses = []
    order = rng.permutation(len(patches.label))
    for start in range(0, len(order), settings.batch):
        chosen = order[start : start + settings.batch]
        batch = normalise(_wide(patches.counts[chosen]), normalisation)
        inputs = torch.from_numpy(turned(batch, rng.integers(8, size=len(batch))))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            logits = network(inputs)
        loss = functional.cross_entropy(logits.float(), torch.from_numpy(patches.label[chosen]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def turned(patches: NDArray[np.float32], ways: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return square (N, C, P, P) patches, each turned by way % 4 quarters, then mirrored if way > 3."""
    result = np.empty_like(patches)
    for way in range(8):
        which = ways == way
        quarter = np.rot90(patches[which], way % 4, axes=(2, 3))
        result[which] = quarter[..., ::-1] if way > 3 else quarter
    return result


def _keep_freed_blocks() -> None:
    """Let malloc keep big blocks for the next step in place of giving them back to the kernel.

    The first convolution's output, 32 MiB a batch, is just what glibc maps afresh each time; clearing
    those pages is half of a step's time (0.10 s against 0.054 s, two cores).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 2**30)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


def _improving(history: list[Epoch], patience: int) -> bool:
    """Was the best validation loss among the last `patience` epochs?"""
    losses = [epoch.validation_loss for epoch in history]
    return not losses or len(losses) - 1 - int(np.argmin(losses)) < patience


def _copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _compact(patches: NDArray[Any]) -> NDArray[Any]:
    """Keep counts in as few bytes as lose nothing: half the memory of int64, or a quarter."""
    if not np.issubdtype(patches.dtype, np.integer):
        return patches.astype(np.float32)
    small = patches.min() >= 0 and patches.max() < 2**16
    return patches.astype(np.uint16 if small else np.int64)


def _wide(counts: NDArray[Any]) -> NDArray[Any]:
    """Undo `_compact`: exact sums want 64 bits."""
    return counts.astype(np.int64 if np.issubdtype(counts.dtype, np.integer) else np.float64)
