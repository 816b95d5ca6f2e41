"""What TensorRT-RTX compiles on this GPU when an engine is opened, kept so that it is compiled once.

Classic TensorRT compiles when an engine is built, and has nothing to keep.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from colvi_edge.system.stamped import read_stamped, write_stamped

if TYPE_CHECKING:  # typings/tensorrt_rtx: what is used here, TensorRT-RTX alone has
    import tensorrt_rtx as trt
else:
    from colvi_edge.engines.tensorrt.logger import trt

COMPILES_WHEN_OPENED = hasattr(trt, "IRuntimeCache")
"""TensorRT-RTX, then."""


class JitCache:
    """The compiled code of one engine on this machine, in a file that may be lost or damaged at any time."""

    def __init__(self, file: Path) -> None:
        """Name the file; a name for each engine, GPU, driver and version of TensorRT-RTX."""
        self._file = file
        self._cache: trt.IRuntimeCache  # from settings() on
        self._kept = b""

    def settings(self, engine: "trt.ICudaEngine") -> "trt.IRuntimeConfig":
        """Return the runtime configuration of an engine that uses what was kept."""
        settings = engine.create_runtime_config()
        # Without this it compiles in the background and runs something slower until that is done.
        settings.dynamic_shapes_kernel_specialization_strategy = (
            trt.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        settings.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache = settings.create_runtime_cache()
        kept = read_stamped(self._file)
        if kept and self._cache.deserialize(kept):  # it checks for itself that the code is for this machine
            self._kept = kept
        settings.set_runtime_cache(self._cache)
        return settings

    def save(self) -> None:
        """Keep what was compiled since; where that fails, it is compiled again the next time."""
        compiled = bytes(self._cache.serialize() or b"")
        if compiled in (b"", self._kept):
            return
        with suppress(OSError):
            write_stamped(self._file, compiled)
            self._kept = compiled
