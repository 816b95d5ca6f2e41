"""What the operator says of how images are judged reaches who judges them in the worker."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colvi_edge.acquisition import Limits
from colvi_edge.choices import EngineName, OverlayChoice, PrecisionChoice
from colvi_edge.errors import UsageError
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.ipc.messages import StartRefused
from colvi_edge.watch.ipc.settings import Judging, WorkerSettings
from colvi_edge.watch.worker import process


class Watched(Judging):
    """Settings that remember which of them were asked for."""

    asked: set[str] = set()  # noqa: RUF012 - of the one that this test makes

    def __getattribute__(self, name: str) -> Any:
        Watched.asked.add(name)
        return super().__getattribute__(name)


def test_every_option_reaches_who_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that the worker forgets would be an option that the daemon takes and does not heed."""
    given: dict[str, Any] = {}
    sent: list[Any] = []

    def diagnosers(bundles: Any, engines: Any, **options: Any) -> None:
        given.update(options, engine=engines[""].info)
        raise UsageError("seen")

    monkeypatch.setattr(process, "diagnosers_of", diagnosers)
    judging = Watched(
        "demo",
        EngineName.OPENVINO,
        PrecisionChoice.FP32,
        ["collagen", "nuclei"],
        {"pages": 7},
        OverlayChoice.OME_TIFF,
        0.25,
    )
    settings = WorkerSettings(FolderPaths(tmp_path, None), judging)
    link: Any = SimpleNamespace(channel=SimpleNamespace(send=sent.append), is_alive=lambda: True)

    process.Worker(link, settings).run()

    assert [type(message) for message in sent] == [StartRefused]
    assert {field.name for field in fields(Judging)} <= Watched.asked
    assert (given["engine"].runtime, given["engine"].precision) == ("openvino", "fp32")
    assert given["channels"] == ["collagen", "nuclei"]
    assert given["limits"] == Limits(pages=7)
    assert given["overlay"] is OverlayChoice.OME_TIFF
    assert given["pixel_size_um"] == 0.25
