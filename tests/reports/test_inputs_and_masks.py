"""What the report says of the model's inputs and of the masks that could not be used."""

import pytest

from pipeline.findings.facts import InputSummary
from pipeline.findings.pictures.panels import save_panels
from pipeline.findings.study_audit import RefusedMask
from reports.pdf import render
from tests.reports import example
from tests.reports.test_pdf import NASTY, text_of

INPUTS = InputSummary(
    studies=44, shapes={"1 x 96 x 96": 40, "1 x 96 x 80": 4}, minimum=-1024.0, mean=-412.5, maximum=3071.0,
    deviation=318.2, notes=("44 of 44 inputs hold values beyond 50 in size",), picture="model-input.npz",
)  # fmt: skip


def fault(reader, reason, **changes):
    return RefusedMask(reader=reader, label="nodule", reason=reason, message=f"why {reason}", **changes)


def rendered(folder, **changes):
    """Return the report's text, its white space as single blanks."""
    run = example.write_run(folder, example.results(**changes))
    save_panels(example.panels("S0007", example.view()), run / "model-input.npz")
    render(run)
    return " ".join(text_of(run / "report.pdf", "-raw").split())


def flow(**changes):
    return example.results().flow.model_copy(update=changes)


def test_the_input_is_described_and_pictured(tmp_path):
    text = rendered(tmp_path, inputs=INPUTS)
    for words in (
        "The input as the model saw it",
        "1 x 96 x 96: 40 · 1 x 96 x 80: 4",
        "values from \N{MINUS SIGN}1,024 to 3,071",
        "44 of 44 inputs hold values beyond 50 in size",
        "black at \N{MINUS SIGN}1,000, white at 400",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"picture": None, "picture_note": "the pictures are withheld"}, "No picture: the pictures are withheld."),
        ({"picture": "gone.npz"}, "No picture: the file gone.npz is missing or cannot be read."),
    ],
)
def test_where_there_is_no_picture_the_report_says_why(changes, words, tmp_path):
    assert words in rendered(tmp_path, inputs=INPUTS.model_copy(update=changes))


def test_masks_that_could_not_be_used_are_counted_and_listed(tmp_path):
    faults = {
        "S0007": (fault("A", "missing_file"), fault("B", "missing_file"), fault("C", "unknown_label", masks=103)),
        "S0009": (fault("A", "other_grid"),),
    }
    counts = {"missing_file": 2, "other_grid": 1, "unknown_label": 103}
    text = rendered(tmp_path, mask_faults=faults, flow=flow(mask_faults=counts, without_mask=1))
    for words in (
        "106 masks of analysed studies could not be used (missing file 2, other grid 1, unknown label 103); 1 study is "
        "left without any.",
        "1 of 44 analysed studies could not be compared with any expert",
        "Masks that could not be used",
        "S0007 A, B 2 missing file why missing_file",
        "S0007 C 103 unknown label why unknown_label",
        "S0009 A 1 other grid why other_grid",
    ):
        assert words in text, words


def test_masks_refused_beside_others_are_told_in_the_summary(tmp_path):
    text = rendered(tmp_path, flow=flow(mask_faults={"truncated": 1}))
    assert "1 mask could not be used; the scores against them are undefined" in text


def test_maps_carried_over_are_counted(tmp_path):
    assert "8 of 12 maps carried over" in rendered(tmp_path, flow=flow(maps=12, maps_reused=8))


def test_nothing_is_said_where_every_mask_was_used(tmp_path):
    text = rendered(tmp_path)
    assert "could not be used (" not in text
    assert "Masks that could not be used" not in text
    assert "as the model saw it" not in text


def test_nasty_strings_reach_the_page_as_text(tmp_path):
    value = "".join(str(one) for one in NASTY if len(str(one)) < 100).encode("utf-8", "replace").decode()
    faults = {value: (RefusedMask(reader=value, label=value, reason=value, message=value),)}
    inputs = INPUTS.model_copy(update={"shapes": {value: 1}, "notes": (value,), "picture": None, "picture_note": value})
    text = rendered(tmp_path, mask_faults=faults, inputs=inputs, flow=flow(mask_faults={value: 1}, without_mask=1))
    assert "".join(text.split()).count('<imgsrc="/etc/passwd">') >= 5
