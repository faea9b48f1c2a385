"""What a scan asks a person to look at in its manifest."""

import json

import pytest

from pipeline.studies.listing.doubts import doubts_of_masks

DEVICE = "mask's name tells of a device or a mark: what must not be leaned on goes into a column avoid:<region>"


def doubts(stem):
    content = json.dumps({"values": 2, "whole": True, "marked": True})
    mask = {"role": json.dumps({"stem": stem, "reader": ""}), "content": content, "shape": None, "kind": "nifti",
            "rows": None, "columns": None}  # fmt: skip
    return list(doubts_of_masks([mask], [], 1))


@pytest.mark.parametrize(
    ("stem", "told"),
    [("p1_tube", True), ("P1 Markers", True), ("case-wires-seg", True), ("p1_lesion", False), ("tuberculosis", False),
     ("p1_airline", False), ("eclipse_1", False)],
)  # fmt: skip
def test_a_mask_whose_name_tells_of_a_device_is_doubted_as_a_finding(stem, told):
    assert (DEVICE in doubts(stem)) == told
