"""Commands on models of others: graphs run in a confined child, and what comes of it is put in place."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from colvi_edge.cli.confined.parent import gather, run_confined
from colvi_edge.export.reading.kinds import is_foreign
from colvi_edge.printable import printable_name

__all__ = ["evaluate", "explain", "export", "is_foreign"]


def export(model: Path, bundle: Path, **options: Any) -> int:
    """Export a model; the options are those of `show_export`."""
    with _drafts() as (draft, out):
        made = out / (bundle.name or "bundle")
        code = run_confined(
            "colvi_edge.cli.show.export:show_export",
            model,
            draft,
            **{"model": model, "bundle": made, "place": bundle, **options},
        )
        from colvi_edge.export.converting.bundle_folder import replace_bundle

        replace_bundle(bundle, gather(made))
    return code


def evaluate(model: str, dataset: Path, *, html: Path | None, **options: Any) -> int:
    """Evaluate a model; the options are those of `show_evaluation`."""
    from colvi_edge.system.writing import check_writable, write_file

    if html:
        check_writable(html)
    with _drafts() as (draft, out):
        page = out / "page.html"
        code = run_confined(
            "colvi_edge.cli.show.evaluation:show_evaluation",
            model,
            draft,
            **{"model": model, "dataset": dataset, "html": html and page, **options},
        )
        if html:
            write_file(html, gather(out)[page.name])
    return code


def explain(image: Path, model: Path, *, output_dir: Path | None, quiet: bool, **options: Any) -> None:
    """Explain a model; the options are those of `explain`."""
    folder = output_dir or image.parent
    with _drafts() as (draft, out):
        run_confined(
            "colvi_edge.export.explanation.explain:explain",
            model,
            draft,
            **{"image": image, "model": model, "output_dir": out, **options},
        )
        from colvi_edge.system.writing import write_file

        for name, picture in gather(out).items():
            write_file(folder / name, picture)
            if not quiet:
                typer.echo(printable_name(str(folder / name)))


@contextmanager
def _drafts() -> Iterator[tuple[Path, Path]]:
    """Make an empty folder for a child, and one in it for results; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="colvi-edge-") as folder:
        draft = Path(folder).resolve()
        (draft / "out").mkdir()
        yield draft, draft / "out"
