"""docs/claims.md: each claim stands in docs/evidence.md as it is quoted, and each test that is to hold it is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?P<claim>.+) \| (?P<tests>`tests/.+`) \|$", re.MULTILINE)
MARKERS = ("skip", "skipif", "xfail")


def rows(text):
    """Return the claims of a page with the tests that are named beside each."""
    return [(row["claim"], re.findall(r"`([^`]+)`", row["tests"])) for row in ROW.finditer(text)]


def faults_of(claims, evidence):
    """Return what is wrong with claims: one that is not in a text, or a test that is not there, or is skipped."""
    said = " ".join(evidence.split())
    for claim, tests in claims:
        if " ".join(claim.split()) not in said:
            yield f"not in docs/evidence.md: {claim}"
        yield from (f"no such test: {test}" for test in tests if not _is_there(test))


def _is_there(test):
    name, _, function = test.partition("::")
    path = ROOT / name
    return path.name.startswith("test_") and path.is_file() and function in _tests_in(path)


def _tests_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {node.name for node in functions if not any(_is_marked(each) for each in node.decorator_list)}


def _is_marked(decorator):
    return any(f"mark.{marker}" in ast.unparse(decorator) for marker in MARKERS)


def test_every_claim_is_quoted_and_every_test_that_holds_it_is_there():
    claims = rows((ROOT / "docs" / "claims.md").read_text(encoding="utf-8"))
    assert len(claims) > 60
    assert len(dict(claims)) == len(claims)
    assert list(faults_of(claims, (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            "| said so | `tests/coverage/test_claims.py::test_of_yesterday` |",
            "no such test: tests/coverage/test_claims.py::test_of_yes",
        ),
        ("| said so | `tests/test_none.py::test_x` |", "no such test: tests/test_none.py::test_x"),
        ("| said so | `tests/coverage/test_claims.py::rows` |", "no such test: tests/coverage/test_claims.py::rows"),
        (
            "| never said | `tests/coverage/test_claims.py::test_a_page_that_has_rotted_is_found` |",
            "not in docs/evidence.md: ne",
        ),
    ],
)
def test_a_page_that_has_rotted_is_found(row, fault):
    (found,) = faults_of(rows(row), "it is\nsaid so, and no more")
    assert found.startswith(fault)
