"""The checker itself: it finds each way in which a promise can be broken, and nothing where none is."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.soak.daemon import copied

CHECKER = Path(__file__).with_name("promises.py")
COMMAND = Path(sys.executable).with_name("colvi-edge")
SECOND = "second-opinion"


def checked(folder: Path, *options: str | Path) -> tuple[int, str]:
    """Return exit code and words of the checker, which runs without colvi-edge and all other packages."""
    command = [sys.executable, "-I", "-S", str(CHECKER), str(folder), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of raw files, three of them good, and what `colvi-edge run` left beside them."""
    folder = tmp_path_factory.mktemp("judged")
    pixels = np.random.default_rng(1).poisson(100, (2, 128, 128)).astype(np.uint16)
    (folder / "sub").mkdir()
    for number, name in enumerate(("good.tif", "sub/a line\nbreak.tif", f"sub/{'L' * 251}.tif")):
        tifffile.imwrite(folder / name, pixels + number, imagej=True, metadata={"axes": "CYX"})
    (folder / "bad.tif").write_bytes(b"no image at all, but long enough for a header of any kind")
    (folder / "good.tif.done").touch()
    subprocess.run([COMMAND, "run", "--bundle", "demo", folder], capture_output=True, check=False)
    return folder


@pytest.fixture
def spoilt(judged: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a copy of it that may be spoilt, and a manifest of the raw files in the copy."""
    folder = Path(shutil.copytree(judged, tmp_path / "copy"))
    manifest = tmp_path / "manifest.json"
    assert checked(folder, "--take", manifest)[0] == 0
    return folder, manifest


def rewrite(path: Path, **changes: object) -> None:
    """Change fields of a record."""
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


WAYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a raw file of other bytes": (lambda f: (f / "good.tif").write_bytes(b"x"), "P1 .* another sha256"),
    "a raw file that was touched": (lambda f: os.utime(f / "good.tif", (1, 1)), "P1 .* another mtime_ns"),
    "a raw file that was copied": (
        lambda f: shutil.copy2(f / "good.tif", f / "x") and (f / "x").replace(f / "good.tif"),
        "P1 .* another inode",
    ),
    "a raw file that is gone": (lambda f: (f / "good.tif").unlink(), "P1 the raw file is gone"),
    "no record": (lambda f: (f / "good.tif.colvi.json").unlink(), "P2 it has no record"),
    "two records": (
        lambda f: shutil.copy(f / "bad.tif.colvi.error.json", f / "good.tif.colvi.error.json"),
        "P2 it has 2 records",
    ),
    "a record of other content": (
        lambda f: rewrite(f / "good.tif.colvi.json", image={"name": "good.tif", "sha256": "0" * 64}),
        "P2 its record is of other content",
    ),
    "a torn record": (lambda f: os.truncate(f / "good.tif.colvi.json", 200), "P3 the record is torn"),
    "an empty record": (lambda f: os.truncate(f / "bad.tif.colvi.error.json", 0), "P3 the record is torn"),
    "an error in a result": (lambda f: rewrite(f / "good.tif.colvi.json", status="error"), "P3 its status"),
    "a torn record of before": (
        lambda f: (f / "good.tif.colvi.prev.json").write_text("{"),
        "P3 the record is torn",
    ),
    "a missing output": (lambda f: (f / "good.tif.colvi.png").unlink(), "P3 .*png' is listed, but missing"),
    "a changed output": (lambda f: os.truncate(f / "good.tif.colvi.png", 99), "P3 .* not as it was written"),
    "an output too many": (lambda f: (f / "bad.tif.colvi.csv").touch(), "P3 no record lists it"),
    "a temporary file": (lambda f: (f / "sub/.colvi-1-ab.tmp").touch(), "P3 a temporary file was left"),
}


def test_nothing_is_found_where_nothing_is_wrong(spoilt: tuple[Path, Path]) -> None:
    """Strange and shortened names and error records are no faults, with and without a manifest."""
    folder, manifest = spoilt

    code, words = checked(folder, "--manifest", manifest)
    assert (code, words.splitlines()[-1]) == (0, "verdict: the promises hold")
    assert "P1 raw files as they were                            4 of 4" in words
    assert "of them results, error records                    3, 1" in words
    assert checked(folder)[0] == 0


def test_what_was_before_is_no_record(spoilt: tuple[Path, Path]) -> None:
    """It is of a result that gave way, perhaps of other content, beside a result and beside an error."""
    folder, manifest = spoilt
    for name in ("good.tif", "bad.tif"):
        shutil.copy(folder / "good.tif.colvi.json", folder / f"{name}.colvi.prev.json")
        rewrite(folder / f"{name}.colvi.prev.json", image={"name": name, "sha256": "0" * 64})

    assert checked(folder, "--manifest", manifest)[0] == 0


@pytest.mark.parametrize("way", WAYS)
def test_each_breach_is_found(way: str, spoilt: tuple[Path, Path]) -> None:
    """One fault, and the checker ends with 1 and says which it is."""
    folder, manifest = spoilt
    spoil, fault = WAYS[way]
    spoil(folder)

    code, words = checked(folder, "--manifest", manifest)
    assert code == 1
    assert any(line.startswith("FAULT") and re.search(fault, line) for line in words.splitlines()), words
    if not fault.startswith("P1"):
        assert checked(folder)[0] == 1


@pytest.mark.parametrize(("expected", "raw"), [("broken", "good.tif"), ("image", "bad.tif")])
def test_what_was_expected_counts(expected: str, raw: str, spoilt: tuple[Path, Path]) -> None:
    """An image with an error record is a fault, a broken file with a result, an unfinished one with any."""
    folder, manifest = spoilt
    known = json.loads(manifest.read_text())
    for told, fault in ((expected, f"P2 expected {expected}"), ("unfinished", "was never finished")):
        known[raw]["expected"] = told
        manifest.write_text(json.dumps(known))

        code, words = checked(folder, "--manifest", manifest)
        assert code == 1
        assert fault in words


TWO: dict[str, tuple[Callable[[Path], object], str]] = {
    "none of the second": (
        lambda f: (f / f"good.tif.{SECOND}.colvi.json").unlink(),
        f"no record of {SECOND}",
    ),
    "none of the first": (lambda f: (f / "good.tif.colvi.json").unlink(), "P2 it has no record$"),
    "two of the second": (
        lambda f: shutil.copy(
            f / f"bad.tif.{SECOND}.colvi.error.json", f / f"good.tif.{SECOND}.colvi.error.json"
        ),
        f"P2 it has 2 records of {SECOND}",
    ),
    "one that is called otherwise": (
        lambda f: rewrite(f / f"good.tif.{SECOND}.colvi.json", slot="another"),
        "P3 it is of 'another', which its name does not say",
    ),
    "one of other content": (
        lambda f: rewrite(
            f / f"good.tif.{SECOND}.colvi.json", image={"name": "good.tif", "sha256": "0" * 64}
        ),
        f"P2 its record of {SECOND} is of other content",
    ),
}


@pytest.mark.parametrize("way", [None, *TWO])
def test_each_bundle_has_its_own_record(way: str | None, judged: Path, tmp_path: Path) -> None:
    """One current record of each: what is wrong with one is told of that one."""
    folder = Path(shutil.copytree(judged, tmp_path / "copy"))
    judge: list[str | Path] = [COMMAND, "run", "--bundle", "demo", "--bundle", copied(tmp_path), folder]
    subprocess.run(judge, capture_output=True, check=False)
    spoil, fault = TWO[way] if way else (lambda _: None, "")
    spoil(folder)

    code, words = checked(folder, "--slot", SECOND)
    assert code == (1 if way else 0), words
    if way:
        assert any(line.startswith("FAULT") and re.search(fault, line) for line in words.splitlines()), words
    else:
        assert "of them results, error records                    6, 2" in words


def test_mirrored_results(judged: Path, tmp_path: Path) -> None:
    """The results may lie in a folder of their own."""
    mirror = tmp_path / "mirror"
    options = ("--bundle", "demo", "--output-dir", mirror)
    subprocess.run([COMMAND, "run", *options, judged], capture_output=True, check=False)

    assert checked(judged, "--output-dir", mirror)[0] == 0
    (mirror / "good.tif.colvi.json").unlink()
    assert checked(judged, "--output-dir", mirror)[0] == 1
