"""Notebooks become pages: run from the first cell to the last, shown with what they gave, nothing fetched."""

import base64
from pathlib import Path
from typing import Any

import pytest

from generated import notebook

pytestmark = pytest.mark.mkdocs
nbformat = pytest.importorskip("nbformat")

PIXEL = base64.b64encode(b"\x89PNG and more")


def book(*cells: str) -> Any:
    """Return a notebook of cells; one that begins with # is text."""
    kinds = nbformat.v4
    return kinds.new_notebook(
        cells=[
            kinds.new_markdown_cell(cell) if cell.startswith("#") else kinds.new_code_cell(cell)
            for cell in cells
        ]
    )


def ran(path: Path, *cells: str) -> Any:
    """Run a notebook of cells."""
    nbformat.write(book(*cells), path)
    return notebook.run(path)


SHOWN = """
class Shown:
    def __repr__(self): return "a picture of <one> [culture]"
    def _repr_{kind}_(self): return {value}
Shown()
"""


def test_a_page_of_it(tmp_path: Path) -> None:
    """Text, code, what it printed, a value, a picture and HTML, in the order of the cells."""
    png = SHOWN.format(kind="png", value=f"__import__('base64').b64decode({PIXEL!r})")
    html = SHOWN.format(kind="html", value="'<b>bold</b>\\n\\n<i>end</i>'")
    done = ran(tmp_path / "book.ipynb", "# Head", "print('said')\nprint('twice')\n1 + 1", png, html)

    found = notebook.page(done, "how-to/book")

    text = found.markdown
    assert "# Head" in text
    assert "```python\nprint('said')" in text
    assert "```text\nsaid\ntwice\n```" in text
    assert "```text\n2\n```" in text
    assert "![a picture of one culture](book-1.png)" in text
    assert '<div class="output">\n<b>bold</b>\n<i>end</i>\n</div>' in text
    assert found.pictures == {"how-to/book-1.png": base64.b64decode(PIXEL)}
    assert text.index("# Head") < text.index("said") < text.index("book-1.png") < text.index("bold")


def test_a_cell_that_fails_ends_it(tmp_path: Path) -> None:
    """And the words of the error are told."""
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="no such thing"):
        ran(tmp_path / "book.ipynb", "raise ValueError('no such thing')")


def test_it_runs_in_a_folder_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files, and the caches of what it calls; the tester's options are none of its."""
    monkeypatch.setenv("COLVI_EDGE_BUNDLE", "another.colvi")
    cell = (
        "import os, pathlib\npathlib.Path('left').write_text('x')\n"
        "print(os.getcwd(), os.environ['STATE_DIRECTORY'], 'COLVI_EDGE_BUNDLE' in os.environ)"
    )
    done = ran(tmp_path / "book.ipynb", cell)

    folder, state, has = done.cells[0].outputs[0].text.split()
    assert has == "False"
    assert not Path(folder).exists()
    assert not Path(state).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.ipynb"]
