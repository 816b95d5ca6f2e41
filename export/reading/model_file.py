"""Reads what labs have: a trained network in a file of any common kind, tried out before it is believed.

    file                          also needed
    checkpoint of colvi-edge      nothing
    Keras weights (.h5)           nothing for the published code's
    ONNX                          classes; outputs, unless the graph ends in softmax or sigmoid
    TorchScript, torch.export     classes, outputs
    state_dict                    network, classes, outputs

The first bytes of a file and the names inside say what it is, not its suffix. Pickles are opened as
tensors and plain values only; no code of a file runs, but for the graph that ONNX, TorchScript or
torch.export is, of operators that only compute (see `foreign`), which is then tried on noise.
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor, nn

from colvi_edge.choices import Outputs
from colvi_edge.diagnosis import CLASSES
from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.networks.patch_cnn import (
    NETWORKS,
    PATCH_PX,
    Activation,
    Turned,
    fitting_networks,
    network_with,
)
from colvi_edge.patches import Normalisation
from colvi_edge.printable import printable_name
from colvi_edge.system.confinement import MEMORY_BYTES, time_limit

from .checkpoint import Checkpoint, checkpoint_from
from .foreign.archive import refuse_bombs
from .foreign.exported import HOW_TO_SAVE, read_exported, unsafe
from .foreign.onnx.reading import read_onnx
from .foreign.torchscript import read_torchscript
from .foreign.words import FROM_ONE_OUTPUT, last_line
from .keras import read_keras
from .kinds import Kind, kind_of
from .questions import lacking_facts, normalisation_words, outputs_of

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
        path: a checkpoint of ours, Keras weights, ONNX, TorchScript, a torch.export program, or a
            state_dict, bare or in a dictionary under state_dict, model_state_dict or model.
        network: "paper" or "published", for files that hold weights only.
        channels: of the input, in order; by custom (collagen, nuclei) or (empty, collagen, nuclei).
        classes: of the two outputs, in order; the checkpoint's are always (control, patient).
        activation: what makes probabilities of the outputs: "softmax", "sigmoid" or "none"; `--outputs`
            says it in other words.
        normalisation: of the input; kind "patch" if nothing is known, PUBLISHED for the published network.

    Raises:
        UsageError: options are missing, all of them named at once, or unknown, or say other than the file.
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
        _agree("outputs", outputs_of(activation), outputs_of(checkpoint.activation))
        _agree("normalisation", normalisation, checkpoint.normalisation)
        _try_out(checkpoint)
        return checkpoint

    found = _found(path, kind, content, network, channels)
    if found.ends_in in ("softmax", "sigmoid") and activation == "none":
        activation = None  # the file's network ends in it, as the option says; here it is put on again
    if found.activation is not None:
        _agree("outputs", outputs_of(activation), outputs_of(found.activation))
        activation = found.activation
    activation = activation or found.custom
    if kind == "keras":
        classes = classes or CLASSES
    counts = _counts(found.network, channels) if found.network else []
    if found.network:  # better said before anything is asked
        with torch.inference_mode():
            _refuse_shape(_run(found.network, _noise(counts[0])))
    lacking = {} if found.network else {"--network": found.fitting[0]}
    if channels is None and counts and (len(counts) > 1 or counts[0] not in _LAYOUTS):
        lacking["--channels"] = ",".join(["collagen", "nuclei", *["empty"] * (counts[0] - 2)])
    if classes is None:
        lacking["--classes"] = ",".join(CLASSES)
    if activation is None:
        lacking["--outputs"] = _likely(found.network, counts).value
    if lacking or found.network is None or classes is None:
        is_said = normalisation is not None or found.name == "published"
        raise lacking_facts(path, lacking, counts, normalisation_is_said=is_said)
    checkpoint = Checkpoint(
        network=found.network,
        name=found.name,
        channels=_channels_of(counts[0], channels),
        activation=activation,  # type: ignore[arg-type] # checked above
        temperature=1.0,
        normalisation=normalisation or (PUBLISHED if found.name == "published" else Normalisation()),
        training={},
        told=found.told,
    )
    _try_out(checkpoint)
    if tuple(classes) == CLASSES:
        return checkpoint
    return replace(checkpoint, network=Turned(checkpoint.network).eval())


class _Found(NamedTuple):
    """What a file of others says by itself.

    Attributes:
        network: None where only weights are there, and nobody says whose.
        name: for people.
        activation: as for `read_model`; None where the file does not say it.
        ends_in: what the file's network ended in, and this one does not.
        custom: the activation if nobody says anything.
        fitting: networks of ours whose weights these can be.
        told: how it was read.
    """

    network: nn.Module | None
    name: str
    activation: str | None = None
    ends_in: str | None = None
    custom: str | None = None
    fitting: Sequence[str] = ()
    told: str = ""


def _found(
    path: Path, kind: Kind, content: Any, network: str | None, channels: Sequence[str] | None
) -> _Found:
    if kind == "keras":
        module, name, final = read_keras(path, network)
        stated = final if final in ("softmax", "sigmoid") else None
        custom = "sigmoid" if name == "published" and final is None else None
        return _Found(module, name, stated, stated, custom)
    if kind == "pickle":
        tensors = _state_dict(content, path)
        if network is None:
            return _Found(None, "", fitting=_fitting(tensors, path))
        return _Found(network_with(tensors, network), network)
    if network is not None:
        raise UsageError(f"{path} holds its network; leave --network out")
    if kind == "ONNX":
        onnx = read_onnx(path, channels)
        return _Found(onnx.network, kind, onnx.outputs, told=onnx.told)
    return _Found(read_torchscript(path) if kind == "TorchScript" else read_exported(path), kind)


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


def _fitting(tensors: Mapping[str, Tensor], path: Path) -> list[str]:
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


def _counts(module: nn.Module, given: Sequence[str] | None) -> list[int]:
    """Return how many channels a network takes, found out by trying where it is not given."""
    taken, refusals = [], {}
    for count in [len(given)] if given else range(1, 9):
        try:
            with torch.inference_mode():
                module(torch.zeros(2, count, PATCH_PX, PATCH_PX))
            taken.append(count)
        except Exception as error:  # noqa: BLE001 # a foreign graph raises what it likes
            _refuse_greed(error)
            refusals[count] = last_line(error)
    if taken == [1]:
        raise ModelError(
            "the network takes one channel, expected two or more: collagen and nuclei; train it on both"
        )
    if not taken:
        count = len(given) if given else 2
        raise ModelError(
            f"the network takes no (N, {count if given else 'C'}, {PATCH_PX}, {PATCH_PX}) float32 patches "
            f"({refusals[count]}); it must be made for {PATCH_PX} x {PATCH_PX} pixels and its --channels"
        )
    return taken


def _channels_of(count: int, given: Sequence[str] | None) -> tuple[str, ...]:
    if not given:
        return _LAYOUTS[count]
    if sorted({*given} - {"empty"}) != ["collagen", "nuclei"] or len(given) - given.count("empty") != 2:
        raise UsageError(
            f"channels are collagen and nuclei, once each, and any empty ones; found {','.join(given)}"
        )
    return tuple(given)


def _try_out(checkpoint: Checkpoint) -> None:
    """Refuse a network that does not give (N, 2) probabilities, each patch's for itself, always the same."""
    network, patches = checkpoint.network, _noise(len(checkpoint.channels))
    with torch.inference_mode():
        outputs, again = _run(network, patches), _run(network, patches)
        _refuse_shape(outputs)
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
                raise ModelError("the network's outputs already sum to 1; name --outputs probabilities")
            return
        low, high = outputs.min().item(), outputs.max().item()
    if low < -1e-4 or high > 1 + 1e-4:
        raise ModelError(
            f"the network's outputs run from {low:.3g} to {high:.3g} and are no probabilities; "
            "name --outputs softmax-logits or sigmoid-logits"
        )


def _refuse_shape(outputs: Any) -> None:
    """Raise ModelError unless these are two outputs for each of four patches."""
    if isinstance(outputs, Tensor) and outputs.shape == (4, 2):
        return
    found = tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
    remedy = f"; {FROM_ONE_OUTPUT}" if found in ((4, 1), (4,)) else ""
    raise ModelError(f"the network gives {found} for 4 patches; expected (4, 2), one output a class{remedy}")


def _noise(channels: int) -> Tensor:
    """Return four patches, each of another contrast."""
    noise = torch.randn((4, channels, PATCH_PX, PATCH_PX), generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor([0.3, 1.0, 3.0, 10.0]).reshape(-1, 1, 1, 1)


def _likely(network: nn.Module | None, counts: Sequence[int]) -> Outputs:
    """Return what a network's outputs look like, as an example for whoever knows."""
    if network is None:
        return Outputs.SOFTMAX_LOGITS
    with torch.inference_mode():
        outputs = _run(network, _noise(counts[0]))
    is_within = isinstance(outputs, Tensor) and bool(((outputs >= 0) & (outputs <= 1)).all())
    return Outputs.PROBABILITIES if is_within else Outputs.SOFTMAX_LOGITS


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
        raise UsageError(
            f"--{option} says {_words(given)}, the file says {_words(found)}; leave the option out"
        )


def _words(value: object) -> str:
    """Return a value of an option as it is typed."""
    if isinstance(value, Normalisation):
        return normalisation_words(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
