"""Explanations as files: where they are, what each pixel of them shows, what they say, what is refused."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bundle import demo_path
from colvi_edge.errors import ChannelError, NotAnImageError, OutputError, PixelTypeError, UsageError
from colvi_edge.export.explanation.explain import explain
from colvi_edge.export.explanation.saliency import find_stages, strongest_maps
from colvi_edge.export.networks.patch_cnn import build_network
from colvi_edge.export.reading.checkpoint import (
    NUCLEI_CHECKPOINT,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from colvi_edge.patches import Normalisation, network_input
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.raw_files import is_raw_name
from tests.tools.leica import Series, container

Pixels = NDArray[np.uint8]
Run = Callable[..., tuple[int, str, str]]

GRAPH: dict[str, Any] = {"classes": ("control", "patient"), "activation": "softmax"}
TRAINING = {"data": "synthetic stripes"}
GAP = 8
NOT_JUDGED = (64, 66, 72)
PAPER = (17, 18, 22)
RED = (255, 0, 0)


def lookout(channel: int, y: int, x: int, brightness: float = 1) -> nn.Module:
    """Return a network that looks at one pixel of one channel, and votes control where it is bright."""
    whole_patch = nn.Conv2d(2, 2, 64)
    with torch.no_grad():
        weight, bias = whole_patch.parameters()
        weight.zero_()
        weight[:, channel, y, x] = brightness * torch.tensor([3.0, -1.0])
        bias.copy_(torch.tensor([0.0, 1.5]))
    return nn.Sequential(whole_patch, nn.Flatten())


def blind() -> nn.Module:
    """Return a network that votes patient whatever it is shown."""
    return lookout(0, 0, 0, brightness=0)


def save_graph(network: nn.Module, path: Path) -> Path:
    """Save a network as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Any = torch.jit.script(network.eval())
        scripted.save(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the paper's network, untrained but not undecided."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build_network("paper", 2)
    with torch.no_grad():
        list(network.parameters())[-2].mul_(30)
    path = tmp_path_factory.mktemp("models") / "model.pt"
    roles = ("collagen", "nuclei")
    save_checkpoint(path, Checkpoint(network, "paper", roles, "softmax", 1.0, Normalisation(), TRAINING))
    return path


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that looks at one pixel, as TorchScript."""
    return save_graph(lookout(0, 30, 40), tmp_path_factory.mktemp("graphs") / "graph.pt")


def planes(height: int, width: int, seed: int = 0) -> NDArray[np.uint16]:
    """Return two channels of noise, nuclei and collagen, whose patches differ in contrast."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(200, 4000, (2, -(-height // 64), -(-width // 64)))
    mean = coarse.repeat(64, axis=1).repeat(64, axis=2)[:, :height, :width]
    return rng.poisson(mean).astype(np.uint16)


def save_image(path: Path, pixels: NDArray[Any]) -> Path:
    """Write (C, H, W) as a TIFF of a microscope."""
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI", "FITC"]})
    return path


def seen(path: Path) -> Pixels:
    """Return the pixels of a picture."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def holds(picture: Pixels, piece: Pixels) -> bool:
    """Tell whether a piece stands somewhere in a picture, to the pixel."""
    height, width, _ = piece.shape
    top, left = np.unravel_index(np.argmax(piece.sum(axis=2)), (height, width))  # on paper, one is like all
    corners = np.argwhere((picture == piece[top, left]).all(axis=2)) - (top, left)
    return any(np.array_equal(picture[y : y + height, x : x + width], piece) for y, x in corners)


def says(picture: Pixels, words: str, colour: tuple[int, int, int], text_px: int = 15) -> bool:
    """Tell whether a picture says these words, by drawing them here."""
    font = ImageFont.load_default(text_px)
    page = Image.new("RGB", (round(font.getlength(words)) + 4, 2 * text_px), PAPER)
    ImageDraw.Draw(page).text((0, text_px), words, colour, font, anchor="ls")
    drawn = np.asarray(page)
    inked = (drawn != PAPER).any(axis=2)
    top, bottom = np.flatnonzero(inked.any(axis=1))[[0, -1]]
    left, right = np.flatnonzero(inked.any(axis=0))[[0, -1]]
    return holds(picture, drawn[top : bottom + 1, left : right + 1])


@pytest.mark.parametrize(
    ("height", "width", "channel", "y", "x"),
    [
        (64, 64, 0, 0, 63),
        (150, 200, 0, 5, 40),
        (150, 200, 1, 63, 0),
        (200, 130, 1, 17, 3),
        (70, 900, 0, 9, 9),
    ],
)
def test_only_the_pixels_that_are_looked_at_light_up(
    tmp_path: Path, height: int, width: int, channel: int, y: int, x: int
) -> None:
    """Each in its place in the raw image, as bright as can be; incomplete patches stay plain."""
    raw = save_image(tmp_path / "X.tif", planes(height, width))
    graph = save_graph(lookout(channel, y, x), tmp_path / "graph.pt")

    saliency, _ = explain(raw, graph, **GRAPH)

    picture = seen(saliency)
    expected = np.empty((height, width, 3), np.uint8)
    expected[...] = NOT_JUDGED
    rows, cols = height // 64, width // 64
    expected[: 64 * rows, : 64 * cols] = colormaps["inferno"](0, bytes=True)[:3]
    for row in range(rows):
        for col in range(cols):
            expected[64 * row + y, 64 * col + x] = colormaps["inferno"](1.0, bytes=True)[:3]

    assert np.array_equal(picture[:height, :width], expected)
    assert (picture[:height, width : width + GAP] == PAPER).all()
    assert picture.shape[1] == max(2 * width + GAP, 768)


def test_the_projection_stands_beside_its_saliency(tmp_path: Path) -> None:
    """Pixel by pixel: collagen green, nuclei blue, patches framed in their colour, the chosen in white."""
    pixels = planes(150, 200)
    raw = save_image(tmp_path / "X.tif", pixels)
    graph = save_graph(blind(), tmp_path / "graph.pt")

    saliency, _ = explain(raw, graph, patch=(1, 2), **GRAPH)

    beside = seen(saliency)[:150, 200 + GAP : 400 + GAP]
    framed = np.zeros((150, 200), bool)
    for row in range(2):
        for col in range(3):
            is_chosen = (row, col) == (1, 2)
            box = np.zeros((64, 64), bool)
            box[1:63, 1:63] = True
            line = 3 if is_chosen else 1
            box[1 + line : 63 - line, 1 + line : 63 - line] = False
            patch = beside[64 * row : 64 * row + 64, 64 * col : 64 * col + 64]
            framed[64 * row : 64 * row + 64, 64 * col : 64 * col + 64] = box

            assert (patch[box] == ((240, 240, 240) if is_chosen else RED)).all()
    for colour, channel in ((1, pixels[1]), (2, pixels[0])):
        low, high = np.quantile(channel, (0.005, 0.997))
        expected = np.clip((channel - low) / (high - low), 0, 1) * 255

        assert (
            np.abs(beside[..., colour] - expected)[~framed].max() <= 2
        )  # of 255; a colour map has 256 steps
    assert (beside[..., 0][~framed] == 0).all()


def test_a_network_that_sees_nothing_has_dark_saliency(tmp_path: Path) -> None:
    """Where every gradient is 0 nothing is divided by 0."""
    raw = save_image(tmp_path / "X.tif", planes(64, 128))
    saliency, _ = explain(raw, save_graph(blind(), tmp_path / "graph.pt"), **GRAPH)

    assert (seen(saliency)[:64, :128] == colormaps["inferno"](0, bytes=True)[:3]).all()


def test_both_pictures_show_a_patch_alike(tmp_path: Path) -> None:
    """One scale for the whole projection: the chosen patch's crop is found, doubled, in its own picture."""
    torch.manual_seed(2)
    first = nn.Conv2d(2, 3, 3)
    with torch.no_grad():
        first.weight[:, 1] = 0  # collagen alone: it is what is largest, too
    network = nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.Linear(3 * 62 * 62, 2))
    raw = save_image(tmp_path / "X.tif", planes(128, 192))
    graph = save_graph(network, tmp_path / "graph.pt")

    saliency, patch = explain(raw, graph, patch=(1, 2), **GRAPH)

    crop = seen(saliency)[64:128, 128:192]
    assert len(np.unique(crop.reshape(-1, 3), axis=0)) > 50
    assert holds(seen(patch), crop.repeat(2, axis=0).repeat(2, axis=1))


def test_maps_are_enlarged_by_whole_numbers(tmp_path: Path, model: Path) -> None:
    """Every map of every stage, to the pixel: 2, 4 and 8 times, in order, one scale for a row."""
    pixels = planes(64, 64)
    _, patch = explain(save_image(tmp_path / "X.tif", pixels), model)
    picture = seen(patch)
    (taken,) = network_input(pixels[np.newaxis, ::-1], 64, Normalisation())
    top = 0
    for stage, times in zip(find_stages(load_checkpoint(model), taken), (2, 4, 8), strict=True):
        shown = strongest_maps(stage, 8)
        for maps, colours in ((stage.activation[shown], "viridis"), (stage.contribution[shown], "RdBu")):
            reach = np.quantile(np.abs(maps[maps != 0]), 0.99)
            low = 0 if colours == "viridis" else -reach
            shares = (maps.astype(np.float64) - low) / (reach - low)
            row = colormaps[colours](shares, bytes=True)[..., :3].repeat(times, axis=1).repeat(times, axis=2)
            top = next(y for y in range(top, len(picture)) if np.array_equal(cell(picture, y, 0), row[0]))
            for index in range(8):
                assert np.array_equal(cell(picture, top, index), row[index])
            top += 128


def cell(picture: Pixels, top: int, index: int) -> Pixels:
    """Return the pixels of one map of a row of maps."""
    left = 112 + 136 * index
    return picture[top : top + 128, left : left + 128]


def test_what_is_said_stands_in_both_pictures(tmp_path: Path, model: Path) -> None:
    """Whoever finds a picture alone learns what it is of, and what it is not for."""
    raw = save_image(tmp_path / "X.tif", planes(64, 128))
    for picture in explain(raw, model, patch=(0, 1)):
        pixels = seen(picture)

        assert says(pixels, RESEARCH_USE_ONLY, (240, 240, 240))
        assert says(pixels, "X.tif", (240, 240, 240))
        assert says(pixels, "model: model.pt, trained on synthetic stripes", (160, 164, 172))
        with Image.open(picture) as opened:
            assert opened.info["Description"] == RESEARCH_USE_ONLY


def test_the_patch_that_is_shown_votes_most_clearly_for_the_diagnosis(tmp_path: Path) -> None:
    """The brightest pixel where most are bright, the darkest where most are dark; its picture names it."""
    values = np.full((2, 128, 192), 1000, np.uint16)
    values[:, ::2] = 1100
    rng = np.random.default_rng(0)
    for bright, place in ((True, (1, 2)), (False, (0, 1))):
        for row in range(2):
            for col in range(3):
                values[1, 64 * row + 7, 64 * col + 9] = rng.integers(1300, 1400) if bright else 900
        values[1, 64 * place[0] + 7, 64 * place[1] + 9] = 2000 if bright else 10
        raw = save_image(tmp_path / f"{bright}.tif", values)
        paths = explain(raw, save_graph(lookout(0, 7, 9), tmp_path / "graph.pt"), **GRAPH)

        assert paths[1].name == f"{bright}.tif.colvi.patch-{place[0]:02}-{place[1]:02}.png"
        assert says(seen(paths[1]), f"patch in row {place[0]}, column {place[1]}", (240, 240, 240))
        verdict = "control" if bright else "patient"
        assert says(seen(paths[1]), f"votes {verdict} more clearly than any other.", (160, 164, 172))


def test_tied_votes_have_a_clearest_patch_too(tmp_path: Path) -> None:
    """Of an unsure image the patch that is farthest from undecided is shown, whatever its vote."""
    values = np.full((2, 64, 128), 1000, np.uint16)
    values[:, ::2] = 1100
    values[1, 7, 9], values[1, 7, 64 + 9] = 1300, 10
    raw = save_image(tmp_path / "X.tif", values)
    _, patch = explain(raw, save_graph(lookout(0, 7, 9), tmp_path / "graph.pt"), **GRAPH)

    assert patch.name == "X.tif.colvi.patch-00-01.png"
    assert says(seen(patch), "The image: unsure, score 50.0.", (160, 164, 172))


def test_explanations_are_no_results(tmp_path: Path, graph: Path, run: Run) -> None:
    """They look like no raw file, touch none, stay when it is diagnosed; equal work gives equal bytes."""
    raw = save_image(tmp_path / "X.tif", planes(128, 192))
    before = raw.read_bytes()
    first = {path: path.read_bytes() for path in explain(raw, graph, patch=(1, 0), **GRAPH)}

    assert [path.name for path in first] == ["X.tif.colvi.saliency.png", "X.tif.colvi.patch-01-00.png"]
    assert sorted(tmp_path.iterdir()) == sorted([raw, *first])
    assert raw.read_bytes() == before
    assert [file.raw for file in find_inputs([tmp_path])] == [raw]
    assert not any(is_raw_name(path.name) for path in first)
    assert run("run", tmp_path, "--bundle", "demo")[0] == 0
    assert {path: path.read_bytes() for path in explain(raw, graph, patch=(1, 0), **GRAPH)} == first


def test_each_image_of_a_container_has_its_own(tmp_path: Path, graph: Path) -> None:
    """Named as its results are; another folder gets them if asked; progress tells of each."""
    dyes = ("Leica/DAPI", "Leica/ALEXA 488")
    raw = tmp_path / "day.lif"
    images = [Series(planes(64, 64, seed)[np.newaxis], name=f"culture {seed}", dyes=dyes) for seed in (1, 2)]
    raw.write_bytes(container(*images).data)
    said: list[str] = []

    paths = explain(raw, graph, **GRAPH, output_dir=tmp_path / "out", progress=said.append)

    assert [path.name for path in paths] == [
        "day.lif.0000-culture 1.colvi.saliency.png",
        "day.lif.0000-culture 1.colvi.patch-00-00.png",
        "day.lif.0001-culture 2.colvi.saliency.png",
        "day.lif.0001-culture 2.colvi.patch-00-00.png",
    ]
    assert sorted(paths) == sorted((tmp_path / "out").iterdir())
    assert said == [str(path) for path in paths]
    assert not np.array_equal(seen(paths[0])[:64], seen(paths[2])[:64])  # the projections differ


@pytest.mark.parametrize("place", [(2, 0), (0, 3), (-1, 0), (0, -1)])
def test_a_patch_that_is_not_there_is_refused(tmp_path: Path, graph: Path, place: tuple[int, int]) -> None:
    """Rows and columns count from 0; an incomplete one is none; nothing is written."""
    raw = save_image(tmp_path / "X.tif", planes(150, 200))
    expected = rf"--patch {place[0]},{place[1]} is not in X.tif, which has rows 0 to 1 and columns 0 to 2;"
    with pytest.raises(UsageError, match=expected):
        explain(raw, graph, **GRAPH, patch=place)

    assert list(tmp_path.iterdir()) == [raw]


def test_a_bundle_is_refused(tmp_path: Path) -> None:
    """It holds no network that could be differentiated: the model that it was made from does."""
    raw = save_image(tmp_path / "X.tif", planes(64, 64))
    for bundle in (demo_path(), Path("demo")):
        with pytest.raises(UsageError, match=r"demo.* is a bundle, .* no gradients .*; name the model file"):
            explain(raw, bundle)


def test_a_network_that_outlines_is_refused(tmp_path: Path) -> None:
    """It has no patches whose votes could be explained; nothing is written."""
    raw = save_image(tmp_path / "X.tif", planes(64, 64))
    expected = r"demo-nuclei\.pt tells background, nucleus apart, and only votes of patches for control"
    with pytest.raises(UsageError, match=expected):
        explain(raw, NUCLEI_CHECKPOINT)

    assert list(tmp_path.iterdir()) == [raw]


def test_weights_alone_want_their_network_named(tmp_path: Path, model: Path) -> None:
    """With that they explain as the checkpoint does; the picture names the file that was asked."""
    raw = save_image(tmp_path / "X.tif", planes(64, 64))
    torch.save(load_checkpoint(model).network.state_dict(), tmp_path / "weights.pt")
    own = [seen(path) for path in explain(raw, model)]

    saliency, patch = explain(raw, tmp_path / "weights.pt", network="paper", **GRAPH)

    assert np.array_equal(seen(saliency)[:64, :64], own[0][:64, :64])
    assert seen(patch).shape == own[1].shape
    assert says(seen(patch), "model: weights.pt", (160, 164, 172))
    with pytest.raises(UsageError, match="--network"):
        explain(raw, tmp_path / "weights.pt")


def test_a_graph_shows_no_layers_and_says_so(tmp_path: Path, graph: Path) -> None:
    """Its saliency is there all the same."""
    raw = save_image(tmp_path / "X.tif", planes(64, 64))
    _, patch = explain(raw, graph, **GRAPH)

    assert seen(patch).shape[0] < 400
    assert says(seen(patch), "This network came as a graph,", (160, 164, 172))


def test_a_network_with_an_empty_channel(tmp_path: Path) -> None:
    """One trained on RGB pictures gets its zeros; a file that lacks a channel is refused."""
    torch.manual_seed(0)
    network = build_network("published", 3)
    roles = ("empty", "collagen", "nuclei")
    scale = Normalisation("scale", divisor=255.0, dtype="uint8")
    path = tmp_path / "rgb.pt"
    save_checkpoint(path, Checkpoint(network, "published", roles, "sigmoid", 1.0, scale, {}))
    narrow = np.minimum(planes(64, 64) // 16, 255).astype(np.uint8)
    _, patch = explain(save_image(tmp_path / "X.tif", narrow), path)

    assert says(seen(patch), "empty", (160, 164, 172))
    assert says(seen(patch), "conv 3: 32 maps of 13 x 13,", (240, 240, 240))
    with pytest.raises(PixelTypeError, match=r"Y.tif: its pixels are uint16, but .* uint8; export"):
        explain(save_image(tmp_path / "Y.tif", planes(64, 64)), path)


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path, graph: Path) -> None:
    """As every other command says it."""
    (tmp_path / "note.tif").write_text("no image")
    with pytest.raises(NotAnImageError, match=r"^note\.tif"):
        explain(tmp_path / "note.tif", graph, **GRAPH)
    with pytest.raises(UsageError, match="is not there"):
        explain(tmp_path / "missing.tif", graph, **GRAPH)
    raw = save_image(tmp_path / "X.tif", planes(64, 64))
    with pytest.raises(OutputError, match="cannot write results"):
        explain(raw, graph, **GRAPH, output_dir=raw)
    with pytest.raises(ChannelError, match="--channels names 3"):
        explain(raw, graph, **GRAPH, channels=["nuclei", "collagen", "other"])


def test_channels_can_be_told(tmp_path: Path, graph: Path) -> None:
    """Swapped channels are swapped in both pictures."""
    pixels = planes(64, 64)
    raw = save_image(tmp_path / "X.tif", pixels)
    swapped = save_image(tmp_path / "Y.tif", pixels[::-1].copy())
    plain = explain(raw, graph, **GRAPH)[0]
    told = explain(swapped, graph, **GRAPH, channels=["collagen", "nuclei"])[0]

    assert np.array_equal(seen(plain)[:64, : 2 * 64 + GAP], seen(told)[:64, : 2 * 64 + GAP])
