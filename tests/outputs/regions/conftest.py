"""Segmentations, and their records, as fixtures; see tests/tools/segmentations.py."""

from collections.abc import Callable
from typing import Any

import pytest

from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.segment import Segmentation
from tests.tools.segmentations import classes_of, record_of, segmented


@pytest.fixture(scope="session")
def make_segmentation() -> Callable[..., Segmentation]:
    """Return a function that gives a segmentation of some planes; see `segmented`."""

    def segmentation(planes: int = 1, **how: Any) -> Segmentation:
        return segmented(classes_of(planes), **how)

    return segmentation


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Sidecar]:
    """Return `record_of`."""
    return record_of
