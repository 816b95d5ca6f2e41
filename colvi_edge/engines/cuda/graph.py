"""CUDA graphs, which pycuda does not have: a sequence of launches, recorded once, started by one call.

The driver's own functions, on the handle of a stream of pycuda's.
"""

import ctypes
from collections.abc import Callable

_RELAXED = 2  # CU_STREAM_CAPTURE_MODE_RELAXED: TensorRT may do what other modes forbid


class CudaGraphError(Exception):
    """The driver refuses; work that cannot be recorded can still be done launch by launch."""


class CudaGraph:
    """Work on a stream, recorded with the addresses and sizes that it had.

    Lives in the current context, and is closed in it.
    """

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        """Record work, which is not done.

        Args:
            stream: handle of a stream other than the default one; nothing else may use it meanwhile.
            work: launches on this stream and waits for nothing.

        Raises:
            CudaGraphError: something in it cannot be recorded.
        """
        self._cuda = ctypes.CDLL("libcuda.so.1")
        self._stream = ctypes.c_void_p(stream)
        self._graph = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, _RELAXED)
        try:
            work()
        except BaseException:  # a stream that goes on recording would refuse all that follows
            self._cuda.cuStreamEndCapture(self._stream, ctypes.byref(graph))
            if graph:
                self._cuda.cuGraphDestroy(graph)
            raise
        self._call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._graph), graph, ctypes.c_ulonglong(0))
        finally:
            self._cuda.cuGraphDestroy(graph)

    def launch(self) -> None:
        """Do the work, on the stream."""
        self._call("cuGraphLaunch", self._graph, self._stream)

    def close(self) -> None:
        """Free the recording; a second time does nothing."""
        if self._graph:
            self._cuda.cuGraphExecDestroy(self._graph)
            self._graph = ctypes.c_void_p()

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._cuda, name)(*arguments)
        if code:
            raise CudaGraphError(f"{name} failed with CUDA error {code}")
