"""Bundles that were changed by hand, and sealed again."""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from colvi_edge.bundle import MANIFEST, SUMS


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
