"""What a bundle of schema 2 may say of its input, its windows and its task, and what it may not."""

from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from colvi_edge.bundle import Bundle, Config
from colvi_edge.bundle.manifest import FlatConfig
from colvi_edge.patches import Normalisation

FP32 = {"precisions": {"fp32": {"file": "fp32.onnx", "purpose": "reference"}}}
PATCHES: dict[str, Any] = {
    "input": {"channels": ["collagen", "nuclei"], "normalisation": {"kind": "patch"}},
    "windows": {"px": 64, "cell_px": 64},
    "task": {"kind": "classify", "classes": ["control", "patient"], "decision": {"rule": "majority"}},
    "quality": "fibroblast",
    **FP32,
}
WHOLE: dict[str, Any] = {
    "input": {
        "channels": ["intensity"],
        "normalisation": {"kind": "scale", "divisor": 255, "dtype": "uint8"},
        "resize_px": [256, 256],
    },
    "windows": {"px": "whole"},
    "task": {
        "kind": "classify",
        "classes": ["normal", "pneumonia"],
        "decision": {"rule": "threshold", "of": "pneumonia", "at_least": 0.5},
    },
    "quality": "general",
    **FP32,
}
STACK: dict[str, Any] = {
    **WHOLE,
    "input": {**WHOLE["input"], "planes": "each", "mask": {"bundle": "muscles", "sha256": "0" * 64}},
    "task": {
        "kind": "classify",
        "classes": ["healthy", "ill"],
        "decision": {"rule": "share", "of": "healthy", "above": 0.1},
    },
}
VESICLES: dict[str, Any] = {
    "input": {
        "channels": [{"role": "intensity", "names": ["TEM"]}],
        "pixel_size_um": 0.0015646,
        "normalisation": {"kind": "scale", "divisor": 255, "dtype": "uint8"},
    },
    "windows": {"px": 544, "halo_px": 96, "step_px": 16, "reach_px": 94},
    "task": {
        "kind": "segment",
        "classes": ["background", "vesicle"],
        "decision": {
            "rule": "threshold",
            "of": "vesicle",
            "at_least": 0.4,
            "smooth_px": 3,
            "open_px": 1,
            "smallest_px": 288,
        },
        "objects": {"split": "radon", "depth": 0.15},
    },
    "quality": "general",
    **FP32,
}
MUSCLES: dict[str, Any] = {
    "input": {
        "channels": ["water", "fat"],
        "planes": "each",
        "normalisation": {"kind": "fixed", "mean": [1, 2], "std": [3, 4]},
    },
    "windows": {"px": "whole", "step_px": 32},
    "task": {
        "kind": "segment",
        "classes": ["background", "QF", "SA", "GR", "HA"],
        "decision": {"rule": "largest"},
    },
    "quality": "general",
    **FP32,
}


EVALUATION = {
    "dataset": "cells",
    "images": 4,
    "image_accuracy": 1,
    "patch_accuracy": 1,
    "confusion": [[2, 0], [0, 2]],
    "expected_calibration_error": 0,
}


def changed(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a configuration with values changed; a name of two parts, such as windows__px, is one inside."""
    new = deepcopy(config)
    for name, value in changes.items():
        *outer, last = name.split("__")
        part = new
        for key in outer:
            part = part[key]
        part[last] = value
    return new


@pytest.mark.parametrize("config", [PATCHES, WHOLE, STACK, VESICLES, MUSCLES])
def test_every_kind_of_task_can_be_said(config: dict[str, Any]) -> None:
    """What is read is written the same, and read again."""
    read = Config.model_validate(config)

    assert Config.model_validate(read.model_dump(mode="json", exclude_none=True)) == read
    assert read.schema_version == 2
    assert len(read.channels) == len(config["input"]["channels"])


@pytest.mark.parametrize(
    ("config", "changes", "complaint"),
    [
        (PATCHES, {"windows__halo_px": 8}, "without halo, step, join"),
        (PATCHES, {"windows__cell_px": 32}, "cells as large as their windows"),
        (PATCHES, {"windows__px": 4, "windows__cell_px": 4}, "expected 8 to 2048"),
        (PATCHES, {"input__resize_px": [8, 8]}, "patches are cut from the image as it is"),
        (PATCHES, {"windows__reach_px": 3}, "without halo, step, join and reach"),
        (PATCHES, {"windows__cell_px": None}, "of patches"),
        (
            PATCHES,
            {"task__decision": {"rule": "threshold", "of": "control", "at_least": 0.5}},
            "whole images",
        ),
        (PATCHES, {"task__classes": ["control", "tie"]}, "names of their own"),
        (PATCHES, {"task__classes": ["a", "A"]}, "names of their own"),
        (PATCHES, {"task__classes": ["a", "b\n"]}, "pattern"),
        (PATCHES, {"task__classes": ["only"]}, "at least 2"),
        (PATCHES, {"task__decision__smooth_px": 3}, "Extra inputs"),
        (PATCHES, {"task__bands": {"green": 1.0}}, "bands"),
        (
            PATCHES,
            {"task__decision": {"rule": "share", "of": "ill", "above": 0.1}},
            "expected one of control",
        ),
        (PATCHES, {"input__channels": ["collagen", "collagen"]}, "each role once"),
        (PATCHES, {"input__channels": ["collagen"]}, "judged on collagen and nuclei"),
        (PATCHES, {"input__channels": ["empty"]}, "not empty"),
        (PATCHES, {"input__channels": ["other", "nuclei"]}, "no network asks for"),
        (PATCHES, {"verification": {"region": "r.npy", "field": "f.npy"}}, "by patches"),
        (PATCHES, {"schema_version": 1}, "schema 1 has no task"),
        (PATCHES, {"quality": "guess"}, "fibroblast"),
        (PATCHES, {"patch_px": 64}, "patch_px"),
        (WHOLE, {"input__resize_px": None}, "needs the size"),
        (WHOLE, {"input__pixel_size_um": 0.5}, "not to both"),
        (WHOLE, {"windows__halo_px": 8}, "no halo"),
        (WHOLE, {"task__decision__at_least": 1.5}, "less than or equal to 1"),
        (WHOLE, {"verification": {"patches": "r.npy", "probabilities": "f.npy"}}, "by a region"),
        (STACK, {"task__classes": ["a", "b", "c"]}, "tells two classes apart"),
        (STACK, {"input__mask__sha256": "0"}, "pattern"),
        (VESICLES, {"windows__halo_px": 90}, "multiples of the step"),
        (VESICLES, {"windows__halo_px": 272}, "something between the halos"),
        (VESICLES, {"windows__px": 2064}, "expected 8 to 2048"),
        (VESICLES, {"windows__halo_px": 256}, "each pixel would be computed 289 times, at most 64"),
        (
            VESICLES,
            {"windows__join": "blend", "windows__stride_px": 16},
            "each pixel would be computed 1156 times, at most 64",
        ),
        (VESICLES, {"evaluation": EVALUATION}, "evaluation counts votes"),
        (VESICLES, {"windows__join": "blend"}, "stride_px"),
        (VESICLES, {"windows__join": "blend", "windows__stride_px": 400}, "multiple of the step to 352"),
        (
            VESICLES,
            {"windows": {"px": 544, "cell_px": 544}},
            "neither cells",
        ),
        (VESICLES, {"input__normalisation": {"kind": "patch"}}, "that of a patch"),
        (PATCHES, {"input__normalisation": {"kind": "image"}}, "that of an image"),
        (VESICLES, {"input__resize_px": [64, 64], "input__pixel_size_um": None}, "neither cells nor a size"),
        (VESICLES, {"task__decision__of": "background"}, "expected one of vesicle"),
        (VESICLES, {"task__objects__depth": 0}, "greater than 0"),
        (VESICLES, {"task__bands": {}}, "Extra inputs"),
        (VESICLES, {"familiarity": None, "quality": "fibroblast"}, "collagen and nuclei"),
        (MUSCLES, {"input__normalisation": {"kind": "fixed", "mean": [1], "std": [1]}}, "one mean and std"),
        (MUSCLES, {"precisions": {}}, "fp32"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    config: dict[str, Any], changes: dict[str, Any], complaint: str
) -> None:
    """Keys of another task, rules of other classes, windows that would not be the whole image."""
    Config.model_validate(config)

    with pytest.raises(ValidationError, match=complaint):
        Config.model_validate(changed(config, **changes))


def test_what_was_written_before_there_were_tasks_is_read_as_if_it_had_been(demo_bundle: Bundle) -> None:
    """The shipped bundle is of that form: patches, control and patient, the majority."""
    flat = FlatConfig(
        patch_px=64,
        channels=("collagen", "nuclei"),
        normalisation=Normalisation("patch"),
        precisions=demo_bundle.config.precisions,
    )
    bands = demo_bundle.config.task.bands if demo_bundle.config.task.kind == "classify" else None
    said = changed(PATCHES, precisions=flat.precisions, task__bands=bands)

    assert flat.with_task() == Config.model_validate(said)
    assert flat.model_copy(update={"schema_version": 1}).with_task() == flat.with_task()
    assert demo_bundle.config.task == flat.with_task().task
    assert demo_bundle.config.windows == flat.with_task().windows
    assert demo_bundle.config.patch_px == 64
