"""What this machine has and lacks: engines, the shipped bundle, a self-test, an NVIDIA GPU."""

import os
import platform
from collections.abc import Iterator
from contextlib import closing
from ctypes import CDLL, byref, c_int
from importlib.metadata import version
from typing import Literal, NamedTuple

import numpy as np

from colvi_edge import __version__
from colvi_edge.bundle import DEMO, Bundle, open_bundle
from colvi_edge.choices import EngineName
from colvi_edge.engines import open_engine
from colvi_edge.errors import BundleError, EngineUnavailableError


class Finding(NamedTuple):
    """One line of the doctor's report.

    Attributes:
        state: "ok", "note" (works, but could be better) or "missing".
        what: the part.
        words: what was found and, if it is not ok, the remedy.
        exit_code: 0, or what the command ends with because of this.
    """

    state: Literal["ok", "note", "missing"]
    what: str
    words: str
    exit_code: int = 0


def examine() -> list[Finding]:
    """Return what was found, in the order in which things are needed."""
    return [*_software(), *_bundle_and_engines(), _gpu()]


def _software() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    yield Finding("ok", "machine", f"{platform.system()} {platform.machine()}, {cores} cores")
    yield Finding("ok", "software", f"colvi-edge {__version__}, Python {platform.python_version()}")
    for package in ("numpy", "tifffile", "imagecodecs"):
        yield Finding("ok", package, version(package))


def _bundle_and_engines() -> Iterator[Finding]:
    try:
        bundle = open_bundle(DEMO)
    except BundleError as error:
        yield Finding("missing", "demo bundle", f"{error}; or reinstall colvi-edge", error.exit_code)
        return
    yield Finding("ok", "demo bundle", f"{bundle.name} {bundle.version}, every file as exported")
    engines = [_engine(bundle, name) for name in EngineName if name is not EngineName.AUTO]
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
            patch_px, channels = bundle.config.patch_px, len(bundle.config.channels)
            noise = np.random.default_rng(0).poisson(500, (1, channels, patch_px, patch_px))
            found = engine.probabilities(noise.astype(np.uint16))
    except EngineUnavailableError as error:
        return Finding("missing", name.value, str(error))
    if found.shape != (1, 1, 2) or not np.isfinite(found).all():
        return Finding("missing", name.value, f"self-test gave {found.tolist()}; reinstall {name.value}")
    return Finding("ok", name.value, f"{engine.info.version} on {engine.info.device}, self-test passed")


def _gpu() -> Finding:
    try:
        driver = CDLL("libcuda.so.1")
    except OSError:
        return Finding("note", "NVIDIA GPU", "no driver (libcuda.so.1); images are judged on the CPU")
    count = c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(byref(count)) or not count.value:
        return Finding("note", "NVIDIA GPU", "the driver is there but finds no GPU; check nvidia-smi")
    return Finding("note", "NVIDIA GPU", f"{count.value} found; this version judges on the CPU")
