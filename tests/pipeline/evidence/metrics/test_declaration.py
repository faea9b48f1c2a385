"""What a metric declares is held against it; a wrong declaration is found."""

from dataclasses import replace

import numpy as np
import pytest

from camaudit.testing.metrics import check_metric
from pipeline.evidence.metrics.declaration import INVARIANCES, metric
from pipeline.evidence.metrics.distance import hd95
from pipeline.evidence.metrics.invariances import CHANGES, scenes
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, RegionOverlap, Undefined
from pipeline.evidence.metrics.ranking import average_precision, energy_in_mask, hit_rate
from pipeline.evidence.metrics.region import iou
from pipeline.evidence.metrics.registry import METRICS, score_all

SOUND = {
    "title": "Sound",
    "definition": "share of the mask in the region",
    "unit": "1",
    "better": "higher",
    "range": (0.0, 1.0),
    "chance": "none: it depends on the region's size",
    "invariant": ("flip",),
    "version": 1,
}


def declared(function=None, name="sound", **changes):
    """Return a metric that passes, with some of it changed."""
    return metric(name, **{**SOUND, **changes})(function or share_in_region)


def place_of_the_maximum(overlap):
    overlap.require_ranking()
    return overlap.evidence.maxima[0] / overlap.mask.size


def share_in_region(overlap):
    overlap.require_mask()
    return float((overlap.evidence.region & overlap.mask).sum() / overlap.mask.sum())


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_keeps_what_it_declares(name):
    check_metric(METRICS[name])


def test_every_invariance_has_its_check():
    assert set(CHANGES) == set(INVARIANCES)


def test_a_sound_metric_passes():
    check_metric(declared())


@pytest.mark.parametrize(
    ("candidate", "invariance"),
    [
        (hd95, "shuffle"),
        (hd95, "spacing"),
        (iou, "monotone"),
        (energy_in_mask, "monotone"),
        (declared(lambda o: float(o.evidence.positive.max() / (1 + o.evidence.positive.max()))), "scale"),
        (declared(place_of_the_maximum), "flip"),
        (declared(place_of_the_maximum), "permutation"),
        (declared(place_of_the_maximum), "shift"),
    ],
)  # fmt: skip
def test_an_invariance_that_does_not_hold_is_found(candidate, invariance):
    """Each of the generic checks, by a metric that declares it wrongly."""
    sound_otherwise = replace(candidate, invariant=(invariance,), range=(0.0, None))
    with pytest.raises(AssertionError, match=f"declares '{invariance}', but "):
        check_metric(sound_otherwise)


@pytest.mark.parametrize("invariance", list(INVARIANCES))
def test_every_check_changes_the_scenes(invariance):
    """A change that changes nothing would let anything pass."""
    for scene in scenes():
        for changed in CHANGES[invariance](scene):
            same = np.array_equal(changed.values, scene.values) and np.array_equal(changed.mask, scene.mask)
            assert not (same and changed.spacing == scene.spacing)


def raises(error):
    def function(overlap):
        if not overlap.mask.any():
            raise error
        return 0.5

    return function


def on_empty(value):
    return lambda overlap: share_in_region(overlap) if overlap.mask.any() else value


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        (share_in_region, "share_in_region lacks a declaration"),
        (3, "int lacks a declaration"),
        (declared(range=(0.0, 0.1)), r"returns 0\.\d+ on blob 1 in 2D, outside of its range \(0.0, 0.1\)"),
        (declared(on_empty(float("nan"))), "returns nan on an empty mask in 2D: raise Undefined"),
        (declared(on_empty(float("inf"))), "returns inf on an empty mask in 2D: raise Undefined"),
        (declared(on_empty(None)), "returns a NoneType on an empty mask in 2D"),
        (declared(on_empty(True)), "returns a bool on an empty mask"),
        (declared(on_empty(-1.0)), "returns -1 on an empty mask in 2D, outside of its range"),
        (declared(raises(ZeroDivisionError())), "raises ZeroDivisionError on an empty mask in 2D"),
        (declared(lambda o: 0.5), "is 0.5 on every ordinary scene"),
        (declared(raises(Undefined("x1")), invariant=()), "is 0.5 on every ordinary scene"),
        (declared(better="lower"), "declares that lower is better, but a map equal to the mask does not score better"),
        (declared(lambda o: 1 - share_in_region(o)), "declares that higher is better, but a map equal to the mask"),
        (replace(hit_rate, chance=lambda o: 0.5), "declares a chance of 0.5 on blob 0 in 2D, but maps of noise score"),
        (replace(average_precision, chance=energy_in_mask.chance), "declares a chance of 0.05"),
        (replace(hit_rate, chance=lambda o: 2.0), r"returns 2 on blob 0 in 2D \(chance\), outside of its range"),
        (declared(lambda o: float(o.evidence.heatmap.array.min() > 99)), "is 0 on every ordinary scene"),
        (declared(lambda o: share_in_region(o) * float(np.abs(o.evidence.heatmap.array).max() < 50)), "saw nothing"),
    ],
)  # fmt: skip
def test_what_a_metric_does_not_keep_is_one_sentence(candidate, says):
    with pytest.raises(AssertionError, match=says) as refused:
        check_metric(candidate)
    assert "\n" not in str(refused.value)


def test_a_metric_without_a_stable_answer_is_found():
    generator = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="gives two answers on blob 0 in 2D, asked twice"):
        check_metric(declared(lambda overlap: float(generator.random())))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Sound"}, "name must be of a-z"),
        ({"name": "iou_undefined"}, "not ending in _undefined"),
        ({"title": ""}, "title must be 1 to 40 plain characters"),
        ({"title": "\u0399oU"}, "title must be 1 to 40 plain"),  # a Greek letter
        ({"title": "two\nlines"}, "title must be 1 to 40 plain"),
        ({"definition": "x" * 401}, "definition must be one printable line of 1 to 400"),
        ({"chance": ""}, "chance, as a reason or a docstring"),
        ({"chance": lambda overlap: 0.5}, "chance, as a reason or a docstring"),  # a lambda has no docstring
        ({"unit": ""}, "unit must be '1' or such as 'mm'"),
        ({"unit": "=mm"}, "unit must be"),
        ({"better": "bigger"}, "better must be 'higher' or 'lower', not 'bigger'"),
        ({"range": (1.0, 0.0)}, "range must be"),
        ({"range": (0.0, float("inf"))}, "range must be"),
        ({"range": None}, "range must be"),
        ({"invariant": ("rotation",)}, "invariant must be among scale, .* not 'rotation'"),
        ({"version": 0}, "version must be a whole number from 1, not 0"),
        ({"version": True}, "version must be a whole number"),
        ({"source": "two\nlines"}, "source must be one printable line"),
        ({"equals": "mostly"}, "equals must be among paper, code, both, neither, not 'mostly'"),
        ({"function": 3}, "must be declared on a function"),
    ],
)
def test_a_declaration_that_says_nothing_is_refused_where_it_is_written(change, says):
    with pytest.raises(ValueError, match=says):
        declared(**change)


@pytest.mark.parametrize("code", ["", "Peter Secret", "a" * 41, "/data/peter", "1.2.840"])
def test_a_reason_is_a_code_and_no_text_of_a_file(code):
    with pytest.raises(ValueError, match="a reason code must be of a-z") as refused:
        Undefined(code)
    assert code == "" or code not in str(refused.value)


def test_scores_carry_version_and_chance():
    scene = next(scenes())
    overlap = scene.overlap()
    newer = replace(hit_rate, version=7)
    first, second = score_all(overlap, [newer, iou])
    assert (first.version, second.version) == (7, 1)
    assert first.chance == pytest.approx(scene.mask.mean())
    assert second.chance is None
    empty = RegionOverlap(overlap.evidence, MarkedVoxels(scene.mask & False, overlap.geometry))
    (undefined,) = score_all(empty, [newer])
    assert (undefined.version, undefined.reason, undefined.chance) == (7, "empty_mask", None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01, 1.01])
def test_a_value_outside_of_the_range_never_becomes_a_score(value):
    scene = next(scenes())
    overlap = scene.overlap()
    with pytest.raises(ValueError, match=r"metric 'sound' returned .* outside of its range"):
        score_all(overlap, [declared(lambda overlap: value)])
    assert score_all(overlap, [declared(lambda overlap: 1 + 1e-12)])[0].value == 1
