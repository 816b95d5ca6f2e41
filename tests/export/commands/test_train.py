"""`train` and `evaluate` as a user calls them: what is written, told, kept, and never mixed up."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import tifffile

from colvi_edge.bundle import open_bundle
from colvi_edge.export.data.dataset import digest_of
from colvi_edge.export.reading.checkpoint import load_checkpoint, save_checkpoint
from colvi_edge.patches import Normalisation
from tests.tools.terminal import read_terminal

COMMAND = [sys.executable, "-c", "from colvi_edge.cli import main; main()"]
CLASSES = ("control", "patient")
Trained = tuple[Path, dict[str, Any], Path]
Run = Callable[..., tuple[int, str, str]]
METRICS = {"tp", "tn", "fp", "fn", "accuracy", "precision", "sensitivity", "specificity", "f1", "auc"}


def draw(path: Path, k: int) -> None:
    """Write 4 patches: fine stripes are controls, coarse ones patients; nuclei are spots."""
    rng = np.random.default_rng(k)
    stripes = np.sin(np.arange(128) * (2.0, 0.4)[k % 2] + rng.uniform(0, 6))
    image = rng.poisson(300 + 250 * stripes, (2, 128, 128)).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path, image, imagej=True, resolution=(1 / 0.3, 1 / 0.3), metadata={"axes": "CYX", "unit": "micron"}
    )


def few_images(folder: Path) -> Path:
    """Return a folder of six images that are divided: two to learn from, two to choose, two to test on."""
    for k in range(6):
        draw(folder / "cultures" / ("training", "training", "test")[k // 2] / CLASSES[k % 2] / f"{k}.tif", k)
    return folder / "cultures"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 striped images in folders."""
    folder = tmp_path_factory.mktemp("stripes")
    for k in range(40):
        draw(folder / CLASSES[k % 2] / f"{k:02}.tif", k)
    return folder


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Path]:
    """A model of the first fold, with what was printed and the page."""
    folder = tmp_path_factory.mktemp("model")
    page = folder / "page.html"
    done = call("train", dataset, "-o", folder / "model.pt", "--epochs", 3, "--json", "--html", page)
    assert done.returncode == 0, done.stderr
    return folder / "model.pt", orjson.loads(done.stdout), page


def call(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: two threads, as many as the tests have cores."""
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=240, **more)


def digest(file: Path) -> str:
    """Return the digest of an image in the network's layout."""
    return digest_of(tifffile.imread(file)[np.newaxis, ::-1])


def test_a_training_tells_how_good_it_is(trained: Trained) -> None:
    """The record of the test has every figure at both levels, and the counts can be counted again."""
    _, record, page = trained
    [method] = record["methods"]
    [fold] = method["folds"]

    assert record["schema"] == "colvi-edge.comparison/1"
    assert method["name"] == "CNN"
    for level, total in (("patch", 32), ("image", 8)):
        figures = fold[level]
        assert figures.keys() >= METRICS
        assert figures["tp"] + figures["tn"] + figures["fp"] + figures["fn"] == total
        assert figures["accuracy"] == (figures["tp"] + figures["tn"]) / total
    assert fold["image"]["accuracy"] == 1
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_training_tells_its_division_and_what_is_next(dataset: Path, tmp_path: Path, run: Run) -> None:
    """Subjects and images of each part, its names in the record, and a command on a line of its own."""
    rows = [
        f"{file},{file.parent.name},{file.parent.name[0]}{int(file.stem) // 4}"
        for file in dataset.rglob("*.tif")
    ]
    (tmp_path / "own.csv").write_text("\n".join(("path,label,subject", *rows)), encoding="utf-8")
    (tmp_path / "a b").mkdir()
    code, out, err = run("train", tmp_path / "own.csv", "-o", tmp_path / "a b/m.pt", "--epochs", 2, "--json")
    record, lines = orjson.loads(out), err.splitlines()
    [division] = record["divisions"]
    names = {part: set(division[part]) for part in ("training", "validation", "test")}
    judged = [image["name"] for image in record["methods"][0]["folds"][0]["images"]]

    assert code == 0, err
    told = (
        "28 images (14 subjects) to learn from, 4 (2 subjects) to choose the epoch, 8 (4 subjects) to test on"
    )
    assert f"{told}; no subject is in two parts" in lines
    assert f"to test on: {', '.join(judged)}" in lines
    assert names["test"] == set(judged)
    assert {len(part) for part in names.values()} == {28, 4, 8}
    assert len(set.union(*names.values())) == 40
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 2
    assert re.fullmatch(
        r"epoch 1 of 2: loss 0\.\d{3}, validation 0\.\d{3} and \d+\.\d % right; at most \d+ s left", epochs[0]
    )
    assert " left" not in epochs[1]
    assert not [line for line in lines if line.startswith(("page: ", "The subject of "))]
    assert (
        "Each part gets at least one subject of each class: of so few the parts are not 72 : 8 : 20" in lines
    )
    assert lines[-1] == f"colvi-edge export '{tmp_path}/a b/m.pt' -o my.colvi --calibration DIR"


def test_on_a_terminal_there_is_a_bar_with_the_same_facts(tmp_path: Path) -> None:
    """Loss, share judged right, and after an epoch what validation said, in lines of at most 80 columns."""
    words = [*COMMAND, "train", few_images(tmp_path), "-o", tmp_path / "m.pt", "--epochs", "2"]
    with read_terminal() as (terminal, seen):
        done = subprocess.run(
            [*map(str, words)],
            stderr=terminal,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        )
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(seen).decode())

    assert re.search(r"epoch 1/2: loss 0\.\d{3}, \d+ % right", text)
    assert re.search(r"epoch 2/2: loss 0\.\d{3}, \d+ % right; validation \d+ %", text)
    assert "reading " not in text
    assert done.stdout.count("\n") > 10


def test_a_test_of_few_images_is_told_as_such(tmp_path: Path, run: Run) -> None:
    """Two images tell nothing of a network: terminal, JSON and page say so; none calls it a comparison."""
    cultures = few_images(tmp_path)
    words = ("train", cultures, "-o", tmp_path / "m.pt", "--epochs", 1)
    code, out, err = run(*words, "--html", tmp_path / "page.html")
    record = orjson.loads(run(*words, "--json")[1])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    [sentence] = record["chance"]

    assert code == 0, err
    assert "chance" in sentence
    assert sentence in out
    assert sentence in page
    assert "Patches have no intervals here" in out
    assert f"page: {tmp_path}/page.html" in err.splitlines()
    assert "m.pt is written: trained and tested" in err
    assert "is ready" not in err
    assert "Next: let it learn more first, as its test does not show it to be better than chance: " in err
    assert "(--epochs, 1 so far). Even so a bundle can be made, " in err
    assert "Of 2 images, 1 control and 1 patient: says little" in page
    assert "comparison" not in (out + err + page).lower()
    assert "side by side" not in page
    assert record["methods"][0]["patch"]["interval"] is None
    assert record["methods"][0]["image"]["interval"]["accuracy"][0] < 0.5


def test_a_checkpoint_tells_what_it_saw(trained: Trained, dataset: Path) -> None:
    """Pictures by hash, counts, pixel size and its test; no name of a file or folder."""
    path, record, _ = trained
    training = load_checkpoint(path).training
    digests = {digest(file) for file in dataset.rglob("*.tif")}

    assert training["split"] == {"training": 28, "validation": 4, "test": 8}
    assert len(training["seen"]) == 32
    assert set(training["seen"]) < digests
    assert training["pixel_size_um"] == pytest.approx(0.3)
    # Of the 32; in the coarse stripes of the others nuclei and collagen are alike.
    assert training["familiarity"]["limits"]["images"] == 16
    assert training["test"]["patch_accuracy"] == record["methods"][0]["folds"][0]["patch"]["accuracy"]
    assert "05.tif" not in repr(training)
    assert dataset.name not in repr(training)
    assert [entry.name for entry in path.parent.iterdir() if ".unfinished" in entry.name] == []


def test_evaluate_leaves_out_what_was_learnt_from(trained: Trained, dataset: Path, run: Run) -> None:
    """Of the whole dataset only the test remains, and its figures are the training's own."""
    path, record, _ = trained
    code, out, err = run("evaluate", path, dataset, "--json")
    found = orjson.loads(out)

    assert code == 0
    assert (
        "32 of 40 images are not judged: the model has learnt from them or chosen its epoch by them, or by "
        "others of their subjects."
    ) in err
    assert found["patch"] == record["methods"][0]["folds"][0]["patch"]
    assert found["image"] == record["methods"][0]["folds"][0]["image"]
    assert found["model"]["precision"] == "fp32"


def test_subjects_that_were_learnt_from_are_left_out(
    trained: Trained, dataset: Path, tmp_path: Path, run: Run
) -> None:
    """A new image of a subject whose other image was learnt from is not judged either."""
    seen = set(load_checkpoint(trained[0]).training["seen"])
    learnt = next(file for file in sorted((dataset / "control").iterdir()) if digest(file) in seen)
    for k in (100, 101, 102):
        draw(tmp_path / f"{k}.tif", k)
    rows = (f"{learnt},control,C1", "100.tif,control,C1", "101.tif,patient,P1", "102.tif,control,C2")
    (tmp_path / "x.csv").write_text("\n".join(("path,label,subject", *rows)), encoding="utf-8")
    _, out, err = run("evaluate", trained[0], tmp_path / "x.csv", "--json")

    assert [image["name"] for image in orjson.loads(out)["images"]] == ["101.tif", "102.tif"]
    assert "2 of 4 images are not judged" in err


@pytest.mark.usefixtures("without_kernels", "small_fields")
def test_a_bundle_knows_what_its_network_saw(
    trained: Trained, dataset: Path, tmp_path: Path, run: Run
) -> None:
    """Exported, the model judges the same images, as well, and takes the pixel size along."""
    path, record, _ = trained
    bundle = tmp_path / "net.colvi"
    assert run("export", path, "-o", bundle, "--precision", "fp32")[0] == 0
    onnx = ("--engine", "onnxruntime", "--precision", "fp32")
    _, out, _ = run("evaluate", bundle, dataset, "--json", *onnx)
    found = orjson.loads(out)

    assert found["patch"] == record["methods"][0]["folds"][0]["patch"]
    assert found["model"]["runtime"].startswith("onnxruntime")
    assert "pixel_size_um: 0.3" in (bundle / "bioimageio.yaml").read_text(encoding="utf-8")
    familiarity = open_bundle(bundle).config.familiarity
    assert familiarity is not None
    assert familiarity.images == 16


def test_killed_and_called_again_it_comes_to_the_same_weights(
    trained: Trained, dataset: Path, tmp_path: Path
) -> None:
    """Kill -9 after the first epoch; the same command goes on from there, to the same file byte for byte."""
    words = [*COMMAND, "train", dataset, "-o", tmp_path / "model.pt", "--epochs", "3"]
    with subprocess.Popen(
        [*map(str, words)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 1 of 3"):
                process.send_signal(signal.SIGKILL)
    left = sorted(entry.name for entry in tmp_path.iterdir())
    again = call("train", dataset, "-o", tmp_path / "model.pt", "--epochs", 3)

    assert "model.pt.unfinished" in left
    assert "model.pt" not in left
    assert again.returncode == 0
    assert "goes on from epoch 2 of 3; so far:\nepoch 1 of 3: " in again.stderr
    assert (tmp_path / "model.pt").read_bytes() == trained[0].read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]


def test_a_model_is_neither_trained_twice_nor_lost(trained: Trained, dataset: Path, run: Run) -> None:
    """The same command finds its model finished; another one refuses to write over it."""
    path, record, _ = trained
    before = path.read_bytes()
    again = run("train", dataset, "-o", path, "--epochs", 3, "--json")
    other = run("train", dataset, "-o", path, "--epochs", 3, "--seed", 1)

    assert "epoch 1 of 3" not in again[2]
    assert "already trained: " in again[2]
    assert "3 epochs on 28 images; to train anew, name another -o or remove the file" in again[2]
    assert "model.pt is ready: already trained, tested again, " in again[2]
    assert "Next: make a bundle of it, with other images as DIR" in again[2]
    assert "learn more" not in again[2]
    assert orjson.loads(again[1])["methods"] == record["methods"]
    assert other[0] == 2
    assert "model.pt is a model that was trained otherwise and would be lost: seed 0 then, 1 now," in other[2]
    assert "epochs 3 then, 2 now; name another file" in run("train", dataset, "-o", path, "--epochs", 2)[2]
    assert path.read_bytes() == before


def test_folds_with_baselines_are_the_papers_table(dataset: Path, tmp_path: Path, run: Run) -> None:
    """Five methods, three folds each; every image is tested once; a checkpoint for each fold."""
    model = tmp_path / "m.pt"
    code, out, err = run("train", dataset, "-o", model, "--folds", 3, "--epochs", 1, "--baselines", "--json")
    record = orjson.loads(out)

    assert code == 0, err
    assert len(record["methods"]) == 5
    assert record["methods"][-1]["name"] == "CNN"
    for method in record["methods"]:
        names = [image["name"] for fold in method["folds"] for image in fold["images"]]
        assert len(method["folds"]) == 3
        assert sorted(names) == sorted(f"{file.parent.name}/{file.name}" for file in dataset.rglob("*.tif"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.fold-2.pt", "m.fold-3.pt", "m.pt"]


def test_an_unreadable_file_costs_itself_and_the_exit_code(dataset: Path, tmp_path: Path, run: Run) -> None:
    """The others are judged; the sentence names the file."""
    for k in range(4):
        draw(tmp_path / CLASSES[k % 2] / f"{k}.tif", k + 200)
    (tmp_path / "patient/1.tif").write_bytes(b"II*\x00 not a picture")
    code, out, err = run("evaluate", "demo", tmp_path, "--json")

    assert code == 1
    assert "left out: patient/1.tif: " in err
    assert len(orjson.loads(out)["images"]) == 3


def test_images_of_another_kind_of_number_cost_themselves(
    dataset: Path, make_bundle: Callable[..., Any], run: Run
) -> None:
    """A network that divides 8-bit pixels cannot judge 16-bit ones: each is left out aloud."""
    bundle, _ = make_bundle(kind="scale", divisor=255.0, dtype="uint8")
    code, _, err = run("evaluate", bundle.path, dataset)

    assert code == 2
    assert "left out: 40 files (control/00.tif, patient/01.tif, " in err
    assert " and 32 more): found uint16 pixels, and the network was made for uint8" in err
    assert err.count("uint16") == 1
    assert "no image is left to be judged" in err


def test_a_model_file_costs_such_images_nothing_more(
    trained: Trained, dataset: Path, tmp_path: Path, run: Run
) -> None:
    """A checkpoint that divides 8-bit pixels leaves 16-bit ones out like its bundle, without a traceback."""
    scale = Normalisation("scale", divisor=255.0, dtype="uint8")
    save_checkpoint(
        tmp_path / "eight.pt", replace(load_checkpoint(trained[0]), normalisation=scale, training={})
    )
    code, _, err = run("evaluate", tmp_path / "eight.pt", dataset)

    assert code == 2
    assert err.count("its pixels are uint16, but the network was trained on uint8") == 1
    assert "left out: 40 files (" in err


def test_too_few_files_are_told_before_they_are_read(tmp_path: Path, run: Run) -> None:
    """The list of files says that they are too few: none is opened, and none of them called unreadable."""
    for name in (f"{label}/{k}.tif" for label in CLASSES for k in range(4)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    code, _, err = run("train", tmp_path, "-o", tmp_path / "model.pt")

    assert code == 2
    assert "found 4 control and 4 patient files, too few for 72 %" in err
    assert "left out" not in err
    assert "reading" not in err


def test_no_readable_image_is_one_sentence(tmp_path: Path, run: Run) -> None:
    """The reason once, with every file, and then that nothing is left to learn from."""
    for name in (f"{label}/{k}.tif" for label in CLASSES for k in range(5)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    code, _, err = run("train", tmp_path, "-o", tmp_path / "model.pt")

    assert code == 2
    assert err.count("left out: 10 files (control/0.tif, patient/0.tif, control/1.tif, patient/1.tif, ") == 1
    assert "no image can be read" in err


def test_a_model_that_was_not_tested_yet_knows_what_it_saw(
    dataset: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between training and test, the checkpoint already tells what no evaluation may count."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("colvi_edge.export.commands.train.judge", end)
    run("train", dataset, "-o", tmp_path / "model.pt", "--epochs", 1)
    training = load_checkpoint(tmp_path / "model.pt").training

    assert len(training["seen"]) == 32
    assert "test" not in training


def test_what_cannot_be_written_is_told_before_the_work(dataset: Path, tmp_path: Path, run: Run) -> None:
    """A target that is a file of somebody else, or in no folder, costs no training."""
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    code, _, err = run("train", dataset, "-o", tmp_path / "notes.txt")
    other, _, told = run("train", dataset, "-o", tmp_path / "notes.txt/model.pt")
    page, _, words = run(
        "train", dataset, "-o", tmp_path / "m.pt", "--html", tmp_path / "notes.txt/page.html"
    )

    assert (code, other, page) == (2, 1, 1)
    assert "notes.txt is no checkpoint and would be lost" in err
    assert "cannot write model.pt into" in told
    assert "cannot write page.html into" in words
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert "epoch" not in err + told + words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evaluate", "demo", "{dataset}/control"), "holds no control"),
        (
            ("evaluate", "{model}", "{dataset}", "--engine", "openvino"),
            "is no bundle, and torch judges",
        ),
        (
            ("train", "{dataset}", "-o", "x.pt", "--folds", "21"),
            "found 20 control and 20 patient files, too few for 21 folds",
        ),
        (
            ("explain", "{dataset}/control/00.tif", "--model", "{model}", "--patch", "3"),
            "--patch 3: expected row",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(
    trained: Trained,
    dataset: Path,
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found, expected, remedy; exit code 2; no traceback."""
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*(word.format(dataset=dataset, model=trained[0]) for word in arguments))

    assert code == 2
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_evaluating_a_bundle_needs_no_torch(dataset: Path) -> None:
    """A bundle can be judged where it is installed, on the lab's own images."""
    code = (
        "import sys\n"
        "for name in ('torch', 'sklearn', 'skimage', 'onnx', 'onnxruntime', 'h5py', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        f"sys.argv = ['colvi-edge', 'evaluate', 'demo', {str(dataset)!r}]\n"
        "from colvi_edge.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
