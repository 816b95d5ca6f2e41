"""ONNX files of others: read with bounds, made a network of torch, and tried against ONNX Runtime.

The file goes to no reader but ours before every operator and every shape of it is known. What torch makes
of it is then compared with what ONNX Runtime makes of the very file.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.networks.patch_cnn import PATCH_PX, Activation
from colvi_edge.export.reading.foreign.words import FROM_ONE_OUTPUT, last_line
from colvi_edge.onnx.protobuf import DamagedError
from colvi_edge.onnx.reading import Graph, NetworkError, read_graph
from colvi_edge.printable import printable_name

from .forms import IR_VERSIONS, OPERATORS, OPSETS, in_known_form
from .network import FIXED_BATCH, OnnxNetwork

MOST_CHANNELS = 8
PATCHES = 16
"""That ONNX Runtime and torch both judge before the file is believed."""

_CLOSE = 1e-4
"""How far apart the two may be, of the largest output; another order of sums moves it by 1e-6."""

_HOW_TO_SAVE = (
    "export it with opset 17 and the usual layers (as of ResNet, DenseNet or U-Net), or save the network as "
    "TorchScript"
)
_ANY_BATCH = (
    "export it with dynamic_shapes=({0: torch.export.Dim('batch')},), or, with dynamo=False, "
    "dynamic_axes={'input': {0: 'batch'}}"
)

_ONE_OUTPUT = re.compile(r"gives (\d+) (x 1 )?float32 for \1 patches")


class OnnxModel(NamedTuple):
    """What a file holds.

    Attributes:
        network: gives what the file's graph gives.
        outputs: "none" where the graph ends in the softmax or sigmoid itself; None where that is not known.
        told: a sentence on how it was tried.
    """

    network: OnnxNetwork
    outputs: Activation | None
    told: str


def read_onnx(
    path: Path,
    channels: Sequence[str] | None = None,
    size: tuple[int, int] = (PATCH_PX, PATCH_PX),
    answers: Sequence[tuple[int, ...]] = ((2,),),
) -> OnnxModel:
    """Read an ONNX file of any maker.

    Args:
        path: of one input, (N, C, h, w) or (N, h, w, C) float32, and one output.
        channels: of the input; found out where they are not given.
        size: height and width of the input; of a network that takes any, those it is tried with.
        answers: what the output may be for each input, the first that fits.

    Raises:
        UsageError: several numbers of channels would do.
        ModelError: it holds more than a plain network, another one, or one that torch runs otherwise.
    """
    data = path.read_bytes()
    try:
        whole = read_graph(data, OPERATORS, OPSETS, IR_VERSIONS)
        graph = in_known_form(whole)
        counts = [len(channels)] if channels else range(1, MOST_CHANNELS + 1)
        network = _fitting(graph, path, counts, size, answers)
    except (NetworkError, DamagedError) as error:
        if "another file" in str(error):
            raise _in_two_files(path) from error
        raise ModelError(f"{path} {error}; {_remedy(str(error))}") from error
    difference = _compare(data, graph, network.eval(), path, size)
    told = (
        f"Read from an ONNX file (opset {whole.opset}): torch, the reference here, gives ONNX Runtime's "
        f"outputs of that file to within {difference:.0e} on {PATCHES} patches of noise."
    )
    return OnnxModel(network, _outputs_of(graph), told)


def _remedy(why: str) -> str:
    if _ONE_OUTPUT.search(why):
        return FROM_ONE_OUTPUT
    return _ANY_BATCH if FIXED_BATCH in why else _HOW_TO_SAVE


def _in_two_files(path: Path) -> ModelError:
    name = printable_name(path.name)
    return ModelError(
        f"{path} keeps its weights in another file, as torch writes {name}.data; save it as one file: "
        f"torch.onnx.export(..., external_data=False), or onnx.save(onnx.load('{name}'), 'one.onnx')"
    )


def _fitting(
    graph: Graph,
    path: Path,
    counts: Sequence[int],
    size: tuple[int, int],
    answers: Sequence[tuple[int, ...]],
) -> OnnxNetwork:
    """Return the graph as a network, with the place of its channels that fits what it says and does."""
    for what, declared in (("input", graph.inputs), ("output", graph.outputs)):
        if len(declared) != 1 or declared[0].dtype != np.float32:
            found = ", ".join(f"{one.name[:60]!a} {one.dtype}" for one in declared) or "none"
            raise NetworkError(f"has as {what} {found}, expected one of float32")
    dims = graph.inputs[0].dims
    places = [
        (count, last)
        for last in (False, True)
        for count in counts
        if len(dims) == 4
        and all(
            side in (None, wanted)
            for side, wanted in zip(dims[1:], (*size, count) if last else (count, *size), strict=True)
        )
    ]
    if not places:
        shape = " x ".join("N" if side is None else str(side) for side in dims)
        sides = f"{size[0]} x {size[1]}"
        wanted = "C" if len(counts) > 1 else str(counts[0])
        raise ModelError(
            f"{path} takes {shape or 'a number'}, expected patches N x {wanted} x {sides} or N x {sides} x "
            f"{wanted}; it must be made for {sides} pixels and its --channels"
        )
    networks, refusals = [], []
    for count, last in places:
        for answer in answers:
            try:
                networks.append(OnnxNetwork(graph, count, size, channels_last=last, answer=answer))
                break
            except NetworkError as error:
                refusals.append(error)
    if len(networks) > 1:
        found = " or ".join(str(network.channels) for network in networks)
        raise UsageError(f"{path} takes {found} channels; name them by --channels, such as collagen,nuclei")
    if not networks:
        raise refusals[0]
    return networks[0]


def _outputs_of(graph: Graph) -> Activation | None:
    """Return "none" for a graph whose last step makes probabilities; None where there is no such step."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    node = makers.get(graph.outputs[0].name)
    while node is not None and node.operator in ("Identity", "Reshape"):
        node = makers.get(node.inputs[0])
    return "none" if node is not None and node.operator in ("Softmax", "Sigmoid") else None


def _compare(data: bytes, graph: Graph, network: OnnxNetwork, path: Path, size: tuple[int, int]) -> float:
    """Return how far torch is from ONNX Runtime on noise.

    Raises:
        ModelError: too far, or ONNX Runtime does not run the file.
    """
    patches = _noise(network.channels, size)
    try:
        expected = _run(data, graph, patches.transpose(0, 2, 3, 1) if network.channels_last else patches)
    except Exception as error:  # its exceptions share no class
        raise ModelError(
            f"{path} is no network that ONNX Runtime {onnxruntime.__version__} runs ({last_line(error)}); "
            f"{_HOW_TO_SAVE}"
        ) from error
    with torch.inference_mode():
        found = network(torch.from_numpy(patches)).numpy()
    if found.shape != expected.shape:
        raise ModelError(
            f"{path} gives {expected.shape} for {PATCHES} patches, expected {found.shape}; {_HOW_TO_SAVE}"
        )
    difference = float(np.abs(found - expected).max())
    if not difference <= _CLOSE * max(1, float(np.abs(expected).max())):
        raise ModelError(
            f"{path} gives other outputs in torch than in ONNX Runtime, by up to {difference:.2g}; "
            "save the network as TorchScript"
        )
    return difference


def _run(data: bytes, graph: Graph, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    at_once = graph.inputs[0].dims[0] or len(patches)
    whole = np.resize(patches, (-(-len(patches) // at_once) * at_once, *patches.shape[1:]))
    parts = [session.run(None, {name: whole[k : k + at_once]})[0] for k in range(0, len(whole), at_once)]
    return np.concatenate(parts)[: len(patches)]


def _noise(channels: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return patches of four contrasts, some of them all above 0 as unnormalised pixels are."""
    noise = np.random.default_rng(0).standard_normal((PATCHES, channels, *size))
    scaled = noise * np.resize([0.3, 1.0, 3.0, 10.0], PATCHES).reshape(-1, 1, 1, 1)
    scaled[: PATCHES // 2] = np.abs(scaled[: PATCHES // 2])
    return np.ascontiguousarray(scaled, np.float32)
