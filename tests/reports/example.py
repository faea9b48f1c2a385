"""A run's folder as an audit leaves it, made up: two experts, three methods, all four answers."""

from pathlib import Path

import numpy as np

from pipeline.findings.estimates import Agreement, Estimate, Verdict
from pipeline.findings.facts import LayerFacts, Lock, MethodFacts, MetricFacts, ModelFacts, Provenance
from pipeline.findings.pictures.panels import CasePanels, View, save_panels
from pipeline.findings.results import CaseEntry, Flow, Results
from pipeline.findings.scores import MapScores, Score
from pipeline.findings.study_audit import StudyAudit

METHODS = ("gradcam", "hirescam", "layercam")
BASELINES = ("random_map", "centre_prior")
READERS = ("A", "B")
METRICS = ("hit_rate", "iou", "energy_in_mask", "distance_mm")
SHA = {name: (f"{place}a7c" * 16) for place, name in enumerate(("model", "recipe", "criteria", "cohort"), 3)}


def estimate(metric, method, value, among="reference_positive", **more):
    """Return an estimate with an interval of half a tenth of the value at each side."""
    width = None if value is None else 0.137 * value
    facts = {
        "low": None if value is None else value - width,
        "high": None if value is None else value + width,
        "confidence": 0.95,
        "interval": "exact for any distribution, over patients",
        "patients": 41,
        "studies": 44,
    }
    return Estimate(metric=metric, method=method, among=among, value=value, **{**facts, **more})


def estimates():
    """Return estimates of every metric and map in three strata and one subgroup."""
    base = {"hit_rate": 0.713, "iou": 0.314, "energy_in_mask": 0.262, "distance_mm": 14.83}
    found = []
    for shift, among in enumerate(("reference_positive", "true_positive", "false_negative")):
        for metric in METRICS:
            for place, method in enumerate((*METHODS, *BASELINES)):
                value = base[metric] * (1 + 0.083 * shift) * (1 - 0.117 * place)
                chance = 0.062 if metric == "energy_in_mask" else None
                undefined = {"empty_mask": 2, "constant_map": 1} if method == "layercam" else {}
                found.append(estimate(metric, method, value, among, chance=chance, undefined=undefined))
    found += [
        estimate("iou", "gradcam", value, group=f"site={site}", patients=patients, studies=patients)
        for site, value, patients in (("Nord", 0.337, 18), ("Süd", 0.291, 23))
    ]
    small = {"low": None, "high": None, "patients": 3, "studies": 3}
    found.append(estimate("iou", "gradcam", 0.412, group="site=West", **small))
    reason = "no study of this group has a mask"
    found.append(estimate("iou", "gradcam", None, group="site=Ost", patients=0, studies=0, reason=reason))
    return tuple(found)


def verdicts():
    """Return one verdict for each answer."""
    of = estimate("iou", "gradcam", 0.314)
    rows = (
        (
            "The peak lies in the mask",
            "hit_rate",
            0.713,
            "at least 0.60",
            "MET",
            "lower bound 0.615 is at least 0.60",
        ),
        (
            "The overlap is sufficient",
            "iou",
            0.314,
            "at least 0.50",
            "NOT MET",
            "upper bound 0.357 is below 0.50",
        ),
        (
            "The energy is in the mask",
            "energy_in_mask",
            0.262,
            "at least 0.25",
            "INCONCLUSIVE",
            "0.25 lies inside",
        ),
    )
    decided = [
        Verdict(
            criterion=words,
            metric=metric,
            method="gradcam",
            among="reference_positive",
            rule=rule,
            estimate=estimate(metric, "gradcam", value),
            answer=answer,
            reason=reason,
            alpha=0.025,
        )
        for words, metric, value, rule, answer, reason in rows
    ]
    nothing = of.model_copy(update={"value": None, "low": None, "high": None, "reason": "no such study"})
    open_one = Verdict(
        criterion="Missed findings are near",
        metric="distance_mm",
        method="hirescam",
        among="false_negative",
        rule="at most 20 mm",
        estimate=nothing,
        answer="NOT EVALUATED",
        reason="no study was false negative",
        alpha=0.025,
    )
    return (*decided, open_one)


def audit(study, *, reference=("nodule",), predicted=("nodule",), readers=READERS, empty=False):
    """Return an analysed study with scores for every map and reader."""
    map_scores = []
    for place, method in enumerate((*METHODS, *BASELINES)):
        for reader in readers:
            scores = [
                Score(name=name, reason="empty_mask") if empty else Score(name=name, value=0.61 - 0.07 * place)
                for name in METRICS
            ]
            layer = None if method in BASELINES else "features.denseblock4"
            map_scores.append(
                MapScores(target="nodule", method=method, layer=layer, reader=reader, seen_share=0.97, scores=scores)
            )
    return StudyAudit(
        study=study,
        patient=f"P{study[1:]}",
        source_sha256="0" * 64,
        status="analysed",
        reference=reference,
        predicted=predicted,
        probabilities={"nodule": 0.934, "none": 0.066},
        strata={"site": "Nord"},
        map_scores=map_scores,
    )


def view(
    shape=(64, 72),
    pixel_mm=(1.4, 1.4),
    letters=("R", "L", "A", "P"),
    *,
    empty=False,
    signed=False,
    flat=False,
):
    """Return a plane with a bright disc off centre, two experts' masks, three maps and an unseen margin."""
    rows, columns = np.indices(shape).astype(np.float32)
    rows, columns = rows / shape[0], columns / shape[1]
    body = ((rows - 0.5) / 0.46) ** 2 + ((columns - 0.5) / 0.4) ** 2 < 1
    spot = np.exp(-(((rows - 0.33) / 0.09) ** 2 + ((columns - 0.66) / 0.08) ** 2))
    texture = np.random.default_rng(7).normal(0, 0.03, shape)
    image = (-900 + 700 * body + 500 * spot + 400 * texture).astype(np.float32)
    one, two = (np.hypot((rows - 0.33) / 0.1, (columns - at) / 0.09) < 1 for at in (0.66, 0.69))
    masks = {"A": one & (not empty), "B": two & (not empty)}
    blur = np.exp(-(((rows - 0.36) / 0.2) ** 2 + ((columns - 0.6) / 0.2) ** 2))
    maps = {
        "gradcam": blur * 3.21,
        "hirescam": blur * 2.4 - 0.9 * signed,
        "layercam": np.zeros(shape) if flat else spot,
    }
    seen = np.ones(shape, bool)
    seen[:, :4] = False
    maps = {name: np.where(seen, values, 0).astype(np.float32) for name, values in maps.items()}
    plane = "Axial plane 23 of 60" if letters[2] == "A" else "Coronal plane 31 of 72"
    caption = f"{plane}, the plane with the largest mask area"
    return View(image, pixel_mm, letters, caption, masks, maps, seen)


def panels(study, *views):
    """Return a case's panels with ranges over all views; a constant map has no threshold."""
    ranges, thresholds = {}, {}
    for method in views[0].maps:
        values = np.concatenate([one.maps[method].ravel() for one in views])
        ranges[method] = (float(values.min()), float(values.max()))
        thresholds[method] = None if values.min() == values.max() else float(0.5 * values.max())
    return CasePanels(study, "nodule", "HU", (-1000.0, 400.0), ranges, thresholds, views)


def cases():
    """Return the entries and the panels: plain, long pixels, empty mask, constant map, no file."""
    coronal = view((20, 72), (6.5, 0.78), ("R", "L", "S", "I"))
    return (
        (
            CaseEntry(study="S0007", rule="worst 1 by IoU", panels="cases/S0007.npz", audit=audit("S0007")),
            panels("S0007", view(signed=True)),
        ),
        (
            CaseEntry(
                study="S0012",
                rule="worst 2 by IoU",
                panels="cases/S0012.npz",
                audit=audit("S0012", predicted=("none",)),
            ),
            panels("S0012", view(), coronal),
        ),
        (
            CaseEntry(
                study="S0020",
                rule="random 1",
                panels="cases/S0020.npz",
                note="The experts found nothing.",
                audit=audit("S0020", reference=(), empty=True),
            ),
            panels("S0020", view(empty=True)),
        ),
        (
            CaseEntry(study="S0031", rule="best 1 by IoU", panels="cases/S0031.npz", audit=audit("S0031")),
            panels("S0031", view(flat=True)),
        ),
        (
            CaseEntry(study="S0044", rule="best 2 by IoU", panels="cases/S0044.npz", audit=audit("S0044")),
            None,
        ),
    )


def not_analysed(many=6):
    """Return studies that were excluded or failed."""
    kinds = (
        ("excluded", "read", "mask_empty_for_positive", "the mask of expert A marks no pixel"),
        ("failed", "read", "truncated", "the pixel data end after 51 of 60 planes"),
        ("failed", "infer", "out_of_memory", "a tensor of 512 x 512 x 300 did not fit"),
    )
    return tuple(
        StudyAudit(
            study=f"X{place:04d}",
            patient=f"Q{place}",
            source_sha256="1" * 64,
            status=status,
            stage=stage,
            reason=reason,
            message=message,
        )
        for place, (status, stage, reason, message) in enumerate(kinds[one % 3] for one in range(many))
    )


def results(*, exploratory=(), missing=6, **changes):
    """Return results.json's content; ``changes`` replace fields."""
    left_out = not_analysed(missing)
    excluded: dict[str, int] = {}
    failed: dict[str, int] = {}
    for one in left_out:
        tally = excluded if one.status == "excluded" else failed
        tally[one.reason] = tally.get(one.reason, 0) + 1
    fields = {
        "audit": "nodule-ct",
        "run": "20261121-140500-3f9a",
        "title": "Saliency audit of NoduleNet 2.1 on chest CT",
        "organisation": "University Hospital Example, Department of Radiology",
        "prepared_by": "M. Example, medical physicist",
        "intended_use": "Flags chest CT studies with a nodule of at least 6 mm for priority reading.",
        "reference_standard": "Two thoracic radiologists (9 and 14 years) marked each nodule independently.",
        "lock": Lock(locked_at="2026-11-20T09:00:00+00:00", exploratory=exploratory, **SHA),
        "provenance": Provenance(
            camaudit="0.1.0",
            command="camaudit run audit.yaml",
            started_at="2026-11-21T13:58:11+00:00",
            finished_at="2026-11-21T14:05:00+00:00",
            seconds=409.2,
            device="cpu",
            platform="Linux x86_64",
            python="3.11.7",
            libraries={"torch": "2.13.0", "monai": "1.5.1", "numpy": "2.4.6"},
            seed=7,
            replicates=2000,
            determinism="deterministic algorithms on",
            ledger_head="9c1e" * 16,
            ledger_length=37,
        ),
        "model": ModelFacts(
            name="NoduleNet",
            version="2.1",
            source="MONAI bundle",
            architecture="DenseNet121",
            parameters=7_978_856,
            sha256=SHA["model"],
            labels=("none", "nodule"),
            output="softmax",
            threshold=0.5,
            layers=(
                LayerFacts(
                    name="features.denseblock4",
                    requested="auto",
                    shape=(8, 8),
                    cell_mm=(11.2, 11.2),
                    reason="the last layer that all of the evidence passes",
                    past=0.0,
                ),
            ),
            training_data="not disclosed",
        ),
        "preparation": (
            "Orientation: axcodes=RAS",
            "Spacing: pixdim=[1.4, 1.4]",
            "ScaleIntensityRange: -1000 to 400",
        ),
        "overlap_rule": "Otsu's threshold on the positive part of the map",
        "methods": (
            MethodFacts(
                name="gradcam",
                title="Grad-CAM",
                paper="Selvaraju et al., ICCV 2017, arXiv:1610.02391",
                formula="ReLU of the sum over channels of mean(G) A",
                limits="The gradient is averaged over space: the map can mark places not used.",
            ),
            MethodFacts(
                name="hirescam",
                title="HiResCAM",
                paper="Draelos and Carin, arXiv:2011.08891",
                formula="Sum over channels of G A",
                limits="Exact for a linear tail only.",
            ),
            MethodFacts(
                name="layercam",
                title="LayerCAM",
                paper="Jiang et al., TIP 2021",
                formula="ReLU of the sum of ReLU(G) A",
                limits="Can look broader than the evidence.",
            ),
        ),
        "metrics": (
            MetricFacts(
                name="hit_rate",
                title="Hit rate",
                definition="Share of maps whose peak lies in the mask.",
                better="higher",
                unit="share",
            ),
            MetricFacts(
                name="iou",
                title="IoU",
                definition="Intersection over union of region and mask.",
                better="higher",
                unit="share",
            ),
            MetricFacts(
                name="energy_in_mask",
                title="Energy in mask",
                definition="Share of positive evidence inside.",
                better="higher",
                unit="share",
            ),
            MetricFacts(
                name="distance_mm",
                title="Distance",
                definition="From the peak to the mask's nearest pixel.",
                better="lower",
                unit="mm",
            ),
        ),
        "flow": Flow(
            found=44 + missing,
            analysed=44,
            excluded=excluded,
            failed=failed,
            patients=41,
            computed=44,
            reused=missing,
        ),
        "cohort_facts": {"site": {"Nord": 18, "Süd": 23, "West": 3}, "sex": {"F": 24, "M": 20}},
        "classification": (
            estimate("accuracy", "classifier", 0.868, "all"),
            estimate("sensitivity", "classifier", 0.791, "reference_positive"),
        ),
        "estimates": estimates(),
        "agreements": (Agreement(metric="iou", readers=READERS, estimate=estimate("iou", "experts", 0.688)),),
        "equivalent_methods": (("gradcam", "hirescam"),),
        "verdicts": verdicts(),
        "case_rule": "The two worst and two best by IoU of Grad-CAM, and one at random with seed 7.",
        "cases": tuple(entry for entry, _ in cases()),
        "not_analysed": left_out,
        "frameworks": ("eu-ai-act", "claim-2024"),
    }
    return Results(**{**fields, **changes})


def write_run(folder: Path, found: Results | None = None) -> Path:
    """Write a run's folder and return it."""
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text((found or results()).model_dump_json(indent=1), encoding="utf-8")
    (folder / "per_study.csv").write_text("study,target,method,iou\nS0007,nodule,gradcam,0.31\n", encoding="utf-8")
    (folder / "run.json").write_text('{"audit": "nodule-ct"}\n', encoding="utf-8")
    for entry, content in cases():
        if content is not None:
            save_panels(content, folder / entry.panels)
    return folder
