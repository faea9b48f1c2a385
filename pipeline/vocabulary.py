"""The named values that stand in configurations, records and reports: each value with its title, here and nowhere else.

A type says which values there are; the table beside it what each is called, in the order in which they are shown.
"""

from collections.abc import Mapping
from typing import Final, Literal

__all__ = [
    "ALL_BASELINES",
    "ANSWERS",
    "BASELINES",
    "BETTER",
    "CLASSIFIER",
    "CLASSIFIER_METRICS",
    "COHORT_BASELINES",
    "CSV_COLUMNS",
    "FIDELITY",
    "IMAGE_BASELINES",
    "LESION_FEATURES",
    "LESION_STRATA",
    "PEAK_REGIONS",
    "STATUSES",
    "STRATA",
    "STRATA_BY_PREDICTION",
    "STRATA_MEANING",
    "SURE",
    "USUAL_BASELINES",
    "WORST_FIRST",
    "Answer",
    "Baseline",
    "Better",
    "BodyRegion",
    "Decision",
    "Fidelity",
    "LesionFeature",
    "LesionStratum",
    "PeakRegion",
    "SamplingUnit",
    "Status",
    "Stratum",
]

Stratum = Literal["all", "reference_positive", "true_positive", "false_negative"]

STRATA: Final[Mapping[Stratum, str]] = {
    "all": "All studies",
    "reference_positive": "Reference positive studies",
    "true_positive": "True positive studies",
    "false_negative": "False negative studies",
}

STRATA_BY_PREDICTION: Final[tuple[Stratum, ...]] = ("true_positive", "false_negative")
"""The strata that ask what the model called; a model that calls nothing has none of them."""

STRATA_MEANING: Final[Mapping[Stratum, str]] = {
    "all": "Every study with a map.",
    "reference_positive": "Studies in which the reference says that the finding is present.",
    "true_positive": "Reference positive, and the model said so: did it look at the finding?",
    "false_negative": "Reference positive, but the model missed it: did it look at the finding all the same?",
}

SamplingUnit = Literal["patient", "study"]
"""What a criterion's mean is taken over, and what is independent of each other."""

Baseline = Literal["random_map", "centre_prior", "edge_map", "body_mask", "average_mask"]

BASELINES: Final[Mapping[Baseline, str]] = {
    "random_map": "Random map (baseline)",
    "centre_prior": "Centre prior (baseline)",
    "edge_map": "Edge map (baseline)",
    "body_mask": "Body mask (baseline)",
    "average_mask": "Average mask (baseline)",
}

ALL_BASELINES: Final = "baselines"
"""What stands in a criterion for all that a run has."""

USUAL_BASELINES: Final[tuple[Baseline, ...]] = ("random_map", "centre_prior")
"""Those that are measured unless others are asked for: they need no more than the grid."""

IMAGE_BASELINES: Final[frozenset[Baseline]] = frozenset({"edge_map", "body_mask"})
"""Those that follow from what the model was shown: they know the image, and nothing of the model."""

COHORT_BASELINES: Final[frozenset[Baseline]] = frozenset({"average_mask"})
"""Those that follow from the masks of the whole cohort."""
BodyRegion = Literal["body", "surface", "outside", "border"]
"""Where a place lies, whatever an expert marked."""

PeakRegion = Literal["lesion", "near"] | BodyRegion

PEAK_REGIONS: Final[Mapping[PeakRegion, str]] = {
    "lesion": "inside an expert's outline",
    "near": "beside an outline, within the tolerance",
    "body": "elsewhere in the body",
    "surface": "at the body's surface",
    "outside": "outside the body",
    "border": "at the picture's border",
}
"""Where the peak of a map can lie; of several readers' outlines the first of these counts."""

Answer = Literal["MET", "NOT MET", "INCONCLUSIVE", "NOT EVALUATED"]

Decision = Literal["MET", "NOT MET", "INCONCLUSIVE"]
"""An answer to a claim that was judged."""

SURE: Final[tuple[Decision, Decision]] = ("MET", "NOT MET")
"""The two decisions that rule the other out."""

ANSWERS: Final[Mapping[Answer, str]] = {
    "MET": "the data rule out that the claim is wrong",
    "NOT MET": "the data rule out that the claim is right",
    "INCONCLUSIVE": "the data rule out neither",
    "NOT EVALUATED": "there was nothing to decide on",
}

WORST_FIRST: Final[tuple[Answer, ...]] = ("NOT MET", "INCONCLUSIVE", "NOT EVALUATED", "MET")
"""The answers in the order of their weight for a reader."""

LesionFeature = Literal["image_share", "size", "lesions", "elongation", "irregularity"]

LESION_FEATURES: Final[Mapping[LesionFeature, str]] = {
    "image_share": "lesion share of the image",
    "size": "lesion size",
    "lesions": "number of lesions",
    "elongation": "lesion elongation",
    "irregularity": "lesion irregularity",
}
"""What lesions are told apart by."""

LesionStratum = Literal["lowest", "middle", "highest", "single", "several"]

LESION_STRATA: Final[Mapping[LesionStratum, str]] = {
    "lowest": "lowest third",
    "middle": "middle third",
    "highest": "highest third",
    "single": "one",
    "several": "several",
}
"""The strata of a feature: thirds of the cohort's masks, of the number of lesions one or several."""

Status = Literal["analysed", "excluded", "failed"]

STATUSES: Final[Mapping[Status, str]] = {"analysed": "Analysed", "excluded": "Excluded", "failed": "Failed"}
"""What became of a study."""

Better = Literal["higher", "lower"]

BETTER: Final[Mapping[Better, str]] = {"higher": "higher is better", "lower": "lower is better"}
"""Which end of a metric's scale is the good one."""

Fidelity = Literal["paper", "code", "both", "neither"]

FIDELITY: Final[Mapping[Fidelity, str]] = {
    "paper": "as published",
    "code": "as the authors' code has it",
    "both": "as published and as the authors' code has it",
    "neither": "not as published",
}
"""What a metric's values are equal to, of the publication that it names."""

CLASSIFIER: Final = "classifier"
"""What stands for a map's name where the classifier itself is judged."""

CLASSIFIER_METRICS: Final[Mapping[str, str]] = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "auroc": "AUROC",
}
"""The classifier's own figures: all lie within 0 and 1, and higher is better."""

CSV_COLUMNS: Final = (
    "study", "patient", "status", "stage", "reason", "reference", "predicted", "probability", "value", "target",
    "method", "layer", "reader", "degenerate", "seen_share", "mask_share", "peak_region", "peak_place", "mask_faults",
)  # fmt: skip
"""The columns of ``per_study.csv`` besides those of the metrics."""
