"""What the report says of pictures that stand in several studies."""

from pipeline.findings.context.cohort import AlikePictures, Leakage, SamePicture, TrainingOverlap
from tests.reports import example
from tests.reports.test_sentences import said

TITLE = "Data identity"


def words(overlap=None, **more):
    leakage = Leakage(**{"pictures": 48, "compared": 48, **more})
    return said(TITLE, example.results(leakage=leakage, training_overlap=overlap)).partition("Leakage")[2]


def test_a_clean_cohort_is_said_to_be_with_the_limits_of_the_look():
    text = words()
    assert "No picture stands under two patients or with two labels, of 48 pictures" in text
    assert "no two of different patients or labels look like copies of each other" in text
    assert "Shifted or cropped copies are not found this way." in text
    assert "no hashes of its training data were given" in text


def test_what_was_found_is_named():
    text = words(
        same=(SamePicture(studies=("S1", "S2", "S3"), patients=2, labels_differ=True),),
        alike=(AlikePictures(studies=("S4", "S5"), likeness=0.98, patients=2),),
        alike_pairs=3,
        alike_across_labels=1,
    )
    assert "1 times of 48 pictures" in text
    assert "S1, S2, S3 (2 patients, with different labels)" in text
    assert (
        "3 pairs of different patients or labels look like copies of each other, 1 of them with different labels"
        in text
    )
    assert "S4 and S5" in text


def test_what_was_not_looked_at_is_not_called_clean():
    assert "Copies that were stored another way were not looked for" in words(compared=0)
    assert "Leakage" not in said(TITLE, example.results())


def test_training_data_are_told_in_the_same_place():
    overlap = TrainingOverlap(hashes=9, list_sha256="b" * 64, checked=40, studies=("S7", "S8"), patients=2)
    assert "2 studies of 2 patients hold a file that the model was trained on" in words(overlap)
    none = overlap.model_copy(update={"studies": (), "patients": 0})
    assert "None of 40 studies looked up holds a file of the training data." in words(none)
