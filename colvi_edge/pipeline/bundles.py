"""The bundles of one folder: opened together, each with the slot of its results."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.errors import UsageError
from colvi_edge.outputs.names import slots_of


def open_bundles(given: Iterable[str | Path]) -> dict[str, Bundle]:
    """Open the bundles of --bundle, in order; return each by the slot of its results.

    Raises:
        UsageError: one is given twice, two would leave results of one name, or one that lends is missing.
        BundleError: one cannot be opened.
    """
    opened: list[Bundle] = []
    for where in given:
        bundle = open_bundle(where)
        if any(bundle.sha256 == other.sha256 for other in opened):
            raise UsageError(f"--bundle {where}: {bundle.label} is given twice; name each bundle once")
        opened.append(bundle)
    bundles = dict(zip(slots_of([bundle.name for bundle in opened]), opened, strict=True))
    lenders(bundles)
    return bundles


def lenders(bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """Return which bundle lends its regions to which: slots of bundles, and of what they see the regions of.

    Raises:
        UsageError: what a bundle asks for is not among them, has no regions, or sees those of a third one.
    """
    found = {}
    by_hash = {bundle.sha256: slot for slot, bundle in bundles.items()}
    for slot, bundle in bundles.items():
        mask = bundle.config.input.mask
        if mask is None:
            continue
        if mask.sha256 not in by_hash:
            raise UsageError(
                f"--bundle: {bundle.label} sees only the regions of {mask.bundle} (SHA-256 "
                f"{mask.sha256[:12]}...), found {', '.join(one.label for one in bundles.values())}; "
                "give that bundle, too"
            )
        lender = bundles[by_hash[mask.sha256]]
        if not lender.config.is_dense or lender.config.input.mask:
            why = "is seen through regions itself" if lender.config.is_dense else "finds no regions"
            raise UsageError(
                f"--bundle: {bundle.label} sees only the regions of {lender.label}, which {why}; expected a "
                f"bundle that segments whole images; export {bundle.name} for another one"
            )
        found[slot] = by_hash[mask.sha256]
    return found
