"""Training: patches, turns, early stopping, temperature and the checkpoint file."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from colvi_edge.errors import UsageError
from colvi_edge.export.data.patch_set import PatchSet, collect_patches, turned
from colvi_edge.export.reading.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from colvi_edge.export.training.loop import train
from colvi_edge.export.training.prediction import class_weights, fit_temperature, predict_logits
from colvi_edge.export.training.run import Epoch, Resumed, Settings, Step
from colvi_edge.patches import Normalisation


def striped(images: int, seed: int) -> PatchSet:
    """Return 4 patches an image: fine stripes are controls, coarse ones patients."""
    rng = np.random.default_rng(seed)

    def planes(image: int) -> NDArray[Any]:
        stripes = np.sin(np.arange(128) * (2.0, 0.4)[image % 2] + rng.uniform(0, 6))
        return rng.poisson(300 + 250 * stripes, (1, 2, 128, 128)).astype(np.uint16)

    return collect_patches((planes(k), ("control", "patient")[k % 2]) for k in range(images))


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    """A network that tells fine stripes from coarse ones."""
    return train(striped(24, 1), striped(6, 2), Settings(epochs=2, seed=3))


FOUR_EPOCHS = Settings(epochs=4, patience=4, seed=3, batch=16)


@pytest.fixture(scope="module")
def straight() -> Checkpoint:
    """A network whose training nothing ended: three steps an epoch."""
    return train(striped(12, 1), striped(4, 2), FOUR_EPOCHS)


def test_patches_keep_their_values_label_and_image() -> None:
    """Planes are summed and cut row by row; counts that fit are kept in 16 bits, others whole."""
    planes = np.arange(2 * 2 * 64 * 130, dtype=np.uint16).reshape(2, 2, 64, 130)
    huge = np.full((20, 2, 64, 64), 65_000, np.uint16)
    small = collect_patches([(planes, "patient"), (planes, "control")])
    large = collect_patches([(huge, "control")])
    fractions = collect_patches([(np.full((1, 2, 64, 64), 0.5, np.float32), "control")])

    assert small.counts.dtype == np.uint16
    assert np.array_equal(small.counts[1, 0], planes[0, 0, :, 64:128] + planes[1, 0, :, 64:128])
    assert small.label.tolist() == [1, 1, 0, 0]
    assert small.image.tolist() == [0, 0, 1, 1]
    assert large.counts.max() == 1_300_000
    assert fractions.counts.max() == 0.5


def test_turns_are_the_eight_symmetries_of_the_square() -> None:
    """The eight ways are the identity, transpose and every mirror image, each once."""
    patch = np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32)
    transposed = patch.swapaxes(2, 3)
    by_hand = {
        image[..., ::rows, ::cols].tobytes()
        for image in (patch, transposed)
        for rows in (1, -1)
        for cols in (1, -1)
    }
    ways = turned(np.repeat(patch, 8, axis=0), np.arange(8))

    assert {way.tobytes() for way in ways} == by_hand
    assert np.array_equal(ways[0], patch[0])


def test_training_learns_and_says_so(trained: Checkpoint) -> None:
    """A network trained on stripes judges the stripes of other images, and its figures agree."""
    unseen = striped(8, 4)
    p_patient = torch.softmax(predict_logits(trained.network, unseen, trained.normalisation), dim=1)[:, 1]

    assert np.array_equal(p_patient.numpy() > 0.5, unseen.label == 1)
    assert trained.channels == ("collagen", "nuclei")
    assert trained.training["images"] == 24
    assert trained.training["settings"]["seed"] == 3


def test_training_is_reproducible(trained: Checkpoint) -> None:
    """The same seed gives the same weights to the last bit, and leaves global chance alone."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = train(striped(24, 1), striped(6, 2), Settings(epochs=2, seed=3))
    other = train(striped(24, 1), striped(6, 2), Settings(epochs=1, seed=4))

    assert torch.equal(torch.get_rng_state(), before)
    assert again.temperature == trained.temperature
    assert _same_weights(again, trained)
    assert not _same_weights(other, trained)


@pytest.mark.parametrize("ended_after", [1, 2])
def test_a_training_that_was_ended_goes_on_to_the_same_weights(
    tmp_path: Path, ended_after: int, straight: Checkpoint
) -> None:
    """Ended in the epoch after the first or second, it is repeated from that epoch's start, bit for bit."""
    unfinished = tmp_path / "model.pt.unfinished"

    def end(told: Resumed | Step | Epoch) -> None:
        if isinstance(told, Step) and told.epoch > ended_after and told.share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(striped(12, 1), striped(4, 2), FOUR_EPOCHS, progress=end, unfinished=unfinished)
    told: list[Resumed | Step | Epoch] = []
    resumed = train(striped(12, 1), striped(4, 2), FOUR_EPOCHS, progress=told.append, unfinished=unfinished)

    assert told[0] == Resumed(ended_after)
    assert [epoch.number for epoch in told if isinstance(epoch, Epoch)] == [1, 2, 3, 4]
    assert {step.epoch for step in told if isinstance(step, Step)} == {*range(ended_after + 1, 5)}
    assert _same_weights(resumed, straight)
    assert resumed.temperature == straight.temperature
    assert resumed.training == straight.training


@pytest.mark.parametrize("change", ["settings", "training", "validation", "labels"])
def test_another_training_is_not_gone_on_with(tmp_path: Path, change: str) -> None:
    """What another training left is neither used nor lost."""
    unfinished = tmp_path / "model.pt.unfinished"
    train(striped(4, 1), striped(2, 2), Settings(epochs=1), unfinished=unfinished)
    left = unfinished.read_bytes()
    data, how = striped(4, 1), Settings(epochs=1)
    validation = striped(2, 3 if change == "validation" else 2)
    if change == "settings":
        how = Settings(epochs=2)
    if change == "training":
        data.counts[0, 0, 0, 0] += 1
    if change == "labels":
        data = PatchSet(data.counts, 1 - data.label, data.image)

    with pytest.raises(UsageError, match=r"model\.pt\.unfinished is of a training with other images"):
        train(data, validation, how, unfinished=unfinished)
    assert unfinished.read_bytes() == left


def test_a_damaged_unfinished_training_is_told(tmp_path: Path) -> None:
    """Half a file is refused with the remedy."""
    unfinished = tmp_path / "model.pt.unfinished"
    train(striped(4, 1), striped(2, 2), Settings(epochs=1), unfinished=unfinished)
    whole = torch.load(unfinished, weights_only=True)
    lacking = {key: value for key, value in whole.items() if key != "best"}
    for damage in (b"PK half", b"", unfinished.read_bytes()[:-4000], lacking, whole | {"network": {}}):
        torch.save(damage, unfinished) if isinstance(damage, dict) else unfinished.write_bytes(damage)
        with pytest.raises(UsageError, match=r"unfinished is damaged; delete it to begin anew"):
            train(striped(4, 1), striped(2, 2), Settings(epochs=1), unfinished=unfinished)


def test_both_classes_count_alike() -> None:
    """Losses and temperature weigh a class with fewer patches up: repeating its patches changes nothing."""
    logits = torch.tensor([[2.0, 0.5], [1.0, 0.0], [0.3, 0.1], [0.0, 1.5]])
    truth = torch.tensor([0, 0, 0, 1])
    even = torch.cat([logits, logits[3:], logits[3:]]), torch.cat([truth, truth[3:], truth[3:]])

    assert class_weights(truth).tolist() == pytest.approx([2 / 3, 2])
    assert class_weights(even[1]).tolist() == [1, 1]
    assert functional.cross_entropy(logits, truth, class_weights(truth)).item() == pytest.approx(
        functional.cross_entropy(*even).item()
    )
    assert fit_temperature(logits, truth) == pytest.approx(fit_temperature(*even), rel=1e-3)


def test_votes_that_are_all_right_are_no_reason_to_be_surer() -> None:
    """Where the likelihood has no maximum the temperature is 1."""
    logits = torch.tensor([[2.0, 0.5], [0.1, 0.3], [0.0, 1.5]])

    assert fit_temperature(logits, torch.tensor([0, 1, 1])) == 1


def test_training_stops_early_and_keeps_the_best_weights() -> None:
    """Where validation only gets worse, training stops and returns the first epoch's."""
    wrong = striped(6, 2)
    wrong = PatchSet(wrong.counts, 1 - wrong.label, wrong.image)
    told: list[Resumed | Step | Epoch] = []
    stopped = train(striped(24, 1), wrong, Settings(epochs=9, patience=2), progress=told.append)
    epochs = [epoch for epoch in told if isinstance(epoch, Epoch)]
    first = train(striped(24, 1), wrong, Settings(epochs=1))

    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert epochs[0].validation_loss < min(epochs[1].validation_loss, epochs[2].validation_loss)
    assert len(stopped.training["epochs"]) == 3
    assert _same_weights(stopped, first)


def test_prediction_in_batches_is_prediction(trained: Checkpoint) -> None:
    """Logits do not depend on where the batches are cut, and use all that normalisation says."""
    patches = striped(20, 6)
    raw = patches.counts.astype(np.float64)
    mean, sd = raw.mean(axis=(1, 2, 3), keepdims=True), raw.std(axis=(1, 2, 3), keepdims=True)
    with torch.inference_mode():
        at_once = trained.network.eval()(torch.from_numpy((raw - mean) / sd).float())

    assert torch.allclose(predict_logits(trained.network, patches, Normalisation()), at_once, atol=1e-4)


@settings(max_examples=20, deadline=None)  # 20,000 labels each
@given(true_temperature=st.floats(0.5, 4))
def test_temperature_is_recovered(true_temperature: float) -> None:
    """Labels drawn from the softmax of logits / T lead back to T."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 3, (20_000, 2)).astype(np.float32))
    p_patient = torch.softmax(logits / true_temperature, dim=1)[:, 1].numpy()
    truth = torch.from_numpy((rng.uniform(size=20_000) < p_patient).astype(np.int64))
    fitted = fit_temperature(logits, truth)
    around = [
        functional.cross_entropy(logits / t, truth).item() for t in (0.9 * fitted, fitted, 1.1 * fitted)
    ]

    assert fitted == pytest.approx(true_temperature, rel=0.15)
    assert around[1] == min(around)


def test_checkpoint_comes_back_whole(trained: Checkpoint, tmp_path: Path) -> None:
    """What was saved is loaded: weights, layout, activation, temperature, normalisation and history."""
    save_checkpoint(tmp_path / "model.pt", trained)
    loaded = load_checkpoint(tmp_path / "model.pt")
    patches = torch.randn(5, 2, 64, 64)

    assert torch.equal(loaded.probabilities()(patches), trained.probabilities()(patches))
    assert loaded.probabilities()(patches).sum(dim=1).tolist() == pytest.approx([1] * 5)
    for name in ("name", "channels", "activation", "temperature", "normalisation", "training"):
        assert getattr(loaded, name) == getattr(trained, name)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_checkpoint_is_plain_data(trained: Checkpoint, tmp_path: Path) -> None:
    """PyTorch reads the file without running any code from it; the keys are the published ones."""
    save_checkpoint(tmp_path / "model.pt", trained)
    content = torch.load(tmp_path / "model.pt", weights_only=True)

    assert content["network"] == "paper"
    assert content["classes"] == ["control", "patient"]
    assert content["channels"] == ["collagen", "nuclei"]
    assert content["patch_px"] == 64
    assert content["normalisation"]["kind"] == "patch"
    assert sum(tensor.numel() for tensor in content["state_dict"].values()) == 402_340
    assert all(tensor.dtype == torch.float32 for tensor in content["state_dict"].values())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"not a pickle"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty, a broken and a foreign file are refused with a sentence that names the file."""
    path = tmp_path / "model.pt"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"model\.pt is not a checkpoint of colvi-edge"):
        load_checkpoint(path)


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    """A file that would run code when unpickled is refused, and the code is not run."""
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Touch(tmp_path / "ran"), protocol=2))
    with pytest.raises(UsageError, match=r"model\.pt is not a checkpoint of colvi-edge"):
        load_checkpoint(path)

    assert not (tmp_path / "ran").exists()


def _same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
