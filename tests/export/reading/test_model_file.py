"""Reading trained networks: every kind gives its own outputs, in torch and in ONNX; the rest is refused."""

import argparse
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.networks.patch_cnn import NETWORKS, build_network
from colvi_edge.export.reading.checkpoint import Checkpoint, save_checkpoint
from colvi_edge.export.reading.model_file import PUBLISHED, read_model
from colvi_edge.patches import Normalisation

ORDER = ("control", "patient")
TOLD: dict[str, Any] = {"classes": ORDER, "activation": "softmax"}
NAMED: dict[str, Any] = {**TOLD, "network": "paper"}


def spread(name: str = "paper", channels: int = 2, seed: int = 0) -> nn.Module:
    """Return an untrained network whose outputs do not hover at one half."""
    torch.manual_seed(seed)
    network = build_network(name, channels)
    with torch.no_grad():
        list(network.parameters())[-2].mul_(30)
    return network.eval()


def tiny(*layers: nn.Module, channels: int = 2, outputs: int = 2) -> nn.Sequential:
    """Return a quick network with some layers before its last one."""
    torch.manual_seed(0)
    last = nn.Linear(16 * channels, outputs)
    with torch.no_grad():
        last.weight.mul_(30)
    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), *layers, last)


def save_script(network: nn.Module, path: Path) -> None:
    """Save as torch.jit.script does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Any = torch.jit.script(network)
        scripted.save(path)


def save_trace(network: nn.Module, path: Path, channels: int = 2) -> None:
    """Save as torch.jit.trace does, in whatever mode the network is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patches = torch.randn(2, channels, 64, 64)
        torch.jit.trace(network, patches, check_trace=False).save(path)  # type: ignore[no-untyped-call]


def save_exported(network: nn.Module, path: Path, channels: int = 2, *, free: bool = True) -> None:
    """Save as torch.export.save does."""
    shapes = ({0: torch.export.Dim("N")},) if free else None
    patches = torch.randn(2, channels, 64, 64)
    with path.open("wb") as file:
        torch.export.save(torch.export.export(network, (patches,), dynamic_shapes=shapes), file)


def save_own(network: nn.Module, path: Path) -> None:
    """Save as training does."""
    roles = ("collagen", "nuclei")
    save_checkpoint(path, Checkpoint(network, "paper", roles, "softmax", 1.0, Normalisation(), {}))


def save_renamed(network: nn.Module, path: Path) -> None:
    """Save a state_dict as of a class with names of its own, last layer first."""
    weights = network.state_dict()
    torch.save({f"own.{key.replace('.', '_')}": weights[key] for key in reversed(weights)}, path)


def save_checkpoint_dict(network: nn.Module, path: Path) -> None:
    """Save what a training loop keeps, of a network in DataParallel."""
    weights = {f"module.{key}": value.double() for key, value in network.state_dict().items()}
    torch.save({"epoch": 7, "model_state_dict": weights, "optimizer": {"state": {}}}, path)


KINDS: dict[str, tuple[Callable[[nn.Module, Path], None], dict[str, Any]]] = {
    "own": (save_own, {}),
    "script": (save_script, TOLD),
    "trace": (save_trace, TOLD),
    "exported": (save_exported, TOLD),
    "bare": (lambda network, path: torch.save(network.state_dict(), path), NAMED),
    "compiled": (
        lambda n, path: torch.save({"_orig_mod." + k: v for k, v in n.state_dict().items()}, path),
        NAMED,
    ),
    "renamed": (save_renamed, NAMED),
    "dictionary": (save_checkpoint_dict, NAMED),
    "state_dict": (lambda network, path: torch.save({"state_dict": network.state_dict()}, path), NAMED),
    "model": (lambda network, path: torch.save({"model": network.state_dict()}, path), NAMED),
    "old": (
        lambda n, path: torch.save(n.state_dict(), path, _use_new_zipfile_serialization=False),
        NAMED,
    ),
}


GRAPHS = ("script", "trace", "exported")
"""Kinds that hold their network, so that a quick one will do."""


def noise(count: int, channels: int = 2) -> NDArray[np.float32]:
    """Return normalised patches."""
    return np.random.default_rng(count).standard_normal((count, channels, 64, 64)).astype(np.float32)


def run_onnx(model: bytes, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what ONNX Runtime makes of patches."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"patches": patches})[0]


def probabilities(network: nn.Module, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of a network's outputs."""
    with torch.inference_mode():
        return torch.softmax(network(torch.from_numpy(patches)), 1).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_by_its_content(kind: str, tmp_path: Path) -> None:
    """Whatever the suffix, the outputs are those of the network that was saved."""
    save, options = KINDS[kind]
    network = tiny().eval() if kind in GRAPHS else spread()
    path = tmp_path / "model.weights"
    save(network, path)
    checkpoint = read_model(path, **options)
    patches = noise(3)
    expected = probabilities(network, patches)
    found = checkpoint.probabilities()(torch.from_numpy(patches)).detach().numpy()

    assert checkpoint.channels == ("collagen", "nuclei")
    assert (checkpoint.activation, checkpoint.normalisation) == ("softmax", Normalisation())
    assert np.ptp(expected) > 0.1
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["own", "script", "trace", "exported", "bare"])
def test_every_kind_goes_to_onnx(kind: str, tmp_path: Path) -> None:
    """ONNX Runtime agrees to 1e-4, and N is free."""
    save, options = KINDS[kind]
    network = spread()
    save(network, tmp_path / "model")
    model = to_onnx(read_model(tmp_path / "model", **options).probabilities(), 2, 64)

    for count in (1, 3):
        patches = noise(count)
        assert run_onnx(model, patches) == pytest.approx(probabilities(network, patches), abs=1e-4)


@pytest.mark.parametrize("kind", ["own", "script", "trace", "exported"])
def test_the_same_file_gives_the_same_onnx(kind: str, tmp_path: Path) -> None:
    """Byte for byte, however often the network ran, and without a path of this machine."""
    save, options = KINDS[kind]
    save(tiny().eval() if kind in GRAPHS else spread(), tmp_path / "model")
    first = read_model(tmp_path / "model", **options).probabilities()
    model = to_onnx(first, 2, 64)

    assert to_onnx(first, 2, 64) == model
    assert to_onnx(read_model(tmp_path / "model", **options).probabilities(), 2, 64) == model
    assert b"/tmp" not in model
    assert b".py" not in model


@pytest.mark.parametrize("seed", range(5))
def test_onnx_equals_torch(seed: int, tmp_path: Path) -> None:
    """Differently seeded networks, of either architecture and layout, agree to 1e-4 with ONNX Runtime."""
    name, channels = list(NETWORKS)[seed % 2], 2 + seed % 2
    network = spread(name, channels, seed)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    checkpoint = read_model(tmp_path / "model.pt", network=name, **TOLD)
    patches = noise(8, channels)

    found = run_onnx(to_onnx(checkpoint.probabilities(), channels, 64), patches)

    assert found == pytest.approx(probabilities(network, patches), abs=1e-4)


class Viewed(nn.Module):
    """A network that reads its batch size off the input, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3, 8), nn.BatchNorm2d(4), nn.SiLU(), nn.Dropout(0.5))
        self.classify = nn.Linear(4 * 64, 2)

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        maps: Tensor = self.features(patches)
        logits: Tensor = self.classify(maps.view(maps.size(0), -1))
        return logits


@pytest.mark.parametrize("save", [save_script, save_exported])
def test_symbolic_batch_sizes_stay_free(save: Callable[[nn.Module, Path], None], tmp_path: Path) -> None:
    """x.view(x.size(0), -1) is exported as that, not as the number that N was."""
    network = Viewed().eval()
    save(network, tmp_path / "model")
    model = to_onnx(read_model(tmp_path / "model", **TOLD).probabilities(), 2, 64)

    for count in (1, 3):
        patches = noise(count)
        assert run_onnx(model, patches) == pytest.approx(probabilities(network, patches), abs=1e-5)


@pytest.mark.parametrize("kind", ["script", "exported", "bare"])
def test_the_other_class_order_is_turned_round(kind: str, tmp_path: Path) -> None:
    """A network that gives (patient, control) gives (control, patient) in the bundle's graph."""
    save, options = KINDS[kind]
    network = tiny().eval() if kind in GRAPHS else spread()
    save(network, tmp_path / "model")
    checkpoint = read_model(tmp_path / "model", **{**options, "classes": ("patient", "control")})
    patches = noise(3)
    expected = probabilities(network, patches)[:, ::-1]

    assert np.abs(expected[:, 0] - expected[:, 1]).min() > 0.01
    assert run_onnx(to_onnx(checkpoint.probabilities(), 2, 64), patches) == pytest.approx(expected, abs=1e-4)


def test_dropout_of_a_script_saved_in_training_mode_is_off(tmp_path: Path) -> None:
    """TorchScript from torch.jit.script can still be put in evaluation mode, and is."""
    network = tiny(nn.Dropout(0.5)).train()
    save_script(network, tmp_path / "model.pt")
    checkpoint = read_model(tmp_path / "model.pt", **TOLD)
    patches = noise(2)

    assert checkpoint.probabilities()(torch.from_numpy(patches)).detach().numpy() == pytest.approx(
        probabilities(network.eval(), patches), abs=1e-6
    )


def test_half_precision_files_are_read_in_single(tmp_path: Path) -> None:
    """FP32 is the reference of every bundle, also where the lab trained in less."""
    save_script(tiny().half(), tmp_path / "model.pt")
    checkpoint = read_model(tmp_path / "model.pt", **TOLD)

    assert {parameter.dtype for parameter in checkpoint.network.parameters()} == {torch.float32}


def test_what_the_options_say_is_kept(tmp_path: Path) -> None:
    """Channels, activation and normalisation of a file that tells none of them."""
    save_script(nn.Sequential(tiny(channels=4), nn.Sigmoid()), tmp_path / "model.pt")
    channels = ["nuclei", "empty", "collagen", "empty"]
    normalisation = Normalisation("patch-channel")
    checkpoint = read_model(
        tmp_path / "model.pt",
        classes=ORDER,
        activation="none",
        channels=channels,
        normalisation=normalisation,
    )

    assert checkpoint.channels == tuple(channels)
    assert (checkpoint.activation, checkpoint.temperature) == ("none", 1.0)
    assert checkpoint.normalisation == normalisation


def test_what_is_known_of_a_network_is_taken(tmp_path: Path) -> None:
    """Three inputs are those of RGB pictures; the published code divides 8-bit pictures by 255."""
    torch.save(spread("published", 3).state_dict(), tmp_path / "model.pt")
    checkpoint = read_model(tmp_path / "model.pt", network="published", **TOLD)

    assert checkpoint.channels == ("empty", "collagen", "nuclei")
    assert checkpoint.normalisation == PUBLISHED == Normalisation("scale", divisor=255, dtype="uint8")
    assert checkpoint.name == "published"


@pytest.mark.parametrize(
    ("kind", "changed", "sentence"),
    [
        ("script", {"classes": None}, r"does not say which class each output is \(--classes\); it is given"),
        (
            "exported",
            {"activation": None},
            r"does not say what its outputs are \(--outputs: probabilities if",
        ),
        ("bare", {"classes": None}, "which class each output is"),
        ("bare", {"activation": None}, "what its outputs are"),
        ("bare", {"network": None}, r"whose weights it holds \(--network paper or published\)"),
        ("bare", {"network": "vgg"}, "no network 'vgg'; choose 'paper' or 'published'"),
        ("script", {"network": "paper"}, "holds its network; leave --network out"),
        ("script", {"classes": ("control", "sick")}, "classes are control and patient.*found control,sick"),
        ("script", {"activation": "relu"}, "no activation 'relu'; choose softmax, sigmoid, none"),
        ("script", {"channels": ("collagen", "actin")}, "channels are collagen and nuclei.*collagen,actin"),
        ("script", {"channels": ("collagen", "collagen")}, "once each"),
        ("own", {"network": "published"}, "--network says published, the file says paper; leave"),
        ("own", {"channels": ("nuclei", "collagen")}, "--channels says"),
        ("own", {"classes": ("patient", "control")}, "--classes says"),
        ("own", {"activation": "sigmoid"}, "--outputs says sigmoid-logits, the file says softmax-logits"),
        ("own", {"normalisation": Normalisation("patch-channel")}, "--normalisation says"),
    ],
)
def test_missing_and_wrong_options(kind: str, changed: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    """The sentence says which option; what a file tells cannot be said otherwise."""
    save, options = KINDS[kind]
    save(tiny().eval() if kind in GRAPHS else spread(), tmp_path / "model")
    with pytest.raises(UsageError, match=sentence):
        read_model(tmp_path / "model", **{**options, **changed})


def test_our_own_options_may_repeat_what_the_checkpoint_says(tmp_path: Path) -> None:
    """Nothing is wrong with saying it twice."""
    save_own(spread(), tmp_path / "model.pt")
    checkpoint = read_model(tmp_path / "model.pt", **NAMED, channels=["collagen", "nuclei"])

    assert checkpoint.name == "paper"


class Pair(nn.Module):
    """Gives logits and features, as some networks do."""

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return two tensors."""
        return patches.mean((2, 3)), patches


class FixedBatch(nn.Module):
    """Traced, it takes two patches and no other number."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = nn.Linear(2 * 16, 2)

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits."""
        pooled = nn.functional.avg_pool2d(patches, 16)
        logits: Tensor = self.classify(pooled.reshape(int(patches.shape[0]), -1))
        return logits


def spoilt() -> nn.Module:
    """Return a network whose training diverged."""
    network = tiny()
    with torch.no_grad():
        next(iter(network.parameters()))[0, 0] = float("nan")
    return network


@pytest.mark.parametrize(
    ("save", "make", "sentence"),
    [
        (save_script, lambda: tiny(outputs=1), r"gives \(4, 1\) for 4 patches; expected \(4, 2\).*\[1 - p"),
        (save_script, lambda: tiny(outputs=3), r"gives \(4, 3\) for 4 patches"),
        (save_script, Pair, "gives a tuple"),
        (save_exported, Pair, "gives a tuple"),
        (save_script, lambda: nn.Linear(64, 2), r"gives \(4, 2, 64, 2\)"),
        (save_script, spoilt, "gives NaN"),
        (save_trace, lambda: tiny(nn.Dropout(0.1)).train(), "dropout is on.*model.eval"),
        (save_exported, lambda: tiny(nn.Dropout(0.1)).train(), "dropout is on"),
        (save_trace, lambda: tiny(nn.BatchNorm1d(32)).train(), "company than alone.*model.eval"),
        (save_trace, FixedBatch, "takes 2 patches but not 4 .*its batch is fixed"),
        (
            save_script,
            lambda: nn.Sequential(tiny(), nn.Softmax(1)),
            "already sum to 1.*--outputs probabilities",
        ),
    ],
)
def test_networks_that_break_the_contract(
    save: Callable[[nn.Module, Path], None],
    make: Callable[[], nn.Module],
    sentence: str,
    tmp_path: Path,
) -> None:
    """Two finite outputs a patch, each patch's for itself and always the same, or a sentence."""
    save(make(), tmp_path / "model")
    with pytest.raises(ModelError, match=sentence) as caught:
        read_model(tmp_path / "model", **TOLD, channels=("collagen", "nuclei"))

    assert caught.value.exit_code == 2


def test_logits_are_no_probabilities(tmp_path: Path) -> None:
    """Without an activation the outputs must be within 0 and 1."""
    save_script(tiny(), tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"outputs run from -\d.* to \d.*no probabilities; name --outputs"):
        read_model(tmp_path / "model.pt", classes=ORDER, activation="none")


def test_the_patch_size_is_fixed(tmp_path: Path) -> None:
    """A network of other patches is refused with what torch said."""
    save_script(nn.Sequential(nn.Flatten(), nn.Linear(2 * 32 * 32, 2)), tmp_path / "model.pt")
    with pytest.raises(
        ModelError, match=r"takes no \(N, C, 64, 64\) float32 patches \(.*shapes cannot be mul"
    ):
        read_model(tmp_path / "model.pt", **TOLD)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (tiny(channels=4), r"which channel each input is \(--channels; it takes 4\)"),
        (nn.Sequential(nn.AdaptiveAvgPool3d((1, 1, 2)), nn.Flatten()), "it takes 1 or 2 or 3 or 4"),
    ],
)
def test_channels_that_cannot_be_told(network: nn.Module, sentence: str, tmp_path: Path) -> None:
    """Only two and three inputs have a usual order."""
    save_script(network, tmp_path / "model.pt")
    with pytest.raises(UsageError, match=sentence):
        read_model(tmp_path / "model.pt", **TOLD)


def test_one_channel_is_no_network_of_the_assay(tmp_path: Path) -> None:
    """No --channels could name collagen and nuclei at once: nobody is asked for it."""
    save_script(tiny(channels=1), tmp_path / "model.pt")
    with pytest.raises(ModelError, match="takes one channel, expected two or more: collagen and nuclei"):
        read_model(tmp_path / "model.pt", **TOLD)


@pytest.mark.parametrize(
    ("save", "options"),
    [
        (
            lambda path: torch.save(spread("published", 3).state_dict(), path),
            ("--network", "published", "--classes", "control,patient", "--outputs", "softmax-logits"),
        ),
        (
            lambda path: save_script(tiny(channels=4), path),
            ("--channels", "collagen,nuclei,empty,empty", "--classes", "control,patient"),
        ),
        (
            lambda path: save_script(nn.Sequential(tiny(), nn.Softmax(1)), path),
            ("--classes", "control,patient", "--outputs", "probabilities"),
        ),
    ],
)
def test_all_that_lacks_is_asked_for_at_once(
    save: Callable[[Path], None], options: tuple[str, ...], tmp_path: Path
) -> None:
    """In one sentence, which says what patches are taken to be, with options that can be typed."""
    save(tmp_path / "model")
    with pytest.raises(UsageError, match="zero mean and unit variance, unless --normalisation") as asked:
        read_model(tmp_path / "model")

    assert asked.value.options[: len(options)] == options
    assert all(f"{option}" in str(asked.value) for option in options[::2])
    with pytest.raises(UsageError) as asked:
        read_model(tmp_path / "model", normalisation=Normalisation("patch-channel"))
    assert "--normalisation" not in str(asked.value)


def test_channels_must_be_as_many_as_the_network_takes(tmp_path: Path) -> None:
    """Three names for two inputs are refused."""
    save_script(tiny(), tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"takes no \(N, 3, 64, 64\)"):
        read_model(tmp_path / "model.pt", channels=("empty", "collagen", "nuclei"), **TOLD)


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    """A program exported without dynamic shapes takes one batch size only."""
    save_exported(tiny().eval(), tmp_path / "model.pt2", free=False)
    with pytest.raises(
        ModelError, match=r"a fixed batch; .*dynamic_shapes=\(\{0: torch.export.Dim\('N'\)\},\)"
    ):
        read_model(tmp_path / "model.pt2", **TOLD)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.pop("13.bias"), r"found no tensor \(nothing\) where it has 13.bias \(2\); save another"),
        (lambda w: w.update(bn=torch.zeros(128)), r"found bn \(128\) where it has no tensor"),
        (
            lambda w: w.update({"0.weight": torch.zeros(128, 2, 5, 5)}),
            r"found 0.weight \(128 x 2 x 5 x 5\) wh",
        ),
        (lambda w: w.clear() or w.update(n=torch.tensor(3)), r"found n \(a number\) where it has 0.weight"),
    ],
)
def test_weights_of_another_network(
    change: Callable[[dict[str, Tensor]], Any], sentence: str, tmp_path: Path
) -> None:
    """The first tensor that does not fit is named with both shapes."""
    weights = dict(spread().state_dict())
    change(weights)
    torch.save(weights, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=sentence):
        read_model(tmp_path / "model.pt", **NAMED)


@pytest.mark.parametrize("key", [None, "model_state_dict"])
def test_weights_of_no_network_here_are_not_asked_whose(key: str | None, tmp_path: Path) -> None:
    """Neither --network would help: said at once, with what does."""
    weights = tiny().state_dict()
    torch.save({key: weights} if key else weights, tmp_path / "model.pt")
    with pytest.raises(
        ModelError, match=r"fit neither network .* paper and published; .* as ONNX, or as Torch"
    ):
        read_model(tmp_path / "model.pt")


def test_one_output_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    """No answer about classes would make two outputs of it; the wrapper that is told does."""
    single = nn.Sequential(tiny(outputs=1), nn.Sigmoid())
    save_script(single, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"p = self.network\(x\); return torch.cat\(\[1 - p, p\], 1\)"):
        read_model(tmp_path / "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.zeros(2, 2, 64, 64),)
        torch.onnx.export(single, example, tmp_path / "m.onnx", dynamo=False, opset_version=17)
    with pytest.raises(ModelError, match=r"x 1 float32 for .* return torch.cat\(\[1 - p, p\], 1\)"):
        read_model(tmp_path / "m.onnx")


def test_the_network_that_fits_is_named(tmp_path: Path) -> None:
    """Whoever mixes up the two networks reads which one the file is of."""
    torch.save(spread("published", 3).state_dict(), tmp_path / "model.pt")
    with pytest.raises(
        ModelError,
        match=r"found 10.weight \(150 x 1152\) where it has 10.weight \(150 x 2048\); .*'published'",
    ):
        read_model(tmp_path / "model.pt", **NAMED)


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to restore this."""
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("new", [True, False])
def test_pickles_run_nothing(new: bool, tmp_path: Path) -> None:
    """A pickled object is refused, unopened, with the way to save a network properly."""
    trace = tmp_path / "trace"
    torch.save({"state_dict": {}, "args": Bomb(trace)}, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    torch.save(tiny(), tmp_path / "b.pt", _use_new_zipfile_serialization=new)
    torch.save({"args": argparse.Namespace(epochs=3)}, tmp_path / "c.pt", _use_new_zipfile_serialization=new)

    for name, found in (("a", "mkdir"), ("b", "Sequential"), ("c", "argparse.Namespace")):
        with pytest.raises(
            ModelError, match=rf"pickled [\w.]*{found}, which could run any code; .*state_dict"
        ):
            read_model(tmp_path / f"{name}.pt", **NAMED)
    assert not trace.exists()


def rewritten(path: Path, change: Callable[[dict[str, bytes]], Any]) -> None:
    """Change the members of an archive; their names come without the top folder."""
    with zipfile.ZipFile(path) as archive:
        top = archive.namelist()[0].partition("/")[0]
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{top}/{name}", content)


def pickled(value: object) -> bytes:
    """Return what torch.save writes."""
    path = Path(os.environ["PICKLED"])
    torch.save(value, path)
    return path.read_bytes()


def test_exported_programs_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.export's reader would unpickle, evaluate or load as a library is refused."""
    monkeypatch.setenv("PICKLED", str(tmp_path / "pickled"))
    trace = tmp_path / "trace"
    bomb = pickled(Bomb(trace))
    evil = f"__import__('os').mkdir({str(trace)!r})"

    def as_payload(members: dict[str, bytes]) -> None:
        members["data/weights/weight_0"] = bomb
        config = json.loads(members["data/weights/model_weights_config.json"])
        next(iter(config["config"].values()))["use_pickle"] = True
        members["data/weights/model_weights_config.json"] = json.dumps(config).encode()

    def as_size(members: dict[str, bytes]) -> None:
        text = members["models/model.json"].decode()
        start = text.index("Symbol('")
        symbol = text[start : text.index(")", start) + 1]
        members["models/model.json"] = text.replace(symbol, evil).encode()

    def as_guard(members: dict[str, bytes]) -> None:
        program = json.loads(members["models/model.json"])
        members["models/model.json"] = json.dumps({**program, "guards_code": [evil]}).encode()

    changes: dict[str, tuple[Callable[[dict[str, bytes]], Any], str]] = {
        "inputs": (lambda m: m.update({"data/sample_inputs/model.pt": bomb}), "holds a pickled posix.mkdir"),
        "weights": (as_payload, "holds a pickled posix.mkdir"),
        "old weights": (lambda m: m.update({"data/weights/model.pt": bomb}), "holds a pickled posix.mkdir"),
        "object": (
            lambda m: m.update({"data/constants/opaque_obj_0": bomb}),
            "holds data/constants/opaque_obj",
        ),
        "library": (lambda m: m.update({"data/aotinductor/model/x.so": b""}), "holds data/aotinductor"),
        "twice": (lambda m: m.update({"MODELS/model.json": b""}), "holds MODELS/model.json"),
        "size": (as_size, "expression in Python"),
    }
    for name, (change, sentence) in changes.items():
        path = tmp_path / f"{name}.pt2"
        save_exported(tiny().eval(), path)
        rewritten(path, change)
        with pytest.raises(ModelError, match=sentence):
            read_model(path, **TOLD)
        assert not trace.exists(), name
    save_exported(tiny().eval(), tmp_path / "guards.pt2")
    rewritten(tmp_path / "guards.pt2", as_guard)
    read_model(tmp_path / "guards.pt2", **TOLD)  # opened without its guards
    assert not trace.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_a_rewritten_archive_still_opens(tmp_path: Path) -> None:
    """The refusals above are of what was changed, not of a program that went through zipfile."""
    save_exported(tiny().eval(), tmp_path / "model.pt2")
    rewritten(tmp_path / "model.pt2", lambda members: None)

    assert read_model(tmp_path / "model.pt2", **TOLD).name == "torch.export"


def test_files_that_are_no_model(tmp_path: Path) -> None:
    """Missing, of another kind, cut short or empty: each has its sentence."""
    torch.save(tiny().state_dict(), tmp_path / "whole.pt")
    save_script(tiny(), tmp_path / "whole.ts")
    cases = {
        "text.pt": (b"epoch 1: loss 0.69\n", "text.pt is no model; expected ONNX, TorchScript"),
        "empty.pt": (b"", "is no model"),
        "cut.pt": ((tmp_path / "whole.pt").read_bytes()[:700], "is damaged"),
        "cut.ts": ((tmp_path / "whole.ts").read_bytes()[:-300], "is damaged"),
        "pickle.pt": (b"\x80\x02}q\x00.", "damaged|holds"),
    }
    for name, (content, sentence) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=sentence):
            read_model(tmp_path / name, **NAMED)
    torch.save({"epoch": 3}, tmp_path / "epoch.pt")
    with pytest.raises(ModelError, match="holds no state_dict"):
        read_model(tmp_path / "epoch.pt", **NAMED)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ModelError, match=r"is a Keras archive; of Keras files only the .h5"):
        read_model(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", b"")
    with pytest.raises(ModelError, match="is no model"):
        read_model(tmp_path / "other.zip")
    with pytest.raises(
        UsageError, match=r"cannot be opened \(No such file or directory\); name a model file"
    ):
        read_model(tmp_path / "missing.pt")
