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
from .onnx import OPSET, OUTPUT, input_of

_FORMAT_VERSION = "0.5.4"
_PAPER = {
    "text": "Bazaga A, Roldan M, Badosa C, Jimenez-Mallebrera C, Porta JM. A Convolutional Neural Network "
    "for the automatic diagnosis of collagen VI-related muscular dystrophies. Applied Soft Computing, 2019.",
    "url": "https://arxiv.org/abs/1901.11074",
}
_UNET = {
    "text": "Ronneberger O, Fischer P, Brox T. U-Net: Convolutional Networks for Biomedical Image "
    "Segmentation. MICCAI, 2015.",
    "url": "https://arxiv.org/abs/1505.04597",
}
_UNKNOWN = {
    "text": "Whom to cite is not known: the network came as a file.",
    "url": "https://bioimage.io",
}
_TAGS = ("fluorescence-light-microscopy", "confocal", "fibroblast", "collagen-vi", "classification")


@dataclass(frozen=True)
class Description:
    """What people read about a bundle.

    Attributes:
        name: stands in every sidecar and overlay.
        version: of the weights, such as "1.0.0".
        summary: one sentence.
        documentation: Markdown; shipped as README.md of the bundle.
        network: its name, as a checkpoint has it; tells whom to cite.
    """

    name: str
    version: str
    summary: str
    documentation: str
    network: str = "paper"


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
        test_input: (1, C, h, w) normalised patch, image or window.
        test_output: (1, K) or (1, K, h, w) probabilities of the FP32 network for it.

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
    return {
        "format_version": _FORMAT_VERSION,
        "type": "model",
        "name": description.name,
        "version": description.version,
        "description": f"{description.summary} {RESEARCH_USE_ONLY}",
        "authors": [{"name": "colvi-edge"}],
        "cite": [_cited(description, config)],
        "license": "Apache-2.0",
        "tags": list(_TAGS) if config.quality == "fibroblast" else ["microscopy", _DONE[config.task.kind]],
        "documentation": entry("README.md"),
        "inputs": [
            {
                "id": input_of(dense=config.is_dense),
                "description": f"Normalised {_seen(config)}.",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": _unique(config.channels)},
                    *_space(config),
                ],
                "data": {"type": "float32"},
                "test_tensor": entry("test_input.npy"),
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": f"Probability of each class{', at each pixel' if config.is_dense else ''}.",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": list(config.task.classes)},
                    *(_answered(config) if config.is_dense else ()),
                ],
                "data": {"type": "float32"},
                "test_tensor": entry("test_output.npy"),
            }
        ],
        "weights": {"onnx": {**entry(reference), "opset_version": OPSET}},
        "attachments": [entry(name) for name in sorted(set(contents) - described)],
        "config": {"colvi_edge": config.model_dump(mode="json", exclude_none=True)},
    }


_DONE = {"classify": "classification", "segment": "segmentation"}


def _cited(description: Description, config: Config) -> dict[str, str]:
    if config.quality == "fibroblast":
        return _PAPER
    return _UNET if description.network == "unet" else _UNKNOWN


def _seen(config: Config) -> str:
    return "patches" if config.has_patches else "windows" if config.is_dense else "images"


def _space(config: Config) -> list[dict[str, Any]]:
    """Return the axes of rows and columns; those of windows are free, on the network's raster."""
    if config.is_dense:
        step, halo = config.windows.step_px, config.windows.halo_px
        least = 2 * halo + step  # halo is a multiple of the step
        return [{"type": "space", "id": axis, "size": {"min": least, "step": step}} for axis in "yx"]
    sizes = config.input.resize_px or (config.patch_px, config.patch_px)
    return [{"type": "space", "id": axis, "size": size} for axis, size in zip("yx", sizes, strict=True)]


def _answered(config: Config) -> list[dict[str, Any]]:
    """Return the axes of a map: as long as the input's, and at their ends what is to be cropped."""
    tensor, halo = input_of(dense=True), config.windows.halo_px
    sizes = [{"tensor_id": tensor, "axis_id": axis} for axis in "yx"]
    crop = {"halo": halo} if halo else {}
    return [
        {"type": "space", "id": axis, "size": size, **crop} for axis, size in zip("yx", sizes, strict=True)
    ]


def _unique(channels: tuple[str, ...]) -> list[str]:
    return [f"{name}{index}" if channels.count(name) > 1 else name for index, name in enumerate(channels)]


def npy(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
