"""`colvi-edge demo`: a short simulated acquisition, diagnosed with the shipped synthetic model."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from colvi_edge.bundle import DEMO, open_bundle
from colvi_edge.choices import Replace
from colvi_edge.engines import open_engine
from colvi_edge.jobs import find_jobs
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.report.report import Report
from colvi_edge.simulate import image_seed, simulate_folder, simulate_planes, write_imagej
from colvi_edge.terminal import progress, show, shown, wide_console

_PROJECTIONS = 6


def play(folder: Path, seed: int) -> int:
    """Simulate into a folder, diagnose what was simulated, print a table and where to look.

    Args:
        folder: gets control/, patient/ and stacks/; files of other origin are never overwritten.
        seed: of the simulation.

    Returns:
        The exit code: 1 if an image could not be read or judged.
    """
    with progress("Acquiring", _PROJECTIONS + 1) as advance:
        raws = _acquire(folder, seed, advance)
    bundle = open_bundle(DEMO)
    jobs = find_jobs(raws)
    with closing(open_engine(bundle)) as engine:
        outcomes = show(
            process(Diagnoser(bundle, engine, replace=Replace.ALL), jobs), len(jobs), as_json=False
        )
        info = engine.info
    results = [(o.job.raw.parent.name, o.result) for o in outcomes if isinstance(o.result, Sidecar)]
    truths = [(truth, result.diagnosis) for truth, result in results if truth in ("control", "patient")]
    right = sum(truth == verdict for truth, verdict in truths)
    example = jobs[_PROJECTIONS // 2].raw  # a patient
    page = folder / "report.html"
    Report(folder, page).write()
    console = wide_console()
    console.print(f"\nModel     {bundle.name} {bundle.version}: simulated images, no clinical meaning")
    console.print(
        f"Engine    {info.runtime} {info.version}, {info.precision} on {info.device} ({shown(info.reason)})"
    )
    console.print(f"Right     {right} of {len(truths)} simulated cultures")
    console.print(f"Look at   {shown(str(page))}: all of them on one page", soft_wrap=True)
    console.print(f"          {shown(str(example))}.colvi.png", soft_wrap=True)
    console.print(
        f"          {shown(str(example.parent))}: drag .geojson into QuPath, .rois.zip into Fiji",
        soft_wrap=True,
    )
    return int(len(results) < len(outcomes))


def _acquire(folder: Path, seed: int, advance: Callable[[], None]) -> list[Path]:
    raws = simulate_folder(folder, _PROJECTIONS, seed=seed, progress=lambda _: advance())
    stack = folder / "stacks" / f"patient_{seed}_stack.tif"
    write_imagej(stack, simulate_planes("patient", image_seed(seed, _PROJECTIONS)))
    advance()
    return [*raws, stack]
