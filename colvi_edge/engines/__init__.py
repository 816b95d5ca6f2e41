"""Engines: a bundle opened on one runtime and device. They know nothing of files and folders."""

import sys

from colvi_edge.engines.base import Engine, EngineInfo, blank_planes
from colvi_edge.engines.opening import open_engine

__all__ = ["Engine", "EngineInfo", "blank_planes", "open_engine"]

# `import openvino` writes into the home folder and tells a server on the internet that it was imported, by
# openvino-telemetry, unless that is missing. A program beside a microscope does neither.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None: as if it were missing
