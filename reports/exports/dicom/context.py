"""What all objects of a run share: UIDs and dates that follow from the run, the equipment, and what is never copied."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from pipeline.findings.exported.study import ExportedMap, ExportedStudy, MapOnImage
from pipeline.findings.exported.uids import derived_uid
from pipeline.findings.facts import MethodFacts, MetricFacts
from pipeline.findings.results import Results
from reports.exports.dicom.codes import SCHEME

__all__ = ["MANUFACTURER", "NOT_FOR_DIAGNOSIS", "DicomObject", "ExportContext", "ObjectNames", "fitted_text"]

MANUFACTURER = "camaudit"
NOT_FOR_DIAGNOSIS = "not for diagnosis"
_CHARACTER_SET = "ISO_IR 192"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_SERIAL_DIGITS = 16
_NEVER = (
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
    *("OperatorsName", "PerformingPhysicianName", "TimezoneOffsetFromUTC"),
)


@dataclass(frozen=True, eq=False)
class DicomObject:
    """An object to be written: its file's name, what it is in words, and the data set."""

    name: str
    title: str
    dataset: Dataset


@dataclass(frozen=True)
class ObjectNames:
    """What an object is called: kind and part make its UIDs, ``series`` numbers its series in the study."""

    kind: str
    part: str
    series: int
    description: str


@dataclass(frozen=True, eq=False)
class ExportContext:
    """A finished run, as its objects tell of it.

    Objects follow from the run alone: the same run, exported twice by one version, gives the same bytes.
    """

    results: Results
    program: str
    """The version of camaudit that exports, which need not be the one that audited."""

    @property
    def software(self) -> str:
        """Name and version of what writes the objects."""
        return f"{MANUFACTURER} {self.program}"

    @cached_property
    def moment(self) -> datetime:
        """When the run was finished; every date that an object has of its own is this one, in UTC."""
        return datetime.fromisoformat(self.results.provenance.finished_at)

    @cached_property
    def metrics(self) -> dict[str, MetricFacts]:
        """The run's metrics by name."""
        return {metric.name: metric for metric in self.results.metrics}

    def method(self, name: str) -> MethodFacts | None:
        """Return what the run says of a method."""
        return next((method for method in self.results.methods if method.name == name), None)

    def method_title(self, name: str) -> str:
        """Return how a method is called."""
        facts = self.method(name)
        return name if facts is None else facts.title

    def uid(self, seed: str, *parts: str) -> str:
        """Return a UID for a part of a study's export."""
        return derived_uid(self.results.run, self.program, seed, *parts)

    @property
    def device_uid(self) -> str:
        """The model as a device: another one for each set of weights."""
        return derived_uid("model", self.results.model.sha256)

    def placing(self, study: ExportedStudy, names: ObjectNames) -> dict[str, object]:
        """Return highdicom's arguments that say which object of which series this is."""
        return {
            "series_instance_uid": self.uid(study.seed, "series", names.kind, names.part),
            "series_number": names.series,
            "sop_instance_uid": self.uid(study.seed, "instance", names.kind, names.part),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
        }

    @property
    def equipment(self) -> dict[str, object]:
        """Highdicom's arguments that say what made an image."""
        return {
            "manufacturer_model_name": MANUFACTURER,
            "software_versions": self.software,
            "device_serial_number": self.results.model.sha256[:_SERIAL_DIGITS],
        }

    def algorithm(self, exported: ExportedMap, placed: MapOnImage) -> AlgorithmIdentificationSequence:
        """Return what made a map: weights by their hash, method, layer, the rule of its region and its threshold."""
        return AlgorithmIdentificationSequence(
            name=fitted_text(self.method_title(exported.method), 64),
            family=codes.DCM.ArtificialIntelligence,
            version=fitted_text(f"{MANUFACTURER} {self.results.provenance.camaudit}", 64),
            source=MANUFACTURER,
            parameters=self.parameters(exported, placed),
        )

    def parameters(self, exported: ExportedMap, placed: MapOnImage) -> dict[str, str]:
        """Return what a map and its region follow from, by name."""
        method = self.method(exported.method)
        options = {} if method is None else {f"option {key}": value for key, value in method.options.items()}
        threshold = "none" if placed.threshold is None else repr(placed.threshold)
        stated = {
            "run": self.results.run,
            "model": self.results.model.name,
            "weights sha256": self.results.model.sha256,
            "method": exported.method,
            "layer": exported.layer,
            "label": exported.target,
            "threshold rule": placed.rule,
            "threshold": threshold,
            "map sha256": exported.sha256,
            **options,
        }
        return {key: _CONTROL.sub(" ", value).replace(",", ";") for key, value in stated.items()}

    def finished(self, dataset: Dataset, names: ObjectNames) -> Dataset:
        """Return an object with the run's dates and equipment in place of the clock's, the library's and the source's.

        The model contributes as IHE's AI Results profile asks: a device of its own, whose UID its weights make.
        """
        day, time = self.moment.strftime("%Y%m%d"), self.moment.strftime("%H%M%S")
        dataset.SpecificCharacterSet = _CHARACTER_SET
        dataset.InstanceCreationDate, dataset.InstanceCreationTime = day, time
        dataset.ContentDate, dataset.ContentTime = day, time
        dataset.SeriesDate, dataset.SeriesTime = day, time
        if "DateOfSecondaryCapture" in dataset:
            dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = day, time
        dataset.SeriesDescription = fitted_text(f"{names.description} - {NOT_FOR_DIAGNOSIS}", 64)
        for keyword in _NEVER:
            if keyword in dataset:
                delattr(dataset, keyword)
        dataset.ContributingEquipmentSequence = [self._model_item(), self._program_item()]
        dataset.CodingSchemeIdentificationSequence = [_scheme_item()]
        self._replace_random_uids(dataset)
        dataset.file_meta.ImplementationClassUID = UID(derived_uid("implementation", MANUFACTURER))
        dataset.file_meta.ImplementationVersionName = fitted_text(self.software.upper(), 16)
        return dataset

    def _replace_random_uids(self, dataset: Dataset) -> None:
        own = derived_uid(str(dataset.SOPInstanceUID), "dimensions")
        for item in _items(dataset):
            if "DimensionOrganizationUID" in item:
                item.DimensionOrganizationUID = own

    def _model_item(self) -> Dataset:
        model = self.results.model
        item = _equipment_item(model.name or model.architecture, [model.version or "unversioned", self._weights])
        item.Manufacturer = "not stated"
        item.DeviceUID = self.device_uid
        item.ContributionDescription = fitted_text(f"the model that was audited: {model.architecture}", 1024)
        return item

    @property
    def _weights(self) -> str:
        return f"sha256 {self.results.model.sha256[:56]}"

    def _program_item(self) -> Dataset:
        audited = f"{MANUFACTURER} {self.results.provenance.camaudit}"
        item = _equipment_item(MANUFACTURER, [audited, self.software])
        item.Manufacturer = MANUFACTURER
        item.ContributionDescription = fitted_text(f"audit {self.results.audit}, run {self.results.run}", 1024)
        return item


def _equipment_item(model: str, versions: Sequence[str]) -> Dataset:
    item = Dataset()
    item.ManufacturerModelName = fitted_text(model, 64)
    item.SoftwareVersions = [fitted_text(version, 64) for version in dict.fromkeys(versions)]
    item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(codes.DCM.ProcessingEquipment)]
    return item


def _scheme_item() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "Terms of camaudit; see its DICOM conformance statement"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a data set and every item of its sequences, at all depths."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _items(item)


def fitted_text(text: str, longest: int) -> str:
    """Return a text without what DICOM's short strings may not hold, cut to so many bytes of UTF-8, dots included.

    DICOM counts characters; some readers count bytes.
    """
    clean = _CONTROL.sub(" ", text).strip()
    if len(clean.encode()) <= longest:
        return clean
    return f"{clean.encode()[: longest - 3].decode('utf-8', 'ignore')}..."
