"""The compiled kernel on the GPU: loaded from bytes and launched with pycuda.

Importing this needs pycuda and the driver; using it, a current context.
"""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from pycuda import driver

from colvi_edge.patches import Normalisation

from .variant import THREADS, OutputType, Variant, arguments, entry_name, grid


class Kernel:
    """All entry points of one binary of a variant. Belongs to the thread in whose context it was made."""

    def __init__(self, code: bytes, variant: Variant) -> None:
        """Load PTX or a cubin.

        Raises:
            pycuda.driver.Error: the driver refuses it, as it does code for another GPU or of a newer CUDA.
        """
        try:
            self._module = driver.module_from_buffer(code)
        except UnicodeDecodeError as error:  # pycuda reads a log, also where the driver has written none
            raise driver.LogicError("cuModuleLoadDataEx failed") from error
        self._variant = variant

    def launch(
        self,
        planes: NDArray[Any],
        raw: int,
        output: OutputType,
        patches: int,
        source: Sequence[int],
        normalisation: Normalisation,
        stream: driver.Stream,
        step: float = 1.0,
    ) -> None:
        """Project, tile and normalise images on the device; returns before that is done.

        Args:
            planes: (images, Z, C, H, W) uint8, uint16 or float32: what lies at `raw`, of which only
                the layout is looked at.
            raw: address of the pixels, for the device.
            output: type of the network's input.
            patches: address of (images, rows * cols, channels, P, P) of that type, or channels last.
            source: raw channel of each of the network's channels, -1 where that is empty.
            normalisation: its kind is the variant's.
            stream: to launch on.
            step: of int8 outputs.
        """
        patch_px = self._variant.patch_px
        packed = arguments(planes, source, patch_px, normalisation, step)
        function = self._module.get_function(entry_name(planes.dtype, output))
        function.prepare(["P", "P", f"{packed.nbytes}s"])
        images, _, _, height, width = planes.shape
        blocks = grid(images, height // patch_px, width // patch_px, self._variant)
        function.prepared_async_call(blocks, (THREADS, 1, 1), stream, raw, patches, packed.tobytes())
