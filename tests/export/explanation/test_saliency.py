"""Gradients of the margin: by the pixels of a patch, and by the maps of each convolution."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from colvi_edge.errors import ModelError
from colvi_edge.export.explanation.saliency import Stage, find_saliency, find_stages, strongest_maps
from colvi_edge.export.networks.patch_cnn import Activation, Turned, build_network
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.patches import Normalisation

LAYOUTS = {2: ("collagen", "nuclei"), 3: ("empty", "collagen", "nuclei")}


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """Return a network with the same random weights every time, and outputs that are not all alike."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build().eval()
    with torch.no_grad():
        list(network.parameters())[-2].mul_(8)
    return network


def of(network: nn.Module, activation: Activation = "softmax", temperature: float = 1.0) -> Checkpoint:
    """Return a checkpoint of a network."""
    channels = next(network.parameters()).shape[1]
    return Checkpoint(network, "test", LAYOUTS[channels], activation, temperature, Normalisation(), {})


def small() -> nn.Module:
    """Return a network with one convolution."""
    return nn.Sequential(nn.Conv2d(2, 4, 5), nn.ReLU(), nn.AvgPool2d(12), nn.Flatten(), nn.Linear(4 * 25, 2))


def noise(count: int, channels: int = 2, seed: int = 0) -> NDArray[np.float32]:
    """Return patches of unit variance."""
    return np.random.default_rng(seed).standard_normal((count, channels, 64, 64)).astype(np.float32)


ENDS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "softmax": lambda outputs: torch.softmax(outputs, dim=1),
    "sigmoid": torch.sigmoid,
    "none": lambda outputs: outputs,
}
MARGINS: dict[Activation, Callable[[Any, Any], Any]] = {
    "softmax": lambda control, patient: np.log(control / patient),
    "sigmoid": lambda control, patient: np.log(control / (1 - control)) - np.log(patient / (1 - patient)),
    "none": lambda control, patient: np.log(control / patient),
}


@pytest.mark.parametrize(
    ("name", "activation", "temperature"),
    [("paper", "softmax", 1.7), ("published", "sigmoid", 0.8), ("paper", "none", 1.0)],
)
def test_the_gradient_is_the_slope_of_the_margin(
    name: str, activation: Activation, temperature: float
) -> None:
    """In float64, a millionth to either side of a pixel, by the probabilities that are reported."""
    network = seeded(lambda: build_network(name, 2))
    if activation == "none":
        network = nn.Sequential(network, nn.Softmax(1))
    patch = noise(1)[0]
    found = find_saliency(of(network, activation, temperature), patch[np.newaxis])
    places = np.random.default_rng(1).integers((0, 0, 0), (2, 64, 64), (16, 3))
    moved = np.repeat(patch[np.newaxis].astype(np.float64), 33, axis=0)
    for index, (channel, y, x) in enumerate(places):
        moved[2 * index : 2 * index + 2, channel, y, x] += (1e-6, -1e-6)
    with torch.inference_mode():
        outputs = copy.deepcopy(network).double()(torch.from_numpy(moved)) / temperature
    control, patient = ENDS[activation](outputs).numpy().T
    margin = MARGINS[activation](control, patient)
    slopes = (margin[0:32:2] - margin[1:32:2]) / 2e-6

    assert np.abs(slopes).max() > 0.001
    assert np.allclose(found.gradient[0][tuple(places.T)], slopes, rtol=1e-3, atol=1e-6)
    assert found.margin[0] == pytest.approx(margin[32], abs=1e-4)
    assert np.allclose(found.probabilities[0], (control[32], patient[32]), atol=1e-5)


def test_saliency_is_the_largest_magnitude_of_the_channels() -> None:
    """Pixel by pixel, whatever the sign."""
    network = seeded(small)
    found = find_saliency(of(network), noise(3))

    assert found.gradient.min() < 0 < found.gradient.max()
    assert np.array_equal(found.strongest, np.maximum(abs(found.gradient[:, 0]), abs(found.gradient[:, 1])))


def test_an_empty_channel_has_no_saliency() -> None:
    """A network trained on RGB pictures has weights for red, but no culture has pixels there."""
    found = find_saliency(of(seeded(lambda: build_network("published", 3))), noise(2, channels=3))

    assert (found.gradient[:, 0] == 0).all()
    assert (found.gradient[:, 1:].reshape(4, -1).std(axis=1) > 0).all()


def test_no_patch_sees_another() -> None:
    """Alone, at the edge of a batch or in other company, a patch has the same margin and gradient."""
    checkpoint = of(seeded(small))
    patches, strangers = noise(70), noise(70, seed=1)
    together = find_saliency(checkpoint, patches)
    for index in (0, 31, 32, 69):
        alone = find_saliency(checkpoint, patches[index : index + 1])
        strangers[index] = patches[index]
        mixed = find_saliency(checkpoint, strangers)

        for found, at in ((alone, 0), (mixed, index)):
            assert found.margin[at] == pytest.approx(together.margin[index], abs=1e-5)
            assert np.allclose(found.gradient[at], together.gradient[index], atol=1e-6)
    assert together.gradient.shape == (70, 2, 64, 64)
    assert together.probabilities.shape == (70, 2)
    assert len({gradient.tobytes() for gradient in together.gradient}) == 70


def test_looking_changes_no_weight_and_leaves_no_hook() -> None:
    """A checkpoint can be trained, exported and asked again afterwards."""
    network = seeded(lambda: build_network("paper", 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    find_saliency(of(network), noise(1))
    find_stages(of(network), noise(1)[0])

    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("name", "padding", "channels", "is_turned"),
    [("paper", (1, 1, 1), 2, False), ("paper", (1, 1, 1), 3, True), ("published", (1, 0, 0), 3, False)],
)
def test_the_maps_are_those_of_the_convolutions(
    name: str, padding: tuple[int, int, int], channels: int, is_turned: bool
) -> None:
    """By hand from the weights, with the gradient of what comes after each stage."""
    network = seeded(lambda: build_network(name, channels))
    patch = noise(1, channels)[0]
    stages = find_stages(of(Turned(network) if is_turned else network, temperature=1.5), patch)
    weights = list(network.parameters())

    def convolved(value: Tensor, stage: int) -> Tensor:
        weight, bias = weights[2 * stage : 2 * stage + 2]
        return functional.conv2d(value, weight, bias, padding=padding[stage]).clamp_min(0)

    def margin(maps: Tensor, stage: int) -> Tensor:
        for after in range(stage + 1, 3):
            maps = convolved(functional.max_pool2d(maps, 2), after)
        hidden = (weights[6] @ functional.max_pool2d(maps, 2).flatten() + weights[7]).clamp_min(0)
        control, patient = weights[8] @ hidden + weights[9]
        return (patient - control if is_turned else control - patient) / 1.5

    value = torch.from_numpy(patch)[np.newaxis]
    sizes = [(128, 64), (64, 32), (32, 16)] if name == "paper" else [(128, 64), (64, 30), (32, 13)]

    assert [stage.activation.shape for stage in stages] == [(maps, px, px) for maps, px in sizes]
    for number, stage in enumerate(stages):
        maps = convolved(value, number).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(margin(maps, number), maps)
        contribution = (maps * gradient)[0].detach().numpy()

        assert np.allclose(stage.activation, maps[0].detach().numpy(), atol=1e-4)
        assert np.allclose(stage.contribution, contribution, atol=1e-4 * np.abs(contribution).max())
        assert stage.contribution.min() < 0 < stage.contribution.max()
        value = functional.max_pool2d(maps.detach(), 2)


def test_the_strongest_maps_are_those_that_contribute_most() -> None:
    """Not the most active ones; contributions of both signs count; of equal ones the first comes first."""
    contribution = np.zeros((5, 2, 2), np.float32)
    contribution[1] = [[3, -3], [0, 0]]
    contribution[2] = [[1, 1], [1, 1]]
    contribution[4] = [[-5, 0], [0, 0]]
    activation = np.full_like(contribution, 9)
    activation[1] = 0.1

    assert strongest_maps(Stage(activation, contribution), 4) == [1, 4, 2, 0]
    assert strongest_maps(Stage(activation, contribution), 9) == [1, 4, 2, 0, 3]


def test_a_network_sure_beyond_float32_has_a_gradient_or_none_but_never_nan() -> None:
    """A probability of exactly 0 has no finite logarithm."""
    network = seeded(small)
    with torch.no_grad():
        list(network.parameters())[-1].copy_(torch.tensor([500.0, -500.0]))
    checkpoint = of(nn.Sequential(network, nn.Softmax(1)), "none")

    assert np.isfinite(find_saliency(checkpoint, noise(2)).gradient).all()


class Detached(nn.Module):
    """A network that autograd cannot look through."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = seeded(small)

    def forward(self, patches: Tensor) -> Tensor:
        """Return outputs that know nothing of the patches."""
        return self.inner(patches.detach())


class Rooted(nn.Module):
    """A network with an infinite slope at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = seeded(small)

    def forward(self, patches: Tensor) -> Tensor:
        """Return the outputs of square roots."""
        return self.inner(patches.clamp_min(0).sqrt())


@pytest.mark.parametrize("build", [Detached, Rooted, lambda: nn.Sequential(Detached(), nn.Softmax(1))])
def test_a_network_without_a_gradient_is_refused(build: Callable[[], nn.Module]) -> None:
    """A blank picture would say that nothing matters."""
    with pytest.raises(ModelError, match=r"no finite gradient, .*; save it without no_grad, detach"):
        find_saliency(of(build()), np.zeros((2, 2, 64, 64), np.float32))
