"""Programs of torch.export (.pt2): every member read, every operator known, then opened by torch."""

import json
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from colvi_edge.errors import ModelError
from colvi_edge.printable import printable_name

from .archive import read_members, rebuilt
from .operators import is_target
from .words import last_line, without_deprecations

HOW_TO_SAVE = (
    "save the weights by torch.save(model.state_dict(), 'model.pt') and name their --network, or the "
    "network by torch.jit.script(model.eval()).save('model.pt')"
)
_MEMBERS = re.compile(
    r"(data/weights/(weight_\d+|model\.pt)|data/constants/(tensor_\d+|model\.pt)|data/sample_inputs/model\.pt"
    r"|data/(weights|constants)/model_\w+_config\.json|models/model\.json|archive_(format|version)"
    r"|\.data/\w+|byteorder|version|serialized_\w+\.(json|pt))"
)
"""Everything that a network needs; pickled objects and compiled libraries are other members."""

_SIZE_EXPRESSION = re.compile(r"([\s\d,()'=+*-]|\b(Symbol|Integer|Add|Mul|positive|integer|True|[su]\d+)\b)*")
"""Sizes such as Symbol('s31', positive=True, integer=True); torch evaluates them as Python."""

_LONGEST_EXPRESSION, _LONGEST_TEXT = 1000, 10_000
_ANY_NUMBER = 2**20
"""Of patches: an image has some hundred."""

_MOST_JSON_BYTES = 2**26
_TREES = ("in_spec", "out_spec")
_BRANCHES = frozenset(["builtins.tuple", "builtins.list", "builtins.dict", None])
"""What inputs and outputs are packed in; a defaultdict would have torch import a module by name."""

_NAME = re.compile(r"[\w.]*")
"""Every key and text, but those below: torch writes names into source that it runs, input=... as well."""

_OTHER_TEXTS = {
    "as_string": re.compile(r"[\w .:,-]*"),
    "torch_version": re.compile(r"[\w.+-]*"),
    "expr_str": _SIZE_EXPRESSION,
    **dict.fromkeys(_TREES, re.compile(r"""[\w\s.:,"\\{}\[\]]*""")),
}

_MORE_THAN_OPERATORS = frozenset(["as_graph", "as_custom_obj", "as_operator"])


def read_exported(path: Path) -> nn.Module:
    """Return a torch.export program as TorchScript, in which N stays free when it goes to ONNX.

    Raises:
        ModelError: the archive holds what networks do not need, or torch does not open it.
    """
    members = read_members(path, _MEMBERS, HOW_TO_SAVE)
    for name in members:
        if name.endswith(".json"):
            members[name] = json.dumps(_checked(path, members[name])).encode()
    try:
        with _tensors_only(), without_deprecations():
            program = torch.export.load(rebuilt(members))
        inputs = [
            node
            for node in program.graph.nodes
            if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
        ]
        # Guards are Python source in the file; what is tried out afterwards checks more than they do.
        options = {"check_guards": False} if "check_guards" in signature(program.module).parameters else {}
        module = program.module(**options)
    except pickle.UnpicklingError as error:
        raise unsafe(path, error) from error
    except Exception as error:  # whatever torch's reader trips over in a foreign file
        raise ModelError(
            f"{path} is no torch.export program that this torch opens ({last_line(error)}); export it again "
            f"with torch {torch.__version__}"
        ) from error
    if len(inputs) != 1 or isinstance(inputs[0].meta["val"].shape[0], int):
        raise ModelError(
            f"{path} takes {len(inputs)} inputs or a fixed batch; export it with one input of free N: "
            "torch.export.export(model, (patches,), dynamic_shapes=({0: torch.export.Dim('N')},))"
        )
    limits = program.range_constraints.get(inputs[0].meta["val"].shape[0].node.expr)
    if limits is not None and limits.upper < _ANY_NUMBER:
        raise ModelError(
            f"{path} takes at most {limits.upper} patches at once, expected any number; export it without a "
            "maximum: torch.export.Dim('N')"
        )
    return _scripted(module, path)


def unsafe(path: Path, error: pickle.UnpicklingError) -> ModelError:
    """Return what is said of a file in which torch found more than tensors."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f"a pickled {found[1]}" if found else "pickled Python objects"
    return ModelError(f"{path} holds {what}, which could run any code; {HOW_TO_SAVE}")


def _checked(path: Path, data: bytes) -> Any:
    """Return a description of the program, without what only people need."""
    if len(data) > _MOST_JSON_BYTES:
        raise ModelError(f"{path} describes its graph in {len(data) >> 20} MiB; {HOW_TO_SAVE}")
    try:
        content = json.loads(data)
        for part in _parts(content):
            _refuse(path, part)
            _refuse_texts(path, part)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} has a damaged description ({last_line(error)}); save it again") from error
    return content


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every table in a description."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _texts(value: Any) -> Iterator[str]:
    """Yield a text, or every one in lists; those in tables are the tables' own."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _refuse(path: Path, part: dict[str, Any]) -> None:
    target = part.get("target")
    if "target" in part and not (isinstance(target, str) and is_target(target)):
        raise ModelError(
            f"{path} holds the operator {printable_name(str(target))[:200]}, which networks do not need and "
            f"which is not run here; {HOW_TO_SAVE}"
        )
    if more := _MORE_THAN_OPERATORS & part.keys():
        raise ModelError(f"{path} holds {min(more)}, more than operators and tensors; {HOW_TO_SAVE}")
    if "expr_str" in part:
        text = str(part["expr_str"])
        if len(text) > _LONGEST_EXPRESSION or "**" in text or not _SIZE_EXPRESSION.fullmatch(text):
            raise ModelError(f"{path} has a size that is an expression in Python; {HOW_TO_SAVE}")
    for name in _TREES:
        if isinstance(part.get(name), str) and any(
            branch.get("type") not in _BRANCHES
            for branch in _parts(json.loads(part[name]))
            if "type" in branch
        ):
            raise ModelError(f"{path} packs its inputs in objects, expected tensors; {HOW_TO_SAVE}")
    if isinstance(part.get("metadata"), dict):
        part["metadata"] = {}  # names that torch looks up, for people only
    if "guards_code" in part:
        part["guards_code"] = []


def _refuse_texts(path: Path, part: dict[str, Any]) -> None:
    """Refuse a key or text that is more than a name: torch writes these into Python that it runs."""
    for key, value in part.items():
        known = _OTHER_TEXTS.get(key, _NAME)
        for text, form in ((key, _NAME), *((text, known) for text in _texts(value))):
            if len(text) > _LONGEST_TEXT or not form.fullmatch(text):
                raise ModelError(f"{path} holds '{printable_name(text)[:100]}' for a name; {HOW_TO_SAVE}")


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
        with without_deprecations():
            return torch.jit.script(torch.fx.GraphModule(module, graph))
    except RuntimeError as error:
        raise ModelError(
            f"{path} holds an operation that cannot be exported ({last_line(error)}); save the network by "
            "torch.jit.trace(model.eval(), patches).save('model.pt')"
        ) from error


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
