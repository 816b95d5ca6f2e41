"""Reads what labs have: a trained network in a file of any common kind, tried out before it is believed.

    file                          also needed
    checkpoint of colvi-edge      nothing
    Keras weights (.h5)           nothing for the published code's
    TorchScript, torch.export     classes, activation
    state_dict                    network, classes, activation

The first bytes of a file and the names inside say what it is, not its suffix. Pickles are opened as
tensors and plain values only; no code of a file runs, but for the graph that TorchScript or
torch.export is, which is then tried on noise.
"""

import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.patches import Normalisation

from .checkpoint import Checkpoint, checkpoint_from
from .keras import read_keras
from .networks import PATCH_PX, Activation, Turned, network_with
from .patch_set import CLASSES

PUBLISHED = Normalisation("scale", divisor=255.0, dtype="uint8")
"""The published code divides the 8-bit pictures that it made by 255."""

_OUR_WORDS = {"activation", "channels", "classes", "normalisation", "patch_px", "temperature"}
"""What a checkpoint of ours says, and would go unheard in a file that is not quite one."""

_LAYOUTS = {2: ("collagen", "nuclei"), 3: ("empty", "collagen", "nuclei")}
_HOW_TO_SAVE = (
    "save the weights by torch.save(model.state_dict(), 'model.pt') and name their --network, or the "
    "network by torch.jit.script(model.eval()).save('model.pt')"
)
_EXPORTED_MEMBERS = re.compile(
    r"(data/weights/(weight_\d+|model\.pt)|data/constants/(tensor_\d+|model\.pt)|data/sample_inputs/model\.pt"
    r"|data/(weights|constants)/model_\w+_config\.json|models/model\.json|archive_(format|version)"
    r"|\.data/\w+|byteorder|version|serialized_\w+\.(json|pt))"
)
"""Everything that a network needs; pickled objects and compiled libraries are other members."""
_SIZE_EXPRESSION = re.compile(r"([\s\d,()'=+*-]|\b(Symbol|Integer|Add|Mul|positive|integer|True|[su]\d+)\b)*")
"""Sizes such as Symbol('s31', positive=True, integer=True); torch evaluates them as Python."""


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
    kind = _kind_of(path)
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
        module = _read_torchscript(path) if kind == "TorchScript" else _read_exported(path)
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


def _kind_of(path: Path) -> str:
    """Return "keras", "TorchScript", "torch.export" or "pickle"."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
        names = zipfile.ZipFile(path).namelist() if head.startswith(b"PK") else []
    except OSError as error:
        raise UsageError(f"{path} cannot be opened ({error.strerror}); name a model file") from error
    except zipfile.BadZipFile as error:
        raise ModelError(f"{path} is damaged ({error}); copy it again") from error
    inside = {name.partition("/")[2] for name in names} | {*names}
    if head == b"\x89HDF\r\n\x1a\n":
        return "keras"
    if inside & {"models/model.json", "serialized_exported_program.json"}:
        return "torch.export"
    if "constants.pkl" in inside:
        return "TorchScript"
    if "data.pkl" in inside or head.startswith(b"\x80"):
        return "pickle"
    if "model.weights.h5" in inside:
        raise ModelError(f"{path} is a Keras 3 archive; save the model as model.save('model.h5')")
    raise ModelError(
        f"{path} is no model; expected TorchScript, a torch.export program, a state_dict or Keras weights"
    )


def _load_tensors(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(path, error) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(f"{path} is damaged ({_last_line(error)}); copy or save it again") from error


def _unsafe(path: Path, error: pickle.UnpicklingError) -> ModelError:
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f"a pickled {found[1]}" if found else "pickled Python objects"
    return ModelError(f"{path} holds {what}, which could run any code; {_HOW_TO_SAVE}")


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
        raise ModelError(f"{path} holds no state_dict; {_HOW_TO_SAVE}")
    return tensors


def _read_torchscript(path: Path) -> nn.Module:
    try:
        with _without_deprecations():
            script = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{path} is no TorchScript that opens ({_last_line(error)}); save it again"
        ) from error
    return script.float().eval()


def _read_exported(path: Path) -> nn.Module:
    """Return a torch.export program as TorchScript, in which N stays free when it goes to ONNX."""
    try:
        _refuse_code(path)
        with path.open("rb") as file, _tensors_only(), _without_deprecations():
            program = torch.export.load(file)
        inputs = [
            node
            for node in program.graph.nodes
            if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
        ]
        # Guards are Python source in the file; `_try_out` checks more than they do.
        options = {"check_guards": False} if "check_guards" in signature(program.module).parameters else {}
        module = program.module(**options)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise _unsafe(path, error) from error
    except Exception as error:  # whatever torch's reader trips over in a foreign file
        raise ModelError(
            f"{path} is no torch.export program that this torch opens ({_last_line(error)}); export it again "
            f"with torch {torch.__version__}"
        ) from error
    if len(inputs) != 1 or isinstance(inputs[0].meta["val"].shape[0], int):
        raise ModelError(
            f"{path} takes {len(inputs)} inputs or a fixed batch; export it with one input of free N: "
            "torch.export.export(model, (patches,), dynamic_shapes=({0: torch.export.Dim('N')},))"
        )
    return _scripted(module, path)


def _refuse_code(path: Path) -> None:
    """Refuse a torch.export archive with anything that its reader would run."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        inside = [name.partition("/")[2] or name for name in names]
        strange = [name for name in inside if not _EXPORTED_MEMBERS.fullmatch(name)]
        if strange or len({name.lower() for name in names}) < len(names):
            raise ModelError(
                f"{path} holds {(strange or names)[0]}, which could run any code; {_HOW_TO_SAVE}"
            )
        for name in names:
            if name.endswith(".json") and any(
                not _SIZE_EXPRESSION.fullmatch(text) for text in _expressions(json.loads(archive.read(name)))
            ):
                raise ModelError(f"{path} has a size that is an expression in Python; {_HOW_TO_SAVE}")


def _expressions(value: Any) -> Iterator[str]:
    """Yield every string that torch.export evaluates."""
    if isinstance(value, dict):
        if "expr_str" in value:
            yield str(value["expr_str"])
        for part in value.values():
            yield from _expressions(part)
    elif isinstance(value, list):
        for part in value:
            yield from _expressions(part)


def _scripted(module: Any, path: Path) -> nn.Module:
    """Script the graph of an exported module: traced, its symbolic sizes would become numbers."""
    graph = module.graph
    graph.set_codegen(torch.fx.graph.CodeGen())
    for node in graph.nodes:
        if node.target is torch.ops.aten.sym_size.int:
            node.target = torch.ops.aten.size
        elif isinstance(node.target, torch._ops.OpOverload):
            node.target = node.target.overloadpacket
        elif node.op == "output" and len(node.args[0]) == 1:
            node.args = (node.args[0][0],)
    try:
        with _without_deprecations():
            return torch.jit.script(torch.fx.GraphModule(module, graph))
    except RuntimeError as error:
        raise ModelError(
            f"{path} holds an operation that cannot be exported ({_last_line(error)}); save the network by "
            "torch.jit.trace(model.eval(), patches).save('model.pt')"
        ) from error


def _channels_of(module: nn.Module, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the channels, found out by trying where they are not given."""
    taken, refusals = [], {}
    for count in [len(given)] if given else range(1, 9):
        try:
            with torch.inference_mode():
                module(torch.zeros(2, count, PATCH_PX, PATCH_PX))
            taken.append(count)
        except Exception as error:  # noqa: BLE001 # a foreign graph raises what it likes
            refusals[count] = _last_line(error)
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
        raise ModelError(
            f"the network takes 2 patches but not {len(patches)} ({_last_line(error)}); its batch is fixed: "
            "write x.flatten(1) or x.shape[0] in forward and save it again"
        ) from error


def _close(one: Tensor, other: Tensor) -> bool:
    """Compare up to the rounding of float32, which another batch adds up in another order."""
    return one.shape == other.shape and bool(
        (one - other).abs().max() <= 1e-4 * max(1, one.abs().max().item())
    )


def _agree(option: str, given: object, found: object) -> None:
    if given is not None and given != found:
        raise UsageError(f"--{option} says {given}, the file says {found}; leave the option out")


def _last_line(error: BaseException) -> str:
    return next(iter(reversed(str(error).strip().splitlines())), type(error).__name__).strip()[:300]


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Make torch.export's reader, which falls back to unsafe pickles, load tensors and plain values only."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """Silence what torch says of TorchScript, which the ONNX exporter cannot do without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "The TorchScript type system", UserWarning)
        yield
