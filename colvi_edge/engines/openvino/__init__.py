"""The engine on OpenVINO: the default on x86 and Arm CPUs."""

from colvi_edge.engines.openvino.engine import OpenVinoEngine

__all__ = ["OpenVinoEngine"]
