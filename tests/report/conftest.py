"""A few really judged images, many under other names made of them, and what a page holds."""

import hashlib
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.simulate import image_seed, simulate_projection, write_imagej
from colvi_edge.tasks.classify import ClassName

SIZE_PX = 320  # 25 patches: an odd number, so that no vote is a tie by chance


class Page(HTMLParser):
    """A page, taken apart by the standard library's parser.

    Attributes:
        tags: of every element, in order, with its attributes.
        inside: text of each style and script element, in order.
        data: what the page's script is told.
    """

    def __init__(self, path: Path) -> None:
        """Read it."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.data: dict[str, Any] = json.loads(self.inside[1])
        self.images = {one["name"]: one for one in self.data["images"]}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))
        if tag in ("style", "script"):
            self.inside.append("")

    def handle_data(self, data: str) -> None:
        """Note what a script or style is made of."""
        if self.tags and self.tags[-1][0] in ("style", "script") and data.strip():
            self.inside[-1] += data


@pytest.fixture(scope="session")
def take_apart() -> Callable[[Path], Page]:
    """Return a function that takes a page apart."""
    return Page


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory, demo_bundle: Bundle) -> Path:
    """Return a folder with a control, a patient, a rejected image and an error, as the pipeline left them."""
    folder = tmp_path_factory.mktemp("judged")
    labels: tuple[ClassName, ...] = ("control", "patient")
    for number, label in enumerate(labels):
        image = simulate_projection(
            label, image_seed(3, number), severity=0.9 if number else None, size_px=SIZE_PX
        )
        write_imagej(folder / f"{label}.tif", image)
    image[:] = 7
    write_imagej(folder / "rejected.tif", image)
    (folder / "error.tif").write_bytes(b"II*\0")
    with closing(open_engine(demo_bundle, "openvino", "fp32")) as engine:
        for _ in process(Diagnoser(demo_bundle, engine), find_inputs([folder])):
            pass
    return folder


def voted(patches: dict[str, Any], control: int, ties: int) -> dict[str, Any]:
    """Return what a record says where so many of the 25 patches, the first, vote for control."""
    patient = 25 - control - ties
    votes = ["control"] * control + ["tie"] * ties + ["patient"] * patient
    lines = [votes[5 * row : 5 * row + 5] for row in range(5)]
    p_control = {"control": 0.95, "tie": 0.5, "patient": 0.125}
    bands = {"control": "cyan", "tie": "yellow", "patient": "red"}
    grids = {
        "vote": lines,
        "p_control": [[p_control[vote] for vote in line] for line in lines],
        "p_patient": [[1 - p_control[vote] for vote in line] for line in lines],
        "band": [[bands[vote] for vote in line] for line in lines],
    }
    return {
        "patches": {**patches, **grids},
        "votes": {"control": control, "patient": patient, "tie": ties},
        "score": 4.0 * control,
        "diagnosis": "unsure" if control == patient else "control" if control > patient else "patient",
    }


@pytest.fixture(scope="session")
def copy_result(judged: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that leaves a judged image's result under another name, everything listed right.

    It takes the name of the judged image, the new raw file's path and what is to be changed in the record,
    which it returns: keys of it, or how many of the 25 patches vote for control, and how many are ties.
    """

    def copy(of: str, raw: Path, control: int | None = None, ties: int = 0, **changes: Any) -> dict[str, Any]:
        raw.parent.mkdir(parents=True, exist_ok=True)
        if of == "error":
            record = json.loads((judged / "error.tif.colvi.error.json").read_text())
            record["image"]["name"] = raw.name
            Path(f"{raw}.colvi.error.json").write_text(json.dumps(record | changes))
            return dict(record)
        record = json.loads((judged / f"{of}.tif.colvi.json").read_text())
        overlay = Path(f"{raw}.colvi.png")
        shutil.copy(judged / f"{of}.tif.colvi.png", overlay)
        record["image"]["name"] = raw.name
        record["outputs"] = [
            {"name": overlay.name, "sha256": hashlib.sha256(overlay.read_bytes()).hexdigest()}
        ]
        if control is not None:
            record |= voted(record["patches"], control, ties)
        record |= changes
        Path(f"{raw}.colvi.json").write_text(json.dumps(record))
        return dict(record)

    return copy


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Return Debian's browser, see tests/tools/chromium.py."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
    with importlib.import_module("chromium").Chromium() as browser:
        yield browser
