"""A notebook as a page: run when the site is built, and shown with what its cells gave; nothing is fetched.

A cell that fails ends the build.
"""

import base64
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

LIMIT_S = 120
"""Of one cell."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


class Page(NamedTuple):
    """A notebook that has run: its Markdown, and the pictures in it by their names."""

    markdown: str
    pictures: dict[str, bytes]


def run(path: Path) -> Any:
    """Run a notebook from its first to its last cell, in a folder of its own that goes away.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room, "notebook")
        folder.mkdir()
        where = {"metadata": {"path": str(folder)}}
        client = NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources=where)
        kernel = client.create_kernel_manager()  # on sockets in a folder that no other user can enter
        kernel.transport, kernel.ip, kernel.connection_file = "ipc", f"{room}/ipc", f"{room}/kernel.json"
        client.execute(env=_environment(Path(room)))
    return notebook


def _environment(room: Path) -> dict[str, str]:
    """Return this process's variables, but for ours, and with the caches of what runs in the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLVI_EDGE_")}
    own = {"STATE_DIRECTORY": "state", "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
    return {**kept, **{name: str(room / folder) for name, folder in own.items()}}


def page(notebook: Any, name: str) -> Page:
    """Return a notebook that has run as Markdown.

    Args:
        notebook: as nbformat reads it.
        name: the path of the page without its suffix; pictures are called after it.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(fenced(cell.source, "python"))
            parts += [_shown(output, name, pictures) for output in _joined(cell.outputs)]
    return Page("\n\n".join(filter(None, parts)) + "\n", pictures)


def fenced(text: str, language: str) -> str:
    """Return a block of code whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _joined(outputs: list[Any]) -> list[Any]:
    """Return outputs with pieces of one stream put together."""
    joined: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _shown(output: Any, name: str, pictures: dict[str, bytes]) -> str:
    if output.output_type == "stream":
        return fenced(_COLOURS.sub("", output.text), "text")
    data: Mapping[str, Any] = output.get("data", {})
    if "text/html" in data:
        html = re.sub(
            r"\n\s*\n", "\n", _whole(data["text/html"])
        ).strip()  # an empty line ends HTML in Markdown
        return f'<div class="output">\n{html}\n</div>'
    for kind, suffix in _PICTURES.items():
        if kind in data:
            text = _whole(data[kind])
            picture = f"{name}-{len(pictures) + 1}.{suffix}"
            pictures[picture] = text.encode() if kind == "image/svg+xml" else base64.b64decode(text)
            return f"![{_alternative(data)}]({PurePosixPath(picture).name})"
    return fenced(_COLOURS.sub("", _whole(data.get("text/plain", ""))), "text") if data else ""


def _whole(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _alternative(data: Mapping[str, Any]) -> str:
    """Return what a picture shows, as far as its object says so in words."""
    return re.sub(r"[\[\]<>\s]+", " ", _whole(data.get("text/plain", "")))[:120].strip() or "Output"
