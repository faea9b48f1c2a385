"""What a path tells of a mask: that it is one, how its image may be called and where it lies, and who drew it.

A name says it by a word before or behind the study's (``x_mask``, ``seg_x``, ``label0001``), a folder by its own
(``masks``, ``labelsTr``, ``Ground truth``). What lies in such a folder bears its image's name, with or without such
a word, and may lie in further folders as its image does. Nothing here looks at a file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "FARTHEST",
    "UNNAMED_READER",
    "ImageKey",
    "MaskPath",
    "image_keys",
    "is_container",
    "is_in_mask_folder",
    "is_next_part",
    "kept_apart",
    "mask_name",
    "mask_path",
    "names_image",
    "numbered",
    "tier_of",
    "words_of",
]

UNNAMED_READER = "expert"
"""The reader of a mask whose path states none."""

FARTHEST = 3
"""The tier of an image in another folder than those where the images of such a mask lie."""

_LONGEST_COUNT = 4  # digits
_MASK_WORD = (
    r"(?:[a-z]*(?:masks?|seg|segs|segmentations?|labels?|rois?|dseg)|gts?|ground[ _-]?truth|annot|annotations?|lbl)"
)
_LIKE_A_MASK = re.compile(
    rf"(?:(?P<study>.+?)[_.\- ]+)??{_MASK_WORD}"
    r"(?:(?P<number>\d{1,2})|[_.-](?P<reader>.+)| ?\((?P<copy>\d{1,2})\))?",
    re.IGNORECASE,
)
_PREFIXED = re.compile(rf"(?:{_MASK_WORD}|manual|truth)(?:[_.\- ]+|(?=\d))(?P<study>.*\w.*)", re.IGNORECASE)
_SUFFIXED = re.compile(
    rf"(?P<study>.*\w.*?)[_.\- ]+(?:{_MASK_WORD}|manual|truth)[_.\- ]*(?P<number>\d{{1,3}})?", re.IGNORECASE
)
_NUMBERED = re.compile(r"(?P<study>.*\w.*?)[_.\- ]+\(?(?P<number>\d{1,3})\)?")
_IMAGE_WORD = r"(?:images?|imgs?|volumes?|vols?|scans?|orig|originals?|raw|input|training|train|test)"
_IMAGE_PREFIXED = re.compile(rf"{_IMAGE_WORD}(?:[_.\- ]+|(?=\d))(?P<study>.*\w.*)", re.IGNORECASE)
_IMAGE_SUFFIXED = re.compile(rf"(?P<study>.*\w.*?)[_.\- ]+(?:{_IMAGE_WORD}|0000)", re.IGNORECASE)

_SPLITS = {"tr": "train", "train": "train", "training": "train", "ts": "test", "test": "test", "testing": "test",
           "va": "validation", "val": "validation", "valid": "validation", "validation": "validation"}  # fmt: skip
_SPLIT = rf"(?:{'|'.join(sorted(_SPLITS, key=len, reverse=True))})"
_FORMAT = r"(?:dicoms?|dcm|pngs?|niftis?|nii|nrrds?)"
_MASK_FOLDER = re.compile(
    rf"(?:{_SPLIT})?(?:[a-z]*(?:masks?|segmentations?|segmentationclass|groundtruths?)|segs?|labels?|lbls?|annotations?|annots?|gts?|rois?|"
    rf"truths?|contours?|delineations?|(?:st|nd|rd|th)?manuals?)(?:{_FORMAT})?(?:{_SPLIT})?"
)
_IMAGE_FOLDER = re.compile(
    rf"(?:{_SPLIT})?(?:images?|imgs?|jpegimages|pictures?|photos?|scans?|volumes?|vols?|inputs?|raw|orig|originals?|data|"
    rf"dicoms?|niftis?|cts?|mrs?|mris?|cxrs?|us|xrays?|src)(?:{_FORMAT})?(?:{_SPLIT})?"
)
_HOLDS_BOTH = re.compile(r"(?:^|[^a-z])(?:with|and|dataset)(?:[^a-z]|$)|images|imgs|and[^a-z]?mask", re.IGNORECASE)
_FOLD = re.compile(r"(?:fold|split|part|batch)[\W_]*\d{0,2}")
_OF_READER = re.compile(r"(?:r|reader|rater|expert|annotator|radiologist|observer|grader|doctor)[ _-]?\d+|manual|auto")
_WORDS = "\0"  # begins a key of words, which no name does


@dataclass(frozen=True)
class ImageKey:
    """A name that an image may be called by in lower case, and how far it is from its own: 0 is its own."""

    name: str
    rank: int


@dataclass(frozen=True)
class MaskPath:
    """What a mask's path tells.

    ``keys``: how its image may be called, each with the folders between ``base`` and the image that lie between the
    mask's folder and the mask too, and whether the mask is a numbered part; the most literal come first. ``base`` is
    the folder below which the image lies. ``split``: of which part of a set the mask's folder is (train, test).
    """

    study: str
    reader: str
    keys: tuple[tuple[str, str, bool], ...]
    base: str
    inner: str
    split: str
    by: Literal["name", "folder"]


def mask_name(stem: str) -> tuple[str, str] | None:
    """Return the study and the reader that a mask's name (without ending) tells of, or None for an image's name.

    Wider than what ``discover`` takes, for archives that nobody laid out for us: ``t2_seg-manual``, ``a_gmseg_jd``,
    ``b_label``, ``mask_c``, ``label0001``. Nothing is taken for an image that may be a mask.
    """
    match = _LIKE_A_MASK.fullmatch(stem)
    if match:
        return match["study"] or "", match["reader"] or match["number"] or match["copy"] or UNNAMED_READER
    match = _PREFIXED.fullmatch(stem)
    return (match["study"], UNNAMED_READER) if match else None


def mask_path(folder: str, stem: str, *, by_name_only: bool = False) -> MaskPath | None:
    """Return what the path of a file tells, None when it is no mask's.

    ``folder`` is relative to the archive, with slashes. ``by_name_only``: the folder holds masks and images.
    """
    parts, named = folder.split("/") if folder else [], mask_name(stem)
    place = next((index for index, part in enumerate(parts) if _is_mask_folder(part)), None)
    if place is None or by_name_only:
        if named is None:
            return None
        study, reader = named
        reader = _reader_of(parts) or reader if reader == UNNAMED_READER else reader
        keys = tuple((key, "", False) for key in _keys(study or (named[1] if named[1] != UNNAMED_READER else "")))
        return MaskPath(study, reader, keys, folder, "", "", "name")
    below = [
        part for part in parts[place + 1 :] if not _is_mask_folder(part) and not _OF_READER.fullmatch(part.lower())
    ]
    reader = (named[1] if named else None) or UNNAMED_READER
    reader = _reader_of(parts[place:]) or reader if reader == UNNAMED_READER else reader
    keys = tuple(dict.fromkeys(_keys_in_folder(stem, named, below)))
    study = _own_study(stem, named)
    return MaskPath(study, reader, keys, "/".join(parts[:place]), "/".join(below), _split(parts[place]), "folder")


def _own_study(stem: str, named: tuple[str, str] | None) -> str:
    return stem if named is None else named[0]


def _keys(study: str) -> Iterator[str]:
    if study:
        yield study.lower()
    words = words_of(study)
    if words:
        yield _WORDS + " ".join(words)


def _keys_in_folder(stem: str, named: tuple[str, str] | None, below: list[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield what the image of a mask in a mask folder may be called, the most literal first."""
    inner = "/".join(below)
    yield stem.lower(), inner, False
    if named and (named[0] or named[1] != UNNAMED_READER):
        yield (named[0] or named[1]).lower(), inner, bool(named[0]) and is_next_part(named[1])
    for pattern in (_SUFFIXED, _PREFIXED):
        match = pattern.fullmatch(stem)
        if match:
            yield match["study"].lower(), inner, False
    counts = stem.isdecimal() or (named is not None and not named[0]) or _SUFFIXED.fullmatch(f"x_{stem}") is not None
    if below and (counts or not words_of(stem)):
        yield below[-1].lower(), "/".join(below[:-1]), counts
    match = _NUMBERED.fullmatch(stem)
    if match:
        yield match["study"].lower(), inner, True
    words = words_of(named[0] if named else stem)
    if words:
        yield _WORDS + " ".join(words), inner, False


def image_keys(stem: str) -> Iterator[ImageKey]:
    """Yield the names that an image may be called by."""
    yield ImageKey(stem.lower(), 0)
    for pattern in (_IMAGE_SUFFIXED, _IMAGE_PREFIXED):
        match = pattern.fullmatch(stem)
        if match:
            yield ImageKey(match["study"].lower(), 1)
    words = words_of(stem)
    if words:
        yield ImageKey(_WORDS + " ".join(words), 2)


def tier_of(mask: MaskPath, inner: str, folder: str) -> int | None:
    """Return how far an image's folder is from where a mask's image is looked for, 0 being nearest; None: elsewhere.

    Of a mask that its name tells, the image lies beside it, or in a folder of images beside its folder. Of one that
    its folder tells, it lies in a folder of images beside that one, above it, in any folder beside it, or below.
    """
    if mask.by == "name":
        if folder == mask.base:
            return 0
        above, _, _ = mask.base.rpartition("/")
        name = folder[len(above) :].strip("/") if _is_below(folder, above) else ""
        return 1 if mask.base and "/" not in name and _is_image_folder(name) else None
    if not _is_below(folder, mask.base):
        return None
    relative = folder[len(mask.base) :].strip("/")
    beside, _, rest = relative.partition("/")
    if any(map(_is_mask_folder, relative.split("/"))):
        return None
    if rest == inner and _is_image_folder(beside):
        splits = {_split(beside), mask.split} - {""}
        return 0 if len(splits) < 2 else None
    if relative == inner:
        return 1
    return 2 if rest == inner else FARTHEST


def kept_apart(stems: list[str], folder: str) -> bool:
    """Tell whether a mask folder's files are masks all, not images with masks beside them that their names tell."""
    names = {stem.lower() for stem in stems if mask_name(stem) is None}
    named = [mask_name(stem) for stem in stems]
    return bool(folder) and not any(name is not None and name[0].lower() in names for name in named)


def is_container(folder: str) -> bool:
    """Tell whether a folder's name tells what kind of files lie in it, or of which part of a set, and no class."""
    plain = _plain(folder)
    return (
        _is_mask_folder(folder) or _is_image_folder(folder) or plain in _SPLITS or bool(_FOLD.fullmatch(folder.lower()))
    )


def is_in_mask_folder(folder: str) -> bool:
    """Tell whether a folder, or one above it in the archive, is called as folders of masks are."""
    return any(map(_is_mask_folder, folder.split("/")))


def is_next_part(reader: str) -> bool:
    """Tell whether what a mask's name states of its reader counts files: ``x_mask``, ``x_mask_1``, ``x_mask_2``."""
    return reader.isdecimal() and len(reader) < _LONGEST_COUNT


def _is_below(folder: str, base: str) -> bool:
    return not base or folder == base or folder.startswith(f"{base}/")


def _plain(folder: str) -> str:
    return re.sub(r"[^a-z]", "", folder.lower())


def _is_mask_folder(folder: str) -> bool:
    plain = _plain(folder)
    return _MASK_FOLDER.fullmatch(plain) is not None and _HOLDS_BOTH.search(folder) is None


def _is_image_folder(folder: str) -> bool:
    return _IMAGE_FOLDER.fullmatch(_plain(folder)) is not None


def _split(folder: str) -> str:
    plain = _plain(folder)
    borne = [split for split in _SPLITS if plain.startswith(split) or plain.endswith(split)]
    return _SPLITS[max(borne, key=len)] if borne else ""


def _reader_of(parts: list[str]) -> str | None:
    return next((part.lower() for part in reversed(parts) if _OF_READER.fullmatch(part.lower())), None)


# parts of a file's name that tell of no study: what is shown, how it was taken, who drew it
_NO_STUDY = re.compile(
    r"(?:ct|cta|mr|mri|us|pet|pt|xr|cr|dx|t1c?|t1w|t2w?|pd|flair|dwi|adc|swi|dce|t1n|t2f|img|image|images|scan|volume|"
    r"vol|data|input|raw|orig|original|gt|truth|ground|manual|auto|final|new|v|r|rater|reader|expert|annotator|"
    r"desc|label|dseg|seg|segmentation|mask|roi|labels?|lesions?|tumou?rs?|nodules?|organs?|findings?|mass|masses|"
    r"liver|kidneys?|lungs?|brain|heart|spleen|pancreas|prostate|spine|bladder|breast|gm|wm|csf|gtv|ctv|ptv|"
    r"left|right|whole|core|all|binary|combined|merged|anat|nii|space)\d*"
)


def names_image(study: str, stem: str, folder: str) -> bool:
    """Tell whether what a mask's name tells of may be this image, the only one of its folder.

    It may when the name tells of no study, of the folder, or of the image but for words that tell of none.
    """
    words, own = words_of(study), words_of(stem)
    if not words or words == words_of(re.split(r"[/\\]", folder)[-1]):
        return True
    return words == own


def numbered(name: str) -> re.Pattern[str]:
    """Return what is called as this and numbered: where images are, a number stands for a study and no part."""
    return re.compile(rf"{re.escape(name)}[_.\- ]+\(?\d{{1,3}}\)?")


def words_of(name: str) -> list[str]:
    """Return the parts of a name that may tell of a study."""
    parts = [part for part in re.split(r"[^a-z0-9-]+", name.lower()) if part]
    return [part for part in parts if not all(_NO_STUDY.fullmatch(piece) or not piece for piece in part.split("-"))]
