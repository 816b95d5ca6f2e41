"""`export`, `evaluate` and `explain` on models of others, from the outside: a child does the work."""

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from colvi_edge.bundle import demo_path, open_bundle
from colvi_edge.cli import main
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, load_checkpoint
from colvi_edge.export.reading.kinds import is_foreign
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.tasks.classify import CLASSES
from tests.export.reading.test_foreign_onnx import by_runtime, keras, noise
from tests.export.reading.test_keras import layers, write_keras
from tests.onnx.test_refused import HOSTILE
from tests.tools.onnx_models import written

Run = Callable[..., tuple[int, str, str]]

TOLD = ("--classes", "control,patient", "--activation", "softmax")

IN_A_HURRY = """
import colvi_edge.system.confinement as confinement
within = confinement.time_limit
confinement.time_limit = lambda seconds: within(5)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where temporary files are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> Iterator[Run]:
    """Return a function that runs the command line, and gives what its child prints, too."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["colvi-edge", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capfd.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    yield call
    assert list(temporary.iterdir()) == []


def scripted(network: nn.Module, path: Path) -> Path:
    """Save as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network.eval()).save(path)  # type: ignore[no-untyped-call]
    return path


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the shipped network as TorchScript."""
    return scripted(load_checkpoint(DEMO_CHECKPOINT).network, tmp_path_factory.mktemp("models") / "demo.pt")


@pytest.mark.usefixtures("without_kernels")
def test_a_closed_pipe_is_no_failure(script: Path, tmp_path: Path, few: Path) -> None:
    """`export ... | head -1`: the child, which may change next to nothing, makes the bundle all the same."""
    read, write = os.pipe()
    os.close(read)

    options = ("-o", tmp_path / "my.colvi", *TOLD, "--precision", "fp32", "--calibration", few)
    ended = subprocess.run(
        [sys.executable, "-c", "from colvi_edge.cli import main; main()", "export", script, *options],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
    )
    os.close(write)

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert open_bundle(tmp_path / "my.colvi").name


@pytest.mark.usefixtures("without_kernels")
def test_the_same_bundle_as_without_a_child(
    command: Run, script: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child changes where the work is done, not what comes of it: byte for byte, and word for word."""
    there = tmp_path / "new" / "there.colvi"
    options = ("--precision", "fp32", "--name", "of a lab", "--calibration", few)
    code, out, err = command("export", script, "-o", there, *TOLD, *options)
    assert (code, err) == (0, "")
    assert f"{there}: fp32" in out.splitlines()
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    assert {path.stat().st_mode & 0o777 for path in there.iterdir()} == {0o644}

    monkeypatch.setattr("colvi_edge.cli.confined.foreign.is_foreign", lambda path: False)
    here = tmp_path / "here.colvi"
    assert command("export", script, "-o", here, *TOLD, *options) == (
        0,
        out.replace(str(there), str(here)),
        "",
    )
    found, expected = ({path.name: path.read_bytes() for path in place.iterdir()} for place in (there, here))
    assert found == expected


@pytest.mark.usefixtures("without_kernels")
def test_a_bundle_is_replaced_and_its_worst_patches_are_in_it(
    command: Run, script: Path, tmp_path: Path
) -> None:
    """Calibrated on blank images INT8 fails its gate; the shipped bundle has a temperature: --force."""
    for number in range(8):
        label = CLASSES[number % 2]
        (tmp_path / "images" / label).mkdir(parents=True, exist_ok=True)
        pixels = simulate_projection(label, number, size_px=192)
        held_out = number // 2 == 2  # the third of each
        write_imagej(tmp_path / "images" / label / f"{number}.tif", pixels if held_out else pixels * 0 + 300)
    bundle = Path(shutil.copytree(demo_path(), tmp_path / "lab.colvi"))
    options = ("--precision", "int8", "--calibration", tmp_path / "images")
    code, _, err = command("export", script, "-o", bundle, *TOLD, *options)
    assert code == 2
    assert "with the same weights but other probabilities made of its outputs" in err
    code, out, _ = command("export", script, "-o", bundle, *TOLD, *options, "--force")

    assert code == 5
    assert list(open_bundle(bundle).config.precisions) == ["fp32", "int8-trt", "int8-cpu"]
    worst = [bundle / f"worst-{precision}.tif" for precision in ("int8-trt", "int8-cpu")]
    assert all(f"- a look at the patches that moved most: {path}" in out for path in worst)
    assert all(path.read_bytes().startswith(b"II*") for path in worst)
    assert [path.name for path in tmp_path.glob("lab*")] == [bundle.name]
    given = f"export {script} -o {bundle} --calibration {tmp_path / 'images'} --classes control,patient"
    assert f"  colvi-edge {given} --outputs softmax-logits --precision fp32\n" in out


def test_keras_weights_are_evaluated_in_a_child(command: Run, tmp_path: Path) -> None:
    """Its page and its table come out as those of any model."""
    for number in range(4):
        label = CLASSES[number % 2]
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True, exist_ok=True)
        pixels = simulate_projection(label, number, size_px=128)
        write_imagej(folder / f"{number}.tif", (pixels / 257).astype("uint8"))
    write_keras(tmp_path / "weights.h5", layers(), whole=True)
    page = tmp_path / "page.html"
    code, out, err = command("evaluate", tmp_path / "weights.h5", tmp_path / "images", "--html", page)

    assert code == 0, err
    assert "weights, fp32, torch" in out
    assert "<html" in page.read_text()[:200]


def test_a_script_is_explained_in_a_child(command: Run, script: Path, tmp_path: Path) -> None:
    """The pictures lie where they would lie, and are named."""
    raw = tmp_path / "0.tif"
    write_imagej(raw, simulate_projection("control", 0, size_px=192))
    code, out, err = command("explain", raw, "--model", script, *TOLD, "--output-dir", tmp_path / "out")

    assert (code, err) == (0, "")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert "0.tif.colvi.saliency.png" in written
    assert len(written) == 2
    assert {Path(line) for line in out.splitlines()} == {tmp_path / "out" / name for name in written}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((*TOLD, "--precision", "fp32,int4"), "--precision fp32,int4: expected some of"),
        ((*TOLD, "--network", "paper"), "holds its network; leave --network out"),
    ],
)
def test_errors_of_the_child_are_one_sentence(
    arguments: tuple[str, ...], sentence: str, command: Run, script: Path, tmp_path: Path
) -> None:
    """Said by the parent, with the exit code that they have without a child."""
    code, out, err = command("export", script, "-o", tmp_path / "lab.colvi", *arguments)

    assert (code, out) == (2, "")
    assert err.startswith("colvi-edge: error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "lab.colvi").exists()


def test_what_the_child_asks_for_can_be_typed(command: Run, script: Path, tmp_path: Path) -> None:
    """As the command that was given, with what it lacks; on a line of its own."""
    bundle = tmp_path / "a lab.colvi"
    code, out, err = command("export", script, "-o", bundle)

    sentence, typed = err.splitlines()
    assert (code, out) == (2, "")
    assert "does not say which class each output is (--classes) nor what its outputs are" in sentence
    lacking = "--classes control,patient --outputs softmax-logits"
    assert typed == f"  colvi-edge export {script} -o '{bundle}' {lacking}"


def test_another_keras_model_is_told_the_way_through_onnx(command: Run, tmp_path: Path) -> None:
    """What to type stands alone; then the ONNX is read."""
    write_keras(tmp_path / "weights.h5", layers(("valid",) * 3), whole=True)
    code, _, err = command("export", tmp_path / "weights.h5", "-o", tmp_path / "lab.colvi")

    assert code == 2
    assert err.splitlines()[1] == (
        f"  python -m tf2onnx.convert --keras {tmp_path / 'weights.h5'} --output weights.onnx"
    )


@pytest.mark.usefixtures("without_kernels")
def test_onnx_is_exported_evaluated_and_explained_in_a_child(command: Run, few: Path, tmp_path: Path) -> None:
    """One of Keras, whose file is not named so; it says itself that it gives probabilities."""
    model, bundle = tmp_path / "model.pt", tmp_path / "lab.colvi"
    model.write_bytes(written(keras(13, "Softmax")))
    order = ("--classes", "control,patient")
    measured = ("--precision", "fp32,fp16", "--calibration", few)
    code, out, err = command("export", model, "-o", bundle, *order, *measured)
    assert (code, err) == (0, "")
    told = "Read from an ONNX file (opset 13): torch, the reference here, gives ONNX Runtime's outputs"
    assert told in out
    assert told in (bundle / "README.md").read_text()
    opened = open_bundle(bundle)
    session = onnxruntime.InferenceSession(opened.network("fp32"), providers=["CPUExecutionProvider"])
    patches = noise(3)
    np.testing.assert_allclose(
        session.run(None, {"patches": patches})[0],
        by_runtime(model.read_bytes(), patches.transpose(0, 2, 3, 1).copy()),
        atol=1e-5,
    )

    code, out, err = command("evaluate", model, few, *order)
    assert (code, err) == (0, "")
    assert "model, fp32, torch" in out
    raw = few / "control" / "0.tif"
    code, out, err = command("explain", raw, "--model", model, *order, "--output-dir", tmp_path / "out")
    assert (code, err) == (0, "")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_facts_that_evaluate_and_explain_cannot_take(command: Run, tmp_path: Path) -> None:
    """A bundle says itself what it is; which input is which only the export can be told."""
    for label in CLASSES:
        raw = tmp_path / "images" / label / "0.tif"
        raw.parent.mkdir(parents=True)
        write_imagej(raw, simulate_projection(label, 0, size_px=128))
    code, _, err = command("evaluate", "demo", tmp_path / "images", "--classes", "control,patient")
    assert code == 2
    assert "demo is a bundle, which says itself what its network is; leave --network" in err

    four = scripted(nn.Sequential(nn.Conv2d(4, 2, 64), nn.Flatten()), tmp_path / "four.pt")
    for order in (("evaluate", four, tmp_path / "images"), ("explain", raw, "--model", four)):
        code, _, err = command(*order, *TOLD)
        assert code == 2
        assert "which input is which" not in err
        assert "only colvi-edge export can be told, by its --channels" in err
        assert err.count("\n") == 1


def test_a_hostile_onnx_is_one_sentence(command: Run, tmp_path: Path) -> None:
    """Refused by its name, with the way out, and nothing is written."""
    (tmp_path / "model.onnx").write_bytes(written(HOSTILE["an endless loop"][0]))
    code, out, err = command("export", tmp_path / "model.onnx", "-o", tmp_path / "lab.colvi", *TOLD)

    assert (code, out) == (2, "")
    assert "has the operator 'Loop', which is not taken here; export it with opset 17" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "lab.colvi").exists()


def test_what_is_no_bundle_is_not_replaced(command: Run, script: Path, tmp_path: Path) -> None:
    """Refused before the work, though the child could not touch it anyway."""
    (tmp_path / "precious").mkdir()
    code, _, err = command("export", script, "-o", tmp_path / "precious", *TOLD)

    assert code == 2
    assert "exists and is no bundle" in err


class Greedy(nn.Module):
    """Passes every check, and asks for 64 GB."""

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        return patches.mean((2, 3)) + torch.zeros([4000000000, 4]).sum()


class Slow(nn.Module):
    """Passes every check: each loop is short, four of them within each other are not."""

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits, in some days."""
        k = 0
        for _ in range(1000):
            for _ in range(1000):
                for _ in range(1000):
                    for _ in range(1000):
                        k = (k + 3) % 7
        return patches.mean((2, 3)) + k


def test_a_greedy_network_is_one_sentence(command: Run, tmp_path: Path) -> None:
    """Its memory is not given to it; nothing else on the machine suffers."""
    path = scripted(Greedy(), tmp_path / "greedy.pt")
    code, _, err = command(
        "export", path, "-o", tmp_path / "lab.colvi", *TOLD, "--channels", "collagen,nuclei"
    )

    assert code == 2
    assert "the network takes more than 8 GiB of memory for a few patches; take another" in err
    assert err.count("\n") == 1


def test_a_slow_network_is_ended(command: Run, tmp_path: Path, site: Path) -> None:
    """By the clock, in the middle of the C++ that runs it."""
    site.write_text(IN_A_HURRY)
    path = scripted(Slow(), tmp_path / "slow.pt")
    code, _, err = command(
        "export", path, "-o", tmp_path / "lab.colvi", *TOLD, "--channels", "collagen,nuclei"
    )

    assert code == 2
    assert (
        "slow.pt did not survive a trial in a process of its own: it took longer than a network needs" in err
    )


@pytest.mark.parametrize("first", ["both", "child"])
def test_ctrl_c_ends_both(tmp_path: Path, temporary: Path, first: str) -> None:
    """With 130, no traceback, and no child or draft left behind; whichever of them it reaches first."""
    path = scripted(Slow(), tmp_path / "slow.pt")
    code = "from colvi_edge.cli import main; import sys; sys.argv[0] = 'colvi-edge'; main()"
    options = ["export", str(path), "-o", str(tmp_path / "lab.colvi"), *TOLD, "--channels", "collagen,nuclei"]
    command = subprocess.Popen(
        [sys.executable, "-c", code, *options], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    child = _child_of(command.pid)
    time.sleep(3)
    if first == "child":
        os.kill(child, signal.SIGINT)
    else:
        os.killpg(command.pid, signal.SIGINT)
    _, err = command.communicate(timeout=60)

    assert command.returncode == 130
    assert "Traceback" not in err
    assert not Path(f"/proc/{child}").exists()
    assert list(temporary.iterdir()) == []


def _child_of(process: int) -> int:
    for _ in range(600):
        if found := Path(f"/proc/{process}/task/{process}/children").read_text().split():
            return int(found[0])
        time.sleep(0.1)
    raise AssertionError("the child never began")


def test_our_own_checkpoints_need_no_child(tmp_path: Path) -> None:
    """Pickles of tensors and plain values are read where they always were; other models are not."""
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no model")
    write_keras(tmp_path / "weights.h5", layers(), whole=False)
    scripted(Greedy(), tmp_path / "script.pt")

    names = ("weights.pt", "text.pt", "missing.pt", "weights.h5", "script.pt")
    assert [is_foreign(tmp_path / name) for name in names] == [False, False, False, True, True]
    assert not is_foreign(DEMO_CHECKPOINT)
