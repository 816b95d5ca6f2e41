"""Layers rebuilt for the runtimes that do not read ONNX: a torch network, a Keras model, .tflite files.

Each function imports its own framework.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bench.peers.layers import Convolution, Dense, Divide, Layer, MaxPool

if TYPE_CHECKING:
    from torch import nn


def torch_network(layers: list[Layer]) -> "nn.Module":
    """Return the layers as a torch network, (N, C, P, P) -> (N, 2)."""
    import torch
    from torch import nn

    class Divided(nn.Module):
        def __init__(self, divisor: float) -> None:
            super().__init__()
            self.divisor = divisor

        def forward(self, logits: torch.Tensor) -> torch.Tensor:
            return logits / self.divisor

    named = {"relu": nn.ReLU, "flatten": nn.Flatten, "sigmoid": nn.Sigmoid}
    modules: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, Convolution | Dense):
            weight, bias = torch.tensor(layer.weight), torch.tensor(layer.bias)
            module: nn.Module = (
                nn.Conv2d(
                    weight.shape[1], len(weight), (weight.shape[2], weight.shape[3]), padding=layer.padding
                )
                if isinstance(layer, Convolution)
                else nn.Linear(weight.shape[1], len(weight))
            )
            module.load_state_dict({"weight": weight, "bias": bias})
        elif isinstance(layer, MaxPool):
            module = nn.MaxPool2d(layer.size)
        elif isinstance(layer, Divide):
            module = Divided(layer.divisor)
        else:
            module = nn.Softmax(dim=1) if layer == "softmax" else named[layer]()
        modules.append(module)
    return nn.Sequential(*modules).eval()


def to_tflite(layers: list[Layer], calibration: NDArray[np.float32]) -> dict[str, bytes]:
    """Return the network as .tflite by precision, "fp32" and "int8": (N, P, P, C) -> (N, 2) float32.

    Args:
        layers: of the network.
        calibration: (N, C, P, P) normalised patches; the ranges of INT8 are those that they reach.
    """
    import tensorflow as tf

    model = keras_model(layers, calibration.shape[1:])
    fp32 = tf.lite.TFLiteConverter.from_keras_model(model)
    int8 = tf.lite.TFLiteConverter.from_keras_model(model)
    int8.optimizations = [tf.lite.Optimize.DEFAULT]
    int8.representative_dataset = lambda: _one_by_one(calibration)
    int8.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return {"fp32": fp32.convert(), "int8": int8.convert()}


def keras_model(layers: list[Layer], shape: tuple[int, ...]) -> Any:
    """Return the layers as a Keras model.

    Args:
        layers: of the network.
        shape: (channels, height, width) of a patch; Keras puts the channels last.
    """
    import keras

    channels, height, width = shape
    model = keras.Sequential([keras.Input((height, width, channels))])
    maps: tuple[int, ...] = ()  # (height, width, channels) that were flattened and meet no Dense yet
    for layer in layers:
        if isinstance(layer, Convolution):
            filters, _, *kernel = layer.weight.shape
            model.add(keras.layers.Conv2D(filters, kernel, padding=layer.padding))
            model.layers[-1].set_weights([layer.weight.transpose(2, 3, 1, 0), layer.bias])
        elif isinstance(layer, Dense):
            weight = layer.weight
            if maps:
                by_channel = weight.reshape(-1, maps[2], maps[0], maps[1])
                weight, maps = by_channel.transpose(0, 2, 3, 1).reshape(weight.shape), ()
            model.add(keras.layers.Dense(len(weight)))
            model.layers[-1].set_weights([weight.T, layer.bias])
        elif isinstance(layer, MaxPool):
            model.add(keras.layers.MaxPooling2D(layer.size))
        elif isinstance(layer, Divide):
            model.add(keras.layers.Rescaling(1 / layer.divisor))
        elif layer == "flatten":
            maps = model.output_shape[1:]
            model.add(keras.layers.Flatten())
        else:
            model.add(keras.layers.Activation(layer))
    return model


def _one_by_one(patches: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
    for patch in patches.transpose(0, 2, 3, 1):
        yield [patch[np.newaxis]]
