"""A message is taken only if each value is what its annotation says; pydantic is the oracle of types."""

import json
import math
from contextlib import closing
from dataclasses import asdict, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.channel import BadMessageError, as_words, decode, encode
from colvi_edge.watch.ipc.messages import (
    Alive,
    Degraded,
    FileReady,
    Finish,
    Labels,
    Message,
    Publish,
    Published,
    RecordFailure,
    Rescan,
    RootState,
    Scanned,
    Settles,
    StartRefused,
    Work,
    WorkDone,
    WorkerReady,
)
from colvi_edge.watch.ipc.model import Model
from colvi_edge.watch.ipc.settings import (
    Judging,
    PublisherSettings,
    ScannerSettings,
    Scanning,
    WorkerSettings,
)
from colvi_edge.watch.ipc.typed import LONGEST_TEXT
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.dispatcher import Dispatcher
from colvi_edge.watch.supervisor.queue import OUTSTANDING
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings

MOUNT = Mount(point="/data", kind="cifs", source="//server/share", inside="/")
SIGNATURE = Signature(2**64 - 1, 1, -1, 1)
SOUND: list[Message] = [
    ScannerSettings(FolderPaths(Path("/data")), Scanning(interval_s=1.5), Path("/state/ledger"), MOUNT),
    Rescan(),
    FileReady("M\udcfcller.tif", SIGNATURE, 1.0, True, 2.0),
    Scanned(1, 2, 0.5, 0, {".nd2": 3}),
    Settles(2, 1, 3),
    RootState("share away", "gone", None),
    RootState("here", "", MOUNT, Mount(point="/results", kind="nfs4", source="nas:/results", inside="/day")),
    Degraded("deaf"),
    WorkerSettings(
        FolderPaths(Path("/data"), Path("/out")),
        Judging("demo", channels=["nuclei"], limits={"pixels": 1}, pixel_size_um=0.3),
        Path("/keep"),
    ),
    Work(1, "a.tif", SIGNATURE, MOUNT, True, Replace.OWN, "incomplete"),
    RecordFailure(1, "a.tif", MOUNT, "three times"),
    Finish(),
    Labels(),
    WorkerReady("/bundle", "demo", "ab" * 32, "openvino", "fp32", "CPU", "as asked", "no room", "1.0"),
    StartRefused(4, "bundle_invalid", "SHA256SUMS is missing"),
    WorkDone(1, "ok", "cd" * 32, 2**63 - 1, "control, score 90.0", "", 1.5, Model("demo", "1", "ab" * 32), 5),
    PublisherSettings(FolderPaths(Path("/data")), Path("/data/report.html"), None, 30.0),
    Publish(MOUNT),
    Published("", 0.1),
    Alive(),
]
FIELDS = [
    (message, path)
    for message in SOUND
    for name, value in vars(message).items()
    for path in [(name,), *((name, part) for part in (vars(value) if is_dataclass(value) else ()))]
    if path[-1] in ("timings", "claim_check_s") or name != "timings"  # one time is as good as the others
]

texts = st.text(st.characters(), max_size=20) | st.text(max_size=3).map(lambda text: text * 30_000)
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400, 1e308, math.nan, math.inf])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def line_of(message: Message, path: tuple[str, ...], value: Any) -> bytes:
    """Return a sound message as a line, one value of it replaced."""
    plain = json.loads(encode(message))
    holder = plain
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    return json.dumps(plain).encode()


def completed(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what was sent as it comes out: paths without detours, defaults for what was left out."""
    for name, default in {"timings": asdict(Timings()), "scanning": asdict(Scanning())}.items():
        if name in sent:
            sent[name] = default | sent[name]
    for holder in (sent, sent.get("folders", {})):
        for name in ("root", "output_dir", "ledger", "page", "keep"):
            if holder.get(name) is not None:
                holder[name] = str(Path(holder[name]))
    return sent


@pytest.mark.parametrize("message", SOUND, ids=lambda message: type(message).__name__)
def test_what_is_sound_comes_as_it_was_sent(message: Message) -> None:
    """Undecodable names, inodes beyond 63 bits and times before 1970 are."""
    assert decode(encode(message).rstrip(b"\n")) == message


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=values)
@pytest.mark.parametrize(("message", "path"), FIELDS, ids=[".".join(path) for _, path in FIELDS])
def test_no_value_raises_anything_else(message: Message, path: tuple[str, ...], value: Any) -> None:
    """What is taken is what was sent, and a strict reader of the annotations takes it, too."""
    line = line_of(message, path, value)
    try:
        found = decode(line)
    except BadMessageError:
        return
    sent = json.loads(line)
    assert json.loads(encode(found)) == completed(sent)
    del sent["say"]
    readable = json.dumps(sent, ensure_ascii=False).encode("utf-8", "replace")  # pydantic takes UTF-8 only
    TypeAdapter(type(message)).validate_json(readable, strict=True)


@settings(max_examples=300, deadline=None)
@given(document=values)
def test_no_document_raises_anything_else(document: Any) -> None:
    """Nor does what is no object, names no message, or has other fields."""
    for line in (document, {"say": document}, {"say": "Alive", "more": document}):
        with pytest.raises(BadMessageError):
            decode(json.dumps(line).encode())


@pytest.mark.parametrize("message", SOUND, ids=lambda message: type(message).__name__)
def test_no_field_may_be_missing(message: Message) -> None:
    """But for those that have a default."""
    plain = json.loads(encode(message))
    for name in vars(message):
        less = {key: value for key, value in plain.items() if key != name}
        line = json.dumps(less).encode()
        optional = {
            "lost",
            "not_read",
            "barred",
            "not_kept",
            "results_mount",
            "model_version",
            "ome_tiff",
            "keep",
            "timings",
            "unmarked",
        }
        of_some = {
            "kind": Work,
            "mount": ScannerSettings,
            "model": WorkDone,
            "files": WorkDone,
            "settled_before": Scanned,
            "slots": ScannerSettings,
        }
        if name in optional or isinstance(message, of_some.get(name, ())):
            decode(line)
        else:
            with pytest.raises(BadMessageError):
                decode(line)


BOUNDS: list[tuple[str, list[Any], list[Any]]] = [
    ("revision", [0, 2**63 - 1], [-1, 2**63, 2**64 - 1, 1.0, True, "1", None]),
    ("number", [-(2**63), 2**63 - 1], [2**63, -(2**63) - 1, 0.5, False]),
    ("outcome", ["ok", "changed"], ["nonsense", "OK", "", 1, ["ok"], {"ok": 1}]),
    ("sha256", ["", "0" * 64], ["0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 64 + "\n", []]),
    ("kind", ["", "read-only", "not_an_image"], ["x" * 41, "a\nb", "<b>", "\udce4", {}]),
    ("took_ms", [0, 1, -1.5, 1e15], [1e16, 10**400, "1", True, None]),
    ("words", ["", "\udcfc", "x" * LONGEST_TEXT], ["x" * (LONGEST_TEXT + 1), "\ud83d", "\udf00", None, 1]),
]


@pytest.mark.parametrize(("name", "within", "beyond"), BOUNDS, ids=[name for name, *_ in BOUNDS])
def test_bounds(name: str, within: list[Any], beyond: list[Any]) -> None:
    """Of an answer, which goes to ledger, log and status."""
    answer = next(message for message in SOUND if isinstance(message, WorkDone))
    for value in within:
        assert getattr(decode(line_of(answer, (name,), value)), name) == value
    for value in beyond:
        with pytest.raises(BadMessageError):
            decode(line_of(answer, (name,), value))
    for constant in (b"NaN", b"Infinity", b"-Infinity"):
        with pytest.raises(BadMessageError, match="no JSON"):
            decode(line_of(answer, (name,), "HERE").replace(b'"HERE"', constant))


@pytest.mark.parametrize("depth", [900, 100_000, 500_000])
def test_depth_is_bounded(depth: int) -> None:
    """Brackets without an end are no reason for more than a refusal."""
    for opened, closed in ((b"[", b"]"), (b'{"say":', b"}")):
        for line in (opened * depth, opened * depth + b"1" + closed * depth):
            with pytest.raises(BadMessageError):
                decode(line)


def test_words_of_an_error_always_fit() -> None:
    """Whatever an error quotes: half characters, line breaks, megabytes."""
    for text in ("\ud83d\n\x1b[31m", "x" * (1 << 21), "\udcff" * 100_000):
        answer = WorkDone(1, "error", "", 0, as_words(ValueError(text)), "axes", 1.0)
        line = encode(answer)
        assert len(line) < 30_000
        assert decode(line) == answer


accepted_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.just("a\udcff\n.tif")
whole = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**63 - 1, -(2**63), 0])
signatures = st.builds(Signature, st.integers(0, 2**64 - 1), whole, whole, whole)
times = st.floats(-1e15, 1e15)
readies = st.builds(FileReady, accepted_texts, signatures, times, st.booleans(), times)
outcomes = st.sampled_from(["ok", "rejected", "same", "error", "again", "changed"])
kinds = st.sampled_from(["", "incomplete", "disk full", "share away", "ledger", "stuck", "x-_ 9"])
hashes = st.sampled_from(["", "ab" * 32])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), steps=st.lists(st.sampled_from(["ready", "answer", "death"]), max_size=12))
def test_whatever_is_taken_ends_no_dispatcher(data: st.DataObject, steps: list[str]) -> None:
    """Values at every bound go through queue, ledger, log and numbers, and are read back from the ledger."""
    conditions, metrics = Conditions(), Metrics("/data")
    with TemporaryDirectory() as folder, closing(Ledger(Path(folder) / "ledger.sqlite")) as ledger:
        tolerant = TolerantLedger(ledger, conditions)
        dispatcher = Dispatcher(tolerant, metrics, conditions, Timings(), 0.0)
        numbers: list[int] = []
        for step in steps:
            if step == "ready":
                dispatcher.offer(_carried(data.draw(readies)), 1.0)
            while dispatcher.assigned < OUTSTANDING and (work := dispatcher.assign(MOUNT, 1e15)):
                numbers.append(work.number)
            if step == "answer":
                for number in numbers:
                    dispatcher.finished(_carried(data.draw(finished(number))), 2.0)
            if step == "death":
                dispatcher.worker_died("it sent what is no message", 3.0)
            if step != "ready":
                numbers.clear()
            assert len(numbers) == dispatcher.assigned
        metrics.text(dispatcher.snapshot().pending, [], {})
        ledger.finished()
        assert list(conditions) == []


def finished(number: int) -> st.SearchStrategy[WorkDone]:
    """Return answers to a piece of work."""
    revisions = st.integers(0, 2**63 - 1) | st.just(2**63 - 1)
    return st.builds(WorkDone, st.just(number), outcomes, hashes, revisions, accepted_texts, kinds, times)


def _carried(message: Any) -> Any:
    """Return a message as it comes out at the other end."""
    return decode(encode(message))
