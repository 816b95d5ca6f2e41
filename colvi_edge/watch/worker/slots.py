"""Tells how the results of several bundles are called, by their manifests.

    python -m colvi_edge.watch.worker.slots BUNDLE BUNDLE ...

A process of its own, as a supervisor opens no bundle: what reads manifests would stay in its memory.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from colvi_edge.errors import BundleError, ColviEdgeError


class RefusedBundleError(ColviEdgeError):
    """One of the bundles cannot be opened, or two do not go together."""

    def __init__(self, exit_code: int, kind: str, words: str) -> None:
        super().__init__(words)
        self.exit_code, self.kind = exit_code, kind


def slots_of_bundles(bundles: Sequence[str]) -> list[tuple[str, str]]:
    """Return of each bundle the name that its results bear, and the path of the one that lends it regions.

    The first has the name "", as its files bear none; what sees whole images has the path "".

    Args:
        bundles: path of each, or a shipped one's word.

    Raises:
        RefusedBundleError: one cannot be opened, two are one, or their results would be called alike.
    """
    if len(bundles) == 1:
        return [("", "")]
    command = [sys.executable, "-m", __name__, *bundles]
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE)  # noqa: S603 - ourselves
    try:
        said = json.loads(ended.stdout.rpartition(b"\n")[2])  # a library may have printed before it
    except ValueError:
        raise RefusedBundleError(
            BundleError.exit_code,
            BundleError.kind,
            f"--bundle: what opens the bundles ended with {ended.returncode} and without a word, expected "
            "their names; try each of them by itself",
        ) from None
    if "refused" in said:
        raise RefusedBundleError(*said["refused"])
    return [(slot, lender) for slot, lender in said["slots"]]


def main() -> None:
    """Print the slots, or what is wrong, as JSON."""
    from colvi_edge.pipeline.bundles import lenders, open_bundles

    said: dict[str, object]
    try:
        given = sys.argv[1:]
        bundles = open_bundles(given)
        paths, lent = dict(zip(bundles, given, strict=True)), lenders(bundles)
        said = {"slots": [(slot, paths[lent[slot]] if slot in lent else "") for slot in bundles]}
    except ColviEdgeError as error:
        said = {"refused": [error.exit_code, error.kind, str(error)]}
    os.write(1, b"\n" + json.dumps(said).encode())


if __name__ == "__main__":
    main()
