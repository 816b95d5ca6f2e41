"""The fake driver catches what it is there for; what it lets through, tests on it would let through too."""

import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.pycuda


@pytest.fixture
def driver(cuda: Any) -> Iterator[Any]:
    """Return pycuda's driver with a context."""
    from pycuda import driver

    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    yield driver
    context.detach()


def test_copies_beyond_the_memory(driver: Any) -> None:
    """One byte too many, up or down."""
    host = driver.pagelocked_empty(1001, np.uint8)
    memory, stream = driver.mem_alloc(1000), driver.Stream()

    driver.memcpy_htod_async(memory, host[:1000], stream)
    with pytest.raises(driver.LogicError):
        driver.memcpy_htod_async(memory, host, stream)
    with pytest.raises(driver.LogicError):
        driver.memcpy_dtoh_async(host, memory, stream)
    with pytest.raises(driver.LogicError):
        driver.memcpy_htod_async(int(memory) + 1, host[:1000], stream)


def test_asynchronous_copies_of_ordinary_memory(driver: Any) -> None:
    """CUDA would do them, but not asynchronously."""
    with pytest.raises(driver.LogicError):
        driver.memcpy_htod_async(driver.mem_alloc(8), np.zeros(8, np.uint8), driver.Stream())


def test_a_missing_wait_shows(driver: Any) -> None:
    """Nothing is done before somebody waits for it."""
    up, down = driver.pagelocked_empty(8, np.uint8), driver.pagelocked_empty(8, np.uint8)
    memory, stream = driver.mem_alloc(8), driver.Stream()
    up[:], down[:] = 7, 0
    driver.memcpy_htod_async(memory, up, stream)
    driver.memcpy_dtoh_async(down, memory, stream)
    before = down.copy()
    stream.synchronize()

    assert (before == 0).all()
    assert (down == 7).all()


def test_writing_beyond_the_memory(driver: Any, cuda: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """As a kernel could, whose pixels nobody watches; seen when the memory is freed."""
    memory = driver.mem_alloc(8)
    ctypes.memset(int(memory) + 8, 0, 1)
    memory.free()

    assert "something wrote beyond the device's memory" in capfd.readouterr().err


def test_a_thread_without_the_context(driver: Any) -> None:
    """A context is current in one thread, not in the process."""
    found: list[BaseException] = []

    def allocate() -> None:
        try:
            driver.mem_alloc(8)
        except driver.Error as error:
            found.append(error)

    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()

    assert "201" in str(found[0])


def test_waiting_while_a_stream_is_recorded(driver: Any) -> None:
    """Is refused, and spoils the recording."""
    library = ctypes.CDLL("libcuda.so.1")
    stream, graph = driver.Stream(), ctypes.c_void_p()
    handle = ctypes.c_void_p(stream.handle)

    assert library.cuStreamBeginCapture_v2(handle, 2) == 0
    with pytest.raises(driver.Error, match="900"):
        stream.synchronize()
    assert library.cuStreamEndCapture(handle, ctypes.byref(graph)) == 901
    stream.synchronize()


def test_memory_that_is_not_mapped(driver: Any) -> None:
    """The GPU reads only what was asked to be read by it."""
    plain = driver.pagelocked_empty(8, np.uint8)
    mapped = driver.pagelocked_empty(8, np.uint8, mem_flags=driver.host_alloc_flags.DEVICEMAP)

    assert mapped.base.get_device_pointer()
    with pytest.raises(driver.LogicError):
        plain.base.get_device_pointer()


def test_code_for_another_processor(driver: Any, demo_bundle: Any) -> None:
    """The shipped kernels are for real GPUs: neither their PTX nor a cubin loads here."""
    for kernel in demo_bundle.config.kernels:
        with pytest.raises(driver.Error, match="cuModuleLoadDataEx failed"):
            driver.module_from_buffer(demo_bundle.kernel(kernel))


def test_what_is_left_is_counted(driver: Any, cuda: Any) -> None:
    """Of each kind, until it is freed."""
    assert cuda.live() == {"contexts": 1}
    stream, memory = driver.Stream(), driver.mem_alloc(8)
    host = driver.pagelocked_empty(8, np.uint8)
    assert cuda.live() == {"contexts": 1, "streams": 1, "device memory": 1, "host memory": 1}
    del stream, memory, host
    assert cuda.live() == {"contexts": 1}
