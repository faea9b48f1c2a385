"""The studies of a finished run as an export gets them: read again, held against its hashes, maps on their grids."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.conclusions.tuned import rules_of, tuned_of, who_tunes
from pipeline.errors import ConfigError, StudyError
from pipeline.evidence.metrics.map_evidence import Undefined
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.exports.read_for_export import StudyWithHeaders, read_with_headers
from pipeline.exports.source_series import PatientNames, SourceHeaders, pseudonymous, with_identity
from pipeline.findings.exported.study import ExportedMap, ExportedMask, ExportedStudy, MapOnImage, MapReaderScores
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import load_map
from pipeline.findings.spec import Member
from pipeline.findings.study_audit import StudyAudit
from pipeline.runs.run import Run
from pipeline.studies.pseudonyms import KEY_FILE, KEY_VARIABLE
from pipeline.studies.readers.shared.base import guarded
from pipeline.studies.readers.third_parties import load_readers
from pipeline.studies.study import Study
from pipeline.studies.untrusted.workers import DECODING, WorkerPool, isolated_map
from pipeline.studies.volume import Heatmap
from pipeline.vocabulary import CONSENSUS
from pipeline.walk.alignment import map_resampling, with_layers
from pipeline.walk.auditor import Auditor, open_scorer
from pipeline.walk.reading import read_options
from pipeline.walk.sources import StudySource

__all__ = ["LeftOut", "StudyExporter", "open_exporter"]


@dataclass(frozen=True)
class LeftOut:
    """A study that is not exported, and why; one that was not ``analysed`` has nothing to export."""

    study: str
    reason: str
    analysed: bool = True


@dataclass(frozen=True, eq=False)
class StudyExporter:
    """A run with its archive at hand. ``identified``: patients and studies are called as the archive calls them."""

    run: Run
    scorer: Auditor
    identified: bool = False

    def chosen(self, studies: Sequence[str]) -> tuple[Member, ...]:
        """Return the members of these pseudonyms, all of them where none is named, in the archive's order.

        Raises:
            ConfigError: for a pseudonym that the run does not have.
        """
        unknown = sorted(set(studies) - {member.study for member in self.run.members})
        if unknown:
            raise ConfigError(f"--study: {unknown[0]!a} is no study of {self.run.folder.name}; see per_study.csv")
        return tuple(member for member in self.run.members if not studies or member.study in studies)

    def studies(self, chosen: Sequence[Member]) -> Iterator[ExportedStudy | LeftOut]:
        """Yield these studies in order, each as it is read; what cannot be exported says why.

        Raises:
            AuditError: when the run's records cannot be read.
        """
        audits = self._audits(chosen)
        sources = [self.run.sources.studies[member.study] for member in chosen]
        read = partial(
            read_with_headers,
            pseudonyms=self.scorer.pseudonyms,
            options=read_options(self.run.config),
            readers=load_readers(),
        )
        mapped = partial(isolated_map, workers=self.run.config.run.workers, limits=DECODING, pool=self.scorer.pool)
        archive = self.run.config.archive
        answers = self.scorer.archive_reader.read(archive, [source.row for source in sources], read, mapped)
        for member, source, answer in zip(chosen, sources, answers, strict=True):
            yield self._exported(member, source, next(audits), answer)

    def _audits(self, chosen: Sequence[Member]) -> Iterator[StudyAudit]:
        """Return the records of these studies; of a few, no more than their shards are read."""
        records = self.run.records()
        if len(chosen) == len(self.run.members):
            return iter(records)
        known = records.of({member.study for member in chosen})
        return iter([known[member.study] for member in chosen])

    def _exported(
        self, member: Member, source: StudySource, audit: StudyAudit, answer: StudyWithHeaders | StudyError
    ) -> ExportedStudy | LeftOut:
        if audit.status != "analysed":
            return LeftOut(member.study, f"{audit.stage}, {audit.reason}", analysed=False)
        if isinstance(answer, StudyError):
            return LeftOut(member.study, f"it cannot be read now: {answer}")
        if answer.source_sha256 != member.source_sha256:
            return LeftOut(member.study, "its files are not those that were audited")
        study = answer.study
        if (study.identity, study.patient) != (member.study, member.patient):
            raise ConfigError(f"{self.run.folder}: the pseudonym key here is not the run's own; set {KEY_VARIABLE}")
        geometry = study.image.geometry
        try:
            headers = guarded("its header", lambda: self._headers(answer))  # libraries quote what they warn of
        except StudyError as error:
            return LeftOut(member.study, str(error))
        return ExportedStudy(
            study=member.study,
            patient=member.patient,
            shape=geometry.shape,
            affine=geometry.affine,
            maps=tuple(self._maps(audit, study)),
            masks=tuple(_masks(study)),
            audit=audit,
            seed=self._seed(member, source),
            source=headers.source,
            no_source=headers.reason,
            identified=self.identified,
            scaled=geometry.scaled,
        )

    def _seed(self, member: Member, source: StudySource) -> str:
        """Return what the UIDs of a study's objects follow from.

        That of an identified study stands in no report: what lies in a PACS does not lead to a report's rows.
        """
        if not self.identified:
            return member.study
        return f"E{self.scorer.pseudonyms.study(source.row.patient, f'export {source.row.study}')[1:]}"

    def _headers(self, answer: StudyWithHeaders) -> SourceHeaders:
        headers, study = answer.headers, answer.study
        if headers.source is None:
            return headers
        if self.identified:
            return SourceHeaders(with_identity(headers.source))
        names = PatientNames(study.identity, study.patient, study.image.geometry.frame_of_reference)
        return SourceHeaders(pseudonymous(headers.source, names))

    def _maps(self, audit: StudyAudit, study: Study) -> Iterator[ExportedMap]:
        """Yield each kept map once, with its scores against every reader."""
        by_map: dict[str, list[MapScores]] = {}
        for entry in audit.map_scores:
            if entry.map is not None:
                by_map.setdefault(entry.map, []).append(entry)
        for entries in by_map.values():
            first = entries[0]
            yield ExportedMap(
                first.target,
                first.method,
                first.layer or "",
                str(first.map_sha256),
                tuple(MapReaderScores(entry.reader, entry.target_role, entry.every_score) for entry in entries),
                partial(_on_image, self.scorer, self.run.folder, first, study),
            )


def _on_image(scorer: Auditor, folder: Path, entry: MapScores, study: Study) -> MapOnImage:
    """Bring a kept map to the image's grid and draw its region, as the audit did.

    Raises:
        OutputError: when the map is not there, or is not the one that was measured.
    """
    values, affine = load_map(folder, entry)
    geometry, layer = study.image.geometry, entry.layer or ""
    plan = map_resampling(scorer, layer, replace(geometry, shape=values.shape, affine=affine), geometry)
    heatmap = Heatmap(plan.apply(values), geometry, plan.seen, entry.method, layer, entry.target)
    rule = scorer.rule_for(study.patient, heatmap, entry.target)
    evidence = evidence_of(heatmap, scorer.config.overlap, rule)
    try:
        return MapOnImage(heatmap.array, heatmap.seen, str(rule), evidence.threshold, evidence.region)
    except Undefined as error:
        return MapOnImage(heatmap.array, heatmap.seen, str(rule), None, None, error.code)


def _masks(study: Study) -> Iterator[ExportedMask]:
    for mask in study.masks:
        yield ExportedMask(mask.reader, mask.label, mask.array, computed=mask.reader.startswith(CONSENSUS))


@contextmanager
def open_exporter(folder: Path, *, identified: bool = False) -> Iterator[StudyExporter]:
    """Yield who exports the studies of a finished run; nothing is written into its folder.

    Raises:
        AuditError: when the run cannot be opened, where its studies lie is not known here, or its pseudonym key is not
            here.
    """
    with WorkerPool() as pool:
        run = Run.open(folder, pool=pool)
        key = run.config.run.output / KEY_FILE
        if KEY_VARIABLE not in os.environ and not key.is_file():
            raise ConfigError(f"{key}: the pseudonym key of the run is not here; set {KEY_VARIABLE}")
        layers = tuple(layer.name for layer in run.spec.layers)
        scorer = with_layers(open_scorer(run.config, layers, pool), run.spec.layers)
        tuned = tuned_of(run.spec, run.members, run.records()) if who_tunes(run.members) else ()
        yield StudyExporter(run, replace(scorer, rules=rules_of(run.spec, run.members, tuned)), identified)
