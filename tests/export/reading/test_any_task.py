"""Networks of others for any task: what must be said, what is found, and what does not go together."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from colvi_edge.bundle.task import AtLeast, Majority, Share
from colvi_edge.bundle.task import Threshold as PixelThreshold
from colvi_edge.bundle.window import Windows
from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.networks.unet import UNet
from colvi_edge.export.reading.any_task import Question, question_of
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.export.reading.model_file import read_model

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns of TorchScript

SEGMENT = Question("segment")


class Pooled(nn.Module):
    """A convolution and a mean over all pixels: images of any size, logits of some classes."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 8, 3, padding=1)
        self.head = nn.Linear(8, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, outputs) logits."""
        return self.head(torch.relu(self.convolution(images)).mean(dim=(2, 3)))


def onnx_of(network: nn.Module, path: Path, channels: int, size: int, *, dense: bool) -> Path:
    """Write a network as an ONNX file of logits."""
    path.write_bytes(to_onnx(network.eval(), channels, size, dense=dense))
    return path


def script_of(network: nn.Module, path: Path, channels: int) -> Path:
    """Write a network as TorchScript."""
    traced = torch.jit.trace(network.eval(), torch.zeros(2, channels, 64, 64))  # type: ignore[no-untyped-call]
    torch.jit.save(traced, path)
    return path


def unet(outputs: int = 3, channels: int = 1) -> nn.Module:
    """An untrained U-Net."""
    torch.manual_seed(0)
    return UNet(channels, outputs, 2, 4, "batch", "nearest").eval()


@pytest.mark.parametrize("form", ["ONNX", "TorchScript"])
def test_a_dense_network_is_read(form: str, tmp_path: Path) -> None:
    """Any channels and classes; it answers as before, at sizes that it was never traced with."""
    network, path = unet(), tmp_path / "model"
    if form == "ONNX":
        onnx_of(network, path, 1, 64, dense=True)
    else:
        script_of(network, path, 1)
    found = read_model(
        path,
        channels=["water"],
        classes=["background", "thigh", "bone"],
        activation="softmax",
        question=SEGMENT,
    )
    noise = torch.randn(1, 1, 96, 40)
    with torch.inference_mode():
        torch.testing.assert_close(found.network(noise), network(noise))

    assert (found.name, found.channels, found.windows) == (form, ("water",), Windows(px=512))
    assert found.task.classes == ("background", "thigh", "bone")
    assert found.normalisation.kind == "image"
    assert found.is_dense


def test_all_that_is_missing_is_asked_for_at_once(tmp_path: Path) -> None:
    """In one sentence, with options that can be typed."""
    path = script_of(unet(), tmp_path / "model.pt", 1)
    with pytest.raises(
        UsageError, match=r"does not say .*--channels.* nor .*--classes.* nor .*--outputs"
    ) as told:
        read_model(path, question=SEGMENT)

    assert list(told.value.options) == [
        *("--channels", "nuclei", "--classes", "background,b,c"),
        *("--outputs", "softmax-logits"),
    ]


def test_one_output_is_two_classes(tmp_path: Path) -> None:
    """Its sigmoid is of the class that is named second; three names do not fit."""
    network = unet(outputs=1)
    path = script_of(network, tmp_path / "model.pt", 1)
    said = {"channels": ["nuclei"], "activation": "sigmoid", "question": SEGMENT}
    found = read_model(path, classes=["background", "nucleus"], **said)  # type: ignore[arg-type]
    noise = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        p = torch.sigmoid(network(noise))
        torch.testing.assert_close(found.probabilities()(noise), torch.cat([1 - p, p], 1))

    with pytest.raises(UsageError, match="names 3 and the network has 1 outputs"):
        read_model(path, classes=["a", "b", "c"], **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "windows", "normalisation"),
    [
        (Question("classify"), Windows(px=64, cell_px=64), "patch"),
        (Question("classify", px=96), Windows(px=96, cell_px=96), "patch"),
        (Question("classify", resize_px=(96, 80)), Windows(px="whole"), "image"),
    ],
)
def test_classifiers_of_any_size_and_classes(
    question: Question, windows: Windows, normalisation: str, tmp_path: Path
) -> None:
    """Patches of 64 px unless told, or whole images that are brought to a size."""
    path = script_of(Pooled(2, 4), tmp_path / "model.pt", 2)
    found = read_model(
        path,
        channels=["intensity", "nuclei"],
        classes=["a", "b", "c", "d"],
        activation="softmax",
        question=question,
    )

    assert found.windows == windows
    assert found.normalisation.kind == normalisation
    assert found.input.resize_px == question.resize_px
    assert found.probabilities()(torch.zeros(1, 2, *question.size)).shape == (1, 4)


def test_the_rules() -> None:
    """Each with its class: the last reaches a threshold, the first has a share, over a stack."""
    assert Question("classify").task(["a", "b", "c"]).decision == Majority(rule="majority")
    assert Question("classify", "threshold", 0.4, None, (96, 96)).task(["normal", "ill"]).decision == AtLeast(
        rule="threshold", of="ill", at_least=0.4
    )
    assert Question("classify", "share", 0.1).task(["healthy", "ill"]).decision == Share(
        rule="share", of="healthy", above=0.1
    )
    assert Question("segment", "threshold").task(["background", "vesicle"]).decision == PixelThreshold(
        rule="threshold", of="vesicle", at_least=0.5
    )
    with pytest.raises(UsageError, match=r"--task segment with --classes a,b,c: .*two classes"):
        Question("segment", "threshold").task(["a", "b", "c"])
    with pytest.raises(UsageError, match="--task classify with --classes a,tie"):
        Question("classify").task(["a", "tie"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rule": "share"}, "need --task"),
        ({"resize": "64"}, "need --task"),
        ({"task": "segment", "resize": "64"}, "a segmentation sees windows"),
        ({"task": "classify", "window": "whole"}, "needs the size of its input"),
        ({"task": "classify", "threshold": 0.3}, "--threshold belongs to --rule"),
        ({"task": "classify", "resize": "64x64"}, "--resize 64x64: expected rows and columns"),
        ({"task": "segment", "window": "5000"}, "--window 5000: expected 8 to 2048 pixels, or whole"),
    ],
)
def test_options_that_do_not_go_together(given: dict[str, object], words: str) -> None:
    """Each in a sentence."""
    nothing = {"task": None, "rule": None, "threshold": None, "resize": None, "window": None}
    with pytest.raises(UsageError, match=words):
        question_of(**(nothing | given))  # type: ignore[arg-type]


def test_a_network_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    """A class for the image where each pixel's is asked for, and the other way."""
    said = {"channels": ["nuclei"], "classes": ["background", "b"], "activation": "softmax"}
    pooled, dense = script_of(Pooled(1, 2), tmp_path / "a.pt", 1), script_of(unet(2), tmp_path / "b.pt", 1)
    with pytest.raises(ModelError, match="gives 2 for an image of 64 x 64, expected a class for each pixel"):
        read_model(pooled, question=SEGMENT, **said)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"gives 2 x 64 x 64 .* expected a number a class with --task"):
        read_model(dense, question=Question("classify"), **said)  # type: ignore[arg-type]


def test_other_classes_need_a_task(tmp_path: Path) -> None:
    """Without it the classes are those of the assay, and the sentence says how to ask for others."""
    path = script_of(Pooled(2, 2), tmp_path / "model.pt", 2)
    with pytest.raises(UsageError, match="exported with --task"):
        read_model(path, classes=["a", "b"])
    assert isinstance(
        read_model(path, classes=["control", "patient"], activation="softmax"), Checkpoint
    )  # as before
