"""What is wrong with a command line is a sentence of ours: found, expected, remedy, and the variable."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from colvi_edge.simulate import simulate_projection, write_imagej

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("run . --bundle demo --pixel-size-um 0,3", "--pixel-size-um 0,3: expected a number such as 0.3"),
        ("run . --bundle demo --pixel-size-um 0", "--pixel-size-um 0: expected 0.001 or more"),
        ("run . --bundle demo --pixel-size-um 1001", "--pixel-size-um 1001: expected 1000 or less"),
        ("run . --engine gpu", "--engine gpu: expected auto, openvino, onnxruntime, tensorrt"),
        ("simulate out --seed 1.5", "--seed 1.5: expected a whole number such as 3"),
        ("report ./x.tif", "FOLDER ./x.tif is a file; expected a folder, such as ."),
        (
            "run . --bundle demo --result-csv .",
            "--result-csv . is a folder; expected the name of a file in it",
        ),
        ("train nowhere -o x", "DATASET nowhere is not there; check the path"),
        (
            "run .",
            "--bundle is missing: expected a bundle (the folder NAME.colvi/ that export made of a model), or "
            "'demo', the shipped synthetic demo model; add --bundle PATH|demo",
        ),
        ("run . --frob", "no such option: --frob"),
        ("runn .", "no such command 'runn'. Did you mean 'run'?"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, words: str, sentence: str
) -> None:
    """As every other error, with exit code 2 and where the help is; nothing is done."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLVI_EDGE_BUNDLE", raising=False)
    Path("x.tif").touch()

    code, out, err = run(*words.split())

    first, second = err.splitlines()
    assert (code, out) == (2, "")
    assert first == f"colvi-edge: error: {sentence}"
    command = "colvi-edge" if words.startswith("runn") else f"colvi-edge {words.split()[0]}"
    assert second == f"Try '{command} --help' for help."
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("COLVI_EDGE_ENGINE", "gpu", "--engine gpu: expected auto, openvino"),
        ("COLVI_EDGE_CHANNELS", "red,green", "--channels red,green: expected collagen and nuclei"),
        ("COLVI_EDGE_BUNDLE", "nowhere", "nowhere is not a folder"),
    ],
)
def test_an_error_names_the_variable_that_the_value_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, variable: str, value: str, words: str
) -> None:
    """Nobody typed it; typed, there is no word of a variable."""
    (tmp_path / "x.tif").touch()
    flag = f"--{variable.removeprefix('COLVI_EDGE_').lower()}"
    bundle = [] if flag == "--bundle" else ["--bundle", "demo"]
    _, _, typed = run("run", tmp_path, *bundle, flag, value)
    monkeypatch.setenv(variable, value)
    _, _, err = run("run", tmp_path, *bundle)

    assert words in typed
    assert variable not in typed
    assert words in err
    assert f"({flag} is from {variable})" in err


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a:b.colvi", "a:b.colvi holds no SHA256SUMS"),  # such a folder is there
        ("c:d.colvi", "c is not a folder"),
        (":nowhere.colvi::", "nowhere.colvi is not a folder"),
        ("::", "--bundle: found '::', which names no bundle"),
    ],
)
def test_a_colon_in_a_variable_is_of_a_name_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, value: str, words: str
) -> None:
    """Else it stands between two; what is empty is no working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b.colvi").mkdir()
    (tmp_path / "x.tif").touch()
    monkeypatch.setenv("COLVI_EDGE_BUNDLE", value)
    code, _, err = run("run", "x.tif")

    assert code in (2, 4)
    assert words in err


def test_what_is_no_bundle_and_what_is_missing_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """A folder of images as bundle; TensorRT where there is no GPU, without a bar or a package's name."""
    monkeypatch.setattr("colvi_edge.engines.cuda.gpu.find_gpu", lambda: None)
    monkeypatch.setattr("colvi_edge.terminal.progress.progress_share", None)  # no bar is begun
    (tmp_path / "x.tif").touch()

    code, _, err = run("run", tmp_path, "--bundle", tmp_path)
    assert code == 4
    assert "so it is not a bundle; name a folder NAME.colvi/ that 'colvi-edge export' made, or 'demo'" in err
    code, _, err = run("run", tmp_path, "--bundle", "demo", "--engine", "tensorrt")
    assert code == 3
    assert err.startswith("colvi-edge: error: --engine tensorrt: found no NVIDIA GPU")
    assert "pip" not in err


def test_swapped_channels_have_a_command_for_that_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """It stands on a line of its own and mends the one; its neighbour stays as it is."""
    monkeypatch.setenv("COLUMNS", "80")
    good, bad = tmp_path / "a day" / "good.tif", tmp_path / "a day" / "swapped.tif"
    good.parent.mkdir()
    planes = simulate_projection("control", 11, size_px=512)
    write_imagej(good, planes)
    write_imagej(bad, planes[::-1].copy())
    out = tmp_path / "out"

    _, told, _ = run("run", tmp_path, "--bundle", "demo", "--output-dir", out, "--engine", "onnxruntime")
    (command,) = [line for line in told.splitlines() if line.startswith("colvi-edge run ")]
    before = (out / "a day" / "good.tif.colvi.json").read_bytes()
    code, _, err = run(*shlex.split(command)[1:])

    assert shlex.split(command) == [
        *("colvi-edge", "run", str(bad), "--output-dir", str(out / "a day"), "--bundle", "demo"),
        *("--engine", "onnxruntime", "--channels", "collagen,nuclei"),
    ]
    assert code == 0, err
    mended = json.loads((out / "a day" / "swapped.tif.colvi.json").read_text())
    assert (mended["status"], mended["diagnosis"]) == ("ok", "control")
    assert (out / "a day" / "good.tif.colvi.json").read_bytes() == before


def test_options_that_came_from_variables_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """On standard error, without values; a remedy names the variable, and what a pipe gets stays JSON."""
    write_imagej(tmp_path / "x.tif", simulate_projection("control", 11, size_px=512)[::-1].copy())
    _, _, quiet = run("run", tmp_path, "--bundle", "demo")
    monkeypatch.setenv("COLVI_EDGE_BUNDLE", "demo")
    monkeypatch.setenv("COLVI_EDGE_CHANNELS", "nuclei,collagen")

    write_imagej(tmp_path / "three.tif", np.ones((3, 64, 64), np.uint16))
    _, out_of_three, _ = run("run", tmp_path / "three.tif")
    (tmp_path / "three.tif").unlink()
    _, out, err = run("run", tmp_path)
    _, data, err_of_json = run("run", tmp_path, "--json")
    code = "from colvi_edge.cli import main; main()"
    (tmp_path / "x.tif.done").touch()  # so that no quiet time has to be waited for
    command = [sys.executable, "-c", code, "watch", str(tmp_path), "--once", "--marker", ".done"]
    once = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stderr

    line = "From the environment: --bundle (COLVI_EDGE_BUNDLE), --channels (COLVI_EDGE_CHANNELS)"
    assert "environment" not in quiet
    for said in (err, err_of_json, once):
        assert said.splitlines()[0] == line
    assert "three.tif: holds 3 channels, but --channels names 2" in out_of_three
    for told in (out, out_of_three):
        assert "(--channels is from COLVI_EDGE_CHANNELS)" in told
    assert "COLVI_EDGE_" not in data
    assert json.loads(data)["status"] == "rejected"


def test_a_service_is_not_told_its_own_settings(tmp_path: Path) -> None:
    """All of them are variables; what systemd's journal gets begins with what matters."""
    command = [sys.executable, "-c", "from colvi_edge.cli import main; main()", "run", "/nowhere.tif"]
    log = tmp_path / "log"
    log.touch()
    for inode, lines in ((log.stat().st_ino, 1), (1, 2)):
        variables = {"COLVI_EDGE_BUNDLE": "demo", "JOURNAL_STREAM": f"{log.stat().st_dev}:{inode}"}
        with log.open("wb") as file:
            subprocess.run(command, env=os.environ | variables, stderr=file, check=False)
        assert len(log.read_text().splitlines()) == lines
        assert ("From the environment" in log.read_text()) == (lines == 2)


def test_build_advises_no_option_that_it_lacks(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Without TensorRT other commands do; that they have the option is said."""
    for package in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("colvi_edge.engines.tensorrt.installed.is_jetson", lambda root: False)

    code, out, err = run("build", "demo", "-q")

    assert (code, out) == (3, "")
    assert "or do without it: --engine openvino of run and watch" in err
