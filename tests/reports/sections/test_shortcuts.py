"""The section on shortcuts: the cause and its error rates where it was asked for, nothing where it was not."""

from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.selftest import KeptRate, SelftestRates
from pipeline.findings.experiments.shortcuts import (
    LabelShortcuts,
    LesionNumbers,
    NeedOverlap,
    ShortcutFinding,
    ShortcutFindings,
    ShortcutTest,
    TurnedAnswers,
)
from reports.registry import Context
from reports.sections import shortcuts as shortcuts_section
from reports.sections.shortcuts import own_rates
from tests.reports import example
from tests.reports.test_sentences import said

TITLE = "What else the model leans on"
SENTENCE = (
    "Painting over the small bright marks outside the body turned 39 of 40 positive answers; painting over equal areas "
    "elsewhere turned 0; on average it moves the score by 94 % of the distance between the classes."
)


OVERLAP = (
    NeedOverlap(method="gradcam", metric="energy_in_mask", needed=0.61, needed_studies=38, not_needed=0.07,
                not_needed_studies=2),
)  # fmt: skip


def findings(*labels, **more):
    check = CheckFinding(check="shortcuts", answer="NOT MET", reason="named: it", value=0.94, bound=0.15)
    return ExperimentFindings(
        shortcuts=ShortcutFindings(checks=(check,), labels=labels, asked=80, forwards=1203, **more)
    )


def leaning():
    turned = TurnedAnswers(of=40, changed=39, control=0)
    tests = (
        ShortcutTest(test="air_marks", effect=0.94, p=0.0002, p_adjusted=0.0017, smallest=0.15, positives=turned,
                     studies=80, patients=80),
        ShortcutTest(test="border", effect=0.01, p=0.4, p_adjusted=1.0, smallest=0.15,
                     positives=TurnedAnswers(of=40, changed=1, control=2), studies=80, patients=80),
        ShortcutTest(test="avoid:tube", reason="3 patients, at least 5 are needed", studies=3, patients=3),
    )  # fmt: skip
    lesion = LesionNumbers(
        filled=TurnedAnswers(of=40, changed=1, control=0), marks_filled=TurnedAnswers(of=12, changed=11, control=0),
        both_filled=TurnedAnswers(of=12, changed=12), effect=0.02, background_auroc=0.97,
    )  # fmt: skip
    finding = ShortcutFinding(
        named=("air_marks",), sentences=(SENTENCE,), tests=tests, lesion=lesion, smallest=0.15, auroc=1.0, gap=6.0,
        positives=40, negatives=40, patients=80, forwards=1203,
    )  # fmt: skip
    needed = tuple(f"S-{number}" for number in range(3, 41))
    return LabelShortcuts(label="nodule", finding=finding, needed=needed, not_needed=("S-1", "S-2"), overlap=OVERLAP)


def test_nothing_is_said_of_what_was_not_asked_for():
    results = example.results()
    assert shortcuts_section.build(Context(results, example.__file__, "0" * 64, {})) == []
    assert "relies on shortcuts such as text markers" in said("Not measured", results)


def test_the_cause_stands_in_a_sentence_with_its_test_and_the_rules_error_rates():
    text = said(TITLE, example.results(experiments=findings(leaning(), failures={"S-77": "truncated"}, unlabelled=2)))
    assert SENTENCE in text
    for words in ("Small bright marks outside the body", "NAMED", "not named", "not tested", "39 of 40"):
        assert words in text, words
    assert "73 were named rightly (exact 95 % interval 95.1 to 100 %)" in text
    assert "0 were accused (0 to 6.7 %)" in text
    assert "In 2 of 40 studies by less than 0.15: not needed by this model there." in text
    assert "Energy in mask" in text
    assert "0.61 (38)" in text
    assert "0.07 (2)" in text
    assert "An equal area elsewhere in place of the marks turned 0 of 12." in text
    assert "the model was shown 1,203 pictures. Not read: S-77: truncated. 2 studies have no reference." in text
    assert "Label:" not in text


def test_the_first_page_names_the_cause_and_is_silent_where_none_was_found():
    named = said("", example.results(experiments=findings(leaning())))
    assert "What it leans on" in named
    assert SENTENCE in named
    nothing = leaning().model_copy(update={"finding": ShortcutFinding(sentences=("No reliance above 15 %.",))})
    assert "What it leans on" not in said("", example.results(experiments=findings(nothing)))


def test_what_was_tested_is_no_longer_among_what_was_not_and_the_rest_is():
    gaps = said("Not measured", example.results(experiments=findings(leaning())))
    assert "relies on shortcuts such as text markers" not in gaps
    assert "anything but the causes that were tested" in gaps


def test_several_labels_have_a_part_each_and_a_broken_battery_says_so():
    other = leaning().model_copy(update={"label": "effusion"})
    text = said(TITLE, example.results(experiments=findings(leaning(), other, not_done="model_failed")))
    assert "Label: nodule" in text
    assert "Label: effusion" in text
    assert "broken off: model failed" in text


def test_the_programs_own_rates_are_quoted_with_their_seed_and_how_much_of_the_plan_was_done():
    rates = SelftestRates(
        program="1.2.3",
        program_digest="0" * 64,
        seed=77,
        full=True,
        models=20,
        planned=120,
        platform="torch",
        rates=(
            KeptRate(name="named", title="", count=19, of=20, models=20, low=0.7513, high=0.9987),
            KeptRate(name="accused", title="", count=0, of=0, models=0),
        ),
    )
    said = own_rates(rates)
    assert "camaudit 1.2.3 (seed 77, 20 of 120 models;" in said
    assert "named rightly 19 of 20 (exact 95 % interval 75.1 to 99.9 %)" in said
    assert "accused 0 of 0." in said
    assert "models;" not in own_rates(rates.model_copy(update={"models": 120}))
    assert own_rates(None) == ""
