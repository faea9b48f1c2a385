"""The named values that stand in configurations, records and reports: each value with its title, here and nowhere else.

A type says which values there are; the table beside it what each is called, in the order in which they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

__all__ = [
    "ALL_BASELINES",
    "ANSWERS",
    "AVOID",
    "BASELINES",
    "BETTER",
    "CHECKS",
    "CLASSIFIER",
    "CLASSIFIER_METRICS",
    "COHORT_BASELINES",
    "CONSENSUS",
    "CSV_COLUMNS",
    "FAMILIES",
    "FIDELITY",
    "FRAMEWORKS",
    "IMAGE_BASELINES",
    "KNOWN_TO_MISLEAD",
    "LESION_FEATURES",
    "LESION_STRATA",
    "LOCK_ENDING",
    "NOTHING",
    "NO_FINDING",
    "OTHER_READERS",
    "PEAK_REGIONS",
    "SMALLEST_GROUP",
    "STATEMENTS",
    "STATUSES",
    "STRATA",
    "STRATA_BY_PREDICTION",
    "STRATA_MEANING",
    "SURE",
    "TARGET_ROLES",
    "USUAL_BASELINES",
    "USUAL_FRAMEWORKS",
    "WORST_FIRST",
    "Answer",
    "AskedScore",
    "Baseline",
    "Better",
    "BodyRegion",
    "Check",
    "CheckFacts",
    "ConfusionCell",
    "Decision",
    "Family",
    "Fidelity",
    "Framework",
    "LesionFeature",
    "LesionStratum",
    "MemoryFormat",
    "PeakRegion",
    "Precision",
    "SamplingUnit",
    "Scoring",
    "Status",
    "Stratum",
    "TargetRole",
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

TargetRole = Literal["reference", "answered"]

TARGET_ROLES: Final[Mapping[TargetRole, str]] = {
    "reference": "Map of the reference's label",
    "answered": "Map of the answered label",
}
"""Why a label is explained. ``answered``: the model called it, and the reference says that it is not there; such a map
stands beside the others and is never one of them."""

NOTHING: Final = "nothing"
"""What stands in a cell for a label that is not there, or not called, where each label is called by itself."""


@dataclass(frozen=True)
class ConfusionCell:
    """A cell of the confusion matrix: what the reference says, and what the model called.

    Labels of a model whose labels exclude each other, the negative one among them. Where each label is called by
    itself, both are the same label, or one of them is ``nothing``.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    reference: str
    answered: str

    @property
    def is_right(self) -> bool:
        """Whether the answer is the reference's."""
        return self.reference == self.answered

    @property
    def words(self) -> str:
        """The cell as it stands in a sentence: ``malignant called benign``."""
        if self.answered == NOTHING:
            return f"{self.reference} not called"
        return f"{self.answered} called where it is not" if self.reference == NOTHING else self._pair

    @property
    def _pair(self) -> str:
        return f"{self.reference} called {self.answered}"


NO_FINDING: Final = "no_finding"
"""Why the map of a label that was called wrongly has no score: the reference names no finding to hold it against."""

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

AVOID: Final = "avoid:"
"""What a mask column of a region that must not be leaned on begins with, and what is measured of it."""

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

Family = Literal["sanity", "shortcuts", "stability", "faithfulness"]

FAMILIES: Final[Mapping[Family, str]] = {
    "sanity": "Do the maps depend on model and picture",
    "shortcuts": "What else the model leans on",
    "stability": "Do the maps hold under small changes",
    "faithfulness": "Do the blocks that a map ranks high move the answer",
}
"""What is tried on the model itself, in the order in which it is done."""

Check = Literal[
    "repeatability", "shuffled_picture", "weight_randomisation", "shortcuts", "noise_stability", "faithfulness"
]


@dataclass(frozen=True)
class CheckFacts:
    """A check of a family: its title, and whether it is of a map or of the model alone."""

    title: str
    family: Family
    of_map: bool = True


CHECKS: Final[Mapping[Check, CheckFacts]] = {
    "repeatability": CheckFacts("Repeatability", "sanity"),
    "shuffled_picture": CheckFacts("Picture shuffled by blocks", "sanity"),
    "weight_randomisation": CheckFacts("All weights re-drawn", "sanity"),
    "shortcuts": CheckFacts("Reliance on the causes tested", "shortcuts", of_map=False),
    "noise_stability": CheckFacts("Noise of 1 %", "stability"),
    "faithfulness": CheckFacts("Faithfulness (largest p)", "faithfulness"),
}
"""What a criterion can ask by ``check``, in the order in which it is done."""

AskedScore = Literal["average_drop", "increase", "sensitivity_n", "mean_fill_deletion"]

KNOWN_TO_MISLEAD: Final[Mapping[AskedScore, str]] = {
    "average_drop": "Average drop, %",
    "increase": "Increase in confidence, share",
    "sensitivity_n": "Sensitivity-n, half of the blocks",
    "mean_fill_deletion": "Deletion with a grey fill, area",
}
"""What reviewers ask for and what says little or the opposite of the truth: computed where it is asked for, never
judged."""


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

Scoring = Literal["auto", "numpy", "torch"]
Precision = Literal["float32", "autocast"]
MemoryFormat = Literal["contiguous", "channels_last"]
"""Where maps are scored: by NumPy, or by torch on the model's device."""

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

CONSENSUS: Final = "consensus:"
"""The beginning of the names of readers that are none: they agree with those they are made of by making."""

LOCK_ENDING: Final = ".lock.yaml"
"""What an audit's lock is called: ``audit.yaml`` has ``audit.lock.yaml``."""

OTHER_READERS: Final = "with other readers too"
"""How the rule of a criterion ends that is about readers like these, and not about these alone."""

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
    "method", "layer", "reader", "target_role", "degenerate", "seen_share", "mask_share", "peak_region", "peak_place",
    "peak", "energy_in_body", "peak_in_body", "body_share", "mask_faults",
)  # fmt: skip
"""The columns of ``per_study.csv`` besides those of the metrics."""

Framework = Literal[
    "eu-ai-act", "mdr", "fda", "part-11", "iec-62304", "iso-14971", "iec-pas-63621", "nist-ai-rmf", "gmlp",
    "claim-2024", "stard-ai", "future-ai", "clix-m",
]  # fmt: skip
"""Laws, guidances, standards and checklists whose clauses a report can list."""

FRAMEWORKS: Final[Mapping[str, str]] = {
    "eu-ai-act": "EU AI Act",
    "mdr": "MDR",
    "fda": "FDA",
    "part-11": "21 CFR Part 11",
    "iec-62304": "IEC 62304",
    "iso-14971": "ISO 14971",
    "iec-pas-63621": "IEC PAS 63621",
    "nist-ai-rmf": "NIST AI RMF 1.0",
    "gmlp": "Good machine learning practice",
    "claim-2024": "CLAIM 2024",
    "stard-ai": "STARD-AI",
    "future-ai": "FUTURE-AI",
    "clix-m": "CLIX-M",
}

USUAL_FRAMEWORKS: Final[tuple[Framework, ...]] = ("eu-ai-act", "claim-2024")
"""Those that a report lists unless others are asked for."""

SMALLEST_GROUP: Final = 5
"""Patients or studies that a group of the cohort's table needs to be printed by itself."""

STATEMENTS: Final[Mapping[str, str]] = {
    "users": "Intended users",
    "known_risks": "Known risks and misuse",
    "responsible": "Responsible persons",
    "selection": "Selection of the cohort",
    "setting": "Sites and period",
    "acquisition": "Acquisition",
    "readers": "Readers of the reference standard",
    "experience": "Experience of the readers",
    "protocol": "Protocol of reading",
    "blinding": "Blinding of the readers",
    "independence": "Independence from the training data",
}
"""What the authors of an audit can state, by its key, in the order in which a report prints it."""
