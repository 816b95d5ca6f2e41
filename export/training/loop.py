"""Train the paper's network on patches of labelled projections (Bazaga et al. 2019, sections 3.2, 3.3, 4).

    PatchSet ──▶ epochs of Adam on turned patches ──▶ best epoch's weights ──▶ temperature ──▶ Checkpoint

After each epoch everything that the next one depends on is on the disk: a training that was ended in
any way goes on where it was, to the same weights.
"""

import ctypes
import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from colvi_edge.errors import UsageError
from colvi_edge.export.data.patch_set import LAYOUT, PatchSet, turned, wide
from colvi_edge.export.networks.patch_cnn import build_network
from colvi_edge.export.reading.checkpoint import DAMAGED, Checkpoint
from colvi_edge.patches import Normalisation, normalise
from colvi_edge.system.writing import write_file

from .prediction import class_weights, fit_temperature, predict_logits

UNFINISHED = ".unfinished"
"""Suffix of the file that a training goes on from, behind the name of its checkpoint."""


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
    epochs: int = 7
    patience: int = 2
    seed: int = 0
    bfloat16: bool = False


class Step(NamedTuple):
    """What `train` reports after each step.

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
    """What `train` reports first of an unfinished training: so many epochs are done already."""

    epochs: int


class Epoch(NamedTuple):
    """What `train` reports after each pass over the patches; losses count both classes alike."""

    number: int
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float


def train(
    training: PatchSet,
    validation: PatchSet,
    settings: Settings | None = None,
    normalisation: Normalisation | None = None,
    progress: Callable[[Resumed | Step | Epoch], None] = lambda told: None,
    unfinished: Path | None = None,
) -> Checkpoint:
    """Train the paper's network; keep the weights of its best epoch and fit a temperature to them.

    The same data, settings, machine and number of threads give the same weights, in one go or in many.
    A class with fewer patches weighs as much as the other, in every loss and in the temperature.

    Args:
        training: patches to learn from.
        validation: patches of other images; they end the training and set the temperature.
        settings: how; `Settings()` if none are given.
        normalisation: what makes patches the network's input; kind "patch" if none is given.
        progress: told each step and each epoch, those of earlier runs first.
        unfinished: written after each epoch and removed at the end; if it is there, training goes on.

    Raises:
        UsageError: the unfinished training is another one's.
        OutputError: it cannot be written.
    """
    settings = settings or Settings()
    normalisation = normalisation or Normalisation()
    truth = torch.from_numpy(validation.label)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        run = _Run(settings, training, identity(training, validation, settings, normalisation))
        _keep_freed_blocks()
        if unfinished and unfinished.exists():
            run.resume(unfinished)
            progress(Resumed(len(run.history)))
        for epoch in run.history:
            progress(epoch)
        while len(run.history) < settings.epochs and _improving(run.history, settings.patience):
            loss, accuracy = _one_epoch(run, training, settings, normalisation, progress)
            logits = predict_logits(run.network, validation, normalisation, bfloat16=settings.bfloat16)
            epoch = Epoch(
                number=len(run.history) + 1,
                training_loss=loss,
                training_accuracy=accuracy,
                validation_loss=functional.cross_entropy(logits, truth, class_weights(truth)).item(),
                validation_accuracy=(logits.argmax(1) == truth).float().mean().item(),
            )
            run.history.append(epoch)
            if kept(run.history) is epoch:
                run.best = _copy_of(run.network)
            run.schedule.step()
            if unfinished:
                run.save(unfinished)
            progress(epoch)
    network = run.network
    network.load_state_dict(run.best)
    network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return Checkpoint(
        network=network,
        name="paper",
        channels=LAYOUT,
        activation="softmax",
        temperature=fit_temperature(predict_logits(network, validation, normalisation), truth),
        normalisation=normalisation,
        training={
            "identity": run.identity,
            "settings": asdict(settings),
            "images": int(np.unique(training.image).size),
            "epochs": [epoch._asdict() for epoch in run.history],
        },
    )


def kept(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch whose weights are kept: of the least validation loss, the first of equals."""
    best = history[0]
    for epoch in history:
        if epoch.validation_loss < best.validation_loss:
            best = epoch
    return best


def identity(
    training: PatchSet, validation: PatchSet, settings: Settings, normalisation: Normalisation
) -> str:
    """Return a hash of all that a training depends on, but for the machine and the versions of libraries."""
    digest = hashlib.sha256(repr((settings, normalisation)).encode())
    for part in (training, validation):
        for array in (part.counts, part.label):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class _Run:
    """All that changes from epoch to epoch."""

    def __init__(self, settings: Settings, training: PatchSet, identity: str) -> None:
        self.identity = identity
        self.network = build_network("paper", training.counts.shape[1])
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), settings.learning_rate, (0.9, 0.999), 1e-8
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, settings.epochs)
        self.rng = np.random.default_rng(settings.seed)
        self.history: list[Epoch] = []
        self.best = _copy_of(self.network)

    def save(self, path: Path) -> None:
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

    def resume(self, path: Path) -> None:
        """Go on from what `save` wrote."""
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


def _one_epoch(
    run: _Run,
    patches: PatchSet,
    settings: Settings,
    normalisation: Normalisation,
    progress: Callable[[Step], None],
) -> tuple[float, float]:
    """Pass over the patches once, each turned one of eight ways; return mean loss and accuracy."""
    run.network.train()
    weights = class_weights(torch.from_numpy(patches.label))
    order = run.rng.permutation(len(patches.label))
    done, loss_sum, right = 0, 0.0, 0
    for start in range(0, len(order), settings.batch):
        chosen = order[start : start + settings.batch]
        batch = normalise(wide(patches.counts[chosen]), normalisation)
        inputs = torch.from_numpy(turned(batch, run.rng.integers(8, size=len(batch))))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        label = torch.from_numpy(patches.label[chosen])
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            logits = run.network(inputs)
        loss = functional.cross_entropy(logits.float(), label, weights)
        run.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
        done += len(chosen)
        loss_sum += loss.item() * len(chosen)
        right += int((logits.argmax(1) == label).sum())
        progress(Step(len(run.history) + 1, done / len(order), loss_sum / done, right / done))
    return loss_sum / done, right / done


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
