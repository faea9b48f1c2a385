"""The archive and its manifest, and the regions that a manifest marks to be avoided."""

from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.checks.rules.rule import Rule, fault_at, numbered_criteria
from pipeline.config import AuditConfig
from pipeline.config_file import Fault, Key
from pipeline.errors import ArchiveError, closest
from pipeline.studies.listing.manifest import read_manifest
from pipeline.vocabulary import AVOID

__all__ = ["ARCHIVE_RULES"]


def _archive_layout(config: AuditConfig, _: Path) -> Iterator[Fault]:
    archive = config.archive
    for key, value in (("layout", archive.layout), ("modalities", archive.modalities)):
        if value is not None and archive.manifest is not None:
            says = "must not be given with a manifest, which lists each study's image; remove one of them"
            yield fault_at("archive", key, says=says)


def _archive(config: AuditConfig, _: Path) -> Iterator[Fault]:
    archive = config.archive
    if archive.dicomweb is None and not archive.path.is_dir():
        yield fault_at("archive", "path", says=f"{archive.path} does not exist or is not a folder")
    if archive.manifest is not None and not archive.manifest.is_file():
        yield fault_at("archive", "manifest", says=f"{archive.manifest} does not exist or is not a file")


def _manifest(config: AuditConfig, _: Path) -> Iterator[Fault]:
    archive = config.archive
    if archive.manifest is None:
        yield from _regions_to_avoid(config, ())
    if archive.manifest is None or not archive.manifest.is_file():
        return
    if archive.dicomweb is None and not archive.path.is_dir():
        return
    try:
        rows = read_manifest(archive.path, archive.manifest)
    except ArchiveError as error:
        yield fault_at("archive", "manifest", says=str(error))
        return
    if not rows:
        yield fault_at("archive", "manifest", says=f"{archive.manifest} holds no studies")
    labels = sorted({label for row in rows for label in row.reference or ()})
    if labels and not set(labels) & set(config.model.labels):
        advice = closest(labels[0], config.model.labels)
        says = f"{archive.manifest}: label {labels[0]!r} is not one of the model's labels; {advice}"
        yield fault_at("archive", "manifest", says=says)
    yield from _regions_to_avoid(config, {str(mask.label) for row in rows for mask in row.avoid})


def _regions_to_avoid(config: AuditConfig, regions: Collection[str]) -> Iterator[Fault]:
    """Refuse a region to avoid that is one of the model's labels, and one that no column of the manifest marks."""
    for name in sorted(set(regions) & set(config.model.labels)):
        says = f"column '{AVOID}{name}' names a label of the model: what is to be found cannot be what is to be avoided"
        yield fault_at("archive", "manifest", says=says)
    named: list[tuple[Key, str]] = [(("overlap", "metrics"), name) for name in config.overlap.metrics]
    named += [(("criteria", number, "metric"), criterion.metric) for number, criterion in numbered_criteria(config)]
    for place, name in named:
        if name.startswith(AVOID) and name.removeprefix(AVOID) not in regions:
            columns = [f"{AVOID}{region}" for region in sorted(regions)]
            advice = closest(name, columns) if columns else f"masks of it stand in the manifest's column {name!r}"
            yield fault_at(
                *place, says=f"no study of a manifest marks the region {name.removeprefix(AVOID)!r}; {advice}"
            )


ARCHIVE_RULES = (
    Rule(("archive.layout", "archive.modalities", "archive.manifest"), _archive_layout),
    Rule(("archive.path", "archive.manifest", "archive.dicomweb"), _archive, reads_files=True),
    Rule(
        ("archive.path", "archive.manifest", "archive.dicomweb", "model.labels", "criteria", "overlap.metrics"),
        _manifest,
        reads_files=True,
    ),
)
