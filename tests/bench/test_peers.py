"""The peers of `bench --peers` run the bundle's own network; one that does not is not timed."""

import hashlib
import io
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from colvi_edge.bench.peers.installed import Missing, Peer, best_batch, installed_peers
from colvi_edge.bench.peers.layers import NotComparableError, read_layers
from colvi_edge.bench.peers.rebuilt import keras_model, torch_network
from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.bundle.manifest import Verification
from colvi_edge.bundle.opening import MANIFEST, SUMS
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.networks.patch_cnn import Activation, Probabilities, build_network
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, load_checkpoint
from colvi_edge.patches import normalise

# bioimageio.core leaves the weights' file for the garbage collector to close.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HAS_LITERT = find_spec("ai_edge_litert") is not None and find_spec("tensorflow") is not None


def verification_input(bundle: Bundle) -> NDArray[np.float32]:
    """Return the bundle's verification patches, normalised."""
    assert isinstance(bundle.config.verification, Verification)
    raw = np.load(io.BytesIO(bundle.read(bundle.config.verification.patches)))
    return normalise(raw, bundle.config.normalisation)


def summed_again(folder: Path) -> Bundle:
    """Open a bundle whose files were changed as if it had been exported so."""
    lines = (folder / SUMS).read_text().splitlines()
    sums = {name: sha256 for sha256, name in map(str.split, lines)}
    for name in sorted(sums, key=lambda name: name == MANIFEST):  # last: it names sums of the others
        old, sums[name] = sums[name], hashlib.sha256((folder / name).read_bytes()).hexdigest()
        manifest = (folder / MANIFEST).read_text().replace(old, sums[name])
        (folder / MANIFEST).write_text(manifest)
    (folder / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sums))
    return open_bundle(folder)


@pytest.fixture(scope="module")
def peers(demo_bundle: Bundle) -> dict[tuple[str, str], Peer | Missing]:
    """Return all peers of the demo bundle, by name and precision."""
    found = installed_peers(demo_bundle, verification_input(demo_bundle)[:16])
    return {(peer.name, peer.precision if isinstance(peer, Peer) else ""): peer for peer in found}


def test_everything_installed_takes_part(peers: dict[tuple[str, str], Peer | Missing]) -> None:
    """Torch twice, ONNX Runtime in both precisions, the model zoo's program; LiteRT where it is."""
    expected = {
        ("torch eager", "fp32"),
        ("torch channels_last", "fp32"),
        ("ONNX Runtime", "fp32"),
        ("ONNX Runtime", "int8-cpu"),
        ("bioimageio.core", "fp32"),
        *([("LiteRT", "fp32"), ("LiteRT", "int8")] if HAS_LITERT else [("LiteRT", "")]),
    }

    assert set(peers) == expected
    assert all(peer.version[0].isdigit() for peer in peers.values() if isinstance(peer, Peer))
    if not HAS_LITERT:
        assert peers["LiteRT", ""] == Missing("LiteRT", "ai_edge_litert is not installed")


def test_every_peer_answers_as_the_trained_network(
    demo_bundle: Bundle, peers: dict[tuple[str, str], Peer | Missing]
) -> None:
    """On patches that do not fill the last batch: FP32 to rounding, INT8 in its votes."""
    patches = verification_input(demo_bundle)[::-1][:37].copy()
    with torch.no_grad():
        expected = load_checkpoint(DEMO_CHECKPOINT).probabilities()(torch.from_numpy(patches)).numpy()

    for peer in peers.values():
        if isinstance(peer, Peer):
            found = peer.run(patches)

            assert found.shape == (37, 2), peer
            assert found.dtype == np.float32, peer
            np.testing.assert_allclose(
                found, expected, atol=1e-5 if peer.precision == "fp32" else 0.2, err_msg=peer.name
            )
            assert ((found[:, 0] > found[:, 1]) == (expected[:, 0] > expected[:, 1])).all(), peer


def test_a_peer_that_decides_otherwise_is_not_timed(copied_bundle: Path, demo_bundle: Bundle) -> None:
    """An INT8 file with another network in it, and references that FP32 misses by a hundredth."""
    torch.manual_seed(1)
    other = to_onnx(Probabilities(build_network("paper", 2), "softmax").eval(), 2, 64)
    (copied_bundle / "int8-cpu.onnx").write_bytes(other)
    reference = np.load(copied_bundle / "verification_probabilities.npy")
    reference[0] += np.where(reference[0] > 0.5, -0.01, 0.01).astype(np.float32)
    np.save(copied_bundle / "verification_probabilities.npy", reference)
    found = installed_peers(summed_again(copied_bundle), verification_input(demo_bundle)[:1])
    why = {missing.name: missing.why for missing in found if isinstance(missing, Missing)}

    assert not [peer for peer in found if isinstance(peer, Peer) and peer.precision == "fp32"]
    assert "not comparable: a probability moves by 0.01, at most 0.001 may" in why["torch eager fp32"]
    assert "votes agree" in why["ONNX Runtime int8-cpu"]


def test_what_bioimageio_refuses_is_told(copied_bundle: Path) -> None:
    """Its refusal, such as that of one release with newer pydantics, ends nothing but its own row."""
    manifest = yaml.safe_load((copied_bundle / MANIFEST).read_text())
    (copied_bundle / MANIFEST).write_text(yaml.safe_dump(manifest | {"name": "demo"}))
    bundle = summed_again(copied_bundle)
    found = {peer.name: peer for peer in installed_peers(bundle, verification_input(bundle)[:1])}
    refused = found["bioimageio.core"]

    assert isinstance(refused, Missing)
    assert "cannot read the bundle" in refused.why
    assert isinstance(found["torch eager"], Peer)


def test_a_network_that_is_no_chain_is_not_comparable(demo_bundle: Bundle, copied_bundle: Path) -> None:
    """Other runtimes cannot be given it; what reads ONNX still runs it."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 64 * 64, 2), nn.LeakyReLU(), nn.Softmax(1)).eval()
    (copied_bundle / "fp32.onnx").write_bytes(to_onnx(network, 2, 64))
    found = installed_peers(summed_again(copied_bundle), verification_input(demo_bundle)[:1])
    why = {missing.name: missing.why for missing in found if isinstance(missing, Missing)}

    assert why["torch"].startswith("not comparable: the network holds a LeakyRelu")
    assert "votes agree" in why["ONNX Runtime fp32"]


@pytest.mark.parametrize(("activation", "temperature"), [("softmax", 1.7), ("sigmoid", 1.0), ("none", 1.0)])
@pytest.mark.parametrize("name", ["paper", "published"])
def test_the_rebuilt_network_is_the_exported_one(
    name: str, activation: Activation, temperature: float
) -> None:
    """Padding, order of features, temperature and activation survive the way through ONNX."""
    torch.manual_seed(0)
    network = Probabilities(build_network(name, 3), activation, temperature).eval()
    rebuilt = torch_network(read_layers(to_onnx(network, 3, 64)))
    patches = torch.randn(3, 3, 64, 64)

    with torch.no_grad():
        torch.testing.assert_close(rebuilt(patches), network(patches), atol=1e-6, rtol=1e-5)


class Residual(nn.Module):
    """Adds its input again: a branch."""

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return twice the input, in a way that no exporter folds."""
        return patches + torch.relu(patches)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (nn.Conv2d(2, 2, 3, stride=2), "Conv"),
        (nn.Conv2d(2, 2, 3, dilation=2), "Conv"),
        (nn.Conv2d(2, 2, 3, groups=2), "Conv"),
        (nn.Conv2d(2, 2, 5, padding=1), "Conv"),
        (nn.Conv2d(2, 2, 3, bias=False), "Conv"),
        (nn.MaxPool2d(3, stride=2), "MaxPool"),
        (nn.MaxPool2d(2, padding=1), "MaxPool"),
        (nn.MaxPool2d(3, ceil_mode=True), "MaxPool"),
        (nn.AvgPool2d(2), "AveragePool"),
        (nn.Softmax(dim=2), "Softmax"),
        (nn.Flatten(2), "Shape"),
        (Residual(), "branches at its Add"),
    ],
)
def test_other_forms_of_the_layers_are_refused(part: nn.Module, named: str) -> None:
    """A stride, a dilation or an axis that the other runtimes would not be given is no chain of ours."""
    with pytest.raises(NotComparableError, match=named):
        read_layers(to_onnx(part.eval(), 2, 64))


def test_a_layer_beside_the_chain_is_refused() -> None:
    """Each layer takes what the one before it gave, not the patches once more."""
    patches = helper.make_tensor_value_info("patches", onnx.TensorProto.FLOAT, ["N", 2])
    found = helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, ["N", 2])
    nodes = [helper.make_node("Relu", ["patches"], ["a"]), helper.make_node("Sigmoid", ["patches"], ["b"])]
    network = helper.make_model(helper.make_graph(nodes, "two", [patches], [found])).SerializeToString()

    with pytest.raises(NotComparableError, match="branches at its Sigmoid"):
        read_layers(network)


def test_the_best_batch_is_taken() -> None:
    """Neither the smallest nor the largest, where one between them is fastest."""

    def call(patches: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep({1: 0.01, 16: 0.001, 64: 0.1}[len(patches)])
        return np.zeros((len(patches), 2), np.float32)

    assert best_batch(call, np.zeros((64, 2, 8, 8), np.float32)) == 16


@pytest.mark.skipif(not HAS_LITERT, reason="needs tensorflow and ai-edge-litert, which only --peers uses")
def test_keras_gets_the_published_network_right() -> None:
    """Features meet their weights although Keras flattens maps the other way round."""
    torch.manual_seed(0)
    network = Probabilities(build_network("published", 3), "sigmoid", 1.3).eval()
    patches = torch.randn(3, 3, 64, 64)
    rebuilt: Any = keras_model(read_layers(to_onnx(network, 3, 64)), (3, 64, 64))

    with torch.no_grad():
        np.testing.assert_allclose(
            rebuilt.predict(patches.numpy().transpose(0, 2, 3, 1), verbose=0), network(patches), atol=1e-5
        )


def test_asking_for_peers_loads_none() -> None:
    """They are imported when they are opened: the rest of bench runs without any."""
    code = "import sys, colvi_edge.bench.peers.installed\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}

    assert loaded.isdisjoint({"torch", "onnx", "onnxruntime", "tensorflow", "bioimageio", "ai_edge_litert"})
