"""One thread that owns CUDA: its context, and everything that lives in it.

CUDA's context is current in one thread, pycuda frees what was made in a context only in the thread that
made it, and TensorRT uses the device's primary context. So what needs CUDA is made, used and closed
in a thread of its own, and other threads hand their work over.

Importing this without pycuda is the error that says what to install.
"""

import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, Generic, Protocol, TypeVar

from colvi_edge.engines.cuda.gpu import NO_GPU, find_gpu
from colvi_edge.errors import EngineLostError, EngineUnavailableError

try:
    from pycuda import driver
except ImportError as error:
    if find_gpu() is None:
        raise EngineUnavailableError(NO_GPU) from error
    raise EngineUnavailableError(
        f"pycuda does not load ({error}); run: pip install 'colvi-edge[tensorrt]' where the driver and the "
        "toolkit of CUDA are installed, or use --engine openvino"
    ) from error

CudaError: type[Exception] = driver.Error
"""What pycuda raises for an error of the driver."""


class Closeable(Protocol):
    """What is made, used and closed in the thread."""

    def close(self) -> None:
        """Free everything that lives in the context."""
        ...


T = TypeVar("T")
Content = TypeVar("Content", bound=Closeable)


class CudaThread(Generic[Content]):
    """Runs work in a thread with the primary context of the first GPU.

    Ends when it is closed, dropped, or when the interpreter exits: a thread that ended with a context
    of pycuda's still there would abort the process.
    """

    def __init__(self, make: Callable[[], Content]) -> None:
        """Start the thread and make its content there.

        Raises:
            EngineUnavailableError: CUDA finds no device that it can use, or not enough memory.
        """
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        made: Future[None] = Future()
        thread = Thread(target=_serve, args=(self._tasks, make, made), name="cuda", daemon=True)
        thread.start()
        self._end = weakref.finalize(self, _end, self._tasks, thread)
        try:
            made.result()
        except BaseException:
            self._end()
            raise

    def run(self, work: Callable[[Content], T]) -> T:
        """Do work on the content in the thread, and return what it returns or raise what it raises.

        Raises:
            EngineLostError: the device went away.
            EngineUnavailableError: there is not enough memory on the device.
        """
        if not self._end.alive:
            raise ValueError("the engine is closed")
        result: Future[T] = Future()
        self._tasks.put((work, result))
        return result.result()

    def close(self) -> None:
        """Close the content and end the thread; a second time does nothing.

        Never raises for CUDA's sake: what a lost device does not give back ends with the process.
        """
        self._end()


_Task = tuple[Callable[[Any], Any], "Future[Any]"]


def _end(tasks: "SimpleQueue[_Task | None]", thread: Thread) -> None:
    tasks.put(None)
    if thread is not current_thread():  # the garbage collector runs wherever it likes
        thread.join()


def _serve(tasks: "SimpleQueue[_Task | None]", make: Callable[[], Closeable], made: "Future[None]") -> None:
    try:
        context = _make_current()
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
        made.set_exception(_explained_at_start(error))
        return
    try:
        _serve_in_context(tasks, make, made)
    finally:
        # Not pop(): on a lost device that raises and leaves pycuda's stack of contexts filled, which
        # aborts the process at the end of the thread. This empties the stack whatever CUDA says.
        context.detach()


def _make_current() -> Any:
    driver.init()
    context = driver.Device(0).retain_primary_context()
    try:
        context.push()
    except BaseException:
        context.detach()  # pycuda's destructor would call the wrong function of the driver
        raise
    return context


def _serve_in_context(
    tasks: "SimpleQueue[_Task | None]", make: Callable[[], Closeable], made: "Future[None]"
) -> None:
    try:
        content = make()
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
        made.set_exception(_explained(error))
        return
    made.set_result(None)
    try:
        while (task := tasks.get()) is not None:
            work, result = task
            try:
                result.set_result(work(content))
            except BaseException as error:  # noqa: BLE001 - as above
                result.set_exception(_explained(error))
            del task, work, result
    finally:
        content.close()


def _explained_at_start(error: BaseException) -> BaseException:
    explained = error
    if isinstance(error, driver.Error):
        explained = EngineUnavailableError(
            f"CUDA does not start ({error}); see that nvidia-smi lists the GPU, or use --engine openvino"
        )
    return _let_go(error, explained)


def _explained(error: BaseException) -> BaseException:
    """Return what the other thread is to see."""
    explained = error
    try:
        driver.Context.synchronize()  # an error that comes again is the context's, for good
    except driver.Error as lost:
        explained = EngineLostError(
            f"the GPU went away ({lost}), as after a suspend or a fault (dmesg tells: NVRM, Xid); "
            "start colvi-edge again"
        )
    else:
        if isinstance(error, driver.MemoryError):
            explained = EngineUnavailableError(
                f"the GPU's memory does not suffice ({error}); end other programs that use it, or use "
                "--engine openvino"
            )
    return _let_go(error, explained)


def _let_go(error: BaseException, explained: BaseException) -> BaseException:
    """Return the explanation, and empty the error's frames, which hold what lives in the context."""
    if explained is not error:
        explained.__cause__ = error
    passed: BaseException | None = error
    while passed is not None:
        traceback.clear_frames(passed.__traceback__)
        passed = passed.__context__
    return explained
