"""``run.json``: everything that a run is, written before its first inference, and all that is needed to open it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pipeline.config import AuditConfig
from pipeline.errors import OutputError
from pipeline.files import json_array, read_items, written
from pipeline.findings.context.cohort import TrainingOverlap
from pipeline.findings.facts import LayerFacts, Lock, MethodFacts, MetricFacts
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.members.member import Member
from pipeline.findings.members.table import MemberTable
from pipeline.findings.recipes import Place, Recipes
from pipeline.vocabulary import LOCK_ENDING, Family

__all__ = [
    "COHORT_FILE",
    "FONTS_FOLDER",
    "LEDGER_FILE",
    "LOCK_FILE",
    "PAGE_CASES_FOLDER",
    "PAGE_FILE",
    "REVIEWS_FOLDER",
    "SHEETS_FOLDER",
    "SOURCES_FILE",
    "SPEC_FILE",
    "SPEC_VERSION",
    "MapRecipe",
    "Member",
    "ModelIdentity",
    "Program",
    "RunSpec",
    "read_members",
    "read_spec",
    "require_outside_runs",
    "write_members",
]

SPEC_FILE, COHORT_FILE, LEDGER_FILE = "run.json", "cohort.json", "ledger.jsonl"
LOCK_FILE = f"audit{LOCK_ENDING}"
"""The lock as it lay beside the configuration at the start, where there was one."""

SOURCES_FILE = "private/sources.json"
"""Where the studies lie; a folder that is handed on goes without it."""
FONTS_FOLDER = "fonts"
"""The TrueType fonts that a run's report asks, in the order of their names, for what its own font lacks."""

SHEETS_FOLDER = "sheets"
"""Where pages of single studies lie, to be marked by hand: in no ledger, since they follow from the rest."""

REVIEWS_FOLDER = "reviews"
"""What reviewers wrote in the viewer; the ledger tells of what was approved."""

PAGE_FILE = "report.html"
"""The run as a page for a browser, where it was asked for."""

PAGE_CASES_FOLDER = "report-cases"
"""What is too large for that page: whole volumes, a file a case."""

SPEC_VERSION: Literal[6] = 6


class ModelIdentity(FrozenModel):
    """The network: ``sha256`` is the weights' file's (or the weights' own), ``code_sha256`` of what builds it.

    ``notes`` are facts of how it was loaded. ``one_by_one``: its answer for one study depends on the others of a batch.
    """

    source: str
    architecture: str
    parameters: int
    sha256: str
    code_sha256: str
    notes: tuple[str, ...] = ()
    one_by_one: bool = False


class Program(FrozenModel):
    """What computes: versions, the digest of the sources that make a number, and their revision where git tells it."""

    camaudit: str
    digest: str
    revision: str | None
    libraries: Mapping[str, str]
    python: str
    platform: str
    device: str


class MapRecipe(FrozenModel):
    """The digests of what one kind of map, and its scores, follow from."""

    method: str
    layer: str
    map: str
    scores: str


class RunSpec(FrozenModel):
    """The specification of a run.

    ``configuration`` holds every value, paths as they were given; ``given`` is the part of it that the file or the
    command line gave, all else has its default. ``measured`` names the run whose maps were scored again, where
    no model was run. ``training`` is the cohort against the training data's hashes. ``not_carried`` says of earlier
    runs why nothing of theirs was used.
    """

    schema_version: Literal[6] = SPEC_VERSION
    run: str
    audit: str
    command: str
    started_at: str
    configuration: Mapping[str, Any]
    given: Mapping[str, Any]
    lock: Lock
    study_recipe: str
    masks_recipe: str
    maps: tuple[MapRecipe, ...]
    layers: tuple[LayerFacts, ...]
    model: ModelIdentity
    preparation: tuple[str, ...]
    methods: tuple[MethodFacts, ...]
    metrics: tuple[MetricFacts, ...]
    program: Program
    shards: int
    previous_run: str | None
    measured: str | None = None
    not_carried: tuple[str, ...] = ()
    training: TrainingOverlap | None = None
    experiments: Mapping[Family, tuple[str, ...]] = {}

    @property
    def config(self) -> AuditConfig:
        """The configuration; its relative paths are relative to the folder that the run's private file names."""
        return AuditConfig.model_validate(self.configuration)

    @property
    def recipes(self) -> Recipes:
        """The digests that the run's rows answer to."""
        places: dict[Place, MapRecipe] = {(recipe.method, recipe.layer): recipe for recipe in self.maps}
        return Recipes(
            self.study_recipe,
            self.masks_recipe,
            {place: recipe.map for place, recipe in places.items()},
            {place: recipe.scores for place, recipe in places.items()},
        )

    def write(self, folder: Path) -> None:
        """Write ``run.json``.

        Raises:
            OutputError: when the folder cannot be written.
        """
        with written(folder / SPEC_FILE) as file:
            file.write(self.model_dump_json(indent=1).encode())


def read_spec(folder: Path) -> RunSpec:
    """Read a run's ``run.json``.

    Raises:
        OutputError: when the folder is not a run's, or a run of another version.
    """
    path = folder / SPEC_FILE
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise OutputError(f"{folder}: holds no {SPEC_FILE} ({error.strerror}); is this the folder of a run?") from error
    except ValueError as error:
        raise OutputError(f"{path}: is not JSON; the file was damaged or altered") from error
    stated = content.get("schema_version") if isinstance(content, dict) else None
    if stated != SPEC_VERSION:
        raise OutputError(f"{path}: is of schema {stated}, and this version of camaudit reads schema {SPEC_VERSION}")
    try:
        return RunSpec.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise OutputError(f"{path}: is not the specification of a run: {where}: {first['msg']}") from None


def require_outside_runs(path: Path, option: str) -> None:
    """Refuse a path in the folder of a run: a file more there, or another, and the run does not hold any longer.

    Raises:
        OutputError: in a line that names the ``option`` by which the path was given.
    """
    place = path.resolve()
    if any((folder / LEDGER_FILE).is_file() for folder in (place, *place.parents)):
        raise OutputError(f"{option}: {path} lies in the run's own folder, which nothing may be added to")


def write_members(folder: Path, members: Iterable[Member]) -> None:
    """Write the studies of a run, in the archive's order.

    Raises:
        OutputError: when the folder cannot be written.
    """
    with written(folder / COHORT_FILE) as file:
        file.writelines(json_array(member.model_dump() for member in members))


def read_members(folder: Path) -> MemberTable:
    """Read the studies of a run, in the archive's order.

    Raises:
        OutputError: when the file is missing or damaged.
    """
    path = folder / COHORT_FILE
    try:
        with path.open("rb") as file:
            return MemberTable(Member.model_validate(item.value) for item in read_items(file))
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{path}: is missing or damaged; the run's studies cannot be told") from error
