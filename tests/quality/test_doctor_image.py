"""`colvi-edge doctor --image`: what an image is like, beside the limits of a bundle."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from colvi_edge.simulate import simulate_projection, write_imagej

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def culture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good image, [markup] in its name."""
    path = tmp_path_factory.mktemp("images") / "[red]good.tif"
    write_imagej(path, simulate_projection("patient", 2))
    return path


@pytest.fixture(scope="module")
def panel(culture: Path) -> Path:
    """Two cultures side by side with a white line between them."""
    image = simulate_projection("patient", 2)
    image[:, :, 505:519] = 40000
    path = culture.with_name("panel.tif")
    tifffile.imwrite(path, image, imagej=True, metadata={"axes": "CYX", "Labels": ["nuclei", "collagen"]})
    return path


def test_a_good_image_is_told_with_every_measure(run: Run, culture: Path) -> None:
    """Its name, what was read, whose limits these are, and between what each measure is familiar."""
    code, out, err = run("doctor", "--image", culture)

    assert (code, err) == (0, "")
    head, *lines = [" ".join(line.split()) for line in out.splitlines()]
    assert head == "state what words"
    assert lines[0].startswith(
        "ok [red]good.tif 1024 x 1024 pixels of 0.3 um, planes: 1, uint16, nuclei, collagen; compared with "
    )
    assert "demo model" in lines[0]
    assert [line.split()[1] for line in lines[1:] if line.startswith("ok ")] == [
        "nuclei_background",
        "nuclei_size",
        "nuclei_speckle",
        "straight_lines",
        "collagen_structure",
    ]
    assert "familiar from 22.48 to 34.81 (typically 27.97): mean chord of the nuclei, in pixels" in out


def test_the_measures_are_those_of_the_sidecar(run: Run, panel: Path, tmp_path: Path) -> None:
    """Line by line as JSON; the same that `run` leaves, and the reason why it rejects."""
    code, out, _ = run("doctor", "--image", panel, "--json")
    run("run", panel, "--bundle", "demo", "--output-dir", tmp_path)
    sidecar = json.loads((tmp_path / "panel.tif.colvi.json").read_text())

    first, *findings = [json.loads(line) for line in out.splitlines()]
    told = {finding["what"]: finding for finding in findings}
    assert code == 0
    assert (first["what"], first["state"]) == ("panel.tif", "rejected")
    for one in sidecar["familiarity"]:
        assert told[one["name"]]["words"].startswith(
            f"{one['value']:.4g}, familiar from {one['low']:.4g} to "
        )
        within = one["low"] <= one["value"] <= one["high"]
        assert told[one["name"]]["state"] == ("ok" if within else "rejected")
    assert told["straight_lines"]["state"] == "rejected"
    flags = {flag["name"]: flag for flag in sidecar["quality"]}
    assert (flags["unfamiliar"]["severity"], sidecar["status"]) == ("reject", "rejected")
    assert told["unfamiliar"]["words"] == flags["unfamiliar"]["words"]
    assert told["pixel_size_unknown"]["state"] == "note"


def test_roles_can_be_named(run: Run, tmp_path: Path) -> None:
    """As for `run`."""
    nuclei, collagen = simulate_projection("control", 3, size_px=512)
    tifffile.imwrite(tmp_path / "x.tif", np.stack([collagen, nuclei]), imagej=True, metadata={"axes": "CYX"})

    _, swapped, _ = run("doctor", "--image", tmp_path / "x.tif")
    _, named, _ = run("doctor", "--image", tmp_path / "x.tif", "--channels", "collagen,nuclei")

    assert "channels_swapped" in swapped
    assert "channels_swapped" not in named
    assert "collagen, nuclei; compared" in named


def test_what_run_cannot_judge_is_told_in_the_words_of_run(run: Run, tmp_path: Path) -> None:
    """A crop that no patch fits in has no measures; the exit code is that of `run`, too."""
    tiny = simulate_projection("control", 3, size_px=512)[:, :40, :40]
    tifffile.imwrite(tmp_path / "x.tif", tiny, imagej=True, metadata={"axes": "CYX"})

    code, out, err = run("doctor", "--image", tmp_path / "x.tif", "--json")
    assert (run("run", tmp_path, "--bundle", "demo", "-q")[0], err) == (code, "") == (1, "")

    (found,) = [json.loads(line) for line in out.splitlines()]
    error = json.loads((tmp_path / "x.tif.colvi.error.json").read_text())["error"]
    assert (found["state"], found["what"]) == ("rejected", "x.tif")
    assert "smaller than one patch of 64 x 64; export the whole field of view" in found["words"]
    assert f"x.tif: {found['words']}".startswith(f"{error['message']}; 40 x 40 pixels of ")


def test_a_file_that_is_no_image_is_named_once(run: Run, tmp_path: Path) -> None:
    """The sentence begins with its name, however it comes out of the command."""
    (tmp_path / "picture.tif").write_bytes(b"\x89PNG and so on")

    code, _, err = run("doctor", "--image", tmp_path / "picture.tif")

    assert (code, err.partition("is a PNG picture")[0]) == (1, "colvi-edge: error: picture.tif: ")


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (("--image", "nowhere.tif"), 2, "is not there"),
        (("--image", "."), 2, "is a folder"),
        (("--image", "text.tif"), 1, "text.tif"),
        (("--image", "text.tif", "--bundle", "nowhere.colvi"), 4, "is not a folder"),
        (("--image", "text.tif", "--channels", "red,green"), 2, "expected collagen and nuclei"),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    exit_code: int,
    words: str,
) -> None:
    """With the exit code of its kind."""
    monkeypatch.chdir(tmp_path)
    Path("text.tif").write_text("no image")

    code, out, err = run("doctor", *options)

    assert (code, out) == (exit_code, "")
    assert words in " ".join(err.replace("│", " ").split())
