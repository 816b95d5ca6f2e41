"""Graphs of others: what networks are made of is read, whatever does more is refused before it runs."""

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from colvi_edge.errors import ModelError
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.networks.patch_cnn import NETWORKS, build_network
from colvi_edge.export.reading.foreign import archive
from colvi_edge.export.reading.model_file import read_model
from tests.tools.architectures import ARCHITECTURES

Members = dict[str, bytes]
Networks = dict[str, Callable[[], nn.Module]]

TOLD: dict[str, Any] = {"classes": ("control", "patient"), "activation": "softmax"}
CHANNELS = ("collagen", "nuclei")
OURS: Networks = {name: partial(build_network, name, 2) for name in NETWORKS}


def as_script(network: nn.Module, path: Path) -> None:
    """Save as torch.jit.script does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(path)  # type: ignore[no-untyped-call]


def as_trace(network: nn.Module, path: Path) -> None:
    """Save as torch.jit.trace does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, torch.randn(2, 2, 64, 64), check_trace=False).save(path)  # type: ignore[no-untyped-call]


def as_program(network: nn.Module, path: Path) -> None:
    """Save as torch.export.save does."""
    shapes = ({0: torch.export.Dim("N")},)
    with path.open("wb") as file:
        torch.export.save(
            torch.export.export(network, (torch.randn(2, 2, 64, 64),), dynamic_shapes=shapes), file
        )


def small() -> nn.Module:
    """Return a quick network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(32, 2)).eval()


@pytest.mark.parametrize("save", [as_script, as_trace, as_program])
@pytest.mark.parametrize("name", [*OURS, *ARCHITECTURES])
def test_usual_architectures_are_read(
    name: str, save: Callable[[nn.Module, Path], None], tmp_path: Path
) -> None:
    """Ours, ResNet, DenseNet and U-Nets with every normalisation and resizing give their own outputs."""
    torch.manual_seed(1)
    network = {**OURS, **ARCHITECTURES}[name]().eval()
    save(network, tmp_path / "model")
    read = read_model(tmp_path / "model", channels=CHANNELS, **TOLD)
    patches = torch.randn(3, 2, 64, 64)

    with torch.inference_mode():
        assert torch.allclose(read.network(patches), network(patches), atol=1e-5)


@pytest.mark.parametrize("name", ["ResNet", "DenseNet", "U-Net, instance, nearest"])
def test_usual_architectures_go_to_onnx(name: str, tmp_path: Path) -> None:
    """What is read is exported, too."""
    as_script(ARCHITECTURES[name]().eval(), tmp_path / "model")

    assert to_onnx(read_model(tmp_path / "model", channels=CHANNELS, **TOLD).probabilities(), 2, 64)


class Reads(nn.Module):
    """Maps a file into memory, and so makes it."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def peek(self) -> Tensor:
        """Return what the file holds."""
        return torch.from_file(self.place, True, 11, dtype=torch.uint8)

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        return patches.mean((2, 3)) + self.peek().float().sum() * 0


class Saves(nn.Module):
    """Writes what it sees."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def forward(self, patches: Tensor) -> Tensor:
        """Return the patches as they came."""
        torch.save(patches, self.place)
        return patches


class Within(nn.Module):
    """Holds a module two levels down."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = nn.Sequential(nn.Identity(), inside)

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        out: Tensor = self.inside(patches)
        return out.flatten(2).mean(2) if out.dim() > 2 else out


class Forever(nn.Module):
    """Does not end."""

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits, one day."""
        k = 0
        while k >= 0:
            k = (k + 1) % 7
        return patches.mean((2, 3)) + k


class Long(nn.Module):
    """Goes round as often as its file says."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = 10**15

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits, in some years."""
        k = 0
        for _ in range(self.rounds):
            k = (k + 3) % 7
        return patches.mean((2, 3)) + k


class Prints(nn.Module):
    """Says something at each patch."""

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        print(patches.size(0))  # noqa: T201 - that is what it is for
        return patches.mean((2, 3))


class Forks(nn.Module):
    """Computes aside."""

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        aside = torch.jit.fork(torch.relu, patches)  # type: ignore[no-untyped-call]
        return torch.jit.wait(aside).mean((2, 3))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Reads, "holds the operator aten::from_file, which networks do not need and which is not run here"),
        (lambda place: Within(Reads(place)), "the operator aten::from_file"),
        (Saves, "the operator aten::save"),
        (lambda place: Within(Saves(place)), "the operator aten::save"),
        (lambda place: Forever(), "a while loop, which may never end"),
        (lambda place: Long(), "a loop whose rounds cannot be counted, or more than 1000"),
        (lambda place: Prints(), "print"),
        (lambda place: Forks(), "a function within a function"),
    ],
)
def test_graphs_that_do_more_are_refused_unrun(
    make: Callable[[str], nn.Module], sentence: str, tmp_path: Path
) -> None:
    """Files are not touched, and endless loops not begun: not even to try the network out."""
    place = tmp_path / "made by the model"
    as_script(make(str(place)).eval(), tmp_path / "model.pt")
    with pytest.raises(ModelError, match=sentence) as caught:
        read_model(tmp_path / "model.pt", **TOLD)

    assert caught.value.exit_code == 2
    assert not place.exists()


def rewritten(path: Path, change: Callable[[Members], Any], packing: int = zipfile.ZIP_STORED) -> None:
    """Change the members of an archive; their names come without the top folder."""
    with zipfile.ZipFile(path) as opened:
        members = {name.partition("/")[2]: opened.read(name) for name in opened.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", packing) as made:
        for name, data in members.items():
            made.writestr(f"model/{name}", data)


class Plain(nn.Module):
    """A network whose one line the cases below replace."""

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        return patches.mean((2, 3))


def with_line(path: Path, line: str, also: str = "") -> None:
    """Save a network whose forward begins with a line, in an archive with more code."""
    as_script(Plain().eval(), path)

    def change(members: Members) -> None:
        (name,) = (name for name in members if name.endswith(".py"))
        code = members[name].decode()
        start = code.index("    return ")
        members[name] = f"{code[:start]}    {line}\n{code[start:]}\n{also}".encode()

    rewritten(path, change)


LINES = {
    "namespace": ('_9 = ops.aten.from_file("T", True, 11)', "the operator aten::from_file"),
    "as a method": ('_9 = ("T").from_file(True, 11)', "the operator aten::from_file"),
    "by alias": ('f = torch.from_file\n    _9 = f("T", True, 11)', "the operator aten::from_file"),
    "method by alias": ('f = ("T").from_file\n    _9 = f(True, 11)', "a call of f, which is no function"),
    "by getattr": (
        'f = getattr("T", "from_file")\n    _9 = f(True, 11)',
        "a call of f, which is no function",
    ),
    "getattr of torch": ('_9 = getattr(torch, "from_file")', "the name torch"),
    "getattr of ops": ('_9 = getattr(ops.aten, "from_file")', "the operator aten"),
    "getattr by name": ('n = "x"\n    _9 = getattr(patches, n)', "a getattr whose name is not written out"),
    "called at once": ('_9 = getattr("T", "from_file")(True, 11)', "a call of what has no name"),
    "through a list": ('_9 = [torch.from_file][0]("T", True, 11)', "a call of what has no name"),
    "custom operator": ("_9 = ops.mylib.evil(patches)", "the operator mylib::evil"),
    "strange primitive": ("_9 = ops.prim.PythonOp(patches)", "the operator prim::PythonOp"),
    "class of C++": ("_9 = __torch__.torch.classes.dist_rpc.X()", "a class of C.., torch.classes.dist_rpc.X"),
    "global": ('_9 = open("T")', "a call of open, which is no function"),
    "import": ("import os", "code with Import"),
    "lambda": ("_9 = lambda: 1", "code with Lambda"),
    "comprehension": ("_9 = [1 for _ in patches]", "code with ListComp"),
    "with": ("with patches:\n      pass", "code with With"),
    "text times": ('_9 = "a" * 1000000000000', "code with BinOp"),
    "while": ("while True:\n      pass", "a while loop, which may never end"),
    "nearly counted": (
        "n = torch.len([1, 2])\n    i = 0\n    go = True\n    while go:\n      j = torch.add(i, 0)\n"
        "      go, i = torch.__and__(torch.lt(j, n), True), j",
        "a while loop, which may never end",
    ),
    "long for": ("for i in range(100000000):\n      pass", "a loop whose rounds cannot be counted"),
    "for by sum": ("n = int(torch.sum(patches))\n    for i in range(n):\n      pass", "cannot be counted"),
    "for by multiplication": (
        "n = torch.mul(999, 999)\n    for i in range(n):\n      pass",
        "cannot be counted",
    ),
    "for over a list": ("for i in [1, 2]:\n      pass", "a loop over something else than a range"),
    "shadowed root": ('torch = "T"\n    _9 = torch.save(1)', "a variable named torch"),
    "brackets": (f"_9 = {'(' * 150}1{')' * 150}", "code with brackets 100 deep"),
    "minus": (f"_9 = {'-' * 100_000}1", "code (that is not TorchScript's|that is nested too deeply)"),
    "no syntax": ("_9 = = 1", "code that is not TorchScript's"),
    "escapes": (r'torch.warn("\x1b[2J")', "text with control characters"),
    "bytes": ('_9 = b"x"', "a constant of bytes"),
}


@pytest.mark.parametrize("case", LINES)
def test_code_says_what_it_does(case: str, tmp_path: Path) -> None:
    """However an operator is come by, it is known by its name; loops are counted or refused."""
    line, sentence = LINES[case]
    place = tmp_path / "made by the model"
    with_line(tmp_path / "model.pt", line.replace('"T"', repr(str(place))))
    with pytest.raises(ModelError, match=sentence):
        read_model(tmp_path / "model.pt", **TOLD)
    assert not place.exists()


@pytest.mark.parametrize(
    ("given", "is_read"), [("torch.len([1, 2])", True), ("3", True), ("100000000", False), ("int(1.)", False)]
)
def test_what_a_function_is_given_is_counted(given: str, is_read: bool, tmp_path: Path) -> None:
    """A loop over an argument is as long as the callers say, under whatever name they call."""
    function = (
        "def often(n: int) -> int:\n  k = 0\n  for i in range(n):\n    k = torch.add(k, 1)\n  return k\n"
    )
    line = f"f = __torch__.tests.often\n    _9 = f({given}, )"
    as_script(Plain().eval(), tmp_path / "model.pt")
    with_line(tmp_path / "model.pt", line)
    rewritten(tmp_path / "model.pt", lambda m: m.update({"code/__torch__/tests.py": function.encode()}))
    if is_read:
        assert read_model(tmp_path / "model.pt", channels=CHANNELS, **TOLD).name == "TorchScript"
    else:
        with pytest.raises(ModelError, match="a loop whose rounds cannot be counted"):
            read_model(tmp_path / "model.pt", **TOLD)


def test_an_unchanged_line_is_read(tmp_path: Path) -> None:
    """The refusals above are of the lines, not of an archive that went through zipfile."""
    with_line(tmp_path / "model.pt", "_9 = torch.relu(patches)")

    assert read_model(tmp_path / "model.pt", channels=CHANNELS, **TOLD).name == "TorchScript"


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to restore this."""
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_of_scripts_run_nothing(name: str, protocol: int, tmp_path: Path) -> None:
    """A call in a pickle is refused by its name, or by a word that torch does not write."""
    place = tmp_path / "made by the model"
    as_script(small(), tmp_path / "model.pt")
    rewritten(tmp_path / "model.pt", lambda m: m.update({name: pickle.dumps(Bomb(place), protocol)}))
    with pytest.raises(
        ModelError, match=r"holds (a pickled posix.mkdir|the opcode \w+), which networks do not"
    ):
        read_model(tmp_path / "model.pt", **TOLD)
    assert not place.exists()


def test_tensors_lie_within_their_bytes(tmp_path: Path) -> None:
    """A tensor of more numbers than the archive has would be read from memory of others."""
    as_script(small(), tmp_path / "model.pt")
    rewritten(tmp_path / "model.pt", lambda m: m.update({"data/0": m["data/0"][:8]}))
    with pytest.raises(ModelError, match="a tensor of 64 items in 8 bytes"):
        read_model(tmp_path / "model.pt", **TOLD)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda m: m.update({"extra/classes.txt": b"patient,control"}),
            "says something in extra/classes.txt",
        ),
        (lambda m: m.update({"code/evil.so": b""}), "holds code/evil.so, which could run any code"),
        (lambda m: m.update({"DATA.PKL": b""}), "holds DATA.PKL, which could run any code"),
        (
            lambda m: m.update({"code/__torch__.py": b"#" + os.urandom(2**22).hex().encode()}),
            "characters of code",
        ),
    ],
)
def test_members_are_known_and_bounded(
    change: Callable[[Members], Any], sentence: str, tmp_path: Path
) -> None:
    """What is said beside the graph is not ignored; what unpacks to much is not unpacked."""
    as_script(small(), tmp_path / "model.pt")
    rewritten(tmp_path / "model.pt", change)
    with pytest.raises(ModelError, match=sentence):
        read_model(tmp_path / "model.pt", **TOLD)


def as_weights(network: nn.Module, path: Path) -> None:
    """Save the weights alone."""
    torch.save(network.state_dict(), path)


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (as_script, "data/0"),
        (as_script, "data/77"),
        (as_program, "data/weights/weight_0"),
        (as_weights, "data/0"),
    ],
)
def test_bombs_are_not_unpacked(
    save: Callable[[nn.Module, Path], None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What shrank to less than a hundredth is a bomb, whatever the sum of all."""
    save(small(), tmp_path / "model")
    rewritten(tmp_path / "model", lambda m: m.update({name: bytes(10**7)}), zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(archive, "_read", lambda *_: pytest.fail("was unpacked"))
    with pytest.raises(ModelError, match=r"has 10000000 bytes packed into \d+, which torch does not write"):
        read_model(tmp_path / "model", **TOLD)


@pytest.mark.parametrize("save", [as_script, as_program])
def test_archives_are_counted_before_they_are_unpacked(
    save: Callable[[nn.Module, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declared sizes are added up first, without a byte unpacked."""
    save(small(), tmp_path / "model")
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    monkeypatch.setattr(archive, "_read", lambda *_: pytest.fail("was unpacked"))
    with pytest.raises(ModelError, match="unpacks to 0 MiB, expected at most 0"):
        read_model(tmp_path / "model", **TOLD)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Of two members of one name one reader takes the first, another the last."""
    as_script(small(), tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt", "a") as opened:
        opened.writestr("model/data.pkl", b"\x80\x02N.")
    with pytest.raises(ModelError, match=r"holds data.pkl twice"):
        read_model(tmp_path / "model.pt", **TOLD)


def node(members: Members, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the first node of a program that computes something."""
    program = json.loads(members["models/model.json"])
    change(program["graph_module"]["graph"]["nodes"][0])
    members["models/model.json"] = json.dumps(program).encode()


def deep(members: Members) -> None:
    """Nest a description without end."""
    members["models/model.json"] = b"[" * 100_000


def packed(members: Members) -> None:
    """Pack the inputs in what has torch import a module by name."""
    text = members["models/model.json"].decode()
    members["models/model.json"] = text.replace("builtins.tuple", "collections.defaultdict").encode()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda m: node(m, lambda n: n.update(target="torch.ops.aten.from_file.default")),
            "holds the operator torch.ops.aten.from_file.default, which networks do not need",
        ),
        (lambda m: node(m, lambda n: n.update(target="torch.load")), "holds the operator torch.load"),
        (lambda m: node(m, lambda n: n.update(target="torch.hub.load")), "holds the operator torch.hub.load"),
        (lambda m: node(m, lambda n: n.update(target="_operator.methodcaller")), "_operator.methodcaller"),
        (
            lambda m: node(m, lambda n: n.update(target="torch.ops.mylib.evil.default")),
            "torch.ops.mylib.evil",
        ),
        (lambda m: node(m, lambda n: n.update(target="torch.ops.higher_order.while_loop")), "while_loop"),
        (lambda m: node(m, lambda n: n.update(target=["torch.load"])), "holds the operator"),
        (
            lambda m: node(m, lambda n: n["inputs"].append({"name": "x", "arg": {"as_custom_obj": {}}})),
            "holds as_custom_obj, more than operators",
        ),
        (
            lambda m: node(m, lambda n: n["inputs"].append({"arg": {"as_graph": {}}})),
            "holds as_graph, more than",
        ),
        (packed, "packs its inputs in objects"),
        (lambda m: node(m, lambda n: n.update(of=[[["x()"]]])), r"holds 'x\(\)' for a name"),
        (deep, "a damaged description"),
        (
            lambda m: m.update({"extra/classes.txt": b"patient,control"}),
            "says something in extra/classes.txt",
        ),
    ],
)
def test_programs_say_what_they_do(change: Callable[[Members], Any], sentence: str, tmp_path: Path) -> None:
    """Functions of torch that JSON names, custom operators and graphs within graphs are refused unrun."""
    as_program(small(), tmp_path / "model.pt2")
    rewritten(tmp_path / "model.pt2", change)
    with pytest.raises(ModelError, match=sentence):
        read_model(tmp_path / "model.pt2", **TOLD)


def test_a_largest_batch_is_not_ignored(tmp_path: Path) -> None:
    """A program says for how many patches it was made; a bundle's network is for any number."""
    shapes = ({0: torch.export.Dim("N", max=64)},)
    program = torch.export.export(small(), (torch.randn(2, 2, 64, 64),), dynamic_shapes=shapes)
    with (tmp_path / "model.pt2").open("wb") as file:
        torch.export.save(program, file)
    with pytest.raises(ModelError, match=r"at most 64 patches at once, .* without a maximum"):
        read_model(tmp_path / "model.pt2", **TOLD)


def renamed(value: Any, old: str, new: str) -> Any:
    """Return a description in which every text and key of one name has another."""
    if isinstance(value, dict):
        return {new if key == old else key: renamed(part, old, new) for key, part in value.items()}
    if isinstance(value, list):
        return [renamed(part, old, new) for part in value]
    return new if value == old else value


@pytest.mark.parametrize("old", ["input", "2.weight", "linear"])
def test_names_are_not_run(old: str, tmp_path: Path) -> None:
    """Torch writes the names of inputs, weights and results into source: `input=os.mkdir(...)` would run."""
    place = tmp_path / "made by the model"
    new = f"{old}=__import__('os').mkdir({str(place)!r})"
    if old == "2.weight":
        new = f'2.w"), __import__("os").mkdir({str(place)!r}), ("'
    as_program(small(), tmp_path / "model.pt2")

    def change(members: Members) -> None:
        for name in members:
            if name.endswith(".json"):
                members[name] = json.dumps(renamed(json.loads(members[name]), old, new)).encode()

    rewritten(tmp_path / "model.pt2", change)
    with pytest.raises(ModelError, match=r"holds '.*' for a name"):
        read_model(tmp_path / "model.pt2", **TOLD)
    assert not place.exists()


def test_torch_opens_the_bytes_that_were_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is exchanged after the check is not what runs."""
    as_script(small(), tmp_path / "model.pt")
    as_script(Reads(str(tmp_path / "made")).eval(), tmp_path / "evil.pt")
    load = torch.jit.load

    def exchanged(file: Any, **options: Any) -> Any:
        (tmp_path / "evil.pt").replace(tmp_path / "model.pt")
        assert isinstance(file, io.BytesIO)
        return load(file, **options)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(torch.jit, "load", exchanged)
    read = read_model(tmp_path / "model.pt", **TOLD)

    patches = torch.from_numpy(np.ones((2, 2, 64, 64), np.float32))
    assert torch.allclose(read.network(patches), small()(patches))
    assert not (tmp_path / "made").exists()
