"""What a model file is, told from its first bytes and the names inside; nothing of it is opened."""

import re
import zipfile
from pathlib import Path
from typing import Literal

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.printable import printable_name

Kind = Literal["keras", "ONNX", "TorchScript", "torch.export", "pickle"]

_ONNX_BEGINS = re.compile(rb"\x08[\x03-\x1f][\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2]")
"""The version of the format, and a second field of the file."""

MOST_BYTES = 2**30
"""Of a model file; a bundle holds a quarter of that."""


def kind_of(path: Path) -> Kind:
    """Return what a file is.

    Raises:
        UsageError: it cannot be opened.
        ModelError: it is no model, or a damaged one.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
        if size > MOST_BYTES:
            raise ModelError(f"{path} has {size >> 20} MiB, expected at most {MOST_BYTES >> 20}")
        names = zipfile.ZipFile(path).namelist() if head.startswith(b"PK") else []
    except OSError as error:
        raise UsageError(f"{path} cannot be opened ({error.strerror}); name a model file") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path} is damaged ({printable_name(str(error))[:200]}); copy it again") from error
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
        raise ModelError(f"{path} is a Keras archive; {THROUGH_ONNX}", command=to_onnx_command(path))
    if _ONNX_BEGINS.match(head):
        return "ONNX"
    raise ModelError(
        f"{path} is no model; expected ONNX, TorchScript, a torch.export program, a state_dict, or the "
        "published code's Keras weights (.h5)"
    )


THROUGH_ONNX = (
    "of Keras files only the .h5 of the published code is read, any other model comes as ONNX: in Keras 3 "
    "model.export('model.onnx', format='onnx'), else as below (pip install tf2onnx)"
)


def to_onnx_command(path: Path) -> list[str]:
    """Return the command that makes ONNX of a Keras file, word by word."""
    model = printable_name(str(path))
    return ["python", "-m", "tf2onnx.convert", "--keras", model, "--output", f"{path.stem}.onnx"]


def is_foreign(path: Path) -> bool:
    """Return whether a file is a graph, or HDF5: whatever is a model, but no pickled tensors."""
    try:
        return path.is_file() and kind_of(path) != "pickle"
    except (ModelError, UsageError):
        return False  # it will be refused
