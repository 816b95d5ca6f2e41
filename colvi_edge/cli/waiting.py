"""What is shown while somebody waits: a progress bar, which -q leaves out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import EngineUnavailableError

if TYPE_CHECKING:
    from colvi_edge.bundle import Bundle
    from colvi_edge.engines import Engine


@contextmanager
def progress_of(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a progress bar as `progress` does; if quiet none."""
    from colvi_edge.terminal.progress import progress

    if quiet:
        yield lambda: None
        return
    with progress(what, total) as advance:
        yield advance


@contextmanager
def share_of(what: str, *, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar as `progress_share` does; if quiet none."""
    from colvi_edge.terminal.progress import progress_share

    if quiet:
        yield lambda words, share: None
        return
    with progress_share(what) as tell:
        yield tell


def open_for(
    bundle: "Bundle", engine: EngineName, precision: PrecisionChoice, *, quiet: bool = False
) -> "Engine":
    """Open an engine, with a progress bar where it may have to be built first.

    Raises:
        ColviEdgeError: it cannot be had.
    """
    from colvi_edge.engines import open_engine
    from colvi_edge.engines.cuda.gpu import NO_GPU, find_gpu

    if engine is not EngineName.TENSORRT:
        return open_engine(bundle, engine, precision)
    if find_gpu() is None:
        raise EngineUnavailableError(f"--engine tensorrt: {NO_GPU}")
    with share_of("Building", quiet=quiet) as tell:  # which takes minutes on a Jetson
        return open_engine(bundle, engine, precision, tell)
