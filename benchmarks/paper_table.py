"""The paper's Table 2 on synthetic cultures: four ways to judge texture, and the CNN, cross-validated.

    python benchmarks/paper_table.py --images 100 --folds 5 --json RECORD.json --html PAGE.html
    python benchmarks/paper_table.py --show RECORD.json

Draws images as `colvi-edge simulate` does, calls `colvi-edge train --folds --baselines` on them, and prints
the table in Markdown. Synthetic figures say nothing of real cultures.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from render_tables import table

from colvi_edge.export.evaluation.record import HEADINGS, METRICS, ComparisonRecord, figure
from colvi_edge.simulate import simulate_folder
from colvi_edge.simulate.culture import DIFFICULTY


def main() -> None:
    """Draw, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=100, help="half of each class")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--difficulty", type=float, default=DIFFICULTY)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--json", type=Path, help="keep the record here")
    parser.add_argument("--html", type=Path, help="keep the page with plots here")
    parser.add_argument("--show", type=Path, metavar="RECORD", help="only print the table of a record")
    given = parser.parse_args()
    record = given.show.read_bytes() if given.show else measure(given)
    if given.json:
        given.json.write_bytes(record)
    print("\n".join(lines(ComparisonRecord.model_validate_json(record))))


def measure(given: argparse.Namespace) -> bytes:
    """Return what `colvi-edge train --json` prints of new images."""
    with tempfile.TemporaryDirectory() as folder:
        cultures = Path(folder) / f"{given.images} synthetic cultures, seed {given.seed}"
        simulate_folder(cultures, given.images, difficulty=given.difficulty, seed=given.seed)
        command = [sys.executable, "-c", "from colvi_edge.cli import main; main()", "train", cultures]
        command += ["-o", Path(folder) / "model.pt", "--folds", given.folds, "--epochs", given.epochs]
        command += ["--baselines", "--json", *(["--html", given.html] if given.html else [])]
        done = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE)  # noqa: S603 - our own
        return done.stdout


def lines(record: ComparisonRecord) -> Iterator[str]:
    """Give the table at both levels, means of the folds with their standard deviation."""
    for title, level in (("patches", "patch"), ("images, by majority", "image")):
        rows = []
        for method in record.methods:
            pooled = getattr(method, level)
            pairs = [(getattr(pooled.mean, name), getattr(pooled.sd, name)) for name in METRICS]
            rows.append([method.name, *(f"{figure(mean)} ± {figure(sd)}" for mean, sd in pairs)])
        yield from table([title, *HEADINGS], rows)
        yield ""


if __name__ == "__main__":
    main()
