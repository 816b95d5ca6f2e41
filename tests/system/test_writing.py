"""What cannot be written is named, in one sentence with the remedy."""

from pathlib import Path

import pytest

from colvi_edge.errors import BlockedOutputError, OutputError
from colvi_edge.system.writing import check_writable, write_file
from tests.tools.limits import file_size_limit


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Only results are called results: no checkpoint, no record of bench, no page, whatever is in the way."""
    with file_size_limit(3), pytest.raises(OutputError, match=r"^cannot write m\.pt into .*: File too large"):
        write_file(tmp_path / "m.pt", b"many")
    (tmp_path / "bench.json").mkdir()
    in_the_way = r"^cannot write bench\.json into .*a folder named bench\.json is in the way"
    with pytest.raises(BlockedOutputError, match=in_the_way):
        write_file(tmp_path / "bench.json", b"{}")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"^cannot write page\.html into .*: (File exists|Not a directory)"):
        check_writable(tmp_path / "file" / "page.html")
