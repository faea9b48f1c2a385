"""A run's records read from its shards: every study once, in the cohort's order, and few in memory."""

import gc

import pytest

from pipeline.errors import OutputError
from pipeline.findings.members.table import MemberTable
from pipeline.findings.recipes import Recipes
from pipeline.findings.shards import iter_shard, write_shard
from pipeline.findings.spec import Member
from pipeline.findings.stored_audits import StoredAudits
from pipeline.findings.study_audit import StudyAudit
from tests.pipeline.evidence.records import entry, not_analysed, study

RECIPES = Recipes("study", "masks", {}, {})


def member(name, shard):
    return Member(study=name, patient="P", source_sha256="0", shard=shard)


def write(folder, name, *audits):
    write_shard(folder / "shards" / f"{name}.parquet", audits, RECIPES)


def test_the_order_is_the_members_whatever_the_shards(tmp_path):
    """Tuning patients have the first shards, and what was carried over has one of its own, wherever they stand."""
    write(tmp_path, "0000", study(4), study(1))
    write(tmp_path, "0001", study(2), not_analysed(0), study(6, entry("gradcam", "a", 0.5)))
    write(tmp_path, "reused", study(3), study(2, predicted=()), study(5))
    members = [member(f"S-{number}", shard) for number, shard in ((1, 0), (3, None), (2, 1), (4, 0), (5, None))]
    members += [member("F-0", 1), member("S-6", 1)]
    records = StoredAudits(tmp_path, MemberTable(members))
    assert [audit.study for audit in records] == [one.study for one in members]
    assert [audit.study for audit in records] == [one.study for one in members]  # again, from the files
    assert next(audit for audit in records if audit.study == "S-2").predicted == ("nodule",)  # not what was carried


def test_some_studies_are_found_by_name(tmp_path):
    write(tmp_path, "0000", study(1), study(2))
    write(tmp_path, "reused", study(2, predicted=()), study(3))
    records = StoredAudits(tmp_path, MemberTable([member("S-1", 0), member("S-2", 0), member("S-3", None)]))
    chosen = records.of({"S-3", "S-2"})
    assert {name: audit.predicted for name, audit in chosen.items()} == {"S-2": ("nodule",), "S-3": ("nodule",)}
    (tmp_path / "shards" / "0000.parquet").unlink()
    assert list(records.of({"S-3"})) == ["S-3"]  # no other shard is read


def test_what_was_never_audited_is_counted(tmp_path):
    write(tmp_path, "0000", study(1))
    members = [member("S-1", 0), member("S-2", 0), member("S-3", 1), member("S-4", None)]
    with pytest.raises(OutputError, match="3 of 4 studies were never audited, first S-2"):
        list(StoredAudits(tmp_path, MemberTable(members)))


def test_records_that_were_passed_are_gone(tmp_path):
    write(tmp_path, "0000", *map(study, range(1500)))
    records = StoredAudits(tmp_path, MemberTable(member(f"S-{number}", 0) for number in range(1500)))
    before, most = _audits_alive(), 0  # other tests of this process have their own
    for number, _ in enumerate(records):
        if number % 500 == 250:
            most = max(most, _audits_alive() - before)
    assert 0 < most < 100


def _audits_alive():
    gc.collect()
    return sum(type(thing) is StudyAudit for thing in gc.get_objects())


def test_a_study_whose_rows_are_read_in_two_parts_is_one(tmp_path):
    """Rows become objects some hundred at a time, and a study's own may lie on both sides."""
    readers = [entry("gradcam", f"reader {number}", 0.5) for number in range(300)]
    write(tmp_path, "0000", *(study(number, *readers) for number in range(5)))
    assert [len(audit.map_scores) for audit in iter_shard(tmp_path / "shards/0000.parquet")] == [300] * 5
