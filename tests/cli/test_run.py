"""`colvi-edge run` from the outside: what is written, what is printed, how it ends."""

import csv
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from numpy.typing import NDArray

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.simulate import simulate_planes, simulate_projection, write_imagej
from tests.tools.bundles import edit_config
from tests.tools.results import USUAL, files_of


@pytest.fixture(scope="session")
def cultures() -> dict[str, NDArray[np.uint16]]:
    """One projection of each class, small enough to be quick: 8 x 8 patches."""
    return {label: simulate_projection(label, 11, size_px=512) for label in ("control", "patient")}


def files_in(folder: Path) -> dict[str, str]:
    """Every file below a folder with its hash."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def endless_tiff() -> bytes:
    """A second directory without tags whose next one is itself: it hangs tifffile for ever."""
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, 64), (279, 4, 1, 8192)]
    first = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    header = struct.pack("<2sHI", b"II", 42, 8) + first + struct.pack("<I", 190)
    return header.ljust(190, b"\0") + struct.pack("<HI", 0, 190) + bytes(8500)


def broken_files(folder: Path, good: NDArray[np.uint16]) -> dict[str, str]:
    """Put a dozen differently broken files into a folder; return what each must be refused for."""

    def imagej(name: str, image: NDArray[Any], axes: str) -> Path:
        tifffile.imwrite(folder / name, image, imagej=True, metadata={"axes": axes})
        return folder / name

    whole = imagej("truncated.tif", good, "CYX")
    os.truncate(whole, whole.stat().st_size // 2)
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.tif").write_bytes(b"This is the lab's shopping list, not an image.\n" * 20)
    (folder / "endless.tif").write_bytes(endless_tiff())
    tifffile.imwrite(folder / "pages.tif", good, photometric="minisblack", metadata=None)
    imagej("one_channel.tif", good[0], "YX")
    imagej("small.tif", good[:, :40, :40], "CYX")
    imagej("movie.tif", np.stack([good, good]), "TCYX")
    imagej("four_channels.tif", np.concatenate([good, good]), "CYX")
    spoilt = good.astype(np.float32)
    spoilt[0, 5, 5] = np.nan
    imagej("nan.tif", spoilt, "CYX")
    tifffile.imwrite(folder / "int32.ome.tif", good.astype(np.int32), metadata={"axes": "CYX"})
    huge = imagej("huge.tif", good, "CYX")
    data = bytearray(huge.read_bytes())
    (ifd,) = struct.unpack_from(">I" if data[:2] == b"MM" else "<I", data, 4)
    order = ">" if data[:2] == b"MM" else "<"
    (count,) = struct.unpack_from(f"{order}H", data, ifd)
    for entry in range(ifd + 2, ifd + 2 + 12 * count, 12):
        if struct.unpack_from(f"{order}H", data, entry)[0] in (256, 257):
            struct.pack_into(f"{order}HII", data, entry + 2, 4, 1, 200_000)
    huge.write_bytes(data)
    return {
        "truncated.tif": "incomplete",
        "empty.tif": "incomplete",
        "text.tif": "not_an_image",
        "endless.tif": "incomplete",
        "pages.tif": "axes",
        "one_channel.tif": "channels",
        "small.tif": "too_small",
        "movie.tif": "time_series",
        "four_channels.tif": "channels",
        "nan.tif": "pixel_type",
        "int32.ome.tif": "pixel_type",
        "huge.tif": "too_large",
    }


def test_one_good_and_twelve_broken_files(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """The good one gets its five files, each broken one its reason; nothing else is written or changed."""
    causes = broken_files(tmp_path, cultures["control"])
    write_imagej(tmp_path / "good.tif", cultures["control"])
    raws = files_in(tmp_path)

    code, out, err = run("run", tmp_path, "--bundle", "demo")

    after = files_in(tmp_path)
    written = set(after) - set(raws)
    records = {name: json.loads((tmp_path / f"{name}.colvi.error.json").read_text()) for name in causes}
    assert code == 1
    assert len(causes) == 12
    assert written == files_of("good.tif") | {f"{name}.colvi.error.json" for name in causes}
    assert {name: after[name] for name in raws} == raws
    assert {name: record["error"]["kind"] for name, record in records.items()} == causes
    assert all(record["error"]["message"].startswith(name) for name, record in records.items())
    assert "12 errors" in out
    assert RESEARCH_USE_ONLY in out
    assert "Traceback" not in out + err


def test_every_diagnosis_is_right_and_every_file_listed(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """The sidecar tells what was found and vouches for the other four files by their hashes."""
    for label, image in cultures.items():
        write_imagej(tmp_path / f"{label}.tif", image)

    code, _, _ = run("run", tmp_path, "--bundle", "demo")

    hashes = files_in(tmp_path)
    assert code == 0
    for label in cultures:
        sidecar = json.loads((tmp_path / f"{label}.tif.colvi.json").read_text())
        assert sidecar["diagnosis"] == label
        assert sidecar["image"]["sha256"] == hashes[f"{label}.tif"]
        assert sidecar["image"]["pixel_size_um"] == pytest.approx(0.3, rel=1e-3)
        assert sidecar["patches"]["rows"] * sidecar["patches"]["cols"] == sum(sidecar["votes"].values()) == 64
        assert "synthetic demo model" in sidecar["model"]["name"]
        assert sidecar["intended_use"] == RESEARCH_USE_ONLY
        listed = {output["name"]: output["sha256"] for output in sidecar["outputs"]}
        assert listed == {
            name: hashes[name] for name in files_of(f"{label}.tif") - {f"{label}.tif.colvi.json"}
        }


def test_a_stack_and_its_8_bit_rgb_projection_agree(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    """Ten planes of 16 bit and one RGB picture of 8 bit, one scale for both channels: within 2 points."""
    for seed, label in enumerate(("control", "patient")):
        planes = simulate_planes(label, seed, size_px=512)  # type: ignore[arg-type] # the two names are labels
        write_imagej(tmp_path / f"{seed}_stack.tif", planes)
        nuclei, collagen = planes.sum(axis=0, dtype=np.float64)
        scale = 255 / max(nuclei.max(), collagen.max())
        rgb = np.stack([np.zeros_like(nuclei), collagen * scale, nuclei * scale], axis=-1)
        tifffile.imwrite(tmp_path / f"{seed}_rgb.tif", rgb.round().astype(np.uint8), photometric="rgb")

    code, _, _ = run("run", tmp_path, "--bundle", "demo")

    assert code == 0
    for seed, label in enumerate(("control", "patient")):
        stack, rgb = (
            json.loads((tmp_path / f"{seed}_{kind}.tif.colvi.json").read_text()) for kind in ("stack", "rgb")
        )
        assert stack["image"]["planes"] == 10
        assert stack["diagnosis"] == rgb["diagnosis"] == label
        assert abs(stack["score"] - rgb["score"]) <= 2


def test_the_order_of_channels_can_be_named(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """A file that has collagen first and no names is read right with --channels."""
    tifffile.imwrite(
        tmp_path / "swapped.tif", cultures["control"][::-1].copy(), imagej=True, metadata={"axes": "CYX"}
    )
    write_imagej(tmp_path / "usual.tif", cultures["control"])

    run("run", tmp_path / "swapped.tif", "--bundle", "demo", "--channels", "collagen,nuclei")
    run("run", tmp_path / "usual.tif", "--bundle", "demo")

    swapped, usual = (
        json.loads((tmp_path / f"{name}.tif.colvi.json").read_text()) for name in ("swapped", "usual")
    )
    assert swapped["image"]["channels"] == ["collagen", "nuclei"]
    assert swapped["patches"] == usual["patches"]


def test_channels_that_the_file_names_otherwise_are_told(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """By its ImageJ labels; the record has the order that was named, and a warning with both."""
    labels = {"axes": "CYX", "Labels": ["DAPI", "Collagen VI"]}
    tifffile.imwrite(tmp_path / "x.tif", cultures["control"], imagej=True, metadata=labels)
    told = []
    for order in ("nuclei,collagen", "collagen,nuclei"):
        run("run", tmp_path, "--bundle", "demo", "--channels", order)
        sidecar = json.loads((tmp_path / "x.tif.colvi.json").read_text())
        assert ",".join(sidecar["image"]["channels"]) == order
        told.append([flag["words"] for flag in sidecar["quality"] if flag["name"] == "channels_overruled"])

    assert told[0] == []
    assert "The file says nuclei, collagen; --channels says collagen, nuclei" in told[1][0]


def test_results_can_go_to_another_folder(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """--output-dir mirrors the folders and leaves those of the raw files as they are."""
    raws, results = tmp_path / "raws", tmp_path / "results"
    (raws / "monday").mkdir(parents=True)
    write_imagej(raws / "monday" / "x.tif", cultures["control"])
    before = files_in(raws)

    code, _, _ = run("run", raws, "--bundle", "demo", "--output-dir", results)

    assert code == 0
    assert files_in(raws) == before
    assert set(files_in(results)) == files_of("monday/x.tif")


def test_running_again_changes_nothing_but_times(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """Equal work gives an equal result id and equal files; a changed raw file is the next revision."""
    raw, sidecar = tmp_path / "x.tif", tmp_path / "x.tif.colvi.json"
    write_imagej(raw, cultures["control"])
    run("run", raw, "--bundle", "demo")
    first, hashes = json.loads(sidecar.read_text()), files_in(tmp_path)
    run("run", raw, "--bundle", "demo")
    second = json.loads(sidecar.read_text())
    unchanged = files_in(tmp_path)
    write_imagej(raw, cultures["patient"])
    run("run", raw, "--bundle", "demo")
    third = json.loads(sidecar.read_text())

    assert {n: h for n, h in hashes.items() if n != sidecar.name} == {
        n: h for n, h in unchanged.items() if n != sidecar.name
    }
    assert json.loads((tmp_path / "x.tif.colvi.prev.json").read_text()) == second
    assert [r["revision"] for r in (first, second, third)] == [1, 1, 2]
    assert first["result_id"] == second["result_id"] != third["result_id"]


def test_an_error_replaces_a_result_and_the_other_way_round(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """Beside a raw file there is a result or an error record, never both."""
    raw = tmp_path / "x.tif"
    write_imagej(raw, cultures["control"])
    run("run", raw, "--bundle", "demo")
    good = set(files_in(tmp_path))
    raw.write_bytes(raw.read_bytes()[:-5000])
    run("run", raw, "--bundle", "demo")
    bad = set(files_in(tmp_path))
    write_imagej(raw, cultures["control"])
    run("run", raw, "--bundle", "demo")

    assert bad == {"x.tif", "x.tif.colvi.error.json", "x.tif.colvi.prev.json"}
    assert set(files_in(tmp_path)) == good | {"x.tif.colvi.prev.json"}


def test_a_rejected_image_is_a_result_without_diagnosis(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """No nuclei recorded: an overlay and a sidecar that say why, no tables, and no failure."""
    empty = cultures["control"].copy()
    empty[0] = 0
    write_imagej(tmp_path / "x.tif", empty)

    code, out, _ = run("run", tmp_path, "--bundle", "demo")

    sidecar = json.loads((tmp_path / "x.tif.colvi.json").read_text())
    assert code == 0
    assert "1 rejected" in out
    assert set(files_in(tmp_path)) == {"x.tif", "x.tif.colvi.json", "x.tif.colvi.png"}
    assert sidecar["status"] == "rejected"
    assert not {"diagnosis", "score", "votes", "patches"} & set(sidecar)
    assert sidecar["quality"][0]["name"] == "nuclei_constant"


def test_json_prints_a_record_a_line(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """A program reads standard output; nothing else is on it."""
    write_imagej(tmp_path / "a.tif", cultures["control"])
    (tmp_path / "b.tif").write_bytes(b"")

    code, out, _ = run("run", tmp_path, "--bundle", "demo", "--json")

    good, bad = map(json.loads, out.splitlines())
    assert code == 1
    assert good.pop("path") == "a.tif"
    assert good == json.loads((tmp_path / "a.tif.colvi.json").read_text())
    assert bad["path"] == "b.tif"
    assert bad["error"]["kind"] == "incomplete"


def test_the_published_programs_table_is_a_view_of_the_sidecars(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """Its three columns, every result of the folder, also those of earlier runs."""
    for label, image in cultures.items():
        write_imagej(tmp_path / f"{label}.tif", image)
    run("run", tmp_path / "control.tif", "--bundle", "demo")
    table = tmp_path / "result.csv"

    run("run", tmp_path / "patient.tif", "--bundle", "demo", "--result-csv", table)

    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image_name"], row["prediction"]) for row in rows] == [
        ("control.tif", "control"),
        ("patient.tif", "patient"),
    ]
    for row in rows:
        score = json.loads((tmp_path / f"{row['image_name']}.colvi.json").read_text())["score"]
        assert row["probability"] == f"{score / 100:.3f}"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.tif", "--bundle", "demo"], 2, "nowhere.tif is not there"),
        (["--bundle", "demo", "."], 2, "found no .tif, .tiff or .lif file below ., but nothing at all"),
        (["x.tif", "--bundle", "nowhere"], 4, "nowhere is not a folder"),
        (["x.tif", "--bundle", "demo", "--limit", "pixels=many"], 2, "--limit pixels=many"),
        (
            ["x.tif", "--bundle", "demo", "--limit", "pixles=1"],
            2,
            "limit pixles=1: expected one of file_bytes, pixels",
        ),
        (["x.tif", "--bundle", "demo", "--channels", "red,green"], 2, "--channels"),
    ],
)
def test_wrong_options_are_one_sentence_and_an_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cultures: dict[str, NDArray[np.uint16]],
    run: Callable[..., tuple[int, str, str]],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """Found, expected, remedy on standard error; no traceback, nothing written."""
    monkeypatch.chdir(tmp_path)
    if "x.tif" in arguments:
        write_imagej(tmp_path / "x.tif", cultures["control"])
    before = files_in(tmp_path)

    found, out, err = run("run", *arguments)

    assert found == code
    assert words in err
    assert err.startswith("colvi-edge: error: ")
    assert err.count("\n") == 1
    assert out == ""
    assert files_in(tmp_path) == before


def test_a_changed_bundle_ends_with_exit_4(
    copied_bundle: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    """The file that was changed is named."""
    (tmp_path / "x.tif").touch()
    with (copied_bundle / "fp32.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\xfe")

    code, _, err = run("run", tmp_path / "x.tif", "--bundle", copied_bundle)

    assert code == 4
    assert "fp32.onnx was changed" in err


def test_options_are_read_from_the_environment(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """A service is configured without a command line."""
    write_imagej(tmp_path / "x.tif", cultures["control"])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COLVI_EDGE_BUNDLE", "demo")
        environment.setenv("COLVI_EDGE_ENGINE", "onnxruntime")
        code, _, _ = run("run", tmp_path)

    assert code == 0
    assert json.loads((tmp_path / "x.tif.colvi.json").read_text())["engine"]["runtime"] == "onnxruntime"


def test_every_option_has_its_variable() -> None:
    """COLVI_EDGE_<OPTION>; where an option means something else, or is for once, with the command's name."""
    import typer.main

    from colvi_edge.cli import app

    of_model = {"--network", "--classes", "--outputs", "--activation", "--normalisation"}
    own = {
        "export": None,  # all of them but --quiet
        "train": {
            *("--output", "--folds", "--baselines", "--seed", "--epochs", "--learning-rate", "--html"),
            *("--input", "--classes"),
        },
        "evaluate": {"--html", *of_model},
        "explain": {"--model", "--patch", *of_model},
        "report": {"--output"},
        "table": {"--output"},
        "doctor": {"--image"},
        "bench": {"--rounds", "--idle", "--peers", "--check", "--budget-ms", "--compare", "--json", "--html"},
    }
    group = typer.main.get_command(app)
    for command in group.commands.values():  # type: ignore[attr-defined] # it is a group
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                flag = next(name for name in option.opts if name.startswith("--"))
                named = own.get(command.name, set())
                is_own = flag in named if named is not None else flag != "--quiet"
                word = f"{command.name.upper()}_" if is_own else ""
                if flag in ("--yes", "--purge", "--force"):
                    assert option.envvar is None, flag  # a forgotten variable agrees to no loss
                    continue
                assert option.envvar == f"COLVI_EDGE_{word}{flag[2:].upper().replace('-', '_')}", flag


def test_a_folder_that_cannot_be_written_is_an_error_without_a_traceback(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """The result folder is a file: said once, and the option is wrong, not the raw file."""
    write_imagej(tmp_path / "x.tif", cultures["control"])
    (tmp_path / "results").write_text("in the way")

    code, out, err = run("run", tmp_path / "x.tif", "--bundle", "demo", "--output-dir", tmp_path / "results")

    assert (code, out) == (2, "")
    assert err.count("results") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", [*USUAL, "error.json"])
def test_a_folder_in_the_way_is_named(
    tmp_path: Path,
    run: Callable[..., tuple[int, str, str]],
    cultures: dict[str, NDArray[np.uint16]],
    kind: str,
) -> None:
    """With exit code 1 and an error record, or a result where nothing of that was in the way."""
    write_imagej(tmp_path / "x.tif", cultures["control"])
    write_imagej(tmp_path / "y.tif", cultures["control"])
    folder = tmp_path / f"x.tif.colvi.{kind}"
    folder.mkdir()

    code, out, _ = run("run", tmp_path, "--bundle", "demo", "--json")

    records = {record["path"]: record for record in map(json.loads, out.splitlines())}
    assert records["y.tif"]["status"] == "ok"
    if kind == "error.json":
        assert (code, records["x.tif"]["status"]) == (0, "ok")
        return
    assert code == 1
    told = records["x.tif"]["error"]
    assert told["kind"] == "blocked_output"
    assert f"{tmp_path}: Is a directory; a folder named {folder.name} is in the way" in told["message"]
    written = json.loads((tmp_path / "x.tif.colvi.error.json").read_bytes())
    assert written["error"] == told
    (tmp_path / "x.tif.colvi.error.json").unlink()
    (tmp_path / "x.tif.colvi.error.json").mkdir()
    code, out, _ = run("run", tmp_path / "x.tif", "--bundle", "demo")
    assert code == 1
    assert "x.tif.colvi.error.json is in the way" in " ".join(out.split())


def test_a_name_that_is_no_text_is_judged_like_any_other(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """Bytes that are not UTF-8, and a line break: five files, readable JSON, and the next file too."""
    odd = os.fsdecode(b"lat\xe9n\n.tif")
    for name in (odd, "next.tif"):
        write_imagej(tmp_path / name, cultures["control"])

    code, out, _ = run("run", tmp_path, "--bundle", "demo", "--json")

    assert code == 0
    assert [json.loads(line)["image"]["name"] for line in out.splitlines()] == [
        r"lat\udce9n\n.tif",
        "next.tif",
    ]
    assert all((tmp_path / name).is_file() for name in files_of(odd))
    assert json.loads((tmp_path / f"{odd}.colvi.json").read_bytes())["status"] == "ok"


def test_an_assumed_order_of_channels_is_told(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """Two channels without names are nuclei, collagen; a result says so where they do not show it."""
    raw = tmp_path / "x.tif"
    nuclei = cultures["control"][0]
    kept_in_them = np.random.default_rng(0).poisson(nuclei).astype(np.uint16)
    tifffile.imwrite(raw, np.stack([nuclei, kept_in_them]), imagej=True, metadata={"axes": "CYX"})

    run("run", raw, "--bundle", "demo")
    assumed = json.loads((tmp_path / "x.tif.colvi.json").read_text())
    run("run", raw, "--bundle", "demo", "--channels", "nuclei,collagen")
    told = json.loads((tmp_path / "x.tif.colvi.json").read_text())

    assert "channels_assumed" in {flag["name"] for flag in assumed["quality"]}
    assert "channels_assumed" not in {flag["name"] for flag in told["quality"]}
    assert assumed["patches"] == told["patches"]


def test_channels_of_another_assay_get_an_error_record_and_odd_colours_a_flag(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """Collagen IV is never judged as VI; collagen VI that is shown in blue is, and the record says so."""
    for name, stain in (("iv.ome.tif", "Collagen IV (AF488)"), ("vi.ome.tif", "Collagen VI (AF488)")):
        channel = {"Name": ["DAPI", stain], "Color": [0x00FF00FF, 0x0000FFFF]}
        tifffile.imwrite(
            tmp_path / name, cultures["control"], ome=True, metadata={"axes": "CYX", "Channel": channel}
        )

    code, _, _ = run("run", tmp_path, "--bundle", "demo")
    refused = json.loads((tmp_path / "iv.ome.tif.colvi.error.json").read_text())
    judged = json.loads((tmp_path / "vi.ome.tif.colvi.json").read_text())

    assert code == 1
    assert "the file names another collagen than VI" in refused["error"]["message"]
    assert judged["image"]["channels"] == ["nuclei", "collagen"]
    assert judged["diagnosis"] == "control"
    assert "colours_disagree" in {flag["name"] for flag in judged["quality"]}


def test_pixels_that_the_network_was_not_made_for_are_an_error_record(
    tmp_path: Path,
    cultures: dict[str, NDArray[np.uint16]],
    make_bundle: Callable[..., tuple[Any, Any]],
    run: Callable[..., tuple[int, str, str]],
) -> None:
    """A network that divides 8-bit pixels by 255 does not judge 16-bit ones, and nothing stops for it."""
    bundle, _ = make_bundle(kind="scale", divisor=255.0, dtype="uint8")
    write_imagej(tmp_path / "culture.tif", cultures["control"])
    code, _, err = run("run", "--bundle", bundle.path, tmp_path)
    error = json.loads((tmp_path / "culture.tif.colvi.error.json").read_text(encoding="utf-8"))["error"]

    assert code == 1
    assert err == ""
    assert error["kind"] == "pixel_type"
    assert "the network was made for uint8" in error["message"]


def test_a_device_is_no_image(run: Callable[..., tuple[int, str, str]]) -> None:
    """Named by mistake, nothing is written beside it."""
    code, _, err = run("run", "/dev/null", "--bundle", "demo")

    assert code == 2
    assert "neither a file nor a folder" in err
    assert not Path("/dev/null.colvi.error.json").exists()


@pytest.mark.parametrize("arguments", [["simulate", "/proc/nowhere"], ["demo", "/proc/nowhere"]])
def test_a_place_that_cannot_be_written_is_one_sentence(
    arguments: list[str], run: Callable[..., tuple[int, str, str]]
) -> None:
    """No traceback where the operator can help himself."""
    code, _, err = run(*arguments)

    assert code == 1
    assert err.startswith("colvi-edge: error: cannot write /proc/nowhere")
    assert err.count("\n") == 1


def test_two_results_never_share_a_name(
    tmp_path: Path, cultures: dict[str, NDArray[np.uint16]], run: Callable[..., tuple[int, str, str]]
) -> None:
    """Two files of one name into one folder is refused before anything is written."""
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
        write_imagej(tmp_path / day / "x.tif", cultures["control"])

    code, _, err = run(
        "run", tmp_path / "monday/x.tif", tmp_path / "tuesday/x.tif",
        "--bundle", "demo", "--output-dir", tmp_path / "out",
    )  # fmt: skip

    assert code == 2
    assert "would both leave" in err
    assert not (tmp_path / "out").exists()


def test_the_demo_is_right_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Six projections and a stack, five files each, every culture right, all five colours on show.

    The nuclei of each are outlined and counted besides, right within 5 % in all.

    Their names tell sample and date, so that the page shows scores over time, of which the patient's rises.
    """
    script = shutil.which("colvi-edge", path=str(Path(sys.executable).parent))
    assert script

    done = subprocess.run(
        [script, "demo", "played"], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    raws = sorted(p for p in (tmp_path / "played").rglob("*.tif") if ".colvi." not in p.name)
    assert [p.parent.name for p in raws] == ["control"] * 3 + ["patient"] * 3 + ["stacks"]
    for raw in raws:
        sidecar = json.loads(Path(f"{raw}.colvi.json").read_text())
        assert all(Path(name).is_file() for name in files_of(str(raw)))
        assert sidecar["diagnosis"] == ("control" if raw.parent.name == "control" else "patient")
        bands = {band for row in sidecar["patches"]["band"] for band in row}
        assert len(bands) == 5 or raw.parent.name == "stacks"
    assert "Right     7 of 7 simulated cultures, the stack included" in done.stdout
    said = re.search(r"(?m)^Nuclei +(\d+) counted where (\d+) were drawn", done.stdout)
    assert said
    counted, drawn = map(int, said.groups())
    assert abs(counted - drawn) <= 0.05 * drawn
    outlined = [json.loads(Path(f"{raw}.synthetic-demo-nuclei.colvi.json").read_text()) for raw in raws]
    assert sum(one["objects"]["count"] for one in outlined) == counted
    assert all("synthetic" in one["model"]["name"] for one in outlined)
    assert all(Path(f"{raw}.synthetic-demo-nuclei.colvi.labels.tif").is_file() for raw in raws)
    assert "synthetic demo model" in done.stdout
    page = (tmp_path / "played" / "report.html").read_text()
    images = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["images"]
    days = ["2026-11-03", "2026-11-10", "2026-11-17"]
    scores = {
        sample: {one["date"]: one["score"] for one in images if one["sample"] == sample and "score" in one}
        for sample in ("C01", "P01", "P02")
    }
    assert [sorted(scores[sample]) for sample in scores] == [days, days, days[2:]]
    assert scores["P01"][days[0]] < scores["P01"][days[1]] < scores["P01"][days[2]] < 50
    assert RESEARCH_USE_ONLY in done.stdout


def test_a_precision_that_failed_the_gate_is_warned_of(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    copied_bundle: Path,
    cultures: dict[str, NDArray[np.uint16]],
) -> None:
    """Once, even quietly; the record says it, too. What was taken by itself has passed."""
    held = yaml.safe_load((copied_bundle / "bioimageio.yaml").read_text())["config"]["colvi_edge"][
        "precisions"
    ]
    for row in held["int8-cpu"]["parity"]:
        row["faults"] = ["95.51% of votes agree, at least 98.50% must"]
    edit_config(copied_bundle, precisions=held)
    (scope := tmp_path / "scope").mkdir()
    for name in "ab":
        write_imagej(scope / f"{name}.tif", cultures["control"])
    doubt = "did not pass on openvino at the export"

    options = ("--bundle", copied_bundle, "--engine", "openvino", "-q")
    code, out, err = run("run", scope, *options, "--precision", "int8")

    assert (code, out) == (0, "")
    assert err.startswith("colvi-edge: warning: int8-cpu of ")
    assert err.count(doubt) == err.count("\n") == 1
    record = json.loads((scope / "a.tif.colvi.json").read_text())
    assert f"was asked for, although it {doubt}" in record["engine"]["reason"]
    assert run("run", scope, *options, "--again") == (0, "", "")
