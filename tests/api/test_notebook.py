"""The page that shows the API is a notebook: every cell of it runs, in order, wherever it is."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import colvi_edge

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "python.ipynb"
CELLS = [
    "".join(cell["source"]) for cell in json.loads(PAGE.read_text())["cells"] if cell["cell_type"] == "code"
]


def shown(code: str, names: dict[str, Any]) -> object:
    """Run a cell; return what a notebook shows of it: its last line, if that is a value."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        body.append(last)
    exec(compile(ast.Module(body, []), PAGE.name, "exec"), names)  # noqa: S102 - our own page
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), PAGE.name, "eval"), names)  # noqa: S307


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And shows what the text around it says."""
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    names: dict[str, Any] = {}

    found = [shown(code, names) for code in CELLS]

    assert found[0] == ["P07_2026-11-01.tif", "P07_2026-11-02.tif"]
    assert [one.status for one in found if isinstance(one, colvi_edge.Result)] == ["ok", "ok"]
    assert len(list((tmp_path / "results").iterdir())) == 5


def test_it_is_stored_without_what_it_shows() -> None:
    """Outputs are made when the site is built: stored ones would go stale."""
    cells = json.loads(PAGE.read_text())["cells"]

    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
