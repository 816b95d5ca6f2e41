"""A training from epoch to epoch, whatever is learnt: what changes, when it ends, how it goes on.

After each epoch everything that the next one depends on is on the disk: a training that was ended in
any way goes on where it was, to the same weights.
"""

import ctypes
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from colvi_edge.errors import UsageError
from colvi_edge.export.reading.checkpoint import DAMAGED
from colvi_edge.system.writing import write_file

UNFINISHED = ".unfinished"
"""Suffix of the file that a training goes on from, behind the name of its checkpoint."""


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        learning_rate: of Adam, in the first epoch; it falls to 0 along a cosine. The paper's 0.01
            learns more slowly than 0.001.
        batch: patches or windows a step.
        epochs: most passes over the data; the paper stayed below ten.
        patience: epochs without a better validation loss before training ends.
        seed: of weights, order, turns and dropout.
        bfloat16: compute in bfloat16; on a CPU that has it 18 steps a second in place of 4.
    """

    learning_rate: float = 1e-3
    batch: int = 32
    epochs: int = 7
    patience: int = 2
    seed: int = 0
    bfloat16: bool = False


class Step(NamedTuple):
    """What a training reports after each step.

    Attributes:
        epoch: from 1.
        share: of the epoch that is done, 0..1.
        loss, accuracy: mean over the epoch so far.
    """

    epoch: int
    share: float
    loss: float
    accuracy: float


class Resumed(NamedTuple):
    """What a training reports first of an unfinished training: so many epochs are done already."""

    epochs: int


class Epoch(NamedTuple):
    """What a training reports after each pass over the data; each kind says what its accuracy is."""

    number: int
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float


def kept(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch whose weights are kept: of the least validation loss, the first of equals."""
    best = history[0]
    for epoch in history:
        if epoch.validation_loss < best.validation_loss:
            best = epoch
    return best


class Run:
    """All that changes from epoch to epoch."""

    def __init__(self, settings: Settings, network: nn.Module, identity: str) -> None:
        """Begin with an untrained network; `identity` is a hash of all that the training depends on."""
        self.settings = settings
        self.identity = identity
        self.network = network
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), settings.learning_rate, (0.9, 0.999), 1e-8
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, settings.epochs)
        self.rng = np.random.default_rng(settings.seed)
        self.history: list[Epoch] = []
        self.best = _copy_of(self.network)

    def finish(
        self,
        one_epoch: Callable[[], Epoch],
        progress: Callable[[Resumed | Step | Epoch], None],
        unfinished: Path | None,
    ) -> None:
        """Train to the last epoch, or until validation ceased to get better; take the best epoch's weights.

        Args:
            one_epoch: passes over the data once and validates.
            progress: told what was done in earlier runs, and each epoch.
            unfinished: written after each epoch; if it is there, training goes on.

        Raises:
            UsageError: the unfinished training is another one's.
            OutputError: it cannot be written.
        """
        if unfinished and unfinished.exists():
            self._resume(unfinished)
            progress(Resumed(len(self.history)))
        for epoch in self.history:
            progress(epoch)
        while len(self.history) < self.settings.epochs and _improving(self.history, self.settings.patience):
            epoch = one_epoch()
            self.history.append(epoch)
            if kept(self.history) is epoch:
                self.best = _copy_of(self.network)
            self.schedule.step()
            if unfinished:
                self._save(unfinished)
            progress(epoch)
        self.network.load_state_dict(self.best)
        self.network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]

    def told(self, images: int) -> dict[str, Any]:
        """Return what the checkpoint tells of a training on so many images."""
        return {
            "identity": self.identity,
            "settings": asdict(self.settings),
            "images": images,
            "epochs": [epoch._asdict() for epoch in self.history],
        }

    def _save(self, path: Path) -> None:
        """Write the run, whole or not at all."""
        content = {
            "identity": self.identity,
            "network": self.network.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.rng.bit_generator.state,
            "dropout": torch.get_rng_state(),
            "history": [tuple(epoch) for epoch in self.history],
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_file(path, buffer.getvalue())

    def _resume(self, path: Path) -> None:
        """Go on from what `_save` wrote."""
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["identity"] == self.identity:
                self._take(content)
                return
        except DAMAGED as error:
            raise UsageError(f"{path} is damaged; delete it to begin anew") from error
        raise UsageError(
            f"{path} is of a training with other images or settings; repeat its command to finish it, or "
            "delete it to begin anew"
        )

    def _take(self, content: dict[str, Any]) -> None:
        self.network.load_state_dict(content["network"])
        self.best = content["best"]
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        self.rng.bit_generator.state = content["order"]
        torch.set_rng_state(content["dropout"])
        self.history = [Epoch(*epoch) for epoch in content["history"]]


def keep_freed_blocks() -> None:
    """Let malloc keep big blocks for the next step in place of giving them back to the kernel.

    The first convolution's output, 32 MiB a batch, is just what glibc maps afresh each time; clearing
    those pages is half of a step's time (0.10 s against 0.054 s, two cores).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 2**30)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


def computes_bfloat16() -> bool:
    """Return whether this CPU multiplies in bfloat16; one that does not is slower for converting."""
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
        return not {"amx_bf16", "avx512_bf16", "bf16"}.isdisjoint(flags)
    return False


def _improving(history: list[Epoch], patience: int) -> bool:
    """Was the best validation loss among the last `patience` epochs?"""
    losses = [epoch.validation_loss for epoch in history]
    return not losses or len(losses) - 1 - int(np.argmin(losses)) < patience


def _copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
