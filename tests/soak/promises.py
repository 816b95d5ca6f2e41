#!/usr/bin/env python3
"""Count whether the promises of `colvi-edge watch` hold in a folder. Needs nothing but Python.

    promises.py FOLDER [--output-dir DIR]     P2 and P3, on any folder whose daemon has nothing left to do
    promises.py FOLDER --take MANIFEST        before: note every raw file as it is
    promises.py FOLDER --manifest MANIFEST    after: P1 too, and whether each raw file got what was expected

Where several bundles judge, --slot NAME is what the results of each further one bear, X.tif.NAME.colvi.json,
and P2 is asked of each by itself.

P1  raw files are as they were: same bytes, same inode, same time.
P2  each finished raw file has exactly one record (of each bundle), and it is of its content: a result or an
    error.
P3  each record is whole, and so is every file that it lists; nothing half-made is left. The record of the
    result before that is whole, too, and counts as none.
"""

import argparse
import hashlib
import json
import os
import stat
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Expected = Literal["image", "broken", "either", "unfinished"]
"""image: gets a result. broken: an error record. either: one of them. unfinished: neither."""

RAW_SUFFIXES = (".tif", ".tiff")
RESULT, ERROR, PREVIOUS = ".colvi.json", ".colvi.error.json", ".colvi.prev.json"
OUTPUTS = (".colvi.png", ".colvi.csv", ".colvi.geojson", ".colvi.rois.zip", ".colvi.labels.tif")
SHOWN_FAULTS = 20


@dataclass(frozen=True)
class Raw:
    """A raw file as it was. A link, pipe or device has no sha256."""

    sha256: str
    mtime_ns: int
    inode: int
    expected: Expected


Manifest = dict[str, Raw]
"""By path relative to the folder, as `os.fsdecode` gives it."""


@dataclass
class Report:
    """What was counted, and every fault as a sentence."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Return whether every promise is."""
        return not self.faults

    def fault(self, path: str, words: str) -> None:
        """Note a fault of a file."""
        self.faults.append(f"{path!a}: {words}")

    def __str__(self) -> str:
        """Return the counts as a table, the first faults, and a verdict."""
        count = self.counts
        rows = [
            ("P2 raw files with their one current record", f"{count['current']} of {count['finished']}"),
            ("   of them results, error records", f"{count['results']}, {count['errors']}"),
            ("   raw files still unfinished, without a record", f"{count['unfinished']}"),
            ("P3 records that are whole", f"{count['whole']} of {count['records']}"),
            ("   files listed in them that are intact", f"{count['intact']} of {count['listed']}"),
            ("   temporary files, outputs in no record", f"{count['temporary']}, {count['stray']}"),
            ("   records whose raw file is gone", f"{count['orphans']}"),
        ]
        if count["noted"]:
            rows.insert(0, ("P1 raw files as they were", f"{count['untouched']} of {count['noted']}"))
        lines = [f"{words:<52} {numbers}" for words, numbers in rows]
        lines += [f"FAULT {fault}" for fault in self.faults[:SHOWN_FAULTS]]
        if len(self.faults) > SHOWN_FAULTS:
            lines.append(f"... and {len(self.faults) - SHOWN_FAULTS} more")
        return "\n".join([*lines, "verdict: the promises hold" if self.kept else "verdict: BROKEN"])


def take(folder: Path, expected: Expected = "either") -> Manifest:
    """Return every raw file below a folder as it is now."""
    return {
        f"{where}{name}": note(folder / where / name, expected)
        for where, names in listing(folder).items()
        for name in names
        if is_raw(name)
    }


def note(path: Path, expected: Expected = "either") -> Raw:
    """Return one raw file as it is now."""
    status = path.lstat()
    return Raw(sha256_of(path), status.st_mtime_ns, status.st_ino, expected)


def check(
    folder: Path,
    output_dir: Path | None = None,
    manifest: Manifest | None = None,
    slots: Sequence[str] = ("",),
) -> Report:
    """Count how the promises stand.

    Args:
        folder: the watched one.
        output_dir: where its results are mirrored, if not in it.
        manifest: the raw files as they were; None looks at those that are there, and not at P1.
        slots: names that the results of each bundle bear; "" is the first.
    """
    report = Report()
    report.counts["noted"] = len(manifest or {})
    results = listing(output_dir or folder)
    records = {
        where: _records(report, output_dir or folder, where, names) for where, names in results.items()
    }
    found = take(folder) if manifest is None else manifest
    for path, raw in found.items():
        if manifest is not None:
            _check_untouched(report, folder, path, raw)
        where, _, name = path.rpartition("/")
        here = records.get(f"{where}/" if where else "", {})
        for slot in slots:
            key = (name if (name, slot) in here else printable(name), slot)
            _check_record(report, path, raw, here.pop(key, []), f" of {slot}" if slot else "")
    report.counts["orphans"] = sum(map(len, records.values()))
    return report


def listing(folder: Path) -> dict[str, list[str]]:
    """Return the names in each folder below, by the folder's path: "" or "a/b/"; hidden folders left out."""
    found = {}
    for here, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        where = os.path.relpath(here, folder)
        names = [entry.name for entry in os.scandir(here) if not entry.is_dir(follow_symlinks=False)]
        found["" if where == "." else f"{where}/"] = names
    return found


def is_raw(name: str) -> bool:
    """Return whether a file of this name may be a raw image."""
    lower = name.lower()
    return lower.endswith(RAW_SUFFIXES) and not lower.startswith((".", "~$")) and ".colvi." not in lower


def printable(name: str) -> str:
    """Return a file name as records write it."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name
    )


def sha256_of(path: Path) -> str:
    """Return the hash of a regular file; "" for anything else."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return ""
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_untouched(report: Report, folder: Path, path: str, raw: Raw) -> None:
    try:
        now = note(folder / path, raw.expected)
    except OSError as error:
        report.fault(path, f"P1 the raw file is gone: {error.strerror}")
        return
    if now != raw:
        changed = [key for key, value in asdict(now).items() if value != asdict(raw)[key]]
        report.fault(path, f"P1 the raw file has another {' and '.join(changed)}")
    else:
        report.counts["untouched"] += 1


def _records(report: Report, top: Path, where: str, names: list[str]) -> dict[tuple[str, str], list[Any]]:
    """Return a folder's records by raw file and bundle, after a look at them and what they list."""
    records: dict[tuple[str, str], list[Any]] = defaultdict(list)
    outputs = {printable(name): name for name in names if name.endswith(OUTPUTS)}
    for name in names:
        if name.startswith(".colvi-") and name.endswith(".tmp"):
            report.counts["temporary"] += 1
            report.fault(where + name, "P3 a temporary file was left")
        if name.endswith(PREVIOUS):
            _parsed(report, top, where, name)
        if not name.endswith((RESULT, ERROR)):
            continue
        report.counts["records"] += 1
        record = _parsed(report, top, where, name)
        if record is None:
            continue
        listed = {output["name"]: output["sha256"] for output in record.get("outputs", [])}
        wrong = [
            shown
            for shown, sha256 in listed.items()
            if shown not in outputs or sha256_of(top / where / outputs[shown]) != sha256
        ]
        report.counts["listed"] += len(listed)
        report.counts["intact"] += len(listed) - len(wrong)
        for shown in wrong:
            report.fault(where + name, f"P3 {shown!a} is listed, but missing or not as it was written")
        for shown in listed:
            outputs.pop(shown, None)
        slot = record.get("slot") or ""
        stem = name.removesuffix(ERROR).removesuffix(RESULT)
        if slot and not stem.endswith(f".{slot}"):
            report.fault(where + name, f"P3 it is of {slot!a}, which its name does not say")
            continue
        stem = stem.removesuffix(f".{slot}" if slot else "")
        # A name too long for its outputs is shortened in theirs; the record has it in full.
        records[record["image"]["name"] if "~" in stem else stem, slot].append(record)
    report.counts["stray"] += len(outputs)
    for name in outputs.values():
        report.fault(where + name, "P3 no record lists it")
    return records


def _parsed(report: Report, top: Path, where: str, name: str) -> Any:
    try:
        record = json.loads((top / where / name).read_bytes())
        valid = record["status"] in (("error",) if name.endswith(ERROR) else ("ok", "rejected"))
        valid &= isinstance(record["image"]["name"], str)
    except (OSError, ValueError, KeyError, TypeError) as error:
        report.fault(where + name, f"P3 the record is torn: {error!r}")
        return None
    if not valid:
        report.fault(where + name, f"P3 its status is {record['status']!a}")
        return None
    report.counts["whole"] += not name.endswith(PREVIOUS)
    return record


def _check_record(report: Report, path: str, raw: Raw, records: list[Any], whose: str) -> None:
    if raw.expected == "unfinished":
        report.counts["unfinished"] += 1
        if records:
            report.fault(path, f"P2 it has a record{whose}, but was never finished")
        return
    report.counts["finished"] += 1
    if len(records) != 1:
        report.fault(path, f"P2 it has {len(records) or 'no'} record{'s' * (len(records) > 1)}{whose}")
        return
    (record,) = records
    kind = "errors" if record["status"] == "error" else "results"
    of = record["image"].get("sha256", raw.sha256 if kind == "errors" else None)
    if raw.sha256 != of:
        report.fault(path, f"P2 its record{whose} is of other content")
    elif {"image": "results", "broken": "errors"}.get(raw.expected, kind) != kind:
        words = record.get("error", {}).get("message", record.get("diagnosis"))
        report.fault(path, f"P2 expected {raw.expected}, found {record['status']}{whose}: {words}")
    else:
        report.counts[kind] += 1
        report.counts["current"] += 1


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest."""
    path.write_text(json.dumps({name: asdict(raw) for name, raw in manifest.items()}, indent=1))


def read_manifest(path: Path) -> Manifest:
    """Return a manifest that was written."""
    return {name: Raw(**raw) for name, raw in json.loads(path.read_text()).items()}


def main() -> None:
    """Run the checker."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output-dir", type=Path)
    parser.add_argument("--slot", action="append", default=[], metavar="NAME")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--take", type=Path, metavar="MANIFEST")
    given.add_argument("--manifest", type=Path)
    arguments = parser.parse_args()
    if arguments.take:
        write_manifest(arguments.take, take(arguments.folder))
        return
    manifest = read_manifest(arguments.manifest) if arguments.manifest else None
    report = check(arguments.folder, arguments.output_dir, manifest, ["", *arguments.slot])
    sys.stdout.write(f"{report}\n")
    raise SystemExit(not report.kept)


if __name__ == "__main__":
    main()
