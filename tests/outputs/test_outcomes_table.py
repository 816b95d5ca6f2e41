"""The table of `run`, at 80 columns and in a pipe: names are whole, what many share is said once."""

import io
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from colvi_edge.cli.show.outcomes import print_outcomes, print_places
from colvi_edge.errors import ColviEdgeError, IncompleteFileError
from colvi_edge.outputs.cells import headline
from colvi_edge.outputs.sidecar import Model, QualityFlag, Sidecar
from colvi_edge.pipeline import Kept, Outcome
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.printable import unambiguous_name
from colvi_edge.report.entries import entry
from colvi_edge.report.samples import NamePattern
from colvi_edge.terminal.console import PrintableConsole
from colvi_edge.terminal.tables import print_name
from colvi_edge.watch.worker.process import summary
from tests.tools.segmentations import classes_of, record_of, segmented
from tests.tools.terminal import Screen

MakeSidecar = Callable[..., Sidecar]
Outcomes = Sequence[Outcome[InputFile]]

UNKNOWN = QualityFlag(name="pixel_size_unknown", severity="warn", words="The file states no pixel size.")
EMPTY = QualityFlag(name="no_cells", severity="reject", words="No cells: the nuclei channel holds nothing.")
HEAD = ["image", "diagnosis", "score (100 = control)", "control votes", "patient votes", "tie", "remarks"]


def at(width: int, outcomes: Outcomes, folder: str = "day", *, told: bool = True) -> list[str]:
    """Return the lines of a terminal of so many columns; of a table alone, or with all that is told below."""
    terminal = Screen()
    console = PrintableConsole(file=terminal, width=width, highlight=False, emoji=False, color_system=None)
    print_outcomes(console, outcomes)
    if told:
        print_places(console, outcomes, [Path(folder)], with_report=True)
    return [line.rstrip() for line in terminal.getvalue().split("\n")]


def piped(outcomes: Outcomes, *folders: str) -> list[str]:
    """Return the lines that a pipe gets."""
    pipe = io.StringIO()
    console = PrintableConsole(file=pipe, width=10_000, highlight=False, emoji=False)
    print_outcomes(console, outcomes)
    print_places(console, outcomes, [Path(folder) for folder in folders or ["day"]], with_report=True)
    return pipe.getvalue().split("\n")


def outcome(name: str, result: Sidecar | Kept | ColviEdgeError, folder: str = "day") -> Outcome[InputFile]:
    """Return what became of a raw file that lies in a folder, with its results."""
    raw = Path(folder) / name
    return Outcome(InputFile(raw, raw.parent, str(Path(name).parent).removeprefix(".")), result)


@pytest.fixture
def many(make_sidecar: MakeSidecar) -> Outcomes:
    """Give images of every kind; nine of them share a remark, three an error."""
    ok, ill = make_sidecar([[0.9, 0.8]], quality=[UNKNOWN]), make_sidecar([[0.1, 0.2]], quality=[UNKNOWN])
    flags = [
        QualityFlag(name="saturated_nuclei", severity="warn", words=f"{share} % of the pixels are saturated.")
        for share in (1.25, 2.5)
    ]
    own = [make_sidecar([[0.9, 0.1]], quality=[flag]) for flag in flags]
    error = IncompleteFileError("the file holds one channel, but two are needed; save both into one file")
    return [
        *(outcome(f"P01/{number}.tif", ok) for number in range(6)),
        *(outcome(f"P02/{number}.tif", ill) for number in range(3)),
        *(outcome(f"P03/{number}.tif", result) for number, result in enumerate(own)),
        outcome("P04/empty.tif", make_sidecar(None, quality=[EMPTY])),
        *(outcome(f"P05/{number}.tif", error) for number in range(3)),
        outcome(
            "short.tif",
            IncompleteFileError("is empty (0 bytes); export the image again", subject="short.tif"),
        ),
    ]


def test_what_many_images_share_is_said_once(many: Outcomes) -> None:
    """With their number; a row has what is its own, and every error its file names and all of its words."""
    for lines in (at(80, many), piped(many)):
        text = "\n".join(lines)
        assert text.count("The file states no pixel size.") == 1
        assert "pixel size unknown: 9 images. The file states no pixel size." in text
        assert "no cells: 1 image. The nuclei channel holds nothing." in text
        assert "16 images: 6 control, 3 patient, 2 unsure, 1 rejected, 4 errors" in lines
        for number, share in enumerate(("1.25", "2.5")):
            at_words = text.index(f"{share} % of the pixels are saturated.")
            assert f"P03/{number}.tif" in text[at_words - 40 : at_words]
        assert "error: short.tif" in text
        assert "short.tif: short.tif" not in text
        assert "is empty (0 bytes); export the image again" in text
    folded = " ".join(" ".join(at(80, many)).split())
    sentence = "the file holds one channel, but two are needed; save both into one file"
    assert f"error: P05/0.tif error: P05/1.tif error: P05/2.tif {sentence}" in folded
    assert folded.count(sentence) == 1
    for number in range(3):
        assert f"error: P05/{number}.tif: {sentence}" in piped(many)


def test_a_row_leads_to_its_remarks(many: Outcomes) -> None:
    """By a number that stands before the remark; in a pipe by its title."""
    lines = at(80, many)
    first, second, third = (
        next(line for line in lines if line.startswith(f"{number}   ")) for number in (1, 2, 3)
    )
    assert "pixel size unknown" in first
    assert "saturated nuclei" in second
    assert "no cells" in third
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("P0")}
    assert rows["P01/0.tif"] == ["control", "100.0", "2", "0", "0", "1"]
    assert rows["P03/1.tif"] == ["unsure", "50.0", "1", "1", "0", "2"]
    assert rows["P04/empty.tif"] == ["rejected", "3"]
    assert rows["P05/0.tif"] == ["error"]


def test_a_pipe_gets_a_row_a_line(many: Outcomes) -> None:
    """With a head; cells are parted by tabs and padded by nothing."""
    lines = piped(many)
    rows = [line.split("\t") for line in lines[: len(many) + 1]]

    assert rows[0] == HEAD
    assert rows[1] == ["P01/0.tif", "control", "100.0", "2", "0", "0", "pixel size unknown"]
    assert rows[12] == ["P04/empty.tif", "rejected", "", "", "", "", "no cells"]
    assert rows[16] == ["short.tif", "error", "", "", "", "", ""]
    assert {len(row) for row in rows} == {len(HEAD)}
    assert not any("\t" in line or line != line.rstrip() for line in lines[len(many) + 1 :])


NAMES = st.text(st.sampled_from("ab _-./[]\\胶ä\u0301"), min_size=1, max_size=120).map(
    lambda name: f"x{name}"
)


@given(st.lists(NAMES, min_size=1, max_size=6, unique=True), st.integers(60, 130))
@example(["x" * 79, "x" * 80, "x" * 81, "x" * 200, "x"], 80)
@example(["begin" + "m" * 90 + "end", "begin" + "n" * 60 + "end.tif"], 60)
@example(["P01 fibroblasts, passage 4/P01_2026-11-20_field 03, position 12.tif"], 80)
@settings(max_examples=60, deadline=None)
def test_no_name_is_broken(make_sidecar: MakeSidecar, names: list[str], width: int) -> None:
    """Each is whole in one line or, if it is wider than the terminal, in several, the others indented."""
    sidecar = make_sidecar([[0.9, 0.1]])
    files = [InputFile(Path(name), Path(), "") for name in names]
    outcomes = [Outcome(file, sidecar) for file in files]
    paths = [unambiguous_name(file.path) for file in files]

    lines = at(width, outcomes, told=False)

    assert all(cell_len(line) <= width for line in lines)
    for path in {path.rstrip() for path in paths}:
        if cell_len(path) <= width:
            assert any(line == path or line.startswith(f"{path} ") for line in lines), path
        else:
            assert "".join(path.split()) in "".join("".join(lines).split()), path
    assert sum(line.split()[-5:] == ["unsure", "50.0", "1", "1", "0"] for line in lines) == len(names)
    assert [line.split("\t")[0] for line in piped(outcomes)[1 : len(names) + 1]] == paths


@given(st.lists(NAMES, min_size=1, max_size=6), st.integers(20, 130), st.sampled_from(["", "error: "]))
@example([f"{folder}/{'x' * 90}.tif" for folder in "AB"], 80, "error: ")
@example([f"{'x' * 80}{end}{'x' * 90}.tif" for end in "AB"], 80, "")
@settings(max_examples=60, deadline=None)
def test_two_names_stay_two(names: list[str], width: int, before: str) -> None:
    """Whatever their length: each can be read again from its lines, and what stands before it stays there."""
    terminal = Screen()
    console = PrintableConsole(file=terminal, width=width, highlight=False, emoji=False, color_system=None)
    for name in names:
        print_name(console, name, Text(before))

    lines = terminal.getvalue().split("\n")[:-1]
    assert all(cell_len(line) <= width for line in lines)
    told = "\n".join(lines).replace(f"\n{' ' * (len(before) + 2)}", "")
    assert told.split("\n") == [before + name for name in names]


def test_columns_are_asked_for_in_a_pipe_too(monkeypatch: pytest.MonkeyPatch, many: Outcomes) -> None:
    """COLUMNS says how wide a line may be, wherever it goes."""
    monkeypatch.setenv("COLUMNS", "72")
    pipe = io.StringIO()
    console = PrintableConsole(file=pipe, highlight=False, emoji=False)
    print_outcomes(console, many)

    lines = [line.rstrip() for line in pipe.getvalue().split("\n")]
    assert lines == at(72, many, told=False)
    assert 64 < max(map(len, lines)) <= 72
    assert "\x1b" not in pipe.getvalue()


def test_where_the_results_are(make_sidecar: MakeSidecar) -> None:
    """Beside the raw files, or where they were wanted; the command stands alone, and a shell takes it."""
    sidecar = make_sidecar([[0.9]])
    folder = "a day's folder, " + "-and-long" * 10
    beside = [outcome(f"P0{number}/x.tif", sidecar, folder) for number in (1, 2)]
    apart = [Outcome(InputFile(Path("x.tif"), Path("out/P01")), sidecar)]

    for lines in (at(80, beside, folder), piped(beside, folder)):
        assert f"2 results beside the raw files in {folder}" in lines
        command = next(line for line in lines if line.startswith("colvi-edge report "))
        assert shlex.split(command) == ["colvi-edge", "report", folder]
        assert lines[lines.index(command) + 1] == ""
    assert "1 result in out/P01" in at(80, apart, "out")
    assert at(80, [outcome("x.tif", IncompleteFileError("is empty", subject="x.tif"))])[-2:] == [
        "1 image: 1 error",
        "",
    ]


def test_the_folders_that_were_named_are_told(make_sidecar: MakeSidecar) -> None:
    """One with results deeper down, several, or so many that nobody copies as many commands."""
    sidecar = make_sidecar([[0.9]])
    deep = [Outcome(InputFile(Path("mine/patient/x.tif"), Path("mine/patient")), sidecar)]
    apart = [*deep, Outcome(InputFile(Path("/mnt/b/y.tif"), Path("/mnt/b")), sidecar)]

    for lines in (at(80, deep, "mine"), piped(deep, "mine")):
        assert "1 result beside the raw file in mine/patient" in lines
        assert [line for line in lines if line.startswith("colvi-edge")] == ["colvi-edge report mine"]
    lines = piped(apart, "mine", "/mnt/b")
    assert "2 results beside the raw files" in lines
    assert [line for line in lines if line.startswith("colvi-edge")] == [
        "colvi-edge report mine",
        "colvi-edge report /mnt/b",
    ]
    assert "colvi-edge" not in "".join(piped(apart, "mine", "/mnt/b", "c", "d"))


def test_a_kept_result_has_its_row(make_sidecar: MakeSidecar) -> None:
    """With its diagnosis, which still holds, and the model that it is of; it is not among those written."""
    of_old = make_sidecar([[0.9]], model=Model(name="lab model", version="0.9", sha256="ef" * 32))
    new, error = make_sidecar([[0.1]]), IncompleteFileError("is empty", subject="d.tif")
    outcomes = [
        *(outcome(name, Kept(of_old, is_other_model=True)) for name in ("a.tif", "b.tif")),
        outcome("own.tif", Kept(new, is_other_model=False)),
        outcome("c.tif", new),
        Outcome(outcome("d.tif", error).file, error, stands=of_old),
    ]

    for lines in (at(80, outcomes), piped(outcomes)):
        text = " ".join(" ".join(lines).split())
        assert "kept: 3 images" in text
        assert "a.tif" in text[: text.index("As lab model 0.9 judged it before.")]
        assert "This model judged it before." in text
        assert "As colvi-edge" not in text
        assert "5 images: 2 control, 2 patient, 1 error" in lines
        assert any(line.startswith("1 result beside the raw file in day") for line in lines)
    assert piped(outcomes)[1].split("\t") == ["a.tif", "control", "100.0", "1", "0", "0", "kept"]


def test_regions_and_objects_are_told_in_words(make_sidecar: MakeSidecar) -> None:
    """In a column of their own; beside diagnoses in that of the votes; counted as measured."""
    result = segmented(classes_of())
    measured = [outcome(f"{number}.tif", record_of(result, quality=[UNKNOWN])) for number in range(2)]

    alone = piped(measured)
    assert [line.split("\t") for line in alone[:3]] == [
        ["image", "result", "found", "remarks"],
        *([f"{n}.tif", "measured", "13 nuclei, 7 vesicles", "pixel size unknown"] for n in range(2)),
    ]
    assert "2 images: 2 measured" in alone
    both = [*measured, outcome("c.tif", make_sidecar([[0.9, 0.8]]))]
    assert [line.split("\t")[:4] for line in piped(both)[:4]] == [
        ["image", "result", "score (100 = control)", "votes or found"],
        ["0.tif", "measured", "", "13 nuclei, 7 vesicles"],
        ["1.tif", "measured", "", "13 nuclei, 7 vesicles"],
        ["c.tif", "control", "100.0", "2 control"],
    ]
    assert all(cell_len(line) <= 80 for line in at(80, both))


@pytest.mark.parametrize(("status", "word"), [("ok", "measured"), ("rejected", "rejected")])
def test_only_what_was_rejected_is_called_so(make_sidecar: MakeSidecar, status: str, word: str) -> None:
    """By its status, not by what it has not: a task to come may give neither a diagnosis nor regions."""
    neither = {"votes": None, "patches": None, "diagnosis": None, "score": None}
    record = make_sidecar([[0.9]]).model_copy(update={"status": status, **neither})

    assert piped([outcome("x.tif", record)])[1].split("\t")[:2] == ["x.tif", word]
    assert entry(record, "", "x.tif.colvi.json", NamePattern()).shown["result"] == word
    assert headline(record).startswith(word)
    assert summary(record) == word
