"""The page of what changed: every number is the record's, and each sentence follows from it."""

import subprocess

import pytest

from pipeline.findings.context.changes import FigureChange, FlippedStudy, MatchedStudies, RunChange
from reports.pdf import render
from tests.reports import example
from tests.reports.test_sentences import said


def figure(metric="iou", map_b="gradcam", **more):
    estimate = example.estimate(metric, map_b, -0.123, patients=41, studies=44)
    fields = {
        "map_a": map_b, "label": None, "better": "higher", "value_a": 0.437, "value_b": 0.314, "estimate": estimate,
        "improved": 5, "tied": 3, "worsened": 33, "p_sign": 0.0000371,
    }  # fmt: skip
    return FigureChange.model_validate({"metric": metric, "map_b": map_b, **fields, **more})


def flip(study, **more):
    fields = {"what": "call", "before": "nodule", "after": "nothing", "gained": False}
    return FlippedStudy.model_validate({"study": study, **fields, **more})


def change(**more):
    fields = {
        "kind": "previous", "run_a": "nodule-ct/20261120", "run_b": "nodule-ct/20261121",
        "studies": MatchedStudies(paired=44, not_analysed=2, changed=1, only_in_a=0, only_in_b=7),
        "differs": ("the weights of the two runs differ",), "figures": (figure(),), "answer": "worse",
        "reason": "iou of gradcam is worse by more than 0.1",
    }  # fmt: skip
    return RunChange.model_validate({**fields, **more})


def text_of(*changes):
    return said("Change", example.results(changes=changes))


def test_a_figure_is_printed_as_it_is_kept():
    text = text_of(change())
    assert "Worse: IoU of Grad-CAM is worse by more than 0.1. Held against nodule-ct/20261120." in text
    assert "44 studies analysed in both, matched by pseudonyms; 2 not analysed in one or both, 1 with other" in text
    assert "7 only in this run" in text
    assert "only in the other run" not in text
    assert "IoU | Grad-CAM | 0.44 | 0.31 | \u22120.12 [\u22120.11, \u22120.14] | 5 / 3 / 33 | < 0.001 | —" in text
    assert "No study flipped" in text


@pytest.mark.parametrize(
    ("locked", "says"), [(True, "were locked beforehand"), (False, "were not locked: exploratory")]
)
def test_a_margin_says_whether_it_was_locked(locked, says):
    judged = figure(margin=0.1, answer="NOT MET", reason="p = 0.001 against the claim is at most 0.025")
    text = text_of(change(figures=(judged,), locked=locked))
    assert f"The margins {says}." in text
    assert "0.10: | ✕ NOT MET" in text
    assert "margins" not in text_of(change())


def test_lost_studies_come_first_and_cases_that_are_shown_are_marked():
    flips = [flip(f"X{n:04d}", before="nothing", after="nodule", gained=True) for n in range(12)]
    text = text_of(
        change(flips=(*flips, flip("S0012"), flip("S0007", what="hit", map="gradcam", before="hit", after="miss")))
    )
    assert "13 studies (12 calls gained, 1 lost) called otherwise: S0012 nodule → nothing (case shown); X0000" in text
    assert "and 3 more in results.json" in text
    assert (
        "1 study (0 hits gained, 1 lost) with a peak that moved onto or off its finding: S0007 Grad-CAM hit → miss"
        in text
    )


def test_what_is_unchanged_takes_no_table():
    same = figure(improved=0, worsened=0, tied=41)
    text = text_of(change(figures=(same, same), answer="no worsening shown", reason="none of 2 figures"))
    assert "All of 2 figures are the same for every patient, and no study flipped." in text
    assert "Then" not in text
    moved = text_of(change(figures=(same, figure()), answer="no worsening shown"))
    assert "Then" in moved


def test_a_refused_comparison_says_why_and_nothing_else():
    text = text_of(change(refused="results.json: is of schema 3", figures=(), studies=None))
    why = "The run nodule-ct/20261120 was not compared: results.json: is of schema 3."
    assert text == f"Against the previous run of this audit | {why}"


def test_many_figures_and_hostile_names_fit_on_pages(tmp_path):
    hostile = '<b>x & <img src="/etc/passwd"> ' + "long" * 300
    figures = tuple(figure(map_b=f"m{n}", label=hostile if n == 3 else None) for n in range(60))
    results = example.results(
        changes=(change(figures=figures, run_a=hostile, flips=(flip(hostile),)), change(kind="predecessor"))
    )
    path = render(example.write_run(tmp_path, results))
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout.decode()
    assert "36 more figures stand in" in " ".join(text.split())
    assert "root:" not in text
