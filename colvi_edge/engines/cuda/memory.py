"""Memory for images that come one after the other: it grows with the largest and is then kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycuda import driver


class DeviceMemory:
    """Memory of the GPU."""

    def __init__(self) -> None:
        self._memory: driver.DeviceAllocation | None = None
        self._bytes = 0

    def at_least(self, size: int) -> int:
        """Return the address of so many bytes; another one than before, if these do not suffice."""
        if self._memory is None or size > self._bytes:
            self.close()  # first: the old and the new one together may not fit
            self._memory, self._bytes = driver.mem_alloc(size), size
        return int(self._memory)

    def close(self) -> None:
        """Give it back; asking again gets new memory."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.free()


class HostMemory:
    """Page-locked memory of the host, which asynchronous copies need, and which the GPU may read itself."""

    def __init__(self) -> None:
        self._memory: NDArray[np.uint8] | None = None

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array in it, with what was last there; an earlier one is not used any more."""
        size = int(np.prod(shape)) * dtype.itemsize
        if self._memory is None or size > self._memory.nbytes:
            self.close()
            self._memory = driver.pagelocked_empty(
                size, np.uint8, mem_flags=driver.host_alloc_flags.DEVICEMAP
            )
        return self._memory[:size].view(dtype).reshape(shape)

    def device_address(self) -> int:
        """Return the address by which the GPU reads it."""
        return int(self._memory.base.get_device_pointer())  # type: ignore[union-attr] # pycuda's allocation

    def close(self) -> None:
        """Give it back; asking again gets new memory."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.base.free()  # type: ignore[union-attr] # as above
