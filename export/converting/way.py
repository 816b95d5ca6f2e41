"""How a network of some kind is run in torch, calibrated, and compared: what an export asks of it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.manifest import Precision, Verification, VerificationRegion
from colvi_edge.bundle.window import Windows
from colvi_edge.engines.base import Engine
from colvi_edge.tasks.task import Compared, Task

from .calibration import Images
from .quantise import Held

Outcome = Any
"""What is compared of one image: what its task keeps of its field; None where that is no probabilities."""


class Known(NamedTuple):
    """A verification set: how the manifest names it, and its files."""

    named: Verification | VerificationRegion | None
    files: dict[str, bytes]


class Way(Protocol):
    """Patches, or windows and whole images."""

    @property
    def seen(self) -> str:
        """What the network is given, in one word."""
        ...

    @property
    def judged(self) -> int:
        """Of these so many are judged to choose between quantised forms."""
        ...

    @property
    def task(self) -> Task:
        """What the bundle answers."""
        ...

    @property
    def held(self) -> Sequence[Held | None]:
        """What stays in float in its quantised forms, in the order in which they are tried."""
        ...

    def to_onnx(self, *, half: bool = False) -> bytes:
        """Return the network as ONNX.

        Raises:
            ModelError: it cannot be written so, or is none that bundles take.
        """
        ...

    def reference(self, planes: NDArray[Any]) -> Outcome:
        """Return what torch in FP32 comes to for an image (Z, C, H, W).

        Raises:
            ModelError: the network's outputs are no probabilities.
        """
        ...

    def found(self, engine: Engine, planes: NDArray[Any]) -> Outcome:
        """Return what an engine comes to for the same."""
        ...

    def compare(self, expected: list[Outcome], found: list[Outcome]) -> Compared:
        """Compare what two networks come to for some images; `task.faults` says what is beyond tolerance."""
        ...

    def joins(
        self, compared: Compared, precision: Precision, open_with: Callable[[Windows], Engine], images: Images
    ) -> Compared:
        """Add how far windows are from the whole image, where the network sees windows.

        Args:
            compared: of a precision on a runtime.
            precision: which.
            open_with: opens the same bundle with another plan of windows.
            images: of which one is judged.
        """
        ...

    def calibration_windows(self, images: Images) -> NDArray[np.float32]:
        """Return normalised input (N, C, h, w) spread over images, a whole number of strides.

        Raises:
            UsageError: it is too little.
        """
        ...

    def apart(self, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> tuple[float, float]:
        """Return how far two networks' answers to windows are apart; less is better, the first first."""
        ...

    def is_close(self, apart: tuple[float, float]) -> bool:
        """Return whether that is so little that nothing more has to stay in float."""
        ...

    def known(self, images: Images, expected: list[Outcome]) -> Known:
        """Return what engines are tried with: raw pixels, and what torch gave for them."""
        ...

    def example(
        self, images: Images, expected: list[Outcome]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the test tensors of the model zoo: normalised input of N = 1, and the network's answer."""
        ...

    def worst(self, found: list[Outcome], expected: list[Outcome], images: Images) -> bytes | None:
        """Return what moved most, as an ImageJ stack to look at; None where nothing of the kind is kept."""
        ...
