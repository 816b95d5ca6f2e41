"""What is called on TensorRT exists in every version, also in those that cannot be run here.

mypy holds the calls against the stubs of typings/, and these tests hold the stubs against the versions.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from colvi_edge import engines

TYPINGS = Path(__file__).parents[3] / "typings"
TABLE = json.loads((Path(__file__).parent / "tensorrt_names.json").read_text())
PACKAGE = Path(engines.__path__[0]).parent


def stub_names(package: str) -> set[tuple[str, str]]:
    """Return (class, name) for everything in a stub; "trt" is the module itself."""
    found = set()
    for where in ast.parse((TYPINGS / package / "__init__.pyi").read_text()).body:
        if isinstance(where, ast.ClassDef):
            found |= {("trt", where.name)} | {(where.name, name) for name in map(defined, where.body) if name}
        elif name := defined(where):
            found.add(("trt", name))
    return found


def defined(node: ast.stmt) -> str:
    """Return the name that a class, a function or an annotation gives, but no `__name__`; "" for others."""
    name = ""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        name = node.name
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        name = node.target.id
    return "" if name.startswith("__") else name


def missing(names: set[tuple[str, str]]) -> list[str]:
    """Return the names that a version lacks, each with the versions that have it (x) or not (.)."""
    found = {f"{where}.{name}": TABLE["names"].get(where, {}).get(name, "nowhere") for where, name in names}
    return sorted(f"{name} {versions}" for name, versions in found.items() if set(versions) != {"x"})


@dataclass(frozen=True)
class Use:
    """A name of TensorRT's in a module of the engines: looked up there, or a method that TensorRT calls."""

    name: str
    line: int
    column: int  # behind the name, in bytes

    def is_missed_in(self, error: str) -> bool:
        """Tell whether this is mypy's error for the name with a `_` behind it, or a method lost by that."""
        return f'{self.name}_"' in error or ("[abstract]" in error and f'"{self.name}"' in error)


def uses(source: bytes) -> list[Use]:
    """Return every use of a stub's name in a module that says `trt`; none in a module that does not."""
    names = {name for _, name in stub_names("tensorrt") | stub_names("tensorrt_rtx")}
    nodes = list(ast.walk(ast.parse(source)))
    found = []
    for node in nodes if any(isinstance(node, ast.Name) and node.id == "trt" for node in nodes) else []:
        if isinstance(node, ast.Attribute) and node.attr in names:
            found.append(Use(node.attr, node.end_lineno or 0, node.end_col_offset or 0))
        elif isinstance(node, ast.FunctionDef) and node.name in names:
            found.append(Use(node.name, node.lineno, node.col_offset + len(f"def {node.name}")))
    return found


def with_wrong_name(source: bytes, use: Use) -> bytes:
    """Return a module in which one name is another that TensorRT does not have."""
    lines = source.splitlines(keepends=True)
    line = lines[use.line - 1]
    lines[use.line - 1] = line[: use.column] + b"_" + line[use.column :]
    return b"".join(lines)


@dataclass(frozen=True)
class Checked:
    """What mypy said of the engines' modules and of copies of them, each with one wrong name."""

    modules: tuple[str, ...]
    copies: dict[str, Use]
    errors: dict[str, list[str]]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """Run mypy once over modules and copies, without what they import beside TensorRT and Python's own."""
    root = tmp_path_factory.mktemp("checked")
    modules, copies, errors = [], {}, dict[str, list[str]]()
    for path, source, found in modules_that_use_tensorrt():
        copy = root / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
        modules.append(str(copy.relative_to(root)))
        for number, use in enumerate(found):
            wrong = copy.with_name(f"{copy.stem}_{number}.py")
            wrong.write_bytes(with_wrong_name(source, use))
            copies[str(wrong.relative_to(root))] = use
    options = ["--config-file=", f"--cache-dir={os.devnull}", "--explicit-package-bases"]
    options += ["--follow-imports=skip", "--ignore-missing-imports"]
    command = [sys.executable, "-m", "mypy", *options, *modules, *copies]
    environment = os.environ | {"MYPYPATH": str(TYPINGS)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    for line in done.stdout.splitlines():
        errors.setdefault(line.split(":")[0], []).append(line)
    return Checked(tuple(modules), copies, errors)


def modules_that_use_tensorrt() -> Iterator[tuple[Path, bytes, list[Use]]]:
    """Yield each module of the engines that says `trt`, its text and where it uses TensorRT's names."""
    for path in sorted((PACKAGE / "engines").rglob("*.py")):
        source = path.read_bytes()
        if found := uses(source):
            yield path, source, found


def test_mypy_accepts_what_the_engines_call(checked: Checked) -> None:
    """Every name and every argument, against the stubs alone."""
    assert [line for module in checked.modules for line in checked.errors.get(module, [])] == []


def test_mypy_finds_each_name_that_is_wrong(checked: Checked) -> None:
    """No object of TensorRT goes by Any: wherever a name of it is used, mypy misses one that is not there."""
    not_found = [
        f"{module}:{use.line}: {use.name}_"
        for module, use in checked.copies.items()
        if not any(use.is_missed_in(line) for line in checked.errors.get(module, []))
    ]

    assert not_found == []


def test_the_stubs_hold_nothing_that_is_not_used(checked: Checked) -> None:
    """They are small, so that each name in them can be looked up."""
    names = stub_names("tensorrt") | stub_names("tensorrt_rtx")
    members = {name for where, name in names if where != "trt"}

    assert members - {use.name for use in checked.copies.values()} == {"Severity"}  # in an annotation


def test_the_table_holds_the_versions_that_are_promised() -> None:
    """10.3 of JetPack 6, 10.13 of JetPack 7, the last 10, the first and the newest 11."""
    assert [v.rsplit(".", v.count(".") - 1)[0] for v in TABLE["versions"]] == [
        "10.3",
        "10.13",
        "10.16",
        "11.0",
        "11.4",
    ]


def test_every_name_exists_in_every_version() -> None:
    """From 10.3 to 11.4, without importing any of them."""
    names = stub_names("tensorrt")

    assert {("trt", "Builder"), ("ICudaEngine", "num_io_tensors"), ("trt", "float16")} <= names
    assert missing(names) == []


def test_no_classic_tensorrt_is_taken_for_tensorrt_rtx() -> None:
    """That is known by a name."""
    assert missing({("trt", "IRuntimeCache")}) == ["trt.IRuntimeCache nowhere"]


@pytest.mark.tensorrt_rtx
@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_rtx"])
def test_every_name_exists_in_tensorrt_rtx(package: str) -> None:
    """Those of every TensorRT and its own, in the one that is installed."""
    import tensorrt_rtx

    lacking = [
        f"{where}.{name}"
        for where, name in stub_names(package)
        if not hasattr(tensorrt_rtx if where == "trt" else getattr(tensorrt_rtx, where), name)
    ]

    assert lacking == []


@pytest.mark.parametrize(
    ("where", "name", "versions"),
    [
        ("IBuilderConfig", "int8_calibrator", "xxx.."),
        ("BuilderFlag", "FP16", "xxx.."),
        ("IBuilderConfig", "tiling_optimization_level", ".xxxx"),
        ("IBuilderConfig", "set_compute_capability", "nowhere"),
        ("IExecutionContext", "execute_async_v2", "nowhere"),
    ],
)
def test_names_that_some_version_lacks_are_caught(where: str, name: str, versions: str) -> None:
    """Removed in 11, new since 10.3, or TensorRT-RTX's own."""
    assert missing({(where, name)}) == [f"{where}.{name} {versions}"]
