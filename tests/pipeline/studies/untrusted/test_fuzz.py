"""A few hundred damaged files; ``make fuzz`` takes ten thousand."""

from tests.damaged import mutant
from tests.fuzz import PARENT_LIMIT, fuzz, table, write_sources


def test_every_mutant_becomes_a_study_or_a_reason(tmp_path):
    tally = fuzz(200, seed=1, seconds=float("inf"), workers=1, folder=tmp_path)
    assert tally.findings == []
    assert tally.reasons.total() == 200
    assert len(tally.reasons) > 4, "the mutants are too much alike"
    assert tally.reasons["study"] > 10, "nothing survives: the sources are not read at all"
    assert 0 < tally.peak < PARENT_LIMIT
    assert "no crash" in "".join(table(tally, 0))


def test_a_mutant_is_known_by_its_number(tmp_path):
    write_sources(tmp_path)
    assert mutant(7, tmp_path, 0) == mutant(7, tmp_path, 0)
    assert mutant(7, tmp_path, 0) != mutant(8, tmp_path, 0)
    assert mutant(7, tmp_path, 0) != mutant(7, tmp_path, 1)
