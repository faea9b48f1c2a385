"""Maps and masks as a BIDS derivative dataset: subjects are patients' pseudonyms, sessions their studies'."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.files import written
from pipeline.findings.exported.study import ExportedStudy
from pipeline.findings.results import Results
from reports.exports.nifti import write_nifti
from reports.exports.outcome import WrittenStudy
from reports.exports.unique_names import StableNames
from reports.exports.volumes import VolumePart, volume_parts

__all__ = ["BidsFolder"]

_VERSION = "1.10.0"
_SPACE = "orig"
_NOT_AN_ENTITY = re.compile(r"[^A-Za-z0-9]+")
_SUFFIX = {"map": "statmap", "region": "mask", "mask": "mask"}


@dataclass(frozen=True)
class BidsFolder:
    """A derivative dataset; ``descriptions`` takes what each ``desc`` of its files stands for."""

    folder: Path
    results: Results
    program: str
    option: str = "--bids"
    descriptions: dict[str, str] = field(default_factory=dict)
    labels: StableNames = field(default_factory=lambda: StableNames(_entity))
    descs: StableNames = field(default_factory=lambda: StableNames(_entity))

    def write(self, study: ExportedStudy) -> WrittenStudy:
        """Write a study's maps, regions and masks.

        Raises:
            OutputError: when a file cannot be written, or a map not be read.
        """
        subject, session = _entity(study.patient), _entity(study.study)
        folder = self.folder / f"sub-{subject}" / f"ses-{session}" / "anat"
        files = list[Path]()
        for part in volume_parts(study, self.results):
            described = self.descs.of(_described(part))
            self.descriptions.setdefault(described, _meaning(part))
            stem = f"sub-{subject}_ses-{session}_space-{_SPACE}_label-{self.labels.of(part.label)}_desc-{described}"
            described_part = replace(part, facts={**part.facts, **_spatial(part)})
            files += write_nifti(described_part, study, folder / f"{stem}_{_SUFFIX[part.kind]}")
        return WrittenStudy(tuple(files))

    def finish(self) -> tuple[Path, ...]:
        """Write what makes the folder a dataset: its description, what each ``desc`` stands for, and a readme.

        Raises:
            OutputError: when a file cannot be written.
        """
        rows = "".join(f"{name}\t{meaning}\n" for name, meaning in sorted(self.descriptions.items()))
        contents = {
            "dataset_description.json": json.dumps(self._description(), indent=1),
            "descriptions.tsv": f"desc_id\tdescription\n{rows}",
            "README": f"Explanation maps and experts' masks of the audit run {self.results.run}. Not for diagnosis.\n",
        }
        for name, content in contents.items():
            with written(self.folder / name) as file:
                file.write(content.encode())
        return tuple(self.folder / name for name in contents)

    def _description(self) -> dict[str, object]:
        return {
            "Name": f"{self.results.title}: explanation maps of run {self.results.run}",
            "BIDSVersion": _VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "camaudit", "Version": self.program, "Description": "camaudit export --bids"}],
        }


def _entity(text: str) -> str:
    """Return a text as the value of an entity: letters and digits alone."""
    return _NOT_AN_ENTITY.sub("", text) or "x"


def _described(part: VolumePart) -> str:
    """Return what ``desc`` is made of: a map's method and layer, or the reader."""
    return " ".join([*part.words[:-1], *(["region"] if part.kind == "region" else [])])


def _meaning(part: VolumePart) -> str:
    if part.kind == "mask":
        return f"mask of the reader {part.words[0]}".replace("\t", " ")
    what = "map" if part.kind == "map" else "region of the map"
    return f"{what} of {part.words[0]} at {part.words[1]}".replace("\t", " ")


def _spatial(part: VolumePart) -> dict[str, object]:
    """Return what BIDS asks of a derivative in the space of its source."""
    mask = {"Type": "ROI"} if part.kind != "map" else {}
    return {"SpatialReference": _SPACE, "Resolution": "the source image's own voxels", **mask}
