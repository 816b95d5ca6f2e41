"""Keras weights, against a forward pass in plain NumPy written straight from the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnxruntime
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.reading.keras import read_keras
from colvi_edge.export.reading.model_file import PUBLISHED, read_model
from colvi_edge.patches import Normalisation

Floats = NDArray[np.float64]
Layer = tuple[str, dict[str, Any]]


def layers(padding: tuple[str, ...] = ("zeros", "valid", "valid"), last: str = "sigmoid") -> list[Layer]:
    """Return the published code's layers as Keras 2.2 names and describes them.

    Args:
        padding: of each convolution: "zeros" is a ZeroPadding2D before it.
        last: the final activation.
    """
    common = {"trainable": True, "data_format": "channels_last"}
    described: list[Layer] = []
    for number, (filters, pad) in enumerate(zip((128, 64, 32), padding, strict=True), start=1):
        if pad == "zeros":
            described.append(("ZeroPadding2D", {**common, "padding": [[1, 1], [1, 1]]}))
        convolution = {
            **common,
            "name": f"conv2d_{number}",
            "filters": filters,
            "kernel_size": [3, 3],
            "strides": [1, 1],
            "padding": "valid" if pad == "zeros" else pad,
            "dilation_rate": [1, 1],
            "activation": "relu",
            "use_bias": True,
        }
        pooling = {**common, "pool_size": [2, 2], "padding": "valid", "strides": [2, 2]}
        described += [("Conv2D", convolution), ("MaxPooling2D", pooling)]
    described += [
        ("Flatten", dict(common)),
        ("Dense", {"units": 150, "activation": "relu", "use_bias": True}),
        ("Dropout", {"rate": 0.5}),
        ("Dense", {"units": 2, "activation": last, "use_bias": True}),
    ]
    stems = {"ZeroPadding2D": "zero_padding2d", "Conv2D": "conv2d", "MaxPooling2D": "max_pooling2d"}
    counts: dict[str, int] = {}
    for kind, options in described:
        counts[kind] = counts.get(kind, 0) + 1
        options["name"] = f"{stems.get(kind, kind.lower())}_{counts[kind]}"
    return described


def write_keras(
    path: Path,
    described: list[Layer],
    *,
    whole: bool,
    style: str = "2.2.4",
    features: int = 1152,
    channels: int = 3,
    seed: int = 0,
) -> None:
    """Write random weights as `save_weights` or `save` lays them out.

    Args:
        path: of the file.
        described: from `layers`.
        whole: write the description and the optimiser's state too.
        style: a Keras version: before 2.2.3 a Sequential is a list, Keras 3 writes text, not bytes.
        features: inputs of the first dense layer.
        channels: of the input.
        seed: of the weights.
    """
    rng = np.random.default_rng(seed)
    text = style.startswith("3")

    def words(names: list[str]) -> Any:
        return names if text else [name.encode() for name in names]

    with h5py.File(path, "w") as file:
        weights = file.create_group("model_weights") if whole else file
        weights.attrs["layer_names"] = words([options["name"] for _, options in described])
        weights.attrs["backend"] = "tensorflow" if text else b"tensorflow"
        weights.attrs["keras_version"] = style if text else style.encode()
        inputs = channels
        for kind, options in described:
            name = options["name"]
            group = weights.create_group(name)
            shapes: list[tuple[int, ...]] = []
            if kind == "Conv2D":
                shapes = [(3, 3, inputs, options["filters"]), (options["filters"],)]
                inputs = options["filters"]
            elif kind == "Flatten":
                inputs = features
            elif kind == "Dense":
                shapes = [(inputs, options["units"]), (options["units"],)]
                inputs = options["units"]
            prefix, suffix = (f"sequential/{name}", "") if text else (name, ":0")
            names = [f"{prefix}/{part}{suffix}" for part, _ in zip(("kernel", "bias"), shapes, strict=False)]
            group.attrs["weight_names"] = words(names)
            for word, shape in zip(names, shapes, strict=True):
                width = (2 / np.prod(shape[:-1])) ** 0.5 if len(shape) > 1 else 0.1
                group.create_dataset(word, data=rng.normal(0, width, shape).astype(np.float32))
        if whole:
            entries = [{"class_name": kind, "config": options} for kind, options in described]
            config: Any = entries if style < "2.2.3" else {"name": "sequential_1", "layers": entries}
            model = json.dumps({"class_name": "Sequential", "config": config})
            file.attrs["model_config"] = model if text else model.encode()
            file.attrs["keras_version"] = style if text else style.encode()
            file.attrs["training_config"] = b'{"loss": "categorical_crossentropy"}'
            optimiser = file.create_group("optimizer_weights")
            optimiser.attrs["weight_names"] = [b"Adam/iterations:0"]
            optimiser.create_dataset("Adam/iterations:0", data=np.int64(9))


def forward(path: Path, patches: Floats, padded: tuple[bool, ...], text: bool = False) -> Floats:
    """Run (N, H, W, C) patches through the weights of a file, channels last all the way; return logits."""
    with h5py.File(path, "r") as file:
        weights = file.get("model_weights", file)

        def read(layer: str, part: str) -> Floats:
            name = f"sequential/{layer}/{part}" if text else f"{layer}/{part}:0"
            return np.asarray(weights[layer][name], np.float64)

        maps = patches
        for number, pad in enumerate(padded, start=1):
            kernel, bias = read(f"conv2d_{number}", "kernel"), read(f"conv2d_{number}", "bias")
            if pad:
                maps = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = sliding_window_view(maps, (3, 3), axis=(1, 2))
            maps = np.maximum(np.einsum("nhwcyx,yxcf->nhwf", windows, kernel, optimize=True) + bias, 0)
            count, height, width, filters = maps.shape
            even = maps[:, : height // 2 * 2, : width // 2 * 2]
            maps = even.reshape(count, height // 2, 2, width // 2, 2, filters).max(axis=(2, 4))
        hidden = np.maximum(
            maps.reshape(len(maps), -1) @ read("dense_1", "kernel") + read("dense_1", "bias"), 0
        )
        return hidden @ read("dense_2", "kernel") + read("dense_2", "bias")


def pictures(count: int, channels: int = 3) -> Floats:
    """Return (N, 64, 64, C) patches as the published code feeds them."""
    return np.random.default_rng(1).integers(0, 256, (count, 64, 64, channels)) / 255


def sigmoid(logits: Floats) -> Floats:
    """Return the logistic function of each number."""
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(
    ("whole", "style"),
    [(False, "2.2.4"), (True, "2.2.4"), (True, "2.2.0"), (False, "3.15.1"), (True, "3.15.1")],
)
def test_the_published_weights(whole: bool, style: str, tmp_path: Path) -> None:
    """Both kinds of file give the probabilities of plain NumPy, in torch and in ONNX Runtime."""
    path = tmp_path / "weights.h5"
    write_keras(path, layers(), whole=whole, style=style)
    checkpoint = read_model(path)
    expected = sigmoid(forward(path, pictures(3), (True, False, False), text=style.startswith("3")))
    patches = pictures(3).transpose(0, 3, 1, 2).astype(np.float32)
    found = checkpoint.probabilities()(torch.from_numpy(patches)).detach().numpy()
    session = onnxruntime.InferenceSession(to_onnx(checkpoint.probabilities(), 3, 64))

    assert sum(parameter.numel() for parameter in checkpoint.network.parameters()) == 269_092
    assert checkpoint.name == "published"
    assert checkpoint.channels == ("empty", "collagen", "nuclei")
    assert (checkpoint.activation, checkpoint.normalisation) == ("sigmoid", PUBLISHED)
    assert np.ptp(expected) > 0.05
    assert found == pytest.approx(expected, abs=1e-5)
    assert session.run(None, {"patches": patches})[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("padding", [("same",) * 3, ("zeros",) * 3])
@pytest.mark.parametrize("whole", [True, False])
def test_the_papers_network_of_keras(padding: tuple[str, ...], whole: bool, tmp_path: Path) -> None:
    """2048 inputs of the dense layer are those of the paper's network; its activation must be known."""
    path = tmp_path / "weights.h5"
    write_keras(path, layers(padding, "softmax"), whole=whole, features=2048, channels=2)
    checkpoint = read_model(path, activation="softmax")
    logits = forward(path, pictures(2, 2), (True, True, True))
    patches = torch.from_numpy(pictures(2, 2).transpose(0, 3, 1, 2)).float()

    assert checkpoint.name == "paper"
    assert checkpoint.normalisation == Normalisation()
    assert checkpoint.network(patches).detach().numpy() == pytest.approx(logits, abs=1e-5)


def test_activation_of_a_whole_model(tmp_path: Path) -> None:
    """It is read off the file, and another one is refused; weights alone of the paper's network need it."""
    whole, alone, linear = (tmp_path / name for name in ("whole.h5", "alone.h5", "linear.h5"))
    write_keras(whole, layers(last="softmax"), whole=True)
    write_keras(alone, layers(("same",) * 3), whole=False, features=2048)
    write_keras(linear, layers(last="linear"), whole=True)

    assert read_model(whole).activation == "softmax"
    assert read_model(linear, activation="softmax").activation == "softmax"
    with pytest.raises(UsageError, match="--outputs says sigmoid-logits, the file says softmax-logits"):
        read_model(whole, activation="sigmoid")
    for path in (alone, linear):
        with pytest.raises(UsageError, match="does not say what its outputs are"):
            read_model(path)


def test_published_weights_may_be_said_to_end_otherwise(tmp_path: Path) -> None:
    """Weights alone do not tell: two sigmoids, (control, patient), are what the published code has."""
    path = tmp_path / "weights.h5"
    write_keras(path, layers(), whole=False)
    expected = forward(path, pictures(2), (True, False, False))[:, ::-1]
    odds = np.exp(expected)
    checkpoint = read_model(path, activation="softmax", classes=("patient", "control"))
    patches = torch.from_numpy(pictures(2).transpose(0, 3, 1, 2)).float()

    assert checkpoint.probabilities()(patches).detach().numpy() == pytest.approx(
        odds / odds.sum(1, keepdims=True), abs=1e-5
    )


def test_padding_that_the_weights_do_not_tell(tmp_path: Path) -> None:
    """1152 inputs also come of no padding at all (62, 31, 29, 14, 12, 6): somebody has to say so."""
    path = tmp_path / "weights.h5"
    write_keras(path, layers(("valid",) * 3), whole=False)
    with pytest.raises(ModelError, match="does not tell which convolutions pad; name --network published"):
        read_model(path)

    assert read_model(path, network="published").name == "published"


def described(
    change: Callable[[list[Layer]], Any], padding: tuple[str, ...] = ("zeros", "valid", "valid")
) -> Any:
    """Return layers with a change."""
    changed = layers(padding)
    change(changed)
    return changed


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (layers(("valid",) * 3), "found 'conv 3x3 128 valid relu' where that has 'conv 3x3 128 same relu'"),
        (
            layers(("same", "valid", "same")),
            "found 'conv 3x3 32 same relu' where that has 'conv 3x3 32 valid",
        ),
        (
            described(lambda m: m.insert(2, ("BatchNormalization", {"name": "bn_1"}))),
            "found 'BatchNormalization' where that has 'max pool 2x2x2x2'",
        ),
        (described(lambda m: m[1][1].update(activation="elu")), "found 'conv 3x3 128 same elu'"),
        (described(lambda m: m[1][1].update(dilation_rate=[2, 2])), "found 'conv 3x3 128 same strided relu'"),
        (described(lambda m: m[2][1].update(strides=[1, 1])), "found 'max pool 2x2x1x1'"),
        (described(lambda m: m[0][1].update(padding=[[2, 2], [2, 2]])), "found 'ZeroPadding2D' where"),
        (described(lambda m: m.pop()), "found 'dense 150' where that has 'dense 150 relu'"),
        (
            described(lambda m: m[1][1].update(data_format="channels_first")),
            "has its channels first; rebuild",
        ),
        (layers(last="tanh"), "ends in tanh, which gives no probabilities; expected sigmoid"),
    ],
)
def test_other_architectures(model: list[Layer], sentence: str, tmp_path: Path) -> None:
    """A whole model says what it is: the first step that differs is named."""
    write_keras(tmp_path / "model.h5", model, whole=True)
    with pytest.raises(ModelError, match=sentence) as refusal:
        read_keras(tmp_path / "model.h5")

    if "where that has" in sentence:
        model_path = str(tmp_path / "model.h5")
        assert "any other model comes as ONNX: in Keras 3 model.export('model.onnx', format=" in str(
            refusal.value
        )
        convert = ("python", "-m", "tf2onnx.convert", "--keras", model_path, "--output", "model.onnx")
        assert refusal.value.command == convert


def test_the_named_network_is_demanded(tmp_path: Path) -> None:
    """A name that does not fit the file is refused, described or not."""
    write_keras(tmp_path / "whole.h5", layers(), whole=True)
    write_keras(tmp_path / "alone.h5", layers(), whole=False)
    with pytest.raises(ModelError, match="is not network 'paper': found 'conv 3x3 64 valid relu'"):
        read_keras(tmp_path / "whole.h5", "paper")
    with pytest.raises(
        ModelError,
        match=r"found dense_1/kernel:0 \(150 x 1152\) where .* \(150 x 2048\).*network 'published'",
    ):
        read_keras(tmp_path / "alone.h5", "paper")
    for name in ("whole", "alone"):
        with pytest.raises(UsageError, match="no network 'vgg'"):
            read_keras(tmp_path / f"{name}.h5", "vgg")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Damaged, of Keras 3, of Theano, or far too large: a sentence each, and no memory taken."""
    path = tmp_path / "weights.h5"
    write_keras(path, layers(), whole=False)
    content = path.read_bytes()
    path.write_bytes(content[:3000])
    with pytest.raises(ModelError, match="is damaged or not of Keras"):
        read_model(path)

    def change(spoil: Callable[[h5py.File], Any]) -> None:
        path.write_bytes(content)
        with h5py.File(path, "a") as file:
            spoil(file)

    change(lambda file: file.attrs.__delitem__("layer_names"))
    with pytest.raises(ModelError, match=r"no Keras 2 layers; of Keras files only the .h5 of the published"):
        read_model(path)
    change(lambda file: file.attrs.__setitem__("backend", b"theano"))
    with pytest.raises(ModelError, match="trained with Theano"):
        read_model(path)
    change(lambda file: file.__delitem__("conv2d_2"))
    with pytest.raises(ModelError, match="is damaged or not of Keras"):
        read_model(path)

    def inflate(file: h5py.File) -> None:
        del file["dense_1/dense_1/kernel:0"]
        file["dense_1"].create_dataset("dense_1/kernel:0", (2**20, 2**20), np.float32, chunks=(1024, 1024))

    change(inflate)
    with pytest.raises(ModelError, match="has more than 256 MiB of numbers, up to /dense_1/dense_1/kernel:0"):
        read_model(path)


def redescribed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what a whole model says of itself."""
    with h5py.File(path, "a") as file:
        model = json.loads(file.attrs["model_config"])
        change(model)
        file.attrs["model_config"] = json.dumps(model)


def as_chain(model: dict[str, Any]) -> None:
    """Describe the same layers as Keras 2 does those of a functional model."""
    entries = model["config"]["layers"]
    entries.insert(0, {"class_name": "InputLayer", "config": {"name": "input_1"}})
    before = None
    for entry in entries:
        entry["name"] = entry["config"]["name"]
        entry["inbound_nodes"] = [[[before, 0, 0, {}]]] if before else []
        before = entry["name"]
    model["class_name"] = "Functional"
    model["config"]["output_layers"] = [[before, 0, 0]]


def as_branch(model: dict[str, Any]) -> None:
    """Let the last layer take what the first convolution gives."""
    as_chain(model)
    model["config"]["layers"][-1]["inbound_nodes"] = [[["conv2d_1", 0, 0, {}]]]


def shaped(*shape: int) -> Callable[[dict[str, Any]], None]:
    """Return a change of the shape that the first layer says it takes."""
    return lambda model: model["config"]["layers"][0]["config"].update(batch_input_shape=[None, *shape])


@pytest.mark.parametrize("change", [as_chain, shaped(64, 64, 3)])
def test_what_a_description_says_in_other_words(change: Callable[[Any], None], tmp_path: Path) -> None:
    """A functional model that is a chain, and the shape of its patches: the same network."""
    write_keras(tmp_path / "model.h5", layers(), whole=True)
    before = read_keras(tmp_path / "model.h5").network.state_dict()
    redescribed(tmp_path / "model.h5", change)
    after = read_keras(tmp_path / "model.h5").network.state_dict()

    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (as_branch, "is no chain of layers, or Keras 3 describes it; of Keras files only"),
        (lambda model: model.update(class_name="Functional"), "damaged or not of Keras"),
        (shaped(32, 32, 3), "is made for 32 x 32 x 3 patches, expected 64 x 64 x 3; train it on those"),
        (shaped(64, 64, 2), "is made for 64 x 64 x 2 patches, expected 64 x 64 x 3"),
        (lambda model: model["config"]["layers"][1]["config"].update(groups=2), "conv 3x3 128 same strided"),
        (lambda model: model["config"].update(name="x" * 2**20), "describes its layers in 10"),
        (lambda model: model.update(config=[]), "damaged or not of Keras"),
        (lambda model: model.update(config="layers"), "damaged or not of Keras"),
    ],
)
def test_what_a_description_says_is_not_ignored(
    change: Callable[[Any], None], sentence: str, tmp_path: Path
) -> None:
    """Branches, other patches, grouped filters: said in the description alone, and not done here."""
    write_keras(tmp_path / "model.h5", layers(), whole=True)
    redescribed(tmp_path / "model.h5", change)
    with pytest.raises(ModelError, match=sentence):
        read_keras(tmp_path / "model.h5")


def test_a_description_without_a_word_is_told_which(tmp_path: Path) -> None:
    """It is not damaged, and copying it again helps nobody."""
    path = tmp_path / "weights.h5"
    write_keras(path, layers(), whole=True)
    index = next(k for k, (kind, _) in enumerate(layers()) if kind == "Conv2D")
    redescribed(path, lambda model: model["config"]["layers"][index]["config"].pop("padding"))
    with pytest.raises(ModelError, match="describes a layer without padding, which Keras writes of each"):
        read_model(path)


def test_weights_alone_of_another_network_go_through_keras(tmp_path: Path) -> None:
    """What torch would do with them is no help; the command is that of a Keras model."""
    path = tmp_path / "weights.h5"
    write_keras(path, layers(), whole=False, features=999)
    with pytest.raises(ModelError, match=r"holds weights alone, and .* call its load_weights") as refused:
        read_model(path)

    assert "TorchScript" not in str(refused.value)
    assert refused.value.command[:4] == ("python", "-m", "tf2onnx.convert", "--keras")


def test_maps_are_flattened_before_the_dense_layer(tmp_path: Path) -> None:
    """Weights in another order of layers would be taken for others without a word."""
    write_keras(tmp_path / "weights.h5", layers(), whole=False)
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        file.attrs["layer_names"] = file.attrs["layer_names"][::-1]
    with pytest.raises(ModelError, match="names its dense layer before its convolutions"):
        read_keras(tmp_path / "weights.h5", "published")
