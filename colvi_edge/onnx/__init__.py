"""What an ONNX file is, found out without running it and without the `onnx` package."""

from colvi_edge.onnx.network import check_dense_network, check_network
from colvi_edge.onnx.reading import NetworkError

__all__ = ["NetworkError", "check_dense_network", "check_network"]
