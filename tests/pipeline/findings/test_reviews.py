"""A reviewer's file is read strictly, or refused in one line."""

import json
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.findings.reviews import REVIEW_BYTES, parse_review, require_review_of, review_bytes

HEAD = "ab" * 32


def _fields(**changes: Any) -> dict[str, Any]:
    case = {"study": "S001", "map": "gradcam", "judgement": "disagree", "comment": "beside the nodule\nsee slice 4"}
    fields: dict[str, Any] = {
        "format": "camaudit-review/1",
        "run": "20261129T120000Z-1",
        "ledger_head": HEAD,
        "reviewer": {"name": "Dr. Åse Ødegård", "role": "radiologist"},
        "cases": [case],
        "written_at": "2026-11-29T12:34:56.789Z",
    }
    return fields | changes


def _case(**changes: Any) -> dict[str, Any]:
    return {"cases": [_fields()["cases"][0] | changes]}


def _bytes(**changes: Any) -> bytes:
    return json.dumps(_fields(**changes)).encode()


def test_a_review_is_read_and_written_again_as_the_same_review() -> None:
    review = parse_review(_bytes())
    assert review.reviewer.name == "Dr. Åse Ødegård"
    assert review.cases[0].comment.splitlines()[1] == "see slice 4"
    assert parse_review(review_bytes(review)) == review
    assert review_bytes(parse_review(review_bytes(review))) == review_bytes(review)


def test_a_case_may_be_judged_without_a_map() -> None:
    assert parse_review(_bytes(**_case(map=None))).cases[0].map is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "camaudit-review/2"}, "format"),
        ({"ledger_head": HEAD.upper()}, "ledger_head"),
        ({"ledger_head": HEAD + "\n"}, "ledger_head"),
        ({"written_at": "2026-11-29T12:34:56"}, "written_at"),
        ({"written_at": 1_700_000_000}, "written_at"),
        ({"more": 1}, "more"),
        ({"reviewer": {"name": " ", "role": ""}}, "reviewer.name"),
        ({"reviewer": {"name": "A\u202eB", "role": ""}}, "direction of writing"),
        (_case(judgement="approve"), "judgement"),
        (_case(comment=7), "comment"),
        (_case(comment="a\x00b"), "control character"),
        (_case(comment="x" * 10_001), "comment"),
        (_case(study=""), "study"),
        ({"cases": [_fields()["cases"][0]] * 2}, "judged twice"),
    ],
)
def test_what_breaks_the_format_is_refused_by_its_key(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_review(_bytes(**changes), name="review.json")
    assert str(caught.value).startswith("review.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff\xfe", b"{" * 100_000, b" " * (REVIEW_BYTES + 1), _bytes()[:-1] + b', "run": "other"}'],
)
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_review(content)


@pytest.mark.parametrize(
    ("run", "head", "maps", "words"),
    [
        ("other", HEAD, {"S001": ["gradcam"]}, "is a review of run"),
        ("20261129T120000Z-1", "00" * 32, {"S001": ["gradcam"]}, "is no event of run"),
        ("20261129T120000Z-1", HEAD, {"S002": ["gradcam"]}, "is none of run"),
        ("20261129T120000Z-1", HEAD, {"S001": ["layercam"]}, "has no map"),
    ],
)
def test_a_review_of_something_else_is_refused(run: str, head: str, maps: dict[str, list[str]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        require_review_of(parse_review(_bytes()), run, {head}, maps)


def test_a_review_of_this_run_is_taken() -> None:
    require_review_of(parse_review(_bytes()), "20261129T120000Z-1", {"00" * 32, HEAD}, {"S001": ["gradcam"]})
