"""What the model says of a batch of studies, and the maps that they lack: one forward, each study's own targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cam import METHODS, Explanation, as_logits, explain
from cam.inputs.target_keys import TargetLike
from pipeline.config import AuditConfig
from pipeline.evidence.answers import known_targets, why_answers_are_not_judged
from pipeline.findings.carried import MapPlace
from pipeline.findings.recipes import Place
from pipeline.models.arithmetic import arithmetic
from pipeline.models.outputs import StudyAnswer, answers_of
from pipeline.walk.auditor import Auditor
from pipeline.walk.device_copies import on_host
from pipeline.walk.map_plan import (
    Call,
    MapsToCompute,
    calls_for,
    methods_by_layers,
    places_of,
    targets_of,
)
from pipeline.walk.own_targets import TargetsOnceAnswered, batch_targets, label_for
from pipeline.walk.reading import ReadOutcome

__all__ = ["Explained", "OnMaps", "RawMaps", "explain_batch", "maps_of_labels", "returned_by"]

RawMaps = dict[MapPlace, NDArray[np.float32]]

References = Sequence[tuple[str, ...] | None]

OnMaps = Callable[[int], None]


@dataclass(frozen=True)
class Explained:
    """What came of one study: the model's answer (None where an earlier one is carried over), and its new maps."""

    answer: StudyAnswer | None
    maps: RawMaps


def explain_batch(auditor: Auditor, x: Tensor, batch: Sequence[ReadOutcome], on_maps: OnMaps) -> list[Explained]:
    """Show the model a batch ``x`` (B, C, *S) of studies: all of them new, or all of them with an earlier answer."""
    if all(outcome.carried for outcome in batch):
        wanted = [outcome.missing or {} for outcome in batch]
        returned = returned_by(auditor, x) if auditor.config.model.segmentation else None
        maps, _ = _maps_of(auditor, x, wanted, on_maps, returned)
        return [Explained(None, study) for study in maps]
    references = [outcome.study.reference for outcome in batch if outcome.study is not None]
    answers, maps = _how(auditor.config)(auditor, x, references, on_maps)
    return [Explained(answer, study) for answer, study in zip(answers, maps, strict=True)]


def maps_of_labels(
    auditor: Auditor, x: Tensor, labels: Sequence[str], places: Sequence[Place], on_maps: OnMaps
) -> list[RawMaps]:
    """Return the maps at ``places`` of each sample of ``x`` (B, C, *S) for its own one of ``labels``."""
    returned = returned_by(auditor, x) if auditor.config.model.segmentation else None
    wanted: list[MapsToCompute] = [{label: tuple(places)} for label in labels]
    maps, _ = _maps_of(auditor, x, wanted, on_maps, returned)
    return maps


_How = Callable[[Auditor, Tensor, References, OnMaps], tuple[list[StudyAnswer], list[RawMaps]]]


def _how(config: AuditConfig) -> _How:
    """Return in which order a batch is answered and explained.

    The forward that explains can tell first what is to be explained: a batch in which a study needs one label more than
    the others costs formulas a backward more. Other methods would run the model for it again and again, and the voxels
    of a segmentation have to be known before.
    """
    formulas = all(METHODS[name].is_formula for name in config.explain.methods)
    if "predicted" in config.explain.targets or config.model.segmentation:
        return _once_answered if formulas and not config.model.segmentation else _answered_first
    judged = why_answers_are_not_judged(config.model) is None
    return _apart if formulas and judged else _by_reference


def _by_reference(
    auditor: Auditor, x: Tensor, references: References, on_maps: OnMaps
) -> tuple[list[StudyAnswer], list[RawMaps]]:
    """Explain what the reference or the configuration names; a study without either is shown to the model once.

    What a wrong answer adds is explained by itself, of the studies that were answered wrongly.
    """
    config = auditor.config
    places = places_of(config, auditor.layers)
    wanted = [dict.fromkeys(known_targets(config, reference), places) for reference in references]
    maps, logits = _maps_of(auditor, x, wanted, on_maps)
    answers = {sample: answers_of(row[None], config.model, as_returned=False)[0] for sample, row in logits.items()}
    others = [sample for sample in range(len(x)) if sample not in answers]
    if others:
        answers |= zip(
            others, answers_of(returned_by(auditor, _rows(x, others)), config.model, as_returned=True), strict=True
        )
    in_order = [answers[sample] for sample in range(len(x))]
    every = zip(_wanted(auditor, references, in_order), wanted, strict=True)
    further = [{label: places for label in all_labels if label not in known} for all_labels, known in every]
    added, _ = _maps_of(auditor, x, further, on_maps)
    return in_order, [before | more for before, more in zip(maps, added, strict=True)]


def _apart(
    auditor: Auditor, x: Tensor, references: References, on_maps: OnMaps
) -> tuple[list[StudyAnswer], list[RawMaps]]:
    """Explain studies with a label to explain, and those that have one only if answered wrongly, in a forward each.

    So neither costs the other a backward for nothing. A study that nobody knows the truth of is shown to the model
    alone.
    """
    groups: dict[tuple[bool, _How], list[int]] = {}
    for sample, reference in enumerate(references):
        known = bool(known_targets(auditor.config, reference))
        how: _How = _once_answered if known or reference is not None else _only_answered
        groups.setdefault((known, how), []).append(sample)
    answers, maps = dict[int, StudyAnswer](), dict[int, RawMaps]()
    for (_, how), samples in groups.items():
        own_answers, own_maps = how(auditor, _rows(x, samples), [references[sample] for sample in samples], on_maps)
        answers |= zip(samples, own_answers, strict=True)
        maps |= zip(samples, own_maps, strict=True)
    everyone = range(len(x))
    return [answers[sample] for sample in everyone], [maps[sample] for sample in everyone]


def _only_answered(
    auditor: Auditor,
    x: Tensor,
    references: References,
    on_maps: OnMaps,  # noqa: ARG001 - one form for all
) -> tuple[list[StudyAnswer], list[RawMaps]]:
    """Ask the model what it calls."""
    answers = answers_of(returned_by(auditor, x), auditor.config.model, as_returned=True)
    return answers, [RawMaps() for _ in references]


def _answered_first(
    auditor: Auditor, x: Tensor, references: References, on_maps: OnMaps
) -> tuple[list[StudyAnswer], list[RawMaps]]:
    """Ask the model what it calls, then explain the studies that have a target."""
    config = auditor.config
    returned = returned_by(auditor, x)
    answers = answers_of(returned, config.model, as_returned=True)
    wanted = _wanted(auditor, references, answers)
    maps, _ = _maps_of(auditor, x, wanted, on_maps, returned if config.model.segmentation else None)
    return answers, maps


def _once_answered(
    auditor: Auditor, x: Tensor, references: References, on_maps: OnMaps
) -> tuple[list[StudyAnswer], list[RawMaps]]:
    """Explain what the model calls in the forward that tells it."""
    config = auditor.config
    places = places_of(config, auditor.layers)
    (layers, methods), *others = methods_by_layers(places, auditor.layers).items()

    def labels_of(logits: Tensor) -> list[tuple[str, ...]]:
        answers = answers_of(logits, config.model, as_returned=False)
        return [tuple(study) for study in _wanted(auditor, references, answers)]

    targets = [TargetsOnceAnswered(model=config.model, labels_of=labels_of)]
    explanation = _explanation(auditor, x, targets, (methods, layers), on_maps)
    labels = tuple(labels_of(explanation.logits))
    maps = [RawMaps() for _ in references]
    _collect(auditor, explanation, range(len(x)), labels, maps)
    for at, names in others:
        _add_maps(auditor, x, Call(names, at, labels), on_maps, maps)
    return answers_of(explanation.logits, config.model, as_returned=False), maps


def _wanted(auditor: Auditor, references: References, answers: Sequence[StudyAnswer]) -> list[MapsToCompute]:
    places = places_of(auditor.config, auditor.layers)
    return [
        dict.fromkeys(targets_of(auditor.config, reference, answer.predicted), places)
        for reference, answer in zip(references, answers, strict=True)
    ]


def returned_by(auditor: Auditor, x: Tensor) -> Tensor:
    """Return what the model returns for ``x``, (B, K) or (B, K, *S)."""
    with torch.no_grad(), arithmetic(auditor.config.run, auditor.device):
        return as_logits(auditor.network(x), len(x), auditor.config.model.output_name)


def _maps_of(
    auditor: Auditor, x: Tensor, wanted: Sequence[MapsToCompute], on_maps: OnMaps, returned: Tensor | None = None
) -> tuple[list[RawMaps], dict[int, Tensor]]:
    """Return each study's maps, and the logits of the studies that have any."""
    maps, logits = [RawMaps() for _ in wanted], dict[int, Tensor]()
    for call in calls_for(wanted, auditor.layers):
        logits |= _add_maps(auditor, x, call, on_maps, maps, returned)
    return maps, logits


def _add_maps(
    auditor: Auditor,
    x: Tensor,
    call: Call,
    on_maps: OnMaps,
    maps: Sequence[RawMaps],
    returned: Tensor | None = None,
) -> dict[int, Tensor]:
    """Add a call's maps to the studies' that it explains; the model is shown no other. Return their logits."""
    samples = [sample for sample, labels in enumerate(call.labels) if labels]
    if not samples:
        return {}
    own = [call.labels[sample] for sample in samples]
    targets = batch_targets(own, auditor.config.model, None if returned is None else _rows(returned, samples))
    explanation = _explanation(auditor, _rows(x, samples), targets, (call.methods, call.layers), on_maps)
    _collect(auditor, explanation, samples, own, maps)
    return dict(zip(samples, explanation.logits.cpu(), strict=True))


def _rows(values: Tensor, samples: Sequence[int]) -> Tensor:
    """Return the rows of these samples: by their numbers, since a list of them would be copied to a device first."""
    return values if len(samples) == len(values) else torch.stack([values[sample] for sample in samples])


def _collect(
    auditor: Auditor,
    explanation: Explanation,
    samples: Sequence[int],
    own: Sequence[Sequence[str]],
    maps: Sequence[RawMaps],
) -> None:
    """Add the maps of an explanation's rows to the studies ``samples``, those of a study's own labels only."""
    for (method, layer, target), values in on_host(dict(explanation)).items():
        for row, sample in enumerate(samples):
            label = label_for(target, row, auditor.config.model)
            if label in own[row]:
                maps[sample][label, method, layer] = values[row]


def _explanation(
    auditor: Auditor,
    x: Tensor,
    targets: Sequence[TargetLike],
    of: tuple[tuple[str, ...], tuple[str, ...]],
    on_maps: OnMaps,
) -> Explanation:
    """Explain by these methods at these layers."""
    methods, layers = of
    model, options = auditor.config.model, auditor.config.explain.options
    with arithmetic(auditor.config.run, auditor.device):
        return explain(
            auditor.network,
            x,
            targets,
            methods=methods,
            layers=layers,
            options={name: given for name, given in options.items() if name in methods},
            grids=auditor.grids,
            rows=1 if auditor.one_by_one else None,
            output=model.output_name,
            output_kind=model.kind,
            memory=auditor.memory,
            on_maps=on_maps,
            rectify=False,  # a map is carried to the mask's grid first, and rectified there
        )
