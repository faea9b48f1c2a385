"""The rows of the family ``faithfulness`` to its findings, without torch: a verification computes them again."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pipeline.config_experiments import FaithfulnessConfig
from pipeline.evidence.faithfulness.rule import ALPHA, FEWEST_FOR_A_TEST, PictureAreas, faithfulness_test
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.faithfulness import (
    BLOCK_FILLS,
    AskedFigure,
    BlockFill,
    FaithfulnessFigure,
    FaithfulnessFindings,
    FaithfulnessRow,
    FaithfulnessRows,
    FinerFigure,
    OpponentRow,
)
from pipeline.vocabulary import AskedScore

__all__ = ["faithfulness_findings", "share_of_best"]


def faithfulness_findings(
    rows: FaithfulnessRows, settings: FaithfulnessConfig, chosen: Sequence[str]
) -> FaithfulnessFindings:
    """Return what follows from the rows of the ``chosen`` studies.

    Raises:
        ValueError: for rows that no run of these settings writes.
    """
    _refuse_foreign(rows, settings, chosen)
    figures = [
        _figure(rows, method, fill)
        for method in rows.methods
        if method not in rows.not_done
        for fill in BLOCK_FILLS
        if fill == "blur" or settings.second_look
    ]
    by_method = {figure.method: figure for figure in figures if figure.fill == "blur"}
    return FaithfulnessFindings(
        checks=tuple(_check(method, by_method.get(method), rows) for method in rows.methods),
        figures=tuple(figures),
        asked_figures=tuple(
            _asked(rows, method, score) for method in rows.methods if method in by_method for score in settings.also
        ),
        finer_figures=tuple(
            _finer(rows, method) for method in rows.methods if method in by_method and settings.finer_look
        ),
        asked=len(chosen),
        failures=rows.failures,
        not_done=rows.not_done,
        calls=rows.calls,
        forwards=rows.forwards,
    )


def share_of_best(area: float, best: float) -> float | None:
    """Return an area divided by half the distance between the best order's and the worst's: 1 is the best order's own.

    Makes areas comparable between models, whose logits have scales of their own. None where the best order found is no
    better than its reverse.
    """
    return area / best if best > 0 else None


def _figure(rows: FaithfulnessRows, method: str, fill: BlockFill) -> FaithfulnessFigure:
    opponents = {row.study: row for row in rows.opponents if row.fill == fill}
    own = [row for row in rows.rows if (row.method, row.fill) == (method, fill)]
    pictures = [
        PictureAreas(row.patient, row.area, opponents[row.study].random, opponents[row.study].centre) for row in own
    ]
    held = faithfulness_test(pictures)
    ordered = [row for row in own if row.insertion]
    return FaithfulnessFigure(
        method=method,
        fill=fill,
        answer=held.answer,
        sentence=held.sentence,
        tests=held.tests,
        pictures=len(own),
        patients=held.tests["random"].patients,
        without_order=held.without_order,
        area=_mean([(row.patient, row.area) for row in own]),
        share_of_best=_mean([(row.patient, _share(row, opponents[row.study])) for row in own]),
        insertion=_mean_curve([row.insertion for row in ordered]),
        deletion=_mean_curve([row.deletion for row in ordered]),
    )


def _finer(rows: FaithfulnessRows, method: str) -> FinerFigure:
    own = [row for row in rows.finer if row.method == method]
    held = faithfulness_test([PictureAreas(row.patient, row.area, row.random, row.centre) for row in own])
    return FinerFigure(
        method=method,
        answer=held.answer,
        tests=held.tests,
        pictures=len(own),
        patients=held.tests["random"].patients,
        without=len({row.study for row in rows.opponents}) - len(own),
        area=_mean([(row.patient, row.area) for row in own]),
    )


def _share(row: FaithfulnessRow, opponents: OpponentRow) -> float | None:
    if row.area is None or opponents.best is None:
        return None
    return share_of_best(row.area, opponents.best)


def _mean(values: Sequence[tuple[str, float | None]]) -> float | None:
    """Return the mean over patients of what is known."""
    by_patient: dict[str, list[float]] = defaultdict(list)
    for patient, value in values:
        if value is not None:
            by_patient[patient].append(value)
    return float(np.mean([np.mean(own) for own in by_patient.values()])) if by_patient else None


def _mean_curve(curves: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the mean curve; none where pictures have other numbers of steps, as of other numbers of blocks."""
    if len({len(curve) for curve in curves}) != 1:
        return ()
    return tuple(np.mean(curves, axis=0).tolist())


def _asked(rows: FaithfulnessRows, method: str, score: AskedScore) -> AskedFigure:
    own = [row for row in rows.asked if (row.method, row.score) == (method, score)]
    known = [(row.patient, row.value) for row in own]
    return AskedFigure(
        method=method,
        score=score,
        value=_mean(known),
        patients=len({patient for patient, value in known if value is not None}),
        undefined=sum(value is None for _, value in known),
    )


def _check(method: str, figure: FaithfulnessFigure | None, rows: FaithfulnessRows) -> CheckFinding:
    """Answer for a map: MET only where it beats both, NOT MET where one of them beats it."""
    if figure is None:
        reason = f"not done: {rows.not_done[method]}"
        return CheckFinding(check="faithfulness", method=method, answer="INCONCLUSIVE", reason=reason)
    enough = figure.patients >= FEWEST_FOR_A_TEST
    lost = enough and any(test.p_lost < ALPHA for test in figure.tests.values())
    return CheckFinding(
        check="faithfulness",
        method=method,
        answer="MET" if figure.answer == "beats both" else "NOT MET" if lost else "INCONCLUSIVE",
        reason=figure.sentence,
        value=max(test.p for test in figure.tests.values()) if enough else None,
        bound=ALPHA,
        side="at_most",
        patients=figure.patients,
        studies=figure.pictures,
    )


def _refuse_foreign(rows: FaithfulnessRows, settings: FaithfulnessConfig, chosen: Sequence[str]) -> None:
    """Refuse rows that are not those of the chosen studies, each once for every map and fill."""
    if len(chosen) > settings.studies:
        raise ValueError("more studies were chosen than the configuration says")
    if set(rows.failures) - set(chosen) or set(rows.not_done) - set(rows.methods):
        raise ValueError("the rows are of studies or maps that were not chosen")
    shown = [study for study in chosen if study not in rows.failures]
    fills = tuple(fill for fill in BLOCK_FILLS if fill == "blur" or settings.second_look)
    done = [method for method in rows.methods if method not in rows.not_done]
    expected = [(study, fill) for study in shown for fill in fills]
    if [(row.study, row.fill) for row in rows.opponents] != expected:
        raise ValueError("the opponents are not those of the studies that were chosen")
    maps = [(study, fill, method) for study, fill in expected for method in done]
    if [(row.study, row.fill, row.method) for row in rows.rows] != maps:
        raise ValueError("the orders are not those of the studies that were chosen")
    asked = [(study, method, score) for study in shown for method in done for score in settings.also]
    if sorted((row.study, row.method, row.score) for row in rows.asked) != sorted(asked):
        raise ValueError("what else was asked for is not of the studies that were chosen")
    finer = [(row.study, row.method) for row in rows.finer]
    looked_into = {(study, method) for study in shown for method in done} if settings.finer_look else set()
    if len(set(finer)) < len(finer) or not set(finer) <= looked_into:
        raise ValueError("halved blocks are not those of the studies that were chosen")
    patients = {row.study: (row.patient, row.label) for row in rows.opponents}
    own = [(row.study, row.patient, row.label) for row in rows.rows]
    own += [(row.study, row.patient, row.label) for row in rows.asked]
    own += [(row.study, row.patient, row.label) for row in rows.finer]
    if any(patients[study] != (patient, label) for study, patient, label in own):
        raise ValueError("a study has rows of two patients or labels")
