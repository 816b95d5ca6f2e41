"""What `evaluate` and `train` print of a network that outlines regions, and objects in them."""

from rich.text import Text

from colvi_edge.export.evaluation.mask_figures import FIGURES
from colvi_edge.export.evaluation.mask_record import MasksRecord
from colvi_edge.export.evaluation.record import figure
from colvi_edge.export.pages.masks import HEADINGS, signed
from colvi_edge.printable import counted
from colvi_edge.terminal.console import PrintableConsole
from colvi_edge.terminal.tables import print_named, print_words


def print_masks(console: PrintableConsole, record: MasksRecord) -> None:
    """Print the figures of each class, and of the objects."""
    heads = ["class", "of", *HEADINGS.values()]
    rows = [
        [Text(one.name), Text(words), *(Text(figure(getattr(figures, name))) for name in FIGURES)]
        for one in record.regions
        for words, figures in (
            ("all pixels", one.pooled),
            (f"mean of {counted(one.images, 'image')}", one.mean),
        )
    ]
    print_named(console, heads, rows, right=range(2, len(heads)))
    console.print()
    if record.objects is None:
        return
    all_of, pooled = record.objects, record.objects.pooled
    told = {
        "Objects": f"{pooled.there} there, {pooled.found} found, {pooled.matched} of them matched; count "
        f"{signed(pooled.count_error)}, of an image {figure(all_of.mean_count_error)} in the mean",
        "F1": f"{figure(pooled.f1)} (mean of images {figure(all_of.mean_f1)}), precision "
        f"{figure(pooled.precision)}, recall {figure(pooled.recall)}",
        "AJI": f"{figure(pooled.aji)} (mean of images {figure(all_of.mean_aji)})",
        "Diameter": f"differs by {figure(pooled.diameter_error)} in the mean of pairs",
    }
    for name, words in told.items():
        print_words(console, Text(words), 10, Text(name))
    console.print()
