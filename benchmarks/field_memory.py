"""How much memory does an image take that a U-Net sees in windows, at several heights of one width?

usage: python benchmarks/field_memory.py [--rows 2048 4096 8192] [--width 2048] [--json FILE]

Each measurement is a process of its own. `field` is `Engine.field` alone, on planes that are there: its own
memory is the highest resident memory while it runs, above that before it, without what it returns. `run` is
the whole program, `colvi-edge run` of a TIFF, by its highest resident memory; what it takes for a pixel more
is the slope between the heights, of which the planes are a part. And `equal` compares the windows with the
whole image where that is taken as one window. The U-Net (depth 3, base 8) is untrained: that changes no byte.
Linux only; torch makes the network, in a process that is not measured.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

WINDOWS = {"px": 544, "halo_px": 48, "step_px": 8}
"""Of a U-Net of depth 3, whose reach is 46 pixels."""

CHANNELS = ("collagen", "nuclei")
ENGINES = ("openvino", "onnxruntime")


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2048, 4096, 8192])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--child", nargs=4, metavar=("WHAT", "BUNDLE", "ENGINE", "ROWS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.child:
        what, bundle, engine, rows = options.child
        print(json.dumps(_CHILDREN[what](bundle, engine, (1, 2, int(rows), options.width))))
        return
    from colvi_edge.bench.measuring.machine import describe

    with tempfile.TemporaryDirectory(prefix="colvi-edge-memory-") as made:
        folder = Path(made)
        tiled, whole = folder / "tiled.colvi", folder / "whole.colvi"
        _write_bundles(tiled, whole)
        record: dict[str, Any] = {
            "machine": describe(folder).model_dump(),
            "network": "U-Net, depth 3, base 8, untrained, fp32",
            "windows": WINDOWS,
            "width_px": options.width,
            "field": [
                _child("field", tiled, name, rows, options.width) for name in ENGINES for rows in options.rows
            ],
            "equal": [_child("equal", tiled, name, options.rows[0], options.width) for name in ENGINES],
            "run": [_run(folder, tiled, rows, options.width) for rows in options.rows],
        }
    ends = record["run"][0], record["run"][-1]
    grown = ends[1]["peak_bytes"] - ends[0]["peak_bytes"]
    pixels = options.width * (options.rows[-1] - options.rows[0])
    record["run_bytes_a_pixel"] = {"planes": 4, "above_the_planes": grown / pixels - 4}
    _print(record)
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


def _print(record: dict[str, Any]) -> None:
    for row in record["field"]:
        own, kept, planes = (row[f"{name}_bytes"] / 2**20 for name in ("own", "kept", "planes"))
        sizes = f"{own:6.1f} MiB of its own, {kept:5.1f} kept, {planes:5.1f} planes"
        print(f"field, {row['engine']:11} {row['rows']:5} rows: {sizes}; {row['seconds']:.1f} s")
    for row in record["equal"]:
        apart = f"{row['largest_difference']:.1e} apart, {row['flips']} flips"
        print(f"equal, {row['engine']:11} {row['rows']:5} rows: {apart}")
    for row in record["run"]:
        peak = f"{row['peak_bytes'] / 2**20:6.1f} MiB"
        print(f"run                {row['rows']:5} rows: {peak}; {row['seconds']:.1f} s")
    print(f"run: {record['run_bytes_a_pixel']['above_the_planes']:.1f} bytes a pixel above the planes")


def _child(what: str, bundle: Path, engine: str, rows: int, width: int) -> dict[str, Any]:
    command: list[str | Path] = [
        sys.executable,
        __file__,
        "--child",
        what,
        str(bundle),
        engine,
        str(rows),
        "--width",
        str(width),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very script
    found: dict[str, Any] = json.loads(done.stdout)
    return {"engine": engine, "rows": rows, **found}


def _field(bundle: str, engine: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what `Engine.field` takes beyond what was there before it."""
    from colvi_edge.bundle import open_bundle
    from colvi_edge.choices import EngineName
    from colvi_edge.engines.opening import open_exactly

    # Unverified, so that it has not run before: compiling and feature maps are part of what is measured.
    one = open_exactly(EngineName(engine), open_bundle(bundle), "fp32", "measuring")
    planes = _planes(shape)
    Path("/proc/self/clear_refs").write_text("5")  # the highest resident memory is that of now
    before, start = _status("VmRSS"), time.perf_counter()
    kept = one.field(planes, _keep)
    seconds = time.perf_counter() - start
    return {
        "planes_bytes": planes.nbytes,
        "kept_bytes": kept.nbytes,
        "own_bytes": _status("VmHWM") - before - kept.nbytes,
        "seconds": seconds,
    }


def _equal(bundle: str, engine: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return how far the windows are from the whole image."""
    from colvi_edge.bundle import open_bundle
    from colvi_edge.engines import open_engine

    planes = _planes(shape)
    paths = Path(bundle), Path(bundle).with_name("whole.colvi")
    tiled, whole = (open_engine(open_bundle(path), engine, "fp32").field(planes) for path in paths)
    return {
        "largest_difference": float(np.abs(tiled - whole).max()),
        "flips": int((tiled.argmax(-1) != whole.argmax(-1)).sum()),
    }


_CHILDREN: dict[str, Callable[[str, str, tuple[int, ...]], dict[str, Any]]] = {
    "field": _field,
    "equal": _equal,
}


def _run(folder: Path, bundle: Path, rows: int, width: int) -> dict[str, Any]:
    """Return the highest memory of the whole program on a raw file, by the kernel's account."""
    import tifffile

    raw = folder / str(rows) / "image.tif"
    raw.parent.mkdir()
    tifffile.imwrite(raw, _planes((2, rows, width)), imagej=True, metadata={"axes": "CYX"})
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "colvi_edge",
        "run",
        raw.parent,
        "--bundle",
        bundle,
        "--engine",
        "openvino",
    ]
    command += ["--precision", "fp32", "--channels", ",".join(CHANNELS)]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {os.waitstatus_to_exitcode(status)}")
    return {"rows": rows, "peak_bytes": used.ru_maxrss * 1024, "seconds": time.perf_counter() - start}


def _planes(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return noise of another brightness in each band of rows, made without a larger array."""
    rng, planes = np.random.default_rng(0), np.empty(shape, np.uint16)
    for number, top in enumerate(range(0, shape[-2], 128)):
        part = planes[..., top : top + 128, :]
        part[...] = rng.integers(50, 200 + 20 * (number % 7), part.shape, np.uint16)
    return planes


def _keep(part: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the class and its probability, as segmentations keep them."""
    second = part[..., 1] > part[..., 0]
    kept = np.empty((*part.shape[:2], 2), np.uint8)
    kept[..., 0] = second
    np.rint(255 * np.where(second, part[..., 1], part[..., 0]), kept[..., 1], casting="unsafe")
    return kept


def _status(name: str) -> int:
    """Return a number of bytes of this process, such as VmRSS."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:")
    )
    return 1024 * int(line.split()[1])


def _write_bundles(tiled: Path, whole: Path) -> None:
    """Write the bundle twice: with windows, and for the image as a whole."""
    import torch

    from colvi_edge.export.converting.onnx import to_onnx
    from colvi_edge.export.networks.unet import UNet

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        UNet(len(CHANNELS), 2, depth=3, base=8, norm="none"), torch.nn.Softmax(1)
    ).eval()
    data = to_onnx(network, len(CHANNELS), 64, dense=True)
    for path, windows in ((tiled, WINDOWS), (whole, {"px": "whole", "step_px": WINDOWS["step_px"]})):
        config = {
            "schema_version": 2,
            "input": {"channels": list(CHANNELS), "normalisation": {"kind": "image"}},
            "windows": windows,
            "task": {"kind": "segment", "classes": ["background", "cell"], "decision": {"rule": "largest"}},
            "quality": "general",
            "precisions": {"fp32": {"file": "fp32.onnx", "purpose": "measuring"}},
        }
        manifest = {"type": "model", "name": "unet", "version": "0", "config": {"colvi_edge": config}}
        files = {"fp32.onnx": data, "bioimageio.yaml": yaml.safe_dump(manifest).encode()}
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
        sums = "".join(
            f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())
        )
        (path / "SHA256SUMS").write_text(sums)


if __name__ == "__main__":
    main()
