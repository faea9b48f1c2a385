"""Coded terms: those of DICOM where there is one, and camaudit's own (99CAMAUDIT) where there is none."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from pipeline.findings.facts import MetricFacts

__all__ = [
    "ANSWER", "CONSENSUS_OF_READERS", "EXPERT_MASK", "EXPLAINED", "MAP_REGION", "REPORT_TITLE", "SCHEME", "coded",
    "explanation_of", "label_code", "method_code", "metric_code", "probability_code", "undefined_code", "unit_code",
]  # fmt: skip

SCHEME: Final = "99CAMAUDIT"
_LONGEST_MEANING = 64
_LONGEST_VALUE = 16

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")


def coded(value: str, meaning: str) -> CodedConcept:
    """Return a term of camaudit's own; what does not fit into a code's 16 characters is its digest."""
    fits = len(value) <= _LONGEST_VALUE and value.isascii() and not _UNPRINTABLE.search(value)
    short = value if fits else f"H{hashlib.sha256(value.encode()).hexdigest()[:15]}"
    clean = _UNPRINTABLE.sub(" ", meaning).strip() or value
    cut = clean if len(clean) <= _LONGEST_MEANING else f"{clean[: _LONGEST_MEANING - 3]}..."
    return CodedConcept(short, SCHEME, cut)


MAP_REGION = ("MAPREGION", "Region of a model's explanation map")
EXPERT_MASK = ("EXPERTMASK", "Region that an expert outlined")
CONSENSUS_OF_READERS = ("CONSENSUS", "Consensus of several readers")
REPORT_TITLE = ("AUDITREPORT", "Report of a model audit, not for diagnosis")
ANSWER = ("MODELANSWER", "What the model called")
EXPLAINED = ("EXPLAINED", "Label that the map explains")

_CLASS_ACTIVATION = frozenset(
    {"cam", "scorecam", "sscam", "iscam", "faster_scorecam", "ablationcam", "eigencam", "reciprocam", "randomcam"}
)
_GRADIENT_WEIGHTED = frozenset(
    {
        *("gradcam", "gradcam_elementwise", "gradcampp", "smoothgradcampp", "xgradcam", "hirescam", "layercam"),
        *("layercam_fusion", "eigengradcam", "finercam", "guided_gradcam"),
    }
)


def explanation_of(method: str) -> CodedConcept:
    """Return what a method's map shows (CID 217): class activation, gradient-weighted class activation, or saliency."""
    if method in _GRADIENT_WEIGHTED:
        return CodedConcept.from_code(codes.DCM.GradientWeightedClassActivation)
    known = codes.DCM.ClassActivation if method in _CLASS_ACTIVATION else codes.DCM.Saliency
    return CodedConcept.from_code(known)


def metric_code(name: str, facts: Mapping[str, MetricFacts]) -> CodedConcept:
    """Return the term for a metric, its title as meaning; a region to avoid has none of its own."""
    metric = facts.get(name)
    return coded(name, name.replace("_", " ").replace(":", ": ") if metric is None else metric.title)


def unit_code(name: str, facts: Mapping[str, MetricFacts]) -> CodedConcept:
    """Return a metric's unit by UCUM."""
    unit = facts[name].unit if name in facts else "1"
    if unit == "mm":
        return CodedConcept.from_code(codes.UCUM.Millimeter)
    return CodedConcept.from_code(codes.UCUM.NoUnits) if unit == "1" else CodedConcept(f"{{{unit}}}", "UCUM", unit)


def method_code(method: str, title: str) -> CodedConcept:
    """Return the term for a method by which a map was made."""
    return coded(method, title)


def label_code(label: str) -> CodedConcept:
    """Return the term for one of the model's labels."""
    return coded(f"LABEL {label}", label)


def probability_code(label: str) -> CodedConcept:
    """Return the term for what the model answers for a label."""
    return coded(f"ANSWER {label}", f"Model's output for {label}")


def undefined_code(reason: str) -> CodedConcept:
    """Return the term for a score that has no value, by its reason."""
    return coded(f"UNDEFINED {reason}", f"Undefined: {reason.replace('_', ' ')}")
