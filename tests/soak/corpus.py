"""Files that harm: damaged ones of every kind, hostile ones, and what is no file at all."""

import io
import os
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from colvi_edge.simulate import simulate_planes
from tests.acquisition.tiff.test_hostile import (
    DIRECTORIES,
    LAYOUTS,
    PICTURE,
    SAYINGS,
    build,
    deflated,
    ome,
)
from tests.soak import images


def kinds() -> dict[str, bytes]:
    """Return a whole file of each kind that is read, and of JPEG, of a simulated culture of 256 px."""
    planes = images.drawn(0, 256)
    stack = simulate_planes("control", 3, planes=3, size_px=256)
    grey = (planes >> 7).astype(np.uint8)
    picture = np.stack([np.zeros_like(grey[0]), grey[1], grey[0]], axis=-1)
    plain: Mapping[str, Any] = {"metadata": {"axes": "CYX"}}
    deep: Mapping[str, Any] = {"metadata": {"axes": "ZCYX"}}
    return {
        name: written(array, **options)
        for name, array, options in (
            ("classic", planes, plain),
            ("big", planes, {"bigtiff": True, **plain}),
            ("strips", planes, {"rowsperstrip": 16, **plain}),
            ("tiled", planes, {"tile": (64, 64), **plain}),
            ("lzw", planes, {"compression": "lzw", **plain}),
            ("lzw_predictor", planes, {"compression": "lzw", "predictor": True, **plain}),
            ("deflate", planes, {"compression": "zlib", **plain}),
            ("zstd_tiled", planes, {"compression": "zstd", "tile": (64, 64), **plain}),
            ("float32", planes.astype(np.float32), plain),
            ("imagej", planes, {"imagej": True, **plain}),
            ("imagej_stack", stack, {"imagej": True, **deep}),
            ("ome", planes, {"ome": True, **plain}),
            ("ome_stack", stack, {"ome": True, **deep}),
            ("ome_stack_deflate", stack, {"ome": True, "compression": "zlib", **deep}),
            ("rgb", picture, {"photometric": "rgb", "metadata": None}),
            ("rgb_planar", picture.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
            ("jpeg", picture, {"photometric": "rgb", "compression": "jpeg"}),
        )
    }


def written(array: Any, **options: Any) -> bytes:
    """Return the bytes of a TIFF file that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def damaged(whole: Mapping[str, bytes], places: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, data) of each kind cut, and zeroed to its end, at many places; cut also near the end."""
    for kind, data in whole.items():
        spread = np.linspace(1, len(data), places, endpoint=False).astype(int).tolist()
        for place in (*spread, len(data) - 300, len(data) - 20, len(data) - 1):
            yield f"{kind}_cut_{place}.tif", data[:place]
        for place in spread:
            yield f"{kind}_zeros_{place}.tif", data[:place] + bytes(len(data) - place)


def hostile(outside: Path) -> dict[str, bytes]:
    """Return files that no microscope writes, by name; some refer to a file outside."""
    cases = {f"directory {name}": data for name, (data, *_) in DIRECTORIES.items()}
    for family in (LAYOUTS, SAYINGS):
        for name, (tags, *_) in family.items():
            big = any(kind == 16 for kind, _ in tags.values())
            cases[f"says {name}"] = build({**PICTURE, **tags}, big=big)
    for number, name in enumerate((str(outside), os.path.relpath(outside, "/"), f"../{outside.name}")):
        planes = f'<TiffData IFD="0"><UUID FileName="{name}">urn:uuid:2</UUID></TiffData>'
        cases[f"refers to a file outside {number}"] = build({**PICTURE, **ome(planes)})
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1 << 10)) + packer.flush()
    cases["1 GiB in 1 MB"] = deflated(1 << 14, bomb)
    cases["1 GiB in a small picture"] = deflated(64, bomb)
    cases["is a Leica container"] = b"\x70\x00\x00\x00" + bytes(200)
    cases["is text"] = b"not an image\n" * 20
    safe = {name: "".join(c if c.isalnum() else "_" for c in name) for name in cases}
    return {
        f"hostile_{number:03}_{safe[name]}.tif": data for number, (name, data) in enumerate(cases.items())
    }


def bomb(edge_px: int) -> bytes:
    """Return a square RGB picture that takes little room: all its strips are the same few bytes."""
    rows = 40
    strip = zlib.compress(np.random.default_rng(1).integers(1, 3, (edge_px, 3), np.uint8).tobytes() * rows)
    strips = edge_px // rows
    places = {273: [16] * strips, 279: [len(strip)] * strips}
    layout = {256: [edge_px], 257: [edge_px], 259: [8], 278: [rows], **places}
    return build({**PICTURE, **{tag: (4, values) for tag, values in layout.items()}}, pixels=strip)


def special(outside: Path) -> dict[str, Callable[[Path], object]]:
    """Return what is no regular file, by name, with how to make it; a device needs root."""
    made: dict[str, Callable[[Path], object]] = {
        "pipe.tif": os.mkfifo,
        "link_to_passwd.tif": lambda path: path.symlink_to("/etc/passwd"),
        "link_outside.tif": lambda path: path.symlink_to(outside),
        "link_to_nothing.tif": lambda path: path.symlink_to("nothing.tif"),
        "link_to_itself.tif": lambda path: path.symlink_to(path.name),
        "link_to_zeros.tif": lambda path: path.symlink_to("/dev/zero"),
        "socket.tif": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    }
    if os.geteuid() == 0:
        made["device.tif"] = lambda path: os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero
    return made


def names() -> list[str]:
    """Return names of good images that trip programs up."""
    raw = [
        b"plain.tif",
        b"UPPER.TIF",
        b"Case.tif",
        b"case.tif",
        b"with space.tiff",
        b"=cmd|'calc'!A1.tif",
        b"-rf.tif",
        b"a*.tif",
        b"line\nbreak.tif",
        b"\x1b[31mescape.tif",
        b"not utf-8 \xff\xfe.tif",
        "composed ü.tif".encode(),
        "decomposed u\u0308.tif".encode(),
        "right to left \u202efit.tif".encode(),
        "emoji \U0001f52c.tif".encode(),
        b"%s%n%d.tif",
        b"tilde~0123abcd.tif",
        b"L" * 251 + b".tif",
        "ä".encode() * 124 + b".tif",
        b"x" * 240 + b".tif",
    ]
    return [os.fsdecode(name) for name in raw]
