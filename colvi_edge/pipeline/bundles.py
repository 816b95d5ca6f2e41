"""The bundles of one folder: opened together, each with the slot of its results."""

from collections.abc import Iterable
from pathlib import Path

from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.errors import UsageError
from colvi_edge.outputs.names import slots_of


def open_bundles(given: Iterable[str | Path]) -> dict[str, Bundle]:
    """Open the bundles of --bundle, in order; return each by the slot of its results.

    Raises:
        UsageError: one is given twice, or two would leave results of one name.
        BundleError: one cannot be opened.
    """
    opened: list[Bundle] = []
    for where in given:
        bundle = open_bundle(where)
        if any(bundle.sha256 == other.sha256 for other in opened):
            raise UsageError(f"--bundle {where}: {bundle.label} is given twice; name each bundle once")
        opened.append(bundle)
    return dict(zip(slots_of([bundle.name for bundle in opened]), opened, strict=True))
