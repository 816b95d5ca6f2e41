"""`colvi-edge demo`: a short simulated acquisition, diagnosed, and its nuclei outlined.

A control and a patient on three days, whose names carry sample and date as a lab's do, so that the report
shows their scores over time; the patient gets better, a little, as under a therapy. And a patient's Z-stack.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.text import Text

from colvi_edge.choices import DEMOS, Replace
from colvi_edge.cli.interruption import interruptible
from colvi_edge.cli.show.run import show_outcomes
from colvi_edge.engines import EngineInfo, open_engine
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline import process
from colvi_edge.pipeline.bundles import open_bundles
from colvi_edge.pipeline.cascade import diagnosers_of
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.report.page_of_folder import Report
from colvi_edge.simulate import (
    image_seed,
    simulate_mask,
    simulate_planes,
    simulate_projection,
    write_imagej,
)
from colvi_edge.simulate.images import refuse_foreign
from colvi_edge.tasks.classify import ClassName
from colvi_edge.terminal.console import PrintableConsole, shown, wide_console
from colvi_edge.terminal.progress import progress
from colvi_edge.terminal.tables import print_words

_DAYS = ("2026-11-03", "2026-11-10", "2026-11-17")
_SEVERITIES: dict[ClassName, tuple[float | None, ...]] = {"control": (None,) * 3, "patient": (0.5, 0.3, 0.1)}


def run_demo(folder: Path, seed: int, when_loaded: Callable[[], None] = lambda: None) -> int:
    """Simulate into a folder, judge what was simulated, print tables and where to look.

    Args:
        folder: gets control/, patient/ and stacks/; files of other origin are never overwritten.
        seed: of the simulation.
        when_loaded: called when the engines are open, before the first image.

    Returns:
        The exit code: 1 if an image could not be read or judged.
    """
    page = folder / "report.html"
    refuse_other(Named.REPORT, page)
    nuclei = _acquire(folder, seed)
    bundles = open_bundles(DEMOS)
    labels = {slot: bundle.label for slot, bundle in bundles.items()}
    files = find_inputs(list(nuclei))
    with ExitStack() as running, interruptible() as is_stopped:
        engines = {
            slot: running.enter_context(closing(open_engine(bundle))) for slot, bundle in bundles.items()
        }
        diagnosers = diagnosers_of(bundles, engines, replace=Replace.ALL)
        when_loaded()
        done = process(diagnosers, files, is_stopped)
        outcomes = show_outcomes(done, len(files), [folder], as_json=False, with_report=False, judges=labels)
        infos = [engine.info for engine in engines.values()]
    results = [(one.file.raw, one.result) for one in outcomes if isinstance(one.result, Sidecar)]
    example, outlined = (  # of a patient, with all colours
        files[-2].raw.with_name(output_name(files[-2].raw.name, OutputKind.OVERLAY, slot=slot))
        for slot in bundles
    )
    Report(folder, page).write()
    console = wide_console()
    console.print()
    _print_models(console, labels.values(), infos)
    for line in _compared(results, nuclei):
        console.print(line)
    console.print(f"Look at   {shown(str(page))}: all of them, and scores over time", soft_wrap=True)
    console.print(f"          {shown(str(example))}", soft_wrap=True)
    console.print(f"          {shown(str(outlined))}: its nuclei", soft_wrap=True)
    console.print(
        f"          {shown(str(example.parent))}: drag .geojson into QuPath, .rois.zip into Fiji",
        soft_wrap=True,
    )
    return int(len(results) < len(outcomes))


def _compared(results: Sequence[tuple[Path, Sidecar]], nuclei: Mapping[Path, int]) -> Iterator[str]:
    """Yield how diagnoses and counts compare with what was drawn.

    Args:
        results: of both models, each with its raw file.
        nuclei: how many were drawn in each raw file.
    """
    truths = [
        ("control" if raw.parent.name == "control" else "patient", result.diagnosis)
        for raw, result in results
        if result.diagnosis
    ]
    right = sum(truth == verdict for truth, verdict in truths)
    yield f"Right     {right} of {len(truths)} simulated cultures, the stack included"
    counts = [(result.objects.count, nuclei[raw]) for raw, result in results if result.objects]
    found, drawn = (sum(of) for of in zip(*counts, strict=True)) if counts else (0, 0)
    if drawn:
        yield f"Nuclei    {found} counted where {drawn} were drawn, {100 * (found - drawn) / drawn:+.1f} %"


def _print_models(console: PrintableConsole, labels: Iterable[str], infos: Iterable[EngineInfo]) -> None:
    for label, info in zip(labels, infos, strict=True):
        model = f"{label}: simulated images, no clinical meaning"
        engine = f"{info.label}, {info.precision} on {info.device} ({info.reason})"
        print_words(console, Text(model), 10, Text("Model"))
        print_words(console, Text(engine), 10, Text("Engine"))


def _acquire(folder: Path, seed: int) -> dict[Path, int]:
    """Simulate the acquisition; return what it left, by sample and day, the stack last, with its nuclei."""
    projections = [
        (folder / label / f"{label[0].upper()}01_{day}_1.tif", label, severity)
        for label, severities in _SEVERITIES.items()
        for day, severity in zip(_DAYS, severities, strict=True)
    ]
    stack = folder / "stacks" / f"P02_{_DAYS[-1]}_1.tif"
    for path in (*(path for path, _, _ in projections), stack):
        refuse_foreign(path)
    nuclei = {}
    with progress("Acquiring", len(projections) + 1) as advance:
        for number, (path, label, severity) in enumerate(projections):
            drawn = image_seed(seed, number)
            write_imagej(path, simulate_projection(label, drawn, severity=severity))
            nuclei[path] = int(simulate_mask(label, drawn, severity=severity).max())
            advance()
        drawn = image_seed(seed, len(projections))
        write_imagej(stack, simulate_planes("patient", drawn))
        nuclei[stack] = int(simulate_mask("patient", drawn).max())
        advance()
    return nuclei
