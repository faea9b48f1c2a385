"""A study ready to be shown to the model, and a folder where such studies are kept for the next run.

An entry is named by the digest of everything that it follows from: the study's files, how they are read, the
transforms, the versions of this program and of the libraries. It holds a patient's pixels under pseudonyms: the folder
is its owner's alone, and may be deleted at any time.
"""

import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config import digest_of
from pipeline.errors import OutputError, Reason
from pipeline.files import written
from pipeline.models.prepare import Prepared
from pipeline.studies.geometry import Geometry
from pipeline.studies.study import MaskFault, Study
from pipeline.studies.volume import Mask

__all__ = ["PreparedCache", "PreparedStudy", "prepared_study"]

_ENDING = ".npz"
_FORMAT = 3
"""Of an entry: one of another format, which may lack what a study holds today, bears another name."""


@dataclass(frozen=True)
class PreparedStudy:
    """What is left of a study once its image is prepared: the model's input, and what the experts said.

    ``geometry`` is the image's own grid, on which the masks lie. ``prepared`` is None where the masks alone were
    wanted. The rest is as in ``Study``.
    """

    identity: str
    patient: str
    geometry: Geometry
    masks: tuple[Mask, ...]
    reference: tuple[str, ...] | None
    strata: Mapping[str, str]
    header: Mapping[str, str]
    mask_faults: tuple[MaskFault, ...]
    prepared: Prepared | None
    avoid: tuple[Mask, ...] = ()
    avoid_faults: tuple[MaskFault, ...] = ()

    @property
    def shown(self) -> Prepared:
        """What the model is shown.

        Raises:
            RuntimeError: where the study was read for its masks alone.
        """
        if self.prepared is None:
            raise RuntimeError("the study was read for its masks alone: it was not prepared for the model")
        return self.prepared


def prepared_study(study: Study, prepared: Prepared | None) -> PreparedStudy:
    """Put a study and its model input together, and let the image's pixels go."""
    said = (study.masks, study.reference, study.strata, study.header, study.mask_faults)
    regions = (study.avoid, study.avoid_faults)
    return PreparedStudy(study.identity, study.patient, study.image.geometry, *said, prepared, *regions)


@dataclass(frozen=True)
class PreparedCache:
    """A folder of prepared studies, at most ``limit`` bytes after ``make_room``.

    ``recipe`` digests what an entry follows from beside the study's own files.

    Raises:
        OutputError: when the folder cannot be made.
    """

    folder: Path
    limit: int
    recipe: str

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder}: run.cache cannot be made: {error.strerror}") from error

    def holds(self, study: str, source_sha256: str) -> bool:
        """Tell whether there is an entry for this study and these files; it may still prove damaged."""
        return self._path(study, source_sha256).is_file()

    def load(self, study: str, source_sha256: str) -> PreparedStudy | None:
        """Return the entry, or None when there is none that can be used."""
        path = self._path(study, source_sha256)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                entry = _unpacked(arrays, json.loads(arrays["facts"].tobytes()))
            os.utime(path)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
            return None
        return entry if entry.identity == study else None

    def store(self, study: PreparedStudy, source_sha256: str) -> None:
        """Keep a study; where the disk does not take it, the next run prepares it again."""
        with (
            contextlib.suppress(OutputError),
            written(self._path(study.identity, source_sha256), private=True) as file,
        ):
            np.savez(file, allow_pickle=False, **_packed(study))

    def make_room(self) -> None:
        """Delete the entries that were not used for longest until the others stay within the limit."""
        entries = [(path, path.stat()) for path in self.folder.glob(f"*{_ENDING}")]
        total = sum(status.st_size for _, status in entries)
        for path, status in sorted(entries, key=lambda entry: entry[1].st_mtime_ns):
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size

    def _path(self, study: str, source_sha256: str) -> Path:
        return self.folder / f"{digest_of([_FORMAT, self.recipe, study, source_sha256])}{_ENDING}"


def _packed(study: PreparedStudy) -> dict[str, NDArray[Any]]:
    facts = {
        "identity": study.identity,
        "patient": study.patient,
        "shape": study.geometry.shape,
        "frame_of_reference": study.geometry.frame_of_reference,
        "oriented": study.geometry.oriented,
        "scaled": study.geometry.scaled,
        "masks": [[mask.label, mask.reader] for mask in study.masks],
        "reference": study.reference,
        "strata": dict(study.strata),
        "header": dict(study.header),
        "mask_faults": [astuple(fault) for fault in study.mask_faults],
        "avoid": [[mask.label, mask.reader] for mask in study.avoid],
        "avoid_faults": [astuple(fault) for fault in study.avoid_faults],
    }
    return {
        "x": study.shown.x.numpy(),
        "affines": np.stack([study.geometry.affine, study.shown.grid.affine]),
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        **{f"mask{number}": np.packbits(mask.array) for number, mask in enumerate(study.masks)},
        **{f"avoid{number}": np.packbits(mask.array) for number, mask in enumerate(study.avoid)},
    }


def _unpacked(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> PreparedStudy:
    x, affines = torch.from_numpy(arrays["x"]), arrays["affines"]
    where = {name: facts[name] for name in ("frame_of_reference", "oriented", "scaled")}
    geometry, reference = Geometry(tuple(facts["shape"]), affines[0], **where), facts["reference"]
    masks, avoid = (
        tuple(
            Mask(_bits(arrays[f"{kind}{number}"], geometry.shape), geometry, label, reader)
            for number, (label, reader) in enumerate(facts[named])
        )
        for kind, named in (("mask", "masks"), ("avoid", "avoid"))
    )
    return PreparedStudy(
        identity=facts["identity"],
        patient=facts["patient"],
        geometry=geometry,
        masks=masks,
        reference=None if reference is None else tuple(reference),
        strata=facts["strata"],
        header=facts["header"],
        mask_faults=_faults(facts["mask_faults"]),
        avoid=avoid,
        avoid_faults=_faults(facts["avoid_faults"]),
        prepared=Prepared(x, replace(geometry, shape=tuple(x.shape[1:]), affine=affines[1])),
    )


def _faults(kept: Iterable[Sequence[Any]]) -> tuple[MaskFault, ...]:
    return tuple(
        MaskFault(reader, label, Reason(reason), message, count) for reader, label, reason, message, count in kept
    )


def _bits(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.unpackbits(packed, count=int(np.prod(shape))).astype(np.bool_).reshape(shape)
