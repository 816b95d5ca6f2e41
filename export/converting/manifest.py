"""Writes a bundle: the folder that `colvi_edge.bundle.opening` opens.

The manifest follows the BioImage.IO model description 0.5
(https://bioimage.io/spec, "model_descr_v0-5"). Files that the spec has no entry for are
attachments, so that packaging keeps them.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bundle import Config
from colvi_edge.bundle.opening import MANIFEST, SUMS

from .bundle_folder import replace_bundle
from .onnx import INPUT, OPSET, OUTPUT

_FORMAT_VERSION = "0.5.4"
_PAPER = {
    "text": "Bazaga A, Roldan M, Badosa C, Jimenez-Mallebrera C, Porta JM. A Convolutional Neural Network "
    "for the automatic diagnosis of collagen VI-related muscular dystrophies. Applied Soft Computing, 2019.",
    "url": "https://arxiv.org/abs/1901.11074",
}


@dataclass(frozen=True)
class Description:
    """What people read about a bundle.

    Attributes:
        name: stands in every sidecar and overlay.
        version: of the weights, such as "1.0.0".
        summary: one sentence.
        documentation: Markdown; shipped as README.md of the bundle.
    """

    name: str
    version: str
    summary: str
    documentation: str


def write_bundle(
    path: Path,
    description: Description,
    config: Config,
    files: Mapping[str, bytes],
    test_input: NDArray[np.float32],
    test_output: NDArray[np.float32],
) -> None:
    """Write a bundle; it appears whole or not at all, and replaces one of the same path.

    Args:
        path: the folder, by custom NAME.colvi.
        description: for people.
        config: for colvi-edge.
        files: every file that it names -> bytes.
        test_input: (1, C, P, P) normalised patch.
        test_output: (1, 2) probabilities of the FP32 network for it.

    Raises:
        UsageError: something that is no bundle stands at `path`.
        OutputError: the disk is full, or the folder cannot be written.
    """
    contents: dict[str, bytes] = {
        "README.md": description.documentation.encode(),
        "test_input.npy": npy(test_input),
        "test_output.npy": npy(test_output),
        **files,
    }
    manifest = _manifest(description, config, contents)
    contents[MANIFEST] = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=100).encode()
    contents[SUMS] = "".join(f"{_sha256(data)}  {name}\n" for name, data in sorted(contents.items())).encode()
    replace_bundle(path, contents)


def _manifest(description: Description, config: Config, contents: Mapping[str, bytes]) -> dict[str, Any]:
    def entry(name: str) -> dict[str, str]:
        return {"source": name, "sha256": _sha256(contents[name])}

    reference = config.precisions["fp32"].file
    described = {"README.md", "test_input.npy", "test_output.npy", reference}
    space = [{"type": "space", "id": axis, "size": config.patch_px} for axis in "yx"]
    return {
        "format_version": _FORMAT_VERSION,
        "type": "model",
        "name": description.name,
        "version": description.version,
        "description": f"{description.summary} {RESEARCH_USE_ONLY}",
        "authors": [{"name": "colvi-edge"}],
        "cite": [_PAPER],
        "license": "Apache-2.0",
        "tags": ["fluorescence-light-microscopy", "confocal", "fibroblast", "collagen-vi", "classification"],
        "documentation": entry("README.md"),
        "inputs": [
            {
                "id": INPUT,
                "description": "Normalised patches.",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": _unique(config.channels)},
                    *space,
                ],
                "data": {"type": "float32"},
                "test_tensor": entry("test_input.npy"),
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": "Probability of each class.",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": list(config.task.classes)}],
                "data": {"type": "float32"},
                "test_tensor": entry("test_output.npy"),
            }
        ],
        "weights": {"onnx": {**entry(reference), "opset_version": OPSET}},
        "attachments": [entry(name) for name in sorted(set(contents) - described)],
        "config": {"colvi_edge": config.model_dump(mode="json", exclude_none=True)},
    }


def _unique(channels: tuple[str, ...]) -> list[str]:
    return [f"{name}{index}" if channels.count(name) > 1 else name for index, name in enumerate(channels)]


def npy(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
