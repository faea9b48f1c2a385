"""What may leave the loader: keyed pseudonyms, and DICOM attributes by an allow-list of names and values."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue

from pipeline.errors import ArchiveError, ConfigError
from pipeline.packed.texts import Texts

__all__ = [
    "KEY_FILE",
    "KEY_VARIABLE",
    "Pseudonyms",
    "allowed_header",
    "allowed_value",
    "has_key",
    "load_key",
    "read_key",
]

KEY_VARIABLE = "CAMAUDIT_KEY"
KEY_FILE = "pseudonym.key"
_SHORTEST_KEY = 32  # characters
_BYTES = 10  # 16 letters of base 32, without padding


@dataclass(frozen=True)
class Pseudonyms:
    """Keyed pseudonyms: one name and key give one pseudonym, and without the key nothing is learnt.

    A pseudonym is 80 bits of HMAC-SHA256, in the letters of base 32, which nobody mistakes for each other. Two of n
    share one with odds of about n squared / 2.4e24: 1 in 2.4e12 for a million studies. ``check_distinct`` refuses it.
    """

    key: bytes = field(repr=False)

    def study(self, patient: str, study: str) -> str:
        """Return ``S-`` and 16 letters and digits; a study's name counts within its patient."""
        return f"S-{self._letters('study', patient, study)}"

    def patient(self, patient: str) -> str:
        """Return ``P-`` and 16 letters and digits."""
        return f"P-{self._letters('patient', patient)}"

    def frame(self, uid: str) -> str:
        """Return ``F-`` and 16 letters and digits for a frame of reference: grids still tell whether they share one."""
        return f"F-{self._letters('frame', uid)}"

    def _letters(self, *parts: str) -> str:
        message = json.dumps(parts).encode()  # quoted parts: ("a", "bc") is not ("ab", "c")
        return base64.b32encode(hmac.new(self.key, message, hashlib.sha256).digest()[:_BYTES]).decode("ascii")

    def check_distinct(self, names: Iterable[tuple[str, str]]) -> None:
        """Refuse an archive in which two studies, or two patients, would bear one pseudonym.

        ``names``: each study's patient and its own name.

        Raises:
            ArchiveError: with the pseudonym, and no name.
        """
        patients, studies, hashes = Texts(), Texts(), array("q")
        for patient, study in names:
            patients.append(patient)
            studies.append(study)
            for pseudonym, name in self._borne(patient, study):
                hashes.extend((hash(pseudonym), hash(name)))
        suspects = _of_two_names(np.array(hashes, dtype=np.int64).reshape(-1, 2))
        bearers: dict[str, tuple[str, ...]] = {}
        for patient, study in zip(patients, studies, strict=True) if suspects else ():
            for pseudonym, name in self._borne(patient, study):
                if hash(pseudonym) in suspects and bearers.setdefault(pseudonym, name) != name:
                    raise ArchiveError(
                        f"the pseudonym {pseudonym} stands for two different names of the archive under this key; "
                        f"use another key (set {KEY_VARIABLE}), or rename one of them"
                    )

    def _borne(self, patient: str, study: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the pseudonyms of a patient and of a study, each with the name that bears it."""
        return (self.patient(patient), (patient,)), (self.study(patient, study), (patient, study))


def _of_two_names(hashes: NDArray[np.int64]) -> frozenset[int]:
    """Return the hashes of pseudonyms (n, 2: a pseudonym's and a name's) that stand beside different names' hashes."""
    ordered = hashes[np.lexsort(hashes.T[::-1])]
    before, after = ordered[:-1], ordered[1:]
    return frozenset(after[(before[:, 0] == after[:, 0]) & (before[:, 1] != after[:, 1]), 0].tolist())


def has_key(folder: Path) -> bool:
    """Tell whether there is a key already: in the environment, or in ``folder``."""
    return KEY_VARIABLE in os.environ or (folder / KEY_FILE).exists()


def load_key(folder: Path) -> bytes:
    """Return the secret key: from the environment, or from ``folder``'s key file, made at the first use.

    Raises:
        ConfigError: when the key is short, the file is readable by others (POSIX) or cannot be read or made.
    """
    given = os.environ.get(KEY_VARIABLE)
    if given is not None:
        if len(given) < _SHORTEST_KEY:
            raise ConfigError(f"{KEY_VARIABLE}: must have {_SHORTEST_KEY} characters or more, not {len(given)}")
        return given.encode()
    path = folder / KEY_FILE
    try:
        if not path.exists():
            _create(path)
        return _read(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be used: {error.strerror}; or set {KEY_VARIABLE}") from error


def read_key(path: Path) -> bytes:
    """Return the secret key of a file that is there already.

    Raises:
        ConfigError: when it cannot be read, is short, or others may read it (POSIX).
    """
    try:
        return _read(path)
    except OSError as error:
        raise ConfigError(f"{path}: the pseudonym key cannot be read: {error.strerror}") from error


def _create(path: Path) -> None:
    """Write a new key under another name, then link it: it is whole or absent, and the first writer wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key holds
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _read(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"{path}: others may read it (mode {mode:o}); the key must be yours alone: chmod 600")
    key = path.read_bytes().strip()
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(f"{path}: must hold {_SHORTEST_KEY} characters or more, not {len(key)}")
    return key


def _one_of(text: str) -> Callable[[str], str | None]:
    allowed = frozenset(text.split())
    return lambda value: value if value in allowed else None


def _vendor(value: str) -> str | None:
    words = re.split(r"[^A-Z0-9]+", value.upper())
    return next((vendor for vendor in _VENDORS if vendor in words), None)


def _presentation(value: str) -> str | None:
    return value if value in ("FOR PRESENTATION", "FOR PROCESSING") else None


_NUMBER = re.compile(r"[+-]?\d{1,5}(\.\d{1,6})?")


def _number(value: str) -> str | None:
    """Return a short plain number as it is written: nothing else that people may have typed."""
    return value if _NUMBER.fullmatch(value) else None


def _age_band(value: str) -> str | None:
    """Return an age as a band of twenty years: nobody's own, and none of the high ones that few reach."""
    match = re.fullmatch(r"(\d{3})([DWMY])", value)
    if match is None:
        return None
    years = int(match[1]) if match[2] == "Y" else int(match[1]) / {"M": 12, "W": 52, "D": 365}[match[2]]
    return next((band for top, band in _AGE_BANDS if years < top), "80 and over") if years <= _OLDEST else None


def _measure(low: float, high: float, digits: int) -> Callable[[str], str | None]:
    """Take a number within bounds, rounded: what is none, or out of them, says nothing of a scanner."""

    def read(value: str) -> str | None:
        try:
            number = float(value)
        except ValueError:
            return None
        return f"{round(number, digits):g}" if low <= number <= high else None

    return read


def _field_strength(value: str) -> str | None:
    tesla = _measure(0.01, 20, 1)(value)
    gauss = None if tesla is not None else _measure(100, 200_000, 0)(value)
    return tesla if gauss is None else f"{round(float(gauss) / 10_000, 1):g}"


def _kernel(value: str) -> str | None:
    """Take the reconstruction kernels that vendors name; of several the first."""
    name = re.split(r"[\\\[\]', ]+", value.strip("[]' "))[0]
    return name if name.upper() in _KERNELS or re.fullmatch(r"[BHIJTUDQ][a-z]?\d{2}[a-z]?|FC\d{2}", name) else None


_AGE_BANDS = ((18, "0-17"), (40, "18-39"), (60, "40-59"), (80, "60-79"))
_OLDEST = 130
_KERNELS = frozenset(
    ("STANDARD", "STND", "LUNG", "BONE", "BONEPLUS", "SOFT", "DETAIL", "EDGE", "CHST", *"ABCDL", "YA", "YB", "YC", "YD")
)

_VENDORS = (
    "AGFA", "CANON", "CARESTREAM", "ELSCINT", "FUJI", "FUJIFILM", "GE", "HITACHI", "HOLOGIC", "HYPERFINE",
    "KODAK", "KONICA", "LORAD", "MINDRAY", "NEUSOFT", "PHILIPS", "PICKER", "SAMSUNG", "SHIMADZU", "SIEMENS",
    "TOSHIBA", "VAREX", "VARIAN",
)  # fmt: skip

_ALLOWED: Mapping[str, Callable[[str], str | None]] = {
    "Modality": _one_of(
        "BI BMD CR CT DG DX ES GM IO IVOCT IVUS LS MG MR NM OCT OP OPT OT PT PX RF RG RTIMAGE SM TG US XA XC"
    ),
    "Manufacturer": _vendor,
    "BodyPartExamined": _one_of(
        "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS "
        "BUTTOCK CALCANEUS CALF  CAROTID CEREBELLUM CHEST CHESTABDOMEN CHESTABDPELVIS "
        "CHESTABDOMENPELVIS CLAVICLE COCCYX COLON CSPINE CTSPINE  ELBOW ESOPHAGUS EXTREMITY EYE "
        "FACE FEMUR FINGER FOOT GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS ILIUM  JAW KIDNEY "
        "KNEE LARYNX LEG LIVER LSPINE LSSPINE LUNG MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NOSE "
        "ORBIT  PANCREAS PAROTID PATELLA PELVIS PHARYNX PROSTATE RECTUM RIB SCALP SCAPULA SHOULDER "
        "SKULL SPINE SPLEEN  SSPINE STERNUM STOMACH TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA "
        "TLSPINE TMJ TOE TONGUE TRACHEA TSPINE  UTERUS VAGINA WHOLEBODY WRIST ZYGOMA"
    ),
    "ViewPosition": _one_of("AP PA LL RL LLD RLD LLO RLO LAT CC MLO ML LM XCC XCCL XCCM FB SIO LMO CV"),
    "Laterality": _one_of("L R B U"),
    "ImageLaterality": _one_of("L R B U"),
    "PatientSex": _one_of("F M O"),
    "PatientPosition": _one_of("HFS HFP HFDL HFDR FFS FFP FFDL FFDR"),
    "PhotometricInterpretation": _one_of("MONOCHROME1 MONOCHROME2"),
    "PresentationIntentType": _presentation,
    "BurnedInAnnotation": _one_of("YES NO"),
    "LossyImageCompression": _one_of("00 01"),
    "WindowCenter": _number,
    "WindowWidth": _number,
    "PatientAge": _age_band,
    "SliceThickness": _measure(0.01, 100, 2),
    "MagneticFieldStrength": _field_strength,
    "ConvolutionKernel": _kernel,
    "RescaleType": _one_of("HU US OD MGML Z_EFF ED EDW PCT"),
}


def allowed_header(dataset: Dataset) -> dict[str, str]:
    """Return the DICOM attributes that may leave, by keyword: coded values, bands, measures, the display window.

    A value that stands on no list is dropped: people write names into coded fields. Manufacturer becomes the
    vendor's bare name. Of several windows the first is the one that the sender means to be seen first.
    """
    facts = {keyword: allowed_value(keyword, _first(dataset.get(keyword))) for keyword in _ALLOWED}
    return {keyword: value for keyword, value in facts.items() if value is not None}


def _first(value: object) -> object:
    return value[0] if isinstance(value, MultiValue) and value else value


def allowed_value(keyword: str, value: object) -> str | None:
    """Return what may leave of an attribute's value, None where its list does not hold it."""
    return _ALLOWED[keyword](str(value or "").strip())
