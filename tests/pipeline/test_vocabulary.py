"""Named values stand in one place."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from pipeline import vocabulary
from pipeline.config import Criterion
from pipeline.findings.estimates import Estimate, Verdict
from pipeline.findings.facts import MetricFacts
from pipeline.findings.study_audit import StudyAudit

ROOT = Path(__file__).resolve().parents[2]
TABLES = {
    "Stratum": (vocabulary.Stratum, vocabulary.STRATA),
    "StratumMeaning": (vocabulary.Stratum, vocabulary.STRATA_MEANING),
    "Baseline": (vocabulary.Baseline, vocabulary.BASELINES),
    "Answer": (vocabulary.Answer, vocabulary.ANSWERS),
    "AnswerOrder": (vocabulary.Answer, vocabulary.WORST_FIRST),
    "Status": (vocabulary.Status, vocabulary.STATUSES),
    "Better": (vocabulary.Better, vocabulary.BETTER),
}


@pytest.mark.parametrize("name", list(TABLES))
def test_every_value_has_its_title(name):
    values, table = TABLES[name]
    assert set(table) == set(get_args(values))
    assert len(set(table)) == len(table)


def test_configuration_and_records_take_their_values_from_there():
    fields = [
        (Criterion, "among", vocabulary.Stratum),
        (Criterion, "unit", vocabulary.SamplingUnit),
        (Verdict, "unit", vocabulary.SamplingUnit),
        (Estimate, "among", vocabulary.Stratum),
        (Verdict, "answer", vocabulary.Answer),
        (StudyAudit, "status", vocabulary.Status),
        (MetricFacts, "better", vocabulary.Better),
    ]
    for model, field, values in fields:
        kind = model.model_fields[field].annotation
        assert set(get_args(values)) <= {*get_args(kind), *(v for part in get_args(kind) for v in get_args(part))}


def listed_again(path, values):
    """Return the lines on which a file spells out a ``Literal`` or a sequence of several of the values."""
    lines = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    exports = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    for node in ast.walk(tree):
        if node in exports:  # a function may be called as what it makes
            continue
        parts = getattr(node, "elts", []) if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else []
        spelt = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        if len(spelt & values) > 1:
            lines.append(node.lineno)
    return sorted(lines)


def test_the_reader_of_lists_reads_them(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        'a: Literal["MET", "NOT MET"]\nb = ("MET", "x")\nc = ["NOT MET", "MET"]\nd = {"MET": 1, "NOT MET": 2}\n'
    )
    assert listed_again(path, {"MET", "NOT MET"}) == [1, 3]


@pytest.mark.parametrize("name", ["Stratum", "Baseline", "Answer", "Status", "Better"])
def test_no_other_file_lists_them(name):
    values = set(get_args(TABLES[name][0]))
    files = [
        path
        for package in ("cam", "pipeline", "reports", "flows", "camaudit")
        for path in (ROOT / package).rglob("*.py")
    ]
    lists = {path.name: listed_again(path, values) for path in files if path.name != "vocabulary.py"}
    assert {file: lines for file, lines in lists.items() if lines} == {}
