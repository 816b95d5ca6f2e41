"""A built network on the GPU, run by classic TensorRT or TensorRT-RTX."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from colvi_edge.engines.tensorrt.jit_cache import COMPILES_WHEN_OPENED, JitCache
from colvi_edge.engines.tensorrt.logger import LOG, RUNTIME, VERSION, trt
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.kernels.variant import OutputType

if TYPE_CHECKING:
    import tensorrt_rtx


class TensorRtNetwork:
    """(N, C, h, w) -> (N, K) or (N, K, h, w) float32. Lives in the current context, and is closed in it.

    Attributes:
        input_type: what the network takes, in the kernel's words.
        patch: (C, h, w) of one patch; -1 where windows of any size are taken.
    """

    def __init__(self, plan: bytes, jit: Path) -> None:
        """Load an engine.

        Args:
            plan: as it was built, for this GPU and version.
            jit: file for what TensorRT-RTX compiles now.

        Raises:
            EngineUnavailableError: TensorRT refuses the engine, or there is not enough memory.
        """
        try:
            runtime = trt.Runtime(LOG)
        except TypeError as error:  # how the bindings say that the constructor gave a null pointer
            raise _refused("does not start") from error
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise _refused("cannot load the engine")
        self._jit = JitCache(jit) if COMPILES_WHEN_OPENED else None
        if self._jit:
            rtx_engine = cast("tensorrt_rtx.ICudaEngine", engine)
            context = rtx_engine.create_execution_context(self._jit.settings(rtx_engine))
        else:
            context = engine.create_execution_context()
        if context is None:
            raise _refused("cannot prepare the engine")
        self._runtime, self._engine, self._context = runtime, engine, context
        for name in (engine.get_tensor_name(number) for number in range(engine.num_io_tensors)):
            if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self._input = name
            else:
                self._output = name
        _, *patch = engine.get_tensor_shape(self._input)
        self.patch = tuple(patch)
        half = engine.get_tensor_dtype(self._input) == trt.float16
        self.input_type: OutputType = "f16" if half else "f32"

    def enqueue(self, shape: tuple[int, ...], windows: int, answers: int, stream: int) -> None:
        """Run the network; returns before that is done.

        Args:
            shape: (N, C, h, w) of the input, within what the engine was built for.
            windows: address of the input on the device.
            answers: of the output.
            stream: handle of a stream other than the default one.

        Raises:
            EngineUnavailableError: TensorRT cannot, in its words.
        """
        context = self._context
        ready = (
            context.set_input_shape(self._input, shape)
            and context.set_tensor_address(self._input, windows)
            and context.set_tensor_address(self._output, answers)
        )
        if not ready or not context.execute_async_v3(stream):
            raise _refused("cannot run the engine")

    def keep_compiled(self) -> None:
        """Keep what was compiled since the engine was loaded, for the next start."""
        if self._jit:
            self._jit.save()

    def close(self) -> None:
        """Free it all, in the order in which it depends on each other."""
        del self._context, self._engine, self._runtime, self._jit


def _refused(what: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"{RUNTIME} {VERSION} {what}: {LOG.last_error}; see that GPU memory is free, or use --engine openvino"
    )
