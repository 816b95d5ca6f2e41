"""What `build` prints: how far it is, where the engine lies, and whether it decides as the network does."""

from contextlib import closing

import typer

from colvi_edge.bundle import open_bundle
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.cli.opening import open_for
from colvi_edge.engines.cuda.gpu import find_gpu
from colvi_edge.engines.precisions import precision_for
from colvi_edge.engines.tensorrt.for_this_machine import build_for_this_machine
from colvi_edge.printable import printable_name
from colvi_edge.terminal.progress import progress_share


def show_build(bundle: str, precision: PrecisionChoice, *, quiet: bool = False) -> None:
    """Build a TensorRT engine for this machine; where there is a GPU, try it on the bundle's own patches.

    Args:
        bundle: as `open_bundle` takes it.
        precision: a choice; int8 is the bundle's int8-trt.
        quiet: print nothing.

    Raises:
        ColviEdgeError: the bundle cannot be opened; the engine cannot be built, or decides otherwise.
    """
    opened = open_bundle(bundle)
    with progress_share("Building", quiet=quiet) as tell:
        engine = build_for_this_machine(opened, precision_for(EngineName.TENSORRT, precision), tell)
    if not quiet:
        typer.echo(printable_name(str(engine)))
    if find_gpu():
        with closing(open_for(opened, EngineName.TENSORRT, precision, quiet=quiet)) as running:
            if not quiet:
                typer.echo(printable_name(f"decides as the trained network does: {running.info.reason}"))
