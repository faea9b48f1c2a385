"""What the cards measure, on methods of which it is known; and that the documents hold what would be measured now."""

from pathlib import Path

import pytest
import torch
from torch import nn

from cam import METHODS
from camaudit.testing.cards import _spearman, method_card
from camaudit.testing.heads import HEADS, head_trial
from camaudit.testing.memory import peak_bytes
from camaudit.testing.one_formula import groups_behind, maps_behind
from tests.cards.document import cards_document, heads_document

DOCS = Path(__file__).resolve().parents[2] / "docs"
FAMILY = ("cam", "gradcam", "gradcampp", "hirescam", "layercam", "xgradcam")


def test_every_method_has_its_card_and_every_head_its_row():
    cards, heads = ((DOCS / name).read_text(encoding="utf-8") for name in ("cards.md", "one-formula.md"))
    assert [name for name in METHODS if f"\n## {name}\n" not in cards] == []
    assert [head for head in HEADS if f"\n| {head} |" not in heads] == []


@pytest.mark.parametrize("name", ["gradcam", "hirescam", "eigencam", "occlusion"])
def test_a_card_is_what_would_be_measured_now(name):
    """The groups behind the heads are the other test's; a card's own figures are compared here."""
    card = method_card(name, {})
    kept = (DOCS / "cards.md").read_text(encoding="utf-8")
    (row,) = (line for line in kept.splitlines() if line.startswith(f"| [`{name}`]"))
    assert row.split(" | ")[3] == str(card.shown)
    assert row.split(" | ")[4] == f"{card.multiply_adds:.2g}"
    assert row.split(" | ")[1] == ("yes" if card.repeats else "no")


def test_the_family_behind_a_mean_and_a_linear_layer_is_one_map_and_behind_a_maximum_is_not():
    mean, maximum = (groups_behind(head, FAMILY) for head in ("mean, linear", "maximum, linear"))
    assert ("cam", "gradcam", "hirescam", "xgradcam") in mean.same
    assert "cam" in maximum.refused
    assert not any({"gradcam", "hirescam"} <= set(group) for group in maximum.same)
    assert set(mean.exact) == {"cam", "gradcam", "hirescam", "xgradcam"}
    assert set(maximum.exact) == {"hirescam", "xgradcam"}


def test_the_sum_of_a_complete_map_is_the_logit_less_the_heads_bias():
    trial = head_trial("mean, linear", 2, 0)
    (maps,) = maps_behind(trial, ["hirescam"]).values()
    head = trial.model[-1]
    assert isinstance(head, nn.Linear)
    logits = trial.model(trial.x)[:, 1]
    torch.testing.assert_close(maps.flatten(1).sum(dim=1), logits - head.bias[1], check_dtype=False)


@pytest.mark.parametrize("name", METHODS)
def test_no_method_shows_the_model_more_than_it_declares(name):
    light = {"rise", "lime", "kernel_shap"}  # a thousand images each; the cards have them
    if name in light:
        pytest.skip("measured by python -m tests.cards alone")
    card = method_card(name, {})
    assert card.shown <= card.declared + 1
    assert card.repeats


def test_bytes_are_counted_once_a_storage_and_given_back():
    eight_kilobytes = 1000 * 8

    def run() -> torch.Tensor:
        first = torch.zeros(1000, dtype=torch.float64)
        view = first.view(10, 100)  # the same storage
        second = view + 1
        del first, view
        return second * 2  # the first one is gone: two live at once

    assert peak_bytes(run) == 2 * eight_kilobytes


def test_a_correlation_of_ranks_needs_an_order():
    rising = torch.arange(9.0)[None]
    assert _spearman(rising, rising**3) == pytest.approx(1)
    assert _spearman(rising, -rising) == pytest.approx(-1)
    assert _spearman(rising, torch.zeros(1, 9)) is None


def test_documents_hold_a_line_for_each(monkeypatch):
    behind = {head: groups_behind(head, ("gradcam", "hirescam")) for head in ("mean, linear",)}
    assert "| mean, linear | `gradcam` = `hirescam` | `gradcam`, `hirescam` | none |" in heads_document(behind)
    monkeypatch.setattr("tests.cards.document.METHODS", {"gradcam": METHODS["gradcam"]})
    text = cards_document(behind, "| costs |")
    assert "| costs |" in text
    assert "| [`gradcam`](#gradcam) | yes |" in text
    assert "- The same map as: `hirescam` behind mean, linear" in text
