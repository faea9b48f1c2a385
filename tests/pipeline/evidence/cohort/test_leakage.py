"""One picture under two patients, copies stored another way, and pictures that are merely alike."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.evidence.cohort.leakage import ALIKE, FEWEST_PICTURES, leakage
from pipeline.evidence.sketch import picture_digest, picture_sketch, read_sketch
from pipeline.findings.study_audit import InputFacts, StudyAudit

SHAPES = [(1, 64, 48), (3, 40, 40), (1, 24, 20, 16)]


def anatomy(shape, seed, patients=40, own_part=0.33):
    """Return pictures that have a body in common: each patient's own part is a third of it."""
    random = np.random.default_rng(seed)
    common = gaussian_filter(random.normal(size=shape[1:]), 2)
    common /= common.std()
    for _ in range(patients):
        own = gaussian_filter(random.normal(size=shape[1:]), 1.5)
        picture = common + own_part * own / own.std() + random.normal(0, own_part * 0.15, shape)
        yield picture.astype(np.float32)


def audit(number, x, patient=None, reference=("lesion",)):
    facts = InputFacts(shape=x.shape, minimum=0, mean=0, maximum=1, deviation=1, sha256=picture_digest(x),
                       sketch=picture_sketch(x))  # fmt: skip
    return StudyAudit(study=f"S-{number}", patient=patient or f"P-{number}", source_sha256="a" * 64, status="analysed",
                      reference=reference, model_input=facts)  # fmt: skip


def stored_again(x, how):
    spread, random = float(x.max() - x.min()), np.random.default_rng(7)
    return {
        "noise of 1 %": lambda: x + random.normal(0, 0.01 * spread, x.shape),
        "8 bits": lambda: np.round((x - x.min()) / spread * 255),
        "another window": lambda: np.clip(x, *np.percentile(x, (0.5, 99.5))),
        "other units": lambda: 40 * x - 1000,
        "a smooth ramp": lambda: x + 0.2 * spread * np.linspace(0, 1, x.shape[1]).reshape(-1, *[1] * (x.ndim - 2)),
        "last digit": lambda: np.nextafter(x, np.float32(np.inf)),
    }[how]().astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_different_patients_are_not_alike_although_anatomy_is(shape):
    pictures = list(anatomy(shape, 0))
    plain = np.array([read_sketch(picture_sketch(x)) for x in pictures])
    assert np.median(plain @ plain.T) > 0.6  # so what they have in common has to be taken away
    found = leakage([audit(number, x) for number, x in enumerate(pictures)])
    assert (found.pictures, found.compared) == (40, 40)
    assert not found.same
    assert not found.alike


@pytest.mark.parametrize("shape", SHAPES)
def test_phantoms_of_one_body_are_told_apart_by_what_is_their_own(shape):
    pictures = list(anatomy(shape, 0, own_part=0.08))
    plain = np.array([read_sketch(picture_sketch(x)) for x in pictures])
    assert np.median(plain @ plain.T) > ALIKE  # as they are, all would pass for copies
    assert not leakage([audit(number, x) for number, x in enumerate(pictures)]).alike


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "how", ["noise of 1 %", "8 bits", "another window", "other units", "a smooth ramp", "last digit"]
)
def test_a_copy_that_is_stored_another_way_is_found_under_another_patient(shape, how):
    pictures = list(anatomy(shape, 1))
    audits = [audit(number, x) for number, x in enumerate(pictures)]
    audits.append(audit(99, stored_again(pictures[5], how), reference=()))
    (pair,) = leakage(audits).alike
    assert pair.studies == ("S-5", "S-99")
    assert (pair.patients, pair.labels_differ) == (2, True)
    assert pair.likeness >= ALIKE
    assert leakage(audits).alike_across_labels == 1


def test_a_copy_of_another_size_is_found():
    pictures = list(anatomy((1, 96, 96), 2))
    smaller = pictures[3].reshape(1, 48, 2, 48, 2).mean(axis=(2, 4))
    found = leakage([*(audit(number, x) for number, x in enumerate(pictures)), audit(99, smaller)])
    assert [pair.studies for pair in found.alike] == [("S-3", "S-99")]


@pytest.mark.parametrize(
    ("patient", "reference", "told"),
    [("P-0", ("lesion",), False), ("P-9", ("lesion",), True), ("P-0", (), True), ("P-0", None, False),
     ("P-9", (), True)],
)  # fmt: skip
def test_one_picture_is_told_where_it_stands_under_two_patients_or_labels(patient, reference, told):
    (first, *others) = anatomy(SHAPES[0], 3, 12)
    audits = [audit(0, first), *(audit(n, x) for n, x in enumerate(others, start=1))]
    found = leakage([*audits, audit(50, first, patient, reference)])
    assert [group.studies for group in found.same] == ([("S-0", "S-50")] if told else [])
    assert not found.alike  # the same picture is not listed twice
    if told:
        assert found.same[0].patients == (2 if patient == "P-9" else 1)
        assert found.same[0].labels_differ == (reference == ())


def test_two_pictures_of_one_patient_may_look_alike():
    pictures = list(anatomy(SHAPES[0], 4))
    again = stored_again(pictures[0], "noise of 1 %")
    audits = [audit(number, x) for number, x in enumerate(pictures)]
    assert not leakage([*audits, audit(99, again, "P-0")]).alike
    (pair,) = leakage([*audits, audit(99, again, "P-0", ())]).alike
    assert (pair.patients, pair.labels_differ) == (1, True)


def test_few_pictures_and_other_forms_are_not_compared():
    pictures = list(anatomy(SHAPES[0], 5, FEWEST_PICTURES - 1))
    copy = stored_again(pictures[0], "8 bits")
    few = [audit(number, x) for number, x in enumerate(pictures[:-1])] + [audit(99, copy)]
    assert len(few) == FEWEST_PICTURES - 1
    assert leakage(few).compared == 0
    assert not leakage(few).alike
    volumes = [audit(100 + number, x) for number, x in enumerate(anatomy(SHAPES[2], 6, 10))]
    assert leakage([*few, *volumes]).compared == 10


def test_flat_pictures_have_no_sketch_and_are_told_by_their_digest():
    flat = np.full((1, 32, 32), 0.7, np.float32)
    assert picture_sketch(flat) == ""
    assert picture_sketch(np.zeros((1, 32, 32), np.float32)) == ""
    found = leakage(
        [audit(0, flat), audit(1, flat), *(audit(n + 2, x) for n, x in enumerate(anatomy((1, 32, 32), 0, 8)))]
    )
    assert [group.studies for group in found.same] == [("S-0", "S-1")]
    assert found.compared == 8
    assert not found.alike


def test_a_study_that_the_model_was_not_shown_is_not_compared():
    (x,) = anatomy(SHAPES[0], 8, 1)
    lost = StudyAudit(study="S-1", patient="P-1", source_sha256="a" * 64, status="failed", reason="timeout")
    found = leakage([audit(0, x), lost])
    assert (found.pictures, found.compared) == (1, 0)


def test_digests_tell_shapes_apart():
    x = np.arange(12, dtype=np.float32)
    assert picture_digest(x.reshape(1, 3, 4)) != picture_digest(x.reshape(1, 4, 3))
    assert picture_digest(x.reshape(1, 3, 4)) == picture_digest(x.reshape(1, 3, 4).copy(order="F"))


def test_many_alike_pairs_are_counted_and_the_closest_listed():
    pictures = list(anatomy(SHAPES[0], 9, 60))
    copies = [stored_again(x, "noise of 1 %") for x in pictures]
    found = leakage([audit(n, x) for n, x in enumerate([*pictures, *copies])])
    assert found.alike_pairs == 60
    assert len(found.alike) == 50
    assert [pair.likeness for pair in found.alike] == sorted((pair.likeness for pair in found.alike), reverse=True)
