"""Words that stand in status.json, ledgers, logs and metrics of releases: nobody may spell them otherwise."""

from colvi_edge.watch.words import FOLDER_WIDE, NOT_WRITABLE, OUTCOMES, TROUBLES


def test_troubles_are_spelt_as_released() -> None:
    """In the order in which the metrics file has them."""
    assert TROUBLES == (
        "share away",
        "taken",
        "stuck",
        "disk full",
        "read-only",
        "folder not readable",
        "folder not writable",
        "blocked output",
        "ledger",
        "reload failed",
        "degraded",
    )
    assert {*FOLDER_WIDE, NOT_WRITABLE} < {*TROUBLES}


def test_outcomes_are_spelt_as_released() -> None:
    """So dashboards of releases go on."""
    assert OUTCOMES == ("ok", "rejected", "same", "error", "again", "changed")
