"""Training on images with masks: the loss, what is learnt, and how it goes on."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from colvi_edge.errors import UsageError
from colvi_edge.export.data.dataset import Image
from colvi_edge.export.data.masks import Masked
from colvi_edge.export.evaluation.overlap import overlaps
from colvi_edge.export.networks.whole import whole
from colvi_edge.export.reading.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from colvi_edge.export.training.run import Epoch, Resumed, Settings, Step
from colvi_edge.export.training.segment import SMALLEST, loss_of, task_for, train_segmentation
from colvi_edge.patches import normalise_image

CLASSES = ("background", "blob")
SMALL: dict[str, int | str] = {"depth": 1, "base": 4, "norm": "batch", "up": "nearest"}
THREE_EPOCHS = Settings(learning_rate=0.02, batch=4, epochs=3, patience=3, seed=3)


@pytest.fixture(autouse=True, scope="module")
def small_windows() -> Any:
    """Learn from small windows: a step of large ones takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("colvi_edge.export.training.segment.WINDOW_PX", 32)
        yield


def blobs(seed: int, **changed: Any) -> Masked:
    """Return bright blobs in noise, each with a number."""
    rng = np.random.default_rng(seed)
    objects = ndimage.label(ndimage.gaussian_filter(rng.standard_normal((64, 96)), 4) > 0.05)[0]
    planes = rng.poisson(100 + 150 * (objects > 0), (1, 1, 64, 96)).astype(np.uint16)
    image = Image(str(seed), 0, str(seed), "", f"{seed:016x}", None)
    return replace(Masked(image, planes, (objects > 0).astype(np.uint8), objects), **changed)


def learn(
    training: list[Masked],
    settings: Settings = THREE_EPOCHS,
    progress: Callable[[Resumed | Step | Epoch], None] = lambda told: None,
    unfinished: Path | None = None,
) -> Checkpoint:
    """Train on some images and two more."""
    validation = [blobs(100), blobs(101)]
    return train_segmentation(
        training, validation, CLASSES, ("nuclei",), SMALL, settings, progress, unfinished
    )


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    """A network whose training nothing ended."""
    return learn([blobs(k) for k in range(6)])


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    """Return whether two networks are one to the last bit."""
    states = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_loss_is_cross_entropy_and_soft_dice() -> None:
    """As their formulas say, over what is annotated, in three classes."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((2, 3, 8, 8), generator=generator)
    target = torch.randint(0, 3, (2, 8, 8), generator=generator)
    target[0, :3] = 255
    said = (target != 255).numpy()
    p = torch.softmax(logits.double(), 1).numpy()
    truth = target.numpy()

    loss, dice = loss_of(logits, target)

    entropy = -np.mean([np.log(p[n, truth[n, y, x], y, x]) for n, y, x in np.argwhere(said)])
    soft, hard = [], []
    decided = p.argmax(1)
    for k in (1, 2):
        g, q, d = (truth == k)[said], p[:, k][said], (decided == k)[said]
        soft.append((2 * (q * g).sum() + 1) / ((q * q).sum() + g.sum() + 1))
        hard.append(2 * (d & g).sum() / (d.sum() + g.sum()))
    assert loss.item() == pytest.approx(entropy + 1 - np.mean(soft), rel=1e-5)
    assert dice.tolist() == pytest.approx(hard)


def test_what_nobody_annotated_moves_no_weight() -> None:
    """The gradient there is nothing, and an image of nothing else costs nothing."""
    logits = torch.randn((1, 2, 8, 8), generator=torch.Generator().manual_seed(2), requires_grad=True)
    target = torch.ones((1, 8, 8), dtype=torch.int64)
    target[0, :, 4:] = 255
    loss_of(logits, target)[0].backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert (logits.grad[..., 4:] == 0).all()
    assert (logits.grad[..., :4] != 0).all()
    assert loss_of(logits.detach(), torch.full_like(target, 255))[0].item() == 0


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much() -> None:
    """Also where a class is nowhere."""
    target = torch.zeros((1, 8, 8), dtype=torch.int64)
    certain = 40 * functional.one_hot(target, 2).movedim(-1, 1).float()

    assert loss_of(certain, target)[0].item() == pytest.approx(0, abs=1e-6)
    assert loss_of(certain.flip(1), target)[0].item() > 30


def test_blobs_of_other_images_are_found(trained: Checkpoint, tmp_path: Path) -> None:
    """The network as it is saved and read again; its task says what the masks were."""
    save_checkpoint(tmp_path / "m.pt", trained)
    network = load_checkpoint(tmp_path / "m.pt").network
    one = blobs(50)
    logits = whole(network, normalise_image(one.counts, trained.normalisation), 2)
    overlap = overlaps(one.target, logits.argmax(0).numpy().astype(np.uint8), 2)[1]

    assert overlap.dice is not None
    assert overlap.dice > 0.9
    assert trained.task.kind == "segment"
    assert (trained.task.classes, trained.task.objects is not None) == (CLASSES, True)
    assert trained.training["images"] == 6
    assert trained.channels == ("nuclei",)


def test_large_numbers_of_objects_cost_no_memory() -> None:
    """A mask may name its only object 16,777,216: a place for each smaller number would have 134 MB."""
    named = blobs(0, objects=np.zeros((64, 96), np.int32))
    assert named.objects is not None
    named.objects[8:28, 8:48] = 2**24

    tracemalloc.start()
    task = task_for([named, blobs(1, objects=None)], CLASSES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert task.decision.smallest_px == int(SMALLEST * 20 * 40)
    assert peak < 2e6


def test_masks_of_classes_ask_for_no_objects() -> None:
    """Nobody numbered any."""
    task = learn([blobs(k, objects=None) for k in range(2)], replace(THREE_EPOCHS, epochs=1)).task

    assert task.kind == "segment"
    assert task.objects is None


def test_a_training_that_was_ended_goes_on_to_the_same_weights(trained: Checkpoint, tmp_path: Path) -> None:
    """Ended in the second epoch, the first is told again and the rest trained, bit for bit."""
    images, unfinished = [blobs(k) for k in range(6)], tmp_path / "m.pt.unfinished"

    def end(told: Resumed | Step | Epoch) -> None:
        if isinstance(told, Step) and told.epoch > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(images, progress=end, unfinished=unfinished)
    told: list[Resumed | Step | Epoch] = []
    resumed = learn(images, progress=told.append, unfinished=unfinished)

    assert told[0] == Resumed(1)
    assert same_weights(resumed, trained)
    assert resumed.training == trained.training


@pytest.mark.parametrize("change", ["mask", "pixel", "settings"])
def test_another_training_is_not_gone_on_with(tmp_path: Path, change: str) -> None:
    """One pixel of a mask, or of an image, or another seed."""
    unfinished = tmp_path / "m.pt.unfinished"
    images, how = [blobs(0), blobs(1)], replace(THREE_EPOCHS, epochs=1)
    learn(images, how, unfinished=unfinished)
    if change == "mask":
        objects = images[0].objects
        assert objects is not None
        objects[0, 0] = 1 - objects[0, 0]
        images[0] = replace(images[0], target=(objects > 0).astype(np.uint8))
    if change == "pixel":
        images[0].planes[0, 0, 0, 0] += 1
    if change == "settings":
        how = replace(how, seed=4)

    with pytest.raises(UsageError, match="is of a training with other images or settings"):
        learn(images, how, unfinished=unfinished)
