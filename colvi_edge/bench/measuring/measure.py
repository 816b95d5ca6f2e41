"""From what is to be measured to a record of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import NDArray

from colvi_edge import __version__
from colvi_edge.acquisition.wanted import wanted_by
from colvi_edge.bench.measuring.check import SIMULATED_IMAGES, check_engines, simulated_images
from colvi_edge.bench.measuring.inputs import Inputs, given_to_network, prepare
from colvi_edge.bench.measuring.machine import clocks, describe
from colvi_edge.bench.measuring.rounds import BURST_IMAGES, IDLE_GAPS, WARM_UP_IMAGES, Bench, Tell, rounds_for
from colvi_edge.bench.measuring.starts import STARTS, cold_starts
from colvi_edge.bench.peers.installed import Missing, Peer, installed_peers
from colvi_edge.bench.record import (
    Check,
    Clocks,
    EngineUsed,
    Image,
    Model,
    PeerMissing,
    PeerUsed,
    Record,
    SegmentCheck,
    Settings,
)
from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines import Engine, open_engine
from colvi_edge.errors import UsageError
from colvi_edge.pipeline import Diagnoser
from colvi_edge.pipeline.sizing import brought_to, size_asked
from colvi_edge.system.writing import explained


@dataclass(frozen=True)
class BenchRequest:
    """What is to be measured.

    Attributes:
        image: the lab's own file; None for a simulated one.
        channels: role of each channel of the file, where it does not say it itself.
        bundle: as `open_bundle` takes it.
        engines, precisions: every one with every other.
        rounds: images of each engine and input; None for as many as half a minute holds.
        idle_s: rest before an image; 0 leaves these out.
        peers: also time what else is installed.
        check: also compare the engines' decisions.
    """

    image: Path | None
    channels: Sequence[str] | None
    bundle: str
    engines: Sequence[EngineName]
    precisions: Sequence[PrecisionChoice]
    rounds: int | None
    idle_s: float
    peers: bool
    check: bool


def measure(
    request: BenchRequest, beside: Path | None, tell: Tell, when_loaded: Callable[[], None] = lambda: None
) -> Record:
    """Return what was measured.

    Args:
        request: what is to be measured.
        beside: a folder on the disk to write results to; None for the system's temporary folder.
        tell: is told how far it is.
        when_loaded: called when all that stays is loaded, before the first image is timed.

    Raises:
        ColviEdgeError: an engine, the bundle or the image cannot be had, or results cannot be written.
    """
    bundle = open_bundle(request.bundle)
    if request.peers and not bundle.config.has_patches:
        raise UsageError("--peers compares networks of patches, and this bundle's sees none; leave it out")
    with ExitStack() as stack:
        folder = stack.enter_context(_workplace(beside))
        machine, before = describe(folder), clocks("before the start")
        opened = _open(bundle, request, stack)
        engines = {name: one.engine for name, one in opened.items()}
        inputs = prepare(request.image, folder, request.channels, wanted_by(bundle.config))
        planes = _fitting(inputs, bundle)
        given = given_to_network(bundle.config, planes)
        tell("other runtimes", 0)
        found = installed_peers(bundle, given) if request.peers else []
        peers = {f"{peer.name} {peer.precision}": peer for peer in found if isinstance(peer, Peer)}
        tell("decisions", 0)
        checks = _checks(bundle, engines, inputs, planes) if request.check else []
        bench = Bench(
            folder,
            inputs.files,
            {name: (Diagnoser(bundle, engine, inputs.channels), engine) for name, engine in engines.items()},
            given,
            {name: peer.run for name, peer in peers.items()},
        )
        when_loaded()
        settings, during = _time(bench, request, tell)
        options = {name: one.options(bundle, inputs.channels) for name, one in opened.items()}
        starts = cold_starts(options, next(iter(inputs.files.values())), folder, tell)
        return Record(
            created=datetime.now(timezone.utc),
            software=f"colvi-edge {__version__}",
            machine=machine,
            clocks=(before, *during),
            model=Model(name=bundle.name, version=bundle.version, sha256=bundle.sha256),
            image=_image(inputs),
            settings=settings,
            engines=tuple(_used(name, engine) for name, engine in engines.items()),
            series=(*bench.series(), *starts),
            peers=tuple(
                PeerUsed(name=name, version=peer.version, precision=peer.precision, batch=peer.batch)
                for name, peer in peers.items()
            ),
            peers_missing=tuple(
                PeerMissing(name=peer.name, why=peer.why) for peer in found if isinstance(peer, Missing)
            ),
            checks=tuple(checks),
        )


@dataclass(frozen=True)
class _Opened:
    """An engine, and the options that chose it."""

    engine: Engine
    asked: EngineName
    precision: PrecisionChoice

    def options(self, bundle: Bundle, channels: Sequence[str] | None) -> list[str]:
        """Return the options of `run` that choose it."""
        options = {
            "--bundle": str(bundle.path),
            "--engine": self.asked.value,
            "--precision": self.precision.value,
        }
        if channels:
            options["--channels"] = ",".join(channels)
        return [word for option in options.items() for word in option]


@contextmanager
def _workplace(beside: Path | None) -> Iterator[Path]:
    with explained(str(beside or "the temporary folder"), "what is measured"):
        if beside:
            beside.mkdir(parents=True, exist_ok=True)
        made = TemporaryDirectory(prefix=".colvi-bench-", dir=beside)
    with made as folder:
        yield Path(folder)


def _open(bundle: Bundle, request: BenchRequest, stack: ExitStack) -> dict[str, _Opened]:
    """Open every engine in every precision; what "auto" takes as well counts once."""
    opened: dict[str, _Opened] = {}
    for name in request.engines:
        for precision in request.precisions:
            engine = stack.enter_context(closing(open_engine(bundle, name, precision)))
            opened.setdefault(
                f"{engine.info.runtime} {engine.info.precision}", _Opened(engine, name, precision)
            )
    return opened


def _fitting(inputs: Inputs, bundle: Bundle) -> NDArray[Any]:
    """Return the planes as the engine is given them; raise if the bundle was made for another dtype."""
    planes, normalisation = inputs.acquisition.laid_out(bundle.config.channels), bundle.config.normalisation
    size = size_asked(bundle.config.input, inputs.acquisition)
    planes = planes if size is None else brought_to(planes, size)
    if not normalisation.takes(planes.dtype):
        raise UsageError(
            f"the image is {planes.dtype}, and the bundle was made for {normalisation.dtype}; give one of "
            "that"
        )
    return planes


def _checks(
    bundle: Bundle, engines: Mapping[str, Engine], inputs: Inputs, planes: NDArray[Any]
) -> list[Check | SegmentCheck]:
    if not inputs.is_simulated:
        return check_engines(bundle, engines, [planes], "this image")
    size = size_asked(bundle.config.input, inputs.acquisition)  # which is simulated as they are
    images = simulated_images(bundle.config.channels)
    if size is not None:
        images = [brought_to(image, size) for image in images]
    return check_engines(bundle, engines, images, f"{SIMULATED_IMAGES} simulated images")


def _time(bench: Bench, request: BenchRequest, tell: Tell) -> tuple[Settings, list[Clocks]]:
    """Make all rounds; return how many, and the clocks right after."""
    tell("warming up", 0)
    round_s = bench.warm_up()
    rounds = request.rounds or rounds_for(round_s)
    bench.continuous(rounds, tell)
    found = [clocks("right after the images one after the other")]
    bench.bursts(tell)
    if request.idle_s:
        bench.after_idle(request.idle_s, tell)
        found.append(clocks(f"right after an image that followed {request.idle_s:g} s of rest"))
    settings = Settings(
        rounds=rounds,
        warm_up_images=WARM_UP_IMAGES,
        idle_s=request.idle_s,
        idle_gaps=IDLE_GAPS if request.idle_s else 0,
        cold_starts=STARTS,
        burst_images=BURST_IMAGES,
    )
    return settings, found


def _used(name: str, engine: Engine) -> EngineUsed:
    info = engine.info
    return EngineUsed(
        name=name,
        runtime=info.runtime,
        version=info.version,
        precision=info.precision,
        device=info.device,
        reason=info.reason,
    )


def _image(inputs: Inputs) -> Image:
    acquisition = inputs.acquisition
    source = acquisition.provenance
    return Image(
        is_simulated=inputs.is_simulated,
        sha256=source.sha256,
        axes=source.axes,
        shape=source.shape,
        dtype=acquisition.planes.dtype.name,
        file_bytes={name: file.stat().st_size for name, file in inputs.files.items()},
    )
