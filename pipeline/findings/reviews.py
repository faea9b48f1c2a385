"""A reviewer's file: what one person thought of the cases of one run, as the viewer writes it and an approval takes it.

It is somebody else's text: parsed strictly, bounded in size, and free of characters that show a reader something else
than what is stored. It vouches for nothing by itself; whoever takes it writes it into the run's ledger.
"""

import json
import unicodedata
from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, ConfigDict, StringConstraints, ValidationError, model_validator

from pipeline.errors import ConfigError
from pipeline.findings.frozen_model import FrozenModel

__all__ = [
    "REVIEW_BYTES", "REVIEW_FORMAT", "Judgement", "Review", "ReviewedCase", "Reviewer", "parse_review",
    "require_review_of", "review_bytes",
]  # fmt: skip

REVIEW_FORMAT: Literal["camaudit-review/1"] = "camaudit-review/1"

REVIEW_BYTES = 4 * 2**20
"""The largest reviewer's file that is read, in bytes: some hundred cases with the longest comments."""

Judgement = Literal["agree", "disagree", "reference_doubtful"]

_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _is_plain(character: str) -> bool:
    """Tell whether a character stands for itself: no control, no half of a pair, nothing that turns the line round."""
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in _BIDIRECTIONAL


def _one_line(text: str) -> str:
    if not all(map(_is_plain, text)):
        raise ValueError("has a control character or one that turns the direction of writing; remove it")
    return text


def _lines(text: str) -> str:
    _one_line(text.replace("\n", "").replace("\t", ""))
    return text


_Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_one_line)]
_Role = Annotated[str, StringConstraints(max_length=200), AfterValidator(_one_line)]
_Comment = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_lines)]


class _ReviewPart(FrozenModel):
    """A part of the file: as strict as JSON can be, so that a number is no text and a text no number."""

    model_config = ConfigDict(strict=True)


class Reviewer(_ReviewPart):
    """Who wrote: the name and role as typed. Nobody checked them; a signature does."""

    name: Annotated[_Name, StringConstraints(pattern=r"\S")]
    role: _Role


class ReviewedCase(_ReviewPart):
    """What the reviewer thought of one study (its pseudonym), or of one of its maps (``map``: as the report names it).

    ``agree`` and ``disagree`` speak of the map beside the reference, ``reference_doubtful`` of the reference itself.
    """

    study: _Name
    map: _Name | None
    judgement: Judgement
    comment: _Comment


class Review(_ReviewPart):
    """One person's review of one run: ``ledger_head`` names the run's last event, so that it fits no other state."""

    format: Literal["camaudit-review/1"]
    run: _Name
    ledger_head: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    reviewer: Reviewer
    cases: tuple[ReviewedCase, ...]
    written_at: AwareDatetime

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[tuple[str, str | None]] = set()
        for case in self.cases:
            if (case.study, case.map) in seen:
                raise ValueError(f"study {case.study!r:.80}, map {case.map!r:.80} is judged twice; keep one")
            seen.add((case.study, case.map))
        return self


def parse_review(content: bytes, *, name: str = "review") -> Review:
    """Read a reviewer's file; ``name`` is what a refusal calls it.

    Raises:
        ConfigError: when it is too long, no JSON, names a key twice, or breaks the format.
    """
    if len(content) > REVIEW_BYTES:
        raise ConfigError(f"{name}: a reviewer's file has at most {REVIEW_BYTES} bytes, and this one has more")
    try:
        json.loads(content.decode("utf-8"), object_pairs_hook=_keys_once)
        return Review.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ConfigError(f"{name}: is not of the format {REVIEW_FORMAT}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        words = str(error).splitlines()[0][:120] if str(error) else "nested too deeply"
        raise ConfigError(f"{name}: is no reviewer's file, which is JSON in UTF-8: {words}") from None


def _keys_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return keys


def review_bytes(review: Review) -> bytes:
    """Return the file: the same review gives the same bytes."""
    fields = review.model_dump(mode="json")
    return (json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def require_review_of(
    review: Review, run: str, heads: Collection[str], maps: Mapping[str, Collection[str]], *, name: str = "review"
) -> None:
    """Refuse a review of another run, of results that this run never had, or of cases that it does not have.

    ``heads`` are the hashes of the run's events from the one that tells of its results on: a review stays one of this
    run when events follow it, such as another's approval. ``maps`` goes from each study to the names of its maps.

    Raises:
        ConfigError: naming what does not fit.
    """
    if review.run != run:
        raise ConfigError(f"{name}: run: is a review of run {review.run!r:.80}, and this is run {run!r:.80}")
    if review.ledger_head not in heads:
        raise ConfigError(
            f"{name}: ledger_head: {review.ledger_head[:16]} is no event of run {run!r:.80} with these results; open "
            "the run anew and review it again"
        )
    for case in review.cases:
        if case.study not in maps:
            raise ConfigError(f"{name}: cases: study {case.study!r:.80} is none of run {run!r:.80}")
        if case.map is not None and case.map not in maps[case.study]:
            raise ConfigError(f"{name}: cases: study {case.study!r:.80} has no map {case.map!r:.80}")
