"""How many files of a result are there, by the names in its folder alone: nothing is opened for that."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set

from colvi_edge.outputs.names import NEVER_CUT, USUAL_KINDS, OutputKind, output_name
from colvi_edge.raw_files import CONTAINER_SUFFIXES, is_container_name

_KINDS = tuple(kind for kind in OutputKind if kind is not OutputKind.PREVIOUS)
_SUFFIXES = tuple(kind.value for kind in _KINDS)
_USUAL = tuple(kind.value for kind in USUAL_KINDS)
_WHOLE_BEFORE = {2, 5, 6}
"""Of how many files a result may consist that no ledger counted: rejected, any other, with an OME-TIFF. Only
ledgers of 0.1.0 did not count, so kinds that came later add nothing to these numbers: did they follow today's
kinds, each new one would make every daemon judge all of that again."""


class ResultFiles:
    """The files of the results in one folder.

    To ask of each of 10,000 files whether it has all five made a scan of 0.13 s one of 0.15 s.
    """

    def __init__(
        self,
        names: Set[str],
        raws: Iterable[str],
        ome_tiff: bool = False,
        slots: Sequence[str] = ("",),
        labelled: Collection[str] = (),
    ) -> None:
        """Remember what was listed.

        Args:
            names: in the folder of the results.
            raws: names of the raw files that they are of.
            ome_tiff: one belongs to each result.
            slots: of the bundles that judge: each raw file has a result of each.
            labelled: those of them to each of whose results belongs a file of labels.
        """
        self._names = names
        self._raws = raws
        self._slots = slots
        usual = (*_USUAL, OutputKind.OME_TIFF.value) if ome_tiff else _USUAL
        with_labels = (*usual, OutputKind.LABELS.value)
        # Where one result has labels, all are of a bundle that finds regions: a result without is looked at.
        labelled = {*labelled, *(self._slot_of(name) for name in names if name.endswith(with_labels[-1]))}
        self._usual = tuple(
            _end(slot) + suffix for slot in slots for suffix in (with_labels if slot in labelled else usual)
        )
        self._of_containers: Counter[tuple[str, str]] | None = None  # counted when the first is asked for

    def is_whole(self, raw: str) -> bool:
        """Return whether a raw file has all usual files of each result, which then is one of one image."""
        names = self._names
        for suffix in self._usual:  # by far the most have all, under the raw file's name and a suffix
            if raw + suffix not in names:
                return False
        return not is_container_name(raw)

    def counts(self, raw: str) -> tuple[int, ...]:
        """Return how many files of each bundle's result, or its error record, a raw file has.

        Of one that holds several images these are the index, and each image's record and what that lists.
        """
        return tuple(self._count(raw, slot) for slot in self._slots)

    def _count(self, raw: str, slot: str) -> int:
        if is_container_name(raw):
            if self._of_containers is None:
                raws = set(filter(is_container_name, self._raws))
                named = ((_container_of(name, raws), self._slot_of(name)) for name in self._names)
                self._of_containers = Counter(one for one in named if one[0])
            return self._of_containers[raw, slot]
        count, names = 0, self._names
        if len(raw) > NEVER_CUT:
            return sum(name in names for name in result_names(raw, slot))
        raw += _end(slot)
        for suffix in _SUFFIXES:
            if raw + suffix in names:
                count += 1
        return count

    def _slot_of(self, name: str) -> str:
        """Return whose output a name is; no slot has a dot in it.

        An image of a container may be called as a slot is: "A.nuclei" of slot "" is told from "A" of slot
        "nuclei" by the record of slot "nuclei" beside it, "A.nuclei.nuclei".
        """
        stem = name.partition(".colvi.")[0]
        slot = stem.rpartition(".")[2]
        if not slot or slot not in self._slots:
            return ""
        records = (f"{stem}.{slot}{kind.value}" for kind in (OutputKind.SIDECAR, OutputKind.ERROR))
        return "" if any(record in self._names for record in records) else slot


def result_names(raw: str, slot: str = "") -> list[str]:
    """Return how the files of a raw file of one image may be called."""
    return [output_name(raw, kind, slot=slot) for kind in _KINDS]


def _end(slot: str) -> str:
    return f".{slot}" if slot else ""


def lacks_files(count: int, of: int, raw: str, *, failed: bool) -> bool:
    """Return whether a result lacks files.

    Args:
        count: of those that are there.
        of: of how many it consists; 0 if that is not known, as for results of the first ledgers.
        raw: name of the raw file.
        failed: it has an error record, or a result that was kept.
    """
    if of or failed or is_container_name(raw):
        return count < max(of, 1)
    return count not in _WHOLE_BEFORE


def _container_of(name: str, raws: Set[str]) -> str:
    """Return whose output a name is: `X.lif` of `X.lif.0003-Series004.colvi.png`; "" if nobody's."""
    if not name.endswith(_SUFFIXES):
        return ""
    lower = name.lower()
    for suffix in CONTAINER_SUFFIXES:  # not by a pattern, which takes half as long again
        end = 0
        while end := lower.find(f"{suffix}.", end) + 1:
            raw = name[: end - 1 + len(suffix)]
            if raw in raws:
                return raw
    return ""
