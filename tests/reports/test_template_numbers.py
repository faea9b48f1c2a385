"""No sentence of the report has a number of its own: what a template says in digits, the data could contradict.

The numbers on finished pages are few and short, so a wrong one is likely to stand in the results by chance: they are
looked for here in the source, where each has to be listed, with what holds it to the rule that it tells of.
"""

import ast
from pathlib import Path

import pytest

import reports
from pipeline.evidence.sanity.rules import PARTLY
from pipeline.evidence.shortcuts.study import BatterySettings
from pipeline.evidence.stability.rules import HOLDS
from reports.clauses.clause import _FRESH
from reports.numbers import _SMALLEST
from tests.reports.printed_numbers import NUMBER

ROOT = Path(reports.__file__).parent
NOT_PAGES = {"viewer", "signing", "exports", "tagged", "page"}
"""Rooms whose strings are no sentences of the report's pages."""

LISTED = {
    "charts/criteria.py": ["0", "1"],  # the range of a share
    "charts/discrimination.py": ["0", "0", "1", "1", "1", "1"],  # 1 - specificity, and a curve's ends
    "charts/shares.py": ["1"],  # of a fault
    "charts/subgroups.py": ["0.001"],
    "clauses/crosswalk.py": ["180"],
    "numbers.py": ["8601"],  # of a fault
    "registry.py": ["0"],  # of a fault
    "sections/change.py": ["0.001"],
    "sections/clauses.py": ["180"],
    "sections/sanity.py": ["0", "0.6"],
    "sections/shortcuts.py": [
        "0.15", "0.05", "0.8", "64", "64", "80", "73", "73", "95", "95.1", "100", "11", "0.2", "0.5", "7", "53", "0",
        "0", "6.7", "36", "0", "95", "0.15",
    ],  # the rule, and how it erred where it was fixed, which no run measures
    "sections/stability.py": ["0.5"],
    "wording.py": ["0"],
}  # fmt: skip


def templates(path):
    """Yield the words of a module that are no description of its code and no name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            apart |= {id(part) for part in ast.walk(node.format_spec)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in apart
            and " " in node.value
        ):
            yield node.value


def own_numbers(path):
    return sorted(number for words in templates(path) for number in NUMBER.findall(words))


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if not NOT_PAGES & set(path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_number_in_a_template_is_listed(path):
    assert own_numbers(path) == sorted(LISTED.get(path.relative_to(ROOT).as_posix(), []))


def test_a_lie_in_any_template_is_found(tmp_path):
    """In each section with words of its own a number is put into the first of its sentences."""
    tried = 0
    for path in MODULES:
        first = next((words for words in templates(path) if len(words.split()) > 4), None)
        if first is not None and path.parent.name == "sections":
            text = path.read_text(encoding="utf-8")
            beginning = first.split("\n")[0][:20]
            lied = text.replace(beginning, f"In 83 of 97 patients {beginning}")
            assert lied != text, path
            copy = tmp_path / path.name
            copy.write_text(lied, encoding="utf-8")
            assert own_numbers(copy) != own_numbers(path), path
            tried += 1
    assert tried >= 20


def test_the_listed_numbers_are_those_of_the_rules():
    battery = BatterySettings()
    assert (battery.minimum_effect, battery.alpha, battery.minimum_auroc) == (0.15, 0.05, 0.8)
    assert (PARTLY, HOLDS, _SMALLEST, _FRESH.days) == (0.6, 0.5, 0.001, 180)
