"""What a checkpoint says is checked: valid ones come back equal, every lie is one sentence."""

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.networks.patch_cnn import build_network
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, Checkpoint, load_checkpoint, save_checkpoint
from colvi_edge.export.reading.model_file import read_model
from colvi_edge.patches import Normalisation

Content = dict[str, Any]

quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@cache
def demo() -> Content:
    """Return what the shipped model's checkpoint says."""
    return torch.load(DEMO_CHECKPOINT, weights_only=True)


@cache
def weights(name: str, channels: int) -> dict[str, Tensor]:
    """Return those of an untrained network."""
    with torch.random.fork_rng():
        torch.manual_seed(channels)
        return build_network(name, channels).state_dict()


def plain(**changed: Any) -> Content:
    """Return what a small valid checkpoint says, with changes."""
    content = {
        "state_dict": weights("paper", 2),
        "network": "paper",
        "channels": ["collagen", "nuclei"],
        "classes": ["control", "patient"],
        "activation": "softmax",
        "temperature": 1.0,
        "normalisation": asdict(Normalisation()),
        "patch_px": 64,
        "training": {},
    }
    return {**content, **changed}


counts = st.integers(0, 2**53)
tested = st.integers(0, 10**9)  # images and patches, as a bundle bounds them
shares = st.floats(0, 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
channel_lists = st.integers(0, 4).flatmap(
    lambda empties: st.permutations(["collagen", "nuclei", *["empty"] * empties])
)
trainings = st.fixed_dictionaries(
    {},
    optional={
        "identity": st.text("0123456789abcdef", min_size=64, max_size=64),
        "settings": st.dictionaries(st.text(max_size=20), st.booleans() | numbers | counts, max_size=5),
        "images": counts,
        "epochs": st.lists(st.dictionaries(st.text(max_size=20), numbers | counts, max_size=4), max_size=3),
        "data": st.text(max_size=100),
        "split": st.dictionaries(st.text(max_size=20), counts, max_size=3),
        "seen": st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), max_size=5),
        "pixel_size_um": st.none() | st.floats(0.001, 1000),
        "test": st.fixed_dictionaries(
            {
                "dataset": st.text(max_size=30).filter(str.isprintable),
                "images": st.integers(1, 10**9),
                "image_accuracy": shares,
                "patch_accuracy": shares,
                "confusion": st.lists(st.lists(tested, min_size=2, max_size=2), min_size=2, max_size=2),
                "expected_calibration_error": shares,
            }
        ),
        "familiarity": st.none() | st.builds(lambda: demo()["training"]["familiarity"]),
    },
)


@st.composite
def checkpoints(draw: Callable[..., Any]) -> Checkpoint:
    """Draw any checkpoint that training or a lab could make."""
    name, channels = draw(st.sampled_from(["paper", "published"])), tuple(draw(channel_lists))
    activation = draw(st.sampled_from(["softmax", "sigmoid", "none"]))
    positive = st.floats(1e-6, 1e6)
    some = st.lists(positive, min_size=len(channels), max_size=len(channels)).map(tuple)
    normalisation = draw(
        st.sampled_from([Normalisation("patch"), Normalisation("patch-channel")])
        | st.builds(lambda mean, std: Normalisation("fixed", mean=mean, std=std), some, some)
        | st.builds(
            lambda divisor, dtype: Normalisation("scale", divisor=divisor, dtype=dtype),
            positive,
            st.sampled_from(["uint8", "uint16", "float32"]),
        )
    )
    network = build_network(name, len(channels))
    network.load_state_dict(weights(name, len(channels)))
    temperature = 1.0 if activation == "none" else draw(st.floats(0.001, 1000))
    return Checkpoint(network, name, channels, activation, temperature, normalisation, draw(trainings))


@quick
@given(checkpoints())
def test_a_valid_checkpoint_comes_back_equal(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Every field, and every weight, whatever the channels, the normalisation and the training."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    loaded = load_checkpoint(tmp_path / "model.pt")

    for name in ("name", "channels", "activation", "temperature", "normalisation", "training"):
        assert getattr(loaded, name) == getattr(checkpoint, name), name
    found, expected = loaded.network.state_dict(), checkpoint.network.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    """A caller's mistake, found where it is made."""
    network = build_network("paper", 2)
    wrong = Checkpoint(network, "paper", ("collagen", "nuclei"), "softmax", math.nan, Normalisation(), {})
    with pytest.raises(ValueError, match="temperature"):
        save_checkpoint(tmp_path / "model.pt", wrong)

    assert not (tmp_path / "model.pt").exists()


LIES: dict[str, tuple[Content, str]] = {
    "classes turned": (
        {"classes": ["patient", "control"]},
        r"classes: found patient, control, expected control, patient; .* with --classes patient,control",
    ),
    "classes doubled": ({"classes": ["control", "control"]}, "classes: found control, control, expected"),
    "no classes": ({"classes": []}, "classes: found , expected control, patient"),
    "other classes": ({"classes": ["healthy", "ill"]}, r"classes\.0: Input should be 'control' or 'patient'"),
    "activation": ({"activation": "evil"}, "activation: Input should be 'softmax', 'sigmoid' or 'none'"),
    "patch_px": ({"patch_px": 128}, "patch_px: found 128, expected 64"),
    "patch_px in words": ({"patch_px": "64"}, "patch_px: Input should be a valid integer"),
    "huge patch_px": ({"patch_px": 10**400}, "patch_px: .*huge"),
    "temperature 0": ({"temperature": 0.0}, "temperature: Input should be greater"),
    "temperature NaN": ({"temperature": math.nan}, "temperature: Input should be a finite number"),
    "temperature in words": ({"temperature": "1.0"}, "temperature: Input should be a valid number"),
    "temperature of probabilities": ({"activation": "none", "temperature": 2.0}, "have no temperature"),
    "training": ({"training": "words"}, "training: Input should be a valid dictionary"),
    "training's key": ({"training": {"schedule": 3}}, r"training\.schedule: Extra inputs are not permitted"),
    "pixel size": ({"training": {"pixel_size_um": -1.0}}, r"training\.pixel_size_um: .*greater than 0"),
    "pixel size of a map": (
        {"training": {"pixel_size_um": 5e3}},
        "pixel_size_um: .*less than or equal to 1000",
    ),
    "test": ({"training": {"test": {"images": 0}}}, r"training\.test\."),
    "seen": ({"training": {"seen": ["../x"]}}, r"training\.seen\.0: String should match"),
    "familiarity": (
        {"training": {"familiarity": {"limits": {}, "references": []}}},
        r"training\.familiarity",
    ),
    "channels": ({"channels": ["x", "y"]}, r"channels\.0: Input should be 'collagen'"),
    "one channel twice": ({"channels": ["nuclei", "nuclei"]}, "collagen and nuclei once each"),
    "more channels": ({"channels": ["empty", "collagen", "nuclei"]}, "0.weight is 128 x 2 x 3 x 3, expected"),
    "network": ({"network": "published"}, "state_dict: 10.weight is 150 x 2048, expected 150 x 1152"),
    "no network": ({"network": "vgg"}, "network: Input should be 'paper' or 'published'"),
    "normalisation": ({"normalisation": {"kind": "zscore"}}, "normalisation.kind"),
    "divisor": (
        {"normalisation": {"kind": "scale", "divisor": 1e-300, "dtype": "uint8"}},
        r"normalisation divisor: found 1e-300, expected 1e-12 to 1e\+12",
    ),
    "dtype": (
        {"normalisation": {"kind": "scale", "divisor": 1.0, "dtype": "x"}},
        "normalisation dtype: found 'x', expected one of uint8, uint16, float32",
    ),
    "means": ({"normalisation": {"kind": "fixed", "mean": [1.0], "std": [1.0]}}, "each of 2 channels"),
    "a key of its own": ({"\x1b[2Jhelp": 1}, r"\\x1b\[2Jhelp: Extra inputs"),
    "weights": ({"state_dict": {"0.weight": 3}}, "state_dict.0.weight"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_sentence(lie: str, tmp_path: Path) -> None:
    """What a checkpoint says otherwise than it is done is refused; the field is named."""
    changed, sentence = LIES[lie]
    torch.save(plain(**changed), tmp_path / "model.pt")
    for read in (load_checkpoint, read_model):
        with pytest.raises(UsageError, match=sentence) as caught:
            read(tmp_path / "model.pt")
        assert caught.value.exit_code == 2
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 800


def spoilt(change: Callable[[Tensor], Tensor]) -> Content:
    """Return a checkpoint with one tensor changed."""
    tensors = dict(weights("paper", 2))
    return plain(state_dict={**tensors, "0.bias": change(tensors["0.bias"])})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda bias: bias * math.nan, "0.bias holds NaN or infinity"),
        (lambda bias: bias.int(), "0.bias holds torch.int32, expected plain floating-point"),
        (lambda bias: bias.to(torch.complex64), "0.bias holds torch.complex64"),
        (lambda bias: bias.to_sparse(), "0.bias holds"),
        (lambda bias: bias.expand(10**9, 128), "0.bias is 1000000000 x 128, expected 128"),
    ],
)
def test_weights_are_finite_and_of_their_shape(
    change: Callable[[Tensor], Tensor], sentence: str, tmp_path: Path
) -> None:
    """No number is looked at before the shape is known to be right: 500 GB are declared in a few bytes."""
    torch.save(spoilt(change), tmp_path / "model.pt")
    with pytest.raises(UsageError, match=sentence):
        load_checkpoint(tmp_path / "model.pt")


def test_half_precision_weights_are_taken(tmp_path: Path) -> None:
    """They are finite floats, and are computed with in single precision."""
    tensors = {key: value.half() for key, value in weights("paper", 2).items()}
    torch.save(plain(state_dict=tensors), tmp_path / "model.pt")

    assert {p.dtype for p in load_checkpoint(tmp_path / "model.pt").network.parameters()} == {torch.float32}


def test_a_word_of_ours_in_a_file_of_others_is_not_overheard(tmp_path: Path) -> None:
    """Weights with a class order beside them, but no checkpoint of ours: not obeyed, and not lost."""
    torch.save({"state_dict": weights("paper", 2), "classes": ["patient", "control"]}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="says classes beside its weights"):
        read_model(
            tmp_path / "model.pt", network="paper", classes=["control", "patient"], activation="softmax"
        )


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**64, -(2**63) - 1, 10**400, -(10**400), 1e308, math.inf, -math.inf, math.nan, -0.0])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["x" * 100_000, "\ud800", "\x00", "\x1b[2J", "control", "softmax", "9" * 5000])
    | st.binary(max_size=10)
    | st.builds(lambda: torch.zeros(3)),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), some, max_size=3)
        | st.lists(some, max_size=2).map(tuple)
    ),
    max_leaves=8,
)


def places(content: Content, depth: int = 3) -> list[tuple[str, ...]]:
    """Return every field of what a checkpoint says, and the fields of these."""
    found: list[tuple[str, ...]] = []
    for key, value in content.items():
        found.append((key,))
        if isinstance(value, dict) and depth:
            found += [(key, *below) for below in places(value, depth - 1)]
    return found


def changed(content: Content, place: tuple[str, ...], value: object) -> Content:
    """Return a copy with another value in one field."""
    first, *rest = place
    return {**content, first: changed(content[first], tuple(rest), value) if rest else value}


@cache
def small_demo() -> Content:
    """Return the same with a few of its many references of what is familiar."""
    place = ("training", "familiarity", "references")
    return changed(demo(), place, demo()["training"]["familiarity"]["references"][:30])


def test_the_small_demo_is_read(tmp_path: Path) -> None:
    """Before anything in it is changed."""
    torch.save(small_demo(), tmp_path / "model.pt")

    assert read_model(tmp_path / "model.pt").training == small_demo()["training"]


@settings(quick, max_examples=250)
@given(st.data())
def test_anything_in_any_field_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Random and extreme values, in each field and each field below: no other exception than ours."""
    place = data.draw(st.sampled_from(places(small_demo())))
    torch.save(changed(small_demo(), place, data.draw(anything)), tmp_path / "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = read_model(tmp_path / "model.pt")
        except (UsageError, ModelError) as error:
            said = str(error)
        else:
            said = f"{loaded.name} of {loaded.channels}"
    assert said.isprintable()
    assert len(said) < 1000


def test_endless_depth_is_refused(tmp_path: Path) -> None:
    """Lists in lists in lists: the pickle holds them, the model has no place for them."""
    deep: Any = []
    for _ in range(150):
        deep = [deep]
    torch.save(plain(training={"epochs": deep}), tmp_path / "model.pt")
    with pytest.raises(UsageError, match=r"training\.epochs"):
        load_checkpoint(tmp_path / "model.pt")
