"""docs/reference/files.md names every kind of file and every schema that the code writes."""

import re
from pathlib import Path

from colvi_edge.outputs.names import NAME_MAX_BYTES, OutputKind, explanation_name, output_name
from colvi_edge.outputs.read_back import MAX_RECORD_BYTES
from colvi_edge.outputs.sidecar import MAX_IMAGES, MAX_PATCHES
from colvi_edge.watch.folder.share_lock import LOCK_NAME

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")


def test_every_kind_of_file_has_its_row() -> None:
    """Of an image, of a slot, of a container; explanations and the lock, too."""
    first = {
        name for row in re.findall(r"(?m)^\| (`[^|]+) \|", PAGE) for name in re.findall(r"`([^`]+)`", row)
    }

    assert {output_name("X.tif", kind) for kind in OutputKind} <= first
    assert {explanation_name("X.tif", subject) for subject in ("saliency", "patch-RR-CC")} <= first
    assert {output_name("X.lif", kind) for kind in (OutputKind.SIDECAR, OutputKind.ERROR)} <= first
    assert output_name("X.lif", OutputKind.ERROR, "0003-NAME") in first
    assert LOCK_NAME in first
    assert f"`{output_name('X.lif', OutputKind.SIDECAR, '0003-NAME', 'nuclei')}`" in PAGE


def test_every_schema_is_named() -> None:
    """Those that stand in the code as what is written, and the one that is only read."""
    folders = ("colvi_edge", "export")
    texts = [path.read_text("utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")]
    written = {name for text in texts for name in re.findall(r'"(colvi-edge\.[a-z-]+/\d+)"', text)}
    told = set(re.findall(r"`(colvi-edge\.[a-z-]+/\d+)`", PAGE.split("\n## Schemas\n")[1]))

    assert len(told) > 7
    assert told == written - {"colvi-edge.sidecar/1"}


def test_its_numbers_are_those_of_the_code() -> None:
    """Of names and of records."""
    for words in (
        f"longer than {NAME_MAX_BYTES} bytes",
        f"{MAX_RECORD_BYTES >> 20} MiB, {MAX_PATCHES:,} patches, {MAX_IMAGES:,} images of a file",
    ):
        assert words in PAGE, words
