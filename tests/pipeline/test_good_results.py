"""What was judged outlasts whatever goes wrong later, and gives way to nothing but another judgement.

Each case is tried on a folder with a diagnosis, a rejected image and a container of two images and one that
is none of the assay: through the command line with every option, and with every kind of error.
"""

import inspect
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer.main

from colvi_edge import errors
from colvi_edge.acquisition import Limits, acquire_opened
from colvi_edge.bundle import Bundle, demo_path, open_bundle
from colvi_edge.choices import Replace
from colvi_edge.cli import app
from colvi_edge.engines import Engine, open_engine
from colvi_edge.errors import AcquisitionError, ColviEdgeError, OutputError
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.sidecar import Index
from colvi_edge.pipeline import Diagnoser, Outcome, process
from colvi_edge.pipeline import diagnoser as pipeline
from colvi_edge.pipeline.inputs import InputFile, find_inputs
from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.system.atomic import Drafts
from tests.cli.test_run import broken_files
from tests.tools.bundles import rename
from tests.tools.leica import Series, container
from tests.tools.results import USUAL

Run = Callable[..., tuple[int, str, str]]
DYES = ("Leica/DAPI", "Leica/FITC")
RESULTS = ("good.tif", "rejected.tif", "day.lif.0001-first", "day.lif.0002-second")
RAWS = ("good.tif", "rejected.tif", "day.lif")


# --- what is tried on


@pytest.fixture(scope="module")
def engine(demo_bundle: Bundle) -> Iterator[Engine]:
    """Return the demo's engine."""
    with closing(open_engine(demo_bundle, "openvino", "fp32")) as opened:
        yield opened


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, demo_bundle: Bundle, engine: Engine) -> Path:
    """Return a folder of good results."""
    folder = tmp_path_factory.mktemp("judged")
    first, second = (simulate_planes("control", seed, planes=2, size_px=256) for seed in (1, 2))
    write_imagej(folder / "good.tif", first)
    write_imagej(folder / "rejected.tif", np.full_like(first, 7))
    series = [Series(planes, name=name, dyes=DYES) for planes, name in ((first, "first"), (second, "second"))]
    overview = Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview")
    (folder / "day.lif").write_bytes(container(overview, *series).data)
    outcomes = list(process(Diagnoser(demo_bundle, engine), find_inputs([folder])))
    status = {name: json.loads((folder / f"{name}.colvi.json").read_bytes())["status"] for name in RESULTS}
    assert status == dict.fromkeys(RESULTS, "ok") | {"rejected.tif": "rejected"}
    assert [outcome.image_key for outcome in outcomes if isinstance(outcome.result, ColviEdgeError)] == [
        "0000-Overview"
    ]
    return folder


@pytest.fixture
def folder(judged: Path, tmp_path: Path) -> Path:
    """Return a copy of it, in which something may go wrong."""
    return Path(shutil.copytree(judged, tmp_path / "folder"))


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, ours for the moment too."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def of_result(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    """Return the files of one result."""
    return {file: data for file, data in files.items() if file.startswith(f"{name}.colvi.")}


def assert_nothing_lost(
    before: dict[str, bytes], after: dict[str, bytes], *, has_index: bool = True
) -> set[str]:
    """Assert that each result is as it was, or gave way to another and left its JSON; return which stayed.

    Also that beside each raw file there is still one record, the index is true, and nothing half-made lies
    about.
    """
    assert {name: after[name] for name in RAWS} == {name: before[name] for name in RAWS}
    assert not [name for name in after if name.startswith(".")]
    stayed = set()
    for name in RESULTS:
        assert f"{name}.colvi.error.json" not in after
        old, new = before[f"{name}.colvi.json"], json.loads(after[f"{name}.colvi.json"])
        if of_result(before, name) == of_result(after, name):
            stayed.add(name)
        elif new["result_id"] == json.loads(old)["result_id"]:
            assert f"{name}.colvi.prev.json" not in after
        else:
            assert after[f"{name}.colvi.prev.json"] == old
        assert new["status"] in ("ok", "rejected")
        assert new["image"]["sha256"] == json.loads(old)["image"]["sha256"]
        for output in new["outputs"]:
            assert sha256(after[output["name"]]).hexdigest() == output["sha256"]
    assert "day.lif.colvi.error.json" not in after
    if not has_index:
        return stayed
    index = json.loads(after["day.lif.colvi.json"])
    assert [entry["key"] for entry in index["images"]] == ["0000-Overview", "0001-first", "0002-second"]
    for entry in index["images"]:
        assert sha256(after[entry["name"]]).hexdigest() == entry["sha256"]
    return stayed


# --- options


class Try(NamedTuple):
    """An option as somebody gives it.

    Attributes:
        value: None for a flag; "{folder}" is the folder of the results, "{else}" another one.
        code: how the command ends.
        stays: which results are left as they were: all of them, or none, because they are judged again.
    """

    value: str | None
    code: int
    stays: bool = True


LIMITS = ("file_bytes", "pixels", "decoded_bytes", "expansion", "pages", "container_bytes", "images")
TRIES: dict[str, tuple[Try, ...]] = {
    "--bundle": (Try("nowhere", 4), Try("{else}/spoilt.colvi", 4), Try("{folder}", 4), Try("", 4)),
    "--output-dir": (
        Try("{folder}/good.tif", 2),
        Try("{folder}/good.tif.colvi.json", 2),
        Try("{else}/new", 1),  # an image of the container fails there as it did here
    ),
    "--engine": (Try("tensorrt", 3), Try("magic", 2), Try("", 2)),
    "--precision": (Try("fp16", 1, stays=False), Try("int9", 2)),
    "--channels": (
        Try("nuclei,collagen,other", 1),
        Try("other,nuclei,collagen", 1),
        Try("nuclei", 2),
        Try("red,green", 2),
        Try("", 2),
    ),
    "--limit": (
        Try("pixels=10", 1),
        Try("pixels=0", 2),
        Try("pixels", 2),
        Try("pixels=-1", 2),
        Try("", 2),
        Try("pixles=10", 2),
    ),
    "--overlay": (Try("jpeg", 2), Try("ome-tiff", 1, stays=False)),
    "--result-csv": (
        Try("{folder}", 2),
        Try("{folder}/good.tif.colvi.json", 2),
        Try("{folder}/good.tif.colvi.csv", 2),
        Try("{folder}/day.lif", 2),
        Try("{folder}/good.tif/table.csv", 1, stays=False),
        Try("/proc/nowhere/table.csv", 1, stays=False),
    ),
    "--omero-csv": (
        Try("{folder}/rejected.tif.colvi.png", 2),
        Try("{folder}/good.tif", 2),
        Try("/proc/nowhere/table.csv", 1, stays=False),
    ),
    "--report": (
        Try("{folder}/good.tif", 2),
        Try("{folder}/good.tif.colvi.png", 2),
        Try("{folder}", 2),
        Try("{else}/page.html", 1, stays=False),
    ),
    "--sample": (Try("(", 1, stays=False),),  # of the report, which is not asked for
    "--pixel-size-um": (Try("0", 2), Try("0,3", 2), Try("0.9", 1, stays=False)),
    "--dry-run": (Try(None, 0),),
    "--stale": (Try(None, 1),),
    "--again": (Try(None, 1, stays=False),),
    "--json": (Try(None, 1, stays=False),),
    "--quiet": (Try(None, 1, stays=False),),
    "--verbose": (Try(None, 1, stays=False),),
}
"""Every option of `run` with values that are wrong, odd, or just not those that the results came from."""


def test_every_option_of_run_is_tried() -> None:
    """One that is new has to say what it does to results that stand."""
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined] # it is a group
    options = {param.opts[0] for param in command.params if param.param_type_name == "option"}

    assert set(TRIES) == options - {"--help"}
    assert {limit.name for limit in inspect.signature(Limits).parameters.values()} == set(LIMITS)


@pytest.mark.parametrize(
    ("option", "given", "by"),
    [
        (option, given, by)
        for option, tries in TRIES.items()
        for by in ("option", "variable")
        for given in (tries if by == "option" else tries[:1])
    ],
)
def test_no_option_loses_a_result(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, option: str, given: Try, by: str
) -> None:
    """Whatever is given, on the command line or forgotten in the environment."""
    monkeypatch.chdir(tmp_path)
    spoilt = shutil.copytree(demo_path(), tmp_path / "else" / "spoilt.colvi")
    (spoilt / "fp32.onnx").write_bytes(b"spoilt")
    value = (given.value or "1").replace("{folder}", str(folder)).replace("{else}", str(tmp_path / "else"))
    words = [] if option == "--bundle" and by == "option" else ["--bundle", "demo"]
    if by == "variable":
        words = [] if option == "--bundle" else words
        monkeypatch.setenv(f"COLVI_EDGE_{option[2:].upper().replace('-', '_')}", value)
    else:
        words += [option] if given.value is None else [option, value]
    before = contents(folder)

    code, out, err = run("run", folder, *words)

    assert "Traceback" not in out + err
    assert code == given.code
    assert assert_nothing_lost(before, contents(folder)) == (set(RESULTS) if given.stays else set())


@pytest.mark.parametrize("limit", LIMITS)
def test_no_limit_loses_a_result(folder: Path, run: Run, limit: str) -> None:
    """What a file may not ask for is refused, and told; what was judged when it might stays."""
    before = contents(folder)

    code, out, err = run("run", folder, "--bundle", "demo", "--limit", f"{limit}=1")

    assert code == 1
    stayed = assert_nothing_lost(before, contents(folder))
    if limit in ("container_bytes", "images"):
        assert stayed == {"day.lif.0001-first", "day.lif.0002-second"}
        assert contents(folder)["day.lif.colvi.json"] == before["day.lif.colvi.json"]
        assert "1 error: the earlier result of the same content stands" in err
    elif limit != "expansion":  # of which an image that is not compressed needs none
        assert "good.tif" in stayed
    assert "limit" in out or limit == "expansion"


def test_the_accident(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine judged images, and four mistakes: not one of 45 files is lost, or other than it was."""
    folder = tmp_path / "day"
    folder.mkdir()
    for number in range(9):
        write_imagej(folder / f"{number}.tif", simulate_planes("control", number, planes=2, size_px=256))
    assert run("run", folder, "--bundle", "demo")[0] == 0
    before = contents(folder)
    assert len(before) == 9 * (1 + len(USUAL))

    code, out, err = run("run", folder, "--bundle", "demo", "--channels", "nuclei,collagen,other")
    assert (code, contents(folder) == before) == (1, True)
    assert "9 errors" in out
    assert "9 errors: the earlier result of the same content stands" in err
    assert run("run", folder, "--bundle", "demo", "--limit", "pixels=10")[0] == 1
    assert contents(folder) == before
    assert run("run", folder, "--bundle", "demo", "--engine", "tensorrt")[0] == 3
    assert contents(folder) == before
    monkeypatch.setenv("COLVI_EDGE_CHANNELS", "other,nuclei,collagen")
    monkeypatch.setenv("COLVI_EDGE_LIMIT", "pages=1")
    assert run("run", folder, "--bundle", "demo")[0] == 1
    assert contents(folder) == before


# --- errors


def kinds() -> dict[str, type[ColviEdgeError]]:
    """Return every class of `errors`, by its name."""
    return {
        name: found
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, ColviEdgeError)
    }


CHANGED = {
    "NotAnImageError", "IncompleteFileError", "LastPlaneBlackError", "UnsafeFileError", "ImageTooSmallError",
    "AxesError", "TimeSeriesError", "ScanModeError", "PixelTypeError",
}  # fmt: skip
"""Of what a file holds: with the content of a good result they are not met, unless the reader errs."""

ELSEWHERE = {
    "ColviEdgeError", "EngineLostError", "BlockedRecordError", "ModelError", "ParityError", "NoRegionError",
}  # fmt: skip
"""The base of all; what no file here can provoke; what comes after another error; what `run` never raises;
and what only a bundle raises that sees regions of another."""


@contextmanager
def full_disk() -> Iterator[None]:
    """Let every write beyond 100 bytes fail (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unreadable() -> Iterator[None]:
    """Let no raw file be opened, as if it had been moved since the folder was listed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InputFile, "open", lambda file: os.open(file.raw.with_name("moved"), os.O_RDONLY))
        yield


class Met(NamedTuple):
    """How an error is met for real, on content that was judged before.

    Attributes:
        options: of the command.
        code: how it ends.
        kind: what the first record tells; "" where the command ends before any.
        before: what is done to the folder.
        during: what is the matter meanwhile.
    """

    options: tuple[str, ...]
    code: int = 1
    kind: str = ""
    before: Callable[[Path], object] = lambda _: None
    during: Callable[[], Any] = nullcontext


def block(folder: Path) -> None:
    """Put a folder into the way of each result."""
    for name in RESULTS:
        (folder / f"{name}.colvi.ome.tif").mkdir()


REAL = {
    "UsageError": Met(("--channels", "red,green"), 2),
    "EngineUnavailableError": Met(("--engine", "tensorrt"), 3),
    "BundleError": Met(("--bundle", "nowhere.colvi"), 4),
    "ChannelError": Met(("--channels", "nuclei,collagen,other"), kind="channels"),
    "ImageTooLargeError": Met(("--limit", "pixels=10"), kind="too_large"),
    "OutputError": Met((), kind="output", during=full_disk),
    "BlockedOutputError": Met(("--overlay", "ome-tiff"), kind="blocked_output", before=block),
    "AcquisitionError": Met((), kind="unreadable", during=unreadable),
}


def test_every_kind_of_error_has_its_case() -> None:
    """A new one is met for real, or it is said why it cannot be."""
    assert set(kinds()) == {*REAL, *CHANGED, *ELSEWHERE}
    assert not REAL.keys() & (CHANGED | ELSEWHERE)


@pytest.mark.parametrize("kind", REAL)
def test_no_error_that_is_met_loses_a_result(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Through the command, with real options on real files: told, with its exit code, and nothing touched."""
    monkeypatch.chdir(tmp_path)
    met = REAL[kind]
    met.before(folder)
    before = contents(folder)

    with met.during():
        code, out, _ = run("run", folder, "--json", "--bundle", "demo", *met.options)

    assert code == met.code
    told = {line["error"]["kind"] for line in map(json.loads, out.splitlines()) if line["path"] == "good.tif"}
    assert told == {met.kind} - {""}
    assert contents(folder) == before


def test_changed_content_is_another_matter(judged: Path, tmp_path: Path, run: Run) -> None:
    """A raw file that is another now, and broken, has its error record, and what it was beside it."""
    broken, folder = tmp_path / "broken", tmp_path / "day"
    broken.mkdir()
    folder.mkdir()
    causes = broken_files(broken, simulate_planes("control", 1, planes=1, size_px=256)[0])
    for name in causes:
        shutil.copy(judged / "good.tif", folder / name)
    assert run("run", folder, "--bundle", "demo")[0] == 0
    before = contents(folder)
    shutil.copytree(broken, folder, dirs_exist_ok=True)

    assert run("run", folder, "--bundle", "demo")[0] == 1

    after = contents(folder)
    for name, cause in causes.items():
        assert set(of_result(after, name)) == {f"{name}.colvi.error.json", f"{name}.colvi.prev.json"}
        assert json.loads(after[f"{name}.colvi.error.json"])["error"]["kind"] == cause
        assert after[f"{name}.colvi.prev.json"] == before[f"{name}.colvi.json"]
    assert {errors_of[cause] for cause in causes.values()} <= CHANGED | set(REAL)


errors_of = {found.kind: name for name, found in kinds().items()}


EACH = -1


class Where(NamedTuple):
    """At which step an error is met: `at` is the name that is not published, of each six, or `EACH`."""

    step: str
    at: int = 0


@contextmanager
def failing(where: Where, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a step of the real pipeline fail."""

    def fail(*_: object, **__: object) -> Any:
        raise error

    with monkeypatch.context() as patch:
        if where.step == "read":
            patch.setattr(pipeline, "acquire_opened", fail)
        elif where.step == "judge":
            patch.setattr(pipeline, "assess_for", fail)
        elif where.step == "publish":
            publish, count = Drafts.publish, iter(range(1000))

            def published(self: Drafts, names: list[str], confirm: Callable[[], None]) -> None:
                for name in names:
                    if where.at in (EACH, next(count) % 6):
                        raise error
                    publish(self, [name], confirm)

            patch.setattr(Drafts, "publish", published)
        else:
            fsync, folders = os.fsync, iter(range(1000))

            def synced(descriptor: int) -> None:
                is_folder = Path(f"/proc/self/fd/{descriptor}").is_dir()
                if is_folder and where.at in (EACH, next(folders) % 6):
                    raise error
                fsync(descriptor)

            patch.setattr(os, "fsync", synced)
        yield


def outcomes_of(diagnoser: Diagnoser, folder: Path) -> list[Outcome[InputFile]]:
    """Return what became of a folder, up to an error that ends everything."""
    done = []
    with suppress(ColviEdgeError):
        for outcome in process(diagnoser, find_inputs([folder])):
            done.append(outcome)  # what was done before the end counts
    return done


@pytest.mark.parametrize("step", ["read", "judge"])
@pytest.mark.parametrize("kind", kinds())
def test_no_kind_of_error_loses_a_result(
    folder: Path, demo_bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch, kind: str, step: str
) -> None:
    """Whichever it is and wherever it comes from: each file of each result is as it was."""
    before = contents(folder)
    error = kinds()[kind]("does not work")

    with failing(Where(step), error, monkeypatch):
        outcomes = outcomes_of(Diagnoser(demo_bundle, engine), folder)

    assert contents(folder) == before
    if isinstance(error, AcquisitionError):
        told = {outcome.file.name for outcome in outcomes if outcome.stands and outcome.result is error}
        assert told == set(RAWS)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return another model."""
    path = Path(shutil.copytree(demo_path(), tmp_path_factory.mktemp("bundles") / "other.colvi"))
    rename(path, "second opinion", "2.0")
    return open_bundle(path)


@pytest.mark.parametrize("model", ["the same", "another"])
@pytest.mark.parametrize("step", ["publish", "fsync"])
@pytest.mark.parametrize("at", [EACH, *range(6)])
def test_what_breaks_off_is_put_back(
    folder: Path, demo_bundle: Bundle, other: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch,
    at: int, step: str, model: str,
) -> None:  # fmt: skip
    """Between any two names of a result: the one before is whole again, or the new one is whole."""
    before = contents(folder)
    judge = demo_bundle if model == "the same" else other
    error = (OSError(5, "Input/output error"), PermissionError(13, "no"), OutputError("away"))[at % 3]

    with failing(Where(step, at), error, monkeypatch):
        outcomes = outcomes_of(Diagnoser(judge, engine, replace=Replace.ALL), folder)

    after = contents(folder)
    stayed = assert_nothing_lost(before, after, has_index="day.lif.colvi.json" in after)
    failed = {_name(outcome) for outcome in outcomes if isinstance(outcome.result, OutputError)}
    assert stayed
    assert stayed <= failed
    if at == EACH:
        assert after == before


def _name(outcome: Outcome[InputFile]) -> str:
    return image_label(outcome.file.name, outcome.image_key)


@pytest.mark.parametrize("model", ["the same", "another"])
def test_a_container_that_breaks_off_keeps_a_true_index(
    folder: Path,
    demo_bundle: Bundle,
    other: Bundle,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    """It cannot be read to its end any more: what was judged anew is listed as it is, the rest as it was."""
    before = contents(folder)
    usual = acquire_opened

    def broken(*given: Any, **named: Any) -> Iterator[Any]:
        for image in usual(*given, **named):
            if image.image_key == "0002-second":
                raise AcquisitionError("cannot be read: Input/output error", subject="day.lif")
            yield image

    monkeypatch.setattr(pipeline, "acquire_opened", broken)
    diagnoser = Diagnoser(demo_bundle if model == "the same" else other, engine, replace=Replace.ALL)
    *_, last = outcomes_of(diagnoser, folder / "day.lif")

    assert isinstance(last.result, AcquisitionError)
    assert isinstance(last.stands, Index)
    after = contents(folder)
    assert assert_nothing_lost(before, after) == set(RESULTS) - {"day.lif.0001-first"}
    assert json.loads(after["day.lif.colvi.json"])["status"] == "ok"


def test_images_without_an_index_stay(folder: Path, run: Run) -> None:
    """A container whose index was lost has its error record, and its images their results."""
    (folder / "day.lif.colvi.json").unlink()
    before = contents(folder)

    assert run("run", folder, "--bundle", "demo", "--limit", "container_bytes=1")[0] == 1

    after = contents(folder)
    assert json.loads(after.pop("day.lif.colvi.error.json"))["error"]["kind"] == "too_large"
    for name in ("day.lif.0001-first", "day.lif.0002-second"):
        assert of_result(after, name) == of_result(before, name)
    assert run("run", folder, "--bundle", "demo")[0] == 1
    assert assert_nothing_lost(before, contents(folder)) == set()


def test_an_index_of_errors_is_no_result(tmp_path: Path, run: Run) -> None:
    """What was never judged has nothing to lose: the file's own error record says what is the matter now."""
    overview = Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview")
    (tmp_path / "trial.lif").write_bytes(container(overview).data)
    run("run", tmp_path, "--bundle", "demo")
    assert set(contents(tmp_path)) == {
        "trial.lif", "trial.lif.colvi.json", "trial.lif.0000-Overview.colvi.error.json"
    }  # fmt: skip

    run("run", tmp_path, "--bundle", "demo", "--limit", "container_bytes=1")

    assert set(contents(tmp_path)) == {"trial.lif", "trial.lif.colvi.error.json"}


def test_no_index_lists_a_result_of_other_content(
    folder: Path, demo_bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a container that changed one image's result cannot be written: what stands there is of what was."""
    planes = simulate_planes("control", 3, planes=2, size_px=256)
    series = [Series(planes, name=name, dyes=DYES) for name in ("first", "second")]
    overview = Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview")
    before = contents(folder)
    (folder / "day.lif").write_bytes(container(overview, *series).data)
    publish = Drafts.publish

    def published(self: Drafts, names: list[str], confirm: Callable[[], None]) -> None:
        if any(name.startswith("day.lif.0001-first") for name in names):
            raise PermissionError(13, "Permission denied")
        publish(self, names, confirm)

    monkeypatch.setattr(Drafts, "publish", published)
    *_, last = outcomes_of(Diagnoser(demo_bundle, engine), folder / "day.lif")

    after = contents(folder)
    assert isinstance(last.result, OutputError)
    assert "day.lif.colvi.json" not in after
    assert of_result(after, "day.lif.0001-first") == of_result(before, "day.lif.0001-first")
    now = json.loads(after["day.lif.0002-second.colvi.json"])
    assert now["image"]["sha256"] == sha256(after["day.lif"]).hexdigest()
    assert after["day.lif.0002-second.colvi.prev.json"] == before["day.lif.0002-second.colvi.json"]


# --- what is of other content goes, and that is said


@pytest.mark.parametrize(
    ("raw", "words", "previous"),
    [
        ("good.tif", "1 result was of other content and is gone; its record lies beside the raw file as ", 1),
        (
            "day.lif",
            "2 results were of other content and are gone; their records lie beside the raw files as ",
            2,
        ),
    ],
)
def test_a_good_result_of_a_file_that_broke_is_told_of(
    folder: Path, run: Run, raw: str, words: str, previous: int
) -> None:
    """Its pictures and tables go, as they show something else; once, and its record stays."""
    data = (folder / raw).read_bytes()
    (folder / raw).write_bytes(data[: len(data) // 2])

    code, _, err = run("run", folder / raw, "--bundle", "demo")

    assert code == 1
    assert f"{words}X.colvi.prev.json" in " ".join(err.split())
    assert len(list(folder.glob(f"{raw}*.colvi.prev.json"))) == previous
    assert not list(folder.glob(f"{raw}*.colvi.png"))
    _, _, err = run("run", folder / raw, "--bundle", "demo")
    assert "gone" not in err
