"""The kinds of audit that a draft can be for: what each asks, and what a person has to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["PROFILES", "Profile"]


@dataclass(frozen=True)
class Profile:
    """One kind of audit.

    ``criteria`` of the classifier need labels, those of maps need masks. ``needs_reference``: without either the audit
    would have nothing to say. ``targets`` are whose logit is explained. ``comments`` stand at the head of the file,
    ``next_steps`` at its end; ``{file}`` is the file's name.
    """

    name: str
    title: str
    needs_reference: bool
    targets: str
    criteria: tuple[Mapping[str, Any], ...]
    comments: tuple[str, ...]
    next_steps: tuple[str, ...]
    margins: Mapping[str, float]
    keep: int | None = None


_ACCURACY = {"metric": "accuracy", "among": "all", "at_least": 0.8}
_HITS = {"metric": "hit_rate", "method": "gradcam", "at_least": 0.6}
_BEYOND_CHANCE = {"metric": "energy_in_mask", "method": "gradcam", "better_than": "centre_prior"}
_LOCK, _RUN = "camaudit lock {file}", "camaudit run {file}"
_NIGHTLY = "camaudit schedule {file} --cron '0 2 * * *' --timezone Europe/Berlin"

_ALL = (
    Profile(
        "acceptance",
        "acceptance test of a classifier on local studies, before it is used",
        needs_reference=True,
        targets="reference",
        criteria=(_ACCURACY, _HITS, _BEYOND_CHANCE),
        comments=("The criteria are locked before the first look: what is changed later stands in the report.",),
        next_steps=("camaudit plan {file}", "camaudit check {file}", _LOCK, _RUN),
        margins={},
    ),
    Profile(
        "retrospective",
        "audit of a standing archive: what a classifier in use has looked at",
        needs_reference=True,
        targets="reference",
        criteria=(_HITS, _BEYOND_CHANCE),
        comments=("The archive was not collected for this test: report.statements ask how studies came into it.",),
        next_steps=("camaudit check {file}", _LOCK, _RUN),
        margins={},
    ),
    Profile(
        "shadow",
        "silent deployment: the classifier runs beside the clinic, and nothing tells yet who was right",
        needs_reference=False,
        targets="predicted",
        criteria=(),
        comments=(
            "No reference: the run tells answers, probabilities and where maps peak. Nothing of it is a verdict.",
            "When labels or masks arrive, add them to the manifest: only what they change is computed again.",
        ),
        next_steps=(_RUN, _NIGHTLY, "camaudit history {audit}"),
        margins={},
        keep=30,
    ),
    Profile(
        "monitoring",
        "a classifier in use, looked at every night, with criteria that hold over a growing cohort",
        needs_reference=True,
        targets="reference",
        criteria=(_ACCURACY, _HITS),
        comments=("The cohort may grow (--open-cohort): verdicts then hold at every look, however often one looks.",),
        next_steps=(_LOCK + " --open-cohort", _NIGHTLY, "camaudit history {audit}", "camaudit prune {audit} --dry-run"),
        margins={},
        keep=30,
    ),
    Profile(
        "change",
        "a new version of a classifier, held against the one in use on the same studies",
        needs_reference=True,
        targets="reference",
        criteria=(_ACCURACY, _HITS),
        comments=(
            "Name the run of the version in use as report.predecessor; change.margins say what counts as worse.",
        ),
        next_steps=(_LOCK, _RUN, "camaudit compare RUN_OF_THE_OLD {audit}"),
        margins={"accuracy": 0.05, "hit_rate": 0.05},
    ),
)

PROFILES: Final[Mapping[str, Profile]] = {profile.name: profile for profile in _ALL}
