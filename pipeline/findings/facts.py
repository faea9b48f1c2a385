"""What a reader must know of how the numbers were made: model, layers, inputs, methods, metrics, lock, program."""

from collections.abc import Mapping

from pipeline.findings.arithmetic import ArithmeticCheck
from pipeline.findings.experiments.selftest import SelftestRates
from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Better, Fidelity

__all__ = [
    "Amendment",
    "InputSummary",
    "LayerFacts",
    "Lock",
    "MethodFacts",
    "MetricFacts",
    "ModelFacts",
    "Provenance",
    "RegisterMark",
]


class LayerFacts(FrozenModel):
    """A layer that maps were taken from. ``requested`` is what the configuration says (``auto`` or a name).

    ``shift_mm`` is how far beside the place where it is drawn the middle cell looks, along each axis of the model's
    input; measured on the network, None when the cell does not react. ``shift_mm`` and ``cell_mm`` are the first
    study's; ``cell_range`` is the smallest and the largest size of a cell over all studies, along each axis. ``unit``
    is that of all: ``px`` where the first study states no physical size.

    ``reason`` says why it was taken. ``past`` is the share of the gradient at the model's input that does not pass the
    layer's cells, measured on noise: 0 where all of the evidence passes it; None where there is no such gradient.
    """

    name: str
    requested: str
    reason: str = ""
    past: float | None = None
    shape: tuple[int, ...]
    cell_mm: tuple[float, ...]
    shift_mm: tuple[float, ...] | None = None
    unit: str = "mm"
    cell_range: tuple[tuple[float, float], ...] | None = None


class ModelFacts(FrozenModel):
    """The model's identity, and what its outputs mean.

    ``multi_label``: its labels do not exclude each other. ``segmentation``: the outputs are those of voxels.
    ``one_by_one``: it was shown one study at a time, since its answer for one depends on the others of a batch.
    ``notes`` are facts of how it was loaded.
    """

    name: str
    version: str
    source: str
    architecture: str
    parameters: int
    sha256: str
    labels: tuple[str, ...]
    output: str
    threshold: float
    layers: tuple[LayerFacts, ...]
    training_data: str
    multi_label: bool = False
    segmentation: bool = False
    one_by_one: bool = False
    notes: tuple[str, ...] = ()

    @property
    def has_independent_labels(self) -> bool:
        """Whether each label is called by itself."""
        return self.multi_label or self.output == "sigmoid"

    @property
    def negative_label(self) -> str | None:
        """The label that means "nothing found": the first, unless labels are independent or name numbers."""
        return None if self.has_independent_labels or self.output == "regression" else self.labels[0]


class InputSummary(FrozenModel):
    """The model's inputs over the analysed studies.

    ``minimum`` and ``maximum`` are the lowest and highest value of all, ``mean`` and ``deviation`` the means of the
    studies' own. ``shapes`` counts the studies by shape, such as ``1 x 48 x 48 x 48``. ``notes`` are facts that a
    reader should weigh. ``picture`` is the file with a plane of the first study's input (None: ``picture_note`` says
    why).
    """

    studies: int
    shapes: Mapping[str, int]
    minimum: float
    mean: float
    maximum: float
    deviation: float
    notes: tuple[str, ...] = ()
    picture: str | None = None
    picture_note: str | None = None


class MethodFacts(FrozenModel):
    """What a reader must know of a map.

    ``package``, ``package_version`` and ``source_sha256`` name the installed distribution that a method comes from, and
    its code; None for camaudit's own. ``options`` are those that the configuration sets, as they are written.
    """

    name: str
    title: str
    paper: str
    formula: str
    limits: str
    options: Mapping[str, str] = {}
    package: str | None = None
    package_version: str | None = None
    source_sha256: str | None = None


class MetricFacts(FrozenModel):
    """What a reader must know of a metric.

    ``range`` is the lowest and the highest value it can have (None: open, or not stated), ``chance`` says what the
    level of chance is, or why there is none. ``source`` names the publication, ``equals`` what of that the values are
    equal to. ``package``, ``package_version`` and ``source_sha256`` name the installed distribution that a metric comes
    from, and its code; None for camaudit's own. ``thresholded`` tells that it asks for the map's region.
    """

    name: str
    title: str
    definition: str
    better: Better
    unit: str
    range: tuple[float | None, float | None] = (None, None)
    chance: str = ""
    version: int = 1
    source: str = ""
    equals: Fidelity = "neither"
    package: str | None = None
    package_version: str | None = None
    source_sha256: str | None = None
    thresholded: bool = False

    @property
    def column(self) -> str:
        """The column of ``per_study.csv``; a unit is part of its name."""
        return self.name if self.unit == "1" else f"{self.name}_{self.unit.replace('/', '_per_')}"


class Amendment(FrozenModel):
    """A lock that was changed in the open: when and why, what changed, and which runs had been looked at by then."""

    amended_at: str
    reason: str
    previous: str
    previous_locked_at: str
    changed: tuple[str, ...]
    seen: tuple[str, ...]


class RegisterMark(FrozenModel):
    """What the register of looks held at a moment: since when it exists, its newest entry's hash, its length."""

    since: str
    head: str
    length: int


class TimeStamp(FrozenModel):
    """What an authority stamped on a lock: when, what it calls itself, and the SHA-256 of its whole answer."""

    time: str
    authority: str
    sha256: str


class Lock(FrozenModel):
    """What was fixed before the first inference, and whether it was fixed before anybody looked.

    ``exploratory`` lists why the run is stamped EXPLORATORY; empty: it was locked beforehand. ``digest`` is the lock's
    in the register, ``site_key`` the fingerprint of the key that signs lock, register and ledger. ``open_cohort``: it
    was locked as a cohort that grows, and is judged so that it may be looked at as often as one likes.
    """

    locked_at: str | None
    open_cohort: bool = False
    digest: str | None = None
    recipe: str
    criteria: str
    statistics: str = ""
    shown: str = ""
    model: str
    code: str = ""
    program: str = ""
    cohort: str
    exploratory: tuple[str, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    register_mark: RegisterMark | None = None
    site_key: str | None = None
    time_stamp: TimeStamp | None = None


class Provenance(FrozenModel):
    """What made the run. ``engine`` is what drove its shards, and why where it was not Prefect throughout.

    ``selftest`` are the rates of the program's own self-test, where the run asks what the model leans on.
    ``arithmetic`` holds the run against plain float32 where it computed otherwise (None: it did not, or no version of
    camaudit measured it then).
    """

    camaudit: str
    command: str
    started_at: str
    finished_at: str
    seconds: float
    device: str
    platform: str
    python: str
    libraries: Mapping[str, str]
    seed: int
    replicates: int
    determinism: str
    engine: str = "local"
    flow_run: str | None = None
    previous_run: str | None = None
    ledger_head: str | None = None
    ledger_length: int = 0
    selftest: SelftestRates | None = None
    arithmetic: ArithmeticCheck | None = None
