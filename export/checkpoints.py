"""Reads what labs have: a trained network in a file of any common kind, tried out before it is believed.

    file                          also needed
    checkpoint of colvi-edge      nothing
    Keras weights (.h5)           nothing for the published code's
    TorchScript, torch.export     classes, activation
    state_dict                    network, classes, activation

The first bytes of a file and the names inside say what it is, not its suffix. Pickles are opened as
tensors and plain values only; no code of a file runs, but for the graph that TorchScript or
torch.export is, of operators that only compute (see `foreign`), which is then tried on noise.
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from colvi_edge.confinement import MEMORY_BYTES, time_limit
from colvi_edge.errors import ModelError, UsageError
from colvi_edge.patches import Normalisation

from .checkpoint import Checkpoint, checkpoint_from
from .foreign.archive import refuse_bombs
from .foreign.exported import HOW_TO_SAVE, read_exported, unsafe
from .foreign.torchscript import read_torchscript
from .foreign.words import last_line
from .keras import read_keras
from .kinds import kind_of
from .networks import PATCH_PX, Activation, Turned, network_with
from .patch_set import CLASSES

PUBLISHED = Normalisation("scale", divisor=255.0, dtype="uint8")
"""The published code divides the 8-bit pictures that it made by 255."""

TRIAL_S = 180
"""Within which a file must be read and tried out; the slowest here, a program of torch.export, takes 6 s."""

_OUR_WORDS = {"activation", "channels", "classes", "normalisation", "patch_px", "temperature"}
"""What a checkpoint of ours says, and would go unheard in a file that is not quite one."""

_LAYOUTS = {2: ("collagen", "nuclei"), 3: ("empty", "collagen", "nuclei")}


def read_model(
    path: Path,
    *,
    network: str | None = None,
    channels: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    activation: str | None = None,
    normalisation: Normalisation | None = None,
) -> Checkpoint:
    """Read a trained network and try it on noise.

    Args:
        path: a checkpoint of ours, Keras weights, TorchScript, a torch.export program, or a state_dict,
            bare or in a dictionary under state_dict, model_state_dict or model.
        network: "paper" or "published", for files that hold weights only.
        channels: of the input, in order; by custom (collagen, nuclei) or (empty, collagen, nuclei).
        classes: of the two outputs, in order; the checkpoint's are always (control, patient).
        activation: what makes probabilities of the outputs: "softmax", "sigmoid" or "none".
        normalisation: of the input; kind "patch" if nothing is known, PUBLISHED for the published network.

    Raises:
        UsageError: an option is missing, unknown, or says other than the file.
        ModelError: the file cannot be read, or its network does not do what a bundle promises.
    """
    if activation is not None and activation not in get_args(Activation):
        raise UsageError(f"there is no activation '{activation}'; choose {', '.join(get_args(Activation))}")
    if classes is not None and sorted(classes) != sorted(CLASSES):
        raise UsageError(
            f"classes are {' and '.join(CLASSES)} in the network's order, found {','.join(classes)}"
        )
    with time_limit(TRIAL_S):
        return _read(path, network, channels, classes, activation, normalisation)


def _read(
    path: Path,
    network: str | None,
    channels: Sequence[str] | None,
    classes: Sequence[str] | None,
    activation: str | None,
    normalisation: Normalisation | None,
) -> Checkpoint:
    kind = kind_of(path)
    content = _load_tensors(path) if kind == "pickle" else None
    if isinstance(content, dict) and {"state_dict", "network", "normalisation"} <= content.keys():
        checkpoint = checkpoint_from(content, path)
        _agree("network", network, checkpoint.name)
        _agree("channels", channels and tuple(channels), checkpoint.channels)
        _agree("classes", classes and tuple(classes), CLASSES)
        _agree("activation", activation, checkpoint.activation)
        _agree("normalisation", normalisation, checkpoint.normalisation)
        _try_out(checkpoint)
        return checkpoint

    if kind == "keras":
        module, name, stated = read_keras(path, network)
        if stated not in (None, "linear"):
            _agree("activation", activation, stated)
            activation = stated
        elif name == "published" and stated is None:
            activation = activation or "sigmoid"
        classes = classes or CLASSES
    elif kind == "pickle":
        if network is None:
            raise UsageError(f"{path} holds weights only; name their --network, paper or published")
        module, name = network_with(_state_dict(content, path), network), network
    elif network is not None:
        raise UsageError(f"{path} holds its network; leave --network out")
    else:
        module = read_torchscript(path) if kind == "TorchScript" else read_exported(path)
        name = kind
    if classes is None:
        raise UsageError(f"{path} does not tell the order of its outputs; name --classes control,patient")
    if activation is None:
        raise UsageError(
            f"{path} does not tell its final activation; name --activation softmax or sigmoid, "
            "or none if its outputs are probabilities"
        )
    checkpoint = Checkpoint(
        network=module,
        name=name,
        channels=_channels_of(module, channels),
        activation=activation,  # type: ignore[arg-type] # checked above
        temperature=1.0,
        normalisation=normalisation or (PUBLISHED if name == "published" else Normalisation()),
        training={},
    )
    _try_out(checkpoint)
    return checkpoint if tuple(classes) == CLASSES else replace(checkpoint, network=Turned(module).eval())


def _load_tensors(path: Path) -> Any:
    refuse_bombs(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise unsafe(path, error) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(f"{path} is damaged ({last_line(error)}); copy or save it again") from error


def _state_dict(content: Any, path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a state_dict, bare or in a dictionary."""
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


def _channels_of(module: nn.Module, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the channels, found out by trying where they are not given."""
    taken, refusals = [], {}
    for count in [len(given)] if given else range(1, 9):
        try:
            with torch.inference_mode():
                module(torch.zeros(2, count, PATCH_PX, PATCH_PX))
            taken.append(count)
        except Exception as error:  # noqa: BLE001 # a foreign graph raises what it likes
            _refuse_greed(error)
            refusals[count] = last_line(error)
    if not taken:
        count = len(given) if given else 2
        raise ModelError(
            f"the network takes no (N, {count if given else 'C'}, {PATCH_PX}, {PATCH_PX}) float32 patches "
            f"({refusals[count]}); it must be made for {PATCH_PX} x {PATCH_PX} pixels and its --channels"
        )
    if given:
        if sorted({*given} - {"empty"}) != ["collagen", "nuclei"] or len(given) - given.count("empty") != 2:
            raise UsageError(
                f"channels are collagen and nuclei, once each, and any empty ones; found {','.join(given)}"
            )
        return tuple(given)
    if len(taken) != 1 or taken[0] not in _LAYOUTS:
        raise UsageError(
            f"the network takes {' or '.join(map(str, taken))} channels; name them by --channels, "
            "such as collagen,nuclei"
        )
    return _LAYOUTS[taken[0]]


def _try_out(checkpoint: Checkpoint) -> None:
    """Refuse a network that does not give (N, 2) probabilities, each patch's for itself, always the same."""
    network = checkpoint.network
    noise = torch.randn(
        (4, len(checkpoint.channels), PATCH_PX, PATCH_PX), generator=torch.Generator().manual_seed(0)
    )
    patches = noise * torch.tensor([0.3, 1.0, 3.0, 10.0]).reshape(-1, 1, 1, 1)
    with torch.inference_mode():
        outputs, again = _run(network, patches), _run(network, patches)
        if not isinstance(outputs, Tensor) or outputs.shape != (4, 2):
            found = tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
            raise ModelError(f"the network gives {found} for 4 patches; expected (4, 2), one output a class")
        if not outputs.isfinite().all():
            raise ModelError("the network gives NaN or infinity for noise; take an earlier checkpoint of it")
        if not _close(outputs, again):
            raise ModelError(
                "the network gives other outputs for the same patches; dropout is on: "
                "call model.eval() before saving"
            )
        if not _close(outputs, torch.cat([_run(network, patch[None]) for patch in patches])):
            raise ModelError(
                "the network gives a patch other outputs in company than alone; batch normalisation is in "
                "training mode: call model.eval() before saving"
            )
        if checkpoint.activation != "none":
            if outputs.min() >= 0 and (outputs.sum(1) - 1).abs().max() < 1e-4:
                raise ModelError("the network's outputs already sum to 1; name --activation none")
            return
        low, high = outputs.min().item(), outputs.max().item()
    if low < -1e-4 or high > 1 + 1e-4:
        raise ModelError(
            f"the network's outputs run from {low:.3g} to {high:.3g} and are no probabilities; "
            "name --activation softmax or sigmoid"
        )


def _run(network: nn.Module, patches: Tensor) -> Any:
    try:
        return network(patches)
    except Exception as error:
        _refuse_greed(error)
        raise ModelError(
            f"the network takes 2 patches but not {len(patches)} ({last_line(error)}); its batch is fixed: "
            "write x.flatten(1) or x.shape[0] in forward and save it again"
        ) from error


def _refuse_greed(error: Exception) -> None:
    """Raise ModelError if a network broke off because it was given no more memory."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        raise ModelError(
            f"the network takes more than {MEMORY_BYTES >> 30} GiB of memory for a few patches; take another"
        ) from error


def _close(one: Tensor, other: Tensor) -> bool:
    """Compare up to the rounding of float32, which another batch adds up in another order."""
    return one.shape == other.shape and bool(
        (one - other).abs().max() <= 1e-4 * max(1, one.abs().max().item())
    )


def _agree(option: str, given: object, found: object) -> None:
    if given is not None and given != found:
        raise UsageError(f"--{option} says {given}, the file says {found}; leave the option out")
