"""A bundle that sees only the regions of another one, which is among the bundles of the run.

Muscles are outlined first, and only what lies in them is judged. What lies in no region is set to zero before
the image is normalised. One bundle lends its regions to another, and no further: whoever lends sees all.
"""

from collections.abc import Mapping
from typing import Any

from colvi_edge.bundle import Bundle
from colvi_edge.engines import Engine
from colvi_edge.pipeline.bundles import lenders
from colvi_edge.pipeline.diagnoser import Diagnoser


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
