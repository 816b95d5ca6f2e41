"""Bundles that were changed by hand, and sealed again."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import yaml
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.bundle.manifest import parse
from colvi_edge.bundle.opening import MANIFEST, SUMS
from colvi_edge.patches import Normalisation, normalise


def reseal(bundle: Path) -> None:
    """Write new sums, as somebody does who edits a manifest by hand."""
    files = sorted(path for path in bundle.iterdir() if path.name != SUMS)
    (bundle / SUMS).write_text(
        "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    )


def edit_config(bundle: Path, **changes: Any) -> None:
    """Change values of config.colvi_edge and reseal."""
    manifest = yaml.safe_load((bundle / MANIFEST).read_text())
    manifest["config"]["colvi_edge"].update(changes)
    (bundle / MANIFEST).write_text(yaml.safe_dump(manifest))
    reseal(bundle)


def on_disk(bundle: Bundle, name: str) -> Bundle:
    """Write the manifest and the sums of a bundle that was made in memory, and open it as any other."""
    config = bundle.config.model_dump(mode="json", exclude_none=True)
    manifest = {"type": "model", "name": name, "version": "1.0", "config": {"colvi_edge": config}}
    (bundle.path / MANIFEST).write_text(yaml.safe_dump(manifest))
    reseal(bundle.path)
    return open_bundle(bundle.path)


def edit_task_config(bundle: Path, **changes: Any) -> None:
    """Write config.colvi_edge as it is today, with a task, change values of it and reseal."""
    manifest = yaml.safe_load((bundle / MANIFEST).read_text())
    _, config = parse((bundle / MANIFEST).read_bytes())
    manifest["config"]["colvi_edge"] = config.model_dump(mode="json", exclude_none=True) | changes
    (bundle / MANIFEST).write_text(yaml.safe_dump(manifest))
    reseal(bundle)


def rename(bundle: Path, name: str, version: str) -> None:
    """Make a bundle another model: of another name and version, which decides alike."""
    manifest = yaml.safe_load((bundle / MANIFEST).read_text())
    manifest.update(name=name, version=version)
    (bundle / MANIFEST).write_text(yaml.safe_dump(manifest))
    reseal(bundle)


def renormalise(bundle: Path, stored_as: str, **normalisation: Any) -> None:
    """Make a copy of the demo's bundle one that takes other numbers; what it then decides is of no meaning.

    Its verification set follows, by the oracle of `patches` and ONNX Runtime. What it knows of its training
    images is left out.

    Args:
        bundle: its folder.
        stored_as: dtype of the images that it is for.
        normalisation: kind and parameters.
    """
    patches = in_dtype(np.load(bundle / "verification_patches.npy"), stored_as)
    np.save(bundle / "verification_patches.npy", patches)
    found = network_of(bundle, normalise(_wide(patches), Normalisation(**normalisation)))
    np.save(bundle / "verification_probabilities.npy", found)
    edit_config(bundle, normalisation=normalisation, familiarity=None)


def in_dtype(counts: NDArray[np.uint16], dtype: str) -> NDArray[Any]:
    """Return counts of 12 bit as another camera would store them: 8 bit, or 0..1 as float32."""
    if dtype == "float32":
        return (counts / np.float32(4095)).astype(np.float32)
    return (counts >> 4).astype(np.uint8) if dtype == "uint8" else counts


def network_of(bundle: Path, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, 2) of a bundle's FP32 network for normalised patches, by ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(bundle / "fp32.onnx", providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: patches})[0]
    return found


def _wide(patches: NDArray[Any]) -> NDArray[Any]:
    return patches.astype(np.float64 if patches.dtype == np.float32 else np.int64)
