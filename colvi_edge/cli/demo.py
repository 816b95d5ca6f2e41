"""`colvi-edge demo`: a short simulated acquisition, diagnosed with the shipped synthetic model.

A control and a patient on three days, whose names carry sample and date as a lab's do, so that the report
shows their scores over time; the patient gets better, a little, as under a therapy. And a patient's Z-stack.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.text import Text

from colvi_edge.bundle import DEMO, open_bundle
from colvi_edge.choices import Replace
from colvi_edge.cli.interruption import interruptible
from colvi_edge.cli.show.run import show_outcomes
from colvi_edge.engines import open_engine
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.report.page_of_folder import Report
from colvi_edge.simulate import image_seed, simulate_planes, simulate_projection, write_imagej
from colvi_edge.simulate.images import refuse_foreign
from colvi_edge.tasks.classify import ClassName
from colvi_edge.terminal.console import shown, wide_console
from colvi_edge.terminal.progress import progress
from colvi_edge.terminal.tables import print_words

_DAYS = ("2026-11-03", "2026-11-10", "2026-11-17")
_SEVERITIES: dict[ClassName, tuple[float | None, ...]] = {"control": (None,) * 3, "patient": (0.5, 0.3, 0.1)}


def run_demo(folder: Path, seed: int, when_loaded: Callable[[], None] = lambda: None) -> int:
    """Simulate into a folder, diagnose what was simulated, print a table and where to look.

    Args:
        folder: gets control/, patient/ and stacks/; files of other origin are never overwritten.
        seed: of the simulation.
        when_loaded: called when the engine is open, before the first image.

    Returns:
        The exit code: 1 if an image could not be read or judged.
    """
    page = folder / "report.html"
    refuse_other(Named.REPORT, page)
    raws = _acquire(folder, seed)
    bundle = open_bundle(DEMO)
    files = find_inputs(raws)
    with closing(open_engine(bundle)) as engine, interruptible() as is_stopped:
        diagnoser = Diagnoser(bundle, engine, replace=Replace.ALL)
        when_loaded()
        done = process(diagnoser, files, is_stopped)
        outcomes = show_outcomes(done, len(files), [folder], as_json=False, with_report=False)
        info = engine.info
    results = [(o.file.raw.parent.name, o.result) for o in outcomes if isinstance(o.result, Sidecar)]
    truths = [("patient" if folder == "stacks" else folder, result.diagnosis) for folder, result in results]
    right = sum(truth == verdict for truth, verdict in truths)
    example = files[-2].raw  # of a patient, with all colours
    Report(folder, page).write()
    console = wide_console()
    model = f"{bundle.label}: simulated images, no clinical meaning"
    engine_words = f"{info.label}, {info.precision} on {info.device} ({info.reason})"
    console.print()
    print_words(console, Text(model), 10, Text("Model"))
    print_words(console, Text(engine_words), 10, Text("Engine"))
    console.print(f"Right     {right} of {len(truths)} simulated cultures, the stack included")
    console.print(f"Look at   {shown(str(page))}: all of them, and scores over time", soft_wrap=True)
    console.print(f"          {shown(str(example))}.colvi.png", soft_wrap=True)
    console.print(
        f"          {shown(str(example.parent))}: drag .geojson into QuPath, .rois.zip into Fiji",
        soft_wrap=True,
    )
    return int(len(results) < len(outcomes))


def _acquire(folder: Path, seed: int) -> list[Path]:
    """Simulate the acquisition; return the paths of what it left, by sample and day, the stack last."""
    projections = [
        (folder / label / f"{label[0].upper()}01_{day}_1.tif", label, severity)
        for label, severities in _SEVERITIES.items()
        for day, severity in zip(_DAYS, severities, strict=True)
    ]
    stack = folder / "stacks" / f"P02_{_DAYS[-1]}_1.tif"
    raws = [*(path for path, _, _ in projections), stack]
    for path in raws:
        refuse_foreign(path)
    with progress("Acquiring", len(raws)) as advance:
        for number, (path, label, severity) in enumerate(projections):
            write_imagej(path, simulate_projection(label, image_seed(seed, number), severity=severity))
            advance()
        write_imagej(stack, simulate_planes("patient", image_seed(seed, len(projections))))
        advance()
    return raws
