"""Objects written one by one are a file that others read; what was reserved only is no object."""

import io

import pikepdf
import pytest

from reports.pdf_objects.number_tree import NumberTree
from reports.pdf_objects.object_file import ObjectFile
from reports.pdf_objects.values import array_of, reference, text_string


def finished(fill):
    """Return a file without pages, and what ``fill`` returns of its objects."""
    target = io.BytesIO()
    objects = ObjectFile(target)
    made = fill(objects)
    objects.finish(objects.add(b"<</Type/Catalog/Pages<</Type/Pages/Count 0/Kids[]>>>>"))
    return target, made


@pytest.mark.parametrize("many", [1, 99, 100, 101, 350])
def test_objects_come_back_by_their_numbers_whatever_their_order(many):
    def fill(objects):
        numbers = [objects.reserve() for _ in range(many)]
        for place in reversed(range(many)):
            if place % 7 == 3:
                objects.write_packed(numbers[place], b"/Place %d" % place, [b"data ", b"%d" % place])
            else:
                objects.write(numbers[place], b"<</Place %d>>" % place, "even" if place % 2 else "")
        return numbers

    target, numbers = finished(fill)
    with pikepdf.open(target) as pdf:
        assert pdf.check_pdf_syntax() == []
        for place, number in enumerate(numbers):
            item = pdf.get_object(number, 0)
            assert int(item.Place) == place
            if place % 7 == 3:
                assert item.read_bytes() == b"data %d" % place


def test_what_was_reserved_and_not_written_is_nothing():
    target, number = finished(lambda objects: objects.reserve())
    with pikepdf.open(target) as pdf:
        assert pdf.check_pdf_syntax() == []
        assert pdf.get_object(number, 0) is None


def test_an_object_is_written_once():
    def fill(objects):
        number = objects.reserve()
        objects.write_stream(number, b"", b"first")
        objects.write_stream(number, b"", b"second")

    with pytest.raises(ValueError, match="object 1 is written twice"):
        finished(fill)


def test_a_file_is_begun_anew():
    target = io.BytesIO(b"what another pass has left" * 1000)
    objects = ObjectFile(target)
    objects.finish(objects.add(b"<</Type/Catalog/Pages<</Type/Pages/Count 0/Kids[]>>>>"))
    assert target.getvalue().startswith(b"%PDF-1.7")
    assert b"another pass" not in target.getvalue()


@pytest.mark.parametrize(
    "words", ["plain", "brackets (a) and \\", "caf\u00e9 \u80ba", "line\nend", "", "\U0001f600", "#/<>"]
)
def test_words_come_back(words):
    target, number = finished(lambda objects: objects.add(b"<</W%b>>" % text_string(words)))
    with pikepdf.open(target) as pdf:
        assert str(pdf.get_object(number, 0).W) == words


@pytest.mark.parametrize("many", [0, 1, 64, 65, 200])
def test_a_number_tree_holds_every_value_in_order(many):
    def fill(objects):
        tree = NumberTree(objects)
        keys = [tree.add(reference(objects.add(array_of([b"%d" % place])))) for place in range(many)]
        assert keys == list(range(many))
        return objects.add(tree.root())

    target, number = finished(fill)
    with pikepdf.open(target) as pdf:
        tree = pikepdf.NumberTree(pdf.get_object(number, 0))
        assert {key: int(value[0]) for key, value in tree.items()} == {place: place for place in range(many)}
