"""Reads the Keras weights of the published code (`.h5`, Keras 2 layouts) without TensorFlow.

Any other Keras model comes as ONNX: where a file is another network, the error says how.

    save_weights        layer_names                                        conv2d_1/conv2d_1/kernel:0 ...
    whole model         model_config, model_weights/{layer_names           the same}

Only the numbers and the description are read; nothing in the file can run. Keras keeps a
convolution as (height, width, in, out) and flattens maps as (height, width, channel), torch as
(out, in, height, width) and (channel, height, width).
"""

import json
from collections.abc import Iterator
from itertools import zip_longest
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from colvi_edge.errors import ModelError
from colvi_edge.export.networks.patch_cnn import (
    NETWORKS,
    PATCH_PX,
    build_network,
    fitting_networks,
    network_with,
)
from colvi_edge.printable import printable_name

from .foreign.hdf5 import refuse_foreign_file
from .kinds import THROUGH_ONNX, to_onnx_command

_PADDING = {"paper": ("same", "same", "same"), "published": ("same", "valid", "valid")}
_MAPS = (32 * 8 * 8, 32 * 6 * 6)
"""Numbers that reach the dense layer of the one network and the other."""

_MAX_CONFIG = 2**20
"""Characters of a description; the published code's has 5,000."""


class KerasNetwork(NamedTuple):
    """What a file holds.

    Attributes:
        network: gives logits.
        name: of NETWORKS.
        activation: "softmax", "sigmoid" or "linear" of a whole model; None where only weights were saved.
    """

    network: nn.Module
    name: str
    activation: str | None


def read_keras(path: Path, name: str | None = None) -> KerasNetwork:
    """Read the weights of the published code, or of the paper's network trained with Keras.

    Args:
        path: what Keras 2 wrote with `save_weights`, `save` or `ModelCheckpoint`.
        name: of NETWORKS; needed where the file does not tell which convolutions pad.

    Raises:
        UsageError: no network has this name.
        ModelError: the file is damaged, of another layout or of another network.
    """
    try:
        with h5py.File(path, "r") as file:
            refuse_foreign_file(file, path)
            return _read(file, path, name)
    except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        words = printable_name(str(error))[:300]
        raise ModelError(f"{path} is damaged or not of Keras ({words}); copy or save it again") from error


def _read(file: h5py.File, path: Path, name: str | None) -> KerasNetwork:
    weights = file.get("model_weights", file)
    layers = _words(weights, "layer_names")
    if not layers:
        raise ModelError(
            f"{path} is HDF5 but holds no Keras 2 layers; {THROUGH_ONNX}", command=to_onnx_command(path)
        )
    if _text(weights.attrs.get("backend", "tensorflow")) == "theano":
        raise ModelError(
            f"{path} was trained with Theano, whose kernels are mirrored; load it in Keras with TensorFlow "
            "and save it again"
        )
    tensors = _tensors(weights, layers, path)
    if "model_config" in file.attrs:
        config = _chain(_text(file.attrs["model_config"]), path)
        try:
            steps = list(_steps(config, path))
        except KeyError as error:
            raise ModelError(
                f"{path} describes a layer without {printable_name(str(error.args[0]))[:60]}, which Keras "
                "writes of each; save it again by model.save of Keras 2"
            ) from error
        name = _described(steps, name, path)
        _agree_on_input(config, tensors, path)
        activation = steps[-1].split()[-1]
        if activation not in ("softmax", "sigmoid", "linear"):
            raise ModelError(f"{path} ends in {activation}, which gives no probabilities; expected sigmoid")
        return KerasNetwork(network_with(tensors, name), name, activation)
    name = name or _named(layers, tensors, path)
    try:
        return KerasNetwork(network_with(tensors, name), name, None)
    except ModelError as error:
        if fitting_networks(tensors):  # which the error names
            raise
        why = str(error).rpartition("; ")[0]
        raise ModelError(
            f"{path} holds weights alone, and {why}; build the model in Keras, call its load_weights and "
            f"save it whole as model.h5: {THROUGH_ONNX}",
            command=to_onnx_command(path.with_name("model.h5")),
        ) from error


def _tensors(weights: h5py.Group, layers: list[str], path: Path) -> dict[str, Tensor]:
    """Return weights and biases in torch's layout, in the order of the layers."""
    stored = {
        word: weights[layer][word] for layer in layers for word in _words(weights[layer], "weight_names")
    }
    tensors: dict[str, Tensor] = {}
    filters = 0  # of the last convolution; 0 once its maps are flattened
    for word, dataset in stored.items():
        array = np.asarray(dataset, np.float32)
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
            filters = len(array)
        elif array.ndim == 2:
            if len(array) in _MAPS and not filters:
                raise ModelError(f"{path} names its dense layer before its convolutions; save it again")
            side = isqrt(len(array) // filters) if filters else 0
            if filters and side * side * filters == len(array):
                maps = array.reshape(side, side, filters, -1)
                array = maps.transpose(2, 0, 1, 3).reshape(len(array), -1)
            array = array.T
            filters = 0
        tensors[word] = torch.from_numpy(array.copy())
    return tensors


def _chain(text: str, path: Path) -> list[Any]:
    """Return the layers of a description, each of which takes what the one before it gives."""
    if len(text) > _MAX_CONFIG:
        raise ModelError(f"{path} describes its layers in {len(text)} characters; save it again")
    model = json.loads(text)
    config = model["config"]
    layers: list[Any] = config if isinstance(config, list) else config["layers"]  # a list before Keras 2.2.3
    if model["class_name"] != "Sequential":
        names = [layer["config"]["name"] for layer in layers]
        sources = [layer["inbound_nodes"] for layer in layers]
        straight = [[], *([[[name, 0, 0, {}]]] for name in names[:-1])]
        if sources != straight or config["output_layers"] != [[names[-1], 0, 0]]:
            raise ModelError(
                f"{path} is no chain of layers, or Keras 3 describes it; {THROUGH_ONNX}",
                command=to_onnx_command(path),
            )
    return layers


def _agree_on_input(layers: list[Any], tensors: dict[str, Tensor], path: Path) -> None:
    """Refuse a description of other patches than the network takes."""
    options = layers[0]["config"]
    shape = options.get("batch_input_shape", options.get("batch_shape"))
    channels = next(tensor.shape[1] for tensor in tensors.values() if tensor.ndim == 4)
    if shape is not None and list(shape[1:]) != [PATCH_PX, PATCH_PX, channels]:
        raise ModelError(
            f"{path} is made for {' x '.join(map(str, shape[1:]))} patches, expected {PATCH_PX} x {PATCH_PX} "
            f"x {channels}; train it on those"
        )


def _steps(layers: list[Any], path: Path) -> Iterator[str]:
    """Describe each layer that computes something, such as "conv 3x3 128 same relu"."""
    padded = False
    for layer in layers:
        kind, options = layer["class_name"], layer["config"]
        if options.get("data_format", "channels_last") != "channels_last":
            raise ModelError(
                f"{path} has its channels first; rebuild it in Keras with channels last and save it again"
            )
        if kind == "ZeroPadding2D" and np.array_equal(options["padding"], [[1, 1], [1, 1]]):
            padded = True
        elif kind == "Conv2D":
            size = "x".join(map(str, options["kernel_size"]))
            padding = "same" if padded and options["padding"] == "valid" else options["padding"]
            plain = {*options["strides"], *options["dilation_rate"], options.get("groups", 1)} == {1}
            rare = "" if plain else " strided"
            yield f"conv {size} {options['filters']} {padding}{rare} {options['activation']}"
            padded = False
        elif kind == "MaxPooling2D":
            yield f"max pool {'x'.join(map(str, (*options['pool_size'], *options['strides'])))}"
        elif kind == "Dense":
            yield f"dense {options['units']} {options['activation']}"
        elif kind not in ("InputLayer", "Dropout", "Flatten"):
            yield kind


def _described(steps: list[str], name: str | None, path: Path) -> str:
    """Return the name of the network that the steps are of; its final activation is free."""
    if name:
        build_network(name, 3)  # refuses an unknown name
    for known in [name] if name else NETWORKS:
        expected = [
            *(
                step
                for filters, padding in zip((128, 64, 32), _PADDING[known], strict=True)
                for step in (f"conv 3x3 {filters} {padding} relu", "max pool 2x2x2x2")
            ),
            "dense 150 relu",
            "dense 2",
        ]
        found = [*steps[:-1], steps[-1].rpartition(" ")[0]]
        if found == expected:
            return known
    pairs = zip_longest(found, expected, fillvalue="nothing")
    have, want = next((have, want) for have, want in pairs if have != want)
    raise ModelError(
        f"{path} is not network '{known}': found '{have}' where that has '{want}'; {THROUGH_ONNX}",
        command=to_onnx_command(path),
    )


def _named(layers: list[str], tensors: dict[str, Tensor], path: Path) -> str:
    """Tell the network from the inputs of its dense layer and, for the published one, from its layers."""
    features = next((tensor.shape[1] for tensor in tensors.values() if tensor.ndim == 2), 0)
    padding = [layer.startswith("zero_padding2d") for layer in layers]
    if features == 1152 and not (padding[0] and sum(padding) == 1):
        raise ModelError(
            f"{path} does not tell which convolutions pad; name --network published if only the first does"
        )
    return "published" if features == 1152 else "paper"


def _words(group: h5py.Group, attribute: str) -> list[str]:
    return [_text(word) for word in group.attrs.get(attribute, ())]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
