"""The command line: parse, delegate, report. Heavy imports stand inside the commands."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from colvi_edge import RESEARCH_USE_ONLY, __version__
from colvi_edge.choices import BuiltEngine, EngineName, OverlayChoice, PrecisionChoice
from colvi_edge.errors import ColviEdgeError, EngineUnavailableError, UsageError

if TYPE_CHECKING:
    from colvi_edge.bundle import Bundle
    from colvi_edge.engines import Engine

Chosen = TypeVar("Chosen", EngineName, PrecisionChoice)

app = typer.Typer(
    name="colvi-edge",
    help=f"Collagen VI diagnosis of fibroblast cultures, beside the microscope. {RESEARCH_USE_ONLY}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help starts faster, and folds paragraphs
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _option(*names: str, of: str = "", **settings: Any) -> Any:
    """Return an option that a variable can set as well: COLVI_EDGE_CHANNELS for --channels.

    What means another thing in one command has its own variable there: the export's channels are
    the network's, not a file's.
    """
    words = ["COLVI_EDGE", of, names[0].removeprefix("--")]
    variable = "_".join(word for word in words if word).upper().replace("-", "_")
    return typer.Option(*names, envvar=variable, **settings)


FolderArgument = Annotated[
    Path, typer.Argument(help="The folder that the microscope saves into.", file_okay=False)
]
BundleOption = Annotated[
    str,
    _option(
        "--bundle",
        metavar="PATH|demo",
        help="The exported model, a folder NAME.colvi/, or 'demo', the shipped synthetic demo model.",
    ),
]
EngineOption = Annotated[
    EngineName,
    _option("--engine", help="What runs the network; auto says which and why."),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    _option("--precision", help="auto is INT8 where it decides as FP32 does, else FP32."),
]
ChannelsOption = Annotated[
    str | None,
    _option(
        "--channels",
        metavar="ROLE,ROLE",
        help="Role of each channel of the files: collagen, nuclei, or other. Without it the file is asked; "
        "two channels without names are nuclei,collagen.",
    ),
]
OutputDirOption = Annotated[
    Path | None,
    _option(
        "--output-dir",
        file_okay=False,
        help="Put the results here, folders mirrored, instead of beside the raw files.",
    ),
]
OverlayOption = Annotated[
    OverlayChoice,
    _option("--overlay", help="ome-tiff writes the overlay as data, too: raw channels, frames as ROIs."),
]
SampleOption = Annotated[
    str | None,
    _option(
        "--sample",
        metavar="PATTERN",
        help=r"Regular expression that finds sample and date in names, such as "
        r"'(?P<sample>[^_]+)_(?P<date>\d{8})'; without it the sample is what stands before 2026-11-20 or "
        r"20261120.",
    ),
]
LimitOption = Annotated[
    list[str] | None,
    _option(
        "--limit",
        metavar="NAME=NUMBER",
        help="Let a raw file ask for more, or less: file_bytes, pixels, decoded_bytes, expansion, pages, "
        "container_bytes or images. May be given several times.",
    ),
]
JsonOption = Annotated[
    bool,
    _option("--json", help="Print JSON, one record a line, instead of a table."),
]
ImagesOption = Annotated[
    int,
    _option("--images", min=1, help="Projections in all, half of each class."),
]
DifficultyOption = Annotated[
    float,
    _option("--difficulty", min=0, max=1, help="How alike the classes look."),
]
SeverityOption = Annotated[
    float | None,
    _option(
        "--severity",
        min=0,
        max=1,
        help="How ill the patients are, up to 1: collagen nearly absent. Without it each patient differs.",
    ),
]
SeedOption = Annotated[int, _option("--seed", min=0, help="Same seed, same images.")]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version, or go on to the command."""
    if show:
        typer.echo(f"colvi-edge {__version__}")
        raise typer.Exit


@app.command(no_args_is_help=True)
def run(
    images: Annotated[
        list[Path], typer.Argument(help="Raw files, or folders to search for them.", readable=False)
    ],
    bundle: BundleOption,
    output_dir: OutputDirOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    channels: ChannelsOption = None,
    limit: LimitOption = None,
    overlay: OverlayOption = OverlayChoice.PNG,
    result_csv: Annotated[
        Path | None,
        _option(
            "--result-csv",
            dir_okay=False,
            help="Also write image_name,prediction,probability of every result in the folders.",
        ),
    ] = None,
    omero_csv: Annotated[
        Path | None,
        _option(
            "--omero-csv", dir_okay=False, help="Also write a table that 'omero metadata populate' takes."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Diagnose images, here and now.

    Overlay, sidecar, table, GeoJSON and ROIs are left beside each. Images of a .lif are judged one by one.

    Raw files are only read. A file that cannot be judged gets X.colvi.error.json and stops none of
    the others; the exit code is then 1.
    """
    from colvi_edge.acquisition import Limits
    from colvi_edge.bundle import open_bundle
    from colvi_edge.jobs import find_jobs
    from colvi_edge.outputs import table
    from colvi_edge.outputs.folder import write_table
    from colvi_edge.pipeline import Diagnoser, process
    from colvi_edge.terminal import show

    roles, limits = _roles(channels), Limits.named(_numbers(limit))
    jobs = find_jobs(images, output_dir)
    opened = open_bundle(bundle)
    with closing(_open(opened, engine, precision)) as running:
        diagnoser = Diagnoser(opened, running, roles, limits, overlay)
        outcomes = show(process(diagnoser, jobs), len(jobs), as_json=json)
    folders = {job.folder for job in jobs}
    if result_csv:
        write_table(result_csv, folders, table.result_csv)
    if omero_csv:
        write_table(omero_csv, folders, table.omero_csv)
    raise typer.Exit(int(any(isinstance(outcome.result, ColviEdgeError) for outcome in outcomes)))


@app.command(no_args_is_help=True)
def watch(
    folder: FolderArgument,
    bundle: BundleOption,
    output_dir: OutputDirOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    channels: ChannelsOption = None,
    limit: LimitOption = None,
    overlay: OverlayOption = OverlayChoice.PNG,
    once: Annotated[bool, _option("--once", help="Diagnose what is there, then exit.")] = False,
    poll: Annotated[
        bool, _option("--poll", help="Only look, at intervals; shares are polled without being told.")
    ] = False,
    interval: Annotated[
        float | None,
        _option(
            "--interval", min=0.1, metavar="SECONDS", help="Between looks; 15 on a local disk, 5 on others."
        ),
    ] = None,
    marker: Annotated[
        str | None,
        _option(
            "--marker", metavar="SUFFIX", help="X.tif is finished when X.tif<SUFFIX> appears, not by time."
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        _option("--metrics", dir_okay=False, help="Keep numbers for Prometheus' textfile collector here."),
    ] = None,
    report: Annotated[
        Path | None,
        _option(
            "--report",
            metavar="HTML",
            dir_okay=False,
            help="Keep a page of all results here; it may lie in the folder, too.",
        ),
    ] = None,
    sample: SampleOption = None,
    log_names: Annotated[
        bool,
        _option(
            "--log-names", help="Name files in the log; without it by a hash, as names may be patients'."
        ),
    ] = False,
) -> None:
    """Diagnose each new raw file of a folder.

    Goes on until it is ended. Raw files are only read, unfinished ones not at all. Usually systemd
    runs this: see install-service.
    """
    from colvi_edge.watch.supervisor import WatchSettings
    from colvi_edge.watch.supervisor import watch as supervise

    settings = WatchSettings(
        root=folder,
        output_dir=output_dir,
        bundle=bundle,
        engine=engine.value,
        precision=precision.value,
        channels=_roles(channels),
        limits=_numbers(limit),
        once=once,
        poll=poll,
        interval_s=interval,
        marker=marker,
        metrics=metrics,
        report=report,
        sample=sample,
        overlay=overlay.value,
        log_names=log_names,
    )
    raise typer.Exit(supervise(settings))


@app.command(no_args_is_help=True)
def status(folder: FolderArgument, json: JsonOption = False) -> None:
    """Tell how the watching goes.

    What is done, waiting or failed in a folder, and what ails its daemon.
    """
    from colvi_edge.watch.status import show_status

    raise typer.Exit(show_status(folder, as_json=json))


@app.command(no_args_is_help=True)
def retry(folder: FolderArgument) -> None:
    """Diagnose what failed once more.

    Failed and quarantined files are offered to the daemon again, at once or when it starts.
    """
    from colvi_edge.watch.retry import retry as offer_again

    raise typer.Exit(offer_again(folder))


@app.command(no_args_is_help=True)
def report(
    folder: Annotated[Path, typer.Argument(help="Holds results, in it and below it.", file_okay=False)],
    page: Annotated[
        Path,
        _option("--output", "-o", of="report", metavar="HTML", dir_okay=False, help="The page, one file."),
    ],
    sample: SampleOption = None,
) -> None:
    """Show the results of a folder on one page.

    Pictures, scores over time and a table, in one file that needs no network.
    """
    from colvi_edge.report.report import Report

    images = Report(folder, page, sample=sample).write()
    typer.echo(f"{images} images: {page}")


@app.command(name="install-service", no_args_is_help=True)
def install_service(
    folder: FolderArgument,
    bundle: BundleOption,
    output_dir: OutputDirOption = None,
    user: Annotated[str, _option("--user", help="System user that the service runs as; made if missing.")] = (
        "colvi"
    ),
    prefix: Annotated[
        Path,
        _option(
            "--prefix", file_okay=False, help="Root of another system, such as an image, to install into."
        ),
    ] = Path("/"),
) -> None:
    """Have systemd watch a folder.

    Writes the unit, its settings and a user, starts nothing, and says how to.
    """
    from colvi_edge.watch.install import install_service as install

    typer.echo("\n".join(install(folder, bundle=bundle, output_dir=output_dir, user=user, prefix=prefix)))


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to play.", file_okay=False)] = Path("colvi-edge-demo"),
    seed: SeedOption = 12,
) -> None:
    """Try it on simulated images.

    A short acquisition is simulated and diagnosed with the demo model.
    """
    from colvi_edge.demo import play

    raise typer.Exit(play(folder, seed))


@app.command(no_args_is_help=True)
def simulate(
    out: Annotated[Path, typer.Argument(help="Gets control/ and patient/.", file_okay=False)],
    images: ImagesOption = 20,
    difficulty: DifficultyOption = 0.5,
    severity: SeverityOption = None,
    seed: SeedOption = 0,
) -> None:
    """Draw synthetic projections of cultures."""
    from colvi_edge.simulate import simulate_folder
    from colvi_edge.terminal import progress

    with progress("Drawing", images) as advance:
        simulate_folder(
            out, images, difficulty=difficulty, severity=severity, seed=seed, progress=lambda _: advance()
        )
    typer.echo(f"{images} projections in {out / 'control'} and {out / 'patient'}")


@app.command(no_args_is_help=True)
def export(
    model: Annotated[Path, typer.Argument(help="Checkpoint, TorchScript, .pt2, state_dict or Keras .h5.")],
    bundle: Annotated[
        Path,
        _option("--output", "-o", of="export", help="The bundle, a folder NAME.colvi/."),
    ],
    calibration: Annotated[
        Path | None,
        _option(
            "--calibration",
            of="export",
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Projections, best 40 or more; sub-folders control/ and patient/ also check the classes. "
            "Without it there is no INT8.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        _option("--network", of="export", help="paper or published, for bare weights."),
    ] = None,
    classes: Annotated[
        str | None,
        _option("--classes", of="export", help="Order of the outputs: control,patient."),
    ] = None,
    activation: Annotated[
        str | None,
        _option("--activation", of="export", help="softmax, sigmoid or none."),
    ] = None,
    precision: Annotated[
        str,
        _option("--precision", of="export", help="Which precisions the bundle shall hold.", metavar="LIST"),
    ] = "fp32,fp16,int8",
    normalisation: Annotated[
        str | None,
        _option(
            "--normalisation",
            of="export",
            help="patch, patch-channel, fixed:MEAN,..:STD,.. or scale:DIVISOR:DTYPE.",
        ),
    ] = None,
    channels: Annotated[
        str | None,
        _option(
            "--channels",
            of="export",
            help="The network's inputs; two are collagen,nuclei, three empty,collagen,nuclei.",
        ),
    ] = None,
    pixel_size_um: Annotated[
        float | None,
        _option("--pixel-size-um", of="export", min=0.001, help="Of the training images."),
    ] = None,
    name: Annotated[
        str | None,
        _option("--name", of="export", help="The bundle's name, which stands in every result."),
    ] = None,
    engine: Annotated[
        BuiltEngine | None,
        _option("--engine", of="export", help="Also build its engine for this machine."),
    ] = None,
) -> None:
    """Turn a trained network into a bundle.

    FP32, FP16 and INT8, each measured against torch.

    A precision that does not decide as the trained network does is written with its faults, is
    never taken by itself, and makes the exit code 5.
    """
    if engine:  # that TensorRT is missing is better said before the work than after it
        import colvi_edge.engines.tensorrt  # noqa: F401
    try:
        from colvi_edge.export.command import export_model
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "onnxruntime", "h5py"):
            raise
        raise EngineUnavailableError(
            f"{error.name} is not installed, which the export needs; run: pip install 'colvi-edge[export]'"
        ) from error

    code = export_model(
        model,
        bundle,
        calibration=calibration,
        network=network,
        classes=_words(classes),
        activation=activation,
        precisions=_words(precision) or [],
        normalisation=normalisation,
        channels=_words(channels),
        pixel_size_um=pixel_size_um,
        name=name,
    )
    if engine:
        build(str(bundle))
    raise typer.Exit(code)


@app.command(no_args_is_help=True)
def build(
    bundle: Annotated[str, typer.Argument(help="A bundle, or 'demo'.")],
    precision: Annotated[
        PrecisionChoice, _option("--precision", help="auto takes fp16.")
    ] = PrecisionChoice.AUTO,
) -> None:
    """Build a TensorRT engine for this machine.

    It is kept in the state directory and, where there is a GPU, tried on the bundle's own patches.
    """
    from colvi_edge.bundle import open_bundle
    from colvi_edge.engines.nvidia import find_gpu
    from colvi_edge.engines.precisions import precision_for
    from colvi_edge.engines.tensorrt import build_for_this_machine
    from colvi_edge.terminal import progress_share

    opened = open_bundle(bundle)
    with progress_share("Building") as tell:
        engine = build_for_this_machine(opened, precision_for(EngineName.TENSORRT, precision), tell)
    typer.echo(engine)
    if find_gpu():
        with closing(_open(opened, EngineName.TENSORRT, precision)) as running:
            typer.echo(f"decides as the trained network does: {running.info.reason}")


@app.command(no_args_is_help=True)
def bench(
    bundle: BundleOption,
    image: Annotated[
        Path | None,
        typer.Argument(
            help="The lab's own raw file; without one a projection is simulated.", dir_okay=False, exists=True
        ),
    ] = None,
    engine: Annotated[
        str, _option("--engine", metavar="LIST", help="auto, openvino, onnxruntime or tensorrt, or several.")
    ] = "auto",
    precision: Annotated[
        str,
        _option(
            "--precision", metavar="LIST", help="auto, fp32, fp16 or int8, or several, each on every engine."
        ),
    ] = "auto",
    channels: ChannelsOption = None,
    rounds: Annotated[
        int | None,
        _option(
            "--rounds",
            of="bench",
            min=1,
            help="Images of each engine and compression; without it what fits half a minute, 20 at least.",
        ),
    ] = None,
    idle: Annotated[
        float,
        _option(
            "--idle",
            of="bench",
            min=0,
            metavar="SECONDS",
            help="Also measure images after so long a rest; 0 does not.",
        ),
    ] = 3.0,
    peers: Annotated[
        bool, _option("--peers", of="bench", help="Also time the network on what else is installed.")
    ] = False,
    check: Annotated[
        bool, _option("--check", of="bench", help="Also compare decisions with torch's and with FP32's.")
    ] = False,
    budget_ms: Annotated[
        float | None,
        _option(
            "--budget-ms",
            of="bench",
            min=0,
            help="End with exit code 1 if 95 % of the images are not done within this.",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        _option("--compare", of="bench", dir_okay=False, help="Tell what changed since an earlier --json."),
    ] = None,
    json: Annotated[
        Path | None, _option("--json", of="bench", dir_okay=False, help="Write every sample here.")
    ] = None,
    html: Annotated[
        Path | None, _option("--html", of="bench", dir_okay=False, help="Write a page with plots here.")
    ] = None,
) -> None:
    """Measure where each millisecond goes.

    From file to JSON, stage by stage: one after the other, after a rest, from a new process, in a burst.
    """
    from colvi_edge.bench.command import bench as measure
    from colvi_edge.bench.measure import Wishes

    wishes = Wishes(
        image=image,
        channels=_roles(channels),
        bundle=bundle,
        engines=_several(EngineName, "--engine", engine),
        precisions=_several(PrecisionChoice, "--precision", precision),
        rounds=rounds,
        idle_s=idle,
        peers=peers,
        check=check,
    )
    raise typer.Exit(measure(wishes, budget_ms=budget_ms, compare=compare, json=json, html=html))


@app.command()
def doctor(json: JsonOption = False) -> None:
    """Check this machine.

    Engines, bundle, a self-test, and what is missing for more.
    """
    from colvi_edge.doctor import examine
    from colvi_edge.terminal import show_findings

    findings = examine()
    show_findings(findings, as_json=json)
    raise typer.Exit(next((finding.exit_code for finding in findings if finding.exit_code), 0))


def _open(bundle: "Bundle", engine: EngineName, precision: PrecisionChoice) -> "Engine":
    from colvi_edge.engines import open_engine
    from colvi_edge.terminal import progress_share

    if engine is not EngineName.TENSORRT:
        return open_engine(bundle, engine, precision)
    with progress_share("Building") as tell:  # it may have to be built first, which takes minutes on a Jetson
        return open_engine(bundle, engine, precision, tell)


def _roles(channels: str | None) -> list[str] | None:
    if channels is None:
        return None
    roles = _words(channels) or []
    if sorted(set(roles) - {"other"}) != ["collagen", "nuclei"] or len(roles) - roles.count("other") != 2:
        raise UsageError(
            f"--channels {channels}: expected collagen and nuclei once each, 'other' for any more, "
            "in the order of the file, such as nuclei,collagen"
        )
    return roles


def _words(given: str | None) -> list[str] | None:
    return None if given is None else [word.strip().lower() for word in given.split(",")]


def _several(choices: type[Chosen], option: str, given: str) -> list[Chosen]:
    try:
        return [choices(word) for word in _words(given) or []]
    except ValueError:
        names = ", ".join(choice.value for choice in choices)
        raise UsageError(f"{option} {given}: expected one or more of {names}, separated by commas") from None


def _numbers(settings: list[str] | None) -> dict[str, int]:
    numbers = {}
    for setting in settings or []:
        name, _, number = setting.partition("=")
        if not number.isdecimal():
            raise UsageError(f"--limit {setting}: expected a name, '=', a whole number, such as pages=1000")
        numbers[name] = int(number)
    return numbers


def main() -> None:
    """Run the command line; an error that the operator can put right is one line and an exit code."""
    try:
        app()
    except ColviEdgeError as error:
        typer.echo(f"colvi-edge: error: {error}", err=True)
        raise SystemExit(error.exit_code) from None
