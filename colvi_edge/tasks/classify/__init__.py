"""A class for every cell of an image, and one for the image."""

from colvi_edge.tasks.classify.diagnosis import (
    CLASSES,
    MAJORITY,
    TIE,
    UNSURE,
    VOTES,
    ClassName,
    Diagnosis,
    DiagnosisName,
    Rule,
    Vote,
    diagnose,
    rule_of,
    score_of,
    scored_class,
)

__all__ = [
    "CLASSES",
    "MAJORITY",
    "TIE",
    "UNSURE",
    "VOTES",
    "ClassName",
    "Diagnosis",
    "DiagnosisName",
    "Rule",
    "Vote",
    "diagnose",
    "rule_of",
    "score_of",
    "scored_class",
]
