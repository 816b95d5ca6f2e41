"""`run --dry-run`: says what `run` then does, writes nothing, and opens no engine."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colvi_edge import engines
from colvi_edge.bundle import demo_path
from colvi_edge.cli.show.rehearsal import show_rehearsal
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.pipeline.rehearsal import Planned
from colvi_edge.simulate import simulate_projection, write_imagej
from tests.tools.bundles import edit_config
from tests.tools.leica import Series, container

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another model, which decides as the demo model does."""
    bundle = Path(shutil.copytree(demo_path(), tmp_path_factory.mktemp("other") / "other.colvi"))
    edit_config(bundle, familiarity=None)
    return bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, other_bundle: Path) -> Path:
    """Make a folder of all that may stand: nothing, results of two models, of other content, an error."""
    data = tmp_path_factory.mktemp("made") / "data"
    (data / "day").mkdir(parents=True)
    own = simulate_projection("control", 1, size_px=256)
    for name in ("own", "foreign", "changed"):
        write_imagej(data / "day" / f"{name}.tif", own)
    (data / "day" / "failed.tif").write_bytes(b"no image\n" * 20)
    series = (
        Series(own, axes="CYX", name="culture", luts=("Green", "Blue")),
        Series(own[:1], axes="CYX", name="overview"),
    )
    (data / "x.lif").write_bytes(container(*series).data)
    judge(other_bundle, data / "day" / "foreign.tif")
    judge("demo", data / "x.lif", *(data / "day" / f"{name}.tif" for name in ("own", "changed", "failed")))
    (data / "day" / "failed.tif").unlink()
    for name in ("changed", "failed"):
        write_imagej(data / "day" / f"{name}.tif", simulate_projection("patient", 2, size_px=256))
    write_imagej(data / "new.tif", own)
    (data / "none.tif").write_bytes(b"no image\n" * 20)
    return data


def judge(bundle: object, *raws: Path) -> None:
    """Judge files, in a process of its own."""
    script = "from colvi_edge.cli import main; main()"
    words = ["run", *map(str, raws), "--bundle", str(bundle)]
    subprocess.run([sys.executable, "-c", script, *words], check=False, capture_output=True, timeout=120)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Give a copy of that folder."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return what changes when something is written: of every file, its i-node, length and moment."""
    return {
        str(path): (status.st_ino, status.st_size, status.st_mtime_ns)
        for path in (folder, *folder.rglob("*"))
        for status in [path.lstat()]
    }


def told(out: str) -> dict[str, tuple[str, str]]:
    """Return what JSON says would become of each image, and why."""
    lines = map(json.loads, out.splitlines())
    return {f"{line['path']} {line['image_key']}".strip(): (line["would_be"], line["why"]) for line in lines}


CULTURE, OVERVIEW = "x.lif 0000-culture", "x.lif 0001-overview"
CASES: dict[str, dict[str, tuple[str, str]]] = {
    "": {
        "day/own.tif": ("judged", "again: the result of this model gives way"),
        "day/foreign.tif": ("kept", "the result of colvi-edge synthetic demo model 1.0.0 stands"),
        CULTURE: ("judged", "again: the result of this model gives way"),
    },
    "--stale": {
        "day/own.tif": ("kept", "the result of this model stands"),
        "day/foreign.tif": ("judged", "anew: the result of colvi-edge synthetic demo model 1.0.0 gives way"),
        CULTURE: ("kept", "the result of this model stands"),
    },
    "--again": {
        "day/own.tif": ("judged", "again: the result of this model gives way"),
        "day/foreign.tif": ("judged", "anew: the result of colvi-edge synthetic demo model 1.0.0 gives way"),
        CULTURE: ("judged", "again: the result of this model gives way"),
    },
}
ALWAYS = {
    "new.tif": ("judged", "for the first time"),
    "day/changed.tif": ("judged", "again: the file has changed since its result"),
    "day/failed.tif": ("judged", "again: it failed before"),
}


@pytest.mark.parametrize("option", list(CASES))
def test_it_says_what_run_then_does(
    folder: Path, run: Run, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each image, and nothing is written; afterwards the run does just that."""
    options = ["--bundle", "demo", *([option] if option else [])]
    before = state(folder)
    with monkeypatch.context() as guarded:
        guarded.setattr(engines, "open_engine", None)
        code, out, err = run("run", folder, "--dry-run", "--json", *options)

    found = told(out)
    refused = {image for image, (would_be, _) in found.items() if would_be == "refused"}
    assert (code, err) == (0, "")
    assert state(folder) == before
    assert {image: found[image] for image in found if image not in refused} == CASES[option] | ALWAYS
    assert refused == {"none.tif", OVERVIEW}
    assert found["none.tif"][1].startswith("none.tif: is not a TIFF file")

    assert run("run", folder, *options)[0] == 1
    changed = {name for name, was in state(folder).items() if before.get(name) != was}
    for image, (would_be, _) in found.items():
        raw, _, key = image.partition(" ")
        stem = f"{folder}/{raw}.{key}" if key else f"{folder}/{raw}"
        assert (f"{stem}.colvi.json" in changed) is (would_be == "judged"), image
        assert Path(f"{stem}.colvi.error.json").exists() is (would_be == "refused"), image


def test_people_get_a_table_and_counts(folder: Path, run: Run) -> None:
    """And where results would go."""
    _, out, _ = run("run", folder, "--dry-run", "--bundle", "demo")

    assert "8 images would be: 5 judged, 1 kept, 2 refused" in out
    assert "Results would go beside the raw files. Nothing was judged or written: --dry-run." in out
    assert "the result of colvi-edge synthetic demo model 1.0.0 stands" in out


def test_80_columns(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is whole in its row, which leads to its reason; that stands once below, with its images."""
    monkeypatch.setenv("COLUMNS", "80")

    _, out, _ = run("run", folder, "--dry-run", "--bundle", "demo")

    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= 80
    reasons = dict(re.findall(r"(?m)^(\d)   \d+ images?: (.+)$", "\n".join(lines)))
    rows = [line.split() for line in lines[1 : lines.index("")]]
    assert len(rows) == 8
    again = "again: the result of this model gives way"
    (mark,) = (mark for mark, why in reasons.items() if why == again)
    assert [row[0] for row in rows if row[2] == mark] == ["x.lif.0000-culture", "day/own.tif"]
    assert f"{mark}   2 images: {again}" in lines
    assert {mark for *_, mark in rows} == set(reasons)


def test_a_folder_of_results_is_not_made(folder: Path, run: Run) -> None:
    """Where there is none, everything is for the first time."""
    results = folder.parent / "made" / "results"

    code, out, _ = run("run", folder, "--dry-run", "--json", "--bundle", "demo", "--output-dir", results)
    _, table, _ = run("run", folder, "--dry-run", "--bundle", "demo", "--output-dir", results)

    assert code == 0
    assert not (folder.parent / "made").exists()
    assert {why for would_be, why in told(out).values() if would_be == "judged"} == {"for the first time"}
    assert {json.loads(line)["results"] for line in out.splitlines()} == {str(results), f"{results}/day"}
    assert f"Results would go below {results}." in table


def test_a_refusal_that_leaves_a_result_says_so(folder: Path, run: Run) -> None:
    """Roles that the files do not have: no error would take the place of a good result."""
    found = told(
        run("run", folder, "--dry-run", "--json", "--bundle", "demo", "--channels", "collagen,other,nuclei")[
            1
        ]
    )

    assert found["day/own.tif"][0] == "refused"
    assert found["day/own.tif"][1].endswith("; its result stays")
    assert not found["new.tif"][1].endswith("stays")


def test_a_place_where_nothing_can_be_written_is_told(folder: Path, run: Run) -> None:
    """Before hours of judging: here below a file."""
    results = folder / "new.tif" / "results"

    code, _, err = run("run", folder / "new.tif", "--dry-run", "--bundle", "demo", "--output-dir", results)

    assert code == 0
    assert err == f"1 folder for results cannot be written to ({results})\n"


def test_wrong_options_are_errors_all_the_same(folder: Path, run: Run, tmp_path: Path) -> None:
    """Exit code 2 for usage, 4 for a bundle."""
    before = state(folder)
    cases: list[tuple[int, list[Any]]] = [
        (2, [tmp_path / "nowhere"]),
        (2, [folder, "--channels", "red"]),
        (2, [folder, "--stale", "--again"]),
        (4, [folder, "--bundle", tmp_path]),
    ]

    for code, words in cases:
        assert run("run", "--dry-run", "--bundle", "demo", *words)[0] == code
    assert state(folder) == before


def test_images_are_counted_once_whatever_each_bundle_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a container one bundle keeps three results, and to another it is closed: a line, not three."""
    files = [InputFile(tmp_path / name, tmp_path, "") for name in ("x.lif", "y.lif")]
    planned = [
        *(Planned(files[0], f"000{number}-a", "keep", "it stands") for number in range(3)),
        Planned(files[0], "", "refuse", "cannot be read", slot="nuclei"),
        Planned(files[1], "", "refuse", "cannot be read"),
        *(Planned(files[1], f"000{number}-b", "keep", "it stands", slot="nuclei") for number in range(2)),
    ]

    show_rehearsal(planned, files, None, as_json=False)

    out = capsys.readouterr().out
    assert "\n5 images, each by 2 bundles, would be: 5 kept, 2 refused\n" in out
