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

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

from torch import nn

from colvi_edge.errors import UsageError
from colvi_edge.export.networks.patch_cnn import (
    Activation,
    Turned,
    network_with,
)
from colvi_edge.patches import Normalisation
from colvi_edge.system.confinement import time_limit
from colvi_edge.tasks.classify import CLASSES

from .any_task import Question, read_for_task
from .checkpoint import Checkpoint, checkpoint_from
from .foreign.exported import read_exported
from .foreign.onnx.reading import read_onnx
from .foreign.torchscript import read_torchscript
from .keras import read_keras
from .kinds import Kind, kind_of
from .questions import lacking_facts, normalisation_words, outputs_of
from .trial import channel_counts, likely_outputs, refuse_other_shapes, try_out
from .weights import fitting, load_tensors, state_dict

PUBLISHED = Normalisation("scale", divisor=255.0, dtype="uint8")
"""The published code divides the 8-bit pictures that it made by 255."""

TRIAL_S = 180
"""Within which a file must be read and tried out; the slowest here, a program of torch.export, takes 6 s."""

_OURS = {"state_dict", "network", "normalisation"}, {"state_dict", "network", "task"}
"""By which a checkpoint of ours is known, in its two forms."""

_LAYOUTS = {2: ("collagen", "nuclei"), 3: ("empty", "collagen", "nuclei")}


def read_model(
    path: Path,
    *,
    network: str | None = None,
    channels: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    activation: str | None = None,
    normalisation: Normalisation | None = None,
    question: Question | None = None,
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
        question: what the network is asked, where it does not tell control from patient in patches.

    Raises:
        UsageError: options are missing, all of them named at once, or unknown, or say other than the file.
        ModelError: the file cannot be read, or its network does not do what a bundle promises.
    """
    if activation is not None and activation not in get_args(Activation):
        raise UsageError(f"there is no activation '{activation}'; choose {', '.join(get_args(Activation))}")
    if question is None and classes is not None and sorted(classes) != sorted(CLASSES):
        raise UsageError(
            f"classes are {' and '.join(CLASSES)} in the network's order, found {','.join(classes)}; a "
            "network that tells others apart is exported with --task"
        )
    with time_limit(TRIAL_S):
        return _read(path, network, channels, classes, activation, normalisation, question)


def _read(
    path: Path,
    network: str | None,
    channels: Sequence[str] | None,
    classes: Sequence[str] | None,
    activation: str | None,
    normalisation: Normalisation | None,
    question: Question | None,
) -> Checkpoint:
    kind = kind_of(path)
    content = load_tensors(path) if kind == "pickle" else None
    if isinstance(content, dict) and any(keys <= content.keys() for keys in _OURS):
        checkpoint = checkpoint_from(content, path)
        _agree("network", network, checkpoint.name)
        _agree("channels", channels and tuple(channels), checkpoint.channels)
        _agree("classes", classes and tuple(classes), checkpoint.task.classes)
        _agree("task", question and question.kind, checkpoint.task.kind)
        _agree("outputs", outputs_of(activation), outputs_of(checkpoint.activation))
        _agree("normalisation", normalisation, checkpoint.normalisation)
        try_out(checkpoint)
        return checkpoint

    if question is not None:
        if network is not None or kind in ("keras", "pickle"):
            raise UsageError(
                f"{path}: --task is for ONNX, TorchScript and torch.export; save the whole model so"
            )
        return read_for_task(path, kind, question, channels, classes, activation, normalisation)
    found = _found(path, kind, content, network, channels)
    if found.ends_in in ("softmax", "sigmoid") and activation == "none":
        activation = None  # the file's network ends in it, as the option says; here it is put on again
    if found.activation is not None:
        _agree("outputs", outputs_of(activation), outputs_of(found.activation))
        activation = found.activation
    activation = activation or found.custom
    if kind == "keras":
        classes = classes or CLASSES
    counts = channel_counts(found.network, channels) if found.network else []
    if found.network:  # better said before anything is asked
        refuse_other_shapes(found.network, counts[0])
    lacking = {} if found.network else {"--network": found.fitting[0]}
    if channels is None and counts and (len(counts) > 1 or counts[0] not in _LAYOUTS):
        lacking["--channels"] = ",".join(["collagen", "nuclei", *["empty"] * (counts[0] - 2)])
    if classes is None:
        lacking["--classes"] = ",".join(CLASSES)
    if activation is None:
        lacking["--outputs"] = likely_outputs(found.network, counts).value
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
    try_out(checkpoint)
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
        tensors = state_dict(content, path)
        if network is None:
            return _Found(None, "", fitting=fitting(tensors, path))
        return _Found(network_with(tensors, network), network)
    if network is not None:
        raise UsageError(f"{path} holds its network; leave --network out")
    if kind == "ONNX":
        onnx = read_onnx(path, channels)
        return _Found(onnx.network, kind, onnx.outputs, told=onnx.told)
    return _Found(read_torchscript(path) if kind == "TorchScript" else read_exported(path), kind)


def _channels_of(count: int, given: Sequence[str] | None) -> tuple[str, ...]:
    if not given:
        return _LAYOUTS[count]
    if sorted({*given} - {"empty"}) != ["collagen", "nuclei"] or len(given) - given.count("empty") != 2:
        raise UsageError(
            f"channels are collagen and nuclei, once each, and any empty ones; found {','.join(given)}"
        )
    return tuple(given)


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
