"""What a ledger's file may hold, whoever wrote it: SQLite keeps a text in a column of numbers, if told to."""

import sqlite3
from dataclasses import astuple
from pathlib import Path

from colvi_edge.watch.folder.signature import Signature

UTC_PATTERN = "[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T*+00:00"
"""Of a time, for GLOB."""

IS_SOUND = f"""
    typeof(path) = 'blob' AND length(path) BETWEEN 1 AND 65536
    AND typeof(slot) = 'text' AND length(slot) <= 128 AND slot NOT GLOB '*/*'
    AND typeof(signature) = 'text' AND length(signature) <= 90 AND signature NOT GLOB '*[^0-9:-]*'
    AND state IN ('pending', 'done', 'failed', 'quarantined')
    AND typeof(attempts) = 'integer' AND attempts BETWEEN 0 AND 1000000
    AND (recheck_s IS NULL OR typeof(recheck_s) = 'real' AND recheck_s BETWEEN 0 AND 1e6)
    AND typeof(kind) = 'text' AND length(kind) <= 256 AND typeof(words) = 'text' AND length(words) <= 65536
    AND typeof(sha256) = 'text' AND length(sha256) <= 64
    AND typeof(revision) = 'integer' AND revision BETWEEN 0 AND 2147483647
    AND typeof(at) = 'text' AND (at = '' OR length(at) <= 40 AND at GLOB '{UTC_PATTERN}')
    AND typeof(model) = 'text' AND (model = '' OR length(model) = 64 AND model NOT GLOB '*[^0-9a-f]*')
    AND typeof(files) = 'integer' AND files BETWEEN 0 AND 9007199254740992
    AND typeof(wanted) = 'text' AND wanted IN ('', 'stale', 'all')
"""
"""True of each entry that a daemon wrote. Asked of 10^5 entries it takes 0.1 s."""


def connected(name: str | Path, *, uri: bool = False) -> sqlite3.Connection:
    """Return a connection that gives a text which is not UTF-8 with what can be read of it."""
    connection = sqlite3.connect(name, uri=uri, isolation_level=None)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")  # the default would raise
    return connection


def would_be(connection: sqlite3.Connection, tables: str) -> bool:
    """Return whether a database is empty, or holds what these statements make and nothing else."""
    found = _layout(connection)
    if not found:
        return True
    example = connected(":memory:")
    try:
        example.executescript(tables)
        return found == _layout(example)
    finally:
        example.close()


def packed(signature: Signature) -> str:
    """Return a signature as text."""
    return ":".join(map(str, astuple(signature)))


def unpacked(text: object) -> Signature | None:
    """Return the signature that was packed; None if it is none."""
    try:
        return Signature(*map(int, str(text).split(":")))
    except (TypeError, ValueError):  # not four numbers
        return None


def _layout(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Return which tables with which columns there are, and whatever else: indices, triggers, views."""
    return connection.execute(
        'SELECT of.type, of.name, of.tbl_name, its.name, its.type, its."notnull", its.pk '
        "FROM sqlite_master of LEFT JOIN pragma_table_info(of.name) its ORDER BY of.name, its.cid"
    ).fetchall()
