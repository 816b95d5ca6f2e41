"""`run --report`: the page of the folders named, as the command `report` makes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.pipeline.inputs import folders_of, places_of
from colvi_edge.simulate import simulate_projection, write_imagej

Run = Callable[..., tuple[int, str, str]]
DataOf = Callable[[Path], dict[str, Any]]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Give three folders of an image each, and one below one of them."""
    for place in ("mon", "mon/late", "tue", "wed"):
        (tmp_path / "data" / place).mkdir(parents=True)
        write_imagej(tmp_path / "data" / place / "x.tif", simulate_projection("control", 1, size_px=256))
    return tmp_path / "data"


@pytest.fixture
def data_of(take_apart: Callable[[Path], Any]) -> Callable[[Path], dict[str, Any]]:
    """Return a function that gives the data of a page, but for the moment when it was made."""
    return lambda page: {key: word for key, word in take_apart(page).data.items() if key != "made"}


def test_it_is_the_page_of_report(days: Path, run: Run, data_of: DataOf) -> None:
    """Of a folder and all below it, results of earlier runs included."""
    run("run", days / "wed", "--bundle", "demo")

    code, out, _ = run("run", days, "--bundle", "demo", "--report", days / "run.html")

    run("report", days, "-o", days / "report.html")
    assert code == 0
    assert out.endswith(f"4 images on one page: {days / 'run.html'}\n")
    assert data_of(days / "run.html") == data_of(days / "report.html")


def test_only_the_folders_named_are_on_it(days: Path, run: Run, data_of: DataOf) -> None:
    """And what lies below them; the results of others stay off the page."""
    run("run", days, "--bundle", "demo")

    code, out, err = run(
        "run",
        days / "mon",
        days / "tue" / "x.tif",
        "--bundle",
        "demo",
        "--json",
        "--report",
        days / "run.html",
    )

    assert code == 0
    assert len(out.splitlines()) == 3
    assert f"3 images on one page: {days / 'run.html'}" in err
    assert {image["folder"] for image in data_of(days / "run.html")["images"]} == {"mon", "mon/late", "tue"}


def test_it_is_the_page_of_the_folder_of_results(days: Path, run: Run, data_of: DataOf) -> None:
    """Where they are not beside the raw files."""
    results = days.parent / "results"

    run("run", days / "mon", "--bundle", "demo", "--output-dir", results, "--report", results / "run.html")

    assert {image["folder"] for image in data_of(results / "run.html")["images"]} == {"", "late"}


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("run.txt", 2, "ends in .html"),
        ("mon/x.tif/run.html", 1, "cannot write"),
        ("notes.html", 2, "notes.html"),
    ],
)
def test_a_page_that_cannot_be_is_told_before_the_work(
    days: Path, run: Run, name: str, code: int, words: str
) -> None:
    """Nothing is judged, and what stands in its place stays."""
    (days / "notes.html").write_text("what the lab knows")
    found, _, err = run("run", days, "--bundle", "demo", "--report", days / name)

    assert found == code
    assert words in err
    assert not list(days.rglob("*.colvi.*"))
    assert (days / "notes.html").read_text() == "what the lab knows"


def test_places(tmp_path: Path) -> None:
    """Folders that lie in another one that was named are in it; a link is where it leads to."""
    for place in ("a/b", "ab", "c"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "a" / "x.tif").touch()
    (tmp_path / "link").symlink_to(tmp_path / "c")

    def folders(*names: str, output_dir: Path | None = None) -> list[str]:
        found = folders_of([tmp_path / name for name in names], output_dir)
        return [str(folder.relative_to(tmp_path)) for folder in found]

    def places(*names: str, output_dir: Path | None = None) -> tuple[Path, list[str]]:
        return places_of([tmp_path / name for name in names], output_dir)

    assert places("a") == (tmp_path / "a", ["."])
    assert places("a/x.tif", "a/b") == (tmp_path / "a", ["."])
    assert places("a/b", "a", "ab") == (tmp_path, ["a", "ab"])
    assert folders("a/b", "ab", "a", "ab", "a/x.tif") == ["ab", "a"]
    assert folders("link", "a/b", "c") == ["link", "a/b"]
    assert folders_of([Path("x.tif"), Path("/")]) == [Path("/")]
    assert folders_of([Path("x.tif")]) == [Path()]
    assert folders("a", "c", output_dir=tmp_path / "out") == ["out"]
    assert places("link", "ab") == (tmp_path, ["ab", "c"])
    assert places("a", "c", output_dir=tmp_path / "out") == (tmp_path / "out", ["."])
