"""The cache of compiled networks, for the next start: reading one takes 45 ms, compiling it 100.

OpenVINO's own cache is not used: it loads a blob in which bytes have changed without a word, and
the network then decides otherwise (8 of 12 such blobs). Here each stands behind its SHA-256. Whatever
goes wrong with the cache, the network is compiled; it is never waited for and never an error.
"""

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from colvi_edge.engines.openvino.silent import openvino
from colvi_edge.errors import OutputError
from colvi_edge.system.stamped import read_stamped, write_stamped
from colvi_edge.system.state_directory import state_directory

_KEPT = 8
"""Blobs, of 1.5 MB each: a machine has one or two bundles, and now and then a new version."""


def compiled_network(
    core: openvino.Core,
    settings: Mapping[str, Any],
    made_of: Mapping[str, str],
    build: Callable[[], openvino.Model],
) -> openvino.CompiledModel:
    """Return a network compiled for this CPU: as it was kept, or else compiled now and kept.

    Args:
        core: OpenVINO.
        settings: what it is compiled with.
        made_of: all that the network depends on but settings, OpenVINO and this machine.
        build: makes the graph.
    """
    depends_on = {
        **made_of,
        "settings": sorted(settings.items()),
        "openvino": openvino.__version__,
        "device": core.get_property("CPU", "FULL_DEVICE_NAME"),
        "capabilities": core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        "cores": os.cpu_count(),
    }
    key = hashlib.sha256(repr(sorted(depends_on.items())).encode()).hexdigest()
    if kept := _kept(key):
        with suppress(RuntimeError):  # whole, but OpenVINO does not take it
            return core.import_model(io.BytesIO(kept), "CPU", settings)
    compiled = core.compile_model(build(), "CPU", settings)
    blob = io.BytesIO()
    compiled.export_model(blob)
    _keep(key, blob.getvalue())
    return compiled


def _file(key: str) -> Path:
    return state_directory() / "openvino" / f"{key[:32]}.blob"


def _kept(key: str) -> bytes | None:
    with suppress(OutputError):
        return read_stamped(_file(key))
    return None


def _keep(key: str, blob: bytes) -> None:
    with suppress(OSError, OutputError):
        file = _file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_stamped(file, blob)
        for old in sorted(file.parent.iterdir(), key=os.path.getmtime)[:-_KEPT]:
            old.unlink()
