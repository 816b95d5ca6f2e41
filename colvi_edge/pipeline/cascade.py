"""A bundle that sees only the regions of another one, which is among the bundles of the run.

Muscles are outlined first, and only what lies in them is judged. What lies in no region is set to zero before
the image is normalised. One bundle lends its regions to another, and no further: whoever lends sees all.
"""

from collections.abc import Mapping
from typing import Any

from colvi_edge.bundle import Bundle
from colvi_edge.engines import Engine
from colvi_edge.errors import UsageError
from colvi_edge.pipeline.diagnoser import Diagnoser


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


def diagnosers_of(
    bundles: Mapping[str, Bundle], engines: Mapping[str, Engine | None], **options: Any
) -> list[Diagnoser]:
    """Return who judges, in the order of the bundles; who lends regions is known to who sees them.

    Args:
        bundles: by slot.
        engines: of each slot; None where nothing is judged.
        options: of all of them, see `Diagnoser`.

    Raises:
        UsageError: as from `lenders`.
        BundleError: what a bundle knows of its training images cannot be read.
    """
    lent = lenders(bundles)
    made: dict[str, Diagnoser] = {}
    for slot in sorted(bundles, key=lambda slot: slot in lent):
        lender = made[lent[slot]] if slot in lent else None
        made[slot] = Diagnoser(bundles[slot], engines[slot], slot=slot, lender=lender, **options)
    return [made[slot] for slot in bundles]
