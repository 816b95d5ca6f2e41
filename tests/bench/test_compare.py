"""What is said of two records."""

from collections.abc import Callable

from colvi_edge.bench.compare import caveats, changes, title
from colvi_edge.bench.record import Record, Series, timed


def slower(series: Series, factor: float) -> Series:
    """The same with longer times."""
    samples = [factor * sample for sample in series.samples_ms]
    return timed(series.engine, series.input, series.pattern, series.stage, samples, series.within)


def test_a_record_does_not_differ_from_itself(make_record: Callable[..., Record]) -> None:
    """Ratio 1, no difference, nothing to warn of."""
    record = make_record()

    found = changes(record, record)

    assert {change.words for change in found} == {"no difference"}
    assert {change.ratio.value for change in found} == {1}
    assert caveats(record, record) == []


def test_what_got_slower_is_named(make_record: Callable[..., Record]) -> None:
    """Two runs of equal speed and scatter differ hardly anywhere; a network twice as slow does, alone."""
    old, new = make_record(seed=1), make_record(seed=2)
    network = ("openvino int8-cpu", "", "continuous", "network")
    spoilt = new.model_copy(
        update={"series": tuple(slower(s, 2) if s.key == network else s for s in new.series)}
    )

    found = {change.new.key: change for change in changes(spoilt, old)}

    said = found[network]
    assert 1.9 < said.ratio.low < said.ratio.value < said.ratio.high < 2.1
    assert said.words.endswith(" x as long")
    others = [change for key, change in found.items() if key != network]
    assert sum(change.words != "no difference" for change in others) <= 0.15 * len(others)
    assert next(c.words for c in changes(old, spoilt) if c.new.key == network).endswith(" x faster")


def test_the_whole_way_of_all_and_the_stages_of_one(make_record: Callable[..., Record]) -> None:
    """Every input from end to end; stages of the first only, as they are the same for the others."""
    record = make_record()
    first = record.inputs[0]

    keys = [change.new.key for change in changes(record, record)]

    assert {given for _, given, _, stage in keys if stage == "file to JSON"} == {"uncompressed", "LZW", ""}
    assert {given for _, given, _, stage in keys if stage == "read"} == {first}
    assert ("", "", "cold start", "--help") in keys
    assert len(keys) == len(set(keys))


def test_what_only_one_holds_or_takes_no_time_has_no_ratio(make_record: Callable[..., Record]) -> None:
    """Another engine, and a stage that took 0.00 ms: left out, not divided by."""
    record = make_record()
    idle = timed("openvino int8-cpu", "uncompressed", "continuous", "decide", [0.0, 0.0])
    old = record.model_copy(
        update={
            "series": (
                idle,
                *(s for s in record.series if s.engine == "openvino int8-cpu" and s.stage != "decide"),
            )
        }
    )

    found = changes(record, old)

    assert {change.new.engine for change in found} == {"openvino int8-cpu"}
    assert "decide" not in {change.new.stage for change in found}


def test_another_machine_bundle_or_image_is_said(make_record: Callable[..., Record]) -> None:
    """A sentence each, with what it was and what it is."""
    old = make_record()
    new = make_record(
        machine=old.machine.model_copy(update={"cpu": "Another CPU"}),
        model=old.model.model_copy(update={"sha256": "2" * 64}),
        image=old.image.model_copy(update={"sha256": "3" * 64}),
        settings=old.settings.model_copy(update={"idle_s": 60}),
    )

    assert [words.partition(":")[0] for words in caveats(new, old)] == [
        "another machine",
        "another bundle",
        "another image",
        "another rest before an image",
    ]
    assert "it was A CPU (model 1), 2 cores" in caveats(new, old)[0]
    assert "it is Another CPU, 2 cores" in caveats(new, old)[0]


def test_titles_tell_series_apart(make_record: Callable[..., Record]) -> None:
    """No two rows of the table are called the same."""
    titles = [title(series) for series in make_record().series]

    assert len(titles) == len(set(titles))
