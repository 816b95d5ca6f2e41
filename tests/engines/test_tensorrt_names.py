"""What is called on TensorRT exists in every version, also in those that cannot be run here."""

import ast
import json
import re
from pathlib import Path

import pytest

from colvi_edge import engines

TABLE = json.loads((Path(__file__).parent / "tensorrt_names.json").read_text())

EVERYWHERE = ("tensorrt_build.py", "tensorrt_log.py", "tensorrt_network.py")
"""What runs with every TensorRT."""
RTX_ALONE = ("tensorrt_jit.py",)
"""What runs with TensorRT-RTX."""

CLASS_OF = {
    "trt": "trt",
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "tensor": "ITensor",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "settings": "IRuntimeConfig",
    "cache": "IRuntimeCache",
}
"""What variables and attributes hold, `self._x` like `x`; "trt" is the module of TensorRT itself."""

PLAIN = {"plan", "RUNTIME", "VERSION", "half", "input", "output", "compiled"}
"""Those that are given something of TensorRT which has no names that are used."""

CALLED_BACK = {
    ("IProgressMonitor", "phase_start"),
    ("IProgressMonitor", "step_complete"),
    ("IProgressMonitor", "phase_finish"),
    ("ILogger", "log"),
}
"""Methods that TensorRT calls."""


def chain(node: ast.AST) -> list[str]:
    """Return ["a", "b", "c"] for the expression a.b.c, for a.b.c() and self._a.b.c; [] for any other."""
    if isinstance(node, ast.Call):
        return chain(node.func)
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return [node.attr.removeprefix("_")]
        before = chain(node.value) if not isinstance(node.value, ast.Call) else []
        return [*before, node.attr] if before else []
    return []


def uses(tree: ast.AST) -> set[tuple[str, str]]:
    """Return (class, name) for everything that is looked up on TensorRT or on an object of it."""
    found = set()
    for node in ast.walk(tree):
        names = chain(node) if isinstance(node, ast.Attribute) else []
        if len(names) > 1 and names[0] in CLASS_OF and not names[1].startswith("_"):
            found.add((CLASS_OF[names[0]], names[1]))
            if names[0] == "trt" and len(names) > 2:
                found.add((names[1], names[2]))
    return found


def unknown_variables(tree: ast.AST) -> set[str]:
    """Return variables that hold something of TensorRT, but of which class nobody said."""
    return {
        names[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and chain(node.value)[1:] and chain(node.value)[0] in CLASS_OF
        for names in map(chain, node.targets)
        if len(names) == 1 and names[0] not in {*CLASS_OF, *PLAIN}
    }


def missing(names: set[tuple[str, str]]) -> list[str]:
    """Return the names that a version lacks, each with the versions that have it (x) or not (.)."""
    found = {f"{where}.{name}": TABLE["names"].get(where, {}).get(name, "nowhere") for where, name in names}
    return sorted(f"{name} {versions}" for name, versions in found.items() if set(versions) != {"x"})


def modules(*names: str) -> ast.Module:
    """Return the modules of the engines that call TensorRT, as one."""
    folder = Path(engines.__path__[0])
    return ast.parse("\n".join((folder / name).read_text() for name in names))


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
    found = uses(modules(*EVERYWHERE))

    assert missing(found | CALLED_BACK) == []
    looked_at = {where for where, _ in found}
    assert looked_at >= set(CLASS_OF.values()) - {"IRuntimeConfig", "IRuntimeCache"}


@pytest.mark.tensorrt_rtx
def test_every_name_exists_in_tensorrt_rtx() -> None:
    """Those of every TensorRT and its own, in the one that is installed."""
    import tensorrt_rtx

    found = uses(modules(*EVERYWHERE, *RTX_ALONE))
    lacking = [
        f"{where}.{name}"
        for where, name in found
        if not hasattr(tensorrt_rtx if where == "trt" else getattr(tensorrt_rtx, where), name)
    ]

    assert lacking == []
    assert {where for where, _ in found} >= set(CLASS_OF.values())


def test_no_other_module_calls_tensorrt() -> None:
    """Whoever imports its module is looked at here."""
    importing = {
        path.name
        for path in Path(engines.__path__[0]).glob("*.py")
        if re.search(
            r"^from colvi_edge\.engines\.tensorrt_log import .*\btrt\b", path.read_text(), re.MULTILINE
        )
    }

    assert importing | {"tensorrt_log.py"} == {*EVERYWHERE, *RTX_ALONE}


def test_no_object_of_tensorrt_goes_by_another_name() -> None:
    """A variable that the check does not know would be one that it does not check."""
    assert unknown_variables(modules(*EVERYWHERE, *RTX_ALONE)) == set()


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("config.int8_calibrator = None", "IBuilderConfig.int8_calibrator xxx.."),
        ("trt.BuilderFlag.FP16", "BuilderFlag.FP16 xxx.."),
        ("config.tiling_optimization_level = 1", "IBuilderConfig.tiling_optimization_level .xxxx"),
        ("config.set_compute_capability(1, 0)", "IBuilderConfig.set_compute_capability nowhere"),
        ("trt.IRuntimeCache", "trt.IRuntimeCache nowhere"),
        ("self._context.execute_async_v2(1)", "IExecutionContext.execute_async_v2 nowhere"),
    ],
)
def test_names_that_some_version_lacks_are_caught(line: str, caught: str) -> None:
    """Removed in 11, new since 10.3, or TensorRT-RTX's own."""
    assert missing(uses(ast.parse(line))) == [caught]


def test_an_object_by_another_name_is_caught() -> None:
    """As if somebody had called a builder's configuration `settings`."""
    assert unknown_variables(ast.parse("given = builder.create_builder_config()")) == {"given"}
    assert unknown_variables(ast.parse("self._given = engine.create_execution_context()")) == {"given"}
