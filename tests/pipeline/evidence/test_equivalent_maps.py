"""Which maps of a run are one piece of evidence, from small files of maps: by study, target and name."""

import numpy as np
import pytest

from pipeline.conclusions import equivalent_maps as module
from pipeline.conclusions.equivalent_maps import equivalent_maps, mapped_places
from pipeline.findings.study_audit import MethodAtLayer
from tests.pipeline.evidence.records import entry, study

A, B = np.array([[1, 2], [0, 0]], np.float32), np.array([[0, 0], [2, 1]], np.float32)


def kept(method, key, target="nodule", layer="l"):
    return entry(method, "a", 0.5, target=target).model_copy(update={"map": f"maps/0.npz#{key}", "layer": layer})


def groups(monkeypatch, rows, at_layers=()):
    """Return the groups of studies, each with its entries and its maps by key."""
    audits = [study(number, *entries) for number, (entries, _) in enumerate(rows)]
    arrays = [maps for _, maps in rows]
    monkeypatch.setattr(module, "maps_by_study", lambda _, audits: zip(audits, arrays, strict=True))
    return equivalent_maps("folder", audits, mapped_places(audits), at_layers)


@pytest.mark.parametrize(("second", "expected"), [(3 * A, (("gradcam", "hirescam"),)), (B, ())])
def test_maps_that_agree_up_to_a_factor_are_one(monkeypatch, second, expected):
    entries = (kept("gradcam", "g"), kept("hirescam", "h"), entry("centre_prior", "a", 0.1))
    assert groups(monkeypatch, [(entries, {"g": A, "h": second})]) == expected


def test_maps_have_to_agree_for_each_target(monkeypatch):
    entries = (
        kept("gradcam", "g"), kept("hirescam", "h"),
        kept("gradcam", "g2", "oedema"), kept("hirescam", "h2", "oedema"),
    )  # fmt: skip
    maps = {"g": A, "h": A, "g2": B, "h2": B}
    assert groups(monkeypatch, [(entries, maps)]) == (("gradcam", "hirescam"),)
    assert groups(monkeypatch, [(entries, {**maps, "h": B})]) == ()


def test_a_method_at_two_layers_is_two_maps(monkeypatch):
    entries = (kept("gradcam", "g", layer="l"), kept("gradcam", "h", layer="m"))
    assert groups(monkeypatch, [(entries, {"g": A, "h": 2 * A})], ("gradcam",)) == (("gradcam@l", "gradcam@m"),)


def test_places_of_which_a_map_is_kept_come_once_each_in_their_order():
    audits = [
        study(0, kept("hirescam", "h"), entry("centre_prior", "a", 0.1)),
        study(1, kept("hirescam", "h"), kept("gradcam", "g", layer="m")),
    ]
    assert mapped_places(audits) == [MethodAtLayer("hirescam", "l"), MethodAtLayer("gradcam", "m")]
