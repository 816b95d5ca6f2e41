"""TensorRT's module, and the logger that all of its objects share.

Importing this without TensorRT is the error that says what to install.
"""

from collections import deque
from typing import TYPE_CHECKING

from colvi_edge.engines.tensorrt.installed import load

if TYPE_CHECKING:  # typings/tensorrt, which holds what every TensorRT has
    import tensorrt

    trt = tensorrt
else:
    trt = load()

RUNTIME: str = trt.__name__
VERSION: str = trt.__version__


class Log(trt.ILogger):
    """Remembers errors and the layer list instead of printing thousands of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.errors: deque[str] = deque(maxlen=20)
        self.layers: tuple[str, ...] = ()

    def log(self, severity: "trt.ILogger.Severity", message: str) -> None:
        """Record one message; TensorRT calls this from any of its threads."""
        if int(severity) <= int(trt.ILogger.ERROR):
            self.errors.append(message)
        elif message.startswith("Layers:"):
            self.layers = tuple(line for line in message.splitlines() if "Name:" in line)

    @property
    def last_error(self) -> str:
        """The last error in TensorRT's words, on one line."""
        return " ".join(self.errors[-1].split()) if self.errors else "it gave no reason"


LOG = Log()
"""One for the process: TensorRT objects keep pointers to the logger that they were made with."""
