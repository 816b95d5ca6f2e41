"""What `run` warns of, and what `run -v` tells besides: what judges, on what and why; how long images took.

On standard error, so that what --json prints stays data.
"""

from collections.abc import Mapping
from dataclasses import asdict

from colvi_edge.acquisition import Limits
from colvi_edge.bundle import Bundle
from colvi_edge.cli.line.variables import warn
from colvi_edge.engines import Engine
from colvi_edge.engines.precisions import doubt_of
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline import Kept, Outcome
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.printable import unambiguous_name
from colvi_edge.terminal.console import print_note


def warn_of_doubts(bundles: Mapping[str, Bundle], engines: Mapping[str, Engine]) -> None:
    """Print a warning for each bundle that is run in a precision that failed the gate of its export."""
    for slot, bundle in bundles.items():
        info = engines[slot].info
        if doubt := doubt_of(bundle.config.precisions[info.precision], info.runtime):
            warn(f"{info.precision} of {bundle.label} {doubt}; it may decide unlike the trained network")


def show_reasons(bundles: Mapping[str, Bundle], engines: Mapping[str, Engine], limits: Limits) -> None:
    """Print what judges, on what and why, and what a raw file may ask for."""
    for slot, bundle in bundles.items():
        info = engines[slot].info
        print_note(f"model: {bundle.label}, {bundle.path}, SHA-256 {bundle.sha256}")
        print_note(f"engine: {info.label}, {info.precision} on {info.device}: {info.reason}")
    print_note(f"limits: {', '.join(f'{name}={number}' for name, number in asdict(limits).items())}")


def show_stages(outcome: Outcome[InputFile]) -> None:
    """Print what became of an image and, if it was judged, how many milliseconds each stage took."""
    result = outcome.result
    name = unambiguous_name(image_label(outcome.file.path, outcome.image_key, outcome.slot))
    if isinstance(result, Sidecar):
        stages = ", ".join(f"{stage} {took:.1f}" for stage, took in result.timings_ms.items())
        print_note(f"{name}: {stages} ms")
    elif isinstance(result, Kept):
        print_note(f"{name}: kept")
    elif isinstance(result, Exception):
        print_note(f"{name}: error, {result.kind}")
