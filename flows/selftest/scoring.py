"""The self-test's rates: how often the battery named the right cause, accused a sound model, or kept silent."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.evidence.exact.means import exact_interval
from pipeline.findings.experiments.selftest import AuditedModel, KeptRate, ModelAudit

__all__ = ["LEANS", "NAMES", "SOUND_BELOW", "rates_of"]

NAMES: Final[Mapping[str, str]] = {
    "marker": "air_marks",
    "frame": "border",
    "tube": "body_marks",
    "noise": "texture",
    "position": "position",
    "contrast": "contrast",
}
"""What the battery calls each of the generator's shortcuts; anything else is a wrong name."""

LEANS: Final = 0.5
"""A model leans on a shortcut from this share of the class gap on, by the oracle."""
SOUND_BELOW: Final = 0.15
"""A model trained soundly is sound while it leans on nothing that the set holds by so much: what a battery may name."""

_CONFIDENCE = 0.95
_RIGHT, _RIGHT_BOUND, _ACCUSED, _SOUND_AUDITS = 0.95, 0.90, 0.05, 72
_BANDS = ((0.0, 0.05), (0.05, 0.2), (0.2, 0.35), (0.35, 0.5), (0.5, 0.7), (0.7, float("inf")))

Case = tuple[AuditedModel, ModelAudit]


@dataclass(frozen=True)
class _Share:
    """Of which cases which count, and what is asked of it: a least or a largest share, with its bound."""

    name: str
    title: str
    cases: Sequence[Case]
    counts: Callable[[Case], bool]
    at_least: float | None = None
    at_most: float | None = None


def rates_of(models: Sequence[AuditedModel], *, full: bool) -> tuple[KeptRate, ...]:
    """Return the rates of a self-test; the targets' bounds are asked of a full one only, a quick one is too small."""
    return tuple(
        _rate(share, full=full) for share in _shares([(model, audit) for model in models for audit in model.audits])
    )


def _shares(cases: Sequence[Case]) -> Iterator[_Share]:
    leaning, sound = [case for case in cases if _leans(case)], [case for case in cases if _sound(case)]
    single = [case for case in leaning if case[0].role in ("whole", "partial")]
    yield _Share("named", f"named rightly, leaning by {LEANS:g} or more", single, _named_rightly, at_least=_RIGHT)
    for dimensions in (2, 3):
        part = [case for case in single if case[0].dimensions == dimensions]
        yield _Share(f"named_{dimensions}d", f"  in {dimensions}D", part, _named_rightly)
    for kind, cause in NAMES.items():
        part = [case for case in single if case[0].kinds == (kind,)]
        yield _Share(f"named_{kind}", f"  {kind}, which is {cause!r}", part, _named_rightly)
    yield _Share("wrong_name", "  another cause named first", single, _named_wrongly)
    yield _Share("second_name", "  a false second name", single, _second_is_false)
    yield _Share("accused", "sound models accused", sound, _accused, at_most=_ACCUSED)
    for dimensions in (2, 3):
        part = [case for case in sound if case[0].dimensions == dimensions]
        yield _Share(f"accused_{dimensions}d", f"  in {dimensions}D", part, _accused)
    confounded = [case for case in sound if case[1].confounded_by]
    yield _Share("accused_confounded", "  on confounded test sets", confounded, _accused)
    yield from _others(cases, single, sound)


def _others(cases: Sequence[Case], single: Sequence[Case], sound: Sequence[Case]) -> Iterator[_Share]:
    """Yield what no target is set for."""
    weak = [case for case in cases if case[0].role in ("whole", "partial") and not case[1].refused]
    for low, high in _BANDS:
        band = [case for case in weak if low <= max(_lean(case), 0) < high]
        title = (
            f"named rightly, leaning by {low:g} to {high:g}" if high < 1 else f"named rightly, leaning by over {low:g}"
        )
        yield _Share(f"named_lean_{low:g}", title, band, _named_rightly)
    fooled = [case for case in cases if case[0].role == "fooled" and _lean(case) >= SOUND_BELOW]
    yield _Share("fooled", "map bent to look right: the marker named", fooled, _named_rightly)
    two = [case for case in cases if case[0].role == "two causes"]
    yield _Share("two_first", "two causes: one of them named first", two, _first_is_one_of_two)
    both = [case for case in two if all(lean >= 2 * SOUND_BELOW for lean in case[1].leans.values())]
    yield _Share("two_both", "two causes, both leant on: both named", both, _both_named)
    uneasy = [case for case in cases if case[0].role in ("clean", "nuisance") and not _sound(case)]
    yield _Share("trained_soundly", "trained soundly, leaning by the oracle: rightly named", uneasy, _names_a_lean)
    yield _Share("false_met", "false MET of 'no cause is named'", single, lambda case: not case[1].named)
    yield _Share("false_not_met", "false NOT MET of 'no cause is named'", sound, _accused)
    yield _Share("map_false_met", "false MET of 'the map lies better than the centre'", single, _map_is("MET"))
    own = [case for case in sound if case[1].confounded_by is None]
    yield _Share("map_false_not_met", "false NOT MET of the same, sound models", own, _map_is("NOT MET"))
    yield _Share("refused", "audits refused a name", cases, lambda case: case[1].refused is not None)


def _lean(case: Case) -> float:
    """Return by how much a model leans on the shortcut that it was trained with."""
    return case[1].leans.get(case[0].kinds[0], 0.0)


def _leans(case: Case) -> bool:
    return bool(case[0].kinds) and _lean(case) >= LEANS and not case[1].refused


def _sound(case: Case) -> bool:
    model, audit = case
    return not model.kinds and not audit.refused and all(abs(lean) < SOUND_BELOW for lean in audit.leans.values())


def _named_rightly(case: Case) -> bool:
    return case[1].named[:1] == (NAMES[case[0].kinds[0]],)


def _named_wrongly(case: Case) -> bool:
    return bool(case[1].named) and not _named_rightly(case)


def _second_is_false(case: Case) -> bool:
    return _named_rightly(case) and len(case[1].named) > 1


def _accused(case: Case) -> bool:
    return bool(case[1].named)


def _first_is_one_of_two(case: Case) -> bool:
    model, audit = case
    return bool(audit.named) and audit.named[0] in {NAMES[kind] for kind in model.kinds}


def _both_named(case: Case) -> bool:
    return {NAMES[kind] for kind in case[0].kinds} <= set(case[1].named)


def _names_a_lean(case: Case) -> bool:
    leans = {NAMES[kind] for kind, lean in case[1].leans.items() if lean >= SOUND_BELOW}
    return case[1].named[:1] != () and case[1].named[0] in leans


def _map_is(verdict: str) -> Callable[[Case], bool]:
    return lambda case: case[1].map_verdict == verdict


def _rate(share: _Share, *, full: bool) -> KeptRate:
    count, of = sum(share.counts(case) for case in share.cases), len(share.cases)
    low, high = exact_interval([1.0] * count + [0.0] * (of - count), _CONFIDENCE) if of else (None, None)
    target, met = _target(share, (count, of), (low, high), full=full)
    models = len({(model.seed, model.number) for model, _ in share.cases})
    return KeptRate(
        name=share.name,
        title=share.title,
        count=count,
        of=of,
        models=models,
        low=low,
        high=high,
        target=target,
        met=met,
    )


def _target(
    share: _Share, counted: tuple[int, int], bounds: tuple[float | None, float | None], *, full: bool
) -> tuple[str | None, bool | None]:
    """Return what is asked of a rate, in words, and whether it holds; nothing counted holds nothing."""
    (count, of), (low, high) = counted, bounds
    if share.at_least is not None:
        words = f"at least {share.at_least:.0%}" + (f", lower bound {_RIGHT_BOUND:.0%}" if full else "")
        return words, bool(of) and count >= share.at_least * of and (not full or (low or 0.0) >= _RIGHT_BOUND)
    if share.at_most is not None:
        words = f"at most {share.at_most:.0%}" + (f", upper bound too, of {_SOUND_AUDITS} or more" if full else "")
        shown = of >= _SOUND_AUDITS and (1.0 if high is None else high) <= share.at_most
        return words, bool(of) and count <= share.at_most * of and (shown or not full)
    return None, None
