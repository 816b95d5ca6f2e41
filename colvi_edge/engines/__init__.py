"""Engines: a bundle opened on one runtime and device. They know nothing of files and folders."""

from colvi_edge.engines.base import Engine, EngineInfo, blank_planes
from colvi_edge.engines.opening import open_engine

__all__ = ["Engine", "EngineInfo", "blank_planes", "open_engine"]
