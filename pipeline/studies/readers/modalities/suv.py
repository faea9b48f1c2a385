"""Body-weight SUV of a PET series, by the formula of QIBA (vendor-neutral pseudo-code, happy path and its exceptions).

SUV = activity concentration x body weight / injected activity, the latter decayed to the time to which the voxels are
corrected: the start of the scan (``DecayCorrection`` START), or the injection (ADMIN). The start of the scan is Series
Time, unless that lies behind an acquisition: then what GE states of it, or the time that Frame Reference Time tells.
Whatever is needed and not stated is refused by its name; nothing is assumed.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import exp, isfinite, log
from typing import cast

from pydicom import Dataset

from pipeline.errors import Reason, StudyError
from pipeline.studies.readers.dicom.references import items
from pipeline.studies.readers.shared.base import refused

__all__ = ["pet_units", "suv_factor"]

_UNITS = frozenset((
    "CNTS", "NONE", "CM2", "CM2ML", "PCNT", "CPS", "BQML", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM", "UMOLML",
    "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "GML", "STDDEV",
))  # fmt: skip
_INJECTED = "RadiopharmaceuticalInformationSequence"
_LEAST_DOSE = 1e5  # Bq: less was written in another unit
_HEAVIEST = 1000.0  # kg
_SAME_START = 10.0  # seconds within which slices have to tell one start of the scan
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?")
_DATE_TIME = re.compile(r"(\d{8})(\d{4,6}(?:\.\d{1,6})?)([+-]\d{4})?")


def pet_units(dataset: Dataset) -> str:
    """Return the units that a PET series' stored values have, of the standard's list."""
    stated = str(dataset.get("Units") or "").strip()
    return stated if stated in _UNITS else "not stated"


def suv_factor(slices: Sequence[Dataset]) -> tuple[float, str]:
    """Return what turns rescaled values into body-weight SUV (g/mL), and from what in words.

    Raises:
        StudyError: NOT_READABLE, with the attribute, when one that is needed is absent, impossible, or differs between
            slices; UNSUPPORTED_FORMAT for units or a decay correction from which there is no way.
    """
    units = _same(slices, "Units", lambda dataset: str(dataset.get("Units") or "").strip() or None)
    if units == "GML":
        kind = str(slices[0].get("SUVType") or "BW").strip()
        if kind != "BW":
            message = "the PET series is stored as SUV, but not by body weight (SUVType)"
            raise refused(Reason.UNSUPPORTED_FORMAT, message)
        return 1.0, "as stored (GML)"
    _check_corrected(slices)
    if units == "CNTS":
        factor = _private(slices, 0x00, "SUV Scale Factor")
        if factor is not None:
            return factor, "from CNTS by Philips' SUV scale factor"
        concentration = _private(slices, 0x09, "Activity Concentration Scale Factor")
        if concentration is None:
            message = "the PET series is stored in counts (CNTS), and states none of Philips' private scale factors"
            raise _missing(message)
        return concentration * _per_activity(slices), "from CNTS by Philips' activity concentration scale factor"
    if units != "BQML":
        raise refused(Reason.UNSUPPORTED_FORMAT, "the PET series' Units are none of BQML, CNTS and GML")
    return _per_activity(slices), "from BQML"


def _missing(message: str) -> StudyError:
    return refused(Reason.NOT_READABLE, f"{message}: no SUV by body weight; archive.pet: raw reads it as it is stored")


def _same(slices: Sequence[Dataset], name: str, value_of: Callable[[Dataset], object]) -> object:
    values = {value_of(dataset) for dataset in slices}
    if values == {None}:
        raise _missing(f"the PET series states no {name}, or one that is impossible")
    if len(values) > 1:
        raise _missing(f"the PET series' slices state {len(values)} different values of {name}")
    return values.pop()


def _number(holder: Dataset, keyword: str, low: float, high: float) -> float | None:
    """Return an attribute's number above ``low`` and up to ``high``; None for any other, or none."""
    try:
        value = float(str(holder.get(keyword)))
    except ValueError:
        return None
    return value if isfinite(value) and low < value <= high else None


def _real(slices: Sequence[Dataset], keyword: str, low: float, high: float, *, injected: bool = False) -> float:
    value = _same(
        slices, keyword, lambda dataset: _number(_injection(dataset) if injected else dataset, keyword, low, high)
    )
    return float(str(value))


def _injection(dataset: Dataset) -> Dataset:
    listed = items(dataset, _INJECTED)
    if len(listed) != 1:
        raise _missing(f"the PET series states {len(listed)} items of {_INJECTED}, and one is needed")
    return listed[0]


def _check_corrected(slices: Sequence[Dataset]) -> None:
    for dataset in slices:
        value = dataset.get("CorrectedImage")
        stated = {str(part).strip() for part in ([value] if isinstance(value, str) else value or ())}
        lacking = [name for name in ("ATTN", "DECY") if name not in stated]
        if lacking:
            raise _missing(f"CorrectedImage of the PET series does not state {' and '.join(lacking)}")


def _private(slices: Sequence[Dataset], element: int, name: str) -> float | None:
    """Return one of Philips' private factors; None where no slice states it."""

    def value_of(dataset: Dataset) -> float | None:
        try:
            value = float(dataset.private_block(0x7053, "Philips PET Private Group")[element].value)
        except (KeyError, ValueError, TypeError):
            return None
        return value if isfinite(value) and value > 0 else None

    stated = {value_of(dataset) for dataset in slices}
    if stated == {None}:
        return None
    return float(str(_same(slices, name, value_of)))


def _per_activity(slices: Sequence[Dataset]) -> float:
    """Return body weight (g) by the activity (Bq) to which the voxels refer."""
    weight = _real(slices, "PatientWeight", 0, _HEAVIEST)
    dose = _real(slices, "RadionuclideTotalDose", _LEAST_DOSE, 1e13, injected=True)
    correction = _same(slices, "DecayCorrection", lambda dataset: str(dataset.get("DecayCorrection") or "") or None)
    if correction == "ADMIN":
        return 1000 * weight / dose
    if correction != "START":
        raise refused(Reason.UNSUPPORTED_FORMAT, "the PET series' DecayCorrection is neither START nor ADMIN")
    half_life = _real(slices, "RadionuclideHalfLife", 0, 1e12, injected=True)
    start = _scan_start(slices, half_life)
    elapsed = (start - _injected_at(slices, start)).total_seconds()
    if elapsed < 0:
        raise _missing("RadiopharmaceuticalStartDateTime of the PET series lies behind the start of the scan")
    return 1000 * weight / (dose * 2 ** (-elapsed / half_life))


def _scan_start(slices: Sequence[Dataset], half_life: float) -> datetime:
    series = _moments(slices, "Series")[0]
    acquired = _moments(slices, "Acquisition")
    if series <= min(acquired):
        return series
    stated = _ge_start(slices[0])
    if stated is not None:
        return stated
    starts = [
        moment - timedelta(seconds=_behind_start(dataset, half_life))
        for moment, dataset in zip(acquired, slices, strict=True)
    ]
    if (max(starts) - min(starts)).total_seconds() > _SAME_START:
        message = "SeriesTime of the PET series lies behind AcquisitionTime, and its slices tell different starts"
        raise _missing(f"{message} of the scan by FrameReferenceTime")
    return min(starts)


def _behind_start(dataset: Dataset, half_life: float) -> float:
    """Return by how many seconds a frame's acquisition began behind the time to which decay is corrected (QIBA)."""
    reference = _real([dataset], "FrameReferenceTime", -1e-9, 1e9) / 1000
    duration = _real([dataset], "ActualFrameDuration", 0, 1e9) / 1000
    rate = log(2) / half_life
    return reference - log(rate * duration / (1 - exp(-rate * duration))) / rate


def _moments(slices: Sequence[Dataset], kind: str) -> list[datetime]:
    moments = [_moment(dataset.get(f"{kind}Date"), dataset.get(f"{kind}Time")) for dataset in slices]
    known = [moment for moment in moments if moment is not None]
    if len(known) < len(moments):
        raise _missing(f"the PET series states no {kind}Date and {kind}Time, or none that are times")
    return known


def _moment(date: object, time: object) -> datetime | None:
    day, clock = _DATE.fullmatch(str(date or "").strip()), _TIME.fullmatch(str(time or "").strip())
    if day is None or clock is None:
        return None
    year, month, number = map(int, day.groups())
    hour, minute, second, part = clock.groups("0")
    try:
        return datetime(year, month, number, int(hour), int(minute), int(second), int(part.ljust(6, "0")))
    except ValueError:
        return None


def _ge_start(dataset: Dataset) -> datetime | None:
    """Return the start of the scan that GE keeps in a private element."""
    try:
        value = dataset.private_block(0x0009, "GEMS_PETD_01")[0x0D].value
    except KeyError:
        return None
    match = _DATE_TIME.fullmatch(str(value or "").strip())
    return _moment(match[1], match[2]) if match else None


def _injected_at(slices: Sequence[Dataset], start: datetime) -> datetime:
    """Return when the activity was injected; a time without a day lies before the scan, within one day."""

    def stated(dataset: Dataset) -> datetime | None:
        injection = _injection(dataset)
        match = _DATE_TIME.fullmatch(str(injection.get("RadiopharmaceuticalStartDateTime") or "").strip())
        if match:
            _check_zone(dataset, match[3])
            return _moment(match[1], match[2])
        return _moment(f"{start:%Y%m%d}", injection.get("RadiopharmaceuticalStartTime"))

    name = "RadiopharmaceuticalStartDateTime or RadiopharmaceuticalStartTime"
    moment = cast(datetime, _same(slices, name, stated))
    dated = bool(_injection(slices[0]).get("RadiopharmaceuticalStartDateTime"))
    return moment - timedelta(days=1) if moment > start and not dated else moment


def _check_zone(dataset: Dataset, zone: str | None) -> None:
    if zone is not None and zone != str(dataset.get("TimezoneOffsetFromUTC") or "").strip():
        message = "RadiopharmaceuticalStartDateTime of the PET series states a zone, and TimezoneOffsetFromUTC not"
        raise _missing(f"{message} the same")
