"""The named values that stand in configurations, records and reports: each value with its title, here and nowhere else.

A type says which values there are; the table beside it what each is called, in the order in which they are shown.
"""

from collections.abc import Mapping
from typing import Final, Literal

__all__ = [
    "ANSWERS",
    "BASELINES",
    "BETTER",
    "CLASSIFIER",
    "CLASSIFIER_METRICS",
    "CSV_COLUMNS",
    "FIDELITY",
    "STATUSES",
    "STRATA",
    "STRATA_MEANING",
    "WORST_FIRST",
    "Answer",
    "Baseline",
    "Better",
    "Fidelity",
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

STRATA_MEANING: Final[Mapping[Stratum, str]] = {
    "all": "Every study with a map.",
    "reference_positive": "Studies in which the reference says that the finding is present.",
    "true_positive": "Reference positive, and the model said so: did it look at the finding?",
    "false_negative": "Reference positive, but the model missed it: did it look at the finding all the same?",
}

Baseline = Literal["random_map", "centre_prior", "edge_map", "body_mask"]

BASELINES: Final[Mapping[Baseline, str]] = {
    "random_map": "Random map (baseline)",
    "centre_prior": "Centre prior (baseline)",
    "edge_map": "Edge map (baseline)",
    "body_mask": "Body mask (baseline)",
}

Answer = Literal["MET", "NOT MET", "INCONCLUSIVE", "NOT EVALUATED"]

ANSWERS: Final[Mapping[Answer, str]] = {
    "MET": "the whole interval meets the bound",
    "NOT MET": "the whole interval misses the bound",
    "INCONCLUSIVE": "the interval reaches to both sides of the bound",
    "NOT EVALUATED": "there was nothing to decide on",
}

WORST_FIRST: Final[tuple[Answer, ...]] = ("NOT MET", "INCONCLUSIVE", "NOT EVALUATED", "MET")
"""The answers in the order of their weight for a reader."""

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
    "study", "patient", "status", "stage", "reason", "reference", "predicted", "probability", "target", "method",
    "layer", "reader", "degenerate", "seen_share", "mask_share", "mask_faults",
)  # fmt: skip
"""The columns of ``per_study.csv`` besides those of the metrics."""
