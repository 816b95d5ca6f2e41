"""What `colvi-edge watch` was told, and what of that each child is told."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from colvi_edge.choices import DEMO, OverlayChoice, Replace
from colvi_edge.errors import UsageError
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.outputs.names import is_output_name
from colvi_edge.report import check_page_name
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import PublisherSettings, ScannerSettings, WorkerSettings
from colvi_edge.watch.state_folder import StateFolder
from colvi_edge.watch.timings import Timings

REFRESH_S = 30.0  # of the report in a browser


@dataclass(frozen=True)
class WatchSettings:
    """What the operator wants.

    Attributes:
        root: the watched folder.
        bundle: path, or "demo".
        output_dir: gets the results, folders mirrored; None leaves them beside the raw files.
        engine, precision: as on the command line.
        channels: role of each channel of the files; None asks the file.
        limits: what a raw file may ask for: names and values of `acquisition.Limits`.
        poll: scan only, without events.
        interval_s: between scans; None leaves that to the scanner.
        marker: suffix of the file that says that a raw file is finished; None goes by time.
        metrics: file for Prometheus; None writes none.
        report: page that is kept current; None writes none. It may lie in the watched folder, too, as only
            the publisher opens it.
        sample: pattern that finds sample and date in names, for the report; None takes the default.
        overlay: as on the command line.
        pixel_size_um: of all raw files; None asks them.
        log_names: files are named in full in the log.
        once: diagnose what is there, then end.
        anew: results that are judged again; ALL only where it is done once, or each start would begin over.
    """

    root: Path
    bundle: str
    output_dir: Path | None
    engine: str
    precision: str
    channels: list[str] | None
    limits: dict[str, int]
    poll: bool
    interval_s: float | None
    marker: str | None
    metrics: Path | None
    log_names: bool
    once: bool
    report: Path | None = None
    sample: str | None = None
    overlay: str = "png"
    pixel_size_um: float | None = None
    anew: Replace = Replace.OWN

    def absolute(self) -> "WatchSettings":
        """Return the same with absolute paths, as children have another working directory.

        Raises:
            UsageError: the metrics file lies where the supervisor opens nothing or would replace another, the
                report cannot be what it shall be, or everything would be judged again at each start.
        """
        if self.anew is Replace.ALL and not self.once:
            raise UsageError(
                "--again would judge everything again at each start; expected --once with it, or tell the "
                "daemon that runs: colvi-edge retry FOLDER --again"
            )
        if self.sample:
            # Imported here: the engine of patterns is nothing that a supervisor needs without one.
            from colvi_edge.report.samples import NamePattern

            NamePattern(self.sample)
        report = self.report and _absolute(self.report)
        if report:
            check_page_name(report)
        root, output_dir = _absolute(self.root), self.output_dir and _absolute(self.output_dir)
        metrics = self.metrics and _absolute(self.metrics)
        for folder in (root, output_dir):
            if metrics and folder and metrics.is_relative_to(folder):
                raise UsageError(
                    f"{metrics} lies in {folder}, which may be a share that hangs; put it elsewhere"
                )
        if metrics and is_output_name(metrics.name):
            raise UsageError(f"--metrics {metrics}: is called like a result; choose another name")
        if metrics:
            refuse_other(Named.METRICS, metrics)
        bundle = self.bundle if self.bundle == DEMO else str(_absolute(Path(self.bundle)))
        return replace(self, root=root, output_dir=output_dir, metrics=metrics, report=report, bundle=bundle)

    def for_scanner(
        self, state: StateFolder, mount: Mount | None, results_mount: Mount | None, timings: Timings
    ) -> ScannerSettings:
        """Return what a scanner is told; the mounts are those of root and results when last seen."""
        return ScannerSettings(
            root=str(self.root),
            output_dir=None if self.output_dir is None else str(self.output_dir),
            ledger=str(state.ledger),
            mount=mount,
            poll=self.poll,
            interval_s=self.interval_s,
            marker=self.marker,
            results_mount=results_mount,
            ome_tiff=self.overlay == OverlayChoice.OME_TIFF.value,
            timings=timings,
        )

    def for_worker(self, state: StateFolder, bundle: str, timings: Timings) -> WorkerSettings:
        """Return what a worker is told; `bundle` is the one to open."""
        return WorkerSettings(
            root=str(self.root),
            output_dir=None if self.output_dir is None else str(self.output_dir),
            bundle=bundle,
            keep="" if bundle == DEMO else str(state.bundles),
            engine=self.engine,
            precision=self.precision,
            channels=self.channels,
            limits=self.limits,
            overlay=self.overlay,
            pixel_size_um=self.pixel_size_um,
            timings=timings,
        )

    def for_publisher(self) -> PublisherSettings:
        """Return what a publisher is told; only where there is a report to publish."""
        return PublisherSettings(
            root=str(self.root),
            output_dir=None if self.output_dir is None else str(self.output_dir),
            page=str(self.report),
            sample=self.sample,
            refresh_s=REFRESH_S,
        )


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 # to resolve links would touch the share
