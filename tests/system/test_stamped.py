"""What stands behind its SHA-256 is read as it was written, or not at all."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colvi_edge.system.stamped import read_stamped, write_stamped


@pytest.mark.parametrize("content", [b"", b"x", bytes(2**20)])
def test_what_was_written_is_read(tmp_path: Path, content: bytes) -> None:
    """Its form is that of caches that are there already: 32 bytes of digest, then the content."""
    write_stamped(tmp_path / "x.blob", content)

    assert read_stamped(tmp_path / "x.blob") == content
    assert (tmp_path / "x.blob").read_bytes() == sha256(content).digest() + content
    assert [path.name for path in tmp_path.iterdir()] == ["x.blob"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 131), flipped=st.integers(1, 255), kept=st.integers(0, 131))
def test_a_changed_byte_and_a_cut_are_found(tmp_path: Path, position: int, flipped: int, kept: int) -> None:
    """Wherever they are, in the digest too."""
    write_stamped(tmp_path / "x.blob", bytes(range(100)))
    whole = (tmp_path / "x.blob").read_bytes()

    changed = bytearray(whole)
    changed[position] ^= flipped
    for damaged in (bytes(changed), whole[:kept], whole + b"0"):
        (tmp_path / "x.blob").write_bytes(damaged)
        assert read_stamped(tmp_path / "x.blob") is None


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    """A folder in its place is no file either."""
    assert read_stamped(tmp_path / "x.blob") is None
    assert read_stamped(tmp_path) is None
