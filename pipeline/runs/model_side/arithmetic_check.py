"""What half precision, another layout or fast kernels cost: some studies are explained again in plain float32."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.evidence.sanity.similarity import spearman
from pipeline.findings.arithmetic import ArithmeticCheck, MapLikeness
from pipeline.findings.shards import Maps, load_maps
from pipeline.findings.study_audit import StudyAudit
from pipeline.models.arithmetic import arithmetic_in_words, laid_out
from pipeline.walk.auditor import Auditor
from pipeline.walk.sources import StudySource
from pipeline.walk.study_walk import audit_studies

__all__ = ["likeness_to_float32"]

Pair = tuple[StudyAudit, StudyAudit]
"""A study's record as the run has it, and in plain float32."""


def likeness_to_float32(
    folder: Path, audits: Iterable[StudyAudit], auditor: Auditor, sources: Mapping[str, StudySource]
) -> ArithmeticCheck | None:
    """Hold studies of a run against what plain float32 makes of them; None where the run computed in that.

    A study is read and explained again alone, as no earlier run had it. The network is left as it came.
    """
    run = auditor.config.run
    if not run.other_arithmetic or auditor.model is None:
        return None
    chosen = list(audits)
    plain = auditor.config.model_copy(update={"run": run.in_plain_arithmetic()})
    laid_out(auditor.network, "contiguous")
    try:
        again, maps = audit_studies(
            replace(auditor, config=plain, prepared_cache=None),
            [replace(sources[audit.study], sha256=audit.source_sha256, carried=None) for audit in chosen],
        )
    finally:
        laid_out(auditor.network, run.memory_format)
    pairs = [pair for pair in zip(chosen, again, strict=True) if pair[1].status == "analysed"]
    gaps = [gap for pair in pairs if (gap := _gap(pair)) is not None]
    return ArithmeticCheck(
        arithmetic=arithmetic_in_words(run, auditor.device),
        studies=len(pairs),
        failed=len(chosen) - len(pairs),
        answers_changed=sum(set(before.predicted) != set(after.predicted) for before, after in pairs),
        probability_gap=max(gaps, default=None),
        maps=_likeness(folder, [before for before, _ in pairs], maps),
    )


def _gap(pair: Pair) -> float | None:
    before, after = pair
    return max(
        (abs(before.probabilities[label] - after.probabilities[label]) for label in after.probabilities), default=None
    )


def _likeness(folder: Path, audits: Sequence[StudyAudit], again: Maps) -> tuple[MapLikeness, ...]:
    """Compare the maps that both arithmetics have, those of each method at each layer together."""
    correlations: dict[tuple[str, str], list[float | None]] = {}
    for audit in audits:
        entries = [entry for entry in audit.map_scores if entry.map is not None]
        try:
            kept = load_maps(folder, entries)
        except OutputError:
            continue  # an earlier run whose maps it refers to is gone: verify names it
        for key, values in kept.items():
            if not key.endswith("/affine") and key in again and again[key].shape == values.shape:
                method, layer = key.rsplit("/", 2)[1:]
                correlations.setdefault((method, layer), []).append(_correlation(values, again[key]))
    return tuple(_summary(place, values) for place, values in correlations.items())


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    return None if np.ptp(first) == 0 or np.ptp(second) == 0 else spearman(first, second)


def _summary(place: tuple[str, str], correlations: Sequence[float | None]) -> MapLikeness:
    known = [value for value in correlations if value is not None]
    return MapLikeness(
        method=place[0],
        layer=place[1],
        maps=len(known),
        without_order=len(correlations) - len(known),
        lowest=min(known, default=None),
        median=median(known) if known else None,
    )
