"""Weights without a network: a pickle's tensors, and which networks of ours they fit."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from colvi_edge.errors import ModelError
from colvi_edge.export.networks.patch_cnn import NETWORKS, fitting_networks
from colvi_edge.printable import printable_name

from .foreign.archive import refuse_bombs
from .foreign.exported import HOW_TO_SAVE, unsafe
from .foreign.words import last_line

_OUR_WORDS = {"activation", "channels", "classes", "normalisation", "patch_px", "temperature"}
"""What a checkpoint of ours says, and would go unheard in a file that is not quite one."""


def load_tensors(path: Path) -> Any:
    """Return what a pickle holds; tensors and plain values only, anything else is refused.

    Raises:
        ModelError: it is damaged, or holds code.
    """
    refuse_bombs(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise unsafe(path, error) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(f"{path} is damaged ({last_line(error)}); copy or save it again") from error


def state_dict(content: Any, path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a state_dict, bare or in a dictionary.

    Raises:
        ModelError: there are none, or they are not plain tensors, or words stand beside them.
    """
    if isinstance(content, dict) and (told := sorted(_OUR_WORDS & {*map(str, content)})):
        raise ModelError(
            f"{path} says {told[0]} beside its weights, which only checkpoints of colvi-edge can; save the "
            "state_dict alone, and say the rest by options"
        )
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = content if isinstance(content, dict) else {}
    tensors = {str(key): value for key, value in tensors.items() if isinstance(value, Tensor)}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_complex():
            raise ModelError(f"{path} holds {name} as {tensor.dtype} of {tensor.layout}; save plain tensors")
    if not tensors:
        raise ModelError(f"{path} holds no state_dict; {HOW_TO_SAVE}")
    return tensors


def fitting(tensors: Mapping[str, Tensor], path: Path) -> list[str]:
    """Return the networks of ours whose weights these can be.

    Raises:
        ModelError: there is none; asking for one would help nobody.
    """
    if fitting := fitting_networks(tensors):
        return fitting
    name, tensor = next(iter(tensors.items()))
    shape = " x ".join(map(str, tensor.shape)) or "a number"
    raise ModelError(
        f"{path} holds weights alone ({printable_name(name)[:60]}, {shape}, and so on), and they fit neither "
        f"network that is known here, {' and '.join(NETWORKS)}; save the whole model as ONNX, or as "
        "TorchScript by torch.jit.script(model.eval()).save('model.pt')"
    )
