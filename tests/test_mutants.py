"""The list of mutants follows the code: each replaces a text that stands once, and names tests that exist."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.mutants import ROOT
from tests.mutations import GROUPS


@cache
def text_of(file):
    return Path(ROOT, file).read_text(encoding="utf-8")


@pytest.mark.parametrize("group", GROUPS)
def test_each_mutant_replaces_a_text_that_stands_once(group):
    assert [str(mutant) for mutant in GROUPS[group] if text_of(mutant.file).count(mutant.old) != 1] == []


@pytest.mark.parametrize("group", GROUPS)
def test_each_mutant_is_written_once_and_changes_something(group):
    assert [mutant for mutant, times in Counter(map(str, GROUPS[group])).items() if times > 1] == []
    assert [str(mutant) for mutant in GROUPS[group] if mutant.old == mutant.new] == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_tests_of_each_mutant_are_there(group):
    files = {test.partition("::")[0] for mutant in GROUPS[group] for test in mutant.tests if test.endswith(".py")}
    assert [file for file in files if not Path(ROOT, file).exists()] == []
