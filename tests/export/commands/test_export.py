"""`colvi-edge export` and `build` from the outside: what is written, what is printed, how it ends."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from colvi_edge.bundle import open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.export.networks.patch_cnn import build_network
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT
from colvi_edge.export.reading.questions import normalisation_words, parse_normalisation
from colvi_edge.patches import Normalisation
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.tasks.classify import CLASSES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of labelled projections, two of four images of each class."""
    folder = tmp_path_factory.mktemp("calibration")
    for number, label in enumerate(CLASSES):
        (folder / label).mkdir()
        for k in range(4):
            # The third of each is held out.
            seed, size_px = (200 + number, 512) if k == 2 else (100 + 2 * k + number, 192)
            image = simulate_projection(label, seed, size_px=size_px)
            write_imagej(folder / label / f"{k}.tif", image)
    return folder


@pytest.fixture(scope="module")
def blank(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same folder with nothing in any image but the two held out."""
    folder = tmp_path_factory.mktemp("blank")
    for source in images.rglob("*.tif"):
        target = folder / source.relative_to(images)
        target.parent.mkdir(exist_ok=True)
        seen: NDArray[Any] = tifffile.imread(source)
        write_imagej(target, seen if source.stem == "2" else np.full_like(seen, 300))
    return folder


@pytest.mark.nvrtc
@pytest.mark.usefixtures("one_kernel")
def test_a_checkpoint_and_images_give_a_bundle_that_runs(run: Command, images: Path, tmp_path: Path) -> None:
    """The happy path: every precision in the table, the accuracy, the bundle, nothing on stderr."""
    bundle = tmp_path / "new" / "[/lab] net.colvi"  # what rich would take for markup
    code, out, err = run(
        "export",
        DEMO_CHECKPOINT,
        "-o",
        bundle,
        "--calibration",
        images,
        "--name",
        "lab net",
        "--pixel-size-um",
        0.3,
    )

    assert code == 0
    assert err == ""
    lines = out.splitlines()
    table = [line.split("\t") for line in lines[1:9]]
    assert lines[0].split("\t")[:3] == ["precision", "runtime", "votes agree"]
    assert [row[0] for row in table] == [p for p in ("fp32", "fp16", "int8-trt", "int8-cpu") for _ in "12"]
    assert [row[1] for row in table] == ["openvino", "onnxruntime"] * 4
    assert [row[-1] for row in table] == ["passed"] * 8
    assert lines[9].startswith(f"Compared with torch {torch.__version__}: openvino 20")
    assert lines[10:] == [
        "--precision int8 is the engine's own: int8-cpu on OpenVINO and ONNX Runtime, int8-trt on TensorRT.",
        "int8-trt was measured on OpenVINO and ONNX Runtime, never on TensorRT: build and the daemon try it "
        "there.",
        "Calibrated on 6 images, measured on 2 others: too few to trust these verdicts; of 40 images or more "
        "they are firm, 32 more.",
        "Right on 100% of 8 labelled images.",
        "An image that is unlike 168 training images will be rejected as unfamiliar. Tried on these "
        "themselves, each by the limits that others set: 0 of 168 were rejected.",
        f"{bundle}: fp32, fp16, int8-trt, int8-cpu",
        "Next, on images of the microscope, and on images whose class is known:",
        f"  colvi-edge run --bundle '{bundle}' IMAGES",
        f"  colvi-edge evaluate '{bundle}' DATASET",
    ]
    assert "INT8: Calibrated on 6 images, measured on 2 others: too few" in (bundle / "README.md").read_text()
    opened = open_bundle(bundle)
    assert opened.name == "lab net"
    assert opened.config.expected.pixel_size_um == 0.3
    assert opened.config.evaluation is not None
    assert open_engine(opened).info.precision == "int8-cpu"
    assert [p.name for p in bundle.parent.iterdir()] == [bundle.name]


@pytest.mark.usefixtures("without_kernels")
def test_blank_calibration_images_end_with_5(run: Command, blank: Path, tmp_path: Path) -> None:
    """INT8 is named as failed, the bundle is there and falls back, the worst patches are kept."""
    bundle = tmp_path / "net.colvi"
    code, out, _ = run("export", DEMO_CHECKPOINT, "-o", bundle, "--calibration", blank, "--precision", "int8")

    assert code == 5
    lines = out.splitlines()
    failed = [line.split("\t")[0] for line in lines if line.endswith("\tfailed")]
    assert failed == ["int8-trt"] * 2 + ["int8-cpu"] * 2
    assert all(f"{precision} on openvino" in out for precision in ("int8-trt", "int8-cpu"))
    helps = next(k for k, line in enumerate(lines) if line.endswith("What helps:"))
    assert lines[helps : helps + 7] == [
        "int8-trt and int8-cpu do not decide as the trained network: kept in the bundle, never taken "
        "unasked. What helps:",
        "- more calibration images, of both classes and as the microscope sends them: 8 were given, 40 or "
        "more are recommended, 32 more",
        f"- a look at the patches that moved most: {bundle / 'worst-int8-trt.tif'}",
        f"- a look at the patches that moved most: {bundle / 'worst-int8-cpu.tif'}",
        "- a bundle without:",
        f"  colvi-edge export {DEMO_CHECKPOINT} -o {bundle} --calibration {blank} --precision fp32",
        f"{bundle}: fp32, int8-trt, int8-cpu",
    ]
    opened = open_bundle(bundle)
    assert opened.config.precisions["int8-cpu"].parity[0].faults
    assert "int8-cpu did not pass on openvino" in open_engine(opened).info.reason
    for precision in ("int8-trt", "int8-cpu"):
        worst = bundle / f"worst-{precision}.tif"
        with tifffile.TiffFile(worst) as tif:
            assert tif.asarray().shape == (16, 2, 64, 64)
            assert "p_control" in (tif.imagej_metadata or {})["Labels"][0]
    assert [path.name for path in tmp_path.iterdir()] == [bundle.name]


@pytest.mark.usefixtures("without_kernels")
def test_swapped_classes_end_with_a_question(run: Command, images: Path, tmp_path: Path) -> None:
    """Weights alone cannot tell their classes; the folders' names can."""
    trained = torch.load(DEMO_CHECKPOINT, weights_only=True)
    torch.save(trained["state_dict"], tmp_path / "bare.pt")
    known = ["--network", "paper", "--outputs", "softmax-logits", "--calibration", images]
    options = [*known, "--precision", "fp32"]
    bundle = tmp_path / "bare.colvi"

    code, _, err = run("export", tmp_path / "bare.pt", "-o", bundle, *options, "--classes", "patient,control")
    assert code == 2
    assert "0 of 8 labelled calibration images are judged right" in err
    assert "are the classes swapped? Try --classes control,patient" in err
    assert "or give a folder without control/ and patient/" in err
    assert [p.name for p in tmp_path.iterdir()] == ["bare.pt"]

    code, out, _ = run("export", tmp_path / "bare.pt", "-o", bundle, *options, "--classes", "control,patient")
    assert code == 0
    assert "Right on 100% of 8 labelled images." in out
    assert open_bundle(bundle).name == "model bare"  # the zoo asks for five letters


@pytest.mark.usefixtures("without_kernels", "small_fields")
def test_without_images_a_line_says_why_there_is_no_int8(run: Command, tmp_path: Path) -> None:
    """FP32 and FP16 are exported, measured on two simulated images, and both is said."""
    code, out, err = run("export", DEMO_CHECKPOINT, "-o", tmp_path / "net.colvi")

    assert code == 0
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "No INT8: it is calibrated on images; give projections with --calibration DIR."
    assert "Measured on two simulated images; --calibration DIR measures on yours." in lines
    assert lines[-5].startswith("An image that is unlike 168 training images will be rejected")
    assert lines[-4] == f"{tmp_path / 'net.colvi'}: fp32, fp16"
    assert "int8-cpu" not in out


@pytest.mark.usefixtures("without_kernels")
def test_without_nvrtc_a_line_says_why_there_are_no_kernels(run: Command, tmp_path: Path, few: Path) -> None:
    """What to install, once; the bundle is whole all the same."""
    words = ("-o", tmp_path / "net.colvi", "--precision", "fp32", "--calibration", few)
    code, out, err = run("export", DEMO_CHECKPOINT, *words)

    assert code == 0
    assert err == ""
    assert [line for line in out.splitlines() if "kernels" in line] == [
        "No CUDA kernels: no-such-package 13.* is not installed; run: pip install 'colvi-edge[kernels]'"
    ]
    assert open_bundle(tmp_path / "net.colvi").config.kernels == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--precision", "fp32,int4"], "--precision fp32,int4: expected some of fp32, fp16, int8"),
        (["--precision", ""], "--precision : expected some of fp32, fp16, int8"),
        (["--normalisation", "zscore"], "--normalisation zscore: expected patch, patch-channel, fixed:"),
        (["--normalisation", "fixed:1,x:2,2"], "--normalisation fixed:1,x:2,2: could not convert"),
        (["--normalisation", "fixed:1,1"], "--normalisation fixed:1,1: "),
        (["--normalisation", "scale:255"], "--normalisation scale:255: "),
        (["--normalisation", "scale:0:uint8"], "--normalisation scale:0:uint8: "),
        (
            ["--normalisation", "scale:1e20:uint8"],
            "--normalisation scale:1e20:uint8: normalisation divisor: found 1e+20",
        ),
        (
            ["--normalisation", "fixed:1,1:1e-300,1"],
            "--normalisation fixed:1,1:1e-300,1: normalisation std: found 1e-300",
        ),
        (["--normalisation", "scale:255:int7"], "--normalisation scale:255:int7: expected patch"),
        (["--normalisation", "patch:1"], "--normalisation patch:1: expected patch"),
        (["--name", "net"], "--name net: expected 5 to 128 ASCII letters"),
        (["--name", "lab Göttingen 2026"], "--name lab Göttingen 2026: expected 5 to 128 ASCII letters"),
        (["--name", "lab/net"], "--name lab/net: expected 5 to 128 ASCII letters"),
        (
            ["--classes", "patient,control"],
            "--classes says patient,control, the file says control,patient; leave",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(run: Command, tmp_path: Path, options: list[str], said: str) -> None:
    """Exit code 2 before any work, and nothing written."""
    code, _, err = run("export", DEMO_CHECKPOINT, "-o", tmp_path / "net.colvi", *options)

    assert code == 2
    assert err.startswith(f"colvi-edge: error: {said}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_refused_before_anything_is_loaded(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch alone takes seconds, a foreign model a process of its own."""
    monkeypatch.setitem(sys.modules, "colvi_edge.export.commands.export", None)
    monkeypatch.setitem(sys.modules, "colvi_edge.cli.confined.foreign", None)

    code, _, err = run("export", DEMO_CHECKPOINT, "-o", tmp_path / "net.colvi", "--name", "lab Göttingen")

    assert code == 2
    assert "--name lab Göttingen: expected 5 to 128 ASCII letters" in err


@pytest.mark.parametrize("size", ["0", "1e4", "nan"])
def test_a_pixel_size_that_none_has_is_refused(run: Command, tmp_path: Path, size: str) -> None:
    """Before any work; a bundle could not hold it."""
    words = ("--precision", "fp32", "--pixel-size-um", size)
    code, _, err = run("export", DEMO_CHECKPOINT, "-o", tmp_path / "net.colvi", *words)

    assert code == 2
    assert "--pixel-size-um" in err
    assert list(tmp_path.iterdir()) == []


def test_torchscript_must_be_told_its_classes(run: Command, tmp_path: Path) -> None:
    """Nobody can read them off the file."""
    torch.manual_seed(0)  # of some weights the outputs look like probabilities
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        torch.jit.script(build_network("paper", 2).eval()).save(tmp_path / "s.pt")  # type: ignore[no-untyped-call]
    code, _, err = run("export", tmp_path / "s.pt", "-o", tmp_path / "net.colvi")

    assert code == 2
    sentence, command = err.splitlines()
    assert (
        "does not say which class each output is (--classes) nor what its outputs are (--outputs: "
        in sentence
    )
    lacking = "--classes control,patient --outputs softmax-logits"
    assert command == f"  colvi-edge export {tmp_path / 's.pt'} -o {tmp_path / 'net.colvi'} {lacking}"
    assert not (tmp_path / "net.colvi").exists()


@pytest.mark.parametrize("name", ["activation", "outputs"])
def test_outputs_have_an_old_name(
    name: str, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either is read, from its own variable, too; both at once are refused, and so is what neither knows."""
    words = {"activation": "sigmoid", "outputs": "sigmoid-logits"}
    variable = {"activation": "COLVI_EDGE_EXPORT_ACTIVATION", "outputs": "COLVI_EDGE_EXPORT_OUTPUTS"}[name]
    order = ("export", DEMO_CHECKPOINT, "-o", tmp_path / "net.colvi")
    disagrees = "error: --outputs says sigmoid-logits, the file says softmax-logits"

    assert disagrees in run(*order, f"--{name}", words[name])[2]
    monkeypatch.setenv(variable, words[name])
    assert disagrees in run(*order)[2]
    both = run(*order, "--outputs", "sigmoid-logits", "--activation", "sigmoid")
    assert both[0] == 2
    assert "--activation is the old name of --outputs, and both are given" in both[2]
    monkeypatch.delenv(variable)
    code, _, err = run(*order, f"--{name}", "relu")
    assert code == 2
    assert err.startswith(f"colvi-edge: error: --{name} relu: expected ")
    assert "sigmoid" in err


@pytest.mark.usefixtures("without_kernels")
def test_a_bundle_of_another_model_is_replaced_by_force_only(run: Command, tmp_path: Path, few: Path) -> None:
    """The same weights under other options are the same model; a damaged bundle may be any."""
    bundle = tmp_path / "net.colvi"
    options = ("-o", bundle, "--precision", "fp32", "--calibration", few)
    assert run("export", DEMO_CHECKPOINT, *options)[0] == 0
    assert run("export", DEMO_CHECKPOINT, *options, "--name", "once more")[0] == 0
    assert open_bundle(bundle).name == "once more"

    torch.manual_seed(5)
    torch.save(build_network("paper", 2).state_dict(), tmp_path / "other.pt")
    told = ("--network", "paper", "--classes", "control,patient", "--outputs", "softmax-logits")
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    code, _, err = run("export", tmp_path / "other.pt", *options, *told)
    sentence, command = err.splitlines()
    assert code == 2
    assert f"the bundle at {bundle} is of another model, 'once more'; name another folder with -o" in sentence
    assert command.startswith("  colvi-edge export ")
    assert command.endswith(" --outputs softmax-logits --force")
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before

    assert run("export", tmp_path / "other.pt", *options, *told, "--force")[0] == 0
    assert open_bundle(bundle).name == "other"
    (bundle / "fp32.onnx").write_bytes(b"cut")
    code, _, err = run("export", tmp_path / "other.pt", *options, *told)
    assert code == 2
    assert "is damaged, and may be of another model; name another folder" in err
    assert run("export", tmp_path / "other.pt", *options, *told, "--force")[0] == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("what", ["a list of its own", "something beside the bundle"])
def test_no_force_replaces_what_is_no_bundle(
    what: str, run: Command, tmp_path: Path, copied_bundle: Path
) -> None:
    """A folder of pictures may hold SHA256SUMS, too; a note that lies in a bundle is somebody's."""
    folder = tmp_path / "pictures" if what == "a list of its own" else copied_bundle
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("precious")
    if what == "a list of its own":
        (folder / "SHA256SUMS").write_text(f"{'0' * 64}  notes.txt\n")
    code, _, err = run("export", DEMO_CHECKPOINT, "-o", folder, "--force")

    assert code == 2
    assert "name another folder" in err
    assert (folder / "notes.txt").read_text() == "precious"


def test_a_model_that_is_not_there(run: Command, tmp_path: Path) -> None:
    """Named, with the system's reason."""
    code, _, err = run("export", tmp_path / "no.pt", "-o", tmp_path / "net.colvi")

    assert code == 2
    assert err.startswith(f"colvi-edge: error: {tmp_path / 'no.pt'} cannot be opened")
    assert err.count("\n") == 1


def test_a_folder_of_something_else_is_refused_before_the_work(run: Command, tmp_path: Path) -> None:
    """Said at once, though the model is not even there: not after minutes of calibration."""
    (tmp_path / "a.tif").write_text("precious")
    code, _, err = run("export", tmp_path / "no.pt", "-o", tmp_path)

    assert code == 2
    assert err.startswith(f"colvi-edge: error: {tmp_path} exists and is no bundle; name another folder")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_three_calibration_images_are_too_few(run: Command, images: Path, tmp_path: Path) -> None:
    """Found, expected, remedy."""
    folder = tmp_path / "three"
    folder.mkdir()
    for source in [*sorted(images.rglob("0.tif")), images / "control" / "1.tif"]:
        (folder / f"{source.parent.name}{source.name}").write_bytes(source.read_bytes())
    code, _, err = run("export", DEMO_CHECKPOINT, "-o", tmp_path / "net.colvi", "--calibration", folder)

    assert code == 2
    assert "found 3 usable images in" in err
    assert "expected at least 4, better 40" in err
    assert not (tmp_path / "net.colvi").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("patch", Normalisation()),
        ("patch-channel", Normalisation("patch-channel")),
        ("fixed:1.5,2:3,4", Normalisation("fixed", mean=(1.5, 2.0), std=(3.0, 4.0))),
        ("scale:255:uint8", Normalisation("scale", divisor=255.0, dtype="uint8")),
        ("scale:6e4:uint16", Normalisation("scale", divisor=60000.0, dtype="uint16")),
    ],
)
def test_every_normalisation_can_be_named(text: str, expected: Normalisation) -> None:
    """The four kinds of DESIGN, with their parameters."""
    assert parse_normalisation(text) == expected


@pytest.mark.parametrize(
    "normalisation",
    [
        Normalisation("patch-channel"),
        Normalisation("fixed", mean=(1234.5678, 0.1), std=(1e-3, 40000.25)),
        Normalisation("scale", divisor=65534.5, dtype="uint16"),
    ],
)
def test_a_normalisation_is_told_as_it_is_typed(normalisation: Normalisation) -> None:
    """Whole: rounded, two that differ would be told alike."""
    assert parse_normalisation(normalisation_words(normalisation)) == normalisation


@pytest.mark.parametrize("words", ["build demo", "export MODEL -o net.colvi --engine tensorrt"])
def test_what_builds_without_tensorrt_says_what_to_install(tmp_path: Path, words: str) -> None:
    """Exit code 3 and a command to type, not a traceback; an export says so before its work."""
    code = (
        "import sys; sys.modules['tensorrt'] = sys.modules['tensorrt_rtx'] = None; "
        "from colvi_edge.cli import main; sys.argv[0] = 'colvi-edge'; main()"
    )
    command = [sys.executable, "-c", code, *words.replace("MODEL", str(DEMO_CHECKPOINT)).split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 3
    assert done.stderr.startswith("colvi-edge: error: TensorRT")
    assert "install" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.tensorrt_rtx
def test_build_makes_an_engine_and_says_where(tmp_path: Path) -> None:
    """In the state directory, the note of what it was built for beside it; next time it is found."""
    environment = {k: v for k, v in os.environ.items() if k != "STATE_DIRECTORY"}
    environment["XDG_STATE_HOME"] = str(tmp_path)
    code = "import sys; from colvi_edge.cli import main; sys.argv = ['colvi-edge', 'build', 'demo']; main()"
    command = [sys.executable, "-c", code]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment) for _ in "12"
    )

    engine = Path(first.stdout.strip())
    assert engine.is_relative_to(tmp_path / "colvi-edge")
    assert engine.suffix == ".engine"
    assert engine.stat().st_size > 100_000
    assert engine.with_suffix(".json").exists()
    assert second.stdout == first.stdout
