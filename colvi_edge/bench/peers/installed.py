"""What else can run a bundle's network on this machine, for a comparison in the same run.

Every peer gets normalised patches, the same weights, all cores of the CPU and the batch that it is
best at, and is timed only if it decides as the trained network does.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.bundle.opening import MANIFEST
from colvi_edge.bundle.parity import Comparison
from colvi_edge.engines.verification import compare_patches
from colvi_edge.patches import normalise
from colvi_edge.tasks.task import task_of

if TYPE_CHECKING:
    from colvi_edge.bench.peers.layers import Layer

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_BATCHES = (1, 16, 64, 256)
_FP32_TOLERANCE = 1e-3
"""Largest difference of a probability: what the model zoo's own test of a network allows."""


@dataclass(frozen=True)
class Peer:
    """A runtime that holds the bundle's network.

    Attributes:
        name, version: of the runtime.
        precision: as the bundle calls it, or "int8" where the runtime quantised the network itself.
        batch: patches a call, the fastest here of 1, 16, 64 and 256.
        run: (N, C, P, P) float32 normalised patches -> (N, 2) float32 probabilities.
    """

    name: str
    version: str
    precision: str
    batch: int
    run: Run


@dataclass(frozen=True)
class Missing:
    """A runtime that is not measured, and why, in words."""

    name: str
    why: str


@dataclass(frozen=True)
class _Candidate:
    """A peer before its batch is known; `call` takes any number of patches at once."""

    name: str
    version: str
    precision: str
    call: Run


def installed_peers(bundle: Bundle, calibration: NDArray[np.float32]) -> list[Peer | Missing]:
    """Open the bundle's network on every runtime that is installed; takes up to a minute.

    Args:
        bundle: whose FP32 network, and INT8 network for CPUs, is run.
        calibration: (N, C, P, P) normalised patches, such as those of the image that will be
            timed: the batch is chosen by them, and LiteRT quantises the network by them.

    Returns:
        A row for each runtime and precision. One that differs from the trained network's
        probabilities, which the bundle holds, is `Missing`.
    """
    candidates = [
        *_torch(bundle),
        *_onnxruntime(bundle),
        *_litert(bundle, calibration),
        *_bioimageio(bundle),
    ]
    return [
        found if isinstance(found, Missing) else _checked(found, bundle, calibration) for found in candidates
    ]


def _checked(candidate: _Candidate, bundle: Bundle, patches: NDArray[np.float32]) -> Peer | Missing:
    faults = _faults(candidate, bundle)
    if faults:
        return Missing(f"{candidate.name} {candidate.precision}", f"not comparable: {'; '.join(faults)}")
    batch = best_batch(candidate.call, patches)
    run = _batched(candidate.call, batch)
    return Peer(candidate.name, candidate.version, candidate.precision, batch, run)


def _faults(candidate: _Candidate, bundle: Bundle) -> list[str]:
    """Return what separates a peer from the trained network on the bundle's verification patches."""
    normalisation, task = bundle.config.normalisation, task_of(bundle.config.task)
    comparison = compare_patches(
        bundle, lambda patches: candidate.call(normalise(patches, normalisation)), task
    )
    if not isinstance(comparison, Comparison):
        return []
    faults = task.faults(comparison)
    if candidate.precision == "fp32" and comparison.largest_dp > _FP32_TOLERANCE:
        faults.append(f"a probability moves by {comparison.largest_dp:.2g}, at most {_FP32_TOLERANCE:g} may")
    return faults


def best_batch(call: Run, patches: NDArray[np.float32]) -> int:
    """Return the batch with which all patches took the shortest, one call before them for warm-up."""
    seconds = {}
    for batch in _BATCHES:
        if batch <= len(patches):
            call(patches[:batch])
            start = time.perf_counter()
            _batched(call, batch)(patches)
            seconds[batch] = time.perf_counter() - start
    return min(seconds, key=seconds.__getitem__)


def _batched(call: Run, batch: int) -> Run:
    return lambda patches: np.concatenate(
        [call(patches[start : start + batch]) for start in range(0, len(patches), batch)]
    )


def _torch(bundle: Bundle) -> Iterator[_Candidate | Missing]:
    layers = _layers(bundle, "torch", "torch")
    if isinstance(layers, Missing):
        yield layers
        return
    import torch

    from colvi_edge.bench.peers.rebuilt import torch_network

    for name, layout in (("eager", torch.contiguous_format), ("channels_last", torch.channels_last)):
        network = torch_network(layers).to(memory_format=layout)  # type: ignore[call-overload] # torch's stubs
        yield _Candidate(
            f"torch {name}", torch.__version__, "fp32", partial(_run_torch, torch, network, layout)
        )


def _run_torch(torch: Any, network: Any, layout: Any, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = network(
            torch.from_numpy(patches).contiguous(memory_format=layout)
        ).numpy()
    return found


def _onnxruntime(bundle: Bundle) -> Iterator[_Candidate | Missing]:
    if find_spec("onnxruntime") is None:
        yield _not_installed("ONNX Runtime", "onnxruntime")
        return
    import onnxruntime

    precisions: tuple[Precision, ...] = ("fp32", "int8-cpu")
    for precision in precisions:
        if precision not in bundle.config.precisions:
            yield Missing(f"ONNX Runtime {precision}", f"the bundle holds no {precision}")
            continue
        session = onnxruntime.InferenceSession(bundle.network(precision), providers=["CPUExecutionProvider"])
        yield _Candidate(
            "ONNX Runtime", onnxruntime.__version__, precision, partial(_run_onnxruntime, session)
        )


def _run_onnxruntime(session: Any, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: patches})[0]
    return found


def _litert(bundle: Bundle, calibration: NDArray[np.float32]) -> Iterator[_Candidate | Missing]:
    layers = _layers(bundle, "LiteRT", "ai_edge_litert", "tensorflow")
    if isinstance(layers, Missing):
        yield layers
        return
    from ai_edge_litert.interpreter import Interpreter

    from colvi_edge.bench.peers.rebuilt import to_tflite

    # In a process of its own: TensorFlow takes half a gigabyte, and threads, that would stay.
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_silence) as converter:
        networks = converter.submit(to_tflite, layers, calibration).result()
    for precision, network in networks.items():
        interpreter = Interpreter(model_content=network, num_threads=len(os.sched_getaffinity(0)))
        yield _Candidate("LiteRT", version("ai-edge-litert"), precision, partial(_run_litert, interpreter))


def _run_litert(interpreter: Any, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    [given], [got] = interpreter.get_input_details(), interpreter.get_output_details()
    last = patches.transpose(0, 2, 3, 1)  # TensorFlow's layout: 3 of 60 ms for 256 patches
    if given["shape"][0] != len(last):
        interpreter.resize_tensor_input(given["index"], last.shape)
        interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], last)
    interpreter.invoke()
    found: NDArray[np.float32] = interpreter.get_tensor(got["index"])
    return found


def _silence() -> None:
    """Turn off what this process prints; TensorFlow prints before it can be told not to."""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _bioimageio(bundle: Bundle) -> Iterator[_Candidate | Missing]:
    if find_spec("bioimageio") is None or find_spec("bioimageio.core") is None:
        yield _not_installed("bioimageio.core", "bioimageio.core")
        return
    from bioimageio.core import create_prediction_pipeline, load_model_description
    from bioimageio.core.digest_spec import create_sample_for_model

    try:  # without its I/O checks, which ask the network for what the manifest cites
        model = load_model_description(bundle.path / MANIFEST, perform_io_checks=False)
    except ValueError as error:  # so it calls its own failure with pydantic 2.12 and later
        why = " ".join(str(error).split())
        yield Missing(
            "bioimageio.core", f"it cannot read the bundle with pydantic {version('pydantic')}: {why}"
        )
        return
    pipeline = create_prediction_pipeline(model, weights_format="onnx")

    def call(patches: NDArray[np.float32]) -> NDArray[np.float32]:
        sample = create_sample_for_model(model, inputs={"patches": patches}, sample_id="patches")
        [predicted] = pipeline.predict_sample_without_blocking(sample).members.values()
        found: NDArray[np.float32] = predicted.data.to_numpy()
        return found

    yield _Candidate("bioimageio.core", version("bioimageio.core"), "fp32", call)


def _layers(bundle: Bundle, name: str, *modules: str) -> "list[Layer] | Missing":
    """Return the network as layers, or why a runtime that needs these modules cannot have it."""
    for module in (*modules, "onnx"):
        if find_spec(module) is None:
            return _not_installed(name, module)
    from colvi_edge.bench.peers.layers import NotComparableError, read_layers

    try:
        return read_layers(bundle.network("fp32"))
    except NotComparableError as error:
        return Missing(name, f"not comparable: {error}")


def _not_installed(name: str, module: str) -> Missing:
    return Missing(name, f"{module} is not installed")
