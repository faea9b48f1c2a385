"""The registry of sections."""

import pytest

import reports.sections  # noqa: F401
from reports import registry
from reports.registry import section, sections


def test_sections_come_in_order_with_one_cover():
    orders = [part.order for part in sections()]
    assert orders == sorted(orders)
    assert [part.title for part in sections()].count("") == 1
    assert len(orders) == 19


@pytest.mark.parametrize(("order", "title"), [(10, "Another"), (11, "Summary")])
def test_a_taken_order_or_title_is_refused(order, title, monkeypatch):
    monkeypatch.setattr(registry, "_SECTIONS", dict(registry._SECTIONS))
    with pytest.raises(ValueError, match=f"section {order} '{title}' clashes with section 10 'Summary'"):
        section(order, title)(lambda _: [])
