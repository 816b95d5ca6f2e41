"""The page holds every result that can be trusted, as it was judged; nothing acts in it but its own."""

import base64
import hashlib
import io
import json
import os
import shlex
import shutil
import struct
import zlib
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bands import BANDS
from colvi_edge.bundle import Bundle
from colvi_edge.errors import OutputError, UsageError
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.report import page_of_folder as report_module
from colvi_edge.report.entries import DEMO_MODEL, entry, link
from colvi_edge.report.page_of_folder import Contents, Report
from colvi_edge.report.samples import NamePattern
from colvi_edge.report.thumbnails import SIDE_PX
from colvi_edge.tasks.classify import diagnose

Copy = Callable[..., dict[str, Any]]
TakeApart = Callable[[Path], Any]
HOSTILE = "</script><img src=x onerror=alert(1)><!--\u2028&amp;\u202e\x07'\"${x}"


@pytest.fixture
def page_of(tmp_path: Path, take_apart: TakeApart) -> Callable[..., Any]:
    """Return a function that writes the page of a folder and takes it apart."""

    def make(folder: Path, **settings: Any) -> Any:
        Report(folder, tmp_path / "page" / "report.html", **settings).write()
        return take_apart(tmp_path / "page" / "report.html")

    return make


def test_every_result_is_told_as_it_was_judged(judged: Path, page_of: Callable[..., Any]) -> None:
    """Judged, rejected and unreadable ones: result, score, votes and flags are those of the records."""
    page = page_of(judged)

    assert set(page.images) == {"control.tif", "patient.tif", "rejected.tif", "error.tif"}
    for name in ("control", "patient"):
        record = json.loads((judged / f"{name}.tif.colvi.json").read_text())
        told = page.images[f"{name}.tif"]
        assert told["result"] == record["diagnosis"] == name
        assert f"{told['score']:.1f}" == f"{record['score']:.1f}"
        assert told["votes"] == [record["votes"][vote] for vote in ("control", "patient", "tie")]
        assert told["demo"] is True
    rejected = json.loads((judged / "rejected.tif.colvi.json").read_text())
    flags = [[flag["severity"], flag["name"], flag["words"]] for flag in rejected["quality"]]
    assert page.images["rejected.tif"]["result"] == "rejected"
    assert page.images["rejected.tif"]["flags"] == flags
    assert "score" not in page.images["rejected.tif"]
    error = json.loads((judged / "error.tif.colvi.error.json").read_text())["error"]
    severity, kind, words = page.images["error.tif"]["flags"][0]
    assert (severity, kind) == ("error", error["kind"])
    assert error["message"].endswith(words)
    assert page.data["unread"] == 0


def test_the_name_of_the_demo_is_that_of_the_shipped_bundle(demo_bundle: Bundle) -> None:
    """By it the page warns."""
    assert demo_bundle.name == DEMO_MODEL


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40))
def test_every_patch_is_told_within_its_band(values: list[float]) -> None:
    """Cut after three digits, p_control never shows a value of the band above: 0.8999 is steel blue."""
    p_control = np.array([values], np.float32)
    diagnosis = diagnose(np.stack([p_control, np.float32(1) - p_control], axis=-1))
    shortest = [float(text) for text in p_control.astype(str)[0]]
    sidecar = _sidecar(
        p_control=[shortest],
        p_patient=[[0.5] * len(values)],
        vote=[["tie"] * len(values)],
        band=[[BANDS[band].name for band in diagnosis.band[0]]],
    )
    told = entry(sidecar, "", "x.tif.colvi.json", NamePattern()).shown

    assert told["bands"] == "".join(str(band) for band in diagnosis.band[0])
    thousandths = [int(Decimal(str(p)).scaleb(3).to_integral_value(ROUND_FLOOR)) for p in shortest]
    assert told["p"] == thousandths
    for cut, band in zip(told["p"], diagnosis.band[0], strict=True):
        assert cut / 1000 >= BANDS[band].at_least
        assert band == 0 or cut / 1000 < BANDS[band - 1].at_least


def _sidecar(**patches: Any) -> Sidecar:
    cols = len(patches["band"][0])
    return Sidecar.model_validate(
        {
            "result_id": "12345678-1234-5678-9234-567812345678",
            "status": "ok",
            "diagnosis": "unsure",
            "score": 0,
            "votes": {"control": 0, "patient": 0, "tie": cols},
            "patches": {"size_px": 64, "rows": 1, "cols": cols, **patches},
            "coverage": 1,
            "quality": [],
            "outputs": [],
            "image": {"name": "x.tif"},
            "model": {"name": "m", "version": "1", "sha256": "0" * 64},
            "engine": {"runtime": "r", "version": "1", "precision": "fp32", "device": "d", "reason": "w"},
            "timings_ms": {},
            "software": {"version": "1"},
            "created": "2026-11-20T12:00:00Z",
        }
    )


def test_the_patches_lie_where_the_record_has_them(judged: Path, page_of: Callable[..., Any]) -> None:
    """Row-major from the top left, as every other output."""
    told = page_of(judged).images["patient.tif"]
    patches = json.loads((judged / "patient.tif.colvi.json").read_text())["patches"]
    rows, cols, size_px = told["patches"]

    assert (rows, cols, size_px) == (patches["rows"], patches["cols"], patches["size_px"])
    names = [band.name for band in BANDS]
    for row in range(rows):
        for col in range(cols):
            index = row * cols + col
            assert names[int(told["bands"][index])] == patches["band"][row][col]
            assert told["voted"][index] == patches["vote"][row][col][0]
            assert 0 <= patches["p_control"][row][col] - told["p"][index] / 1000 < 0.001


def test_the_preview_is_the_picture_without_its_caption(judged: Path, page_of: Callable[..., Any]) -> None:
    """The right way round: by another way of making it small, it hardly differs."""
    told = page_of(judged).images["control.tif"]
    size = told["size"]
    with Image.open(judged / "control.tif.colvi.png") as overlay:
        assert overlay.height > size[1]
        expected = overlay.convert("RGB").crop((0, 0, *size)).resize((80, 80), Image.Resampling.BOX)
    with Image.open(io.BytesIO(base64.b64decode(told["preview"].partition(",")[2]))) as preview:
        assert preview.format == "WEBP"
        assert max(preview.size) <= SIDE_PX
        found = preview.convert("RGB").resize((80, 80), Image.Resampling.BOX)

    difference = np.abs(np.asarray(found, float) - np.asarray(expected, float))
    turned = np.abs(np.asarray(found, float) - np.asarray(expected, float).transpose(1, 0, 2))
    assert difference.mean() < 10
    assert difference.mean() < turned.mean() / 3


def test_the_page_needs_nothing_else(judged: Path, page_of: Callable[..., Any]) -> None:
    """No element loads anything, and the policy lets nothing but the page's own style and script act."""
    page = page_of(judged)

    loading = {"src", "href", "srcset", "data", "action", "poster"}
    assert not [(tag, found) for tag, found in page.tags if loading & set(found)]
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "iframe", "object", "embed", "base"})
    policy = next(found["content"] for tag, found in page.tags if "http-equiv" in found)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    style, _, script = page.inside
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["style-src"] == f"'sha256-{hashes[0]}'"
    assert rules["script-src"] == f"'sha256-{hashes[1]}'"
    assert rules["img-src"] == "data: 'self' file:"
    assert "innerHTML" not in script


def test_hostile_words_stay_words(copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path) -> None:
    """In names, folders, flags, models and samples: none becomes an element or ends the script."""
    folder = tmp_path / "results"
    name = HOSTILE.replace("/", "")[:60]
    flag = {"name": HOSTILE, "severity": "warn", "words": HOSTILE * 1000}
    model = {"name": HOSTILE, "version": HOSTILE, "sha256": "0" * 64}
    copy_result("control", folder / f"{name}_2026-11-20.tif", quality=[flag] * 100, model=model)
    copy_result("error", folder / "<b>" / "x.tif", error={"kind": HOSTILE, "message": HOSTILE})
    page = page_of(folder)

    assert [tag for tag, _ in page.tags].count("script") == 2
    assert [tag for tag, _ in page.tags].count("img") == 0
    shown = json.dumps(page.data, ensure_ascii=False)
    assert "<img src=x onerror=alert(1)>" in shown
    assert not {"\u2028", "\u202e", "\x07"} & set(shown)  # which can turn the words of a line round
    (told,) = (one for one in page.data["images"] if one["result"] == "control")
    assert told["date"] == "2026-11-20"
    assert len(told["flags"]) <= 20
    assert all(len(words) < 500 for words in told["flags"][0])


def test_a_long_finding_keeps_its_beginning_and_its_remedy(
    copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path
) -> None:
    """It is what helps that stands at the end."""
    words = f"found {'x' * 1000}; export it again"
    copy_result(
        "error", tmp_path / "results" / "x.tif", error={"kind": "unsafe", "message": f"x.tif: {words}"}
    )
    flag = {"name": "focus", "severity": "warn", "words": words}
    copy_result("control", tmp_path / "results" / "y.tif", quality=[flag])

    for image in page_of(tmp_path / "results").images.values():
        ((_, _, said),) = image["flags"]
        assert said.startswith("found xxx")
        assert said.endswith("xxx; export it again")
        assert " ... " in said
        assert len(said) < 500


def test_nobody_who_looks_at_the_page_is_shown_a_pattern(
    copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path
) -> None:
    """But a name that is understood; where somebody gave a pattern, nothing that may not be true of it."""
    copy_result("control", tmp_path / "results" / "x.tif")
    assert page_of(tmp_path / "results").data["example"] == "P03_2026-11-20_2.tif"
    told = page_of(tmp_path / "results", sample="(?P<sample>P..)(?P<date>.{10})")

    assert told.data["example"] is None
    assert "(?P" not in (tmp_path / "page" / "report.html").read_text()


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=60).filter(lambda name: b"\0" not in name))
def test_a_link_leads_to_the_very_file(name: bytes) -> None:
    """Whatever bytes its name has, and whatever they mean in a URL."""
    url = link(os.fsdecode(name))
    parts = urlsplit(url)

    assert url.isascii()
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert unquote_to_bytes(parts.path) == b"./" + name


def test_links_lead_from_the_page_to_the_overlays(
    copy_result: Copy, tmp_path: Path, take_apart: TakeApart
) -> None:
    """Wherever the page lies."""
    raw = tmp_path / "scope" / "day 1" / "P#1.tif"
    copy_result("control", raw)
    for place in ("scope/report.html", "r.html", "a/b/report.HTM"):
        page = tmp_path / place
        Report(tmp_path / "scope", page).write()
        (told,) = take_apart(page).data["images"]
        where = unquote_to_bytes(told["overlay"]).decode()
        assert Path(os.path.normpath(page.parent / where)) == Path(f"{raw}.colvi.png")


def _png(width: int, height: int, rows: bytes) -> bytes:
    """Return a grey PNG file that claims a size and holds some rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"another file", "not the file that the record lists"),
        (None, "cannot be opened: No such file or directory"),
        ("link", "cannot be opened: "),
        ("pipe", "cannot be opened: "),
        (b"GIF89a but listed", "is damaged"),
        (_png(64, 64, b""), "is damaged"),
        (_png(9000, 9000, b""), "too large for a preview: 9000 x 9000 pixels"),
        (_png(60000, 60000, b""), "is damaged"),  # Pillow itself refuses so much
    ],
)
def test_no_picture_is_shown_that_is_not_the_one_judged(
    copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path, content: "bytes | str | None", why: str
) -> None:
    """A word about it instead, and no link to it; the result is told all the same."""
    raw = tmp_path / "results" / "x.tif"
    overlay = Path(f"{raw}.colvi.png")
    listed = isinstance(content, bytes) and content != b"another file"
    sha256 = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else ""
    outputs = {"outputs": [{"name": overlay.name, "sha256": sha256}]} if listed else {}
    copy_result("control", raw, **outputs)
    if isinstance(content, bytes):
        overlay.write_bytes(content)
    elif content == "link":
        overlay.rename(tmp_path / "moved.png")
        overlay.symlink_to(tmp_path / "moved.png")
    else:
        overlay.unlink()
        if content == "pipe":
            os.mkfifo(overlay)
    told = page_of(tmp_path / "results").images["x.tif"]

    assert why in told["missing"]
    assert "preview" not in told
    assert "overlay" not in told
    assert told["result"] == "control"


def test_what_is_no_record_is_not_shown(
    copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path
) -> None:
    """A container's index is passed over, others are counted; links and hidden folders are not followed."""
    folder = tmp_path / "results"
    record = copy_result("control", folder / "sub" / "good.tif")
    copy_result("control", folder / ".hidden" / "x.tif")
    copy_result("control", tmp_path / "outside" / "x.tif")
    (folder / "outside").symlink_to(tmp_path / "outside")
    (folder / "linked.tif.colvi.json").symlink_to(folder / "sub" / "good.tif.colvi.json")
    (folder / "X.lif.colvi.json").write_text('{"schema": "colvi-edge.index/1"}')
    (folder / "sub" / "good.tif.colvi.prev.json").write_text(json.dumps(record))  # what it replaced
    copy_result(
        "control",
        folder / "X.lif.0003-Series004",
        image={**record["image"], "name": "X.lif", "key": "0003-Series004"},
    )
    (folder / "broken.tif.colvi.json").write_text("{")
    (folder / "broken.tif.colvi.error.json").write_bytes(b"{" * 2**21)
    with (folder / "huge.tif.colvi.json").open("wb") as huge:
        huge.truncate(2**26)
    deep = folder.joinpath(*["d"] * 70)
    copy_result("control", deep / "deep.tif")
    page = page_of(folder)

    assert set(page.images) == {"good.tif", "X.lif.0003-Series004"}
    assert page.images["good.tif"]["folder"] == "sub"
    assert page.data["unread"] == 4


def test_a_folder_that_is_closed_is_counted(
    copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in it is not passed over without a word; to root, who may run this, nothing is closed."""
    copy_result("control", tmp_path / "results" / "open" / "x.tif")
    copy_result("control", tmp_path / "results" / "closed" / "x.tif")
    really = os.open

    def refusing(path: Any, *more: Any, **named: Any) -> int:
        if path == "closed":
            raise PermissionError(13, "Permission denied", path)
        return really(path, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    page = page_of(tmp_path / "results")

    assert [one["folder"] for one in page.data["images"]] == ["open"]
    assert page.data["unread"] == 1


def test_the_images_of_a_container_take_sample_and_date_from_their_name_or_its(
    copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path
) -> None:
    """The number that LAS X gave a series is no part of a sample."""
    folder = tmp_path / "results"
    image = copy_result("control", folder / "x.tif")["image"]
    for number, (name, key) in enumerate(
        [("day.lif", "0001-P3 2026-11-20"), ("P4_2026-11-21.lif", "0002-Series001")]
    ):
        copy_result("control", folder / str(number), image={**image, "name": name, "key": key})
    told = {one.get("sample"): one.get("date") for one in page_of(folder).data["images"]}

    assert told == {None: None, "P3": "2026-11-20", "P4": "2026-11-21"}


def test_only_so_much_goes_on_one_page(
    copy_result: Copy, page_of: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest images, of them the newest with a preview; the others are counted or linked."""
    monkeypatch.setattr(report_module, "MAX_IMAGES", 4)
    monkeypatch.setattr(report_module, "MAX_THUMBNAILS", 2)
    folder = tmp_path / "results"
    for hour in (5, 1, 3, 2, 4, 0):
        copy_result("patient", folder / f"{hour}.tif", created=f"2026-11-20T0{hour}:00:00Z")
    page = page_of(folder)

    assert [one["name"] for one in page.data["images"]] == ["5.tif", "4.tif", "3.tif", "2.tif"]
    assert ["preview" in one for one in page.data["images"]] == [True, True, False, False]
    assert all("overlay" in one for one in page.data["images"])
    assert page.data["left_out"] == 2


def test_another_page_costs_what_changed(
    copy_result: Copy, tmp_path: Path, take_apart: TakeApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is as it was is neither read nor made small again; what changed or went away is seen."""
    folder, page = tmp_path / "results", tmp_path / "report.html"
    for name in ("a", "b", "c"):
        copy_result("control", folder / f"{name}.tif")
    report = Report(folder, page)
    assert report.write() == 3
    opened: list[str] = []
    really = os.open

    def noted(path: Any, *more: Any, **named: Any) -> int:
        opened.append(str(path))
        return really(path, *more, **named)

    monkeypatch.setattr(os, "open", noted)
    assert report.write() == 3
    assert not [path for path in opened if "colvi.json" in path or "colvi.png" in path]
    before = take_apart(page).images
    copy_result("patient", folder / "b.tif")
    shutil.copy(folder / "b.tif.colvi.png", folder / "a.tif.colvi.png")
    (folder / "c.tif.colvi.json").unlink()
    opened.clear()
    assert report.write() == 2

    after = take_apart(page).images
    assert after["b.tif"]["result"] == "patient"
    assert after["b.tif"]["preview"] != before["b.tif"]["preview"]
    assert "not the file that the record lists" in after["a.tif"]["missing"]
    read = {Path(path).name for path in opened if "colvi." in path and not path.endswith(".tmp")}
    assert read == {"b.tif.colvi.json", "b.tif.colvi.png", "a.tif.colvi.png"}


def test_a_page_takes_no_other_files_place(judged: Path, tmp_path: Path) -> None:
    """Neither a raw file's nor a result's; nor does it go where nothing can be written."""
    for name in ("X.tif", "X.tif.colvi.json", "report"):
        with pytest.raises(UsageError, match=r"expected a name that ends in \.html"):
            Report(judged, tmp_path / name)
    with pytest.raises(UsageError, match="cannot be listed: No such file or directory; give a folder"):
        Report(tmp_path / "nowhere", tmp_path / "r.html").write()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write r\.html into"):
        Report(judged, tmp_path / "file" / "r.html").write()


HEAD_OF_0_1_0 = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-A='">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>colvi-edge report: day</title>
"""


def test_only_a_report_is_overwritten(judged: Path, tmp_path: Path) -> None:
    """Of this and of earlier versions, and an empty file; whatever else has the name stays as it is."""
    page = tmp_path / "report.html"
    for _ in range(2):
        assert Report(judged, page).write() == 4
    for content in ("", HEAD_OF_0_1_0):
        page.write_text(content)
        assert Report(judged, page).write() == 4
        assert page.stat().st_size > 10_000
    others = ("<title>My own colvi-edge report: hands off</title>", "P03", " " * 5000 + HEAD_OF_0_1_0)
    for content in others:
        page.write_text(content)
        with pytest.raises(
            UsageError, match=r"report\.html is no report of colvi-edge .* another name, or move"
        ):
            Report(judged, page).write()
        assert page.read_text() == content
    page.unlink()
    os.mkfifo(page)
    with pytest.raises(UsageError, match="is no report"):
        Report(judged, page).write()


def test_a_link_is_replaced_and_its_target_stays(judged: Path, tmp_path: Path) -> None:
    """As every other file that is written; a folder in the way is told of by who writes."""
    page, target = tmp_path / "report.html", tmp_path / "mine.txt"
    target.write_text("mine")
    page.symlink_to(target)
    Report(judged, page).write()

    assert target.read_text() == "mine"
    assert not page.is_symlink()
    page.unlink()
    page.mkdir()
    with pytest.raises(OutputError, match=r"a folder named report\.html is in the way"):
        Report(judged, page).write()


def test_what_cannot_be_looked_at_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be anything; to root, who may run this, nothing is closed."""

    def refusing(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(
        UsageError, match="cannot be looked at: Permission denied; give the page another name"
    ):
        refuse_other(Named.REPORT, tmp_path / "report.html")


def test_a_folder_without_results_gets_no_page(tmp_path: Path) -> None:
    """Who named the wrong folder finds no litter in it; what cannot be read is worth a page."""
    page = tmp_path / "report.html"
    with pytest.raises(UsageError, match=r"found no result in .* --output-dir named"):
        Report(tmp_path, page).write()
    assert not page.exists()
    (tmp_path / "x.tif.colvi.json").write_text("{")
    assert Report(tmp_path, page).write() == 0


def test_who_makes_the_page_is_told_where_it_is_and_what_would_better_it(
    copy_result: Copy, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    """By default among the results; what is to be copied stands on a line of its own, fit for a shell."""
    folder = tmp_path / "a day"
    copy_result("control", folder / "P03_2026-11-20_1.tif")
    page = folder / "report.html"
    assert run("report", folder) == (
        0,
        f"1 image on one page: {page}\nOpen it in a browser:\n{page.as_uri()}\n",
        "",
    )
    assert f"\n{page.as_uri()}\n" in run("report", folder / ".." / "a day")[1]
    copy_result(
        "patient", folder / "20261121_P03_1.tif", model={"name": "n", "version": "2", "sha256": "1" * 64}
    )
    copy_result("error", folder / "x.tif")
    other = tmp_path / "x y.html"
    said = run("report", folder, "-o", other)[1].splitlines()

    assert max(map(len, (line for line in said if str(tmp_path) not in line))) < 80
    text = " ".join(said)
    assert (
        "2 of 3 images are left out of the scores over time: their names do not tell sample and date" in text
    )
    assert "of 2 models, whose scores do not compare" in text
    assert "It takes the place of the usual form: names such as P03_2026-11-20_2.tif are then not" in text
    command, again = (line for line in said if line.startswith("colvi-edge"))
    assert again == f"colvi-edge run '{folder}' --bundle MODEL.colvi --stale"
    code, out, _ = run(*shlex.split(command)[1:])
    assert code == 0
    assert str(other) in out
    assert "2 of 3 images are left out" in out  # it is the other that this pattern understands
    assert "--sample finds no sample" in out
    assert "(?P" not in out


def test_the_contents_of_a_page_are_counted(copy_result: Copy, tmp_path: Path) -> None:
    """A model by its hash: that of an error nobody knows."""
    for number, digit in enumerate("0012"):
        model = {"name": "m", "version": "1", "sha256": digit * 64}
        copy_result("control", tmp_path / f"P1_2026-11-2{number}.tif", model=model)
    copy_result("error", tmp_path / "x.tif")
    (tmp_path / "y.tif.colvi.json").write_text("{")
    report = Report(tmp_path, tmp_path / "report.html")
    report.write()

    assert report.contents == Contents(5, unread=1, undated=1, models=3, example="P03_2026-11-20_2.tif")


def test_it_says_what_it_is_for(judged: Path, tmp_path: Path) -> None:
    """At the top, at the end and beside every picture, in the page itself and not by its script."""
    Report(judged, tmp_path / "r.html").write()
    text = (tmp_path / "r.html").read_text()

    assert text.partition("<script")[0].count(f">{RESEARCH_USE_ONLY}<") == 3
