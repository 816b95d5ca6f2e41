"""The figures of a checkpoint against a computation by hand."""

import numpy as np
import pytest

from colvi_edge.export.evaluation import summarise


def test_figures_are_what_a_hand_gets() -> None:
    """Accuracy, confusion, scores and calibration error of six patches, computed by hand."""
    p_control = np.array([0.95, 0.85, 0.4, 0.3, 0.85, 0.5])
    label = np.array([0, 0, 0, 1, 1, 1])
    result = summarise(p_control, label, label)

    # Votes 0 0 1 1 0 1; of the bins 0.9: 0.95 against 1; 0.8: 1.7 against 1; 0.7: 0.7 against 1;
    # 0.6: 0.6 against 0; 0.5: 0.5 against 1; sum of the gaps 0.05 + 0.7 + 0.3 + 0.6 + 0.5.
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.confusion == [[2, 1], [1, 2]]
    assert result.scores == pytest.approx([200 / 3, 100 / 3])
    assert result.image_accuracy == 1
    assert result.calibration_error == pytest.approx(2.15 / 6)
