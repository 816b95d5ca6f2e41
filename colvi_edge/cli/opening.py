"""An engine is opened for a command, with a progress bar where that takes minutes."""

from typing import TYPE_CHECKING

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import EngineUnavailableError

if TYPE_CHECKING:
    from colvi_edge.bundle import Bundle
    from colvi_edge.engines import Engine


def open_for(
    bundle: "Bundle", engine: EngineName, precision: PrecisionChoice, *, quiet: bool = False
) -> "Engine":
    """Open an engine, with a progress bar where it may have to be built first; if quiet without.

    Raises:
        ColviEdgeError: it cannot be had.
    """
    from colvi_edge.engines import open_engine
    from colvi_edge.engines.cuda.gpu import NO_GPU, find_gpu
    from colvi_edge.terminal.progress import progress_share

    if engine is not EngineName.TENSORRT:
        return open_engine(bundle, engine, precision)
    if find_gpu() is None:
        raise EngineUnavailableError(f"--engine tensorrt: {NO_GPU}")
    with progress_share("Building", quiet=quiet) as tell:  # which takes minutes on a Jetson
        return open_engine(bundle, engine, precision, tell)
