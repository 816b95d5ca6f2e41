"""What `colvi-edge watch` was told, and what of that each child is told."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from colvi_edge.choices import OverlayChoice, Replace
from colvi_edge.errors import UsageError
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.outputs.names import is_output_name
from colvi_edge.report.page_name import check_page_name
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.paths import FolderPaths, absolute
from colvi_edge.watch.ipc.settings import (
    Further,
    Judging,
    PublisherSettings,
    ScannerSettings,
    Scanning,
    WorkerSettings,
)
from colvi_edge.watch.state_folder import StateFolder
from colvi_edge.watch.timings import Timings

REFRESH_S = 30.0  # of the report in a browser


@dataclass(frozen=True)
class WatchSettings:
    """What the operator wants.

    Attributes:
        folders: what is watched, and where the results go.
        judging: how images are judged, and with which bundle.
        further: with which others, too; all else is as with the first.
        scanning: how raw files are found.
        metrics: file for Prometheus; None writes none.
        report: page that is kept current; None writes none. It may lie in the watched folder, too, as only
            the publisher opens it.
        sample: pattern that finds sample and date in names, for the report; None takes the default.
        log_names: files are named in full in the log.
        once: diagnose what is there, then end.
        force: results that are judged again; ALL only where it is done once, or each start would begin over.
    """

    folders: FolderPaths
    judging: Judging
    scanning: Scanning = field(default_factory=Scanning)
    metrics: Path | None = None
    report: Path | None = None
    sample: str | None = None
    log_names: bool = False
    once: bool = False
    force: Replace = Replace.OWN
    further: list[Further] = field(default_factory=list)

    @property
    def judgings(self) -> list[Judging]:
        """How images are judged with each bundle, the first one first."""
        others = (replace(self.judging, **vars(other)) for other in self.further)
        return [self.judging, *others]

    def absolute(self) -> "WatchSettings":
        """Return the same with absolute paths, as children have another working directory."""
        absolute_judgings = [one.absolute() for one in self.judgings]
        return replace(
            self,
            folders=self.folders.absolute(),
            judging=absolute_judgings[0],
            further=[Further(one.slot, one.bundle, one.lender) for one in absolute_judgings[1:]],
            metrics=self.metrics and absolute(self.metrics),
            report=self.report and absolute(self.report),
        )

    def validated(self) -> "WatchSettings":
        """Return the same, whose paths are absolute, if the daemon can do what it says.

        Raises:
            UsageError: the metrics file lies where the supervisor opens nothing or would replace another, the
                report cannot be what it shall be, or everything would be judged again at each start.
        """
        if self.force is Replace.ALL and not self.once:
            raise UsageError(
                "--again would judge everything again at each start; expected --once with it, or tell the "
                "daemon that runs: colvi-edge retry FOLDER --again"
            )
        if self.sample:
            # Imported here: the engine of patterns is nothing that a supervisor needs without one.
            from colvi_edge.report.samples import NamePattern

            NamePattern(self.sample)
        if self.report:
            check_page_name(self.report)
        if self.metrics:
            self._check_metrics(self.metrics)
        return self

    def _check_metrics(self, path: Path) -> None:
        for folder in (self.folders.root, self.folders.results):
            if path.is_relative_to(folder):
                raise UsageError(
                    f"{path} lies in {folder}, which may be a share that hangs; put it elsewhere"
                )
        if is_output_name(path.name):
            raise UsageError(f"--metrics {path}: is called like a result; choose another name")
        refuse_other(Named.METRICS, path)

    def for_scanner(
        self, state: StateFolder, mount: Mount | None, results_mount: Mount | None, timings: Timings
    ) -> ScannerSettings:
        """Return what a scanner is told; the mounts are those of root and results when last seen."""
        ome_tiff = self.judging.overlay is OverlayChoice.OME_TIFF
        return ScannerSettings(
            self.folders,
            self.scanning,
            state.ledger,
            mount,
            results_mount,
            ome_tiff,
            timings,
            [judging.slot for judging in self.judgings],
        )

    def for_worker(self, state: StateFolder, judging: Judging, timings: Timings) -> WorkerSettings:
        """Return what a worker is told; `judging` is with the bundle to open."""
        keep = None if judging.is_demo else state.bundles_of(judging.slot)
        return WorkerSettings(self.folders, judging, keep, timings)

    def for_publisher(self) -> PublisherSettings | None:
        """Return what a publisher is told; None if there is no report to publish."""
        if self.report is None:
            return None
        return PublisherSettings(self.folders, self.report, self.sample, REFRESH_S)
