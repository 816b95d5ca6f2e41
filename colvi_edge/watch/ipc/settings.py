"""What the children are told first: parts of what the operator wants, which travel whole."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from colvi_edge.choices import DEMOS, EngineName, OverlayChoice, PrecisionChoice
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.paths import FolderPaths, absolute
from colvi_edge.watch.ipc.model import Slot
from colvi_edge.watch.timings import Timings


@dataclass(frozen=True)
class Judging:
    """How images are judged.

    Attributes:
        bundle: path, or the word for a shipped one.
        slot: name that the results bear; "" of the first bundle.
        engine, precision, overlay: as on the command line.
        channels: role of each channel of the files; None asks the file.
        limits: what a raw file may ask for: names and values of `acquisition.Limits`.
        pixel_size_um: of all raw files; None asks them.
        lender: path of the bundle whose regions are all that this one sees; "" if it sees all.
    """

    bundle: str
    engine: EngineName = EngineName.AUTO
    precision: PrecisionChoice = PrecisionChoice.AUTO
    channels: list[str] | None = None
    limits: dict[str, int] = field(default_factory=dict)
    overlay: OverlayChoice = OverlayChoice.PNG
    pixel_size_um: float | None = None
    slot: Slot = ""
    lender: str = ""

    @property
    def is_demo(self) -> bool:
        """Whether the bundle is a shipped one, which is named by a word and no path."""
        return self.bundle in DEMOS

    def absolute(self) -> "Judging":
        """Return the same with the absolute paths of the bundles."""
        return replace(self, bundle=_absolute(self.bundle), lender=_absolute(self.lender))


def _absolute(bundle: str) -> str:
    return bundle if bundle in ("", *DEMOS) else str(absolute(Path(bundle)))


@dataclass(frozen=True)
class Further:
    """A bundle that judges beside the first.

    Attributes:
        slot: name that its results bear.
        bundle, lender: as in `Judging`.
    """

    slot: Slot
    bundle: str
    lender: str = ""


@dataclass(frozen=True)
class Scanning:
    """How raw files are found.

    Attributes:
        poll: scan only, without events.
        interval_s: between scans; None is 15 on local disks, 5 on others.
        marker: suffix of an empty file that says that a raw file is finished ("X.tif.done"); None goes by
            time.
    """

    poll: bool = False
    interval_s: float | None = None
    marker: str | None = None


@dataclass(frozen=True)
class ScannerSettings:
    """First message to a scanner.

    Attributes:
        folders: absolute paths.
        scanning: how raw files are found.
        ledger: SQLite file, which the scanner only reads: what is done is not looked at twice.
        mount: of the watched folder when it was last seen; None at the first start.
        results_mount: of the folder of the results, likewise, where that is another one.
        ome_tiff: an OME-TIFF belongs to each result.
        slots: the results of which bundles belong to each raw file; see `model.Slot`.
        timings: how long to wait.
    """

    folders: FolderPaths
    scanning: Scanning
    ledger: Path
    mount: Mount | None = None
    results_mount: Mount | None = None
    ome_tiff: bool = False
    timings: Timings = field(default_factory=Timings)
    slots: list[Slot] = field(default_factory=lambda: [""])


@dataclass(frozen=True)
class WorkerSettings:
    """First message to a worker.

    Attributes:
        folders: absolute paths.
        judging: with the bundle to open: what the operator named, or the copy that an earlier worker kept.
        keep: folder in which the worker keeps a copy of the bundle that it opened, so that later workers do
            not depend on what becomes of the original; None to keep none.
        timings: how long to wait.
    """

    folders: FolderPaths
    judging: Judging
    keep: Path | None = None
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class PublisherSettings:
    """First message to a publisher.

    Attributes:
        folders: absolute paths.
        page: absolute path of the report's page.
        sample: pattern of the names, see `report.samples`; None takes the default.
        refresh_s: the page loads itself anew so often.
    """

    folders: FolderPaths
    page: Path
    sample: str | None
    refresh_s: float
