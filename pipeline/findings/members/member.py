"""A study of a run's cohort."""

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["Member"]


class Member(FrozenModel):
    """A study of the cohort: pseudonyms, the hash of its files, and the shard that audits it (None: carried over).

    ``first_seen`` is the first run under the same lock that had the study, this one or an earlier one. ``tuning``: its
    patient's masks tune thresholds, and what these have a part in is not judged on him.
    """

    study: str
    patient: str
    source_sha256: str
    shard: int | None
    first_seen: str = ""
    tuning: bool = False
