"""How many pages a report takes, and how full they are: a run with all that the demo's runs have."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from pipeline.conclusions.shown_cases.picture_facts import picture_facts
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.plotted.calibration import calibration_of
from pipeline.evidence.plotted.curves import operating_point, precision_recall_curve, roc_curve
from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.sanity import RedrawnWeights, SanityFigure, SanityFindings
from pipeline.findings.experiments.shortcuts import (
    CAUSES,
    LabelShortcuts,
    LesionNumbers,
    NeedOverlap,
    ShortcutFinding,
    ShortcutFindings,
    ShortcutTest,
    TurnedAnswers,
)
from pipeline.findings.experiments.stability import PICTURE_CHANGES, StabilityFigure, StabilityFindings
from pipeline.findings.plotted.classifier import LabelPlots
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.plotted.shares import CohortShares
from pipeline.findings.results import ConfusionMatrix, Whereabouts, WrongAnswer
from pipeline.vocabulary import LESION_FEATURES
from reports import answers_by_group as answers_by_group_
from reports.pdf import render
from reports.sections import classifier as classifier_section
from reports.sections import lesions as lesions_section
from reports.sections import sanity as sanity_section
from reports.sections import shortcuts as shortcuts_section
from reports.sections import stability as stability_section
from tests.reports import example
from tests.reports.charts.test_classifier_charts import cells, rated
from tests.reports.printed_numbers import unexplained
from tests.reports.sections.test_answers import part
from tests.reports.test_every_number import tried
from tests.reports.test_localisation import curve, strata, trend

MOST = 10
ASKED = (("hit_rate", "gradcam"), ("energy_in_mask", "gradcam"), ("iou", "gradcam"))
GROUPS = ("sex=F", "sex=M", "site=A", "site=B", "lesion size (masks)=lowest third",
          "lesion size (masks)=middle third", "lesion size (masks)=highest third")  # fmt: skip

EXPERIMENTS = (
    "Do the maps depend on model and picture",
    "Do the maps tell what moves the answer",
    "What else the model leans on",
    "Stability of maps and answers",
)
"""The titles of the sections on experiments."""

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is missing")


def sanity():
    """Return three checks of each map, all of which pass."""
    checks = ("repeatability", "shuffled_picture", "weight_randomisation")
    held = [(check, method) for method in example.METHODS for check in checks]
    return SanityFindings(
        checks=tuple(
            CheckFinding(check=check, method=method, answer="MET", reason="as it should be", value=0.213, bound=0.85,
                         side="at_most", patients=8, studies=8)
            for check, method in held
        ),
        figures=tuple(
            SanityFigure(check=check, method=method, value=0.213, by_draw=(0.187, 0.241), studies=8, patients=8,
                         compared=8)
            for check, method in held
        ),
        weights=RedrawnWeights(values=5809, redrawn=5809), asked=8, calls={"gradcam": 144},
    )  # fmt: skip


def shortcuts():
    """Return a test of each cause, one of them named, the lesion's experiments and the maps' overlap."""
    turned = TurnedAnswers(of=12, changed=3, control=0)
    tests = tuple(
        ShortcutTest(test=cause, effect=0.031, p=0.4, p_adjusted=1.0, positives=turned, studies=24, patients=24)
        for cause in CAUSES
    )
    sentences = (f"No reliance was found on {', '.join(CAUSES.values())}.", "Painting over the lesion turned 7 of 11.")
    finding = ShortcutFinding(
        sentences=sentences, tests=tests, positives=12, negatives=12,
        lesion=LesionNumbers(filled=turned, marks_filled=turned, both_filled=turned, pasted=turned, effect=0.8,
                             background_auroc=0.64),
    )  # fmt: skip
    overlap = tuple(
        NeedOverlap(method=method, metric=metric, needed=0.71, needed_studies=10, not_needed=0.33, not_needed_studies=2)
        for method in example.METHODS
        for metric in example.METRICS
    )
    own = LabelShortcuts(label="nodule", finding=finding, needed=("S-3",), not_needed=("S-4",), overlap=overlap)
    check = CheckFinding(check="shortcuts", answer="MET", reason="none of the causes", value=0.031, bound=0.15)
    return ShortcutFindings(checks=(check,), labels=(own,), asked=24, forwards=393)


def stability():
    """Return a figure for each change of each map."""
    figures = tuple(
        StabilityFigure(method=method, change=change, value=0.91, lowest=0.83, logit=0.2, studies=8, patients=8, same=8)
        for method in example.METHODS
        for change in PICTURE_CHANGES
    )
    checks = tuple(
        CheckFinding(check="noise_stability", method=method, answer="MET", reason="it keeps its order", value=0.91,
                     bound=0.5, side="at_least")
        for method in example.METHODS
    )  # fmt: skip
    return StabilityFindings(checks=checks, figures=figures, asked=8)


def experiments():
    """Return the findings of every family of experiments."""
    faithful = tried().faithfulness
    assert faithful is not None
    figures = tuple(
        figure.model_copy(update={"method": method})
        for method in example.METHODS
        for figure in faithful.figures
        if figure.fill == "blur"
    )
    checks = tuple(check.model_copy(update={"method": name}) for check in faithful.checks for name in example.METHODS)
    faithful = faithful.model_copy(update={"figures": figures, "checks": checks, "asked_figures": ()})
    return ExperimentFindings(sanity=sanity(), shortcuts=shortcuts(), stability=stability(), faithfulness=faithful)


def answers_by_group():
    """Return the AUROC and the calibration of five groups against the rest, none of which differs."""
    groups = ("sex=F", "site=A", "confidence=lowest third", "confidence=middle third", "confidence=highest third")
    return tuple(
        GroupDifference(
            metric=metric, method="classifier", among="all", label="nodule", column=group.partition("=")[0],
            group=group, own=0.81, rest=0.91, value=-0.1, low=-0.4, high=0.3, confidence=0.95, interval="exact", p=0.4,
            p_adjusted=1.0, family=7, patients=20, patients_rest=21,
        )
        for metric in ("auroc", "calibration")
        for group in (groups if metric == "calibration" else groups[:2])
    )  # fmt: skip


def planted():
    """Return the results of one label, three maps, two baselines and two cases, with all that is drawn of them.

    Of experiments it has those that the demo asks for: whether the maps are evidence, and what the model leans on.
    """
    maps = (*example.METHODS, *example.BASELINES)
    names = list(LESION_FEATURES)
    count = 40
    plots = LabelPlots(
        label="nodule", studies=count, patients=count, positives=20, negatives=20, roc=roc_curve(rated(count)),
        precision_recall=precision_recall_curve(rated(count)), operating=operating_point(rated(count)),
        calibration=calibration_of(rated(count), np.arange(count), Bootstrap(50, 0)), method="gradcam",
        cells=cells(typical="S0007"),
    )  # fmt: skip
    shares = {"lesion": 0.3, "body": 0.5, "surface": 0.1, "outside": 0.1}
    groups = tuple(example.estimate(metric, method, 0.5, group=group) for metric, method in ASKED for group in GROUPS)
    differences = tuple(
        GroupDifference(
            metric=metric, method=method, among="reference_positive", column=group[:3], group=group, value=-0.1,
            low=-0.5, high=0.3, confidence=0.95, interval="exact", p=0.4, p_adjusted=1.0, family=6, patients=20,
            patients_rest=21,
        )
        for metric, method in ASKED
        for group in ("sex=F", "site=A")
    )  # fmt: skip
    return example.results(
        missing=0,
        experiments=ExperimentFindings(sanity=sanity(), shortcuts=shortcuts()),
        cases=example.results().cases[:2],
        classification=tuple(
            example.estimate(name, "classifier", 0.8, "all")
            for name in ("accuracy", "sensitivity", "specificity", "auroc")
        ),
        label_plots=(plots,),
        confusion=ConfusionMatrix(studies=40, cells=(part("none", "none"), part("nodule", "none", own=0.1, other=0.2),
                                                     part("nodule", "nodule", own=0.9))),
        estimates=(*(one for one in example.estimates() if one.group is None), *groups),
        group_differences=differences,
        whereabouts=tuple(
            Whereabouts(method=name, among="reference_positive", maps=44, studies=44,
                        regions={"lesion": 33, "surface": 11}, places={"right": 44}) for name in example.METHODS),
        region_shares=tuple(
            CohortShares(method=name, among="reference_positive", studies=24, patients=20, evidence=shares,
                         voxels=shares) for name in example.METHODS),
        answer_differences=answers_by_group(),
        size_curves=tuple(
            curve(name, group=f"lesion size (masks)={third}", low=(), high=())
            for name in example.METHODS
            for third in ("lowest third", "middle third", "highest third")
        ),
        curves=tuple(curve(name, metric=metric) for metric in ("dice", "voxel_precision", "voxel_recall")
                     for name in maps),
        lesion_strata=tuple(strata(feature=name) for name in names),
        lesion_trends=tuple(trend(name) for name in names),
        wrong_answers=(WrongAnswer(reference=("nodule",), answered=(), patients=1, studies=("S0012",)),),
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The planted run's report."""
    return render(example.write_run(tmp_path_factory.mktemp("planted"), planted()))


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """The report of the same run, asked for every family of experiments."""
    facts = {entry.study: picture_facts(panels) for entry, panels in example.cases() if panels is not None}
    cases = tuple(
        case.model_copy(update={"picture": facts[case.study]}) if case.study in facts else case
        for case in planted().cases
    )
    results = planted().model_copy(update={"experiments": experiments(), "cases": cases})
    return render(example.write_run(tmp_path_factory.mktemp("longer"), results))


def pages_of(path):
    """Return the words of each page."""
    command = [shutil.which("pdftotext"), "-raw", str(path), "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\f")[:-1]


def heights_of(path):
    """Return how far down the words of each page reach, as shares of its height; headers and footers apart."""
    command = [shutil.which("pdftotext"), "-bbox", str(path), "-"]
    pages = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("<page ")[1:]
    lows = [[float(low) for low in re.findall(r'yMax="(\S+)"', page)] for page in pages]
    return [max(low for low in page if low < 800) / 842 for page in lows]


@needs_poppler
def test_a_run_like_the_demos_takes_ten_pages_at_most(report):
    assert len(heights_of(report)) <= MOST


@needs_poppler
def test_a_run_that_asks_for_every_experiment_takes_no_more(longer):
    """It leaves air on the last page before the cases: a few lines more must not begin another."""
    shares = heights_of(longer)
    assert len(shares) <= MOST, shares


@needs_poppler
@pytest.mark.parametrize("title", EXPERIMENTS)
def test_every_experiment_has_its_section(longer, title):
    """Each is among the headings, not only in the contents."""
    words = subprocess.run(["pdftotext", "-raw", str(longer), "-"], capture_output=True, check=True).stdout.decode()
    assert re.search(rf"(?m)^\d+ {title}$", words)


@needs_poppler
def test_every_number_of_all_that_is_drawn_and_tried_stands_in_the_results(longer):
    """The run has what the results of the other test of every number lack: curves, matrices, groups, experiments."""
    assert unexplained(longer, longer.parent / "results.json") == []


FALSIFIED = [
    (sanity_section, "number"),
    (stability_section, "_alike"),
    (shortcuts_section, "number"),
    (lesions_section, "number"),
    (answers_by_group_, "number"),
    (classifier_section, "estimate"),
]


@needs_poppler
@pytest.mark.parametrize(("module", "name"), FALSIFIED, ids=[f"{part.__name__}.{name}" for part, name in FALSIFIED])
def test_a_falsified_number_is_found(module, name, longer, tmp_path, monkeypatch):
    """What writes a section's numbers writes others: the pages no longer hold what the results do."""
    monkeypatch.setattr(module, name, lambda *_values, **_more: "0.8642")
    assert unexplained(render(longer.parent, tmp_path / "report.pdf"), longer.parent / "results.json")


@needs_poppler
def test_no_page_is_nearly_empty(report):
    """A page ends in its lower half, but the one before the cases and the last may be shorter."""
    shares = heights_of(report)
    short = [number for number, share in enumerate(shares, 1) if share < 0.5]
    assert len(short) <= 1, shares
    assert all(share > 0.2 for share in shares), shares


@needs_poppler
def test_what_few_readers_need_stands_in_two_columns(report):
    words = subprocess.run(["pdftotext", "-bbox", str(report), "-"], capture_output=True, check=True).stdout.decode()
    pages = [[float(left) for left in re.findall(r'<word xMin="(\S+)"', page)] for page in words.split("<page ")[-2:]]
    assert sum(left > 595 / 2 for lefts in pages for left in lefts) > 20
    lefts = pages[-1]
    assert not any(595 / 2 - 8 < left < 595 / 2 + 8 for left in lefts), "nothing begins in the gutter"
