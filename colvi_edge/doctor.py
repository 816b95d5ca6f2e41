"""What this machine has and lacks: engines, the shipped bundle, a self-test, an NVIDIA GPU.

And what an image is like, beside the limits of a bundle, before any network sees it.
"""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from colvi_edge import __version__
from colvi_edge.acquisition import Acquisition, acquire
from colvi_edge.acquisition.wanted import wanted_by
from colvi_edge.bundle import DEMO, Bundle, open_bundle
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines import blank_planes, open_engine
from colvi_edge.engines.cuda.gpu import Gpu, find_gpu
from colvi_edge.engines.cuda.kernel_choice import best_kernel
from colvi_edge.engines.precisions import precision_for
from colvi_edge.engines.tensorrt.installed import load
from colvi_edge.errors import AcquisitionError, BundleError, EngineUnavailableError, OutputError, ParityError
from colvi_edge.outputs.names import image_label
from colvi_edge.pipeline.diagnoser import laid_out
from colvi_edge.quality.familiarity import WORDS, Familiar
from colvi_edge.quality.rules import assess_for
from colvi_edge.system.confinement import MEMORY_BYTES, offered
from colvi_edge.system.machine import machine_mark


class Finding(NamedTuple):
    """One line of the doctor's report.

    Attributes:
        state: "ok", "note" (works, but could be better), "missing", or "rejected" of an image
            that is, or that cannot be judged at all.
        what: the part.
        words: what was found and, if it is not ok, the remedy.
        exit_code: 0, or what the command ends with because of this.
    """

    state: Literal["ok", "note", "missing", "rejected"]
    what: str
    words: str
    exit_code: int = 0


def examine() -> list[Finding]:
    """Return what was found, in the order in which things are needed."""
    findings = [*_software()]
    try:
        bundle = open_bundle(DEMO)
    except BundleError as error:
        return [
            *findings,
            Finding("missing", "demo bundle", f"{error}; or reinstall colvi-edge", error.exit_code),
        ]
    return [*findings, _confinement(), *_engines(bundle), *_gpu(bundle)]


def examine_image(path: Path, bundle_name: str, channels: Sequence[str] | None) -> Iterator[Finding]:
    """Yield what every image of a raw file is like, and what is wrong with it.

    Args:
        path: the raw file.
        bundle_name: whose training images it is compared with.
        channels: role of each channel, where the file does not say it itself.

    Raises:
        AcquisitionError: it cannot be read as an image of the assay.
        BundleError: the bundle cannot be opened.
    """
    bundle = open_bundle(bundle_name)
    familiar = Familiar.of(bundle)
    for image in acquire(path, channels=channels, wanted=wanted_by(bundle.config)):
        label = image_label(image.name, image.image_key)
        described = f"{_described(image)}; compared with {bundle.label}"
        try:
            laid_out(image, bundle.config)
        except AcquisitionError as error:  # its measures would be of nothing
            yield Finding("rejected", label, f"{error.words}; {described}", error.exit_code)
            continue
        found = assess_for(bundle.config, image, familiar)
        yield Finding("rejected" if found.is_rejected else "note" if found.flags else "ok", label, described)
        for one in found.measures:
            yield Finding(
                "ok" if one.is_familiar else "rejected",
                one.name,
                f"{one.value:.4g}, familiar from {one.low:.4g} to {one.high:.4g} (typically "
                f"{one.typical:.4g}): {WORDS[one.name].what}",
            )
        for flag in found.flags:
            yield Finding("rejected" if flag.severity == "reject" else "note", flag.name, flag.words)


def _described(image: Acquisition) -> str:
    planes, _, height, width = image.planes.shape
    size = f"pixels of {image.pixel_size_um:g} um" if image.pixel_size_um else "pixels of unknown size"
    return f"{width} x {height} {size}, planes: {planes}, {image.planes.dtype}, {', '.join(image.channels)}"


def _software() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    mark = f"; {machine_mark()} is its mark in the lock on shares" if machine_mark() else ""
    yield Finding("ok", "machine", f"{platform.system()} {platform.machine()}, {cores} cores{mark}")
    yield Finding("ok", "software", f"colvi-edge {__version__}, Python {platform.python_version()}")
    for package in ("numpy", "tifffile", "imagecodecs"):
        yield Finding("ok", package, version(package))


def _confinement() -> Finding:
    """Return what holds a model file of others, which export, evaluate and explain try out in a child."""
    kernel = offered()
    held = [
        *(["no file changes but drafts"] if kernel.landlock else []),
        *(["no TCP"] if kernel.landlock >= 4 and not kernel.seccomp else []),
        *(["no signals to others"] if kernel.landlock >= 6 else []),
        *(["no network and no programs"] if kernel.seccomp else []),
        f"memory within {MEMORY_BYTES >> 30} GiB",
        "bounded time",
    ]
    lacking = [
        *([] if kernel.landlock else ["Landlock (Linux 5.13)"]),
        *([] if kernel.seccomp else ["a seccomp filter (x86-64 or aarch64)"]),
    ]
    words = f"foreign models are tried out in a child process with {', '.join(held)}"
    if lacking:
        return Finding("note", "confinement", f"{words}; for more this kernel lacks {' and '.join(lacking)}")
    return Finding("ok", "confinement", f"{words} (Landlock {kernel.landlock}, seccomp)")


def _engines(bundle: Bundle) -> Iterator[Finding]:
    yield Finding("ok", "demo bundle", f"{bundle.label}, every file as exported")
    engines = [_engine(bundle, name) for name in (EngineName.OPENVINO, EngineName.ONNXRUNTIME)]
    if all(finding.state == "missing" for finding in engines):
        yield from (finding._replace(exit_code=EngineUnavailableError.exit_code) for finding in engines)
    else:
        # One engine is enough: the other ones are a choice.
        for finding in engines:
            optional = finding._replace(state="note", words=f"optional; {finding.words}")
            yield optional if finding.state == "missing" else finding


def _engine(bundle: Bundle, name: EngineName) -> Finding:
    try:
        with closing(open_engine(bundle, name)) as engine:
            blank = blank_planes(bundle.config, patches=1)
            noise = np.random.default_rng(0).poisson(100, blank.shape)
            found = engine.field(noise.astype(blank.dtype))
    except (EngineUnavailableError, ParityError) as error:
        return Finding("missing", name.value, str(error))
    if found.shape[2:] != (len(bundle.config.task.classes),) or not np.isfinite(found).all():
        first = found[0, 0].tolist()
        return Finding("missing", name.value, f"self-test gave {first}; reinstall {name.value}")
    return Finding("ok", name.value, f"{engine.info.version} on {engine.info.device}, self-test passed")


def _gpu(bundle: Bundle) -> Iterator[Finding]:
    gpu = find_gpu()
    if gpu is None:
        yield Finding(
            "note", "NVIDIA GPU", "none that a driver finds (see nvidia-smi); the CPU judges images"
        )
        return
    yield Finding(
        "ok",
        "NVIDIA GPU",
        f"{gpu.name}, compute capability {gpu.compute_capability}, CUDA {gpu.cuda_version}",
    )
    parts = [
        _part("TensorRT", _tensorrt),
        _part("pycuda", _pycuda),
        _part("CUDA kernels", lambda: _kernels(bundle, gpu)),
    ]
    yield from parts
    if all(part.state == "ok" for part in parts):
        yield _built(bundle)


def _part(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", what, look())
    except EngineUnavailableError as error:
        return Finding("note", what, f"the GPU is not used: {error}")


def _tensorrt() -> str:
    module = load()
    return f"{module.__name__} {module.__version__}"


def _pycuda() -> str:
    import colvi_edge.engines.cuda.thread  # noqa: F401 - says what to install

    return version("pycuda")


def _kernels(bundle: Bundle, gpu: Gpu) -> str:
    major, minor = map(int, gpu.compute_capability.split("."))
    return f"{best_kernel(bundle.config.kernels, (major, minor)).target} of the bundle {bundle.name}"


def _built(bundle: Bundle) -> Finding:
    from colvi_edge.engines.tensorrt.for_this_machine import is_built

    precision = precision_for(EngineName.TENSORRT, PrecisionChoice.AUTO)
    try:
        if is_built(bundle, precision):
            return _engine(bundle, EngineName.TENSORRT)
    except OutputError as error:
        return Finding("note", EngineName.TENSORRT.value, str(error))
    return Finding(
        "note",
        EngineName.TENSORRT.value,
        f"no {precision} engine of the demo bundle was built here; run: colvi-edge build demo",
    )
