"""One study for an export: its grid, its maps and masks on it, its record, and the headers of its source series."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.findings.scores import Score
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import TargetRole

__all__ = ["ExportedMap", "ExportedMask", "ExportedStudy", "MapOnImage", "MapReaderScores", "SourceSeries"]


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """The DICOM instances that an image was read from, each cut down to what an export may copy.

    ``slices``: one instance a slice, in the order of the image's last axis (its array is column, row, slice).
    ``projection``: one picture (its array is row, column). The data sets hold no pixels.
    """

    kind: Literal["slices", "projection"]
    instances: tuple[Dataset, ...] = field(repr=False)

    def frames(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return an array on the image's grid as DICOM frames (frame, row, column), in the instances' order."""
        return np.ascontiguousarray(array.transpose(2, 1, 0) if self.kind == "slices" else array[None])


@dataclass(frozen=True)
class MapReaderScores:
    """A map's scores against one reader's mask; ``reader`` None: there is none to compare with."""

    reader: str | None
    target_role: TargetRole
    scores: tuple[Score, ...]


@dataclass(frozen=True, eq=False)
class MapOnImage:
    """A map at the image's voxels: signed values (float32), the voxels that the model saw, and the map's region.

    ``region`` is empty where the map is constant; None where the audit's rule draws none, for ``reason``.
    ``threshold`` is what a value exceeds in the region, ``rule`` how that was found.
    """

    values: NDArray[np.float32]
    seen: NDArray[np.bool_]
    rule: str
    threshold: float | None
    region: NDArray[np.bool_] | None
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class ExportedMap:
    """A kept map: what it explains, by what, and how to bring it to the image's grid.

    ``on_image`` computes anew at each call: a volume's maps do not fit into memory all at once.
    """

    target: str
    method: str
    layer: str
    sha256: str
    readers: tuple[MapReaderScores, ...]
    on_image: Callable[[], MapOnImage] = field(repr=False)

    @property
    def name(self) -> str:
        """Method, layer and target in one line."""
        return f"{self.method} at {self.layer} for {self.target}"


@dataclass(frozen=True, eq=False)
class ExportedMask:
    """One reader's annotation of one label on the image's grid. ``computed``: a consensus, which nobody drew."""

    reader: str
    label: str
    array: NDArray[np.bool_]
    computed: bool = False


@dataclass(frozen=True, eq=False)
class ExportedStudy:
    """A study of a run. ``affine`` (4, 4) takes a voxel's index, in the arrays' own order, to RAS+ mm.

    ``source`` is None where the image is no DICOM that objects could refer to; ``no_source`` says why. ``seed`` is what
    the UIDs of its objects follow from: the pseudonym, or, of an ``identified`` study, what only the key's owner can
    compute. ``scaled`` is False where the image states no physical size: its lengths are pixels.
    """

    study: str
    patient: str
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    maps: tuple[ExportedMap, ...]
    masks: tuple[ExportedMask, ...]
    audit: StudyAudit
    seed: str
    source: SourceSeries | None = None
    no_source: str = ""
    identified: bool = False
    scaled: bool = True
