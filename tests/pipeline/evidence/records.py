"""Records of studies as a run writes them, for what is concluded from them."""

from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.units import units_of
from pipeline.evidence.metrics.registry import METRICS
from pipeline.evidence.verdicts.criteria import Cohort
from pipeline.findings.scores import MapScores, Score
from pipeline.findings.study_audit import StudyAudit

BOOTSTRAP = Bootstrap(500, 0)

SCALES = {name: MetricScale.of(metric) for name, metric in METRICS.items()}


def entry(method, reader, iou, target="nodule", metric="iou", chance=None):
    answer = {"value": iou, "chance": chance} if isinstance(iou, float) else {"reason": iou}
    score = Score(name=metric, **answer)
    return MapScores(target=target, method=method, layer="l", reader=reader, mask_share=0.1, scores=(score,))


def study(number, *map_scores, patient=None, reference=("nodule",), predicted=("nodule",), probability=0.9, **rest):
    return StudyAudit(
        study=f"S-{number}",
        patient=patient or f"P-{number}",
        source_sha256="0",
        status="analysed",
        reference=reference,
        predicted=predicted,
        probabilities={"clear": 1 - probability, "nodule": probability},
        map_scores=map_scores,
        **rest,
    )


def studies(count=20):
    return [
        study(
            n,
            entry("gradcam", "a", 0.4 + 0.01 * n),
            entry("gradcam", "b", 0.6 + 0.01 * n),
            entry("centre_prior", "a", 0.1),
            predicted=("nodule",) if n % 4 else (),
            probability=0.9 if n % 4 else 0.2,
            strata={"site": "A" if n % 2 else "B"},
        )
        for n in range(count)
    ]


def not_analysed(number, *, reference=("nodule",), masks=1, **rest):
    return StudyAudit(
        study=f"F-{number}", patient=rest.pop("patient", f"Q-{number}"), source_sha256="0", status="failed",
        stage="read", reason=rest.pop("reason", "truncated"), reference=reference, masks=masks, **rest,
    )  # fmt: skip


def cohort_of(rows, labels=("nodule",), scales=SCALES):
    """What criteria are judged on."""
    return Cohort(units_of(rows, tuple(scales), labels), rows, labels, scales)
