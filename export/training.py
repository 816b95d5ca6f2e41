"""Train a network on the patches of labelled projections, as in section 3 of the paper.

projections ──▶ PatchSet ──▶ train ──▶ network, temperature ──▶ evaluate ──▶ checkpoint
"""

import ctypes
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from colvi_edge.patches import Normalisation, normalise

from .checkpoint import Checkpoint
from .networks import build_network
from .patch_set import LAYOUT, PatchSet, turned, wide
from .prediction import fit_temperature, predict_logits


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


class Epoch(NamedTuple):
    """What `train` reports after each pass."""

    number: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


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
        batch = normalise(wide(patches.counts[chosen]), normalisation)
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
