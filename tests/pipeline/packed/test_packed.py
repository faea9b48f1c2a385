"""Packed lists are the lists that they stand for, and a fraction of them in memory."""

import tracemalloc

import pytest

from pipeline.evidence.columns.store import ColumnStore
from pipeline.findings.members.member import Member
from pipeline.findings.members.table import MemberTable
from pipeline.packed import items as module
from pipeline.packed.by_name import MappedByName, PackedByName
from pipeline.packed.items import MappedItems, PackedItems
from pipeline.packed.texts import TextMap, Texts

TEXTS = ["", "a", "Ä\u20ac", "a\udcff", "S-000", "a", "\U0001f600", "b" * 300]


def member(number):
    shard = None if number % 7 == 3 else number // 10
    return Member(study=f"S-{number}", patient=f"P-{number // 2}", source_sha256=f"{number:064}", shard=shard,
                  first_seen=f"run {number % 3}", tuning=number % 5 == 0)  # fmt: skip


def test_texts_are_those_that_were_added_and_are_found_where_they_stand_first():
    texts = Texts(TEXTS)
    assert (list(texts), len(texts), texts[-1], texts[2:5]) == (TEXTS, 8, TEXTS[-1], TEXTS[2:5])
    assert [texts.find(text) for text in TEXTS] == [TEXTS.index(text) for text in TEXTS]
    assert texts.find("A") is None
    texts.append("A")  # the index is made anew
    assert texts.find("A") == 8
    assert Texts().find("a") is None
    with pytest.raises(IndexError):
        texts[9]


def test_texts_of_equal_hashes_are_told_apart(monkeypatch):
    monkeypatch.setattr("builtins.hash", lambda text: 7)
    texts = Texts(TEXTS)
    assert [texts.find(text) for text in TEXTS] == [TEXTS.index(text) for text in TEXTS]
    assert texts.find("none of them") is None


def test_a_map_of_texts_is_a_mapping():
    pairs = {f"S-{number}": f"{number:064}" for number in range(2000)}
    texts = TextMap(pairs.items())
    assert texts == pairs
    assert "S-2000" not in texts
    assert texts.get("none") is None


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_items_are_those_of_a_list(monkeypatch, tmp_path, count):
    monkeypatch.setattr(module, "_BLOCK", 8)
    with ColumnStore(tmp_path, limit=100) as store:
        items = PackedItems(({"number": number} for number in range(count)), store.keep)
        listed = [{"number": number} for number in range(count)]
        assert list(items) == list(items) == listed
        assert items == listed != PackedItems([*listed, 1])
        assert [items[place] for place in range(-count, count)] == listed + listed
        assert items[3:20:2] == listed[3:20:2]
        numbers = MappedItems(lambda item: item["number"], items)
        assert (list(numbers), len(numbers), numbers[1:3]) == (list(range(count)), count, list(range(count))[1:3])
        with pytest.raises(IndexError):
            items[count]


def test_what_is_put_anew_takes_its_own_place():
    answers = PackedByName[list[int]]()
    for name, number in (("a", 1), ("b", 2), ("a", 3)):
        answers.put(name, [number])
    assert dict(answers) == {"b": [2], "a": [3]}
    assert list(answers) == ["a", "b"]
    assert dict(MappedByName(sum, answers)) == {"a": 3, "b": 2}
    assert "c" not in MappedByName(sum, answers)


def test_a_table_of_members_is_their_list():
    members = [member(number) for number in range(60)]
    table = MemberTable(members)
    assert list(table) == members
    assert (table[-1], table[5:9], len(table)) == (members[-1], members[5:9], 60)
    for shard in (None, 0, 3, 99):
        assert table.of_shard(shard) == [member for member in members if member.shard == shard]
    assert table.shards == {shard: len(table.of_shard(shard)) for shard in (None, *range(6))}
    assert table.tuning == [member for member in members if member.tuning]
    assert (table.find("S-17"), table.find("S-60")) == (17, None)
    assert [table.is_carried(f"S-{number}") for number in (3, 4, 60)] == [True, False, False]
    assert table.listed_twice is None
    assert MemberTable([*members, member(17), member(9)]).listed_twice == "S-17"
    assert table == MemberTable(members) == members != MemberTable(members[:-1])


def test_members_take_a_fifth_of_their_list_at_most():
    def held(made):
        tracemalloc.start()
        kept = made()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size / len(kept)

    assert held(lambda: MemberTable(map(member, range(3000)))) < held(lambda: list(map(member, range(3000)))) / 5
