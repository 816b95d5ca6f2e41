"""colvi-edge's own way from a file to its five files, hashed, synced and renamed.

usage: python benchmarks/own.py BUNDLE
"""

import sys
from pathlib import Path

from serving import Laps, serve

from colvi_edge.acquisition import Refused
from colvi_edge.bundle import open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.pipeline import Diagnoser
from colvi_edge.pipeline.inputs import InputFile


def main() -> None:
    """Answer for `end_to_end.py`."""
    bundle = open_bundle(sys.argv[1])
    engine = open_engine(bundle)
    diagnoser = Diagnoser(bundle, engine)

    def diagnose(raw: Path, folder: Path, laps: Laps) -> None:
        file = InputFile(raw, folder)
        [acquisition] = diagnoser.read(file)
        if isinstance(acquisition, Refused):
            raise acquisition.error
        laps.lap("read")
        judged = diagnoser.judge(acquisition)
        laps.lap("judge")
        diagnoser.write(judged, file)
        laps.lap("write")

    info = engine.info
    packages = ["colvi-edge", "numpy", "tifffile", info.runtime]
    serve(f"colvi-edge: {info.runtime} {info.precision}, five files synced", packages, diagnose)


if __name__ == "__main__":
    main()
