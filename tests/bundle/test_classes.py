"""Which classes, rules and cells make sense together in a bundle."""

from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from colvi_edge.bundle import Config

PATCHES: dict[str, Any] = {
    "input": {"channels": ["collagen", "nuclei"], "normalisation": {"kind": "patch"}},
    "windows": {"px": 64, "cell_px": 64},
    "task": {"kind": "classify", "classes": ["alpha", "beta", "gamma"], "decision": {"rule": "majority"}},
    "quality": "general",
    "precisions": {"fp32": {"file": "fp32.onnx", "purpose": "reference"}},
}
EVALUATION: dict[str, Any] = {
    "dataset": "cultures",
    "images": 3,
    "image_accuracy": 1.0,
    "patch_accuracy": 0.9,
    "confusion": [[3, 0, 0], [0, 3, 1], [0, 0, 3]],
    "expected_calibration_error": 0.01,
}


def changed(**parts: dict[str, Any]) -> dict[str, Any]:
    """Return what a bundle says with keys of its parts replaced; None takes one away."""
    told = deepcopy(PATCHES)
    for name, part in parts.items():
        told.setdefault(name, {}).update(part)
        told[name] = {key: value for key, value in told[name].items() if value is not None}
    return told


def test_any_classes_with_their_evaluation() -> None:
    """A row and a column of the confusion for each class."""
    config = Config.model_validate(changed(evaluation=EVALUATION))

    assert config.task.classes == ("alpha", "beta", "gamma")
    assert config.evaluation is not None
    assert config.evaluation.confusion[1] == (0, 3, 1)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"evaluation": {**EVALUATION, "confusion": [[3, 0], [0, 3]]}}, "a row for each class"),
        (
            {"evaluation": {**EVALUATION, "confusion": [[3, 0, 0], [0, 3], [0, 0, 3]]}},
            "as many rows as columns",
        ),
        ({"task": {"bands": {"cyan": 0.9}}}, "found bands"),
        ({"task": {"decision": {"rule": "share", "of": "alpha", "above": 0.1}}}, "tells two classes apart"),
        ({"task": {"classes": ["alpha", "tie"]}}, "names of their own"),
        ({"task": {"classes": ["alpha", "=cmd"]}}, "should match pattern"),
        ({"input": {"planes": "each"}}, "patches are of their sum"),
        (
            {
                "input": {"resize_px": (64, 64)},
                "windows": {"px": "whole", "cell_px": None},
                "task": {
                    "classes": ["control", "patient"],
                    "bands": {"cyan": 0.9, "steelblue": 0.7, "yellow": 0.5, "orange": 0.3, "red": 0.0},
                },
            },
            "bands are the colours of patches",
        ),
        (
            {
                "task": {
                    "classes": ["control", "patient"],
                    "decision": {"rule": "share", "of": "control", "above": 0.1},
                    "bands": {"cyan": 0.9, "steelblue": 0.7, "yellow": 0.5, "orange": 0.3, "red": 0.0},
                }
            },
            "bands are the colours of patches",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(parts: dict[str, dict[str, Any]], words: str) -> None:
    """By a sentence that says what is wrong."""
    with pytest.raises(ValidationError, match=words):
        Config.model_validate(changed(**parts))
