"""Which maps a study needs, what each follows from, and the fewest calls that give those that are missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cam import METHODS
from pipeline.config import AuditConfig, digest_of
from pipeline.evidence.answers import Labels, expected_targets, roles_of
from pipeline.findings.recipes import Place, Recipes
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import BASELINES

__all__ = [
    "Call",
    "MapsToCompute",
    "calls_for",
    "expected_maps",
    "in_order",
    "map_names",
    "methods_by_layers",
    "missing_maps",
    "places_of",
    "recipes_of",
    "score_recipes",
    "targets_of",
]

MapsToCompute = Mapping[str, tuple[Place, ...]]
"""A study's targets, each with the maps that are to be computed for it."""


def recipes_of(
    config: AuditConfig, layers: Sequence[str], foundation: Sequence[object], scoring: Sequence[object]
) -> Recipes:
    """Return a run's recipes.

    ``foundation`` is what maps follow from beside the configuration: weights and code of the model, the program,
    versions, the kind of device. ``scoring`` is what scores follow from beside it: the program and its metrics.
    """
    model = config.model.model_dump(
        mode="json",
        exclude={"name", "version", "training_data", "training_hashes", "bundle", "weights", "sha256", "layers"},
    )  # the weights count by their own hash, the layers map by map
    arithmetic = [config.run.other_arithmetic] if config.run.other_arithmetic else []
    study = digest_of([config.image_preparation(), model, config.run.seed, *foundation, *arithmetic])
    options = config.explain.model_dump(mode="json")["options"]
    places = places_of(config, layers)
    # a baseline is noise on the grid of the first map
    own = {place: places[0][1] if place[0] in BASELINES else options.get(place[0], {}) for place in places}
    maps = {place: digest_of([study, *place, own[place]]) for place in places}
    return Recipes(study, config.mask_reading(), maps, score_recipes(config, maps, scoring))


def score_recipes(config: AuditConfig, maps: Mapping[Place, str], scoring: Sequence[object]) -> dict[Place, str]:
    """Return what the scores of maps follow from, given what the maps do."""
    overlap = config.overlap.model_dump(mode="json", exclude={"metrics", "baselines"})  # by their own identity
    return {place: digest_of([made, config.mask_reading(), overlap, *scoring]) for place, made in maps.items()}


def places_of(config: AuditConfig, layers: Sequence[str]) -> tuple[Place, ...]:
    """Return the maps of every target in the order of a run, and behind them the baselines."""
    maps = [(method, layer) for method in config.explain.methods for layer in METHODS[method].places(layers)]
    return (*maps, *((name, "") for name in config.baselines))


def map_names(config: AuditConfig, layers: Sequence[str]) -> dict[Place, str]:
    """Return what a run's maps are called: the method, with the place where it has several."""
    names: dict[Place, str] = {}
    for method in config.explain.methods:
        places = METHODS[method].places(layers)
        names |= {(method, place): method if len(places) < 2 else f"{method}@{place}" for place in places}
    return names


def expected_maps(config: AuditConfig, layers: Sequence[str]) -> int:
    """Return how many maps a study is expected to need before anything is known of it."""
    return expected_targets(config) * sum(len(METHODS[name].places(layers)) for name in config.explain.methods)


def targets_of(config: AuditConfig, reference: Labels | None, predicted: Labels) -> Labels:
    """Return the labels to explain for a study of this reference and answer, each once."""
    return tuple(roles_of(config, reference, predicted))


def missing_maps(audit: StudyAudit, config: AuditConfig, layers: Sequence[str]) -> MapsToCompute:
    """Return what an earlier answer lacks of what is wanted now; nothing for a study that was not analysed.

    Baselines are made on the grid of the first map: where one is missing, that map is computed with it.
    """
    if audit.status != "analysed":
        return {}
    places = places_of(config, layers)
    held = {(entry.target, entry.method, entry.layer or "") for entry in audit.map_scores}
    wanted = {}
    for target in targets_of(config, audit.reference, audit.predicted):
        lacking = {place for place in places if (target, *place) not in held}
        if any(name in BASELINES for name, _ in lacking):
            lacking.add(places[0])
        if lacking:
            wanted[target] = tuple(place for place in places if place in lacking)
    return wanted


def in_order(audit: StudyAudit, config: AuditConfig, layers: Sequence[str]) -> StudyAudit:
    """Return a study with the findings that are wanted now, in the order of a run that computes them all."""
    roles = roles_of(config, audit.reference, audit.predicted)
    targets = {target: n for n, target in enumerate(roles)}
    places = {place: n for n, place in enumerate(places_of(config, layers))}

    def rank(entry: MapScores) -> tuple[int, int, int]:
        place, target = places[entry.method, entry.layer or ""], targets[entry.target]
        return (1, target, place) if entry.method in BASELINES else (0, place, target)

    wanted = [
        entry
        for entry in audit.map_scores
        if entry.target_role in roles.get(entry.target, ()) and (entry.method, entry.layer or "") in places
    ]
    return audit.model_copy(update={"map_scores": tuple(sorted(wanted, key=rank))})


@dataclass(frozen=True)
class Call:
    """One call that explains: methods and layers, and the labels that each study of the batch is explained for."""

    methods: tuple[str, ...]
    layers: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]


def calls_for(wanted: Sequence[MapsToCompute], layers: Sequence[str]) -> tuple[Call, ...]:
    """Return calls that give all that the studies of a batch want, each map once; one for a batch of new studies."""
    kinds = dict.fromkeys(_computed(places) for study in wanted for places in study.values())
    return tuple(
        Call(methods, at, tuple(_labels_with(study, places) for study in wanted))
        for places in kinds
        for at, methods in methods_by_layers(places, layers).items()
    )


def _computed(places: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(place for place in places if place[0] not in BASELINES)


def _labels_with(study: MapsToCompute, places: tuple[Place, ...]) -> tuple[str, ...]:
    return tuple(label for label, wanted in study.items() if _computed(wanted) == places)


def methods_by_layers(places: Iterable[Place], layers: Sequence[str]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Group methods by the layers that they need; those at the input join another group, they need none."""
    needed: dict[str, set[str]] = {}
    for method, place in _computed(places):
        needed.setdefault(method, set()).update(METHODS[method].places(layers)[place])
    groups: dict[tuple[str, ...], list[str]] = {}
    for method, of in needed.items():
        groups.setdefault(tuple(layer for layer in layers if layer in of), []).append(method)
    if len(groups) > 1 and () in groups:
        at_input = groups.pop(())
        groups[next(iter(groups))] += at_input
    return {at: tuple(method for method in needed if method in group) for at, group in groups.items()}
