"""What `run` prints of results that stood before it."""

from collections import Counter
from collections.abc import Sequence

from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.pipeline import Kept, Outcome
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.printable import counted
from colvi_edge.terminal.console import error_console, shown


def show_standing(
    outcomes: Sequence[Outcome[InputFile]], judge: str, slot: str = "", *, quiet: bool = False
) -> None:
    """Print what became of a bundle's results that stood: which were kept, replaced, or outlasted an error.

    Args:
        outcomes: as `show_outcomes` returns them.
        judge: name and version of the model that judged.
        slot: of its results.
        quiet: print only what was not to be expected: another model's, and what is gone.
    """
    kept = Counter(
        (found.sidecar.model.label, found.is_other_model)
        for found in (outcome.result for outcome in outcomes)
        if isinstance(found, Kept)
    )
    previous = output_name("X", OutputKind.PREVIOUS, slot=slot)
    console = error_console()

    def say(words: str) -> None:
        console.print(shown(words))

    for (model, is_other), count in kept.items():
        if quiet and not is_other:
            continue
        are, were, them = ("is", "was", "it") if count == 1 else ("are", "were", "them")
        remedy = f"--stale judges {them} anew with {judge}" if is_other else f"--again judges {them}, too"
        say(f"{counted(count, 'result')} {are} of model {model} and {were} kept; {remedy}")
    replaced = sum(outcome.replaced for outcome in outcomes)
    if replaced and not quiet:
        was, it, them = ("was", "it was", "it") if replaced == 1 else ("were", "they were", "them")
        say(f"{counted(replaced, 'result')} {was} replaced; what {it} lies beside {them} as {previous}")
    if gone := sum(outcome.gone for outcome in outcomes):
        were, records = ("was", "its record lies") if gone == 1 else ("were", "their records lie")
        are, files = ("is", "the raw file") if gone == 1 else ("are", "the raw files")
        say(
            f"{counted(gone, 'result')} {were} of other content and {are} gone; {records} beside {files} as "
            f"{previous}"
        )
    if standing := sum(outcome.stands is not None for outcome in outcomes):
        say(f"{counted(standing, 'error')}: the earlier result of the same content stands")
