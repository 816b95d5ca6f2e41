"""TorchScript archives: every member read, every operator known, then opened by torch."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from colvi_edge.errors import ModelError

from .archive import read_members, rebuilt
from .code import refuse_foreign_code
from .pickles import refuse_foreign_pickle
from .words import last_line, without_deprecations

_MEMBERS = re.compile(
    r"(data|constants|traced_inputs)/\d+|traced_inputs\.pkl|(data|constants|attributes)\.pkl|code/__torch__(/\w+)*\.py(\.debug_pkl)?"
    r"|version|byteorder|\.data/\w+"
)
_SUPERFLUOUS = re.compile(r"\.debug_pkl$|^traced_inputs")
_REMEDY = "save the network alone by torch.jit.script(model.eval()).save('model.pt')"


def read_torchscript(path: Path) -> nn.Module:
    """Return a network in evaluation mode and single precision.

    Raises:
        ModelError: the archive holds what networks do not need, or torch does not open it.
    """
    members = read_members(path, _MEMBERS, _REMEDY)
    # Where each line of code came from, and what it was traced with: a network goes without.
    members = {name: data for name, data in members.items() if not _SUPERFLUOUS.search(name)}
    try:
        _refuse(members)
    except Exception as error:  # whatever a pickle in no order makes of Python's reader
        raise ModelError(
            f"{path} holds {last_line(error)}, which networks do not need and which is not run here; "
            f"{_REMEDY}"
        ) from error
    try:
        with without_deprecations():
            script = torch.jit.load(rebuilt(members), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{path} is no TorchScript that opens ({last_line(error)}); save it again"
        ) from error
    return script.float().eval()


def _refuse(members: Mapping[str, bytes]) -> None:
    for name in ("data.pkl", "constants.pkl", "attributes.pkl"):
        if name in members:
            refuse_foreign_pickle(members[name], name.partition(".")[0], members)
    texts = {name: data.decode() for name, data in members.items() if name.endswith(".py")}
    refuse_foreign_code(texts, _is_operator)


def _is_operator(name: str) -> bool:
    return bool(torch._C._jit_get_schemas_for_operator(f"aten::{name}"))
