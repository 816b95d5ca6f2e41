"""Train the paper's network on patches of labelled projections (Bazaga et al. 2019, sections 3.2, 3.3, 4).

    PatchSet ──▶ epochs of Adam on turned patches ──▶ best epoch's weights ──▶ temperature ──▶ Checkpoint

What a training of any kind does from epoch to epoch stands in `run`.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from colvi_edge.export.data.patch_set import LAYOUT, PatchSet, turned, wide
from colvi_edge.export.networks.patch_cnn import build_network
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.patches import Normalisation, normalise

from .prediction import class_weights, fit_temperature, predict_logits
from .run import Epoch, Resumed, Run, Settings, Step, keep_freed_blocks


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
        network = build_network("paper", training.counts.shape[1])
        run = Run(settings, network, identity(training, validation, settings, normalisation))
        keep_freed_blocks()

        def one_epoch() -> Epoch:
            loss, accuracy = _one_epoch(run, training, normalisation, progress)
            logits = predict_logits(network, validation, normalisation, bfloat16=settings.bfloat16)
            return Epoch(
                number=len(run.history) + 1,
                training_loss=loss,
                training_accuracy=accuracy,
                validation_loss=functional.cross_entropy(logits, truth, class_weights(truth)).item(),
                validation_accuracy=(logits.argmax(1) == truth).float().mean().item(),
            )

        run.finish(one_epoch, progress, unfinished)
    return Checkpoint(
        network=network,
        name="paper",
        channels=LAYOUT,
        activation="softmax",
        temperature=fit_temperature(predict_logits(network, validation, normalisation), truth),
        normalisation=normalisation,
        training=run.told(int(np.unique(training.image).size)),
    )


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


def _one_epoch(
    run: Run,
    patches: PatchSet,
    normalisation: Normalisation,
    progress: Callable[[Step], None],
) -> tuple[float, float]:
    """Pass over the patches once, each turned one of eight ways; return mean loss and accuracy."""
    settings = run.settings
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
