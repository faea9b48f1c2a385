"""What was stated stands in its section, what was not in one list, and what headers tell in a table."""

import pytest

from pipeline.config_statements import StatementsConfig
from pipeline.findings.context.cohort import CohortRow, TrainingOverlap
from pipeline.vocabulary import STATEMENTS
from reports.clauses.evidence import EVIDENCE
from tests.reports import example
from tests.reports.test_sentences import said

ALL = {name: (f"said of {name}",) for name in STATEMENTS}
PLACES = {
    "Scope and intended use": ("users", "known_risks", "responsible"),
    "Data identity": ("selection", "setting", "acquisition", "readers", "experience", "protocol", "blinding"),
    "Model identity": ("independence",),
}


def overlap(*studies, checked=40):
    return TrainingOverlap(hashes=900, list_sha256="b" * 64, checked=checked, studies=studies, patients=len(studies))


def test_the_keys_of_the_configuration_are_those_of_the_vocabulary():
    assert set(StatementsConfig.model_fields) == set(STATEMENTS)
    assert sorted(name for names in PLACES.values() for name in names) == sorted(STATEMENTS)
    assert StatementsConfig(readers="two").readers == ("two",)


@pytest.mark.parametrize("title", PLACES)
def test_a_statement_stands_in_its_section(title):
    text = said(title, example.results(statements=ALL))
    for name in PLACES[title]:
        assert f"{STATEMENTS[name]} | said of {name}" in text
        assert STATEMENTS[name] not in said(title, example.results())


def test_what_is_not_stated_gathers_in_one_list():
    text = said("Not measured", example.results(statements={"readers": ("two",)}, organisation="not stated"))
    listed = text.split("Not stated: ")[1].rstrip(".").split("; ")
    wanted = [title for name, title in STATEMENTS.items() if name != "readers"]
    assert listed == ["Organisation", "Training data", *wanted, "Hashes of the training data"]
    model = example.results().model.model_copy(update={"training_data": "10,000 studies of 2019"})
    whole = example.results(statements=ALL, model=model, training_overlap=overlap())
    assert "Not stated" not in said("Not measured", whole)
    assert "Organisation" in said("Not measured", example.results(organisation="  "))


def test_an_overlap_with_the_training_data_is_named_with_counts():
    text = said("Model identity", example.results(training_overlap=overlap("S0007", "S0012")))
    assert (
        "Not independent of the training data. The model was trained on image files of 2 of 40 studies: S0007, S0012."
        in text
    )
    assert "40 studies looked up by the hashes of their image files; 2 studies of 2 patients among them" in text
    none = said("Model identity", example.results(training_overlap=overlap()))
    assert "none among them" in none
    assert "Not independent" not in none
    assert "looked up" not in said("Model identity", example.results())
    many = said("Model identity", example.results(training_overlap=overlap(*(f"S{n}" for n in range(15)))))
    assert "S11 and 3 more in results.json" in many


def test_what_independence_leaves_open_follows_from_what_was_looked_up():
    assert "no hashes of it were given" in said("Not measured", example.results())
    known = said("Not measured", example.results(training_overlap=overlap(checked=44), missing=0))
    assert "other images of these patients than the files that were looked up." in known
    assert "6 studies that could not be looked up" in said(
        "Not measured", example.results(training_overlap=overlap(checked=44))
    )


@pytest.mark.parametrize(
    ("evidence", "changes"),
    [
        ("reference_standard", {"statements": {"readers": ("two",), "protocol": ("apart",)}}),
        ("responsible", {"statements": {"responsible": ("Dr A, physicist",)}}),
        ("known_risks", {"statements": {"known_risks": ("R-7",)}}),
        ("independence", {"training_overlap": overlap()}),
        ("acquisition", {"cohort_table": (CohortRow(name="Vendor", of="studies", counts={"GE": 9}, stated=9),)}),
    ],
)
def test_a_clause_is_supported_by_what_was_stated(evidence, changes):
    assert EVIDENCE[evidence](example.results()) is not None
    assert EVIDENCE[evidence](example.results(**changes)) is None


def test_an_overlap_supports_no_independence():
    assert EVIDENCE["independence"](example.results(training_overlap=overlap("S0007"))) == (
        "the model was trained on files of 1 studies of the cohort"
    )


def test_the_table_of_the_cohort_prints_what_is_kept():
    table = (
        CohortRow(
            name="Age band", of="patients", counts={"40-59": 21, "60-79": 15}, small=(2, 5), stated=41, not_stated=0
        ),
        CohortRow(name="Sex", of="patients", small=(1, None), stated=3, not_stated=38),
        CohortRow(name="Vendor", of="studies", counts={"GE": 9}, small=(2, None), stated=12),
        CohortRow(name="Slice thickness", of="studies", median=2.5, low=1.25, high=5.0, unit="mm", stated=44),
    )
    text = said("Data identity", example.results(cohort_table=table))
    assert "Age band | 40-59: 21 · 60-79: 15 · 2 other groups: 5 (41 patients)" in text
    assert "Sex | 1 other group: fewer than 5 (3 patients); not stated in 38" in text
    assert "Vendor | GE: 9 · 2 other groups: not printed (12 studies)" in text
    assert "Slice thickness | 2.50 (1.25 to 5.00) mm" in text
    assert "Patients and acquisition" not in said("Data identity", example.results())
