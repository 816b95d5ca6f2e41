"""What `run --dry-run` prints."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.text import Text

from colvi_edge.outputs.names import image_label
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.pipeline.rehearsal import Planned, closed_folders
from colvi_edge.printable import counted, printable_name, unambiguous_name
from colvi_edge.terminal.console import PrintableConsole, error_console, print_json, shown, wide_console
from colvi_edge.terminal.progress import progress
from colvi_edge.terminal.tables import print_named, print_words

_COLOUR = {"judge": "green", "keep": "default", "refuse": "red"}
_WOULD = {"judge": "judged", "keep": "kept", "refuse": "refused"}


def show_rehearsal(
    planned: Iterable[Planned], files: list[InputFile], output_dir: Path | None, *, as_json: bool
) -> None:
    """Print what would become of each image, in counts, and where its results would go."""
    counts = Counter[str]()
    rows: list[tuple[str, str, str]] = []
    rows_of: dict[Path, Counter[str]] = {}  # by slot
    with progress("Looking", len(files)) as advance:
        for file, key, does, why, subject, slot in planned:
            if file.raw not in rows_of:
                rows_of[file.raw] = Counter()
                advance()
            counts[does] += 1
            rows_of[file.raw][slot] += 1
            label = image_label(file.path, key, slot)
            if as_json:
                of = {"slot": slot} if slot else {}
                print_json(_line(file, key, does, f"{subject}: {why}" if subject else why) | of)
            rows.append((unambiguous_name(label), does, printable_name(why)))
    if not as_json:
        console = wide_console()
        _print_rows(console, rows)
        total = ", ".join(f"{counts[does]:,} {_WOULD[does]}" for does in _WOULD if counts[does])
        slots = set().union(*rows_of.values())
        bundles = f", each by {len(slots)} bundles," if len(slots) > 1 else ""
        # A container that one bundle cannot read at all is one row of it, and a row an image of the others.
        images = sum(max(rows.values()) for rows in rows_of.values())
        console.print(f"\n{counted(images, 'image')}{bundles} would be: {total}")
        place = f"below {output_dir}" if output_dir else "beside the raw files"
        console.print(shown(f"Results would go {place}. Nothing was judged or written: --dry-run."))
    if closed := closed_folders(files):
        words = f"{counted(len(closed), 'folder')} for results cannot be written to ({closed[0]})"
        error_console().print(shown(words), soft_wrap=True)


def _print_rows(console: PrintableConsole, rows: Sequence[tuple[str, str, str]]) -> None:
    """Print a row for each image; the reasons stand once below, with the number of their images."""
    images = Counter(why for _, _, why in rows)
    marks = {why: why if console.is_piped else str(number) for number, why in enumerate(images, 1)}
    cells = [[Text(name), Text(_WOULD[does], _COLOUR[does]), Text(marks[why])] for name, does, why in rows]
    print_named(console, ["image", "would be", "why"], cells, right=[])
    if not console.is_piped:
        console.print()
        for why, count in images.items():
            print_words(console, Text(f"{counted(count, 'image')}: {why}"), 4, Text(marks[why]))


def _line(file: InputFile, key: str, does: str, why: str) -> dict[str, str]:
    return {
        "path": unambiguous_name(file.path),
        "image_key": printable_name(key),
        "would_be": _WOULD[does],
        "why": printable_name(why),
        "results": printable_name(str(file.folder)),
    }
