"""The record comes back as it was written, and nothing else is taken for one."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from colvi_edge.bench.page import render
from colvi_edge.bench.record import Record, read, timed, to_json
from colvi_edge.errors import UsageError
from colvi_edge.outputs.named import Named


def test_a_record_comes_back_as_it_was_written(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    """Every sample to the microsecond: anybody can work the figures out again."""
    record = make_record()
    (tmp_path / "bench.json").write_bytes(to_json(record))

    assert read(tmp_path / "bench.json") == record


def test_record_and_page_are_known_as_ours(make_record: Callable[..., Record]) -> None:
    """By their start; or they would not be replaced by the next ones."""
    record = make_record()
    for content, kind in ((to_json(record), Named.RECORD), (render(record).encode(), Named.PAGE)):
        assert [known for known in Named if known.begins(content[:4096])] == [kind]


def test_samples_and_summary_say_the_same() -> None:
    """The summary is that of the samples as they stand in the file."""
    series = timed("e", "i", "continuous", "s", [1.00049, 2.0, 3.0006])

    assert series.samples_ms == (1.0, 2.0, 3.001)
    assert series.summary_ms == {"p50": 2.0, "p90": 3.001, "p95": 3.001, "p99": 3.001, "min": 1.0}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: plain | {"schema": "colvi-edge.bench/2"},
        lambda plain: plain | {"added": 1},
        lambda plain: {"schema": plain["schema"]},
        lambda plain: [plain],
    ],
    ids=["another version", "a field too many", "fields too few", "a list"],
)
def test_another_schema_is_refused(
    tmp_path: Path, make_record: Callable[..., Record], spoil: Callable[[object], object]
) -> None:
    """A comparison with something else would look like any other."""
    file = tmp_path / "old.json"
    file.write_bytes(orjson.dumps(spoil(orjson.loads(to_json(make_record())))))

    with pytest.raises(UsageError, match=r"old\.json is no record of schema colvi-edge\.bench/1 .*; give"):
        read(file)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    """A file of another kind, and one that is not there: a sentence each."""
    (tmp_path / "page.html").write_text("<!doctype html>")

    with pytest.raises(UsageError, match="is no record of schema"):
        read(tmp_path / "page.html")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read(tmp_path / "nowhere.json")


def test_a_series_is_found_by_what_it_is(make_record: Callable[..., Record]) -> None:
    """The first input stands for all; the network, which no input changes, is found as well."""
    record = make_record()

    def found(*what: str) -> tuple[str, ...] | None:
        series = record.find(what[0], what[1], given=what[2])
        return None if series is None else series.key

    assert found("openvino fp32", "read", "") == ("openvino fp32", "uncompressed", "continuous", "read")
    assert found("openvino fp32", "read", "LZW") == ("openvino fp32", "LZW", "continuous", "read")
    assert found("openvino fp32", "network", "LZW") == ("openvino fp32", "", "continuous", "network")
    assert found("openvino fp16", "read", "") is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[" * 100_000, "recursion limit"),
        ('{"a": ' * 100_000, "recursion limit"),
        ('{"schema": NaN}', "expected value"),
        ('{"schema": ' + "9" * 100_000 + "}", "no record|a number that nothing has"),
        ('{"schema": 1e999}', "no record|a number"),
        ("[" + "1," * 10_001 + "1]", "a list of 10002, at most 10000 are compared"),
        ('"\\ud800"', "no record"),
        ("\ufeff{}", "no record"),
        ('{"\\u001b]0;X\\u0007": 1}', "no record"),
        ("", "no record"),
    ],
)
def test_json_without_bounds_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """Depth, numbers, lists and texts that no bench writes: one printable line, and exit code 2."""
    (tmp_path / "old.json").write_text(text)

    with pytest.raises(UsageError, match=complaint) as refusal:
        read(tmp_path / "old.json")

    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000


def test_a_file_without_end_is_not_read_to_it() -> None:
    """A device, given by mistake."""
    with pytest.raises(UsageError, match="more than 16 MiB"):
        read(Path("/dev/zero"))


def test_texts_of_another_are_printable(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    """What another machine is called is printed when two are compared."""
    plain = orjson.loads(to_json(make_record()))
    plain["machine"]["cpu"] = "fast\x1b]0;OWNED\x07\nforged"
    (tmp_path / "old.json").write_bytes(orjson.dumps(plain))

    assert read(tmp_path / "old.json").machine.cpu == r"fast\x1b]0;OWNED\x07\nforged"
