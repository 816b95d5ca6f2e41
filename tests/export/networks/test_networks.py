"""The paper's CNN and the published one: their size, their arithmetic, and the activation on top."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.networks.patch_cnn import NETWORKS, Probabilities, Turned, build_network, network_with

Floats = NDArray[np.float64]


def convolved(image: Floats, weight: Floats, bias: Floats, *, zeros: bool = True) -> Floats:
    """Convolve (C, H, W) with (F, C, 3, 3), zeros around, ReLU, and keep the largest of each 2 x 2."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1))) if zeros else image
    windows = sliding_window_view(padded, (3, 3), axis=(1, 2))
    summed = np.einsum("chwyx,fcyx->fhw", windows, weight, optimize=True) + bias[:, np.newaxis, np.newaxis]
    rectified = np.maximum(summed, 0)
    filters, height, width = rectified.shape
    even = rectified[:, : height // 2 * 2, : width // 2 * 2]
    pooled: Floats = even.reshape(filters, height // 2, 2, width // 2, 2).max(axis=(2, 4))
    return pooled


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("paper", 2, 402_340),
        ("paper", 3, 403_492),
        ("published", 2, 267_940),
        ("published", 3, 269_092),
    ],
)
def test_the_networks_have_the_size_of_their_layers(name: str, channels: int, parameters: int) -> None:
    """The parameters are as many as the layers of the paper, and of the published code, have."""
    dense = {"paper": 8 * 8, "published": 6 * 6}[name] * 32
    by_hand = (9 * channels + 1) * 128 + (9 * 128 + 1) * 64 + (9 * 64 + 1) * 32 + (dense + 1) * 150 + 151 * 2
    network = build_network(name, channels)

    assert sum(parameter.numel() for parameter in network.parameters()) == parameters == by_hand


@pytest.mark.parametrize(
    ("name", "zeros"), [("paper", (True, True, True)), ("published", (True, False, False))]
)
def test_the_networks_compute_what_is_written_of_them(name: str, zeros: tuple[bool, ...]) -> None:
    """Three convolutions with ReLU and pooling, two dense layers: the logits equal plain NumPy."""
    torch.manual_seed(0)
    network = build_network(name, 2).eval()
    patch = np.random.default_rng(0).standard_normal((2, 64, 64))
    weights = [parameter.detach().double().numpy() for parameter in network.parameters()]
    hidden = patch
    for layer in range(3):
        hidden = convolved(hidden, weights[2 * layer], weights[2 * layer + 1], zeros=zeros[layer])
    dense = np.maximum(weights[6] @ hidden.ravel() + weights[7], 0)
    expected = weights[8] @ dense + weights[9]
    with torch.inference_mode():
        logits = network(torch.from_numpy(patch).float()[None])[0].numpy()

    assert dense.shape == (150,)
    assert logits == pytest.approx(expected, abs=1e-5)


def test_dropout_is_for_training_only() -> None:
    """Half of the dense layer is dropped in training, nothing in use."""
    network = build_network("paper", 2)
    patches = torch.randn(1, 2, 64, 64)

    assert not torch.equal(network.train()(patches), network(patches))
    assert torch.equal(network.eval()(patches), network(patches))


@pytest.mark.parametrize(
    ("activation", "temperature", "expected"),
    [
        ("softmax", 1.0, (0.880797, 0.119203)),
        ("softmax", 2.0, (0.731059, 0.268941)),
        ("sigmoid", 1.0, (0.880797, 0.5)),
        ("sigmoid", 2.0, (0.731059, 0.5)),
        ("none", 1.0, (2.0, 0.0)),
    ],
)
def test_activation(activation: str, temperature: float, expected: tuple[float, float]) -> None:
    """Logits (2, 0) become what the formulas of softmax and sigmoid give, in float32."""
    logits = torch.tensor([[2.0, 0.0]], dtype=torch.bfloat16)
    result = Probabilities(torch.nn.Identity(), activation, temperature)(logits)  # type: ignore[arg-type]

    assert result.dtype == torch.float32
    assert result[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("activation", "temperature"), [("softmax", 0.0), ("softmax", -1.0), ("none", 2.0)])
def test_senseless_temperatures_are_refused(activation: str, temperature: float) -> None:
    """A temperature must be above 0, and needs logits to divide."""
    with pytest.raises(ValueError, match="temperature"):
        Probabilities(torch.nn.Identity(), activation, temperature)  # type: ignore[arg-type]


def test_unknown_networks_are_refused() -> None:
    """The sentence names what was asked for and what there is."""
    with pytest.raises(UsageError, match="no network 'vgg'; choose 'paper' or 'published'"):
        build_network("vgg", 2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_tensors_have_the_same_shape(name: str, channels: int) -> None:
    """That is what lets `network_with` leave a file's names alone."""
    shapes = [tensor.shape for tensor in build_network(name, channels).state_dict().values()]

    assert len({*shapes}) == len(shapes) == 10


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_told_by_their_shapes(name: str) -> None:
    """Under other names, in another order and in another precision, they make the same network."""
    torch.manual_seed(1)
    trained = build_network(name, 3).eval()
    weights = {f"w{k}": tensor.double() for k, tensor in enumerate(reversed(trained.state_dict().values()))}
    network = network_with(weights, name)
    patches = torch.randn(2, 3, 64, 64)

    assert not network.training
    assert torch.equal(network(patches), trained(patches))
    with pytest.raises(ModelError, match=f"the file fits network '{name}'"):
        network_with(weights, next(other for other in NETWORKS if other != name))


def test_turned_outputs() -> None:
    """(patient, control) becomes (control, patient) for every patch."""
    assert Turned(torch.nn.Identity())(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[2, 1], [4, 3]]
